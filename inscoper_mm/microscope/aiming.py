"""From regions of an image to coordinates of the galvo: through the calibration, and the stage where it has moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.filling import fill_points
from inscoper_mm.analysis.mapping import apply_map
from inscoper_mm.analysis.shapes import Shape, make_shape
from inscoper_mm.errors import CommandRefused, InvalidInput
from inscoper_mm.experiment.calibration import GalvoCalibration, Optics, fitting
from inscoper_mm.experiment.photomanipulation import Photomanipulation
from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.microscope.geometry import CameraView, PixelMap

Floats = npt.NDArray[np.float64]

# A stage that reports this much of a pixel elsewhere still stands: its last digits tremble.
_STANDS_PX = 0.05
# Pixel sizes that differ by this part are of different objectives.
_SAME = 1e-3
# A second-order map is right where it was measured, and no farther than this part of the image beyond.
_BEYOND = 0.1
_WHAT = "galvo calibration"


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A region that is ready to be fired at.

    Parameters
    ----------
    kind : str
        The type of the region.
    pixels : ndarray
        (N, 2): the points in the image that the region belongs to, (row, col).
    places : ndarray
        (N, 2): the same points in the galvo's coordinates, (x, y).
    area_px, area_um2 : float
        0 of points and lines; None where the pixel size is not known.
    """

    kind: str
    pixels: Floats
    places: Floats
    area_px: float
    area_um2: float | None


@dataclass(frozen=True, slots=True)
class Aim:
    """How the microscope stands now: what pixels of an image have to be brought to.

    Parameters
    ----------
    view : CameraView
    at : StagePosition
    calibration : GalvoCalibration
        One that holds for it.
    """

    view: CameraView
    at: StagePosition
    calibration: GalvoCalibration

    def regions(
        self, rois: Sequence[Mapping[str, Any]], info: FrameInfo, settings: Photomanipulation
    ) -> tuple[Region, ...]:
        """The points to fire at.

        Parameters
        ----------
        rois : sequence of mapping
            Regions in the contract's form; those in px belong to the image ``info``.
        info : FrameInfo
            The image.
        settings : Photomanipulation
            Fill, spot and overlap.

        Raises
        ------
        CommandRefused
            A bad region, one outside of the image or the field, or one that cannot be followed to where the
            stage is now. Nothing was fired.
        """
        if not rois:
            raise CommandRefused("There is no region to fire at: the list is empty. Nothing was fired.")
        try:
            return tuple(self._region(roi, info, settings) for roi in rois)
        except InvalidInput as error:
            raise CommandRefused(f"{error} Nothing was fired.") from error

    def _region(self, roi: Mapping[str, Any], info: FrameInfo, settings: Photomanipulation) -> Region:
        if not isinstance(roi, Mapping):
            raise CommandRefused(
                f"A region must be a dict with 'type' and 'points'. Got: {type(roi).__name__}. Nothing was fired."
            )
        shape = _in_pixels(roi, info)
        fill = "points" if shape.kind == "point" else settings.fill
        spot = 1.0 if fill == "points" else spot_px(settings, self.calibration, info)
        pixels = fill_points(shape, fill, spot, settings.overlap)
        six = info.pixel_to_stage_um
        scale = None if six is None else abs(six[0] * six[4] - six[1] * six[3])
        return Region(
            shape.kind,
            pixels,
            self._places(pixels, info),
            shape.area,
            None if scale is None else shape.area * scale,
        )

    def _places(self, pixels: Floats, info: FrameInfo) -> Floats:
        """Galvo coordinates (N, 2) of pixels of the image ``info``."""
        sensor = self._on_sensor(pixels, info)
        calibration = self.calibration
        if calibration.model != "affine":
            self._check_measured(sensor)
        return apply_map(calibration.model, calibration.coefficients, sensor[:, ::-1])

    def _on_sensor(self, pixels: Floats, info: FrameInfo) -> Floats:
        """(row, col) on the whole sensor without binning at which the content of the pixels is seen now."""
        if info.camera and self.view.camera != info.camera:
            raise CommandRefused(
                f"The image is of camera '{info.camera}', but the camera is now '{self.view.camera}'. "
                "Nothing was fired."
            )
        if self._stands(info):
            return to_sensor(pixels, _roi(info), info.binning or 1)
        six = self.view.pixel_to_stage_um(self.at)
        if six is None or self.at.x_um is None or self.at.y_um is None:
            raise CommandRefused(
                "The stage or the objective has moved since the image was taken, and where its pixels are now is not "
                f"known: {self.view.problem or 'there is no stage position'} Nothing was fired."
            )
        then = PixelMap.of(info)
        # With an objective of its own offset, the image's map is not that of the bare stage; nor is the present one.
        same = _unbinned(info.pixel_size_um, info.binning or 1) == _unbinned(
            self.view.pixel_size_um, self.view.binning
        )
        dx_um, dy_um = (
            ((info.real.x_um or 0.0) - then.stage_um[0], (info.real.y_um or 0.0) - then.stage_um[1])
            if same
            else (0.0, 0.0)
        )
        now = PixelMap(
            (six[0], six[1], six[3], six[4]),
            (self.at.x_um - dx_um, self.at.y_um - dy_um),
            (
                self.view.sensor_px[0] / 2 - self.view.roi_px[1],
                self.view.sensor_px[1] / 2 - self.view.roi_px[0],
            ),
            (self.view.roi_px[3], self.view.roi_px[2]),
        )
        seen = now.to_pixel_many(then.to_stage_many(pixels))
        return to_sensor(seen, self.view.roi_px, self.view.binning)

    def _stands(self, info: FrameInfo) -> bool:
        """Whether the camera still looks at what it looked at, region and binning aside."""
        real, size_um = info.real, _unbinned(info.pixel_size_um, info.binning or 1)
        now_um = _unbinned(self.view.pixel_size_um, self.view.binning)
        if (size_um is None) != (now_um is None) or not np.isclose(size_um or 1.0, now_um or 1.0, rtol=_SAME):
            return False  # another objective
        then, now = info.pixel_to_stage_um, self.view.affine_um
        if then is not None and now is not None:
            before = np.array([then[0], then[1], then[3], then[4]]) / (info.binning or 1)
            if not np.allclose(
                before, np.array(now) / self.view.binning, rtol=0, atol=_SAME * abs(before).max()
            ):
                return False  # the camera was turned, or another calibration holds
        pairs = ((real.x_um, self.at.x_um), (real.y_um, self.at.y_um))
        near_um = _STANDS_PX * (size_um or 1.0)
        return all(a == b or (a is not None and b is not None and abs(a - b) < near_um) for a, b in pairs)

    def _check_measured(self, sensor: Floats) -> None:
        shape = np.array(self.calibration.image_shape) * self.calibration.binning
        if np.any(sensor < -_BEYOND * shape) or np.any(sensor > (1 + _BEYOND) * shape):
            raise CommandRefused(
                "The region lies outside of the field in which the galvo was calibrated, and the calibration is not "
                f"linear ({self.calibration.model}). Nothing was fired."
            )


