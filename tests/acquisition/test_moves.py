"""Corrections and one-off moves in whole runs on the real Core: what is carried, when, by which event, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from inscoper_mm.output.journal import read_journal
from inscoper_mm.records import Captured, Commanded, Corrected, CorrectionApplied, Logged, Submitted

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

EVERY_IMAGE = """
def fetch_images(new_image: "images"):
    return [{}]
"""
ONE = "acquisition: {stage_positions: [{x: 0, y: 0, z: 0}], time_plan: {interval: 0, loops: 5}}"
TWO = """\
acquisition:
  axis_order: tpcz
  channels: [{config: DAPI, exposure: 1}, {config: FITC, exposure: 2, z_offset: 0.5}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 100, y: 50, z: 10, name: B}]
  z_plan: {range: 2, step: 1}
  time_plan: {interval: 0, loops: 2}
"""


def script(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f'{EVERY_IMAGE}\ndef f(images: "images", context: "IIS_CONTEXT"):\n    meta = images.metadata\n{lines}\n'


FIRST = 'if not any(meta[axis + "Index"] for axis in ("time", "position", "channel", "focus")):\n    '


def reals(ran: Any) -> list[tuple[float, float, float]]:
    return [tuple(round(record.real_um[axis], 1) for axis in "xyz") for record in ran.of(Captured)]


def planned(ran: Any) -> list[tuple[float, float, float]]:
    """Where the events would have gone, from what was sent and what was added to it."""
    places = []
    for record in ran.of(Submitted):
        added = record.correction_um or {}
        places.append(
            tuple(round(record.position_um[f"{axis}_um"] - added.get(axis, 0), 1) for axis in "xyz")
        )
    return places


# -- corrections

NAMED = {
    "current": ('positions="current"', {"A"}),
    "all": ('positions="all"', {"A", "B"}),
    "by name": ('positions="B"', {"B"}),
    "by index": ("positions=1", {"B"}),
    "a list": ('positions=["A", 1]', {"A", "B"}),
    "twice the same": ('positions=["current", "A", 0]', {"A"}),
}


@pytest.mark.parametrize("name", NAMED)
def test_all_later_events_of_the_named_positions_carry_it(lab: Lab, name: str) -> None:
    """Every slice and channel, however often pycromanager sends the planned place again."""
    positions, corrected = NAMED[name]
    ran = lab(script(FIRST + f"context.correctPosition(4, -3, 2, {positions})"), acquisition=TWO)
    assert ran.result.exit_status == 0
    heights = [-1.0, 0.0, 1.0, -0.5, 0.5, 1.5]
    plan = [(0.0, 0.0, z) for z in heights] + [(100.0, 50.0, z + 10) for z in heights]
    expected = [
        (x + 4, y - 3, z + 2) if ("A" if x == 0 else "B") in corrected and number > 0 else (x, y, z)
        for number, (x, y, z) in enumerate(plan * 2)
    ]
    assert reals(ran) == expected
    assert planned(ran) == plan * 2


def test_only_the_focus(lab: Lab) -> None:
    ran = lab(script(FIRST + "context.correctPosition(dz_um=1.5)"), acquisition=ONE)
    assert reals(ran) == [(0, 0, 0)] + [(0, 0, 1.5)] * 4


def test_the_audit_names_the_first_event_that_carries_it(lab: Lab) -> None:
    """Decided at A for both positions: the next event is still at A, the first at B comes later."""
    plan = ONE.replace("[{x: 0, y: 0, z: 0}]", "[{x: 0, y: 0, z: 0, name: A}, {x: 90, y: 0, z: 0, name: B}]")
    plan = plan.replace("acquisition: {", 'acquisition: {channels: [DAPI, FITC], axis_order: "tpc", ')
    ran = lab(script(FIRST + 'context.correctPosition(5, positions=["A", "B"])'), acquisition=plan)
    applied = [(line.event, line.decided_at, line.script) for line in ran.of(CorrectionApplied)]
    assert applied == [("e000002", "e000001", "script0"), ("e000003", "e000001", "script0")]
    carried = {line.event: line.correction_um for line in ran.of(Submitted)}
    assert carried["e000001"] is None
    assert carried["e000002"] == carried["e000003"] == {"x": 5.0, "y": 0.0, "z": 0.0}
    (audit,) = ran.of(Commanded)
    assert audit.asked == {"dx_um": 5, "dy_um": 0.0, "dz_um": 0.0, "positions": ["A", "B"]}
    assert audit.reached == {"x": 5.0, "y": 0.0, "z": 0.0}


def test_several_scripts_add_up(lab: Lab) -> None:
    one = script("context.correctPosition(dx_um=1, dz_um=-0.5)")
    other = script('context.correctPosition(dx_um=-0.25, dy_um=2, positions="all")')
    ran = lab(one, other, acquisition=ONE)
    assert reals(ran)[-1] == (3.0, 8.0, -2.0)
    by = [(line.script, line.event) for line in ran.of(CorrectionApplied)][:2]
    assert by == [("script0", "e000002"), ("script1", "e000002")]


@pytest.mark.parametrize("place", ["thread", "worker"])
def test_a_correction_on_the_last_image_is_executed_and_told_to_be_carried_by_none(
    lab: Lab, place: str
) -> None:
    last = "if meta['timeIndex'] == 4:\n    context.correctPosition(dx_um=1)"
    ran = lab(script(last), acquisition=ONE, policy=f"{{place: {place}}}")
    assert [line.decided for line in ran.of(Commanded)] == ["executed"]
    assert ran.of(CorrectionApplied) == []
    told = [line.message for line in ran.of(Logged) if "carried" in line.message]
    assert told == ["No event carried the correction of script0 at e000005: none was left."]


RULES = """corrections:
  stage: {dead_band_um: 1, gain: 0.5, largest_step_um: 10, largest_total_um: 20}
  focus: {dead_band_um: 0.5}
