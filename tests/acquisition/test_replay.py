"""Replays of runs on the demo microscope: the same decisions, from the recording alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition.replay import Replay
from inscoper_mm.acquisition.replay_compare import Comparison, compare
from inscoper_mm.acquisition.replay_scripts import Choice, choose_scripts
from inscoper_mm.acquisition.result import RunResult
from inscoper_mm.acquisition.session import Session
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.images.recorded import open_recording
from inscoper_mm.library import library_dir
from inscoper_mm.output.journal import read_journal

Replays = Callable[..., tuple[RunResult, Comparison]]
STACK = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 1}, {group: Channel, config: FITC, exposure: 1, do_stack: false}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 100, y: 0, z: 0, name: B}]
  z_plan: {range: 2, step: 1}
  time_plan: {interval: 0, loops: 2}
"""


@pytest.fixture
def replay(tmp_path: Path) -> Replays:
    """``replay(folder, **changes)``: the result of a replay of a run folder, and its comparison with the run."""

    def run(folder: Path, script: str | None = None, **changes: str) -> tuple[RunResult, Comparison]:
        values = {key.replace("__", "."): value for key, value in changes.items()}
        chosen = choose_scripts(folder, Choice(script, changes=values))
        result = Replay(open_recording(folder), chosen, tmp_path / "replays").run()
        assert result.folder is not None, result.error
        return result, compare(folder, result.folder, sorted(chosen.as_recorded), chosen.several)

    return run


def told(comparison: Comparison) -> list[str]:
    return [str(difference) for difference in comparison.differences]


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_journal(folder / "events.jsonl") if line["type"] == kind]


# Asks, moves, corrects, adds, remembers: what it does depends on every answer that it gets.
BUSY = """
def fetch_images(new_image: "images"):
    metadata = new_image.metadata
    if metadata["channelIndex"] == 0 and metadata["focusIndex"] == metadata["focusSize"] - 1:
        return [{"focusIndex": at} for at in range(metadata["focusSize"])]
    return []

def look(images: "images", context: "IIS_CONTEXT", step_um: float = 0.25):
    count = context.state["count"] = context.state.get("count", 0) + 1
    context.runState["calls"] = context.runState.get("calls", 0) + 1
    z_um = context.getFocus()
    x_um, y_um = context.getStagePosition()
    reached = context.moveStageBy(10.0 * count, 0.0)
    again = context.getStagePosition()
    total = context.correctPosition(dx_um=step_um * count, dz_um=z_um / 8)
    seen = context.pixelToStage(10, 20, images[0])
    context.set("Camera.Gain", count)
    added = None
    if context.runState["calls"] == 1:
        added = context.acquire((x_um + 50, y_um), zStack=[0.0, 0.5], label="closer")
    refused = ""
    try:
        context.moveFocus(1e9)
    except Exception as error:
        refused = type(error).__name__
    return {
        "metadata": {
            "Z": z_um, "REACHED": reached, "AGAIN": again, "TOTAL": total, "SEEN": seen, "REFUSED": refused,
            "GAIN": context.get("Camera.Gain"), "DEVICES": len(context.getSubDevices()), "ADDED": added,
            "EXPOSURE": context.getExposure(), "CHANNEL": context.getChannel(), "MEAN": float(images[0].array.mean()),
        },
        "focus": {"z_um": [0.0, 1.0], "score": [1.0, 2.0], "best_z_um": z_um},
        "segmentation": (images[0].array > images[0].array.mean()).astype("uint8"),
        "timeseries": {"mean": float(images[-1].array.mean())},
    }
"""


def test_a_run_that_asks_moves_corrects_and_adds_is_replayed_exactly(lab, replay) -> None:
    ran = lab(BUSY, acquisition=STACK)
    assert ran.result.exit_status == 0
    result, comparison = replay(ran.folder)
    assert told(comparison) == []
    assert result.exit_status == 0
    # 6 images of one time point and 2 positions, 2 time points, and 2 that were added.
    assert comparison.compared["calls"] == 18
    assert comparison.compared["commands"] == 4 * 5 + 1  # of 5 calls, of which only the first adds
    assert comparison.compared["answers"] == comparison.compared["states"] == 5


def test_what_is_written_down_was_not_executed(lab, replay) -> None:
    ran = lab(BUSY, acquisition=STACK)
    result, _ = replay(ran.folder)
    before, now = (lines(folder, "commanded") for folder in (ran.folder, result.folder))
    assert [line["asked"] for line in now] == [line["asked"] for line in before]
    assert {line["decided"] for line in before} == {"executed", "refused"}
    assert {line["decided"] for line in now} == {"recorded", "refused"}
    assert {line["message"] for line in now if line["decided"] == "recorded"} == {"recorded, not executed"}


def test_another_parameter_gives_other_commands_and_totals(lab, replay) -> None:
    ran = lab(BUSY, acquisition=STACK)
    _, comparison = replay(ran.folder, parameters__step_um="0.5")
    first = comparison.differences[0]
    assert first.frame == "t000_p000_c0_z002"
    assert first.what in ("metadata.TOTAL.x", "command.asked.dx_um")
    assert (first.run, first.replay) == ("0.25", "0.5")
    assert any("asked.dx_um" in text for text in told(comparison))


