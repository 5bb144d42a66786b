"""What has changed between two images beside their common shift: the difference, and cells that move on their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from inscoper_mm.analysis.background import estimate_background
from inscoper_mm.analysis.diameter import estimate_diameter
from inscoper_mm.analysis.grey import noise_sigma
from inscoper_mm.analysis.resampling import Floats, binned, gradients, moved, overlap, smoothed
from inscoper_mm.analysis.translation import Translation

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]

# Images are binned until they have no more than this many pixels a side: cells do not need more.
_LARGEST_SIDE_PX = 1023
_SIGMA_PX = 2.0
_MARGIN_PX = 4
# A change counts from so many times its noise on: in a million pixels of noise there is none.
_LEAST_NOISES = 6.0
# What may be left of the common shift and of uneven light without being a change.
_SHIFT_TOLERANCE_PX = 0.08
_LIGHT_TOLERANCE = 0.03
# A cell has moved if this share of it has changed, or if it lies so far from where the others went.
_LEAST_CHANGED = 0.3
_LEAST_PIXELS = 12
_LEAST_MOVE_PX = 0.3
# Cells are what stands out of the background by so much of the brightest, and ends at so much of their own peak.
_FOREGROUND = 0.25
_EDGE = 0.4
_PEAK_RADIUS_PX = 3
# Two peaks are one cell if the pass between them is so much of the lower one.
_VALLEY = 0.85
_BACKGROUND_BLOCKS = 4
_BACKGROUND_QUANTILE = 0.35
_LIGHT_ROUNDS = 8
# One pixel in so many is enough to know gain and offset.
_LIGHT_SAMPLE = 5


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What is new in an image, in the places of that image.

    Parameters
    ----------
    difference : ndarray
        (Y, X) float32: the image minus the reference, moved onto it and as bright as it; 0 where the reference does
        not reach.
    mask : ndarray
        (Y, X) bool: the cells that have moved on their own, where they are now.
    """

    difference: Floats
    mask: Mask