"""


def test_the_rules_of_the_experiment_are_followed_and_told(lab: Lab) -> None:
    steps = "dx = [0.9, 4, 50, 50, 0][meta['timeIndex']]\nreturn {'metadata': context.correctPosition(dx, dz_um=0.4)}"
    ran = lab(script(steps), acquisition=ONE, more=RULES)
    # ignored, half of 4, 25 shortened to 10 (12 in all), refused (22 would be more than 20)
    assert [place[0] for place in reals(ran)] == [0, 0, 2, 12, 12]
    assert {place[2] for place in reals(ran)} == {0}
    # What adds nothing holds from nowhere.
    assert [line.holds_from is None for line in ran.of(Commanded)] == [True, False, False, True, True]
    notes = [line.note for line in ran.of(Corrected)]
    assert notes[0] == (
        "stage: 0.9 um is below the dead band of 1 um and ignored; "
        "focus: 0.4 um is below the dead band of 0.5 um and ignored"
    )
    assert "stage: 25 um is shortened to the largest step of 10 um" in notes[2]
    assert [line.asked_um["x"] for line in ran.of(Corrected)] == [0.9, 4, 50, 0]
    assert [line.decided for line in ran.of(Commanded)] == ["executed"] * 3 + ["refused", "executed"]
    assert "Allowed: 20 um (corrections.stage.largest_total_um in " in ran.of(Commanded)[3].message
    assert "lab.yaml" in ran.of(Commanded)[3].message


# -- one-off moves


def test_two_scripts_cannot_both_move_the_focus_before_the_same_event(lab: Lab) -> None:
    ran = lab(script("context.moveFocus(1)"), script("context.moveFocusBy(-1)"), acquisition=ONE)
    assert [line.decided for line in ran.of(Commanded)] == ["executed", "refused"] * 5
    assert "script1 and script0 both move z before the same event" in ran.of(Commanded)[1].message
    assert {place[2] for place in reals(ran)} == {0}


# -- when

BUSY = """
import time
for number in range(6):
    context.moveStage(-50 - number, 20)
    context.moveFocus(3 + number)
    time.sleep(0.003)
"""


def overlaps(ran: Any) -> int:
    """The commands that had the hardware while an image was exposed."""
    ends = {record.event: record.exposure_end_s for record in ran.of(Captured)}
    lines = read_journal(ran.folder / "events.jsonl")
    exposures = [(line["t"], ends[line["event"]]) for line in lines if line["type"] == "submitted"]
    return sum(
        any(begin < command.done_s and command.turn_s < end for begin, end in exposures)
        for command in ran.of(Commanded)
    )


LONG = ONE.replace("acquisition: {", "acquisition: {channels: [{config: DAPI, exposure: 40}], ")


def test_while_the_loop_waits_a_command_is_executed_at_once(lab: Lab) -> None:
    ran = lab(script(BUSY), acquisition=LONG)
    order = [type(record).__name__ for record in ran.records if isinstance(record, Submitted | Commanded)]
    assert order == (["Submitted"] + ["Commanded"] * 12) * 5
    assert overlaps(ran) == 0


def test_otherwise_at_the_next_border_between_events(lab: Lab) -> None:
    ran = lab(script(BUSY), acquisition=LONG, policy="{place: thread, slow: {queue: 8}}")
    assert {line.decided for line in ran.of(Commanded)} == {"executed"}
    assert len(ran.of(Commanded)) == 60
    last_image_s = ran.of(Captured)[-1].exposure_end_s
    between = [line for line in ran.of(Commanded) if line.done_s < last_image_s]
    assert between  # they were not kept until the end
    assert overlaps(ran) == 0
    assert set(reals(ran)) == {(0.0, 0.0, 0.0)}
