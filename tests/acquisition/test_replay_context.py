"""IIS_CONTEXT on recorded data of other programs: what it answers, what it writes down, what it refuses, and why."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from inscoper_mm.acquisition.replay import Replay
from inscoper_mm.acquisition.replay_scripts import Choice, choose_scripts
from inscoper_mm.errors import InvalidInput
from inscoper_mm.images.recorded import open_recording
from inscoper_mm.images.recording import Given
from inscoper_mm.output.journal import read_journal
from inscoper_mm.scripting.context import CONTEXT_METHODS

PROVIDER = 'def fetch_images(new_image: "images"):\n    return [{}]\n\n\n'


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """2 time points of 3 slices in 2 channels, as an OME-TIFF that says where each was taken."""
    count = 2 * 3 * 2
    planes = {
        "PositionX": [12.0] * count,
        "PositionY": [-3.0] * count,
        "PositionZ": [float(at // 2 % 3) for at in range(count)],
        "ExposureTime": [20.0] * count,
        "ExposureTimeUnit": ["ms"] * count,
        "DeltaT": [0.5 * at for at in range(count)],
    }
    metadata = {"axes": "TZCYX", "Channel": {"Name": ["DAPI", "FITC"]}, "Plane": planes, "Name": "dish"}
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 3, 2, 8, 8), np.uint16), metadata=metadata, ome=True)
    return path


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The same without a word about it."""
    path = tmp_path / "bare.tif"
    tifffile.imwrite(path, np.zeros((2, 3, 2, 8, 8), np.uint16))
    return path


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., list[Any]]:
    """``ask(path, *expressions)``: what they give at the first image; of an error, its class and text."""

    def run(path: Path, *expressions: str, axes: str | None = None) -> list[Any]:
        lines = "\n".join(f"    answers.append(asked(lambda: {each}))" for each in expressions)
        source = f"""
def asked(question):
    try:
        return question()
    except Exception as error:
        return type(error).__name__ + ": " + str(error)

def look(images: "images", context: "IIS_CONTEXT"):
    answers = []
{lines}
    return {{"metadata": {{"ANSWERS": answers}}}}
"""
        script = tmp_path / "asking.py"
        script.write_text(PROVIDER + textwrap.dedent(source), encoding="utf-8")
        chosen = choose_scripts(path, Choice(str(script), changes={"policy.place": "thread"}))
        result = Replay(open_recording(path, Given(axes=axes)), chosen, tmp_path / "replays").run()
        assert result.error is None, result.error
        assert result.folder is not None
        run.folder = result.folder  # type: ignore[attr-defined]
        first = (result.folder / "results" / "metadata.jsonl").read_text("utf-8").splitlines()[0]
        return json.loads(first)["values"]["ANSWERS"]

    return run


