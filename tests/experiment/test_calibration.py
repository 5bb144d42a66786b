"""Calibration files: written, read again, refused where they are wrong, and chosen by camera and objective."""

from __future__ import annotations

from pathlib import Path

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.calibration import (
    Calibration,
    GalvoCalibration,
    Optics,
    PixelStageCalibration,
    fitting,
    load_calibration,
    load_calibrations,
    save_calibration,
)
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.load import load_experiment, parse_experiment

TEN = Optics("Camera: 1", " 10X µ", "Res10x")
STAGE = PixelStageCalibration(
    TEN, "XY", (0.3251234567, -0.001, 1e-7, 0.325), 2, (256, 300), 0.034, "2026-01-02T03:04:05+01:00"
)
GALVO = GalvoCalibration(
    Optics("Camera"), "Galvo", "second_order", tuple(range(12)), 1, (512, 512), 0.4, "2026-01-02"
)


@pytest.mark.parametrize("calibration", [STAGE, GALVO], ids=["pixel_stage", "galvo"])
def test_what_is_written_is_read_again(calibration: Calibration, tmp_path: Path) -> None:
    file = tmp_path / "new" / "file.yaml"
    save_calibration(calibration, file, ["measured on a Monday"])
    assert file.read_text(encoding="utf-8").startswith("# measured on a Monday\nkind: ")
    found = load_calibration(file)
    assert found == calibration
    assert found.file == file


GOOD = """\
kind: pixel_stage
camera: Camera
stage: XY
affine_um: [0.3, 0, 0, 0.3]
image_shape: [512, 512]
"""
WRONG = {
    "no kind": (("kind: pixel_stage", "name: x"), ["calibration.yaml:1", "kind", "no calibration file"]),
    "unknown kind": (("pixel_stage", "pixel_sage"), ["calibration.yaml:1", "Did you mean 'pixel_stage'"]),
    "unknown key": (("stage: XY", "stage: XY\nstag: 1"), ["calibration.yaml:4", "Did you mean 'stage'"]),
    "too few numbers": (
        ("[0.3, 0, 0, 0.3]", "[0.3, 0, 0]"),
        ["calibration.yaml:4, affine_um", "list of 4 numbers"],
    ),
    "text": (("[0.3, 0, 0, 0.3]", "[0.3, a, 0, 1]"), ["calibration.yaml:4, affine_um", "list of 4 numbers"]),
    "no map": (("[0.3, 0, 0, 0.3]", "[1, 2, 2, 4]"), ["calibration.yaml:4, affine_um", "one place"]),
    "missing": (("camera: Camera\n", ""), ["camera", "is missing"]),
    "a number for a label": (("stage: XY", "objective: 10\nstage: XY"), ["calibration.yaml:3", '"10"']),
    "binning": (("stage: XY", "binning: 0\nstage: XY"), ["calibration.yaml:3, binning"]),
    "galvo's model": (("kind: pixel_stage", "kind: galvo\nmodel: afine"), ["model", "Did you mean 'affine'"]),
    "empty": ((GOOD, ""), ["is empty"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_file_line_and_field(name: str, tmp_path: Path) -> None:
    change, words = WRONG[name]
    file = tmp_path / "calibration.yaml"
    file.write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_calibration(file)
    for word in words:
        assert word in str(caught.value)


def test_all_files_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "bad.yaml").write_text("kind: 3\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_calibrations([tmp_path / "missing.yaml", tmp_path / "good.yaml", tmp_path / "bad.yaml"])
    assert len(caught.value.findings) == 2
    assert load_calibrations([tmp_path / "good.yaml"])[0].optics == Optics("Camera")


@pytest.mark.parametrize(
    ("own", "fits"),
    [
        (Optics("C", "10X", "Res10x"), True),
        (Optics("C", "", "Res10x"), True),
        (Optics("C", "10X", ""), True),
        (Optics("C"), True),
        (Optics("D", "10X", "Res10x"), False),
        (Optics("C", "40X", "Res10x"), False),
        (Optics("C", "10X", "Res40x"), False),
        (Optics("", "10X", "Res10x"), False),
    ],
)
def test_what_is_known_on_both_sides_must_agree(own: Optics, fits: bool) -> None:
    assert own.fits(Optics("C", "10X", "Res10x")) is fits


def test_the_last_that_fits_is_taken_and_none_that_does_not() -> None:
    now = Optics("Camera: 1", " 10X µ")
    other = PixelStageCalibration(Optics("Camera: 1", "40X"), "XY", (1, 0, 0, 1), 1, (9, 9), 0, "")
    newer = PixelStageCalibration(TEN, "XY", (0.3, 0, 0, 0.3), 1, (9, 9), 0, "")
    assert fitting([STAGE, newer, other], now, "map") is newer
    assert fitting([], now, "map") is None
    with pytest.raises(InvalidInput, match=r"no map fits.*objective  10X µ.*objective 40X.*calibrate"):
        fitting([other], now, "map")


TEXT = """\
name: test
microscope: {{backend: demo, calibrations: {files}}}
acquisition: {{channels: [{{config: DAPI}}]}}
"""


def test_an_experiment_names_its_files_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(TEXT.format(files="[a.yaml, sub/b.yaml]"), encoding="utf-8")
    experiment = load_experiment(tmp_path / "e.yaml")
    folder = tmp_path.resolve()
    assert experiment.microscope.calibrations == (folder / "a.yaml", folder / "sub" / "b.yaml")
    assert parse_experiment(dump_experiment(experiment), Path("elsewhere")) == experiment


@pytest.mark.parametrize("files", ["a.yaml", "[3]", "[[a.yaml]]", "['']"])
def test_calibrations_must_be_a_list_of_paths(files: str) -> None:
    with pytest.raises(InvalidInput, match=r"microscope.calibrations.*must be a"):
        parse_experiment(TEXT.format(files=files), Path())
