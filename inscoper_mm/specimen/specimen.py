"""The virtual specimen: what a camera sees of it, and the truth about it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen import optics
from inscoper_mm.specimen.bleaching import DYES, Ledger, Left, Spot, look_at
from inscoper_mm.specimen.camera import Noise, digitise
from inscoper_mm.specimen.channels import look_of
from inscoper_mm.specimen.outline import Floats
from inscoper_mm.specimen.parameters import Jump, SpecimenParameters
from inscoper_mm.specimen.population import Population
from inscoper_mm.specimen.recent import Recent
from inscoper_mm.specimen.stamps import Stamp, make_stamp
from inscoper_mm.specimen.truth import Truth, make_truth
from inscoper_mm.specimen.view import View

_TYPICAL_EXPOSURE_MS = 20.0
_STAMPS_BYTES = 32 << 20
_FIELDS_BYTES = 48 << 20
_MARGIN_STEP_PX = 16


class Specimen:
    """Living cells on a plane without end, as a microscope sees them.

    Parameters
    ----------
    parameters : SpecimenParameters
    clock : callable
        Seconds, by which bleached places recover.

    Notes
    -----
    Images are numbered; number n has noise of its own and sees every jump that was made before it. A given
    view with a given number always gives the same image. Safe to call from several threads.
    """

    def __init__(
        self, parameters: SpecimenParameters | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.parameters = parameters or SpecimenParameters()
        self._clock = clock
        self._last_s = -math.inf
        self._population = Population(self.parameters)
        self._ledger = Ledger(self.parameters.bleaching)
        self._haze = optics.Haze(self.parameters.seed)
        self._lock = threading.RLock()
        self._next = 0
        self._jumps: list[Jump] = list(self.parameters.jumps)
        self._noise = Noise(self.parameters.seed)
        self._stamps: Recent[Stamp] = Recent(_STAMPS_BYTES)
        self._sharp: Recent[Floats] = Recent(_FIELDS_BYTES)
        self._seen: Recent[Floats] = Recent(_FIELDS_BYTES)

    @property
    def depth_of_field_um(self) -> float:
        """Distance from focus that adds a blur of 1.2 um (standard deviation) to the sharp image."""
        return self.parameters.depth_of_field_um

    @property
    def focus_um(self) -> float:
        """Where the focus drive must stand for a sharp image, as the next image would see it."""
        return self.parameters.focus_um + self.displacement_um(None)[2]

    @property
    def images(self) -> int:
        """How many images were taken."""
        return self._next

    def next_image(self) -> int:
        """The number of the image that is being taken; counts on."""
        with self._lock:
            self._next += 1
            return self._next - 1

    def jump(self, dx_um: float = 0.0, dy_um: float = 0.0, dz_um: float = 0.0) -> None:
        """Move the cells along the stage axes and the focal plane along z, from the next image on."""
        with self._lock:
            self._jumps.append(Jump(self._next, dx_um, dy_um, dz_um))

    def displacement_um(self, image: int | None) -> tuple[float, float, float]:
        """(dx, dy, dz) of all jumps that image number ``image`` sees; None: the next one."""
        with self._lock:
            number = self._next if image is None else image
            past = [jump for jump in self._jumps if jump.after_images <= number]
        return (
            math.fsum(jump.dx_um for jump in past),
            math.fsum(jump.dy_um for jump in past),
            math.fsum(jump.dz_um for jump in past),
        )

    def now_s(self) -> float:
        """The time by the specimen's clock, later each time: of two events it is known which one was first."""
        with self._lock:
            self._last_s = max(self._clock(), math.nextafter(self._last_s, math.inf))
            return self._last_s

    def shine(self, view: View, row: float, col: float, dose_ms: float) -> None:
        """Bleach where the galvo's spot falls.

        Parameters
        ----------
        view : View
            How the microscope stands. Its time counts.
        row, col : float
            The middle of the spot, in pixels of the sensor without binning.
        dose_ms : float
            Time at full power.
        """
        x_um, y_um = view.whole.to_stage(row / view.binning, col / view.binning)
        width_um = view.pixel_size_um / view.binning * self.parameters.galvo.spot_px
        reach_um = width_um * optics.SPOT_REACH
        exponent = dose_ms * self.parameters.bleaching.per_ms
        with self._lock:
            time_s = self._time(view)
            dx_um, dy_um, _ = self.displacement_um(view.image)
            spot = Spot(x_um - dx_um, y_um - dy_um, width_um * optics.SPOT_SIGMA, reach_um, exponent)
            around = (spot.x_um - reach_um, spot.y_um - reach_um, spot.x_um + reach_um, spot.y_um + reach_um)
            for cell in self._population.cells_near(*around):
                self._ledger.add_spot(cell, spot, time_s)

    def expose(self, view: View) -> None:
        """Bleach the cells whose middle is in the field of the camera, by the exposure of a view."""
        exponent = view.exposure_ms * self.parameters.bleaching.imaging_per_ms
        if exponent <= 0:
            return
        with self._lock:
            dx_um, dy_um, _ = self.displacement_um(view.image)
            field = replace(view.whole, x_um=view.x_um - dx_um, y_um=view.y_um - dy_um)
            height, width = field.shape
            time_s = self.now_s()
            for cell in self._population.cells_near(*field.bounds_um()):
                row, col = field.to_pixel(cell.x_um, cell.y_um)
                if 0 <= row < height and 0 <= col < width:
                    self._ledger.add_dose(cell, exponent, time_s)

    def _time(self, view: View) -> float:
        return self.now_s() if view.time_s is None else view.time_s

    def render(self, view: View) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """The image (Y, X) that the camera gives for a view.

        Parameters
        ----------
        view : View
            A view without an image number counts as the next image.
        """
        with self._lock:
            number = self.next_image() if view.image is None else view.image
            light = self.light(view, number)
        electrons = light * np.float32(view.exposure_ms / _TYPICAL_EXPOSURE_MS * view.binning**2)
        for row, col, strength in view.lights:
            peak = strength * self.parameters.galvo.brightness_electrons * view.binning**2
            electrons = electrons + optics.spot(view, row, col, self.parameters.galvo.spot_px, peak)
        noise = self._noise.field(view.shape, number)
        return digitise(electrons, noise, view.bit_depth, view.bytes_per_pixel, view.binning)

    def truth(self, view: View) -> Truth:
        """What is really there in a view: labels and a table of the cells."""
        with self._lock:
            dx_um, dy_um, _ = self.displacement_um(view.image)
            look = look_of(view.channel)
            left = {each.cell.id: each.share(look) for each in self._ledger.left(self._time(view))}
        return make_truth(view, self._population, dx_um, dy_um, left)

    def light(self, view: View, image: int | None = None) -> Floats:
        """Electrons (Y, X) expected per sensor pixel in 20 ms, without noise and offset; read-only."""
        with self._lock:
            dx_um, dy_um, dz_um = self.displacement_um(view.image if image is None else image)
            pixel_um = view.pixel_size_um
            defocus_um = view.z_um - self.parameters.focus_um - dz_um
            sigma_px = optics.blur_um(defocus_um, self.depth_of_field_um, pixel_um) / pixel_um
            still = replace(view, x_um=view.x_um - dx_um, y_um=view.y_um - dy_um)
            time_s = self._time(view)
            faded = self._ledger.left(time_s, _with_margin(still.bounds_um(), sigma_px * pixel_um))
            key = (
                time_s if faded else None,
                view.channel,
                still.x_um,
                still.y_um,
                pixel_um,
                view.orientation,
                sigma_px,
                view.shape,
                view.origin_px,
                view.sensor,
            )
            return self._seen.get(key, lambda: self._see(still, sigma_px, faded))

    def _see(self, view: View, sigma_px: float, faded: Sequence[Left]) -> Floats:
        """The light of a view of cells that have not moved."""
        look = look_of(view.channel)
        x_um, y_um = view.to_stage(0, 0)
        col, row = view.orientation.to_pixel(x_um / view.pixel_size_um, y_um / view.pixel_size_um)
        top, left = math.floor(row), math.floor(col)
        # In steps, so that the slices of a stack share one sharp field.
        margin = _MARGIN_STEP_PX * math.ceil(optics.margin_px(sigma_px) / _MARGIN_STEP_PX)
        sharp = self._sharp_field(view, top - margin, left - margin, margin)
        if faded:
            sharp = self._without(sharp, faded, view, top - margin, left - margin)
        light = optics.blurred(sharp, sigma_px, (row - top, col - left), margin)
        light = light * np.float32(look.electrons * self.parameters.signal)
        height, width = view.shape
        light += (0.25 + self._haze.seen(view)) * np.float32(look.haze_electrons * self.parameters.haze)
        first_row, first_col = view.origin_px
        lamp = optics.illumination(view.sensor, self.parameters.falloff)
        light *= lamp[first_row : first_row + height, first_col : first_col + width]
        light.flags.writeable = False
        return light

    def _sharp_field(self, view: View, top: int, left: int, margin: int) -> Floats:
        height, width = view.shape[0] + 2 * margin, view.shape[1] + 2 * margin
        key = (view.channel, top, left, height, width, view.pixel_size_um, view.orientation)
        return self._sharp.get(key, lambda: self._compose(view, top, left, height, width))

    def _compose(self, view: View, top: int, left: int, height: int, width: int) -> Floats:
        """All cells of a rectangle of the pixel grid that is fixed to the stage, not blurred."""
        pixel_um, look, orientation = view.pixel_size_um, look_of(view.channel), view.orientation
        field = np.zeros((height, width), np.float32)
        # A view of that rectangle, which sees the stage's origin at the grid's pixel (0, 0).
        around = replace(view, x_um=0.0, y_um=0.0, sensor=(0, 0), roi=(left, top, width, height))
        for cell in self._population.cells_near(*around.bounds_um()):
            key = (cell.id, look, pixel_um, orientation)
            stamp = self._stamps.get(key, partial(make_stamp, cell, look, pixel_um, orientation))
            _add(field, stamp, top, left)
        return field

    def _without(self, sharp: Floats, faded: Sequence[Left], view: View, top: int, left: int) -> Floats:
        """The sharp field less what the cells have lost."""
        pixel_um, orientation = view.pixel_size_um, view.orientation
        field = sharp.copy()
        for dye in DYES:
            look = look_at(look_of(view.channel), dye)
            if look is None:
                continue
            for cell in faded:
                key = (cell.cell.id, look, pixel_um, orientation)
                stamp = self._stamps.get(key, partial(make_stamp, cell.cell, look, pixel_um, orientation))
                lost = cell.lost(dye, stamp, pixel_um, orientation)
                _add(field, replace(lost, pixels=-lost.pixels), top, left)
        return field


def _with_margin(
    bounds: tuple[float, float, float, float], sigma_um: float
) -> tuple[float, float, float, float]:
    """A rectangle, and around it all from which blurred light reaches it."""
    left, top, right, bottom = bounds
    margin = 4 * sigma_um
    return left - margin, top - margin, right + margin, bottom + margin


def _add(field: Floats, stamp: Stamp, top: int, left: int) -> None:
    """Add the part of ``stamp`` that lies in ``field``, whose first pixel is (top, left) of the grid."""
    row, col = stamp.top - top, stamp.left - left
    height, width = stamp.pixels.shape
    row0, row1 = max(row, 0), min(row + height, field.shape[0])
    col0, col1 = max(col, 0), min(col + width, field.shape[1])
    if row0 < row1 and col0 < col1:
        field[row0:row1, col0:col1] += stamp.pixels[row0 - row : row1 - row, col0 - col : col1 - col]
