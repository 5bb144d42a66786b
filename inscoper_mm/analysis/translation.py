"""How far the content of an image has moved: with an error bar, and with a rule when not to believe it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.coarse_shift import coarse_shifts, explained
from inscoper_mm.analysis.fine_shift import Fit, Pair, gradient_noise, information, step
from inscoper_mm.analysis.independent_motion import follow_the_majority
from inscoper_mm.analysis.resampling import Floats, binned, high_passed, overlap, smoothed

Method = Literal["gradient", "phase_correlation"]

_SIGMA_PX = 1.0
_COARSE_SIGMA_PX = 0.8
_CONFIDENCE_SIGMA_PX = 2.0
# Images are binned until they have 128 to 255 pixels a side for the coarse search, and so on.
_COARSE_SIDE_PX = 128
_FAST_SIDE_PX = 256
_FULL_SIDE_PX = 1024
_LARGEST_BINNING = 8
# Two bands, as shares of the image's side: cells and their groups, and fine detail, in which uneven light is invisible.
_BANDS = (1 / 21, 1 / 64)
_MOST_TRIED = 3
_SMALLEST_SIDE_PX = 32
_UPSAMPLING = 100
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


def find_translation(
    reference: npt.ArrayLike,
    image: npt.ArrayLike,
    independent: bool = True,
    fast: bool = False,
    *,
    method: Method = "gradient",
    sub_pixel: bool = True,
) -> Translation:
    """Find how far the content of ``image`` has moved against ``reference``.

    Made for a stage that moves under a camera: content enters and leaves at the borders, light may be uneven and dust
    may stay where it is, cells may have bleached, and some may have moved on their own.

    Parameters
    ----------
    reference, image : array (Y, X)
        Grey values of any type; equal shapes of at least 32 pixels a side.
    independent : bool
        Leave out what moves on its own, where most of the image agrees about the rest.
    fast : bool
        Stop at images binned to 256 to 511 pixels a side: some 0.01 px instead of the least error that the noise
        allows, and nothing is left out. Otherwise images are binned only above 1023 pixels a side.

    method : {"gradient", "phase_correlation"}
        "phase_correlation" is scikit-image's, up-sampled a hundredfold, with our error bar and confidence: for
        comparison. It takes content that enters and leaves for a smaller shift.
    sub_pixel : bool
        False gives whole pixels.

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
    images = _Pyramids(*_checked(reference, image))
    if method == "phase_correlation":
        return _by_phase(images, sub_pixel)
    fit = _coarse(images)
    finest = _least_binning(images.side, _FAST_SIDE_PX if fast else _FULL_SIDE_PX)
    fit = None if fit is None else _refined(images, fit, finest)
    if fit is None:
        return _UNKNOWN
    pair = images.pair(finest)
    weights = None
    if independent and not fast:
        fit, weights = follow_the_majority(pair, fit)
    row_px, col_px = finest * fit.shift_px[0], finest * fit.shift_px[1]
    return Translation(
        row_px if sub_pixel else float(round(row_px)),
        col_px if sub_pixel else float(round(col_px)),
        finest * _error_px(pair, fit, weights),
        _confidence(images, finest, fit.shift_px),
        fit.gain,
        weights,
    )


def _by_phase(images: _Pyramids, sub_pixel: bool) -> Translation:
    """Plain phase correlation; only gain, error and confidence are our own."""
    from skimage.registration import phase_cross_correlation

    registering, _, _ = phase_cross_correlation(
        *images.level(1), upsample_factor=_UPSAMPLING if sub_pixel else 1
    )
    shift = -float(registering[0]), -float(registering[1])
    pair = images.pair(1)
    aligned = pair.aligned(shift)
    light = None if aligned is None else step(aligned, shift)
    if light is None:
        return Translation(*shift, math.inf, 0.0, 1.0)
    fit = Fit(shift, light.gain, light.offset, 0.0)
    return Translation(*shift, _error_px(pair, fit, None), _confidence(images, 1, shift), light.gain)