def test_a_difference_in_the_thirteenth_digit_is_none(lab, replay) -> None:
    ran = lab(BUSY, acquisition=STACK)
    _, comparison = replay(ran.folder, parameters__step_um="0.2500000000001")
    assert told(comparison) == []


CHANGES = {
    "an image": ("segmentation/t000_p000_c0_z002.tif", b"", "segmentation"),
    "a table": ("timeseries.csv", b"t000_p000_c0_z000,0,mean,7,\n", "timeseries.csv"),
    "a curve": ("focus.jsonl", b'{"event": "e000001", "value": 3}\n', "focus.jsonl"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_result_that_differs_is_told(case: str, lab, replay) -> None:
    ran = lab(BUSY, acquisition=STACK)
    name, more, expected = CHANGES[case]
    file = ran.folder / "results" / "script0" / name
    if more:
        file.write_bytes(file.read_bytes() + more)
    else:
        file.unlink()
    _, comparison = replay(ran.folder)
    assert len(comparison.differences) == 1
    assert expected in comparison.differences[0].what


def test_a_script_that_was_changed_is_replayed_with_the_values_of_the_run(lab, replay, tmp_path) -> None:
    ran = lab(BUSY, acquisition=STACK, entry=", parameters: {step_um: 0.125}")
    changed = tmp_path / "work" / "script0.py"
    changed.parent.mkdir()
    changed.write_text(BUSY.replace('"MEAN": float(images[0].array.mean())', '"MEAN": 1.0'), encoding="utf-8")
    result, comparison = replay(ran.folder, str(changed))
    assert result.exit_status == 0
    assert len(comparison.differences) == 5
    assert {difference.what for difference in comparison.differences} == {"metadata.MEAN"}


def test_the_added_images_come_when_they_came(lab, replay) -> None:
    ran = lab(BUSY, acquisition=STACK)
    result, _ = replay(ran.folder)
    before, now = ([line["event"] for line in lines(f, "captured")] for f in (ran.folder, result.folder))
    assert before == now
    assert "a000001" in before[:-2]
    planned = {line["event"]: line.get("added_by") for line in lines(result.folder, "planned")}
    assert planned["a000001"] == "script0"


def test_images_are_not_copied_and_answers_are_in_the_results(lab, replay) -> None:
    ran = lab(BUSY, acquisition=STACK)
    result, _ = replay(ran.folder)
    assert not (result.folder / "images").exists()
    report = json.loads((result.folder / "run.json").read_text("utf-8"))
    assert (report["counts"]["captured"], report["counts"]["stored"]) == (18, 0)
    assert report["counts"]["injected"] == 5
    about = json.loads((result.folder / "replay.json").read_text("utf-8"))
    assert about["dataset"] == str((ran.folder / "images").resolve())
    assert about["scripts"][0]["parameters"] == {}
    assert load_experiment(result.folder / "experiment.yaml").scripts[0].name == "script0"


LOSES = """
def fetch_images(new_image: "images"):
    index = new_image.metadata["timeIndex"]
    return [{}] if index == 0 else [{}, {"timeIndex": index - 1}]

def look(images: "images", context: "IIS_CONTEXT"):
    if images[0].metadata["timeIndex"] == 0 and images[0].metadata["positionIndex"] == 0:
        context.skip("B")
    return {"metadata": {"SEEN": len(images)}}
"""
LONGER = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 100, y: 0, z: 0, name: B}]
  time_plan: {interval: 0, loops: 4}
"""


def test_images_that_were_never_taken_are_missing_in_the_same_way(lab, replay) -> None:
    ran = lab(LOSES, acquisition=LONGER)
    assert len(lines(ran.folder, "captured")) == 4
    _, comparison = replay(ran.folder)
    assert told(comparison) == []


FAILS = """
def fetch_images(new_image: "images"):
    return [{"timeIndex": 2}] if new_image.metadata["timeIndex"] == 1 else [{}]

def look(images: "images", context: "IIS_CONTEXT"):
    if images[0].metadata["timeIndex"] == 2:
        raise ValueError("no")
    context.state["good"] = context.state.get("good", 0) + 1
    return {"metadata": {"GOOD": context.state["good"]}}
"""


def test_calls_that_failed_fail_again_and_the_status_says_so(lab, replay) -> None:
    ran = lab(FAILS, acquisition=LONGER)
    assert ran.result.exit_status == 3
    result, comparison = replay(ran.folder)
    assert told(comparison) == []
    assert result.exit_status == 3
    fates = [line["fate"] for line in lines(result.folder, "decided")]
    assert fates.count("failed") == 4


ENDS = """
def fetch_images(new_image: "images"):
    return [{}]

def look(images: "images", context: "IIS_CONTEXT", last: int = 2):
    if images[0].metadata["timeIndex"] == last:
        context.stop("enough")
