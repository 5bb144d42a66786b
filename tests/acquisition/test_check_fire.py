"""What check says about firing before anything moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inscoper_mm.acquisition.check import CheckReport, check_experiment
from inscoper_mm.errors import Finding
from inscoper_mm.experiment.calibration import GalvoCalibration, Optics, save_calibration

SCRIPT = """\
def fetch_images(new_image):
    return [{}]


def shoot(images: "images", context: "IIS_CONTEXT"):
    context.fireOnDemand()
"""
Check = Callable[..., CheckReport]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """``check(section, config=..., objective=..., galvo=..., script=...)``: with one calibration, or none."""

    def check_it(
        section: str = "",
        config: str = "galvo_2cam_lasers",
        objective: str | None = "Nikon 10X S Fluor",
        galvo: str = "Galvo",
        camera: str = "Camera",
        spot_px: float = 5.0,
        script: str = SCRIPT,
    ) -> CheckReport:
        (tmp_path / "script.py").write_text(script, encoding="utf-8")
        if objective is not None:
            optics = Optics(camera, objective, "")
            made = GalvoCalibration(
                optics, galvo, "affine", (0, 0.02, 0, 0, 0, 0.02), 1, (512, 512), 0.1, "2026-01-01", spot_px
            )
            save_calibration(made, tmp_path / "g.yaml")
        text = f"""\
name: fire
microscope: {{config: {config}, calibrations: [{"g.yaml" if objective is not None else ""}]}}
acquisition: {{channels: [{{group: Channel, config: DAPI, exposure: 10}}], stage_positions: [{{x: 0, y: 0, z: 0}}]}}
script: {{file: script.py}}
"""
        (tmp_path / "e.yaml").write_text(f"{text}{section}\n", encoding="utf-8")
        return check_experiment(tmp_path / "e.yaml", output=tmp_path / "runs")

    return check_it


def _about_firing(report: CheckReport) -> list[Finding]:
    words = ("fir", "photomanipulation", "galvo", "spot")
    return [
        finding
        for finding in report.findings
        if finding.level != "info"
        and any(word in str(finding).replace(str(finding.file), "") for word in words)
    ]


@pytest.mark.parametrize(
    "section",
    [
        "",
        "photomanipulation: {}",
        "photomanipulation: {sub_device: Galvo, light: Laser405, power_device: Laser405Power.Volts, power: 10}",
        "photomanipulation: {sub_device: Laser488}",
        "photomanipulation: {sub_device: scanner, light: uv}\naliases: {scanner: Galvo, uv: Laser405}",
    ],
)
def test_what_is_right_is_not_mentioned(check: Check, section: str) -> None:
    assert _about_firing(check(section)) == []


@pytest.mark.parametrize(
    ("section", "field", "reason"),
    [
        ("{sub_device: Galvoo}", "sub_device", "Did you mean 'Galvo'"),
        ("{sub_device: XY.X}", "sub_device", "kind 'stage'"),
        ("{light: Laser406}", "light", "Did you mean 'Laser405'"),
        ("{light: Galvo}", "light", "kind 'galvo'"),
        ("{light: Laser405, power_device: Laser405Powr.Volts}", "power_device", "Laser405Power.Volts"),
        ("{power_device: Laser405Power.Volts, power: 1}", "power_device", "'light'"),
    ],
)
def test_devices_that_are_not_there_are_named(check: Check, section: str, field: str, reason: str) -> None:
    (finding,) = _about_firing(check(f"photomanipulation: {section}"))
    assert finding.level == "error" and finding.field == f"photomanipulation.{field}" and finding.line == 5
    assert reason in str(finding)


def test_neither_galvo_nor_light(check: Check) -> None:
    report = check("photomanipulation: {}", config="demo", objective=None)
    assert any(each.level == "error" and "no galvo" in each.message for each in report.findings)


@pytest.mark.parametrize("section", ["", "photomanipulation: {fill: points}"])
def test_no_calibration_is_a_warning(check: Check, section: str) -> None:
    (finding,) = _about_firing(check(section, objective=None))
    assert finding.level == "warning" and "not calibrated" in finding.message
    assert "inscoper-mm calibrate galvo" in str(finding.cure)


@pytest.mark.parametrize(
    ("camera", "galvo", "reason"),
    [("Camera2", "Galvo", "Camera2"), ("Camera", "Galvo2", "calibrations of Galvo2 only")],
)
def test_a_foreign_calibration_is_a_warning(check: Check, camera: str, galvo: str, reason: str) -> None:
    (finding,) = _about_firing(check(camera=camera, galvo=galvo))
    assert finding.level == "warning" and reason in finding.message


def test_an_unknown_spot_is_a_warning(check: Check) -> None:
    (finding,) = _about_firing(check("photomanipulation: {fill: raster}", spot_px=0.0))
    assert "size of the spot" in finding.message
    assert _about_firing(check("photomanipulation: {fill: points}", spot_px=0.0)) == []


def test_a_script_that_does_not_fire_needs_no_calibration(check: Check) -> None:
    script = SCRIPT.replace("context.fireOnDemand()", "pass")
    assert _about_firing(check(objective=None, script=script)) == []
