"""Scripts change the plan of a running acquisition on the real demo devices."""

from __future__ import annotations

import numpy as np
import pytest

from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import open_dataset
from inscoper_mm.records import (
    Captured,
    Commanded,
    CorrectionApplied,
    Decided,
    EventSkipped,
    Planned,
    ScriptFailed,
    StackIncomplete,
    Submitted,
)

pytestmark = pytest.mark.demo

PROVIDER = 'def fetch_images(new: "images"):\n    return [{}]\n'
ONCE = """
def decide(images: "images", context: "IIS_CONTEXT"):
    if context.runState.get("done"):
        return
    context.runState["done"] = True
    {}
"""


def once(line):
    """A script that does one thing at the first image."""
    return PROVIDER + ONCE.format(line)


def captured(ran):
    return [record.event for record in ran.of(Captured)]


@pytest.mark.parametrize("place", ["thread", "worker"])
def test_added_images_are_taken_stored_and_offered_to_the_script(lab, place):
    ran = lab(
        PROVIDER
        + """
def decide(images: "images", context: "IIS_CONTEXT"):
    metadata = images.metadata
    if "addedBy" in metadata:
        return {"metadata": {"SEEN": [metadata["label"], metadata["channelName"], metadata["focusSize"]]}}
    if metadata["timeIndex"] == 0 and metadata["positionIndex"] == 0:
        answer = context.acquire("B", ["FITC", {"config": "Cy5", "exposure": 3}], [-1, 0, 1], label="closer")
        return {"metadata": {"ASKED": answer}}
""",
        policy=f"{{place: {place}}}",
    )
    assert ran.result.error is None
    assert not ran.of(ScriptFailed)
    # After the first image, before the rest of the plan.
    assert captured(ran) == [
        "e000001",
        *(f"a{n:06d}" for n in range(1, 7)),
        *(f"e{n:06d}" for n in range(2, 7)),
    ]
    stored = ran.stored()
    asked = stored[Index(0, 0, 0, 0)]["ASKED"]
    assert (asked["positionIndex"], asked["images"], asked["events"]) == (2, 6, ["a000001", "a000006"])
    for channel, name, exposure in ((0, "FITC", 1.0), (1, "Cy5", 3.0)):
        for slice_number, z_um in enumerate((-1, 0, 1)):
            metadata = stored[Index(0, 2, channel, slice_number)]
            assert metadata["SEEN"] == ["closer", name, 3]
            assert metadata["ZPosition_um"] == pytest.approx(z_um, abs=0.05)
            assert metadata["XPosition_um"] == pytest.approx(100, abs=0.1)
            assert metadata["Exposure"] == pytest.approx(exposure)
    assert (ran.counts["planned"], ran.counts["stored"], ran.counts["added"]) == (12, 12, 6)
    assert sum(record.added_by is not None for record in ran.of(Planned)) == 6


def test_the_added_images_are_in_the_same_data_set(lab):
    ran = lab(once('context.acquire((30, 40), "FITC", label="x")'))
    data = open_dataset(ran.folder / "images")
    try:
        image = data.read_image(time=0, position=2, channel=0, z=0)
        assert image.shape == (512, 512)
        assert np.asarray(image).dtype == np.uint16
    finally:
        data.close()
    assert ran.stored()[Index(0, 2, 0, 0)]["XPosition_um"] == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize("place", ["thread", "worker"])
def test_a_command_on_the_last_image_is_executed(lab, place):
    ran = lab(
        PROVIDER
        + """
def decide(images: "images", context: "IIS_CONTEXT"):
    m = images.metadata
    if m["timeIndex"] == m["timeSize"] - 1 and m["positionIndex"] == 1:
        context.acquire(label="one more")
""",
        policy=f"{{place: {place}}}",
    )
    assert captured(ran)[-1] == "a000001"
    assert ran.result.error is None