def to_sensor(pixels: Floats, roi_px: tuple[int, int, int, int], binning: int) -> Floats:
    """(row, col) of the whole sensor without binning, of pixels of an image with that region and binning."""
    return np.asarray((pixels + np.array([roi_px[1], roi_px[0]])) * binning)


def from_sensor(sensor: Floats, roi_px: tuple[int, int, int, int], binning: int) -> Floats:
    """The inverse of `to_sensor`."""
    return np.asarray(sensor / binning - np.array([roi_px[1], roi_px[0]]))


def calibration_for(calibrations: Sequence[GalvoCalibration], galvo: str, optics: Optics) -> GalvoCalibration:
    """The calibration of ``galvo`` that holds for this camera and objective.

    Raises
    ------
    CommandRefused
        If there is none, or only of another galvo, camera or objective.
    """
    own = [calibration for calibration in calibrations if calibration.galvo == galvo]
    try:
        found = fitting(own, optics, _WHAT)
    except InvalidInput as error:
        raise CommandRefused(f"{error} Nothing was fired.") from error
    if found is not None:
        return found
    others = sorted({calibration.galvo for calibration in calibrations})
    hint = f" There are calibrations of {', '.join(others)} only." if others else ""
    raise CommandRefused(
        f"The galvo '{galvo}' is not calibrated for this camera ({optics}).{hint} Measure it with 'inscoper-mm "
        "calibrate galvo', and name the file in the experiment's 'microscope: calibrations:'. Nothing was fired."
    )


def spot_px(settings: Photomanipulation, calibration: GalvoCalibration, info: FrameInfo) -> float:
    """The diameter of the spot in pixels of the image ``info``.

    Raises
    ------
    CommandRefused
        If it is not known.
    """
    if settings.spot_um is not None:
        if not info.pixel_size_um:
            raise CommandRefused(
                "The size of the spot is given in um, but the pixel size is not known. Give 'spot_px'. "
                "Nothing was fired."
            )
        return settings.spot_um / info.pixel_size_um
    sensor_px = settings.spot_px or calibration.spot_px
    if not sensor_px:
        raise CommandRefused(
            "The size of the spot is not known, so an area cannot be filled. Give 'photomanipulation: "
            "{spot_um: ...}' or 'fill: points' in the experiment. Nothing was fired."
        )
    return sensor_px / (info.binning or 1)


def _in_pixels(roi: Mapping[str, Any], info: FrameInfo) -> Shape:
    unit = roi.get("unit", "px")
    shape = make_shape(roi)
    if unit == "px":
        _, _, width, height = _roi(info)
        shape.check_in_field((height, width))
        return shape
    if unit != "um":
        raise CommandRefused(f"The unit of a region is 'px' or 'um'. Got: {unit!r}. Nothing was fired.")
    return shape.mapped(PixelMap.of(info).to_pixel_many)


def _unbinned(size_um: float | None, binning: int) -> float | None:
    return size_um / binning if size_um else None


def _roi(info: FrameInfo) -> tuple[int, int, int, int]:
    if info.roi_px is None:
        raise CommandRefused("Which part of the sensor the image shows is not known. Nothing was fired.")
    return info.roi_px
