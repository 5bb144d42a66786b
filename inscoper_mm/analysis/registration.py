"""How far the content of one image has moved against another, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

# Structures between these sizes (standard deviation of a Gaussian, in pixels) are compared: finer ones are noise,
# larger ones the uneven light, which stays where it is when the content moves.
_FINEST_PX = 1.0
_COARSEST_PX = 12.0
# The overlap of two images must have this many pixels a side.
_LEAST_OVERLAP_PX = 32
_MOST_ROUNDS = 6
_UPSAMPLING = 50


@dataclass(frozen=True, slots=True)
class Shift:
    """A displacement of content: what was at (row, col) is now at (row + drow_px, col + dcol_px).

    ``score`` is the correlation of the two images where they overlap, -1 to 1; 0 without overlap or structure.
    """

    drow_px: float
    dcol_px: float
    score: float


def find_shift(
    reference: Grey, moved: Grey, near: tuple[float, float] = (0.0, 0.0), prepared: bool = False
) -> Shift:
    """Where the content of ``reference`` is in ``moved``.

    Parameters
    ----------
    reference, moved : (Y, X)
        Of the same shape.
    near : tuple of float
        (drow, dcol) that is expected; displacements up to about a third of the overlap away from it are found.
    prepared : bool
        Whether both are results of ``band_passed`` already.

    Notes
    -----
    The overlap is cut out of both images and correlated under a Hann window; the displacement found says what overlaps
    better, until that is stable to a pixel. The last one is refined by an upsampled Fourier transform of the peak
    (Guizar-Sicairos et al. 2008, doi:10.1364/OL.33.000156). Since the overlap is then cut to the pixel, the window
    pulls at nothing. Intensities are not whitened: flat regions hold only noise.
    """
    from skimage.registration import phase_cross_correlation

    if not prepared:
        reference, moved = band_passed(reference), band_passed(moved)
    guess = round(near[0]), round(near[1])
    tried: set[tuple[int, int]] = set()
    while True:
        parts = _overlap(reference, moved, guess)
        if parts is None or not all(np.ptp(part) > 0 for part in parts):
            return Shift(float(guess[0]), float(guess[1]), 0.0)
        tried.add(guess)
        found, _, _ = phase_cross_correlation(*(_windowed(part) for part in parts), normalization=None)
        better = guess[0] - round(float(found[0])), guess[1] - round(float(found[1]))
        if better in tried or len(tried) >= _MOST_ROUNDS:
            break
        guess = better
    fine, _, _ = phase_cross_correlation(
        *(_windowed(part) for part in parts), upsample_factor=_UPSAMPLING, normalization=None
    )
    return Shift(guess[0] - float(fine[0]), guess[1] - float(fine[1]), _correlation(*parts))


def band_passed(image: Grey) -> Floats:
    """The image (Y, X) without what is finer or coarser than cells and their parts."""
    grey = np.asarray(image, np.float32)
    fine = cv2.GaussianBlur(grey, (0, 0), _FINEST_PX)
    coarse = cv2.GaussianBlur(grey, (0, 0), _COARSEST_PX)
    return np.asarray(fine - coarse, np.float32)


def _overlap(reference: Floats, moved: Floats, shift: tuple[int, int]) -> tuple[Floats, Floats] | None:
    """What both images show, if the content has moved by ``shift``; None if that is too little."""
    own: list[slice] = []
    other: list[slice] = []
    for size, distance in zip(reference.shape, shift, strict=True):
        if size - abs(distance) < _LEAST_OVERLAP_PX:
            return None
        own.append(slice(max(0, -distance), size - max(0, distance)))
        other.append(slice(max(0, distance), size - max(0, -distance)))
    return reference[tuple(own)], moved[tuple(other)]


def _windowed(part: Floats) -> Floats:
    rows, cols = part.shape
    return np.asarray((part - part.mean()) * cv2.createHanningWindow((cols, rows), cv2.CV_32F))


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one * one).sum(dtype=np.float64) * (other * other).sum(dtype=np.float64)))
    return float((one * other).sum(dtype=np.float64)) / norm if norm > 0 else 0.0