def test_a_queued_call_may_add_images_after_the_plan_is_done(lab):
    ran = lab(
        PROVIDER
        + """
import time
def decide(images: "images", context: "IIS_CONTEXT"):
    if "addedBy" not in images.metadata:
        time.sleep(0.1)
        context.acquire(label="after")
""",
        policy="{place: thread, slow: {queue: 10}}",
    )
    assert ran.counts["stored"] == 12
    assert ran.result.error is None


def test_added_images_carry_the_corrections_of_their_position(lab):
    ran = lab(
        once(
            'context.correctPosition(3.0, 0.0, 0.0); context.acquire(label="here"); '
            'context.acquire({"x_um": 50.0, "y_um": 0.0}, label="there"); context.acquire("B", label="B")'
        )
    )
    positions = {record.event: record.position_um["x_um"] for record in ran.of(Submitted)}
    # Where the image was, as corrected now; coordinates are what the script sees; B was not corrected.
    assert [positions[f"a{n:06d}"] for n in (1, 2, 3)] == pytest.approx([3.0, 50.0, 100.0])
    assert [record.event for record in ran.of(CorrectionApplied)] == ["a000001"]


def test_a_correction_from_an_added_image_is_one_of_its_position(lab):
    ran = lab(
        PROVIDER
        + """
def decide(images: "images", context: "IIS_CONTEXT"):
    m = images.metadata
    if m.get("label") == "check":
        context.correctPosition(dx_um=2.0)
    elif m["timeIndex"] == 0 and m["positionIndex"] == 1:
        context.acquire(label="check")
"""
    )
    positions = {record.event: record.position_um["x_um"] for record in ran.of(Submitted)}
    assert [positions[f"e{n:06d}"] for n in range(1, 7)] == pytest.approx([0, 100, 0, 102, 0, 102])


def test_skipping(lab):
    ran = lab(once('assert context.skip("B") == 3'))
    assert captured(ran) == ["e000001", "e000003", "e000005"]
    skipped = ran.of(EventSkipped)
    assert [(record.event, record.by) for record in skipped] == [(f"e{n:06d}", "script0") for n in (2, 4, 6)]
    assert ran.result.exit_status == 0
    assert ran.counts["skipped_script"] == 3
    assert ran.counts["skipped_plan"] == 0


STACK = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  z_plan: {range: 2, step: 1}
  time_plan: {interval: 0, loops: 2}
"""


def test_a_stack_that_a_script_cuts_short_is_told_as_incomplete(lab):
    ran = lab(once('context.skip("current")'), acquisition=STACK)
    assert captured(ran) == ["e000001"]
    assert [record.event for record in ran.of(StackIncomplete)] == ["e000003"]


def test_a_stack_that_was_never_begun_is_not_incomplete(lab):
    ran = lab(
        """
def fetch_images(new: "images"):
    return [{}] if new.metadata["focusIndex"] == 2 else []
"""
        + ONCE.format("context.stop()"),
        acquisition=STACK,
    )
    assert len(captured(ran)) == 3
    assert not ran.of(StackIncomplete)


def test_a_provider_that_asks_for_a_skipped_image_is_told(lab):
    ran = lab(
        """
def fetch_images(new: "images"):
    m = new.metadata
    return [{"positionIndex": 1, "timeIndex": 0}] if m["timeIndex"] == 1 and m["positionIndex"] == 0 else [{}]