"""


def test_a_run_that_its_script_ended_is_the_same_and_an_earlier_end_is_earlier(lab, replay) -> None:
    ran = lab(ENDS, acquisition=LONGER)
    assert len(lines(ran.folder, "captured")) == 5
    _, comparison = replay(ran.folder)
    assert told(comparison) == []
    result, comparison = replay(ran.folder, parameters__last="1")
    assert (result.state, result.stopped_by) == ("stopped", "script")
    assert len(lines(result.folder, "captured")) == 3
    assert comparison.differences


QUEUED = """
def fetch_images(new_image: "images"):
    return [{}]

async def look(images: "images", context: "IIS_CONTEXT"):
    context.runState["sum"] = context.runState.get("sum", 0) + int(images[0].array[0, 0])
    return {"metadata": {"SUM": context.runState["sum"]}}
"""


def test_a_queue_gives_the_same_results(lab, replay) -> None:
    ran = lab(QUEUED, acquisition=LONGER)
    _, comparison = replay(ran.folder)
    assert told(comparison) == []
    assert comparison.compared["answers"] == 8


def test_of_several_scripts_each_can_be_replayed_alone(lab, replay) -> None:
    ran = lab(BUSY.replace("context.moveStageBy(10.0 * count, 0.0)", "0"), FAILS, acquisition=LONGER)
    _, comparison = replay(ran.folder)
    assert told(comparison) == []
    result, comparison = replay(ran.folder, "script1")
    assert told(comparison) == []
    assert {line["script"] for line in lines(result.folder, "decided")} == {"script1"}


def test_a_run_that_was_killed_is_replayed_as_far_as_it_came(lab, replay) -> None:
    ran = lab(QUEUED, acquisition=LONGER)
    index = ran.folder / "images" / "NDTiff.index"
    data = index.read_bytes()
    index.write_bytes(data[: len(data) * 3 // 4 - 7])
    journal = (ran.folder / "events.jsonl").read_bytes()
    (ran.folder / "events.jsonl").write_bytes(journal[: len(journal) // 2])
    result, comparison = replay(ran.folder)
    assert 0 < result.counts["captured"] < 8
    # What the journal has is the same; the rest is told as new.
    assert {difference.run for difference in comparison.differences} <= {"nothing"}


def test_a_run_is_replayed_without_its_journal(lab, replay) -> None:
    ran = lab(QUEUED, acquisition=LONGER)
    (ran.folder / "events.jsonl").unlink()
    chosen = choose_scripts(ran.folder, Choice())
    assert chosen.journal is None
    result = Replay(open_recording(ran.folder), chosen, ran.folder.parent).run()
    assert (result.exit_status, result.counts["processed"]) == (0, 8)


def test_an_image_that_cannot_be_read_is_told_and_the_others_are_replayed(lab, replay) -> None:
    ran = lab(QUEUED, acquisition=LONGER)
    file = next((ran.folder / "images").glob("*.tif"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    result, _ = replay(ran.folder)
    assert result.exit_status == 3
    assert 0 < result.counts["processed"] < 8
    errors = json.loads((result.folder / "run.json").read_text("utf-8"))["errors"]
    assert "cannot be read" in errors[0]["message"]
    assert result.counts["planned"] == 8


def test_a_burst_is_offered_when_all_of_it_is_there(lab, replay) -> None:
    source = """
def fetch_images(new_image: "images"):
    return [{"focusIndex": 2}] if new_image.metadata["focusIndex"] == 0 else []

def look(images: "images"):
    return {"metadata": {"Z": images[0].metadata["zPosition_um"]}}
"""
    acquisition = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  z_plan: {range: 2, step: 1}
"""
    ran = lab(source, acquisition=acquisition, more="bursts: z_stack")
    _, comparison = replay(ran.folder)
    assert told(comparison) == []
    burst = any(line.get("burst") for line in lines(ran.folder, "submitted"))
    assert comparison.compared["answers"] == (1 if burst else 0)


@pytest.mark.parametrize("place", ["thread", "worker"])
def test_a_library_configuration_is_replayed_with_the_same_decisions(
    place: str, microscope, replay, tmp_path
) -> None:
    """One of many: the complete table is among the slow tests of the scripts."""
    changes = {"script.policy.place": "thread"}
    experiment = load_experiment(library_dir("configs") / "input_types.yaml", changes)
    ran = Session(experiment, tmp_path / "runs", microscope=microscope).run()
    result, comparison = replay(ran.folder, policy__place=place)
    assert result.exit_status == ran.exit_status == 0
    assert told(comparison) == []
    assert comparison.compared["answers"] > 0
    _, comparison = replay(ran.folder, parameters__count="7")
    assert any("INPUTS.count" in text for text in told(comparison))


def test_a_moved_run_folder_is_replayed(lab, replay, tmp_path) -> None:
    ran = lab(QUEUED, acquisition=LONGER)
    moved = tmp_path / "elsewhere" / "run"
    shutil.copytree(ran.folder, moved)
    _, comparison = replay(moved)
    assert told(comparison) == []
