"""Pixels and the stage: the one module that knows signs and axes.

Conventions, all in this module:

- Image coordinates are (row, col); pixel centres have whole coordinates. Stage coordinates are (x, y) in micrometres.
- The stage position is seen at ``(height / 2, width / 2)`` of the whole sensor, in image pixels.
- A pixel that lies ``(drow, dcol)`` from there shows the stage coordinate ``x = x_stage + a dcol + b drow``,
  ``y = y_stage + c dcol + d drow``. ``(a, b, c, d)`` is the linear part of Micro-Manager's pixel size affine, whose six
  numbers are ``a b tx c d ty``; its translation has no meaning there and is not used.
- So with ``a`` and ``d`` positive, content further along +x is seen further right, along +y further down, and a stage
  that moves by +x moves the content to the left. To bring a pixel to the middle of the image, the stage moves by
  ``(a dcol + b drow, c dcol + d drow)`` of the distance from the middle to the pixel: what Micro-Manager does on a
  double click.

Where the affine comes from, the first that there is:

1. a pixel-to-stage calibration of the experiment that holds for this camera and objective;
2. the affine of the pixel size preset in force, if its scale agrees with the preset's pixel size within 10 % (files
   have the unit matrix where nothing was measured; Micro-Manager applies the same rule);
3. the preset's pixel size, columns along +x and rows along +y, turned by the camera's properties ``TransposeXY``,
   ``TransposeMirrorX`` and ``TransposeMirrorY``, in this order, unless ``TransposeCorrection`` says that the camera has
   turned the image already.

Binning enlarges all of them; the Core includes it in what it reports.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import CommandRefused, InvalidInput, short_path
from inscoper_mm.experiment.calibration import Optics, PixelStageCalibration, fitting
from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.microscope.optics import OpticsReader

Linear = tuple[float, float, float, float]
Floats = npt.NDArray[np.float64]

WHAT = "pixel-to-stage calibration"
NO_PIXEL_SIZE = (
    "The pixel size is not known: no pixel size preset of the configuration holds for the present state. Measure it "
    "with 'inscoper-mm calibrate pixel-stage', or in Micro-Manager (Devices, Pixel Size Calibration)."
)
# A larger difference between an affine's scale and its preset's pixel size means that it was never measured.
_TRUSTED = 0.1
TRANSPOSITIONS = ("TransposeXY", "TransposeMirrorX", "TransposeMirrorY")
CORRECTED = "TransposeCorrection"


@dataclass(frozen=True, slots=True)
class PixelMap:
    """Where the pixels of one image lie on the stage.

    Parameters
    ----------
    affine_um : tuple of float
        ``(a, b, c, d)``: x per column, x per row, y per column, y per row, in um per pixel.
    stage_um : tuple of float
        (x, y) of the stage when the image was taken.
    centre_px : tuple of float
        (row, col) of the image at which the stage position is seen; outside of the image for some regions.
    shape : tuple of int
        (Y, X) of the image.
    """

    affine_um: Linear
    stage_um: tuple[float, float]
    centre_px: tuple[float, float]
    shape: tuple[int, int]

    @classmethod
    def of(cls, info: FrameInfo) -> Self:
        """The map of a captured image.

        Raises
        ------
        CommandRefused
            If the pixel size or the stage position was not known when it was taken.
        """
        six, roi, sensor, real = info.pixel_to_stage_um, info.roi_px, info.sensor_px, info.real
        if six is None or roi is None or sensor is None or real.x_um is None or real.y_um is None:
            if real.x_um is None or real.y_um is None:
                raise CommandRefused(
                    "The stage position of this image is not known: there is no XY stage, or it did not answer."
                )
            raise CommandRefused(info.geometry_problem or NO_PIXEL_SIZE)
        row, col = sensor[0] / 2 - roi[1], sensor[1] / 2 - roi[0]
        # Not the stage's own place: an image with another objective shows what the plan's would show elsewhere.
        stage_um = six[0] * col + six[1] * row + six[2], six[3] * col + six[4] * row + six[5]
        return cls((six[0], six[1], six[3], six[4]), stage_um, (row, col), (roi[3], roi[2]))

    @property
    def matrix(self) -> Floats:
        """(2, 2): ``matrix @ (dcol, drow)`` is ``(dx_um, dy_um)``."""
        return np.array(self.affine_um).reshape(2, 2)

    def to_stage(self, row: float, col: float) -> tuple[float, float]:
        """(x_um, y_um), the stage coordinate that is seen at a pixel."""
        dx_um, dy_um = self.displacement_um(row - self.centre_px[0], col - self.centre_px[1])
        return self.stage_um[0] + dx_um, self.stage_um[1] + dy_um

    def to_pixel(self, x_um: float, y_um: float) -> tuple[float, float]:
        """(row, col) at which a stage coordinate is seen; it may lie outside of the image."""
        drow, dcol = self.displacement_px(x_um - self.stage_um[0], y_um - self.stage_um[1])
        return self.centre_px[0] + drow, self.centre_px[1] + dcol

    def centered(self, row: float, col: float) -> tuple[float, float]:
        """(x_um, y_um) to which the stage must go so that what is at the pixel comes to the middle of the image."""
        dx_um, dy_um = self.displacement_um(row - self.shape[0] / 2, col - self.shape[1] / 2)
        return self.stage_um[0] + dx_um, self.stage_um[1] + dy_um

    def displacement_um(self, drow: float, dcol: float) -> tuple[float, float]:
        """A distance in pixels as (dx_um, dy_um) on the stage."""
        a, b, c, d = self.affine_um
        return a * dcol + b * drow, c * dcol + d * drow

    def displacement_px(self, dx_um: float, dy_um: float) -> tuple[float, float]:
        """A distance on the stage as (drow, dcol) in the image."""
        a, b, c, d = self.affine_um
        determinant = a * d - b * c
        return (a * dy_um - c * dx_um) / determinant, (d * dx_um - b * dy_um) / determinant

    def to_stage_many(self, pixels: npt.ArrayLike) -> Floats:
        """As `to_stage` for (N, 2) pixels (row, col); gives (N, 2) stage coordinates (x, y)."""
        distances = np.asarray(pixels, float).reshape(-1, 2) - self.centre_px
        return np.asarray(self.stage_um + distances[:, ::-1] @ self.matrix.T)

    def to_pixel_many(self, places_um: npt.ArrayLike) -> Floats:
        """As `to_pixel` for (N, 2) stage coordinates (x, y); gives (N, 2) pixels (row, col)."""
        distances = np.asarray(places_um, float).reshape(-1, 2) - self.stage_um
        return np.asarray((distances @ np.linalg.inv(self.matrix).T)[:, ::-1] + self.centre_px)


@dataclass(frozen=True, slots=True)
class CameraView:
    """How the camera looks at the stage now: everything of an image's geometry but the stage position.

    Parameters
    ----------
    camera : str
    binning : int
    roi_px : tuple of int
        (x, y, width, height) of what is read, in image pixels.
    sensor_px : tuple of int
        (height, width) of the whole sensor, in image pixels.
    affine_um : tuple of float, optional
        ``(a, b, c, d)`` for these pixels; None where nothing is known.
    pixel_size_um : float, optional
    source : str
        Where the affine comes from.
    problem : str
        Why there is none, with the cure.
    """

    camera: str
    binning: int
    roi_px: tuple[int, int, int, int]
    sensor_px: tuple[int, int]
    affine_um: Linear | None = None
    pixel_size_um: float | None = None
    source: str = ""
    problem: str = ""

    def pixel_to_stage_um(self, at: StagePosition) -> tuple[float, float, float, float, float, float] | None:
        """``(a, b, tx, c, d, ty)`` of an image taken ``at``: ``x = a col + b row + tx``, ``y = c col + d row + ty``."""
        if self.affine_um is None or at.x_um is None or at.y_um is None:
            return None
        a, b, c, d = self.affine_um
        row, col = self.sensor_px[0] / 2 - self.roi_px[1], self.sensor_px[1] / 2 - self.roi_px[0]
        return a, b, at.x_um - a * col - b * row, c, d, at.y_um - c * col - d * row


class Geometry:
    """Reads from the Core how its camera looks at the stage.

    Parameters
    ----------
    core : CMMCore
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        self._optics = OpticsReader(core)
        self._calibrations: tuple[PixelStageCalibration, ...] = ()
        self._has: dict[tuple[str, str], bool] = {}
        self._reached: dict[str, tuple[int, int]] = {}
        self._key: tuple[Any, ...] | None = None
        self._view: CameraView | None = None

    def use(self, calibrations: Iterable[PixelStageCalibration]) -> None:
        """Let measured maps take the place of the Core's affine wherever they hold."""
        self._calibrations = tuple(calibrations)
        self._key = None

    @property
    def optics(self) -> Optics:
        """Camera and objective as they are now, the names that calibrations hold for."""
        return self._optics.read()

    def refuse_foreign(self) -> None:
        """Refuse calibrations of which none holds for the microscope as it stands.

        Raises
        ------
        InvalidInput
        """
        fitting(self._calibrations, self.optics, WHAT)

    def view(self) -> CameraView:
        """How the camera looks at the stage now. Costs some microseconds: it is worked out only after a change."""
        core, optics = self._core, self._optics.read()
        camera = optics.camera
        binning = self._binning(camera)
        roi = tuple(core.getROI()) if camera else (0, 0, 0, 0)
        size_um = core.getPixelSizeUm(True)
        key = (optics, binning, roi, size_um, core.getPixelSizeAffine(True))
        if key != self._key or self._view is None:
            self._view = self._work_out(*key)
            self._key = key
        return self._view

    def _work_out(
        self, optics: Optics, binning: int, roi: Any, size_um: float, affine: tuple[float, ...]
    ) -> CameraView:
        roi = (int(roi[0]), int(roi[1]), int(roi[2]), int(roi[3]))
        sensor = self._sensor(optics.camera, binning, roi)
        linear, size, source, problem = self._affine(optics, binning, float(size_um), affine)
        return CameraView(optics.camera, binning, roi, sensor, linear, size, source, problem)

    def _affine(
        self, optics: Optics, binning: int, size_um: float, affine: tuple[float, ...]
    ) -> tuple[Linear | None, float | None, str, str]:
        try:
            measured = fitting(self._calibrations, optics, WHAT)
        except InvalidInput as error:
            return None, size_um or None, "", str(error)
        if measured is not None:
            a, b, c, d = (value * binning for value in measured.affine_um)
            where = f"calibration {short_path(measured.file)}" if measured.file else "calibration"
            return (a, b, c, d), scale_of((a, b, c, d)), where, ""
        if not size_um > 0:
            return None, None, "", NO_PIXEL_SIZE
        trusted = trusted_affine(affine, size_um, binning)
        if trusted is not None:
            return trusted, size_um, f"affine of pixel size preset {optics.preset}", ""
        flags = {name: self._flag(optics.camera, name) for name in (*TRANSPOSITIONS, CORRECTED)}
        return transposed(size_um, flags), size_um, f"pixel size of preset {optics.preset}", ""

    # -- the camera

    def _binning(self, camera: str) -> int:
        if not camera or not self._knows(camera, "Binning"):
            return 1
        return parse_binning(self._core.getPropertyFromCache(camera, "Binning"))

    def _sensor(self, camera: str, binning: int, roi: tuple[int, int, int, int]) -> tuple[int, int]:
        """(height, width) in image pixels; of a camera that does not tell, what its regions have reached."""
        if self._knows(camera, "OnCameraCCDXSize") and self._knows(camera, "OnCameraCCDYSize"):
            sizes = (self._core.getPropertyFromCache(camera, f"OnCameraCCD{axis}Size") for axis in "YX")
            height, width = (int(float(size)) for size in sizes)
            return height // binning, width // binning
        height, width = self._reached.get(camera, (0, 0))
        bottom, right = (roi[1] + roi[3]) * binning, (roi[0] + roi[2]) * binning
        self._reached[camera] = height, width = max(height, bottom), max(width, right)
        return height // binning, width // binning

    def _flag(self, camera: str, name: str) -> bool:
        return self._knows(camera, name) and self._core.getPropertyFromCache(camera, name) not in ("0", "")

    def _knows(self, camera: str, name: str) -> bool:
        known = self._has.get((camera, name))
        if known is None:
            known = self._has[camera, name] = bool(camera) and bool(self._core.hasProperty(camera, name))
        return known