"""
        + ONCE.format('context.skip("B")')
    )
    assert any("was never acquired" in failed.message for failed in ran.of(ScriptFailed))


OBJECTIVES = "{backend: demo, objectives: {40X: {x_um: 14, y_um: -9, z_um: 3}}}"


def test_coordinates_are_those_of_the_plans_objective(lab):
    """Whatever objective an image was taken with: what it shows is where the plan's would show it."""
    ran = lab(
        PROVIDER
        + """
def decide(images: "images", context: "IIS_CONTEXT"):
    m = images.metadata
    if m.get("label") == "closer":
        a, b, tx, c, d, ty = m["pixelToStage_um"]
        seen = context.pixelToStage(256, 256)
        context.setChannel({"config": "FITC", "z_offset": 0})
        context.acquire(seen, objective="40X", label="again")
        return {"metadata": {
            "SEEN": seen, "SAME": [a * 256 + b * 256 + tx, c * 256 + d * 256 + ty], "FOCUS": context.getFocus(),
            "CENTRED": context.centerOn(256, 256)}}
    if m["timeIndex"] == 0 and m["positionIndex"] == 0 and "addedBy" not in m:
        context.acquire(objective="40X", label="closer")
""",
        microscope=OBJECTIVES,
    )
    assert not ran.of(ScriptFailed)
    seen = ran.stored()[Index(0, 2, 0, 0)]
    assert seen["SEEN"] == pytest.approx([0, 0], abs=0.1)
    assert seen["SAME"] == pytest.approx(seen["SEEN"])
    assert seen["FOCUS"] == pytest.approx(3.0, abs=0.05)  # with the objective's own offset
    assert seen["CENTRED"] == pytest.approx([14, -9], abs=0.1)  # the stage's own place
    where = {record.event: record.position_um for record in ran.of(Submitted)}
    assert (where["a000002"]["x_um"], where["a000002"]["y_um"]) == pytest.approx((14, -9), abs=0.1)
    assert where["a000002"]["z_um"] == pytest.approx(3.0, abs=0.05)


def test_an_objective_that_the_script_has_put_in_place_stays_and_offsets_hold_against_that_of_the_start(
    lab, microscope
):
    ran = lab(
        once(
            'context.set("Objective", "Nikon 40X Plan Fluor ELWD"); context.acquire(objective="40X", label="x")'
        ),
        microscope=OBJECTIVES,
    )
    where = {record.event: record.position_um for record in ran.of(Submitted)}
    assert where["a000001"]["x_um"] == pytest.approx(14)
    sizes = {index: tags["PixelSize_um"] for index, tags in ran.stored().items()}
    assert sizes[Index(2, 1, 0, 0)] == 0.25


def test_both_clocks_are_one(lab):
    ran = lab(
        PROVIDER
        + """
def decide(images: "images", context: "IIS_CONTEXT"):
    return {"metadata": {"LAG": context.elapsed_s - images.metadata["elapsedTime_ms"] / 1e3}}
"""
    )
    lags_s = [tags["LAG"] for tags in ran.stored().values()]
    # The least one: on a busy machine a decision may be late.
    assert -0.01 < min(lags_s) < 0.5


def test_after_stop_nothing_is_added(lab):
    ran = lab(once('context.stop(); context.acquire(label="never")'))
    assert "the run is ending" in ran.of(ScriptFailed)[0].message


TIMED = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  time_plan: {interval: 30, loops: 4}
"""


def test_the_interval_can_be_changed(lab):
    ran = lab(once("assert context.setInterval(0.05) == 3"), acquisition=TIMED)
    ends = [record.exposure_end_s for record in ran.of(Captured)]
    assert len(ends) == 4
    # Not 90 s. The first of the three may be late on a busy machine, the others keep their distance from it.
    assert 0.1 < ends[-1] - ends[0] < 60


def test_an_image_may_be_asked_for_while_the_loop_sleeps(lab):
    ran = lab(
        PROVIDER
        + """
import time
def decide(images: "images", context: "IIS_CONTEXT"):
    if "addedBy" not in images.metadata:
        time.sleep(0.2)  # the loop waits for the next time point by now
        context.acquire(label="now", times=2, interval_s=0.1)
    elif context.runState.setdefault("added", 0) == 1:
        context.stop("both are here")
    else:
        context.runState["added"] = 1