def find_motion(reference: npt.ArrayLike, image: npt.ArrayLike, translation: Translation) -> Motion:
    """Find what moves in ``image`` beside the shift that it has against ``reference``.

    Parameters
    ----------
    reference, image : array (Y, X)
        Grey values of any type.
    translation : Translation
        From `inscoper_mm.analysis.translation.find_translation` for the two images.

    Returns
    -------
    Motion
        Nothing but zeros where the translation is not trusted.

    Notes
    -----
    Cells are the basins around the peaks of what stands out of the background, brighter or darker. A cell has moved
    where a good part of it has changed by more than six times the noise, or where its own shift (least squares over
    its pixels) is that significant and more than 0.3 px. Noise, 0.08 px of the common shift and 3 % of the light may
    be left over without being a change.
    """
    first, second = (np.ascontiguousarray(each, np.float32) for each in (reference, image))
    difference, mask = np.zeros(second.shape, np.float32), np.zeros(second.shape, bool)
    if not translation.trusted:
        return Motion(difference, mask)
    factor = 1
    while min(second.shape) // factor > _LARGEST_SIDE_PX:
        factor *= 2
    away = (-translation.row_px, -translation.col_px)
    laid = _Laid.onto(binned(first, factor), binned(second, factor), (away[0] / factor, away[1] / factor))
    if laid is None:
        return Motion(difference, mask)
    gain, offset = laid.light
    whole = round(away[0]), round(away[1])
    here, there = overlap(second.shape, whole)
    expected = moved(first, (away[0] - whole[0], away[1] - whole[1]))[there]
    difference[here] = second[here] - (np.float32(gain) * expected + np.float32(offset))
    small = np.zeros(binned(second, factor).shape, np.uint8)
    small[laid.where] = _moving_cells(laid, translation.error_px / factor)
    large = cv2.resize(small, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    mask[: large.shape[0], : large.shape[1]] = large > 0
    return Motion(difference, mask)


@dataclass(frozen=True, slots=True, eq=False)
class _Laid:
    """Two smoothed images (Y, X) over their overlap, which is ``where`` in the second.

    ``expected`` is the first with the gain and offset in ``light``; ``noise`` is the variance of the difference.
    """

    expected: Floats
    image: Floats
    where: tuple[slice, slice]
    light: tuple[float, float]
    noise: float

    @classmethod
    def onto(cls, first: Floats, second: Floats, away_px: tuple[float, float]) -> _Laid | None:
        """``first`` is read at ``away_px`` from each place of ``second``."""
        whole = round(away_px[0]), round(away_px[1])
        here, there = overlap(second.shape, whole)
        inner = slice(_MARGIN_PX, -_MARGIN_PX)
        image = smoothed(second, _SIGMA_PX)[here][inner, inner]
        expected = smoothed(first, _SIGMA_PX, (away_px[0] - whole[0], away_px[1] - whole[1]))[there][
            inner, inner
        ]
        if min(image.shape) < 4 * _BACKGROUND_BLOCKS:
            return None
        where = tuple(slice(part.start + _MARGIN_PX, part.stop - _MARGIN_PX) for part in here)
        gain, offset = _light(expected, image)
        of_pixels = noise_sigma(second, False) ** 2 + gain**2 * noise_sigma(first, False) ** 2
        noise = of_pixels / (4 * math.pi * _SIGMA_PX**2)
        expected = np.float32(gain) * expected + np.float32(offset)
        return cls(expected, image, (where[0], where[1]), (gain, offset), noise)


def _light(expected: Floats, image: Floats) -> tuple[float, float]:
    """Gain and offset that most pixels agree on (iterated least squares, Geman & McClure's weights)."""
    grey = expected[::_LIGHT_SAMPLE, ::_LIGHT_SAMPLE].ravel().astype(float)
    found = image[::_LIGHT_SAMPLE, ::_LIGHT_SAMPLE].ravel().astype(float)
    columns = np.stack([grey, np.ones_like(grey)], axis=1)
    weights = np.ones_like(grey)
    gain, offset = 1.0, 0.0
    for _ in range(_LIGHT_ROUNDS):
        (gain, offset), *_ = np.linalg.lstsq(columns * weights[:, None], found * weights, rcond=None)
        rest = found - columns @ (gain, offset)
        scale = 2 * 1.4826 * float(np.median(np.abs(rest))) + 1e-12
        weights = 1 / (1 + (rest / scale) ** 2)
    return float(gain), float(offset)


def _moving_cells(laid: _Laid, error_px: float) -> Mask:
    """The mask over the overlap."""
    change = laid.image - laid.expected
    down, right = gradients(np.float32(0.5) * (laid.image + laid.expected))
    background = _background(laid.image, laid.noise)
    steep = down * down + right * right
    aside = (_SHIFT_TOLERANCE_PX**2 + error_px**2) * steep + np.float32(max(laid.noise, 1e-30))
    variance = aside + (_LIGHT_TOLERANCE * (laid.expected - background)) ** 2
    changed = change * change > _LEAST_NOISES**2 * variance
    cells = _cells(np.abs(laid.image - background), laid.noise)
    count = int(cells.max()) + 1
    flat = cells.ravel()
    pixels = np.bincount(flat, minlength=count)
    hits = np.bincount(flat, weights=changed.ravel(), minlength=count)
    moving = (hits > _LEAST_CHANGED * pixels) & (hits >= _LEAST_PIXELS)
    moving |= _moved_aside(flat, count, (down, right, change, aside)) & (pixels >= _LEAST_PIXELS)
    moving[0] = False
    return np.asarray(moving[cells])


def _cells(height: Floats, noise: float) -> Labels:
    """Labels of what stands out, each as far as it is high enough."""
    cells = _basins(height, noise)
    peaks = _highest(cells.ravel(), height.ravel(), int(cells.max()) + 1)
    return np.where(height > _EDGE * peaks[cells], cells, 0)


def _background(image: Floats, noise: float) -> Floats:
    """What there would be without cells: haze and uneven light. Without bright cells, the image's low grey values."""
    diameter = estimate_diameter(image, math.sqrt(noise))
    if diameter is not None:
        return estimate_background(image, diameter)
    rows, cols = (np.array_split(np.arange(size), _BACKGROUND_BLOCKS) for size in image.shape)
    blocks = [
        [
            np.quantile(image[row[0] : row[-1] + 1 : 3, col[0] : col[-1] + 1 : 3], _BACKGROUND_QUANTILE)
            for col in cols
        ]
        for row in rows
    ]
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.resize(np.array(blocks, np.float32), size, interpolation=cv2.INTER_LINEAR))


