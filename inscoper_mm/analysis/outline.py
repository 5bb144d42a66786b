"""Perimeter and convex hull of all cells at once, by the definitions of scikit-image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.runs import Integers, Runs
from inscoper_mm.analysis.sheets import sheets

Floats = npt.NDArray[np.float64]

# A pixel of the border counts by its neighbours in the border: 1 for itself, 2 for each beside it, 10 for each
# diagonal one; the weights of the sums are those of the estimator of Benkrid and Crookes.
_NEIGHBOURS = np.array([[10, 2, 10], [2, 1, 2], [10, 2, 10]], np.float32)
_WEIGHTS = {
    **dict.fromkeys((5, 7, 15, 17, 25, 27), 1.0),
    **dict.fromkeys((21, 33), math.sqrt(2)),
    **dict.fromkeys((13, 23), (1 + math.sqrt(2)) / 2),
}
_CLASSES = np.array([0.0, 1.0, math.sqrt(2), (1 + math.sqrt(2)) / 2])
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def perimeters(runs: Runs) -> Floats:
    """(N,) perimeters of the cells in pixels: that of scikit-image's ``perimeter`` with 4 neighbours.

    Each cell by itself: beside a touching neighbour, and at the border of the image, it ends.
    """
    found = np.zeros(runs.count)
    for sheet in sheets(runs, margin=1):
        mask = sheet.mask()
        border = mask - cv2.erode(mask, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        sums = cv2.filter2D(border, -1, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
        classes = cv2.LUT(sums, _class_of_sum())
        places = np.flatnonzero(classes)
        owner = sheet.block[places // sheet.width]
        numbers = np.bincount(4 * owner + classes.reshape(-1)[places], minlength=4 * sheet.cells.size)
        found[sheet.cells] = numbers.reshape(-1, 4) @ _CLASSES
    return found


def _class_of_sum() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    weights = _CLASSES.tolist()
    for total, weight in _WEIGHTS.items():
        table[total] = weights.index(weight)
    return table


def hull_areas(runs: Runs) -> Integers:
    """(N,) pixels in the convex hulls of the cells, as scikit-image's ``area_convex`` counts them.

    The hull is that of the middles of the pixels' four sides; a pixel counts if its centre is in it or on its edge.
    """
    if not runs.count:
        return np.empty(0, np.int64)
    same_row = np.diff(runs.row, prepend=-1) == 0
    same_row[runs.first[:-1]] = False
    lines = np.flatnonzero(~same_row)
    cell, row = runs.cell[lines], runs.row[lines]
    left = np.minimum.reduceat(runs.start, lines)
    right = np.maximum.reduceat(runs.stop, lines) - 1
    rows = runs.row[runs.first[1:] - 1] - runs.row[runs.first[:-1]] + 1
    pixels: Integers = _reach(cell, row, right) + _reach(cell, row, -left) + rows
    return pixels


def _reach(cell: Integers, row: Integers, col: Integers) -> Integers:
    """Sum over the rows of each cell of the last column in its hull; (row, col) are its outermost pixels."""
    corner = _corners(cell, row, col)
    cell, row, col = cell[corner], row[corner], col[corner]
    last = np.append(cell[1:] != cell[:-1], True)
    down = np.where(last, 1, np.append(row[1:], 0) - row)
    right = np.where(last, 0, np.append(col[1:], 0) - col)
    # Each edge has its rows but the last one, which the next edge has; the last corner has its own.
    edge = np.repeat(np.arange(down.size), down)
    step = np.arange(edge.size) - np.repeat(np.cumsum(down) - down, down)
    down, right = down[edge], right[edge]
    # The side's middle in the row itself, and the upper and lower middles of neighbouring rows, which are half a row
    # away: where the edge runs along them, they reach further.
    own = col[edge] + (2 * right * step + down) // (2 * down)
    between = np.where(last[edge], np.iinfo(np.int64).min, col[edge] + (right * (2 * step + 1)) // (2 * down))
    above = np.append(np.iinfo(np.int64).min, between[:-1])
    far = np.maximum(own, np.maximum(between, above))
    return np.add.reduceat(far, np.flatnonzero(np.append(True, cell[edge][1:] != cell[edge][:-1])))


def _corners(cell: Integers, row: Integers, col: Integers) -> npt.NDArray[np.intp]:
    """Which points are corners of the right-hand side of the hull of their cell's points.

    A point left of the line between its two neighbours is none; once these are gone, others are found to be none, until
    the line turns the same way at all that are left.
    """
    left = np.arange(cell.size)
    while True:
        c, y, x = cell[left], row[left], col[left]
        inner = (c[2:] == c[:-2]) & (
            (x[1:-1] - x[:-2]) * (y[2:] - y[1:-1]) <= (x[2:] - x[1:-1]) * (y[1:-1] - y[:-2])
        )
        if not inner.any():
            return left
        left = left[np.concatenate([[True], ~inner, [True]])]