""",
        acquisition=TIMED,  # the next planned image would come after half a minute
        policy="{place: thread, slow: {queue: 2}}",
    )
    assert captured(ran) == ["e000001", "a000001", "a000002"]


def test_stop_ends_added_images_too(lab):
    ran = lab(once('context.acquire(label="never"); context.stop("enough")'))
    assert captured(ran) == ["e000001"]
    assert ran.result.stopped_by == "script"


WRONG = {
    "acquire('C')": "there is no stage position 'C'",
    "acquire(position=9)": "there is no stage position 9",
    "acquire(channels=['FITZ'])": "Did you mean 'FITC'?",
    "acquire(channels=7)": "must be a list of channels",
    "acquire(zStack={'range_um': 4, 'step': 1})": "Did you mean 'step_um'?",
    "acquire(zStack={'range_um': 4, 'step_um': 0})": "step_um above 0",
    "acquire(zStack=[float('nan')])": "finite",
    "acquire(zStack={'range_um': 40000, 'step_um': 1})": "too many",
    "acquire(position={'x': 1})": "Allowed: x_um, y_um, z_um",
    "acquire(position=(1, 2, 3, 4))": "coordinates are",
    "acquire(position=(float('inf'), 0))": "finite",
    "acquire(position=(9999, 0))": "safety.stage.x_um",
    "acquire(zStack=[0, 900])": "focus",
    "acquire(channels=[])": "empty list",
    "acquire(zStack={'range_um': 1e308, 'step_um': 1e-308})": "too many slices",
    "acquire(objective=['40X'])": "There is no objective",
    "acquire(after_s=1e9)": "at most",
    "acquire(after_s=-1)": "cannot be negative",
    "acquire(times=0)": "at least 1",
    "acquire(times=True)": "whole number",
    "acquire(label=' ')": "must be text",
    "acquire(objective='40')": "Did you mean '40X'?",
    "skip('Z')": "there is no stage position",
    "skip(channel='FITC')": "the plan has no channel",
    "skip(label='zoom')": "no added images called",
    "skip(until_s='soon')": "finite",
    "setInterval(-1)": "cannot be negative",
    "setInterval(None)": "finite",
}


@pytest.mark.parametrize("call", WRONG)
def test_what_cannot_be_done_is_refused_and_changes_nothing(lab, call):
    ran = lab(
        once(f"context.{call}"),
        more="safety: {stage: {x_um: [-500, 500], y_um: [-500, 500]}, focus_um: [-50, 50]}",
    )
    # A failed call leaves no memory: each image asks again.
    assert all(WRONG[call] in failed.message for failed in ran.of(ScriptFailed))
    assert [command.decided for command in ran.of(Commanded)] == ["refused"] * 6
    assert ran.counts["captured"] == ran.counts["planned"] == 6


def test_without_a_time_plan_there_is_no_interval(lab):
    ran = lab(once("context.setInterval(1)"), acquisition=TIMED.replace("time_plan", "metadata: {}\n  #"))
    assert "no time_plan" in ran.of(ScriptFailed)[0].message


def test_an_added_image_that_a_correction_leads_out_of_the_limits_is_skipped_and_told(lab):
    ran = lab(
        PROVIDER
        + """
def decide(images: "images", context: "IIS_CONTEXT"):
    m = images.metadata
    if m["timeIndex"] == 0 and m["positionIndex"] == 0 and "addedBy" not in m:
        context.acquire((109, 0), after_s=0.3, label="edge")
        context.correctPosition(dx_um=5)
""",
        acquisition=TIMED.replace("interval: 30", "interval: 0.5").replace("loops: 4", "loops: 2"),
        more="safety: {stage: {x_um: [-110, 110], y_um: [-110, 110]}}",
    )
    assert ran.counts["stored"] == 2
    assert any(record.event == "a000001" and "stage x" in record.reason for record in ran.of(EventSkipped))
    assert all(decided.fate != "failed" for decided in ran.of(Decided))