def _basins(height: Floats, noise: float) -> Labels:
    """Labels of what stands out: one basin around each peak."""
    from skimage.segmentation import watershed

    foreground = height > max(4 * math.sqrt(noise), _FOREGROUND * float(np.quantile(height[::3, ::3], 0.98)))
    smooth = cv2.GaussianBlur(height, (0, 0), _SIGMA_PX)
    size = 2 * _PEAK_RADIUS_PX + 1
    peaks = foreground & (smooth == cv2.dilate(smooth, np.ones((size, size), np.uint8)))
    _, markers = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    basins = np.asarray(watershed(-smooth, markers, mask=foreground), np.int32)
    return _merged(basins, smooth)


def _merged(basins: Labels, height: Floats) -> Labels:
    """Basins of one cell joined: those with no real valley between their peaks."""
    count = int(basins.max()) + 1
    peaks = _highest(basins.ravel(), height.ravel(), count)
    ones, others, passes = [], [], []
    for near, far in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        meet = (basins[near] != basins[far]) & (basins[near] > 0) & (basins[far] > 0)
        ones.append(np.minimum(basins[near][meet], basins[far][meet]))
        others.append(np.maximum(basins[near][meet], basins[far][meet]))
        passes.append(np.minimum(height[near][meet], height[far][meet]))
    one, other = np.concatenate(ones), np.concatenate(others)
    borders, number = np.unique(one.astype(np.int64) * count + other, return_inverse=True)
    saddles = _highest(number.ravel(), np.concatenate(passes), len(borders))
    one, other = borders // count, borders % count
    joined = saddles > _VALLEY * np.minimum(peaks[one], peaks[other])
    graph = coo_array((np.ones(int(joined.sum())), (one[joined], other[joined])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1][basins], np.int32)


def _highest(labels: npt.NDArray[Any], values: Floats, count: int) -> Floats:
    """The largest value of each label."""
    highest = np.zeros(count, np.float32)
    np.maximum.at(highest, labels, values)
    return highest


def _moved_aside(flat: npt.NDArray[Any], count: int, images: tuple[Floats, Floats, Floats, Floats]) -> Mask:
    """Which cells lie aside of where the others went: significantly, and by more than the least move."""
    down, right, change, variance = images

    def total(values: Floats) -> npt.NDArray[np.float64]:
        return np.asarray(np.bincount(flat, weights=(values / variance).ravel(), minlength=count), np.float64)

    rr, rc, cc = total(down * down), total(down * right), total(right * right)
    br, bc = total(down * change), total(right * change)
    determinant = np.maximum(rr * cc - rc * rc, 1e-12 * (rr + cc) ** 2 + 1e-30)
    row, col = (cc * br - rc * bc) / determinant, (rr * bc - rc * br) / determinant
    # Neighbours share their noise: so many pixels count as one.
    evidence = (row * br + col * bc) / (4 * math.pi * _SIGMA_PX**2)
    return np.asarray((evidence > _LEAST_NOISES**2) & (np.hypot(row, col) > _LEAST_MOVE_PX))
