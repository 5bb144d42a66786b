"""How far the content of an image has moved: with an error bar, and with a rule when not to believe it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.coarse_shift import coarse_shifts, explained
from inscoper_mm.analysis.fine_shift import Fit, Pair, information
from inscoper_mm.analysis.independent_motion import follow_the_majority
from inscoper_mm.analysis.resampling import Floats, binned, high_passed, overlap, smoothed

_SIGMA_PX = 1.0
_COARSE_SIGMA_PX = 0.8
_CONFIDENCE_SIGMA_PX = 2.0
# The coarse search works on images of 128 to 255 pixels a side.
_COARSE_SIDE_PX = 128
_LARGEST_BINNING = 8
# Two bands, as shares of the image's side: cells and their groups, and fine detail, in which uneven light is invisible.
_BANDS = (1 / 21, 1 / 64)
_MOST_TRIED = 3
_SMALLEST_SIDE_PX = 32
# Unrelated fields under one fixed pattern reach 0.4; fields with a third of the cells on the move fall to 0.8.
LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """The content that was at (row, col) of the reference is at (row + ``row_px``, col + ``col_px``) of the image.

    Parameters
    ----------
    row_px, col_px : float
    error_px : float
        Expected error (root mean square of the distance), from the noise that is left and the images' gradients.
    confidence : float
        How much of both images' structure the shift explains, at most 1; believe it from 0.5 on.
    gain : float
        Brightness of the image against the reference: below 1 where it has bleached.
    agree : ndarray or None
        (Y, X) of the overlap, 0 to 1: what moves with the rest; None where everything does.
    """

    row_px: float
    col_px: float
    error_px: float
    confidence: float
    gain: float
    agree: Floats | None = None

    @property
    def trusted(self) -> bool:
        """Whether a stage may be moved by it."""
        return self.confidence >= LEAST_CONFIDENCE and math.isfinite(self.error_px)


_UNKNOWN = Translation(0.0, 0.0, math.inf, 0.0, 1.0)


def find_translation(reference: npt.ArrayLike, image: npt.ArrayLike, independent: bool = True) -> Translation:
    """Find how far the content of ``image`` has moved against ``reference``.

    Made for a stage that moves under a camera: content enters and leaves at the borders, light may be uneven and dust
    may stay where it is, cells may have bleached, and some may have moved on their own.

    Parameters
    ----------
    reference, image : array (Y, X)
        Grey values of any type; equal shapes of at least 32 pixels a side.
    independent : bool
        Leave out what moves on its own, where most of the image agrees about the rest.

    Returns
    -------
    Translation
        Not trusted where the images have nothing in common.

    Raises
    ------
    ValueError
        Shapes that differ or are too small, values that are not finite.

    References
    ----------
    .. [1] Robinson & Milanfar, IEEE Trans. Image Process. 13, 1185 (2004), doi:10.1109/TIP.2004.832923
    """
    first, second = _checked(reference, image)
    coarse = _coarse(first, second)
    fit = None if coarse is None else _refined(first, second, coarse)
    if fit is None:
        return _UNKNOWN
    pair = Pair(first, second, _SIGMA_PX)
    weights = None
    if independent:
        fit, weights = follow_the_majority(pair, fit)
    return Translation(
        fit.shift_px[0],
        fit.shift_px[1],
        _error_px(pair, fit, weights),
        _confidence(first, second, fit.shift_px),
        fit.gain,
        weights,
    )


def _checked(reference: npt.ArrayLike, image: npt.ArrayLike) -> tuple[Floats, Floats]:
    first, second = (_floats(np.asarray(each)) for each in (reference, image))
    if first.ndim != 2 or first.shape != second.shape or min(first.shape) < _SMALLEST_SIDE_PX:
        raise ValueError(
            f"Two images (Y, X) of one shape, at least {_SMALLEST_SIDE_PX} pixels a side, are needed. "
            f"Got: {first.shape} and {second.shape}."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("The images have values that are not finite.")
    return first, second


def _floats(image: npt.NDArray[Any]) -> Floats:
    return np.ascontiguousarray(image, dtype=np.float32)


def _coarse(first: Floats, second: Floats) -> tuple[int, Fit] | None:
    """The binning at which the coarse search works, and its best fit."""
    side = min(first.shape)
    factor = 1
    while factor < _LARGEST_BINNING and side / (2 * factor) >= _COARSE_SIDE_PX:
        factor *= 2
    bands = [(_band(first, share * side, factor), _band(second, share * side, factor)) for share in _BANDS]
    pair = Pair(*bands[0], _COARSE_SIGMA_PX)
    best: tuple[float, Fit] | None = None
    for shift in coarse_shifts(bands)[:_MOST_TRIED]:
        fit = pair.fit((float(shift[0]), float(shift[1])), enough_px=0.02)
        score = 0.0 if fit is None else sum(_explained_at(*band, fit.shift_px, 0.5) for band in bands)
        if fit is not None and (best is None or score > best[0]):
            best = score, fit
    return None if best is None else (factor, best[1])


def _band(image: Floats, widest_px: float, factor: int) -> Floats:
    return smoothed(binned(high_passed(image, widest_px), factor), _SIGMA_PX)


def _explained_at(first: Floats, second: Floats, shift_px: tuple[float, float], sigma_px: float) -> float:
    whole = round(shift_px[0]), round(shift_px[1])
    ours, theirs = overlap(first.shape, whole)
    if min(first[ours].shape) < 2:
        return 0.0
    moved = smoothed(second, sigma_px, (shift_px[0] - whole[0], shift_px[1] - whole[1]))
    return explained((first, second), first[ours], moved[theirs])


def _refined(first: Floats, second: Floats, coarse: tuple[int, Fit]) -> Fit | None:
    """From the coarse search's binning to full resolution, by factors of two."""
    factor, fit = coarse
    found: Fit | None = fit
    shift = fit.shift_px
    if factor == 1:
        return Pair(first, second, _SIGMA_PX).fit(shift)
    while factor > 1 and found is not None:
        factor //= 2
        pair = Pair(binned(first, factor), binned(second, factor), _SIGMA_PX)
        # A step of this size leaves an error that the next, finer step takes out with ease.
        found = pair.fit((2 * shift[0], 2 * shift[1]), enough_px=0.01)
        shift = shift if found is None else found.shift_px
    return found


