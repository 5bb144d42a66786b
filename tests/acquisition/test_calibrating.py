"""The calibration on the real Core with its stage: found within the limits of accuracy, and used by the next run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.acquisition.calibrating import calibrate_pixel_stage
from inscoper_mm.errors import CalibrationFailed, CommandRefused, LimitRefused
from inscoper_mm.experiment.calibration import Optics, save_calibration
from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import ScriptFailed
from inscoper_mm.specimen import Camera, Specimen, SpecimenParameters, attach

pytestmark = pytest.mark.demo

TEXT = """\
name: calibration
microscope: {backend: demo}
acquisition: {channels: [{group: Channel, config: FITC, exposure: 20}]}
"""
CAMERAS = {
    "3 degrees": Camera(3, False, pixel_size_um=0.325),
    "91 degrees": Camera(91, False, pixel_size_um=0.325),
    "91 degrees, mirrored": Camera(91, True, pixel_size_um=0.325),
    "3 degrees, mirrored": Camera(3, True, pixel_size_um=0.325),
}
Show = Callable[..., None]


@pytest.fixture
def show(microscope: Microscope) -> Iterator[Show]:
    """``show(camera, **parameters)``: the specimen behind the camera until the end of the test."""
    attached: list[Any] = []

    def show_it(camera: Camera, **parameters: Any) -> None:
        attached.append(attach(microscope.core, Specimen(SpecimenParameters(camera=camera, **parameters))))

    yield show_it
    for each in attached:
        each.detach()


def experiment(more: str = "") -> Experiment:
    return parse_experiment(TEXT + more, Path())


@pytest.mark.parametrize("name", CAMERAS)
def test_the_map_is_found_on_the_real_stage(microscope: Microscope, show: Show, name: str) -> None:
    camera = CAMERAS[name]
    show(camera)
    microscope.move_stage(120.0, -80.0)
    microscope.core.setProperty("Camera", "Binning", "2" if name == "3 degrees" else "1")
    try:
        calibration, measured = calibrate_pixel_stage(experiment(), microscope, settle_s=0.0)
    finally:
        microscope.core.setProperty("Camera", "Binning", "1")
    true = np.array(camera.orientation.affine_um(0.325)).reshape(2, 2)
    ratio = np.linalg.inv(true) @ np.array(calibration.affine_um).reshape(2, 2)
    assert np.abs(np.hypot(ratio[0], ratio[1]) - 1).max() < 0.002
    assert abs(math.degrees(math.atan2(ratio[1, 0], ratio[0, 0]))) < 0.1
    assert abs(math.degrees(math.atan2(ratio[0, 1], ratio[1, 1]))) < 0.1
    assert calibration.optics == Optics("Camera", "Nikon 10X S Fluor", "Res10x")
    assert (calibration.stage, calibration.binning) == ("XY", 2 if name == "3 degrees" else 1)
    assert calibration.residual_px == pytest.approx(measured.residual_px, abs=1e-3)
    position = microscope.position()
    assert (position.x_um, position.y_um) == pytest.approx((120, -80), abs=0.05)
    assert microscope.channel() == "FITC"


CENTERS = """
import numpy as np
from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.segmentation import segment_cells

def fetch_images(new_image: "images"):
    return [{}]

def center(images: "images", context: "IIS_CONTEXT"):
    image = images[0]
    cells = measure_cells(segment_cells(image.array), image.array)
    places = np.column_stack([cells["centroid_row_px"], cells["centroid_col_px"]])
    away = np.hypot(*(places - np.array(image.shape) / 2).T)
    if image.metadata["timeIndex"]:
        return {"metadata": {"OFF_PX": float(away.min())}}
    chosen = np.argmax(np.where((away > 80) & (away < 150), cells["area_px"], 0))
    before = context.getStagePosition()
    reached = context.centerOn(*places[chosen], image)
    context.correctPosition(reached[0] - before[0], reached[1] - before[1])
