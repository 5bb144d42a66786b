"""The light that comes from a part of the specimen: cells, background and lamp."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from inscoper_mm.specimen import optics
from inscoper_mm.specimen.bleaching import Left
from inscoper_mm.specimen.channels import Look
from inscoper_mm.specimen.outline import Floats
from inscoper_mm.specimen.painter import Painter
from inscoper_mm.specimen.parameters import SpecimenParameters
from inscoper_mm.specimen.transmission import transmitted
from inscoper_mm.specimen.view import View

_MARGIN_STEP_PX = 16


class Scene:
    """What is seen of cells that have not moved.

    Parameters
    ----------
    parameters : SpecimenParameters
    painter : Painter
        Draws them.
    """

    def __init__(self, parameters: SpecimenParameters, painter: Painter) -> None:
        self._parameters = parameters
        self._painter = painter
        self._haze = optics.Haze(parameters.seed)

    def sigma_px(self, view: View, defocus_um: float) -> float:
        """Standard deviation of the blur of fluorescence."""
        depth_um = self._parameters.depth_of_field_um
        return optics.blur_um(defocus_um, depth_um, view.pixel_size_um) / view.pixel_size_um

    def light(
        self, view: View, look: Look, defocus_um: float, time_s: float, faded: Sequence[Left]
    ) -> Floats:
        """Electrons (Y, X) expected per sensor pixel in 20 ms; read-only.

        Parameters
        ----------
        view : View
        look : Look
            What its channel shows.
        defocus_um : float
            How far above the focus the focus drive stands.
        time_s : float
        faded : sequence of Left
            The cells that light has bleached.
        """
        x_um, y_um = view.to_stage(0, 0)
        col, row = view.orientation.to_pixel(x_um / view.pixel_size_um, y_um / view.pixel_size_um)
        top, left = math.floor(row), math.floor(col)
        sigma_px = self.sigma_px(view, defocus_um)
        # In steps, so that the slices of a stack share one sharp field.
        margin = _MARGIN_STEP_PX * math.ceil(optics.margin_px(sigma_px) / _MARGIN_STEP_PX)
        sharp = self._painter.paint(view, look, top, left, margin, time_s, faded)
        shift = (row - top, col - left)
        if look.transmitted:
            light = self._transmitted(sharp, view, defocus_um, shift, margin)
        else:
            light = optics.blurred(sharp, sigma_px, shift, margin)
            light = light * np.float32(look.electrons * self._parameters.signal)
            haze = np.float32(look.haze_electrons * self._parameters.haze)
            light += (0.25 + self._haze.seen(view)) * haze
        height, width = view.shape
        first_row, first_col = view.origin_px
        lamp = optics.illumination(view.sensor, self._parameters.falloff)
        light *= lamp[first_row : first_row + height, first_col : first_col + width]
        light.flags.writeable = False
        return light

    def _transmitted(
        self, sharp: Floats, view: View, defocus_um: float, shift: tuple[float, float], margin: int
    ) -> Floats:
        depths = defocus_um / self._parameters.depth_of_field_um
        brightfield = self._parameters.brightfield
        light = transmitted(sharp, depths, brightfield, view.pixel_size_um, shift, margin)
        light *= np.float32(brightfield.electrons)
        return light
