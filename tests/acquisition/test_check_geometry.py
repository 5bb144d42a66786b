"""What check says about pixels and the stage before anything moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inscoper_mm.acquisition.check import CheckReport, check_experiment
from inscoper_mm.errors import Finding
from inscoper_mm.experiment.calibration import Optics, PixelStageCalibration, save_calibration
from inscoper_mm.library import library_dir
from inscoper_mm.specimen.orientation import turned

GALVO = (library_dir("mm_demo_config") / "demo_galvo.cfg").read_text(encoding="utf-8")
SCRIPT = """\
def fetch_images(new_image):
    return [{}]


def follow(images: "images", context: "IIS_CONTEXT"):
    helper(context)


def helper(context):
    context.centerOn(1, 2)
"""
Check = Callable[..., CheckReport]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """``check(calibration, cfg_lines=..., cfg=..., script=...)``: an experiment on a changed demo configuration."""

    def check_it(
        *calibrations: Optics, cfg_lines: str = "", cfg: str = GALVO, script: str = SCRIPT
    ) -> CheckReport:
        (tmp_path / "scope.cfg").write_text(f"{cfg}\n{cfg_lines}\n", encoding="utf-8")
        (tmp_path / "script.py").write_text(script, encoding="utf-8")
        files = []
        for number, optics in enumerate(calibrations):
            affine = turned(91).affine_um(0.325)
            made = PixelStageCalibration(optics, "XY", affine, 1, (512, 512), 0.1, "2026-01-01")
            files.append(f"c{number}.yaml")
            save_calibration(made, tmp_path / files[-1])
        text = f"""\
name: geometry
microscope:
  config: scope.cfg
  calibrations: [{", ".join(files)}]
acquisition: {{channels: [{{group: Channel, config: DAPI, exposure: 10}}], stage_positions: [{{x: 0, y: 0, z: 0}}]}}
script: {{file: script.py}}
"""
        (tmp_path / "e.yaml").write_text(text, encoding="utf-8")
        return check_experiment(tmp_path / "e.yaml", output=tmp_path / "runs")

    return check_it


def told(report: CheckReport, word: str) -> list[Finding]:
    return [finding for finding in report.findings if word in finding.message]


def without_pixel_sizes(cfg: str) -> str:
    return "\n".join(line for line in cfg.splitlines() if "PixelSize" not in line)


def test_where_all_is_known_nothing_is_said(check: Check) -> None:
    report = check()
    assert not told(report, "centerOn") + told(report, "Transpose") + told(report, "calibration")


def test_a_script_that_needs_the_pixel_size_is_warned_of(check: Check) -> None:
    (finding,) = told(check(cfg=without_pixel_sizes(GALVO)), "centerOn")
    assert finding.level == "warning"
    assert finding.field == "script"
    assert "script uses centerOn()" in finding.message
    assert "calibrate pixel-stage" in (finding.cure or "")
    other = SCRIPT.replace("context.centerOn(1, 2)", "context.log('')")
    assert not told(check(cfg=without_pixel_sizes(GALVO), script=other), "uses")


def test_a_calibration_gives_the_pixel_size(check: Check) -> None:
    report = check(Optics("Camera"), cfg=without_pixel_sizes(GALVO))
    assert not told(report, "centerOn") + told(report, "pixel size")
    assert report.facts["microscope"]["pixel_size_um"] == pytest.approx(0.325)


def test_a_calibration_of_another_objective_is_an_error(check: Check) -> None:
    (finding,) = told(check(Optics("Camera", "", "Res40x")), "no pixel-to-stage calibration fits")
    assert (finding.level, finding.line, finding.field) == ("error", 4, "microscope.calibrations")
    assert "Res10x" in (finding.got or "")
    assert "Res40x" in (finding.allowed or "")
    assert not told(check(Optics("Camera", "", "Res40x"), Optics("Camera", "", "Res10x")), "fits")


def test_a_calibration_file_that_is_not_there_is_an_error(check: Check, tmp_path: Path) -> None:
    check()
    text = (tmp_path / "e.yaml").read_text().replace("calibrations: []", "calibrations: [none.yaml]")
    (tmp_path / "e.yaml").write_text(text)
    found = told(check_experiment(tmp_path / "e.yaml"), "cannot be read")
    assert [(finding.level, finding.field) for finding in found] == [("error", "microscope.calibrations[0]")]


@pytest.mark.parametrize(
    ("line", "more", "words"),
    [
        pytest.param(
            "Property,Camera,TransposeMirrorX,1", (), "taken as the camera's orientation", id="property"
        ),
        pytest.param("ConfigGroup,System,Startup,Camera,TransposeXY,1", (), "TransposeXY", id="at startup"),
        pytest.param(
            "Property,Camera,TransposeXY,1", ("affine",), "affine of the pixel size preset", id="affine"
        ),
        pytest.param("Property,Camera,TransposeXY,1", ("calibration",), "calibration", id="calibration"),
    ],
)
def test_orientation_properties_are_told_with_their_line(
    check: Check, line: str, more: tuple[str, ...], words: str
) -> None:
    lines, given = line, [Optics("Camera")] if "calibration" in more else []
    if "affine" in more:
        lines += "\nPixelSizeAffine,Res10x,0,1,0,-1,0,0"
    (finding,) = told(check(*given, cfg_lines=lines), "does not turn or mirror")
    assert finding.level == "warning"
    assert words in finding.message
    assert (finding.file or "").endswith("scope.cfg")
    assert finding.line == len(GALVO.splitlines()) + 2 - (not GALVO.endswith("\n"))


@pytest.mark.parametrize(
    "line",
    [
        "Property,Camera,TransposeMirrorX,0",
        "Property,XY,TransposeMirrorX,1",
        "Property,Camera,TransposeCorrection,1",
        "Property,Camera,TransposeXY,1\nProperty,Camera,TransposeXY,0",
    ],
)
def test_what_turns_no_image_is_not_warned_of(check: Check, line: str) -> None:
    assert not told(check(cfg_lines=line), "does not turn or mirror")
