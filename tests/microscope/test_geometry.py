"""Pixels and the stage, without a Core: signs and axes against the specimen's own coordinates, and the rules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inscoper_mm.errors import CommandRefused
from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.microscope.geometry import (
    CameraView,
    PixelMap,
    orientation,
    parse_binning,
    transposed,
    trusted_affine,
)
from inscoper_mm.specimen import ORIENTATIONS, View

ROI = (100, 40, 200, 130)


def info_of(view: CameraView, at: StagePosition) -> FrameInfo:
    return FrameInfo(
        "e000000",
        Index(),
        Sizes(),
        real=at,
        pixel_to_stage_um=view.pixel_to_stage_um(at),
        roi_px=view.roi_px,
        sensor_px=view.sensor_px,
        geometry_problem=view.problem,
    )


def seen(name: str, roi: tuple[int, int, int, int] | None, binning: int) -> tuple[View, PixelMap]:
    """What the specimen says about a view, and the map of an image of it."""
    orientation, pixel_um = ORIENTATIONS[name], 0.325 * binning
    sensor = (480 // binning, 640 // binning)
    truth = View(1200.0, -340.0, 0.0, "DAPI", 10.0, pixel_um, binning, sensor, roi, orientation=orientation)
    camera = CameraView(
        "Camera",
        binning,
        roi or (0, 0, sensor[1], sensor[0]),
        sensor,
        orientation.affine_um(pixel_um),
        pixel_um,
    )
    return truth, PixelMap.of(info_of(camera, StagePosition(1200.0, -340.0, 0.0)))


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize("roi", [None, ROI], ids=["whole", "region"])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_a_pixel_shows_what_the_specimen_has_there(
    name: str, roi: tuple[int, int, int, int] | None, binning: int
) -> None:
    truth, pixels = seen(name, roi, binning)
    assert pixels.shape == truth.shape
    for row, col in [(0, 0), (17.25, 90.5), (truth.shape[0] - 1, truth.shape[1] - 1), (-30, 700)]:
        place = truth.to_stage(row, col)
        assert pixels.to_stage(row, col) == pytest.approx(place)
        assert pixels.to_pixel(*place) == pytest.approx((row, col))


@pytest.mark.parametrize("roi", [None, ROI], ids=["whole", "region"])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_a_centered_pixel_is_in_the_middle_of_the_next_image(
    name: str, roi: tuple[int, int, int, int] | None
) -> None:
    truth, pixels = seen(name, roi, 1)
    thing_um = truth.to_stage(31.0, 150.0)
    x_um, y_um = pixels.centered(31.0, 150.0)
    there = View(x_um, y_um, 0.0, "DAPI", 10.0, 0.325, 1, truth.sensor, roi, orientation=truth.orientation)
    assert there.to_pixel(*thing_um) == pytest.approx((truth.shape[0] / 2, truth.shape[1] / 2))


def test_a_double_click_in_micro_manager_moves_the_stage_alike() -> None:
    # Its rule: the affine, applied to the distance from the click to the middle, both results negated.
    affine = np.array([[-0.649, -0.005], [-0.0048, 0.6489]])
    row, col, height, width = 40.0, 300.0, 480, 640
    moved = -affine @ (width / 2 - col, height / 2 - row)
    pixels = PixelMap((-0.649, -0.005, -0.0048, 0.6489), (10.0, 20.0), (240, 320), (height, width))
    assert pixels.centered(row, col) == pytest.approx((10 + moved[0], 20 + moved[1]))


def test_many_pixels_at_once() -> None:
    pixels = PixelMap((0.1, 0.6, -0.7, 0.2), (5.0, -3.0), (100.0, 120.0), (200, 240))
    asked = np.random.default_rng(1).uniform(-50, 300, (20, 2))
    places = pixels.to_stage_many(asked)
    assert places == pytest.approx(np.array([pixels.to_stage(*pixel) for pixel in asked]))
    assert pixels.to_pixel_many(places) == pytest.approx(asked)
    assert pixels.to_stage_many([]).shape == pixels.to_pixel_many([]).shape == (0, 2)


def test_what_is_not_known_is_refused_with_its_cure() -> None:
    view = CameraView("Camera", 1, (0, 0, 10, 10), (10, 10), (1.0, 0.0, 0.0, 1.0), 1.0)
    with pytest.raises(CommandRefused, match="no XY stage"):
        PixelMap.of(info_of(view, StagePosition()))
    unknown = CameraView("Camera", 1, (0, 0, 10, 10), (10, 10), problem="no preset holds")
    with pytest.raises(CommandRefused, match="no preset holds"):
        PixelMap.of(info_of(unknown, StagePosition(0, 0, 0)))
    with pytest.raises(CommandRefused, match="calibrate pixel-stage"):
        PixelMap.of(FrameInfo("e000000", Index(), Sizes(), real=StagePosition(0, 0, 0)))


@pytest.mark.parametrize(
    ("affine", "size_um", "binning", "linear"),
    [
        pytest.param((1, 0, 0, 0, 1, 0), 0.5, 1, None, id="never measured"),
        pytest.param((2, 0, 0, 0, 2, 0), 1.0, 2, None, id="never measured, binned"),
        pytest.param((1, 0, 0, 0, 1, 0), 1.05, 1, None, id="the unit matrix, near the size"),
        pytest.param((0, 0.5, 7, -0.5, 0, 9), 0.5, 1, (0, 0.5, -0.5, 0), id="turned; translation left out"),
        pytest.param((0.54, 0, 0, 0, 0.54, 0), 0.5, 1, (0.54, 0, 0, 0.54), id="8 % off"),
        pytest.param((0.56, 0, 0, 0, 0.56, 0), 0.5, 1, None, id="12 % off"),
        pytest.param(
            (-0.6491, -0.005, 0, -0.0048, 0.6489, 0), 0.65, 1, (-0.6491, -0.005, -0.0048, 0.6489), id="real"
        ),
        pytest.param((0, 0, 0, 0, 0, 0), 0.5, 1, None, id="nothing"),
        pytest.param((), 0.5, 1, None, id="empty"),
    ],
)
def test_an_affine_is_trusted_where_its_scale_is_the_pixel_size(affine, size_um, binning, linear) -> None:
    assert trusted_affine(affine, size_um, binning) == linear


@pytest.mark.parametrize(
    ("flags", "linear"),
    [
        ((), (2, 0, 0, 2)),
        (("TransposeMirrorX",), (-2, 0, 0, 2)),
        (("TransposeMirrorY",), (2, 0, 0, -2)),
        (("TransposeXY",), (0, 2, 2, 0)),
        (("TransposeXY", "TransposeMirrorX"), (0, -2, 2, 0)),
        (("TransposeXY", "TransposeMirrorX", "TransposeMirrorY"), (0, -2, -2, 0)),
        (("TransposeXY", "TransposeCorrection"), (2, 0, 0, 2)),
    ],
)
def test_orientation_properties_turn_the_pixel_size(
    flags: tuple[str, ...], linear: tuple[float, ...]
) -> None:
    assert transposed(2, dict.fromkeys(flags, True)) == linear


@pytest.mark.parametrize(
    ("degrees", "mirrored"), [(0, False), (3, False), (91, False), (180, True), (271.5, True), (359, False)]
)
def test_orientation_in_words(degrees: float, mirrored: bool) -> None:
    turn = math.radians(degrees)
    flip = -1 if mirrored else 1
    words = orientation(
        (
            0.3 * math.cos(turn),
            -0.4 * flip * math.sin(turn),
            0.3 * math.sin(turn),
            0.4 * flip * math.cos(turn),
        )
    )
    assert words == pytest.approx(
        {
            "pixel_size_um": math.sqrt(0.12),
            "scale_x_um": 0.3,
            "scale_y_um": 0.4,
            "rotation_deg": degrees,
            "mirrored": mirrored,
            "shear_deg": 0.0,
        },
        abs=1e-9,
    )


@pytest.mark.parametrize(
    ("text", "binning"), [("2", 2), ("2x2", 2), (" 4 x 4", 4), (1, 1), ("Full", 1), ("0", 1)]
)
def test_binning_is_read_as_cameras_say_it(text: object, binning: int) -> None:
    assert parse_binning(text) == binning
