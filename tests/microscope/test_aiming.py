"""From pixels of an image to the galvo: the same place of the specimen, whatever region, binning or stage position."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import CommandRefused
from inscoper_mm.experiment.calibration import GalvoCalibration, Optics
from inscoper_mm.experiment.photomanipulation import Photomanipulation
from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.microscope.aiming import Aim, calibration_for, from_sensor, to_sensor
from inscoper_mm.microscope.dose import Dose, DoseLedger
from inscoper_mm.microscope.geometry import CameraView

# The galvo's x is a hundredth of the column, its y a hundredth of the row: what is aimed at can be read off.
OPTICS = Optics("Camera", "10X", "Res10x")
CALIBRATION = GalvoCalibration(
    OPTICS, "Galvo", "affine", (0, 0.01, 0, 0, 0, 0.01), 1, (512, 512), 0.1, "", 6.0
)
VIEW = CameraView("Camera", 1, (0, 0, 512, 512), (512, 512), (0.5, 0.0, 0.0, 0.5), 0.5)
HERE = StagePosition(100.0, 50.0, 0.0)
POINTS = Photomanipulation(fill="points")


def _info(view: CameraView = VIEW, at: StagePosition = HERE) -> FrameInfo:
    return FrameInfo(
        "e1",
        Index(),
        Sizes(),
        real=at,
        pixel_size_um=view.pixel_size_um,
        camera=view.camera,
        binning=view.binning,
        pixel_to_stage_um=view.pixel_to_stage_um(at),
        roi_px=view.roi_px,
        sensor_px=view.sensor_px,
    )


def _aimed(
    roi: dict[str, Any], info: FrameInfo, view: CameraView = VIEW, at: StagePosition = HERE
) -> list[float]:
    """The (row, col) on the sensor at which the galvo points."""
    (region,) = Aim(view, at, CALIBRATION).regions([roi], info, POINTS)
    x, y = region.places[0]
    return [y * 100, x * 100]


def _point(row: float, col: float, unit: str = "px") -> dict[str, Any]:
    return {"type": "point", "points": [[row, col]], "unit": unit}


REGION = replace(VIEW, roi_px=(64, 32, 200, 100))
BINNED = CameraView("Camera", 2, (0, 0, 256, 256), (256, 256), (1.0, 0.0, 0.0, 1.0), 1.0)
BOTH = replace(BINNED, roi_px=(16, 8, 100, 60))


@pytest.mark.parametrize(
    ("view", "pixel", "sensor"),
    [
        (VIEW, (30, 40), (30, 40)),
        (REGION, (30, 40), (62, 104)),
        (BINNED, (30, 40), (60, 80)),
        (BOTH, (30, 40), (76, 112)),
    ],
    ids=["whole", "region", "binned", "binned region"],
)
@pytest.mark.parametrize(
    "now", [VIEW, REGION, BINNED, BOTH], ids=["whole", "region", "binned", "binned region"]
)
def test_region_and_binning_count_whatever_they_are_now(
    view: CameraView, pixel: tuple[float, float], sensor: tuple[float, float], now: CameraView
) -> None:
    assert _aimed(_point(*pixel), _info(view), now) == pytest.approx(sensor)


@pytest.mark.parametrize(
    "now", [VIEW, REGION, BINNED, BOTH], ids=["whole", "region", "binned", "binned region"]
)
def test_a_stage_that_has_moved_is_followed(now: CameraView) -> None:
    # 20 um along x are 40 columns, 5 um along y are 10 rows; the content moves the other way.
    moved = StagePosition(120.0, 55.0, 0.0)
    assert _aimed(_point(300, 200), _info(), now, moved) == pytest.approx((290, 160))


def test_a_turned_camera_is_followed_too() -> None:
    turned = replace(VIEW, affine_um=(0.0, 0.5, -0.5, 0.0))
    moved = StagePosition(120.0, 55.0, 0.0)
    # x grows with the row, y against the column.
    assert _aimed(_point(300, 200), _info(turned), turned, moved) == pytest.approx((260, 210))


def test_another_objective_is_followed() -> None:
    # Twice the magnification around the middle of the sensor.
    stronger = replace(VIEW, affine_um=(0.25, 0.0, 0.0, 0.25), pixel_size_um=0.25)
    assert _aimed(_point(276, 246), _info(), stronger) == pytest.approx((296, 236))


def test_micrometres_are_places_of_the_stage() -> None:
    assert _aimed(_point(100.0, 50.0, "um"), _info()) == pytest.approx((256, 256))
    assert _aimed(_point(110.0, 45.0, "um"), _info()) == pytest.approx((246, 276))


def test_a_trembling_stage_stands() -> None:
    unknown = replace(VIEW, affine_um=None, pixel_size_um=None)
    info = _info(unknown)
    assert _aimed(_point(30, 40), info, unknown, StagePosition(100.01, 50.0)) == pytest.approx((30, 40))
    with pytest.raises(CommandRefused, match="has moved"):
        _aimed(_point(30, 40), info, unknown, StagePosition(101.0, 50.0))


def test_without_a_stage_it_stands() -> None:
    nowhere = StagePosition()
    assert _aimed(_point(30, 40), _info(at=nowhere), VIEW, nowhere) == pytest.approx((30, 40))


@pytest.mark.parametrize(
    ("roi", "reason"),
    [
        (_point(512, 40), "outside the image"),
        (_point(1, 2, "mm"), "'px' or 'um'"),
        ({"type": "circle", "points": [[float("nan"), 4]], "radius": 2}, "NaN"),
        ({"type": "mask", "points": np.ones((9, 9))}, "image's size"),
        ({}, "no type of a region"),
        ("here", "must be a dict"),
    ],
)
def test_bad_regions_are_refused(roi: Any, reason: str) -> None:
    with pytest.raises(CommandRefused) as error:
        Aim(VIEW, HERE, CALIBRATION).regions([roi], _info(), POINTS)
    assert reason in str(error.value) and "Nothing was fired" in str(error.value)


def test_no_region_and_another_camera_are_refused() -> None:
    with pytest.raises(CommandRefused, match="empty"):
        Aim(VIEW, HERE, CALIBRATION).regions([], _info(), POINTS)
    with pytest.raises(CommandRefused, match="'Camera2'"):
        _aimed(_point(1, 2), replace(_info(), camera="Camera2"))


@pytest.mark.parametrize(
    ("settings", "calibration", "spot_px"),
    [
        (Photomanipulation(), CALIBRATION, 3.0),
        (Photomanipulation(spot_px=8.0), CALIBRATION, 4.0),
        (Photomanipulation(spot_um=5.0), CALIBRATION, 5.0),
    ],
    ids=["of the calibration", "in pixels", "in um"],
)
def test_the_spot_s_size(settings: Photomanipulation, calibration: GalvoCalibration, spot_px: float) -> None:
    roi = {"type": "line", "points": [[20, 20], [20, 120]]}
    (region,) = Aim(BINNED, HERE, calibration).regions([roi], _info(BINNED), settings)
    steps = np.hypot(*np.diff(region.pixels, axis=0).T)
    assert steps.max() <= np.sqrt(3) * spot_px / 2 + 1e-9
    assert steps.max() > 0.9 * np.sqrt(3) * spot_px / 2


def test_an_unknown_spot_fills_no_area() -> None:
    roi = {"type": "circle", "points": [[20, 20]], "radius": 5}
    with pytest.raises(CommandRefused, match="size of the spot"):
        Aim(VIEW, HERE, replace(CALIBRATION, spot_px=0.0)).regions([roi], _info(), Photomanipulation())


def test_a_curved_map_is_not_trusted_far_outside() -> None:
    curved = replace(
        CALIBRATION, model="second_order", coefficients=(0, 0.01, 0, 0, 0, 0, 0, 0, 0.01, 0, 0, 0)
    )
    aim = Aim(VIEW, HERE, curved)
    aim.regions([_point(100.0 + 140, 50.0, "um")], _info(), POINTS)
    with pytest.raises(CommandRefused, match="not linear"):
        aim.regions([_point(100.0 + 160, 50.0, "um")], _info(), POINTS)


def test_areas_are_told_in_both_units() -> None:
    roi = {"type": "rectangle", "points": [[10, 10], [20, 30]]}
    (region,) = Aim(VIEW, HERE, CALIBRATION).regions([roi], _info(), POINTS)
    assert (region.area_px, region.area_um2) == pytest.approx((200.0, 50.0))


@pytest.mark.parametrize(
    ("galvo", "optics", "reason"),
    [
        ("Galvo", Optics("Camera", "40X", "Res40x"), "no galvo calibration fits"),
        ("Galvo", Optics("Camera2", "10X", "Res10x"), "no galvo calibration fits"),
        ("Galvo2", OPTICS, "is not calibrated .* calibrations of Galvo only"),
    ],
    ids=["another objective", "another camera", "another galvo"],
)
def test_a_calibration_of_something_else_is_refused(galvo: str, optics: Optics, reason: str) -> None:
    with pytest.raises(CommandRefused, match=reason):
        calibration_for([CALIBRATION], galvo, optics)
    assert calibration_for([CALIBRATION], "Galvo", OPTICS) is CALIBRATION
    with pytest.raises(CommandRefused, match="calibrate galvo"):
        calibration_for([], "Galvo", OPTICS)


def test_sensor_and_image_are_each_other_s_inverse() -> None:
    pixels = np.array([[3.5, 4.0], [0.0, 17.0]])
    assert from_sensor(to_sensor(pixels, (16, 8, 100, 60), 2), (16, 8, 100, 60), 2) == pytest.approx(pixels)


# -- doses


def test_doses_add_up_per_position() -> None:
    ledger = DoseLedger()
    ledger.add(0, Dose.of(10.0, 2.0, 0.5))
    ledger.add(0, Dose.of(5.0, 2.0, 0.5))
    ledger.add(3, Dose.of(1.0, 4.0, 0.5))
    assert ledger.at(0) == Dose(15.0, 30.0, 15.0)
    assert ledger.total == Dose(16.0, 34.0, 17.0)
    assert ledger.at(7) == Dose()


@pytest.mark.parametrize(
    ("power", "mw", "told"),
    [
        (None, None, {"time_ms": 8.0}),
        (2.0, None, {"time_ms": 8.0, "power_time": 16.0}),
        (2.0, 0.25, {"time_ms": 8.0, "power_time": 16.0, "energy_uj": 4.0}),
        (None, 0.25, {"time_ms": 8.0}),
    ],
)
def test_a_dose_tells_what_is_known(power: float | None, mw: float | None, told: dict[str, float]) -> None:
    assert Dose.of(8.0, power, mw).to_dict() == told
