"""How sharp each cell is: how wide its edge is, and how wide that is for a cell of its size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import GreyImage, Labels, blur
from inscoper_mm.analysis.objects import nearest_label
from inscoper_mm.analysis.runs import Runs

Floats = npt.NDArray[np.float64]

# The edge is looked for as far as this to both sides of the outline, in radii of the cell, and at least so far.
_REACH_RADII = 1.0
_LEAST_REACH_PX = 4.0
# A distance at which a cell has fewer pixels than this says nothing; and nothing of the slope, if they are less than
# this part of those where it has most: a few pixels between neighbours may have any slope.
_LEAST_PX = 8
_LEAST_PART = 0.25
_SMOOTHING_PX = 0.7


def edge_widths(runs: Runs, image: GreyImage) -> Floats:
    """(N,) widths of the cells' edges in pixels: the step from outside to inside over its steepest slope.

    The grey values are averaged along the outline, at each distance from it, so that noise hardly counts. A pixel
    outside belongs to the cell that is nearest. NaN where there is no edge: in a cell of a few pixels, or of one value.

    Parameters
    ----------
    runs : Runs
        Of a (Y, X) label image.
    image : (Y, X) float32
    """
    if not runs.count:
        return np.empty(0)
    radius = np.sqrt(runs.area / np.pi)
    reach = np.maximum(_REACH_RADII * radius, _LEAST_REACH_PX)
    owner, depth = _depths(_compact(runs))
    near = np.abs(depth) < np.append(0, reach)[owner]
    cell = owner[near].astype(np.int64) - 1
    middle = int(np.ceil(reach.max()))
    place = cell * (2 * middle) + np.floor(depth[near]).astype(np.int64) + middle

    def by_distance(values: npt.NDArray[Any] | None = None) -> Floats:
        sums = np.bincount(place, values, minlength=runs.count * 2 * middle)
        return np.asarray(sums.reshape(runs.count, -1), np.float64)

    count = by_distance()
    number = np.maximum(count, 1)
    return _widths(
        count, by_distance(depth[near]) / number, by_distance(blur(image, _SMOOTHING_PX)[near]) / number
    )


def _widths(count: Floats, distance: Floats, grey: Floats) -> Floats:
    """The widths of the edges from profiles (N, distance): number of pixels, their mean distance and grey value."""
    known = count >= _LEAST_PX
    step = np.where(known, grey, -np.inf).max(axis=1) - np.where(known, grey, np.inf).min(axis=1)
    many = known & (count >= _LEAST_PART * count.max(axis=1, keepdims=True))
    many = many[:, 1:] & many[:, :-1]
    slopes = np.divide(np.abs(np.diff(grey)), np.diff(distance), out=np.zeros(many.shape), where=many)
    slope = slopes.max(axis=1)
    return np.divide(step, slope, out=np.full(slope.size, np.nan), where=slope > 0)


def _compact(runs: Runs) -> Labels:
    """The label image with the numbers 1, 2, 3, ..."""
    labels = np.zeros(runs.shape, np.int32)
    labels.reshape(-1)[runs.pixels] = np.repeat(np.arange(1, runs.count + 1, dtype=np.int32), runs.area)
    return labels


def _depths(labels: Labels) -> tuple[Labels, GreyImage]:
    """Whose each pixel is, and how far inside of the outline; outside it is below 0.

    Where two cells touch there is no outline: what counts is the distance from the background.
    """
    outside, owner = nearest_label(labels)
    inside = cv2.distanceTransform((labels > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return owner, np.where(labels > 0, inside - np.float32(0.5), np.float32(0.5) - outside)
