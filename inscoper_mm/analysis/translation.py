"""How far the content of an image has moved: with an error bar, and with a rule when not to believe it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.coarse_shift import Candidates, coarse_shifts, explained
from inscoper_mm.analysis.fine_shift import Fit, Pair, Sums
from inscoper_mm.analysis.grey import blurred_noise, noise_sigma
from inscoper_mm.analysis.independent_motion import follow_the_majority, spread_out
from inscoper_mm.analysis.prepared import Prepared
from inscoper_mm.analysis.resampling import Floats, smoothed
from inscoper_mm.analysis.trust import ALMOST_NO_SIGMA_PX, WIDEST_SHARE, agreement, beyond_chance, laid

Method = Literal["gradient", "phase_correlation"]

# Images are binned until they have 128 to 255 pixels a side for the coarse search, and so on: the fit ends with 1024 to
# 2047, the vote about what moves on its own is taken with 512 to 1023.
_COARSE_SIDE_PX = 128
_FAST_SIDE_PX = 256
_VOTE_SIDE_PX = 512
_FULL_SIDE_PX = 1024
_COARSE_SIGMA_PX = 1.0
# Two bands, as shares of the image's side: cells and their groups, and fine detail, in which uneven light is invisible.
_BANDS = (WIDEST_SHARE, 1 / 64)
_MOST_TRIED = 3
# Candidates nearer to each other than this lead to the same fit.
_APART_PX = 3
_LEAST_OF_BEST = 0.5
# A step of this size is the last: on the way, the next, finer fit takes out what is left with ease.
_ENOUGH_ON_THE_WAY_PX = 0.05
_ENOUGH_PX = 0.01
_MOST_STEPS = 6
_UPSAMPLING = 100
# Unrelated fields under one fixed pattern reach 0.2; fields with a third of the cells on the move fall to 0.8.
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
        How much of both images' structure the shift explains, and of that beyond chance, at most 1; believe it from
        0.5 on.
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
    reference: npt.ArrayLike | Prepared,
    image: npt.ArrayLike | Prepared,
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
    reference, image : array (Y, X) or Prepared
        Grey values of any type; equal shapes of at least 32 pixels a side. An image that others are compared with
        again and again is best given as `inscoper_mm.analysis.prepared.Prepared`: what is made of it is kept.
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
    first, second = _checked(reference, image)
    if method == "phase_correlation":
        return _by_phase(first, second, sub_pixel)
    finest = first.least_binning(_FAST_SIDE_PX if fast else _FULL_SIDE_PX)
    for each in (first, second):
        each.level(finest)  # the coarser ones are made of it
    coarse = _Coarse(first, second)
    found = coarse.fit()
    result = None if found is None else _refined(first, second, found, finest, independent and not fast)
    if result is None:
        return _UNKNOWN
    fit, sums, weights = result
    row_px, col_px = (finest * part for part in fit.shift_px)
    return Translation(
        row_px if sub_pixel else float(round(row_px)),
        col_px if sub_pixel else float(round(col_px)),
        finest * _error_px(sums),
        coarse.confidence(row_px, col_px),
        fit.gain,
        None if weights is None else np.minimum(weights, np.float32(1)),
    )


def _checked(
    reference: npt.ArrayLike | Prepared, image: npt.ArrayLike | Prepared
) -> tuple[Prepared, Prepared]:
    first, second = (each if isinstance(each, Prepared) else Prepared(each) for each in (reference, image))
    if first.shape != second.shape:
        raise ValueError(f"Two images of one shape are needed. Got: {first.shape} and {second.shape}.")
    return first, second


def _by_phase(first: Prepared, second: Prepared, sub_pixel: bool) -> Translation:
    """Plain phase correlation; only gain, error and confidence are our own."""
    from skimage.registration import phase_cross_correlation

    if not (np.ptp(first.level(1)) > 0 and np.ptp(second.level(1)) > 0):
        return _UNKNOWN
    upsampling = _UPSAMPLING if sub_pixel else 1
    registering, _, _ = phase_cross_correlation(first.level(1), second.level(1), upsample_factor=upsampling)
    shift = -float(registering[0]), -float(registering[1])
    pair, fit = Pair(first, second, 1), Fit(shift, 1.0, 0.0, 0.0)
    sums = pair.sums(fit, error=True)
    light = None if sums is None else sums.step(fit)
    if light is None or sums is None:
        return Translation(*shift, math.inf, 0.0, 1.0)
    return Translation(*shift, _error_px(sums), _Coarse(first, second).confidence(*shift), light.gain)


class _Coarse:
    """Both images as the coarse search bins them, in two bands."""

    def __init__(self, first: Prepared, second: Prepared) -> None:
        self.images = first, second
        self.factor = first.least_binning(_COARSE_SIDE_PX)
        self.bands = [(self._band(first, share), self._band(second, share)) for share in _BANDS]
        self.candidates = coarse_shifts(self.bands)

    def _band(self, image: Prepared, share: float) -> Floats:
        return smoothed(image.band(self.factor, share), _COARSE_SIGMA_PX)

    def fit(self) -> Fit | None:
        """The best fit."""
        pair = Pair(*self.images, self.factor)
        best: tuple[float, Fit] | None = None
        for shift in _apart(self.candidates):
            fit = pair.fit(Fit(shift, 1.0, 0.0, 0.0), enough_px=0.1)
            score = 0.0 if fit is None else sum(_explained_at(band, fit.shift_px) for band in self.bands)
            if fit is not None and (best is None or score > best[0]):
                best = score, fit
        return None if best is None else best[1]

    def confidence(self, row_px: float, col_px: float) -> float:
        """How much to believe a shift, at most 1."""
        structure = self.bands[0]
        most = 1.0
        for image, band in zip(self.images, structure, strict=True):
            noise = blurred_noise(noise_sigma(image.level(self.factor), False), _COARSE_SIGMA_PX) ** 2
            most *= math.sqrt(max(1 - noise / max(float(np.var(band)), 1e-30), 0.0))
        shift = row_px / self.factor, col_px / self.factor
        beyond = beyond_chance(structure, shift, self.candidates.chance, most)
        factor = self.images[0].least_binning(_FAST_SIDE_PX)
        return min(beyond, agreement(*self.images, factor, (row_px / factor, col_px / factor)))


def _apart(candidates: Candidates) -> list[tuple[float, float]]:
    """The best candidates that are no neighbours, and explain about as much as the best."""
    chosen: list[tuple[float, float]] = []
    for (row, col), score in zip(candidates.shifts, candidates.scores, strict=True):
        far = all(math.hypot(row - other[0], col - other[1]) >= _APART_PX for other in chosen)
        if far and score >= _LEAST_OF_BEST * candidates.scores[0]:
            chosen.append((float(row), float(col)))
    return chosen[:_MOST_TRIED]


def _explained_at(pair: tuple[Floats, Floats], shift_px: tuple[float, float]) -> float:
    inner, outer = laid(*pair, shift_px, ALMOST_NO_SIGMA_PX)[2:]
    return explained(pair, inner, outer) if min(inner.shape) > 1 else 0.0


def _refined(
    first: Prepared, second: Prepared, fit: Fit, finest: int, independent: bool
) -> tuple[Fit, Sums, Floats | None] | None:
    """From the coarse search's binning to the ``finest``, by factors of two."""
    factor = first.least_binning(_COARSE_SIDE_PX)
    voting = max(first.least_binning(_VOTE_SIDE_PX), finest)
    found: Fit | None = fit
    weights: Floats | None = None
    while found is not None:
        pair = Pair(first, second, factor)
        if factor == voting and independent:
            found, weights = _voted(pair, found)
        if factor == finest:
            return None if found is None else _finest(pair, found, weights, voting // factor)
        found = None if found is None else pair.fit(found, _ENOUGH_ON_THE_WAY_PX)
        factor //= 2
        if found is not None:
            twice = 2 * found.shift_px[0], 2 * found.shift_px[1]
            found = Fit(twice, found.gain, found.offset, found.step_px)
    return None


def _voted(pair: Pair, fit: Fit) -> tuple[Fit | None, Floats | None]:
    found = pair.fit(fit, _ENOUGH_ON_THE_WAY_PX)
    return (None, None) if found is None else follow_the_majority(pair, found)


def _finest(
    pair: Pair, fit: Fit, agree: Floats | None, coarser: int
) -> tuple[Fit, Sums, Floats | None] | None:
    """The last fit, what its error is made of, and the weights of its pixels."""
    weights: Floats | None = None
    for number in range(_MOST_STEPS):
        shape = pair.shape(fit.shift_px)
        if agree is not None and shape is not None and (weights is None or weights.shape != shape):
            weights = spread_out(agree, shape, coarser)
        sums = pair.sums(fit, weights, error=True)
        found = None if sums is None else sums.step(fit)
        if found is None or sums is None:
            return None
        fit = found
        if found.step_px < _ENOUGH_PX or number == _MOST_STEPS - 1:
            return fit, sums, weights
    return None


def _error_px(sums: Sums) -> float:
    """Root mean square of the error: how the noise that is left, smoothed as the images are, moves the fit."""
    # The residual is noise under the same Gaussian as the images, so it moves the fit by its smooth part.
    known = sums.known()
    values, vectors = np.linalg.eigh(known)
    if values[0] <= 1e-3 * values[1]:
        return math.inf  # noise, or nothing but parallel lines
    inverse = vectors / values @ vectors.T
    return math.sqrt(float(np.trace(inverse @ sums.smooth @ inverse)) * sums.white())