class _Pyramids:
    """Both images at every binning that is asked for; each is made once."""

    def __init__(self, first: Floats, second: Floats) -> None:
        self.side = min(first.shape)
        self._levels = {1: (first, second)}

    def level(self, factor: int) -> tuple[Floats, Floats]:
        """The images binned by ``factor``, a power of two."""
        if factor not in self._levels:
            first, second = self.level(factor // 2)
            self._levels[factor] = binned(first, 2), binned(second, 2)
        return self._levels[factor]

    def pair(self, factor: int) -> Pair:
        """The images binned by ``factor``, ready to be laid onto each other."""
        return Pair(*self.level(factor), _SIGMA_PX)

    def bands(self, factor: int, shares: tuple[float, ...]) -> list[tuple[Floats, Floats]]:
        """The images binned by ``factor`` without what is wider than each of ``shares`` of their side."""
        first, second = self.level(factor)
        widest = [share * self.side / factor for share in shares]
        return [(high_passed(first, each), high_passed(second, each)) for each in widest]


def _least_binning(side: int, least_side_px: int) -> int:
    """The largest power of two that leaves ``least_side_px`` pixels, at most the coarse search's."""
    factor = 1
    while factor < _LARGEST_BINNING and side / (2 * factor) >= least_side_px:
        factor *= 2
    return factor


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


def _coarse(images: _Pyramids) -> Fit | None:
    """The best fit to the images as the coarse search bins them."""
    factor = _least_binning(images.side, _COARSE_SIDE_PX)
    bands = [
        (smoothed(first, _SIGMA_PX), smoothed(second, _SIGMA_PX))
        for first, second in images.bands(factor, _BANDS)
    ]
    pair = Pair(*bands[0], _COARSE_SIGMA_PX)
    best: tuple[float, Fit] | None = None
    for shift in coarse_shifts(bands)[:_MOST_TRIED]:
        fit = pair.fit((float(shift[0]), float(shift[1])), enough_px=0.02)
        score = 0.0 if fit is None else sum(_explained_at(*band, fit.shift_px, 0.5) for band in bands)
        if fit is not None and (best is None or score > best[0]):
            best = score, fit
    return None if best is None else best[1]


def _explained_at(first: Floats, second: Floats, shift_px: tuple[float, float], sigma_px: float) -> float:
    whole = round(shift_px[0]), round(shift_px[1])
    ours, theirs = overlap(first.shape, whole)
    if min(first[ours].shape) < 2:
        return 0.0
    moved = smoothed(second, sigma_px, (shift_px[0] - whole[0], shift_px[1] - whole[1]))
    return explained((first, second), first[ours], moved[theirs])


def _refined(images: _Pyramids, fit: Fit, finest: int) -> Fit | None:
    """From the coarse search's binning to the ``finest``, by factors of two."""
    factor = _least_binning(images.side, _COARSE_SIDE_PX)
    found: Fit | None = fit
    if factor == finest:
        return images.pair(finest).fit(fit.shift_px)
    while factor > finest and found is not None:
        factor //= 2
        row, col = found.shift_px
        # On the way, what is left is taken out with ease by the next, finer step.
        enough_px = 3e-4 if factor == finest else 0.03
        found = images.pair(factor).fit((2 * row, 2 * col), enough_px)
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
    known -= np.eye(2) * pixels * gradient_noise(white / 4, pair.sigma_px)
    # The residual is noise under the same Gaussian as the images, so it moves the fit by its smooth part.
    down, right = (smoothed(gradient, pair.sigma_px) for gradient in (aligned.down, aligned.right))
    spread = information(down, right, weights)
    values, vectors = np.linalg.eigh(known)
    if values[0] <= 1e-3 * values[1]:
        return math.inf  # noise, or nothing but parallel lines
    inverse = vectors / values @ vectors.T
    return math.sqrt(float(np.trace(inverse @ spread @ inverse)) * white)


def _confidence(images: _Pyramids, finest: int, shift_px: tuple[float, float]) -> float:
    """The smaller of: correlation over the overlap, and share of the whole images' structure that is explained."""
    factor = max(finest, _least_binning(images.side, _FAST_SIDE_PX))
    ((one, other),) = images.bands(factor, _BANDS[:1])
    row, col = (part * finest / factor for part in shift_px)
    whole = round(row), round(col)
    sigma_px = _CONFIDENCE_SIGMA_PX / factor**0.5
    ours, theirs = overlap(one.shape, whole)
    one, other = smoothed(one, sigma_px), smoothed(other, sigma_px, (row - whole[0], col - whole[1]))
    inner, outer = one[ours], other[theirs]
    if min(inner.shape) < _SMALLEST_SIDE_PX // 2:
        return 0.0
    # Less than half of the structure may leave the field: else one cell on another would be a match.
    return min(explained((inner, outer), inner, outer), explained((one, other), inner, outer), 1.0)
