"""``inscoper-mm replay`` as a user meets it: what it prints, and its exit status."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from inscoper_mm import replay_dataset
from inscoper_mm.cli import app
from inscoper_mm.errors import InvalidInput

SCRIPT = """
def fetch_images(new_image: "images"):
    return [{}] if new_image.metadata["timeIndex"] else []

def look(images: "images", context: "IIS_CONTEXT", step_um: float = 1.0):
    context.correctPosition(dx_um=step_um)
    return {"metadata": {"MEAN": float(images[0].array.mean())}}

def other(images: "images"):
    return {"metadata": {"OTHER": 1}}
"""
THREAD = ("--set", "policy.place=thread")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a script and a stack of three time points."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "look.py").write_text(SCRIPT, encoding="utf-8")
    tifffile.imwrite(tmp_path / "a.tif", np.ones((3, 8, 8), np.uint16), photometric="minisblack")
    return tmp_path


def replay(*words: str) -> tuple[int, str]:
    """Exit status and what was printed, on one line."""
    done = CliRunner().invoke(app, ["replay", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, re.sub(r"\s+", " ", done.stdout)


def test_a_stack_is_replayed_and_told(here: Path) -> None:
    status, told = replay("a.tif", "--script", "look.py", "--process", "look", "--axes", "TYX", *THREAD)
    assert status == 0
    assert "Replaying 3 images of a.tif (TIFF stack) with look. Nothing moves" in told
    assert "3 recorded images replayed." in told
    assert "2 processed, 1 not wanted by the script; answers written as metadata of 2 images." in told
    assert "Commands, written down and not executed: 2 correctPosition." in told
    (folder,) = (here / "runs").iterdir()
    assert folder.name.startswith("a_replay_")
    assert told.endswith(f"Everything is in runs/{folder.name} ")
    assert not (folder / "experiment.yaml").exists()


def test_functions_are_chosen_by_name(here: Path) -> None:
    status, told = replay("a.tif", "--script", "look.py", "--process", "other", "--axes", "TYX", *THREAD)
    assert (status, "Commands" in told) == (0, False)


WRONG = {
    ("nothing.tif", "--script", "look.py"): "nothing.tif: there is no such file or folder.",
    ("a.tif", "--axes", "TYX"): "--script: which script is to be replayed?",
    ("a.tif", "--script", "look.py"): "the file does not say what its axes are (shape (3, 8, 8)).",
    ("a.tif", "--script", "look.py", "--axes", "TYX", "--set", "step_um=1"): "a replay has no such value.",
    ("a.tif", "--script", "look.py", "--axes", "TYX", "--set", "step_um"): "--set wants KEY=VALUE.",
    (
        "a.tif",
        "--script",
        "look.py",
        "--axes",
        "TYX",
        "--process",
        "look",
        "--compare",
    ): "only a run folder has",
    ("a.tif", "--script", "look.py", "--axes", "TYX", "--process", "lok", *THREAD): "Did you mean 'look'?",
    (
        *("a.tif", "--script", "look.py", "--axes", "TYX", "--process", "look", *THREAD),
        *("--set", "parameters.step=1"),
    ): "has no parameter 'step'",
    (".", "--script", "look.py"): "In it are data: a.tif.",
}


@pytest.mark.parametrize("words", WRONG, ids=lambda words: WRONG[words])
def test_what_is_wrong_is_told_and_nothing_is_written(words: tuple[str, ...], here: Path) -> None:
    status, told = replay(*words)
    assert status == 2
    assert WRONG[words] in told
    assert not (here / "runs").exists() or not list((here / "runs").iterdir())


def test_a_script_that_fails_gives_the_status_of_a_run_with_errors(here: Path) -> None:
    (here / "look.py").write_text(
        SCRIPT.replace("return {", "raise ValueError('no cells')\n    return {"), "utf-8"
    )
    words = ("a.tif", "--script", "look.py", "--process", "look", "--axes", "TYX", *THREAD)
    status, told = replay(*words)
    assert status == 3
    assert "Completed, with 2 errors" in told
    assert "no cells" in told
    status, told = replay(*words, "--set", "policy.error=abort")
    assert status == 1
    assert "Aborted" in told


def test_the_same_from_python(here: Path) -> None:
    from inscoper_mm.images.recording import Given

    values = {"policy.place": "thread", "process": "look"}
    with pytest.raises(InvalidInput, match="a replay has no such value"):
        replay_dataset("a.tif", "look.py", parameters=values, given=Given(axes="TYX"))
    (here / "look.py").write_text(SCRIPT.split("def other")[0], encoding="utf-8")
    result = replay_dataset(
        "a.tif", "look.py", parameters={"policy.place": "thread"}, given=Given(axes="TYX")
    )
    assert (result.exit_status, result.counts["processed"]) == (0, 2)
