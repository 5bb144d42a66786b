"""Cells drawn beside each other on sheets, each by itself, so that one call treats all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import Mask
from inscoper_mm.analysis.runs import Integers, Runs

_Value = TypeVar("_Value", bound=np.generic)

# A sheet has at most so many pixels, unless a single cell has more.
_SHEET_PX = 1 << 22
# Empty pixels that cost as much time as one more sheet.
_WASTE_PX = 1 << 16


@dataclass(frozen=True)
class Sheet:
    """Cells of about the same width, one below the other, each with a margin around it.

    Parameters
    ----------
    runs : Runs
        Of all cells of the image.
    cells : (C,) int64
        Which of them are here.
    rows, cols : (C,) int64
        Where the first pixel of each cell's block lies in the image; outside of it, where the cell is at its border.
    heights : (C,) int64
        Rows of each block.
    width : int
    margin : int
    """

    runs: Runs
    cells: Integers
    rows: Integers
    cols: Integers
    heights: Integers
    width: int
    margin: int

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the sheet."""
        return int(self.heights.sum()), self.width

    @cached_property
    def tops(self) -> Integers:
        """(C,): the first row of each block on the sheet."""
        return np.cumsum(self.heights) - self.heights

    @cached_property
    def block(self) -> Integers:
        """(rows of the sheet,): which block each row is of."""
        return np.repeat(np.arange(self.cells.size), self.heights)

    def mask(self) -> Mask:
        """1 in the cells (rows, columns)."""
        drawn = np.zeros(self.runs.count, bool)
        drawn[self.cells] = True
        offset = np.zeros(self.runs.count, np.int64)
        offset[self.cells] = (self.tops - self.rows) * self.width - self.cols
        own = drawn[self.runs.cell]
        line = self.runs.row[own] * self.width + offset[self.runs.cell[own]]
        steps = np.zeros(self.shape[0] * self.width, np.int8)
        steps[line + self.runs.start[own]] = 1
        steps[line + self.runs.stop[own]] = -1
        return np.cumsum(steps, out=steps).view(np.uint8).reshape(self.shape)

    @cached_property
    def places(self) -> npt.NDArray[np.intp]:
        """Where each pixel of the sheet lies in the flat image; those outside of it have any place."""
        row = np.arange(self.shape[0]) - self.tops[self.block] + self.rows[self.block]
        begin = row * self.runs.shape[-1] + self.cols[self.block]
        return np.asarray(begin[:, None] + np.arange(self.width))

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Which pixels of the sheet lie in the image."""
        height, width = self.runs.shape[-2:]
        row = np.arange(self.shape[0]) - self.tops[self.block] + self.rows[self.block]
        col = self.cols[:, None] + np.arange(self.width)
        return np.asarray(((col >= 0) & (col < width))[self.block] & ((row >= 0) & (row < height))[:, None])

    def of(self, image: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
        """The image (Y, X) on the sheet; outside of the image it has any of its values."""
        return np.take(image, self.places, mode="clip")


def sheets(runs: Runs, margin: int) -> Iterator[Sheet]:
    """All cells of a (Y, X) label image, those of about the same width on the same sheets, the widest ones first."""
    if not runs.count:
        return
    left, right = runs.least(runs.start), runs.most(runs.stop)
    top, bottom = runs.row[runs.first[:-1]], runs.row[runs.first[1:] - 1] + 1
    widths, heights = right - left + 2 * margin, bottom - top + 2 * margin
    for cells in _alike(widths, heights):
        width = int(widths[cells].max())
        number = np.cumsum(heights[cells]) * width // _SHEET_PX
        for each in np.unique(number):
            on = cells[number == each]
            yield Sheet(runs, on, top[on] - margin, left[on] - margin, heights[on], width, margin)


def _alike(widths: Integers, heights: Integers) -> Iterator[Integers]:
    """Groups of cells that waste little of a sheet as wide as their widest one."""
    octave = np.frexp(widths.astype(np.float64))[1]
    group = np.empty(0, np.int64)
    for size in np.unique(octave)[::-1]:
        cells = np.flatnonzero(octave == size)
        if group.size:
            waste = (int(widths[group].max()) - widths[cells]) @ heights[cells]
            if waste > _WASTE_PX:
                yield np.sort(group)
                group = group[:0]
        group = np.concatenate([group, cells])
    yield np.sort(group)
