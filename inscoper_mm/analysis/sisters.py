"""Divisions: which new cell is the sister of one that was linked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Array = npt.NDArray[Any]
# The middle of two sisters lies about where their mother was expected: within this part of the largest step.
_MIDDLE_STEPS = 0.5
_APART_STEPS = 1.6
# Two sisters together have about their mother's area or light, and about the same each (natural logarithms).
_SUM_LOG = 0.35
_EACH_LOG = 0.7
# How much areas and light count beside places.
_LIKENESS_COUNTS = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """Cells as seen in a frame.

    Parameters
    ----------
    places : (N, D) float
    areas, lights : (N,) float
        Light is the summed intensity of a cell. NaN where unknown.
    """

    places: Array
    areas: Array
    lights: Array

    def of(self, rows: Array) -> Sight:
        """Some of the cells."""
        return Sight(self.places[rows], self.areas[rows], self.lights[rows])


def find_sisters(before: Sight, now: Sight, new: Sight, max_step: float) -> list[tuple[int, int]]:
    """Pairs (row of ``now``, row of ``new``) that come from one mother; each row at most once, the best pairs first.

    Parameters
    ----------
    before, now : Sight
        Linked cells as they were, at the places where they were expected, and as they are, row by row.
    new : Sight
        Cells that were not linked. Areas or light must fit, whichever fits better; without both, places alone decide.
    max_step : float
    """
    if not len(new.places) or not len(now.places):
        return []
    near = cKDTree(before.places).sparse_distance_matrix(
        cKDTree(new.places), _APART_STEPS * max_step, output_type="ndarray"
    )
    mother, sister = near["i"], near["j"]
    middle = (now.places[mother] + new.places[sister]) / 2 - before.places[mother]
    astray = np.linalg.norm(middle, axis=1) / max_step
    unlike = np.nan_to_num(
        np.fmin(
            _unlike(before.areas[mother], now.areas[mother], new.areas[sister]),
            _unlike(before.lights[mother], now.lights[mother], new.lights[sister]),
        )
    )
    fit = np.flatnonzero((astray <= _MIDDLE_STEPS) & (unlike <= 1))
    cost = astray[fit] ** 2 + _LIKENESS_COUNTS * unlike[fit]
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for pair in fit[np.argsort(cost, kind="stable")].tolist():
        one, other = int(mother[pair]), int(sister[pair])
        if one not in chosen and other not in taken:
            chosen[one] = other
            taken.add(other)
    return list(chosen.items())


def _unlike(mother: Array, known: Array, new: Array) -> Array:
    """0 for areas or light just as of a division, above 1 for those of none; NaN where they are not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.abs(np.log((known + new) / mother)) / _SUM_LOG
        halves = np.abs(np.log(known / new)) / _EACH_LOG
    worse: Array = np.maximum(whole, halves)
    return np.where(np.isfinite(worse), worse, np.nan)
