"""Measuring how pixels lie on the stage: known maps are found again, and what cannot be measured is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inscoper_mm.errors import CalibrationFailed, LimitRefused
from inscoper_mm.microscope.geometry import orientation
from inscoper_mm.microscope.stage_calibration import measure_pixel_stage
from inscoper_mm.specimen import Camera, Specimen, SpecimenParameters, View

Image = npt.NDArray[Any]


class Bench:
    """A stage over the specimen, and what can be wrong with it."""

    def __init__(self, camera: Camera, seed: int = 1, binning: int = 1, **parameters: Any) -> None:
        self.specimen = Specimen(SpecimenParameters(seed=seed, **parameters))
        self.view = View(
            x_um=310.0,
            y_um=-45.0,
            z_um=0.0,
            channel="DAPI",
            exposure_ms=20.0,
            pixel_size_um=(camera.pixel_size_um or 1.0) * binning,
            binning=binning,
            sensor=(512 // binning, 512 // binning),
            orientation=camera.orientation,
        )
        self.spoil: Callable[[Image], Image] = lambda image: image
        self._told = (self.view.x_um, self.view.y_um)
        self.places: list[tuple[float, float]] = [self._told]
        self.half_um = math.inf
        self.largest_step_um = math.inf
        self.scale = 1.0
        self.backlash_um = 0.0
        self.stuck = False

    def snap(self) -> Image:
        return self.spoil(self.specimen.render(self.view))

    def stage_um(self) -> tuple[float, float]:
        return self._told

    def check(self, x_um: float, y_um: float) -> None:
        if max(abs(x_um - 310), abs(y_um + 45)) > self.half_um:
            raise LimitRefused("outside")
        if math.dist((x_um, y_um), self._told) > self.largest_step_um:
            raise LimitRefused("too large a step")

    def move(self, x_um: float, y_um: float) -> None:
        self.check(x_um, y_um)
        if self.stuck:
            return
        self.places.append((x_um, y_um))
        lag_um = math.copysign(self.backlash_um, x_um - self._told[0])
        self.view = replace(self.view, x_um=310 + (x_um - 310) * self.scale - lag_um, y_um=y_um)
        self._told = x_um, y_um


def errors_of(found: tuple[float, ...], camera: Camera) -> tuple[float, float]:
    """Largest error of scale in percent, and of the columns' and the rows' direction in degrees."""
    true = np.array(camera.orientation.affine_um(camera.pixel_size_um or 1.0)).reshape(2, 2)
    ratio = np.linalg.inv(true) @ np.array(found).reshape(2, 2)
    scales = np.hypot(ratio[0], ratio[1])
    angles = np.degrees([math.atan2(ratio[1, 0], ratio[0, 0]), math.atan2(ratio[0, 1], ratio[1, 1])])
    return 100 * float(np.abs(scales - 1).max()), float(np.abs(angles).max())


CAMERAS = {
    "nearly straight": Camera(3, False, pixel_size_um=0.325),
    "turned": Camera(91, False, pixel_size_um=0.325),
    "turned and mirrored": Camera(91, True, pixel_size_um=0.325),
    "upside down, mirrored": Camera(177.5, True, pixel_size_um=0.65),
    "diagonal": Camera(45, False, pixel_size_um=0.65),
    "sheared, not square": Camera(12, False, 1.05, 2.0, 1.0),
}


@pytest.mark.parametrize(
    ("name", "believed"),
    [
        *((name, "right") for name in CAMERAS),
        ("turned", "a third"),
        ("turned", "unknown"),
        ("diagonal", "unknown"),
    ],
)
def test_a_known_map_is_found_again(name: str, believed: str) -> None:
    camera = CAMERAS[name]
    size_um = {"right": camera.pixel_size_um, "a third": camera.pixel_size_um / 3, "unknown": None}[believed]
    bench = Bench(camera)
    lines: list[str] = []
    measured = measure_pixel_stage(bench, size_um, lines.append)
    scale_percent, angle_deg = errors_of(measured.affine_um, camera)
    assert scale_percent < 0.2
    assert angle_deg < 0.1
    assert measured.residual_px < 0.3
    assert len(measured.moves) == measured.tried == 8
    assert orientation(measured.affine_um)["mirrored"] == camera.mirrored
    assert bench.stage_um() == (310.0, -45.0)
    assert any("agreement" in line for line in lines)


@pytest.mark.parametrize("seed", [2, 5, 7])
def test_binned_images_and_other_cells_do_as_well(seed: int) -> None:
    camera = Camera(91, True, pixel_size_um=0.325)
    measured = measure_pixel_stage(Bench(camera, seed, binning=2), 0.65)
    assert measured.image_shape == (256, 256)
    affine = tuple(value / 2 for value in measured.affine_um)
    scale_percent, angle_deg = errors_of(affine, camera)
    assert scale_percent < 0.2
    assert angle_deg < 0.1


def test_the_stage_never_leaves_its_limits_and_smaller_moves_do() -> None:
    bench = Bench(CAMERAS["turned"])
    bench.half_um = 25.0
    measured = measure_pixel_stage(bench, 0.325)
    assert max(max(abs(x - 310), abs(y + 45)) for x, y in bench.places) <= 25
    scale_percent, angle_deg = errors_of(measured.affine_um, CAMERAS["turned"])
    assert scale_percent < 0.5
    assert angle_deg < 0.3


def test_a_largest_step_is_respected_and_still_leads_back() -> None:
    bench = Bench(CAMERAS["turned"])
    bench.largest_step_um = 40.0
    measured = measure_pixel_stage(bench, 0.325)
    assert max(math.dist(*pair) for pair in itertools.pairwise(bench.places)) <= 40
    assert bench.stage_um() == pytest.approx((310.0, -45.0))
    scale_percent, angle_deg = errors_of(measured.affine_um, CAMERAS["turned"])
    assert scale_percent < 0.4
    assert angle_deg < 0.2


def test_a_stage_that_cannot_return_is_told() -> None:
    bench = Bench(CAMERAS["turned"])
    bench.spoil = _fixed()
    really = bench.move

    def move(x_um: float, y_um: float) -> None:
        if len(bench.places) > 6:
            raise LimitRefused("no travel is left")
        really(x_um, y_um)

    bench.move = move  # type: ignore[method-assign]
    with pytest.raises((CalibrationFailed, LimitRefused)) as caught:
        measure_pixel_stage(bench, 0.325)
    assert any("could not return" in note for note in caught.value.__notes__)


def test_without_room_nothing_is_measured() -> None:
    bench = Bench(CAMERAS["turned"])
    bench.half_um = 2.0
    with pytest.raises(LimitRefused, match=r"outside|no room"):
        measure_pixel_stage(bench, 0.325)
    assert bench.stage_um() == (310.0, -45.0)


def _noise() -> Callable[[Image], Image]:
    generator = np.random.default_rng(1)
    return lambda image: generator.normal(200, 20, image.shape).astype(np.uint16)


def _fixed() -> Callable[[Image], Image]:
    first: list[Image] = []
    return lambda image: (first.append(image) or first[0]).copy()


def _drifting() -> Callable[[Image], Image]:
    count = iter(range(1000))
    return lambda image: np.roll(image, 5 * next(count), axis=1)


def _other_fields() -> Callable[[Image], Image]:
    """After some images, each shows other cells."""
    count = iter(range(1000))

    def spoil(image: Image) -> Image:
        number = next(count)
        return (
            image
            if number < 4
            else np.random.default_rng(number).permuted(image.reshape(64, -1), axis=0).reshape(image.shape)
        )

    return spoil


REFUSED: dict[str, tuple[Callable[[Bench], None], str]] = {
    "blank": (
        lambda bench: setattr(bench, "spoil", lambda image: np.full_like(image, 100)),
        "too little structure",
    ),
    "noise": (lambda bench: setattr(bench, "spoil", _noise()), "too little structure.*exposure"),
    "the stage does not move": (lambda bench: setattr(bench, "stuck", True), "stage does not move"),
    "the image stays": (lambda bench: setattr(bench, "spoil", _fixed()), "does not follow the stage"),
    "the image drifts": (lambda bench: setattr(bench, "spoil", _drifting()), "while the stage stands"),
    "nothing is found again": (
        lambda bench: setattr(bench, "spoil", _other_fields()),
        "could be (found again|matched)",
    ),
    "backlash": (lambda bench: setattr(bench, "backlash_um", 3.0), "not return|straight map"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_is_refused_with_the_reason(name: str) -> None:
    bench = Bench(CAMERAS["nearly straight"])
    spoil, words = REFUSED[name]
    spoil(bench)
    with pytest.raises(CalibrationFailed, match=words):
        measure_pixel_stage(bench, 0.325)
    assert bench.stage_um() == (310.0, -45.0)
    # An image that does not follow leads the stage nowhere near its end.
    assert max(math.dist(place, (310.0, -45.0)) for place in bench.places) <= 5000
