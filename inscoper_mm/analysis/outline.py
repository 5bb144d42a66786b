"""Perimeter and convex hull of all cells at once, by the definitions of scikit-image."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.runs import Integers, Runs

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
# Cells are drawn beside each other on sheets of at most so many pixels.
_SHEET_PX = 1 << 22


def perimeters(runs: Runs) -> Floats:
    """(N,) perimeters of the cells in pixels: that of scikit-image's ``perimeter`` with 4 neighbours.

    Each cell by itself: beside a touching neighbour, and at the border of the image, it ends.
    """
    found = np.zeros(runs.count)
    if runs.count:
        for cells, heights, width in _sheets(runs):
            found[cells] = _perimeters(runs, cells, heights, width)
    return found


def _sheets(runs: Runs) -> Iterator[tuple[Integers, Integers, int]]:
    """Cells of about the same width that share a sheet, the rows that each takes, and the sheet's width."""
    low, high = runs.least(runs.start), runs.most(runs.stop)
    top, bottom = runs.row[runs.first[:-1]], runs.row[runs.first[1:] - 1]
    widths, heights = high - low, bottom - top + 1
    octave = np.frexp(widths.astype(np.float64))[1]
    for size in np.unique(octave):
        cells = np.flatnonzero(octave == size)
        width = int(widths[cells].max()) + 2
        # A row of background above each cell, and below the last one.
        rows = heights[cells] + 1
        sheet = np.cumsum(rows) * width // _SHEET_PX
        for number in np.unique(sheet):
            on = sheet == number
            yield cells[on], rows[on], width


def _perimeters(runs: Runs, cells: Integers, rows: Integers, width: int) -> Floats:
    """The perimeters of some cells, drawn one below the other."""
    height = int(rows.sum()) + 1
    mask = _drawn(runs, cells, np.cumsum(rows) - rows, height, width)
    border = mask - cv2.erode(mask, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    sums = cv2.filter2D(border, -1, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
    classes = cv2.LUT(sums, _class_of_sum())
    places = np.flatnonzero(classes)
    owner = np.searchsorted(np.cumsum(rows) * width, places, side="right")
    numbers = np.bincount(owner * 4 + classes.ravel()[places], minlength=4 * cells.size).reshape(-1, 4)
    return np.asarray(numbers @ _CLASSES)


def _class_of_sum() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    weights = _CLASSES.tolist()
    for total, weight in _WEIGHTS.items():
        table[total] = weights.index(weight)
    return table


def _drawn(runs: Runs, cells: Integers, tops: Integers, height: int, width: int) -> npt.NDArray[np.uint8]:
    """A mask (height, width) of cells, each in its own rows from ``tops`` on, in from the sheet's left by one."""
    drawn = np.zeros(runs.count, bool)
    drawn[cells] = True
    offset = np.zeros(runs.count, np.int64)
    offset[cells] = (tops + 1 - runs.row[runs.first[cells]]) * width + 1 - runs.least(runs.start)[cells]
    own = drawn[runs.cell]
    line = runs.row[own] * width + offset[runs.cell[own]]
    steps = np.zeros(height * width, np.int8)
    steps[line + runs.start[own]] = 1
    steps[line + runs.stop[own]] = -1
    return np.cumsum(steps, out=steps).view(np.uint8).reshape(height, width)


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
