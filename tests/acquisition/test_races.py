"""Commands that come while the acquisition runs: with the turn no exposure is at a wrong place, without it many are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inscoper_mm.microscope.turn import Turn
from inscoper_mm.records import Captured, Commanded, Submitted

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

ACQUISITION = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 10}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 40, y: 0, z: 5, name: B}]
  time_plan: {interval: 0, loops: 30}
"""
HEAD = """
import time

def fetch_images(new_image: "images"):
    return [{}]

def wander(images: "images", context: "IIS_CONTEXT"):
    for number in range(3):
"""
# What the script does three times at each of 60 images, and how many commands that makes.
RESTLESS = {
    "stage": (["moveStage(-100.0 - number, 50.0)"] * 3, 540),
    "focus": (["moveFocus(20.0 + number)"] * 3, 540),
    "all kinds": (
        [
            "moveStage(-100.0 - number, 50.0)",
            "moveFocus(20.0 + number)",
            'correctPosition(0.5 - number, 1.0 - number, (-1) ** number * 0.25, positions=["A", "all"][number % 2])',
        ],
        540,
    ),
}
QUEUE = "{place: thread, slow: {queue: 8}}"


def restless(kind: str) -> str:
    # The focus drive needs no time: without a pause, all its commands would fall between two exposures.
    return HEAD + "".join(
        f"        time.sleep(0.002)\n        context.{command}\n" for command in RESTLESS[kind][0]
    )


def wrong_exposures(ran: Any) -> int:
    """The images that were not taken at their planned place, plus the correction that the audit says they carry."""
    planned = {0: (0.0, 0.0, 0.0), 1: (40.0, 0.0, 5.0)}
    carried = {record.event: record.correction_um or {} for record in ran.of(Submitted)}
    return sum(
        any(
            abs(record.real_um[axis] - place - carried[record.event].get(axis, 0.0)) > 0.1
            for axis, place in zip("xyz", planned[record.index["position"]], strict=True)
        )
        for record in ran.of(Captured)
    )


@pytest.mark.parametrize("kind", RESTLESS)
def test_500_commands_beside_the_acquisition_spoil_no_exposure(lab: Lab, kind: str) -> None:
    ran = lab(restless(kind), policy=QUEUE, acquisition=ACQUISITION)
    assert ran.result.exit_status == 0
    commands = ran.of(Commanded)
    assert len(commands) == RESTLESS[kind][1]
    assert {record.decided for record in commands} == {"executed"}
    assert len(ran.of(Captured)) == 60
    assert wrong_exposures(ran) == 0
    # They were not simply kept until the end: many came between the images.
    last_image_s = ran.of(Captured)[-1].exposure_end_s
    assert sum(record.done_s < last_image_s for record in commands) > 100
    if kind == "all kinds":
        assert any(record.correction_um for record in ran.of(Submitted))


@pytest.mark.parametrize("kind", RESTLESS)
def test_without_the_turn_the_same_run_is_spoilt(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    @contextmanager
    def nobody_waits(self: Turn, who: str, limit_s: float) -> Iterator[None]:
        yield

    monkeypatch.setattr(Turn, "take", nobody_waits)
    ran = lab(restless(kind), policy=QUEUE, acquisition=ACQUISITION)
    # Typically 15 to 50. (The demo adapter lets no drive begin to move while its camera exposes.)
    assert wrong_exposures(ran) > 3