"""
PLAN = """\
acquisition:
  channels: [{group: Channel, config: FITC, exposure: 20}]
  stage_positions: [{x: 100, y: 0, z: 0}]
  time_plan: {interval: 0, loops: 2}
"""


def test_what_was_measured_lets_the_next_run_find_its_way(
    microscope: Microscope, show: Show, lab: Any, tmp_path: Path
) -> None:
    camera = "{rotation_deg: 200, mirrored: true, pixel_size_um: 0.65}"
    show(Camera(200, True, pixel_size_um=0.65))
    calibration, _ = calibrate_pixel_stage(experiment(), microscope, settle_s=0.0)
    file = tmp_path / "measured.yaml"
    save_calibration(calibration, file)
    off_px = []
    for files in ("[]", f"['{file.as_posix()}']"):
        setting = f"{{backend: demo, calibrations: {files}, specimen: {{falloff: 0, camera: {camera}}}}}"
        ran = lab(CENTERS, acquisition=PLAN, microscope=setting)
        assert not ran.of(ScriptFailed), ran.of(ScriptFailed)[0].message
        off_px += [tags["OFF_PX"] for tags in ran.stored().values() if "OFF_PX" in tags]
    assert off_px[0] > 2  # the Core alone knows neither the pixel size nor the orientation
    assert off_px[1] < 1


def test_the_stage_stays_within_the_safety_limits(
    microscope: Microscope, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(CAMERAS["91 degrees"])
    told: list[tuple[float, float]] = []
    really = microscope.core.setXYPosition

    def record(stage: str, x_um: float, y_um: float) -> None:
        told.append((x_um, y_um))
        really(stage, x_um, y_um)

    monkeypatch.setattr(microscope.core, "setXYPosition", record)
    limits = "safety: {stage: {x_um: [-10, 70], y_um: [-60, 60]}}\n"
    calibrate_pixel_stage(experiment(limits), microscope, settle_s=0.0)
    assert len(told) > 10
    assert all(-10 <= x_um <= 70 and -60 <= y_um <= 60 for x_um, y_um in told)
    none = "safety: {stage: {x_um: [-0.5, 0.5], y_um: [-60, 60]}}\n"
    with pytest.raises(LimitRefused, match=r"safety\.stage\.x_um|no room"):
        calibrate_pixel_stage(experiment(none), microscope, settle_s=0.0)


def test_the_demo_cameras_own_beads_lie_as_the_convention_says(microscope: Microscope) -> None:
    """No specimen of ours: the demo adapter itself draws beads where its stage is, one um a pixel."""
    microscope.core.setProperty("Camera", "FastImage", "0")
    microscope.core.setProperty("Camera", "Mode", "Fluorescent Beads")
    try:
        calibration, _ = calibrate_pixel_stage(experiment(), microscope, settle_s=0.0)
    finally:
        microscope.core.setProperty("Camera", "Mode", "Artificial Waves")
        microscope.core.setProperty("Camera", "FastImage", "1")
    assert calibration.affine_um == pytest.approx((1, 0, 0, 1), abs=1e-3)
    assert microscope.geometry.view().affine_um == (1, 0, 0, 1)


def test_the_demo_cameras_own_pattern_does_not_follow_the_stage(microscope: Microscope) -> None:
    with pytest.raises(
        CalibrationFailed, match=r"does not follow|while the stage stands|structure|found again"
    ):
        calibrate_pixel_stage(experiment(), microscope, settle_s=0.0)
    assert microscope.position().x_um == pytest.approx(0, abs=0.05)


def test_an_unknown_channel_is_refused(microscope: Microscope) -> None:
    wrong = parse_experiment(TEXT.replace("FITC", "FITTC"), Path())
    with pytest.raises(CommandRefused, match=r"no channel 'FITTC'.*Did you mean 'FITC'"):
        calibrate_pixel_stage(wrong, microscope, settle_s=0.0)
