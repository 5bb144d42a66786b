"""Whole runs on the real demo devices: what scripts see, decide and leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.images.index import Index
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.output.journal import read_journal
from inscoper_mm.records import (
    Captured,
    Commanded,
    CorrectionApplied,
    Decided,
    Logged,
    Record,
    StateSaved,
    Submitted,
)

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

PLACES = ["thread", "worker"]
EVERY_IMAGE = """
def fetch_images(new_image: "images"):
    return [{}]
"""
ONE_POSITION = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}]
  time_plan: {interval: 0, loops: 4}
"""
STACK = """\
acquisition:
  axis_order: tpcz
  channels:
    - {group: Channel, config: DAPI, exposure: 1}
    - {group: Channel, config: FITC, exposure: 2, do_stack: false}
  stage_positions: [{x: 0, y: 0, z: 0}]
  z_plan: {range: 4, step: 2}
  time_plan: {interval: 0, loops: 2}
"""


def test_without_a_script_every_image_is_stored(lab: Lab) -> None:
    ran = lab()
    assert ran.result.state == "completed"
    assert ran.result.exit_status == 0
    assert (ran.counts["planned"], ran.counts["captured"], ran.counts["stored"]) == (6, 6, 6)
    assert set(ran.stored()) == {Index(time, position) for time in range(3) for position in range(2)}


@pytest.mark.parametrize("place", PLACES)
def test_answers_are_in_the_metadata_of_the_image_they_belong_to(lab: Lab, place: str) -> None:
    ran = lab(
        """
        def fetch_images(new_image: "images"):
            return [{}] if new_image.metadata["positionIndex"] == 1 else []

        def measure(images: "images"):
            meta = images.metadata
            return {"metadata": {"SEEN": [meta["timeIndex"], meta["positionIndex"]], "MAX": int(images.array.max())}}
        """,
        policy=f"{{place: {place}}}",
    )
    assert ran.result.exit_status == 0
    assert (ran.counts["gated"], ran.counts["processed"], ran.counts["injected"]) == (3, 3, 3)
    for index, tags in ran.stored().items():
        assert tags.get("SEEN") == ([index.time, 1] if index.position == 1 else None)
        assert tags["Exposure"] == 1.0


@pytest.mark.parametrize("place", PLACES)
def test_a_provider_gets_the_images_it_asks_for(lab: Lab, place: str) -> None:
    ran = lab(
        """
        def fetch_images(new_image: "images"):
            meta = new_image.metadata
            if meta["channelIndex"] != 0 or meta["focusIndex"] != meta["focusSize"] - 1:
                return []
            return [{"focusIndex": z} for z in range(meta["focusSize"])]

        def look(images: "images"):
            return {"metadata": {"Z": [round(i.metadata["zPosition_um"], 1) for i in images],
                                 "SHAPES": [list(i.array.shape) for i in images]}}
        """,
        policy=f"{{place: {place}}}",
        acquisition=STACK,
    )
    assert ran.counts["processed"] == 2
    tags = ran.stored()[Index(1, 0, 0, 2)]
    assert tags["Z"] == [-2.0, 0.0, 2.0]
    assert tags["SHAPES"] == [[512, 512]] * 3
    (first, *_) = [record for record in ran.of(Decided) if record.fate == "done"]
    assert first.requests == ("t000_p000_c0_z000", "t000_p000_c0_z001", "t000_p000_c0_z002")


def test_images_that_left_the_memory_are_read_back(lab: Lab) -> None:
    ran = lab(
        """
        import numpy as np

        def fetch_images(new_image: "images"):
            return [{"timeIndex": t} for t in range(new_image.metadata["timeIndex"] + 1)]

        def sums(images: "images", context: "IIS_CONTEXT"):
            new = [int(np.asarray(i).astype("u8").sum()) for i in images]
            old = context.state.get("sums", [])
            context.state["sums"] = new
            return {"metadata": {"SAME": new[:-1] == old, "TIMES": [i.metadata["timeIndex"] for i in images]}}
        """,
        acquisition=ONE_POSITION,
        more="output: {cache_bytes: 600000}",  # one image of 512 x 512
    )
    assert ran.counts["processed"] == 4
    last = ran.stored()[Index(3)]
    assert last["SAME"] is True
    assert last["TIMES"] == [0, 1, 2, 3]


