"""The shift between two images to a few thousandths of a pixel: least squares on their grey values (Gauss-Newton).

``image(p + shift) = gain * reference(p) + offset`` is fitted over the overlap alone, so that what enters and leaves at
the borders does not count. Lucas & Kanade 1981; why the fit meets the Cramer-Rao bound where correlation does not:
Robinson & Milanfar 2004, doi:10.1109/TIP.2004.832923.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.resampling import Floats, gradients, overlap, smoothed

Vector = npt.NDArray[np.float64]
_LARGEST_STEP_PX = 2.0
_MOST_STEPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """The two images over their overlap, the second moved onto the first; all (Y, X)."""

    reference: Floats
    image: Floats
    down: Floats
    right: Floats

    def residual(self, gain: float, offset: float) -> Floats:
        """What gain and offset do not explain."""
        return np.asarray(np.float32(gain) * self.reference + np.float32(offset) - self.image)


@dataclass(frozen=True, slots=True)
class Fit:
    """``image(p + shift) = gain * reference(p) + offset``; ``step_px`` is what the last step changed."""

    shift_px: tuple[float, float]
    gain: float
    offset: float
    step_px: float


class Pair:
    """Two images (Y, X) of one shape, smoothed by ``sigma_px`` and ready to be laid onto each other."""

    def __init__(self, reference: Floats, image: Floats, sigma_px: float) -> None:
        self.sigma_px = sigma_px
        self._reference = smoothed(reference, sigma_px)
        self._image = image
        self._margin = math.ceil(3 * sigma_px) + 2

    def aligned(self, shift_px: tuple[float, float]) -> Aligned | None:
        """Both images where they overlap under ``shift_px``; None where nothing is left."""
        whole = (round(shift_px[0]), round(shift_px[1]))
        rest = (shift_px[0] - whole[0], shift_px[1] - whole[1])
        ours, theirs = overlap(self._reference.shape, whole)
        inner = slice(self._margin, -self._margin)
        reference = self._reference[ours][inner, inner]
        if min(reference.shape) < 2 * self._margin:
            return None
        # Only the part that is needed is filtered, with its surroundings.
        image = smoothed(np.ascontiguousarray(self._image[theirs]), self.sigma_px, rest)[inner, inner]
        # The gradient of the mean of both: that of one alone would be too steep by its noise.
        down, right = gradients(0.5 * (reference + image))
        return Aligned(reference, image, down, right)

    def fit(self, shift_px: tuple[float, float], enough_px: float = 1e-3) -> Fit | None:
        """The least-squares fit, begun at ``shift_px``; None where the images do not determine one.

        Parameters
        ----------
        shift_px : (row, col)
        enough_px : float
            A step smaller than this is the last. Steps shrink at least tenfold, so what is left is far less.
        """
        found = None
        for _ in range(_MOST_STEPS):
            aligned = self.aligned(shift_px)
            found = None if aligned is None else step(aligned, shift_px)
            if found is None or found.step_px < enough_px:
                return found
            shift_px = found.shift_px
        return found


def step(aligned: Aligned, shift_px: tuple[float, float], weights: Floats | None = None) -> Fit | None:
    """One step of the fit from ``shift_px``, where ``weights`` (Y, X) say how much each pixel counts."""
    columns = (aligned.down, aligned.right, aligned.reference, np.ones_like(aligned.reference))
    matrix, vector = np.empty((4, 4)), np.empty(4)
    for row, column in enumerate(columns):
        weighted = column if weights is None else column * weights
        for other in range(row, 4):
            matrix[row, other] = matrix[other, row] = np.vdot(weighted, columns[other])
        vector[row] = np.vdot(weighted, aligned.image)
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-30))
    scaled = matrix / np.outer(scale, scale)
    if not np.isfinite(scaled).all() or np.linalg.cond(scaled) > 1e10:
        return None
    down, right, gain, offset = np.linalg.solve(scaled, vector / scale) / scale
    size_px = math.hypot(down, right)
    share = min(1.0, _LARGEST_STEP_PX / size_px) if size_px else 1.0
    # image(p + shift) was read at shift: where it lies above its fit along the gradient, the shift is too large.
    moved = (shift_px[0] - share * float(down), shift_px[1] - share * float(right))
    return Fit(moved, float(gain), float(offset), size_px)


def information(down: Floats, right: Floats, weights: Floats | None = None) -> Vector:
    """The 2 x 2 matrix of the summed products of the gradients: what the image knows about its place."""
    first = (down, right) if weights is None else (down * weights, right * weights)
    cross = float(np.vdot(first[0], right))
    return np.array([[float(np.vdot(first[0], down)), cross], [cross, float(np.vdot(first[1], right))]])


def gradient_noise(white: float, sigma_px: float) -> float:
    """The variance of the central differences of white noise of variance ``white``, smoothed."""
    return white / (4 * math.pi * sigma_px**2) * (1 - math.exp(-1 / sigma_px**2)) / 2
