"""Measures how a galvo's coordinates belong to pixels: points it, finds the spot in the image, fits a map."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.mapping import FittedMap, MapModel, apply_map, fit_map
from inscoper_mm.analysis.spots import Spot, find_spot
from inscoper_mm.errors import CalibrationFailed, InvalidInput
from inscoper_mm.microscope.aiming import to_sensor
from inscoper_mm.microscope.galvo import Pointer, PointerRange
from inscoper_mm.microscope.geometry import CameraView

Floats = npt.NDArray[np.float64]
Tell = Callable[[str], None]
Wanted = Literal["affine", "second_order", "auto"]

_BACKGROUNDS = 4
# The first look: as many points each way, over this part of the galvo's range, then over less and less of it.
_FIRST = 5
_PARTS = (0.8, 0.4, 0.2, 0.1, 0.05, 0.02)
_FIRST_FOUND = 6
# How much of the field at each border has no point: spots there are cut.
_BORDER = 0.07
FEWEST_GRID, MOST_GRID = 3, 30
_LEAST_FOUND = 0.5
MOST_RESIDUAL_PX = 2.0
# A spot this far from the map was something else.
_AGREE_PX = 8.0
_PRECISE_PX = 1.0
# A second-order map is taken where it leaves this part or less, and this much less: its six further terms always
# explain some of the noise.
_BETTER = 0.7
_WORTH_PX = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredGalvo:
    """The result of a measurement; pixels are those of the whole sensor without binning.

    Parameters
    ----------
    fitted : FittedMap
        From (col, row) to the galvo's (x, y); its distances are in pixels.
    tried, found : int
        Points of the final grid, and spots seen.
    spot_px : float
        Median full width at half maximum of the spot.
    image_shape : tuple of int
        (Y, X) of the images.
    """

    fitted: FittedMap
    tried: int
    found: int
    spot_px: float
    image_shape: tuple[int, int]


class GalvoMeasurement:
    """Points a galvo, and looks where the spot is.

    Parameters
    ----------
    pointer : Pointer
    snap : callable
        Takes an image (Y, X).
    view : CameraView
        How the camera looks.
    tell : callable
        Gets a line for each step.
    """

    def __init__(
        self,
        pointer: Pointer,
        snap: Callable[[], npt.NDArray[Any]],
        view: CameraView,
        tell: Tell = lambda line: None,
    ) -> None:
        self._pointer = pointer
        self._snap = snap
        self._view = view
        self._tell = tell
        self._background: Floats = np.zeros((0, 0))

    def measure(self, grid: int = 7, model: Wanted = "auto") -> MeasuredGalvo:
        """Measure with ``grid`` times ``grid`` points all over the field.

        Raises
        ------
        CalibrationFailed
            If too few spots are seen, or they do not follow one map.
        """
        self._pointer.illuminate(False)
        self._background = np.mean([self._snap() for _ in range(_BACKGROUNDS)], axis=0)
        rough = self._rough()
        places = self._grid(rough, grid)
        self._tell(f"{len(places)} points all over the field")
        pixels, targets, spots = self._look(places)
        if len(spots) < max(_LEAST_FOUND * len(places), 6):
            raise CalibrationFailed(
                f"Only {len(spots)} of {len(places)} spots were found. Use an even fluorescent specimen, a longer "
                "exposure, or more light."
            )
        fitted = self._fit(pixels, targets, model)
        if fitted.residual > MOST_RESIDUAL_PX:
            raise CalibrationFailed(
                f"The spots do not follow one map: {fitted.residual:.1f} px are left over (model {fitted.model}). "
                f"Allowed: {MOST_RESIDUAL_PX:g} px. Is the galvo the camera's, and does nothing move?"
            )
        size = float(np.median([spot.fwhm_px for spot in spots])) * self._view.binning
        height, width = self._background.shape
        return MeasuredGalvo(fitted, len(places), len(spots), size, (height, width))

    def _rough(self) -> FittedMap:
        """A first map, from points over as much of the range as the camera sees."""
        reach = self._pointer.range
        seen = 0
        for part in _PARTS:
            pixels, targets, _ = self._look(_spread(reach, part))
            self._tell(f"{len(pixels)} of {_FIRST**2} spots seen in {part:.0%} of the galvo's range")
            seen = max(seen, len(pixels))
            if len(pixels) >= _FIRST_FOUND:
                try:
                    return fit_map(pixels, targets, "affine", 3 * _AGREE_PX)
                except InvalidInput as error:
                    raise CalibrationFailed(
                        f"{error} Is the galvo the camera's, and does nothing move?"
                    ) from error
        raise CalibrationFailed(
            f"The spot is not seen: at most {seen} of {_FIRST**2} times. Is its light on, does the emission filter let "
            "it through, is the specimen fluorescent all over, and is the exposure long enough?"
        )

    def _grid(self, rough: FittedMap, count: int) -> Floats:
        """Galvo coordinates (N, 2) of a regular grid in the image, as far as the galvo reaches it."""
        height, width = self._background.shape
        rows, cols = (
            np.linspace(_BORDER * size, (1 - _BORDER) * size - 1, count) for size in (height, width)
        )
        pixels = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
        sensor = to_sensor(pixels, self._view.roi_px, self._view.binning)
        places = apply_map(rough.model, rough.coefficients, sensor[:, ::-1])
        reach = self._pointer.range
        return places[[reach.has(x, y) for x, y in places.tolist()]]

    def _look(self, places: Iterable[Any]) -> tuple[Floats, Floats, list[Spot]]:
        """(col, row) on the sensor and galvo coordinates, (N, 2) each, of the spots that are seen."""
        found = [(spot, place) for place in places if (spot := self._spot_at(*place)) is not None]
        pixels = np.array([(spot.row, spot.col) for spot, _ in found]).reshape(-1, 2)
        sensor = to_sensor(pixels, self._view.roi_px, self._view.binning)
        targets = np.array([place for _, place in found], float).reshape(-1, 2)
        return sensor[:, ::-1], targets, [spot for spot, _ in found]

    def _spot_at(self, x: float, y: float) -> Spot | None:
        self._pointer.aim(float(x), float(y))
        try:
            self._pointer.illuminate(True)
            image = self._snap()
        finally:
            self._pointer.illuminate(False)
        return find_spot(image, self._background)

    def _fit(self, pixels: Floats, targets: Floats, wanted: Wanted) -> FittedMap:
        try:
            if wanted != "auto":
                return fit_map(pixels, targets, wanted, _AGREE_PX, _PRECISE_PX)
            affine = fit_map(pixels, targets, "affine", _AGREE_PX, _PRECISE_PX)
            second = self._second(pixels, targets)
        except InvalidInput as error:
            raise CalibrationFailed(str(error)) from error
        if second is None or second.residual > min(_BETTER * affine.residual, affine.residual - _WORTH_PX):
            return affine
        return second

    @staticmethod
    def _second(pixels: Floats, targets: Floats) -> FittedMap | None:
        model: MapModel = "second_order"
        try:
            return fit_map(pixels, targets, model, _AGREE_PX, _PRECISE_PX)
        except InvalidInput:
            return None  # too few points for it


def _spread(reach: PointerRange, part: float) -> Floats:
    """A regular grid (N, 2) over a part of the range, around its middle."""
    shares = 0.5 + part * np.linspace(-0.5, 0.5, _FIRST)
    xs = reach.x_low + shares * (reach.x_high - reach.x_low)
    ys = reach.y_low + shares * (reach.y_high - reach.y_low)
    return np.asarray(np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2))
