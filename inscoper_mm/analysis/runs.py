"""Label images as runs: the stretches of equal labels along the rows, from which cells are measured at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

# Label numbers up to so many per run are counted; larger ones are sorted, which takes longer.
_COUNTED = 64
# Sorting so many different numbers as 16-bit ones takes a fraction of the time.
_SHORT = 1 << 16


@dataclass(frozen=True)
class Runs:
    """The runs of all cells of a label image, cell by cell, and of each cell row by row.

    Parameters
    ----------
    shape : tuple of int
        Of the label image.
    found : (N,) int64
        The label numbers, ascending.
    first : (N + 1,) int64
        Cell ``n`` has the runs ``first[n]`` to ``first[n + 1]``.
    cell, row, start, stop : (R,) int64
        Which cell, the row (counted through all slices of a stack), and the columns, the last one excluded.
    """

    shape: tuple[int, ...]
    found: Integers
    first: Integers
    cell: Integers
    row: Integers
    start: Integers
    stop: Integers

    @property
    def count(self) -> int:
        """How many cells there are."""
        return self.found.size

    @cached_property
    def length(self) -> Integers:
        """Pixels of each run."""
        return self.stop - self.start

    @cached_property
    def area(self) -> Integers:
        """Pixels of each cell."""
        return self.sum(self.length)

    def sum(self, values: Column) -> Column:
        """Sum over the runs of each cell; whole numbers stay exact."""
        return _reduced(np.add, values, self.first[:-1])

    def least(self, values: Column) -> Column:
        """Least over the runs of each cell."""
        return _reduced(np.minimum, values, self.first[:-1])

    def most(self, values: Column) -> Column:
        """Greatest over the runs of each cell."""
        return _reduced(np.maximum, values, self.first[:-1])

    @cached_property
    def pixels(self) -> npt.NDArray[np.intp]:
        """Where the cells' pixels are in the flat image, cell by cell."""
        ends = np.cumsum(self.length)
        steps = np.ones(int(ends[-1]) if ends.size else 0, np.intp)
        begin = self.row * self.shape[-1] + self.start
        if steps.size:
            steps[0] = begin[0]
            steps[ends[:-1]] = begin[1:] - (begin[:-1] + self.length[:-1] - 1)
        return np.cumsum(steps, out=steps)

    @cached_property
    def first_pixel(self) -> Integers:
        """(N,): where each cell begins in ``pixels``."""
        return np.cumsum(self.area) - self.area


def _reduced(function: np.ufunc, values: Column, starts: Integers) -> Column:
    return np.asarray(function.reduceat(values, starts) if starts.size else values[:0])


def find_runs(labels: npt.NDArray[np.integer[Any]]) -> Runs:
    """The runs of the cells of ``labels`` (..., Y, X), in which 0 is background."""
    flat = np.ascontiguousarray(labels).reshape(-1)
    width = labels.shape[-1]
    change = np.empty(flat.size, bool)
    change[:1] = True
    np.not_equal(flat[1:], flat[:-1], out=change[1:])
    change[::width] = True
    begin = np.flatnonzero(change)
    end = np.append(begin[1:], flat.size)
    label = flat[begin]
    inside = label > 0
    begin, length, label = begin[inside], (end - begin)[inside], label[inside].astype(np.int64)
    found, cell = _numbered(label)
    order = np.argsort(cell.astype(np.uint16) if found.size < _SHORT else cell, kind="stable")
    begin, length = begin[order], length[order]
    row = begin // width
    start = begin - row * width
    first = np.append(0, np.cumsum(np.bincount(cell, minlength=found.size)))
    return Runs(labels.shape, found, first, cell[order], row, start, start + length)


def _numbered(label: Integers) -> tuple[Integers, Integers]:
    """The different numbers, ascending, and which of them each is."""
    if not label.size or label.max() > _COUNTED * label.size:
        found, which = np.unique(label, return_inverse=True)
        return found, which.astype(np.int64).reshape(-1)
    present = np.bincount(label) > 0
    number = np.cumsum(present) - 1
    return np.flatnonzero(present).astype(np.int64), number[label].astype(np.int64)
