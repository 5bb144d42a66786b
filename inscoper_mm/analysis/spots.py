"""Finds one spot of light in an image: where, how bright, how large."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# A spot must stand out from the noise by this many standard deviations of the smoothed image.
_STANDS_OUT = 8.0
_SMOOTHING_PX = 1.5
_CENTRING_STEPS = 12
# Every so many pixels are enough to know the noise.
_SAMPLED = 3


@dataclass(frozen=True, slots=True)
class Spot:
    """A spot: its centre in pixels, whole coordinates being pixel centres; height in grey values; width in pixels."""

    row: float
    col: float
    height: float
    fwhm_px: float


def find_spot(image: npt.NDArray[Any], background: npt.NDArray[Any], largest_px: int = 61) -> Spot | None:
    """The brightest spot that ``image`` has and ``background`` has not.

    Parameters
    ----------
    image, background : ndarray
        (Y, X); the background without the spot.
    largest_px : int
        The largest width of a spot.

    Returns
    -------
    Spot or None
        None if nothing stands out, or if the brightest place is so near the border that the spot is cut.

    Notes
    -----
    The centre is the centroid under a Gaussian window of the spot's own width that is moved until it is centred: that
    takes in all of the spot and little of the noise. The spot's width follows from the windowed second moment, since
    the product of two Gaussians is one, too.
    """
    import cv2

    difference = image.astype(np.float32) - background.astype(np.float32)
    difference -= np.median(difference[::_SAMPLED, ::_SAMPLED])
    smooth = cv2.GaussianBlur(difference, (0, 0), _SMOOTHING_PX)
    row, col = np.unravel_index(int(smooth.argmax()), smooth.shape)
    noise = 1.4826 * float(np.median(np.abs(smooth[::_SAMPLED, ::_SAMPLED])))
    if smooth[row, col] <= _STANDS_OUT * max(noise, 1e-9):
        return None
    return _centred(difference, float(row), float(col), largest_px)


def _centred(difference: npt.NDArray[np.float32], row: float, col: float, largest_px: int) -> Spot | None:
    sigma, shift = 2.0, math.inf
    for _ in range(_CENTRING_STEPS):
        reach = math.ceil(3 * sigma)
        top, left = round(row) - reach, round(col) - reach
        window = difference[max(top, 0) : top + 2 * reach + 1, max(left, 0) : left + 2 * reach + 1]
        if window.shape != (2 * reach + 1, 2 * reach + 1):
            return None  # cut by the border: its centroid would be wrong
        rows, cols = np.mgrid[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        weight = np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2)) * window
        total = float(weight.sum())
        if total <= 0:
            return None
        moved = float((weight * rows).sum() / total) - row, float((weight * cols).sum() / total) - col
        # The product of two Gaussians of one width is moved by half of their distance.
        row, col = row + 2 * moved[0], col + 2 * moved[1]
        spread = float((weight * ((rows - row) ** 2 + (cols - col) ** 2)).sum() / total) / 2
        if spread <= 0:
            return None
        # 1/spread = 1/sigma^2 + 1/spot^2, and the window takes the spot's width.
        inverse = 1 / spread - 1 / sigma**2
        sigma = float(np.clip(math.sqrt(1 / inverse) if inverse > 0 else 2 * sigma, 0.7, largest_px / 2.355))
        shift = math.hypot(*moved)
    if shift > 0.25:
        return None
    return Spot(row, col, float(difference[round(row), round(col)]), 2.355 * sigma)
