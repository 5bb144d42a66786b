"""Whether a shift is to be believed: how much of both images it explains, and how much chance would."""

from __future__ import annotations

import math

from inscoper_mm.analysis.coarse_shift import explained
from inscoper_mm.analysis.prepared import SMALLEST_SIDE_PX, Prepared
from inscoper_mm.analysis.resampling import Floats, overlap, smoothed

# Structure up to this share of the image's side is compared: what is wider is uneven light.
WIDEST_SHARE = 1 / 21
_SIGMA_PX = 2.0
# Chance finds no match so near by: the share of the field that lies nearer.
_NEAR_SHARE = 1e-3
ALMOST_NO_SIGMA_PX = 0.5
# Where noise leaves less than this above chance, nothing can be told.
_LEAST_ROOM = 0.15
# What has left the field cannot be explained. Little is granted for that, and nothing to a shift of half the field.
_LEAST_REACHABLE = 0.8


def agreement(reference: Prepared, image: Prepared, factor: int, shift_px: tuple[float, float]) -> float:
    """How much of the images' structure a shift explains, at most 1.

    The smaller of: the correlation over the overlap, and the share of the whole images' structure that is explained.
    Less than half of the structure may leave the field: else one cell on another would be a match.

    Parameters
    ----------
    reference, image : Prepared
    factor : int
        The binning to look at them with.
    shift_px : (row, col)
        In binned pixels.
    """
    one, other = reference.band(factor, WIDEST_SHARE), image.band(factor, WIDEST_SHARE)
    sigma_px = _SIGMA_PX / factor**0.5
    one, other, inner, outer = laid(one, other, shift_px, sigma_px)
    if min(inner.shape) < SMALLEST_SIDE_PX // 2:
        return 0.0
    return min(explained((inner, outer), inner, outer), explained((one, other), inner, outer), 1.0)


def beyond_chance(
    pair: tuple[Floats, Floats], shift_px: tuple[float, float], chance: float, most: float
) -> float:
    """How far what a shift explains lies between what ``chance`` explains (0) and all that it could explain (1).

    It could explain what is not noise, and has not left the field.

    Fields of a few cells fit onto each other without having anything in common; how well, is seen with mirrored ones
    (`inscoper_mm.analysis.coarse_shift.coarse_shifts`).

    Parameters
    ----------
    pair : (ndarray, ndarray)
        The images (Y, X) that ``chance`` is of.
    shift_px : (row, col)
    chance : float
    most : float
        The share of the images' energy that is not noise.

    Returns
    -------
    float
        At most 1; 1 where the shift is so small that chance would hardly have hit it.
    """
    shape = pair[0].shape
    if math.pi * (shift_px[0] ** 2 + shift_px[1] ** 2) < _NEAR_SHARE * math.prod(shape):
        return 1.0
    *whole, inner, outer = laid(*pair, shift_px, ALMOST_NO_SIGMA_PX)
    if min(inner.shape) < 2:
        return 0.0
    share = explained((whole[0], whole[1]), inner, outer)
    room = most * _reachable(shape, shift_px) - chance
    return min((share - chance) / max(room, _LEAST_ROOM), 1.0)


def _reachable(shape: tuple[int, ...], shift_px: tuple[float, float]) -> float:
    """How much of an image's structure another, shifted one can show: no less than 0.8, and all of it far away."""
    shown = math.prod(max(0.0, 1 - abs(shift) / size) for size, shift in zip(shape, shift_px, strict=True))
    return max(shown, _LEAST_REACHABLE) if shown >= 0.5 else 1.0


def laid(
    one: Floats, other: Floats, shift_px: tuple[float, float], sigma_px: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Both images, smoothed, the second moved onto the first below a pixel; then the parts that overlap."""
    whole = round(shift_px[0]), round(shift_px[1])
    ours, theirs = overlap(one.shape, whole)
    one = smoothed(one, sigma_px)
    other = smoothed(other, sigma_px, (shift_px[0] - whole[0], shift_px[1] - whole[1]))
    return one, other, one[ours], other[theirs]