def _error_px(pair: Pair, fit: Fit, weights: Floats | None) -> float:
    """Root mean square of the error: how the noise that is left, smoothed as the images are, moves the fit."""
    aligned = pair.aligned(fit.shift_px)
    if aligned is None:
        return math.inf
    residual = aligned.residual(fit.gain, fit.offset)
    if weights is None:
        weights = np.ones_like(residual)
    pixels = float(weights.sum())
    # Of the difference of two images; their smoothing is undone.
    white = float(np.vdot(weights, residual * residual)) / max(pixels, 1e-9) * 4 * math.pi * pair.sigma_px**2
    known = information(aligned.down, aligned.right, weights)
    known -= np.eye(2) * pixels * _gradient_noise(white / 4, pair.sigma_px)
    # The residual is noise under the same Gaussian as the images, so it moves the fit by its smooth part.
    down, right = (smoothed(gradient, pair.sigma_px) for gradient in (aligned.down, aligned.right))
    spread = information(down, right, weights)
    values, vectors = np.linalg.eigh(known)
    if values[0] <= 1e-3 * values[1]:
        return math.inf  # noise, or nothing but parallel lines
    inverse = vectors / values @ vectors.T
    return math.sqrt(float(np.trace(inverse @ spread @ inverse)) * white)


def _gradient_noise(white: float, sigma_px: float) -> float:
    """The variance of the central differences of white noise of variance ``white``, smoothed."""
    return white / (4 * math.pi * sigma_px**2) * (1 - math.exp(-1 / sigma_px**2)) / 2


def _confidence(first: Floats, second: Floats, shift_px: tuple[float, float]) -> float:
    """The smaller of: correlation over the overlap, and share of the whole images' structure that is explained."""
    side = min(first.shape)
    bands = [high_passed(image, _BANDS[0] * side) for image in (first, second)]
    whole = round(shift_px[0]), round(shift_px[1])
    rest = (shift_px[0] - whole[0], shift_px[1] - whole[1])
    ours, theirs = overlap(first.shape, whole)
    one = smoothed(bands[0], _CONFIDENCE_SIGMA_PX)
    other = smoothed(bands[1], _CONFIDENCE_SIGMA_PX, rest)
    inner, outer = one[ours], other[theirs]
    if min(inner.shape) < _SMALLEST_SIDE_PX // 2:
        return 0.0
    # Up to half of the structure may have left the field before the share is what counts.
    return min(explained((inner, outer), inner, outer), 1.4 * explained((one, other), inner, outer), 1.0)
