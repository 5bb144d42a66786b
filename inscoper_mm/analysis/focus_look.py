"""What an image shows at several scales, from fine to coarse detail: what a search for the focus goes by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.focus_metrics import SIGMA_PX, Prepared, Region, prepare, tenengrad
from inscoper_mm.analysis.grey import GreyImage, blur, noise_sigma, shrink

# Each scale is twice as coarse as the one before, down to images of so many pixels.
_SMALLEST_PX = 8
_LEVEL_SIGMA = 0.75
_NOISE_ROWS = 128
_DARK_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Seen:
    """What an image shows at each scale, the finest first: mean squared slope, and how much of it is noise.

    ``pixels`` is the number of pixels at the finest scale, ``mean`` and ``darkest`` the image's mean and its darkest
    place. Plain numbers: a search can be kept between calls.
    """

    z_um: float
    slope: tuple[float, ...]
    noise: tuple[float, ...]
    pixels: int
    mean: float
    darkest: float


def look(image: npt.ArrayLike, z_um: float, sigma_px: float = SIGMA_PX, region: Region | None = None) -> Seen:
    """What an image at a height shows, for ``FocusSearch``.

    Parameters
    ----------
    image : (Y, X) array
    z_um : float
        The real height of the focus drive.
    sigma_px : float
        Width of a sharp point; finer detail is noise.
    region : (row, column, row, column), optional
        Only this part counts, the last row and column excluded.

    Raises
    ------
    InvalidInput
        If the image is not grey or the region is not in it.
    """
    prepared = prepare(image, sigma_px, region, "look")
    height = prepared.binned.shape[0]
    first = max(0, (height - _NOISE_ROWS) // 2)
    variance = noise_sigma(prepared.binned[first : first + _NOISE_ROWS], whole_numbers=False) ** 2
    levels = _levels(prepared.smooth)
    gains = _noise_gains(round(prepared.left_px, 2))
    noise = [float(variance * gain) for gain in gains[: len(levels)]]
    smooth = prepared.smooth
    darkest = float(shrink(smooth, _DARK_BLOCK).min())
    return Seen(float(z_um), tuple(levels), tuple(noise), int(smooth.size), float(smooth.mean()), darkest)


def _levels(smooth: GreyImage) -> list[float]:
    """Mean squared slope at each scale."""
    found = []
    while True:
        found.append(tenengrad(Prepared(smooth, 0.0)))
        if min(smooth.shape) < 2 * _SMALLEST_PX:
            return found
        smooth = blur(shrink(smooth, 2), _LEVEL_SIGMA)


@lru_cache(maxsize=8)
def _noise_gains(left_px: float) -> tuple[float, ...]:
    """Mean squared slope of noise of variance 1 at each scale, for images up to 16384 pixels wide."""
    noise = np.random.default_rng(1).standard_normal((512, 512)).astype(np.float32)
    gains = _levels(blur(noise, left_px) if left_px > 0 else noise)
    # Further scales are smoothed alike: each has a sixteenth of the one before.
    return (*gains, *(gains[-1] / 16.0**n for n in range(1, 7)))