def parse_binning(text: object) -> int:
    """The binning that a camera's property says: "2" or, on some cameras, "2x2"; 1 where it speaks otherwise."""
    number = re.match(r"\s*(\d+)", str(text))
    return max(1, int(number[1])) if number else 1


def scale_of(affine_um: Linear) -> float:
    """The side of a square as large as a pixel of this map, in um."""
    a, b, c, d = affine_um
    return math.sqrt(abs(a * d - b * c))


def trusted_affine(affine: tuple[float, ...], size_um: float, binning: int = 1) -> Linear | None:
    """The linear part of a pixel size preset's affine, or None where it was never measured.

    Parameters
    ----------
    affine : tuple of float
        Six numbers, as Micro-Manager has them, for pixels of ``size_um``.
    size_um : float
    binning : int
        The binning that both include.
    """
    if len(affine) != 6:
        return None
    linear = (float(affine[0]), float(affine[1]), float(affine[3]), float(affine[4]))
    unit = linear == (binning, 0.0, 0.0, binning)
    return None if unit or abs(scale_of(linear) - size_um) > _TRUSTED * size_um else linear


def transposed(size_um: float, flags: Mapping[str, bool]) -> Linear:
    """The map of square pixels on a camera with these orientation properties (see the top of this module)."""
    a, b, c, d = size_um, 0.0, 0.0, size_um
    if flags.get(CORRECTED):
        return a, b, c, d
    if flags.get("TransposeXY"):
        a, b, c, d = 0.0, size_um, size_um, 0.0
    if flags.get("TransposeMirrorX"):
        a, b = -a, -b
    if flags.get("TransposeMirrorY"):
        c, d = -c, -d
    return a, b, c, d


def orientation(affine_um: Linear) -> dict[str, Any]:
    """What a map means, for people.

    Returns
    -------
    dict
        ``pixel_size_um`` (of a square of the same area), ``scale_x_um`` and ``scale_y_um`` (length of a step of one
        column and one row), ``rotation_deg`` (of the columns against the stage's x, 0 to 360), ``mirrored``, and
        ``shear_deg`` (how far columns and rows are from a right angle).
    """
    a, b, c, d = affine_um
    mirrored = a * d - b * c < 0
    columns, rows = math.degrees(math.atan2(c, a)), math.degrees(math.atan2(d, b))
    angle = (rows - columns + 180) % 360 - 180
    return {
        "pixel_size_um": scale_of(affine_um),
        "scale_x_um": math.hypot(a, c),
        "scale_y_um": math.hypot(b, d),
        "rotation_deg": columns % 360,
        "mirrored": mirrored,
        "shear_deg": (-90 if mirrored else 90) - angle,
    }
