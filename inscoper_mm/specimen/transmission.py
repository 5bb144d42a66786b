"""Transmitted light: what a thin transparent object does to it, in and out of focus."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import fft

from inscoper_mm.specimen.optics import BLUR_PER_DEPTH_UM, SHARP_UM
from inscoper_mm.specimen.outline import Floats
from inscoper_mm.specimen.parameters import Brightfield

# Of green light, and the depth of field for which the distances are what they are; others scale with it.
_WAVELENGTH_UM = 0.55
_DEPTH_UM = 2.0
# The lamp fills half of the objective's aperture.
_COHERENCE = 0.5
_FARTHEST_DEPTHS = 30.0


def transmitted(
    thickness: Floats,
    depths: float,
    brightfield: Brightfield,
    pixel_um: float,
    shift: tuple[float, float],
    margin: int,
) -> Floats:
    """The light behind a thin object, 1 where there is nothing.

    Parameters
    ----------
    thickness : ndarray (Y + 2 margin, X + 2 margin)
        1 for a typical cell.
    depths : float
        How far above its focus the object is seen, in depths of field.
    brightfield : Brightfield
        What a thickness of 1 does.
    pixel_um : float
    shift : tuple of float
        (row, col) fractions, 0 to 1: the result at (r, c) is what is seen at (r + row, c + col).
    margin : int

    Returns
    -------
    ndarray (Y, X)

    Notes
    -----
    The weak-object transfer function of partially coherent light (Streibl, doi:10.1364/JOSAA.2.000121), paraxial and
    with Gaussian pupils: out of focus by z, a phase contributes ``2 sin(pi lambda z f^2)`` of its spatial frequency f,
    an absorption ``-2 cos(pi lambda z f^2)``. So a phase object vanishes in focus, and its contrast changes sign there.
    """
    depths = min(max(depths, -_FARTHEST_DEPTHS), _FARTHEST_DEPTHS)
    shape = tuple(fft.next_fast_len(size, real=True) for size in thickness.shape)
    down, across = fft.fftfreq(shape[0]), fft.rfftfreq(shape[1])
    squared = (down[:, None] ** 2 + across[None, :] ** 2) / pixel_um**2
    retardation = math.pi * _WAVELENGTH_UM * _DEPTH_UM * depths * squared
    spread_um = math.hypot(SHARP_UM, _COHERENCE * BLUR_PER_DEPTH_UM * depths)
    transfer = 2 * (
        brightfield.phase_rad * np.sin(retardation) - brightfield.absorption * np.cos(retardation)
    )
    transfer *= np.exp(-2 * (math.pi * spread_um) ** 2 * squared)
    spectrum = fft.rfft2(thickness, shape) * transfer.astype(np.float32)
    spectrum *= _moved(down, shift[0])[:, None] * _moved(across, shift[1])[None, :]
    changed = fft.irfft2(spectrum, shape)[
        margin : thickness.shape[0] - margin, margin : thickness.shape[1] - margin
    ]
    return np.maximum(np.asarray(changed, np.float32) + 1, 0)


def _moved(frequencies: npt.NDArray[np.float64], distance_px: float) -> npt.NDArray[np.complex64]:
    return np.asarray(np.exp(2j * math.pi * frequencies * distance_px), dtype=np.complex64)
