"""``calibrate`` as a user meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inscoper_mm.experiment.calibration import PixelStageCalibration, load_calibration

pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")
pytestmark = pytest.mark.demo

EXPERIMENT = """\
name: scope
microscope: {backend: demo, specimen: {cells_per_mm2: CELLS, camera: {rotation_deg: 91, pixel_size_um: 0.325}}}
acquisition: {channels: [{group: Channel, config: DAPI, exposure: 20}]}
"""


def calibrate(folder: Path, cells: int = 380, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "scope.yaml").write_text(EXPERIMENT.replace("CELLS", str(cells)), encoding="utf-8")
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "inscoper_mm.cli",
            "calibrate",
            "pixel-stage",
            str(folder / "scope.yaml"),
            *options,
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_it_measures_writes_and_says_what_to_do(tmp_path: Path) -> None:
    result = calibrate(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for words in (
        "0.325",
        "91.0",
        "not mirrored",
        "calibrations: [pixel_stage_Res10x.yaml]",
        "says 1 um a pixel",
    ):
        assert words in result.stdout
    calibration = load_calibration(tmp_path / "pixel_stage_Res10x.yaml")
    assert isinstance(calibration, PixelStageCalibration)
    assert calibration.affine_um[1] == pytest.approx(-0.325, rel=0.002)
    assert "PixelSizeAffine,Res10x," in (tmp_path / "pixel_stage_Res10x.yaml").read_text(encoding="utf-8")


def test_a_file_that_is_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.yaml").write_text("dear: diary\n")
    result = calibrate(tmp_path, 380, "--output", str(tmp_path / "notes.yaml"))
    assert result.returncode == 2
    assert "not replaced" in result.stdout
    assert (tmp_path / "notes.yaml").read_text() == "dear: diary\n"


def test_without_structure_it_fails_and_writes_nothing(tmp_path: Path) -> None:
    result = calibrate(tmp_path, 0)
    assert result.returncode == 1
    assert "too little structure" in result.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["scope.yaml"]
