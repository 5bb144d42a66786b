"""From where a script has left the devices: in several allowed steps to the next event, and home."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.microscope import motion
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Captured, Commanded, EventSkipped, Logged, Record, SetBack, Submitted

pytestmark = pytest.mark.demo

ONE_PLACE = """\
acquisition:
  channels: [{config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}]
  time_plan: {interval: 0, loops: 3}
"""
SCRIPT = """\
def fetch_images(new: "images"):
    return [{{}}]


def decide(images: "images", context: "IIS_CONTEXT"):
    if images.metadata["timeIndex"] == 0 and not images.metadata.get("addedBy"):
        {body}
"""


@pytest.fixture
def sent(microscope: Microscope) -> Iterator[dict[str, list[tuple[float, ...]]]]:
    """Where stage and focus are sent, by whomever, the start first."""
    core, patched = microscope.core, []
    heard: dict[str, list[tuple[float, ...]]] = {"stage": [(0.0, 0.0)], "focus": [(0.0,)]}

    def listen(name: str, kind: str, size: int) -> None:
        really = getattr(core, name)

        def call(*args: Any) -> Any:
            heard[kind].append(tuple(args[-size:]))
            return really(*args)

        setattr(core, name, call)
        patched.append(name)

    for name in ("setXYPosition", "set_xy_position"):
        listen(name, "stage", 2)
    for name in ("setPosition", "set_position"):
        listen(name, "focus", 1)
    yield heard
    for name in patched:
        delattr(core, name)


def longest(places: list[tuple[float, ...]]) -> float:
    return max((math.dist(a, b) for a, b in itertools.pairwise(places)), default=0.0)


AWAY: dict[str, tuple[str, str, int]] = {
    "moves": ("for _ in range(3): context.moveStageBy(400, 0)", "stage", 3),
    "added images": ("for x in (400, 800, 1200): context.acquire((x, 0.0))", "stage", 6),
    "an added image far away": ("context.acquire((1200.0, 900.0))", "stage", 4),
    "the focus": ("for z in (9, 18, 27): context.moveFocus(z)", "focus", 3),
}


@pytest.mark.parametrize("name", AWAY)
def test_the_next_event_is_reached_in_allowed_steps(
    lab: Any, sent: dict[str, list[tuple[float, ...]]], name: str
) -> None:
    body, device, images = AWAY[name]
    ran = lab(
        SCRIPT.format(body=body),
        acquisition=ONE_PLACE,
        more="safety: {largest_step: {stage_um: 500, focus_um: 10}}",
    )
    assert ran.result.error is None
    assert len(ran.of(Captured)) == images
    assert longest(sent["stage"]) <= 500.1
    assert longest(sent["focus"]) <= 10.1
    assert max(abs(place[0]) for place in sent[device]) >= (1199 if device == "stage" else 27)
    assert any("the way is gone in 3 steps" in each.message for each in ran.of(Logged))
    last = ran.of(Submitted)[-1].position_um
    assert last == {"x_um": 0.0, "y_um": 0.0, "z_um": 0.0}


def test_home_is_reached_in_allowed_steps(
    lab: Any, sent: dict[str, list[tuple[float, ...]]], microscope: Microscope
) -> None:
    places = "[{x: 0, y: 0, z: 0}, {x: 400, y: 0, z: 8}, {x: 800, y: 0, z: 16}]"
    ran = lab(
        acquisition=f"acquisition: {{channels: [{{config: DAPI}}], stage_positions: {places}}}",
        more="safety: {largest_step: {stage_um: 500, focus_um: 10}}\nat_end: {stage: return, focus: return}",
    )
    (end,) = ran.of(SetBack)
    assert not end.failed
    assert set(end.moved) == {"stage", "focus"}
    assert longest(sent["stage"]) <= 500.1
    assert longest(sent["focus"]) <= 10.1
    here = microscope.position()
    assert (here.x_um, here.y_um, here.z_um) == pytest.approx((0, 0, 0), abs=0.1)


def test_the_height_for_the_turret_is_reached_in_allowed_steps(
    lab: Any, sent: dict[str, list[tuple[float, ...]]]
) -> None:
    ran = lab(
        SCRIPT.format(body="context.acquire(objective='40X', label='x')"),
        acquisition=ONE_PLACE,
        microscope="{backend: demo, config: galvo, objectives: {40X: {x_um: 0, z_um: 3.0, escape_z_um: -50}}}",
        more="safety: {largest_step: {focus_um: 20}}",
    )
    assert ran.result.error is None
    assert len(ran.of(Captured)) == 4
    assert longest(sent["focus"]) <= 20.1
    assert min(sent["focus"]) == (-50.0,)


def test_a_command_does_not_wait_and_is_not_divided(lab: Any) -> None:
    ran = lab(
        SCRIPT.format(body="context.moveStage(600, 0)"),
        acquisition=ONE_PLACE,
        more="safety: {largest_step: {stage_um: 500}}",
    )
    assert [each.decided for each in ran.of(Commanded)] == ["refused"]


def test_a_stop_ends_the_wait_for_the_minute(lab: Any) -> None:
    stop = StopSwitch()

    def take(record: Record) -> None:
        if isinstance(record, Logged) and "safety.travel_per_min allows no more" in record.message:
            stop.finish("user", "enough")

    ran = lab(
        SCRIPT.format(body="context.moveStage(60, 0)"),
        acquisition=ONE_PLACE,
        more="safety: {travel_per_min: {stage_um: 100}}",
        stop=stop,
        on_record=take,
    )
    assert ran.result.state == "stopped"
    assert len(ran.of(Captured)) == 1
    assert [each.event for each in ran.of(EventSkipped)] == ["e000002", "e000003"]


def test_a_way_longer_than_a_minute_allows_is_refused(
    lab: Any, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting would not help. Here two commands, in two minutes, have led there."""
    monkeypatch.setattr(motion, "_WINDOW_S", 0.05)
    ran = lab(
        "import time\n\n"
        + SCRIPT.format(body="[(context.moveStageBy(80, 0), time.sleep(0.1)) for _ in 'ab']"),
        acquisition=ONE_PLACE,
        more="safety: {travel_per_min: {stage_um: 100}}",
    )
    assert re.search(r"event e000002 .* the stage would have travelled \d+", str(ran.result.error))
    assert microscope.position().x_um == pytest.approx(160, abs=0.1)
