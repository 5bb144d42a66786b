"""``inscoper-mm calibrate galvo`` on the demo devices, in a process of its own, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inscoper_mm.experiment.calibration import GalvoCalibration, load_calibration
from inscoper_mm.library import library_dir

pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")
pytestmark = pytest.mark.demo

EXPERIMENT = """\
name: galvo
microscope: {backend: demo, config: noise.cfg}
acquisition: {channels: [{group: Channel, config: DAPI, exposure: 5}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment on demo devices whose camera shows the galvo's spot."""
    text = (library_dir("mm_demo_config") / "demo_galvo.cfg").read_text(encoding="utf-8")
    (tmp_path / "noise.cfg").write_text(f"{text}\nProperty,Camera,Mode,Noise\n", encoding="utf-8")
    (tmp_path / "dark.cfg").write_text(text, encoding="utf-8")
    (tmp_path / "e.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return tmp_path


def _calibrate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inscoper_mm.cli", "calibrate", "galvo", "e.yaml", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )


def test_a_file_is_written_that_a_run_can_use(folder: Path) -> None:
    done = _calibrate(folder, "--grid", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "25 of 25 spots seen" in done.stdout and "calibrations: [galvo_Res10x.yaml]" in done.stdout
    calibration = load_calibration(folder / "galvo_Res10x.yaml")
    assert isinstance(calibration, GalvoCalibration)
    assert (calibration.galvo, calibration.model, calibration.binning) == ("Galvo", "affine", 1)
    assert calibration.residual_px < 0.5
    # A hundredth of the galvo's range is 5 px.
    assert calibration.coefficients[1] == pytest.approx(1 / 49.2, rel=0.005)
    assert calibration.coefficients[5] == pytest.approx(1 / 49.7, rel=0.005)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--set", "microscope.config=dark.cfg"), 1, "The spot is not seen"),
        (("--set", "microscope.config=demo"), 1, "no galvo"),
        (("--model", "cubic"), 2, "affine, second_order, auto"),
        (("--output", "e.yaml"), 2, "no calibration file"),
    ],
    ids=["no spot", "no galvo", "no such model", "a file that is something else"],
)
def test_what_cannot_be_calibrated_says_why(
    folder: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = _calibrate(folder, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    assert words in " ".join((done.stdout + done.stderr).replace("│", " ").split())
    assert (folder / "e.yaml").read_text(encoding="utf-8") == EXPERIMENT