# What is asked -> what the recorded file says, or what the one without a word has to say why it does not.
QUESTIONS = {
    "context.getStagePosition()": ([12.0, -3.0], "where the stage was"),
    "context.getFocus()": (0.0, "where the focus was"),
    "context.getChannels()": (["DAPI", "FITC"], "which channels there were"),
    "context.getChannel()": ("DAPI", "the channel of this image"),
    "context.getExposure()": (20.0, "the exposure of this image"),
    "context.getSubDevices()": (None, "which sub-devices there were"),
    "context.getConstraints('Z')": (None, "what 'Z' takes"),
    "context.get('Camera.Gain')": (None, "the value of 'Camera.Gain'"),
    "context.check('Camera.Gain')": (None, "whether 'Camera.Gain' was as it had been set"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_by_the_recording_or_refused_with_the_reason(
    question: str, stack: Path, bare: Path, ask: Callable[..., list[Any]]
) -> None:
    answer, reason = QUESTIONS[question]
    name = question.removeprefix("context.").partition("(")[0]
    refused = f"CommandRefused: {name}: a replay has no microscope, and the recording does not say: {reason}."
    assert ask(stack, question) == [refused if answer is None else answer]
    assert ask(bare, question, axes="TZCYX") == [refused]


def test_geometry_that_was_not_recorded_is_not_made_up(stack: Path, ask: Callable[..., list[Any]]) -> None:
    (told,) = ask(stack, "context.pixelToStage(1, 2)")
    assert (
        told
        == "CommandRefused: pixelToStage: The recorded image does not say how its pixels lie on the stage."
    )


COMMANDS = {
    "context.moveStage(5, 6.5)": [5.0, 6.5],
    "context.moveStageBy(1, -1)": [13.0, -4.0],
    "context.moveFocus(3)": 3.0,
    "context.moveFocusBy(-0.5)": -0.5,
    "context.correctPosition(dx_um=1, dz_um=0.5)": {"x": 1.0, "y": 0.0, "z": 0.5},
    "context.correctPosition(dx_um=1, positions='dish')": {"x": 1.0, "y": 0.0, "z": 0.0},
    "context.setChannel('FITC')": "FITC",
    "context.setExposure(30)": 30.0,
    "context.set('Camera.Gain', 3)": 3,
    "context.skip('all', channel='FITC')": 6,
    "context.setInterval(2)": 1,
    "context.stop('enough')": None,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_written_down_and_answered_as_if_it_had_been_carried_out(
    command: str, stack: Path, ask: Callable[..., list[Any]]
) -> None:
    assert ask(stack, command) == [COMMANDS[command]]
    journal = list(read_journal(ask.folder / "events.jsonl"))  # type: ignore[attr-defined]
    commanded = [line for line in journal if line["type"] == "commanded"]
    assert {(line["decided"], line["message"]) for line in commanded} == {
        ("recorded", "recorded, not executed")
    }
    name = command.removeprefix("context.").partition("(")[0]
    assert {line["name"] for line in commanded} == {name}
    # All 12 images ask, but after a stop none comes.
    assert len(commanded) == (1 if name == "stop" else 12)


def test_what_a_call_has_done_holds_in_its_later_questions(
    stack: Path, ask: Callable[..., list[Any]]
) -> None:
    answers = ask(
        stack,
        "context.moveStage(5, 6)",
        "context.getStagePosition()",
        "context.moveFocusBy(2)",
        "context.getFocus()",
        "context.setChannel({'config': 'FITC', 'exposure': 7})",
        "context.getChannel()",
        "context.getExposure()",
        "context.set('Camera.Gain', 3)",
        "context.get('Camera.Gain')",
        "context.check('Camera.Gain')",
    )
    assert answers == [[5.0, 6.0], [5.0, 6.0], 2.0, 2.0, "FITC", "FITC", 7.0, 3, 3, True]


def test_added_images_are_numbered_as_in_a_run(stack: Path, ask: Callable[..., list[Any]]) -> None:
    first, second = ask(
        stack,
        "context.acquire(channels=['DAPI', 'FITC'], zStack=[0, 1], after_s=2)",
        "context.acquire({'x_um': 3})",
    )
    assert first == {"positionIndex": 1, "images": 4, "events": ["a000001", "a000004"], "due_s": 2.0}
    assert second == {"positionIndex": 2, "images": 1, "events": ["a000005", "a000005"], "due_s": 0.0}


def test_light_is_written_down_with_its_regions(stack: Path, ask: Callable[..., list[Any]]) -> None:
    roi = "[{'type': 'point', 'points': [[3, 4]], 'unit': 'px'}]"
    (told,) = ask(stack, f"context.fireOnDemand({roi}, power=5, duration_ms=10)")
    assert told == {
        "repetitions": 1,
        "duration_ms": 10,
        "power": 5,
        "complete": True,
        "regions": [{"type": "point", "points_px": [[3, 4]]}],
        "waited": True,
    }


REFUSED = {
    "context.moveStage('left', 0)": "LimitRefused: moveStage by asking: stage x must be a finite number",
    "context.moveFocusBy(float('nan'))": "moveFocusBy",
    "context.correctPosition(dx_um=1, positions='Dihs')": "Did you mean 'dish'?",
    "context.correctPosition(dx_um=1, positions=[])": "positions names none",
    "context.setExposure(-1)": "an exposure cannot be negative",
    "context.acquire(zStack={'range_um': 1})": "zStack needs both range_um and step_um",
    "context.acquire(times=0)": "times must be a whole number of at least 1",
    "context.acquire({'x': 1})": "a position has no 'x'",
    "context.skip('all', channel='Cy5')": "Allowed: DAPI, FITC",
    "context.skip('all', until_s=3)": "a replay has no microscope",
    "context.setInterval(-1)": "an interval cannot be negative",
    "context.fireOnDemand([{'type': 'dot', 'points': []}])": "Nothing was fired",
    "context.centerOn(1, 2)": "does not say how its pixels lie on the stage",
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_command_that_cannot_be_right_is_refused(
    command: str, stack: Path, ask: Callable[..., list[Any]]
) -> None:
    (told,) = ask(stack, command)
    assert REFUSED[command] in told


def test_every_method_of_the_context_is_tried_here() -> None:
    tried = {text.removeprefix("context.").partition("(")[0] for text in (*QUESTIONS, *COMMANDS, *REFUSED)}
    tried |= {"pixelToStage", "acquire", "fireOnDemand"}
    assert set(CONTEXT_METHODS) - {"log", "stageToPixel"} <= tried


def test_a_script_is_loaded_and_its_values_are_checked_as_for_a_run(stack: Path, tmp_path: Path) -> None:
    script = tmp_path / "typo.py"
    script.write_text(
        PROVIDER
        + 'def look(images: "images", context: "IIS_CONTEXT", level: int = 3):\n    context.getFocs()\n',
        encoding="utf-8",
    )
    for changes, text in (
        ({}, "getFocus"),
        ({"parameters.level": "many"}, "level"),
        ({"parameters.levle": "1"}, "Did you mean 'level'?"),
    ):
        chosen = choose_scripts(stack, Choice(str(script), changes=changes))
        result = Replay(open_recording(stack), chosen, tmp_path / "replays").run()
        assert (result.exit_status, result.folder) == (2, None)
        assert isinstance(result.error, InvalidInput)
        assert text in str(result.error)


def test_a_data_set_without_a_run_needs_a_script(stack: Path) -> None:
    with pytest.raises(InvalidInput, match="which script is to be replayed"):
        choose_scripts(stack, Choice())


def test_colour_reaches_the_script_as_it_was_recorded(tmp_path: Path, ask: Callable[..., list[Any]]) -> None:
    path = tmp_path / "colour.tif"
    colour = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    tifffile.imwrite(path, colour, photometric="rgb", metadata={"axes": "TYXS"}, ome=True)
    answers = ask(
        path, "list(images[0].array.shape)", "str(images[0].array.dtype)", "int(images[0].array[0, 1, 2])"
    )
    assert answers == [[8, 8, 3], "uint8", 5]
