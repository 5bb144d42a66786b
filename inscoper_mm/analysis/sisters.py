"""Divisions: which new cell is the sister of one that was linked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Array = npt.NDArray[Any]
# The middle of two sisters lies about where their mother was: within this part of the largest step.
_MIDDLE_STEPS = 0.55
_APART_STEPS = 1.6
# Two sisters together have about their mother's area, and about the same each (natural logarithms).
_SUM_LOG = 0.35
_EACH_LOG = 0.7
# How much areas count beside places.
_AREAS_COUNT = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Linked:
    """Cells that were linked: where they were (moved with the drift), where they are, and their areas then and now."""

    before: Array
    now: Array
    area_before: Array
    area_now: Array


def find_sisters(linked: Linked, new: Array, new_areas: Array, max_step: float) -> list[tuple[int, int]]:
    """Pairs (row of ``linked``, row of ``new``) that come from one mother; each row at most once, the best pairs first.

    Parameters
    ----------
    linked : Linked
    new : (M, D) float
        Cells that were not linked.
    new_areas : (M,) float
        Areas that are NaN are not known: then places alone decide.
    max_step : float
    """
    if not len(new) or not len(linked.now):
        return []
    near = cKDTree(linked.before).sparse_distance_matrix(
        cKDTree(new), _APART_STEPS * max_step, output_type="ndarray"
    )
    mother, sister = near["i"], near["j"]
    middle = (linked.now[mother] + new[sister]) / 2 - linked.before[mother]
    astray = np.linalg.norm(middle, axis=1) / max_step
    unlike = _unlike(linked.area_before[mother], linked.area_now[mother], new_areas[sister])
    fit = np.flatnonzero((astray <= _MIDDLE_STEPS) & (unlike <= 1))
    cost = astray[fit] ** 2 + _AREAS_COUNT * unlike[fit]
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for pair in fit[np.argsort(cost, kind="stable")].tolist():
        one, other = int(mother[pair]), int(sister[pair])
        if one not in chosen and other not in taken:
            chosen[one] = other
            taken.add(other)
    return list(chosen.items())


def _unlike(mother: Array, known: Array, new: Array) -> Array:
    """0 for areas just as of a division, above 1 for those of none; 0 where areas are not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.abs(np.log((known + new) / mother)) / _SUM_LOG
        halves = np.abs(np.log(known / new)) / _EACH_LOG
    worse: Array = np.maximum(whole, halves)
    return np.where(np.isfinite(worse), worse, 0.0)
