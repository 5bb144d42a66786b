"""The virtual specimen: what a camera sees of it, and the truth about it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen import optics
from inscoper_mm.specimen.bleaching import Ledger, Left, Spot
from inscoper_mm.specimen.camera import Noise, digitise
from inscoper_mm.specimen.channels import TRANSMITTED, Look, look_of
from inscoper_mm.specimen.culture import Culture
from inscoper_mm.specimen.drift import Drifting, Vector
from inscoper_mm.specimen.outline import Floats
from inscoper_mm.specimen.painter import Painter
from inscoper_mm.specimen.parameters import Jump, SpecimenParameters
from inscoper_mm.specimen.population import Cell
from inscoper_mm.specimen.recent import Recent
from inscoper_mm.specimen.scene import Scene
from inscoper_mm.specimen.truth import TRUTH_MARGIN_UM, Truth, make_truth
from inscoper_mm.specimen.view import View

_TYPICAL_EXPOSURE_MS = 20.0
_FIELDS_BYTES = 48 << 20


class Specimen:
    """Living cells on a plane without end, as a microscope sees them.

    Parameters
    ----------
    parameters : SpecimenParameters
    clock : callable
        Seconds. The specimen's time begins at 0 with it; ``time: per_image_s`` takes its place.

    Notes
    -----
    Images are numbered; number n has noise of its own and sees every jump that was made before it. A given
    view with a given number, at a given time, always gives the same image. Safe to call from several threads.
    """

    def __init__(
        self, parameters: SpecimenParameters | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.parameters = parameters or SpecimenParameters()
        self._clock = clock
        self._begin_s = clock()
        self._last_s = -math.inf
        self._culture = Culture(self.parameters)
        self._scene = Scene(self.parameters, Painter(self._culture))
        self._drifting = Drifting(self.parameters.drift, self.parameters.seed)
        self._ledger = Ledger(self.parameters.bleaching)
        self._lock = threading.RLock()
        self._next = 0
        self._jumps: list[Jump] = list(self.parameters.jumps)
        self._noise = Noise(self.parameters.seed)
        self._seen: Recent[Floats] = Recent(_FIELDS_BYTES)

    @property
    def depth_of_field_um(self) -> float:
        """Distance from focus that adds a blur of 1.2 um (standard deviation) to the sharp image."""
        return self.parameters.depth_of_field_um

    @property
    def focus_um(self) -> float:
        """Where the focus drive must stand for a sharp image, as the next image would see it."""
        return self.parameters.focus_um + self.displacement_um()[2]

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

    def displacement_um(self, image: int | None = None, time_s: float | None = None) -> Vector:
        """How far the specimen has moved, by all jumps and drift, for an image.

        Parameters
        ----------
        image : int, optional
            Its number; None: the next one.
        time_s : float, optional
            When it is taken, by the specimen's clock; None: at its own time, or now.

        Returns
        -------
        tuple (dx, dy, dz)
        """
        with self._lock:
            number = self._next if image is None else image
            past = [jump for jump in self._jumps if jump.after_images <= number]
            if time_s is None and self._drifting.depends_on_time:
                per_image_s = self.parameters.time.per_image_s
                time_s = self.now_s() if per_image_s is None else number * per_image_s
            drift_um = self._drifting.at_um(number, time_s or 0.0)
        return (
            math.fsum((drift_um[0], *(jump.dx_um for jump in past))),
            math.fsum((drift_um[1], *(jump.dy_um for jump in past))),
            math.fsum((drift_um[2], *(jump.dz_um for jump in past))),
        )

    def now_s(self) -> float:
        """The specimen's time, later each time: of two events it is known which one was first.

        With a time for each image, that of the last image.
        """
        with self._lock:
            per_image_s = self.parameters.time.per_image_s
            if per_image_s is None:
                now_s = self._clock() - self._begin_s
            else:
                now_s = max(self._next - 1, 0) * per_image_s
            self._last_s = max(now_s, math.nextafter(self._last_s, math.inf))
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
            time_s = self.now_s() if view.time_s is None else view.time_s
            dx_um, dy_um, _ = self.displacement_um(view.image, time_s)
            spot = Spot(x_um - dx_um, y_um - dy_um, width_um * optics.SPOT_SIGMA, reach_um, exponent)
            around = (spot.x_um - reach_um, spot.y_um - reach_um, spot.x_um + reach_um, spot.y_um + reach_um)
            for cell in self._culture.cells_near(*around, time_s):
                self._ledger.add_spot(cell, spot, time_s)

    def expose(self, view: View) -> None:
        """Bleach the cells whose middle is in the field of the camera, by the exposure of a view.

        Transmitted light bleaches nothing.
        """
        exponent = view.exposure_ms * self.parameters.bleaching.imaging_per_ms
        if exponent <= 0 or not self._lit(view, view.image) or self._look(view.channel).transmitted:
            return
        with self._lock:
            seen_s = self._time(view)
            moved_um = self.displacement_um(view.image, seen_s)
            # What the image itself shows was not yet bleached by it.
            time_s = max(self.now_s(), math.nextafter(seen_s, math.inf))
            field = replace(view.whole, x_um=view.x_um - moved_um[0], y_um=view.y_um - moved_um[1])
            height, width = field.shape
            for cell in self._culture.cells_near(*field.bounds_um(), seen_s):
                row, col = field.to_pixel(cell.x_um, cell.y_um)
                if 0 <= row < height and 0 <= col < width:
                    self._ledger.add_dose(cell, exponent, time_s)

    def _lit(self, view: View, image: int | None) -> bool:
        last = self.parameters.shutter_fails_after
        number = self._next if image is None else image
        return view.lit and (last is None or number < last)

    def _time(self, view: View) -> float:
        """When a view is seen."""
        if view.time_s is not None:
            return view.time_s
        per_image_s = self.parameters.time.per_image_s
        if per_image_s is None:
            return self.now_s()
        return per_image_s * (self._next if view.image is None else view.image)

    def render(self, view: View) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """The image (Y, X) that the camera gives for a view.

        Parameters
        ----------
        view : View
            A view without an image number counts as the next image.
        """
        with self._lock:
            number = self.next_image() if view.image is None else view.image
            lit = self._lit(view, number)
            light = self.light(view, number) if lit else np.zeros(view.shape, np.float32)
        electrons = light * np.float32(view.exposure_ms / _TYPICAL_EXPOSURE_MS * view.binning**2)
        for row, col, strength in view.lights:
            peak = strength * self.parameters.galvo.brightness_electrons * view.binning**2
            electrons = electrons + optics.spot(view, row, col, self.parameters.galvo.spot_px, peak)
        noise = self._noise.field(view.shape, number)
        if self.parameters.camera.noise != 1:
            noise = noise * np.float32(self.parameters.camera.noise)
        return digitise(electrons, noise, view.bit_depth, view.bytes_per_pixel, view.binning)

    def truth(self, view: View) -> Truth:
        """What is really there in a view: labels and a table of the cells."""
        with self._lock:
            time_s = self._time(view)
            moved_um = self.displacement_um(view.image, time_s)
            cells = self._cells_of(view, moved_um, time_s, TRUTH_MARGIN_UM)
            look = self._look(view.channel)
            faded = () if look.transmitted else self._ledger.left(time_s, cells)
            left = {each.cell.id: each.share(look) for each in faded}
        truth = make_truth(view, cells, moved_um[0], moved_um[1], left)
        return replace(
            truth,
            shows_nuclei=look.shows_nuclei,
            time_s=time_s,
            drift_um=moved_um,
            focus_um=self._focus_um(view.channel, moved_um),
        )

    def cells_at(self, time_s: float, bounds_um: tuple[float, float, float, float]) -> list[Cell]:
        """The cells with their centre in (left, top, right, bottom) at a time, as if nothing had jumped or drifted."""
        left, top, right, bottom = bounds_um
        with self._lock:
            near = self._culture.cells_near(left, top, right, bottom, time_s)
        return [cell for cell in near if left <= cell.x_um <= right and top <= cell.y_um <= bottom]

    def light(self, view: View, image: int | None = None) -> Floats:
        """Electrons (Y, X) expected per sensor pixel in 20 ms, without noise and offset; read-only."""
        with self._lock:
            view = view if image is None else replace(view, image=image)
            time_s = self._time(view)
            moved_um = self.displacement_um(view.image, time_s)
            defocus_um = view.z_um - self._focus_um(view.channel, moved_um)
            look, sigma_px = self._look(view.channel), self._scene.sigma_px(view, defocus_um)
            still = replace(view, x_um=view.x_um - moved_um[0], y_um=view.y_um - moved_um[1])
            faded: Sequence[Left] = ()
            if self._ledger.used and not look.transmitted:
                around = self._cells_of(view, moved_um, time_s, 4 * sigma_px * view.pixel_size_um)
                faded = self._ledger.left(time_s, around)
            key = (
                time_s if faded or self._culture.changes else None,
                view.channel,
                still.x_um,
                still.y_um,
                view.pixel_size_um,
                view.orientation,
                # Fluorescence looks the same on both sides of the focus.
                defocus_um if look.transmitted else sigma_px,
                view.shape,
                view.origin_px,
                view.sensor,
            )
            return self._seen.get(key, lambda: self._scene.light(still, look, defocus_um, time_s, faded))

    def _look(self, channel: str | None) -> Look:
        return TRANSMITTED if channel in self.parameters.brightfield.channels else look_of(channel)

    def _focus_um(self, channel: str | None, moved_um: Vector) -> float:
        """Where the focus drive must stand for a sharp image in a channel."""
        higher_um = self.parameters.channel_focus_um.get(channel, 0.0) if channel else 0.0
        return self.parameters.focus_um + higher_um + moved_um[2]

    def _cells_of(self, view: View, moved_um: Vector, time_s: float, margin_um: float) -> Sequence[Cell]:
        """The cells in a view and around it, as if nothing had jumped or drifted."""
        left, top, right, bottom = view.bounds_um()
        dx_um, dy_um, _ = moved_um
        return self._culture.cells_near(
            left - dx_um - margin_um,
            top - dy_um - margin_um,
            right - dx_um + margin_um,
            bottom - dy_um + margin_um,
            time_s,
        )