REQUESTS = {
    "not yet": ('[{"timeIndex": 2}]', "not acquired yet"),
    "outside": ('[{"timeIndex": 99}]', "outside its size"),
    "unknown key": ('[{"timeIndx": 0}]', "Did you mean 'timeIndex'"),
    "no list": ('{"timeIndex": 0}', "must return a list"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_wrong_request_costs_the_call_and_nothing_else(lab: Lab, name: str) -> None:
    answer, words = REQUESTS[name]
    ran = lab(
        f"""
        def fetch_images(new_image: "images"):
            return {answer} if new_image.metadata["timeIndex"] == 1 else [{{}}]

        def process(images: "images"):
            return None
        """,
        acquisition=ONE_POSITION,
    )
    assert ran.result.state == "completed"
    assert ran.result.exit_status == 3
    assert (ran.counts["stored"], ran.counts["processed"], ran.counts["failed"]) == (4, 3, 1)
    (error,) = ran.report["errors"]
    assert words in error["message"]
    assert error["frame"] == "t001_p000_c0_z000"


# -- the loop closes


@pytest.mark.parametrize("place", PLACES)
def test_a_correction_holds_for_the_next_and_all_later_events_of_its_position(lab: Lab, place: str) -> None:
    ran = lab(
        EVERY_IMAGE
        + """
def follow(images: "images", context: "IIS_CONTEXT"):
    meta = images.metadata
    if meta["timeIndex"] == 0 and meta["positionIndex"] == 0:
        context.correctPosition(dx_um=7.0, dz_um=-3.0)
""",
        policy=f"{{place: {place}}}",
    )
    real = {(r.index["time"], r.index["position"]): r.real_um for r in ran.of(Captured)}
    assert [round(real[time, 0]["x"], 1) for time in range(3)] == [0.0, 7.0, 7.0]
    assert [round(real[time, 0]["z"], 1) for time in range(3)] == [0.0, -3.0, -3.0]
    assert [round(real[time, 1]["x"], 1) for time in range(3)] == [100.0, 100.0, 100.0]
    (applied,) = ran.of(CorrectionApplied)
    assert (applied.decided_at, applied.event) == ("e000001", "e000003")
    assert [record.correction_um is not None for record in ran.of(Submitted)] == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]


def test_without_the_correction_the_same_run_stays(lab: Lab) -> None:
    ran = lab(EVERY_IMAGE + '\ndef follow(images: "images", context: "IIS_CONTEXT"):\n    return None\n')
    assert {round(record.real_um["x"]) for record in ran.of(Captured)} == {0, 100}


@pytest.mark.parametrize("place", PLACES)
def test_a_correction_decided_at_frame_n_is_in_the_very_next_event(lab: Lab, place: str) -> None:
    ran = lab(
        EVERY_IMAGE + '\ndef f(images: "images", c: "IIS_CONTEXT"):\n    c.correctPosition(dx_um=5)\n',
        policy=f"{{place: {place}}}",
        acquisition=ONE_POSITION,
    )
    assert [round(record.real_um["x"]) for record in ran.of(Captured)] == [0, 5, 10, 15]
    applied = [(record.decided_at, record.event) for record in ran.of(CorrectionApplied)]
    assert applied == [("e000001", "e000002"), ("e000002", "e000003"), ("e000003", "e000004")]


@pytest.mark.parametrize("place", PLACES)
def test_a_one_off_move_is_done_at_once_and_undone_by_the_plan(
    lab: Lab, microscope: Microscope, place: str
) -> None:
    ran = lab(
        EVERY_IMAGE
        + """
def visit(images: "images", context: "IIS_CONTEXT"):
    x, y = context.moveStage(-50.0, 25.0)
    return {"metadata": {"AT": [round(x), round(y)], "SAYS": [round(v) for v in context.getStagePosition()]}}
""",
        policy=f"{{place: {place}}}",
        acquisition=ONE_POSITION,
    )
    assert {round(record.real_um["x"]) for record in ran.of(Captured)} == {0}
    assert all(tags["AT"] == tags["SAYS"] == [-50, 25] for tags in ran.stored().values())
    # The command on the last image was executed too, and nothing came after it.
    assert round(microscope.position().x_um or 0) == -50
    assert [record.decided for record in ran.of(Commanded)] == ["executed"] * 4


def test_a_refused_move_is_an_error_in_the_script_and_moves_nothing(lab: Lab) -> None:
    ran = lab(
        EVERY_IMAGE
        + """
def jump(images: "images", context: "IIS_CONTEXT"):
    try:
        context.moveStage(1e6, 0)
    except Exception as error:
        return {"metadata": {"KIND": type(error).__name__, "TEXT": str(error)}}
""",
        policy="{place: worker}",
        acquisition=ONE_POSITION,
        more="safety: {stage: {x_um: [-200, 200], y_um: [-200, 200]}}",
    )
    tags = ran.stored()[Index(3)]
    assert tags["KIND"] == "LimitRefused"
    assert "-200 to 200 um" in tags["TEXT"]
    assert "lab.yaml" in tags["TEXT"]
    assert {round(record.real_um["x"]) for record in ran.of(Captured)} == {0}
    assert {record.decided for record in ran.of(Commanded)} == {"refused"}


def test_a_plan_outside_the_limits_is_refused_before_the_first_image(lab: Lab) -> None:
    ran = lab(more="safety: {stage: {x_um: [-50, 50]}}")
    assert ran.result.exit_status == 2
    assert ran.result.folder is None
    assert "stage x 100 um" in str(ran.result.error)
    assert "'B'" in str(ran.result.error)


def test_the_plans_exposure_survives_a_script_that_sets_another(lab: Lab) -> None:
    ran = lab(
        EVERY_IMAGE + '\ndef f(images: "images", c: "IIS_CONTEXT"):\n    c.setExposure(7)\n',
        acquisition=STACK,
    )
    exposures = {index.channel: tags["Exposure"] for index, tags in ran.stored().items()}
    assert exposures == {0: 1.0, 1: 2.0}


@pytest.mark.parametrize("place", PLACES)
def test_states_last_per_position_and_for_the_run(lab: Lab, place: str) -> None:
    ran = lab(
        EVERY_IMAGE
        + """
def count(images: "images", context: "IIS_CONTEXT"):
    context.state["n"] = context.state.get("n", 0) + 1
    context.runState["n"] = context.runState.get("n", 0) + 1
    if images.metadata["timeIndex"] == 1 and images.metadata["positionIndex"] == 0:
        raise ValueError("a failed call leaves no trace")
    return {"metadata": {"N": context.state["n"], "ALL": context.runState["n"]}}
""",
        policy=f"{{place: {place}}}",
    )
    tags = ran.stored()
    assert [tags[Index(time, 0)].get("N") for time in range(3)] == [1, None, 2]
    assert [tags[Index(time, 1)].get("N") for time in range(3)] == [1, 2, 3]
    assert tags[Index(2, 1)]["ALL"] == 5
    assert len(ran.of(StateSaved)) == 5


def test_a_stop_asked_by_a_script_is_a_clean_end(lab: Lab) -> None:
    ran = lab(
        EVERY_IMAGE
        + """
def enough(images: "images", context: "IIS_CONTEXT"):
    if images.metadata["timeIndex"] == 1:
        context.stop("enough cells")
""",
        acquisition=ONE_POSITION,
    )
    assert ran.result.state == "stopped"
    assert ran.result.exit_status == 0
    assert (ran.counts["stored"], ran.counts["skipped_plan"]) == (2, 2)
    assert "enough cells" in ran.report["reason"]


def test_what_a_script_prints_is_in_the_log_with_its_image(lab: Lab) -> None:
    ran = lab(
        EVERY_IMAGE
        + '\ndef talk(images: "images", c: "IIS_CONTEXT"):\n    print("seen 12 cells"); c.log("best z 3")\n',
        policy="{place: worker}",
        acquisition=ONE_POSITION,
    )
    lines = [record for record in ran.of(Logged) if record.message == "seen 12 cells"]
    assert [record.event for record in lines] == ["e000001", "e000002", "e000003", "e000004"]
    log = (ran.folder / "log.txt").read_text(encoding="utf-8")
    assert "t003_p000_c0_z000" in log
    assert "best z 3" in log


# -- several scripts


def test_two_scripts_add_up_their_corrections_and_both_answer(lab: Lab) -> None:
    script = EVERY_IMAGE + (
        '\ndef f(images: "images", c: "IIS_CONTEXT"):\n    c.correctPosition(dx_um=%s)\n'
        '    return {"metadata": {"%s": 1}}\n'
    )
    ran = lab(script % (2, "FIRST"), script % (-0.5, "SECOND"), acquisition=ONE_POSITION)
    assert [round(record.real_um["x"], 1) for record in ran.of(Captured)] == [0, 1.5, 3.0, 4.5]
    assert all(tags["FIRST"] == tags["SECOND"] == 1 for tags in ran.stored().values())


def test_two_one_off_moves_for_the_same_event_are_refused_by_name(lab: Lab) -> None:
    script = EVERY_IMAGE + '\ndef f(images: "images", c: "IIS_CONTEXT"):\n    c.moveStage(%s, 0)\n'
    ran = lab(script % 10, script % 20, acquisition=ONE_POSITION)
    assert ran.result.exit_status == 3
    assert [record.decided for record in ran.of(Commanded)] == ["executed", "refused"] * 4
    assert "script1 and script0 both move" in ran.report["errors"][0]["message"]


# -- queued and asynchronous


@pytest.mark.parametrize("place", PLACES)
def test_a_queue_keeps_the_order_and_loses_no_call(lab: Lab, place: str) -> None:
    ran = lab(
        EVERY_IMAGE
        + """
import time
def slow(images: "images"):
    time.sleep(0.05 if images.metadata["timeIndex"] % 2 else 0.0)
    return {"metadata": {"T": images.metadata["timeIndex"]}}
""",
        policy=f"{{place: {place}, slow: {{queue: 2}}}}",
    )
    done = [record.event for record in ran.of(Decided) if record.fate == "done"]
    assert done == [f"e{number:06d}" for number in range(1, 7)]
    assert all(tags["T"] == index.time for index, tags in ran.stored().items())


def test_an_async_twin_runs_beside_the_acquisition(lab: Lab, tmp_path: Path) -> None:
    last = tmp_path / "last"

    def look(record: Record) -> None:
        if isinstance(record, Captured) and record.event == "e000004":
            last.touch()

    ran = lab(
        EVERY_IMAGE
        + f"""
import asyncio
from pathlib import Path
def slow(images: "images"):
    raise AssertionError("the twin was asked for")
async def run_slow_async(images: "images"):
    for _ in range(6000):
        if Path({str(last)!r}).exists():
            return {{"metadata": {{"T": images.metadata["timeIndex"]}}}}
        await asyncio.sleep(0.01)
""",
        policy="{place: thread, limit_s: 600}",
        entry=", async: true",
        acquisition=ONE_POSITION,
        on_record=look,
    )
    # The first call ended only after the last image was captured: the acquisition went on.
    assert ran.counts["processed"] == 4
    assert sorted(tags["T"] for tags in ran.stored().values()) == [0, 1, 2, 3]


def test_the_journal_tells_the_whole_story(lab: Lab) -> None:
    ran = lab(EVERY_IMAGE + '\ndef f(images: "images"):\n    return {"metadata": {"A": 1}}\n')
    lines = list(read_journal(ran.folder / "events.jsonl"))
    assert [line["type"] for line in lines].count("stored") == 6
    assert lines[-1]["type"] == "run_ended"
    for event in (f"e{number:06d}" for number in range(1, 7)):
        story = [line["type"] for line in lines if line.get("event") == event]
        assert story[0] == "planned"
        assert {"submitted", "captured", "stored", "decided", "injected"} <= set(story)
        assert (
            story.index("submitted")
            < story.index("captured")
            < story.index("stored")
            < story.index("injected")
        )
    times = [line["t"] for line in lines]
    assert times == sorted(times)
