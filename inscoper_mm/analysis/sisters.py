"""Divisions: which new cell is the sister of one that was linked."""

from __future__ import annotations

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


def find_sisters(
    mothers: Array,
    known: Array,
    new: Array,
    max_step: float,
    mother_areas: Array,
    known_areas: Array,
    new_areas: Array,
) -> list[tuple[int, int]]:
    """Pairs (row of ``known``, row of ``new``) that come from one mother; each row at most once, the best pairs first.

    Parameters
    ----------
    mothers, known : (N, D) float
        Where linked cells were (moved with the drift), and where they are.
    new : (M, D) float
        Cells that were not linked.
    max_step : float
    mother_areas, known_areas : (N,) float
    new_areas : (M,) float
        NaN where they are not known: then places alone decide.
    """
    tree = cKDTree(mothers)
    pairs = []
    for row, place in enumerate(new):
        for mother in tree.query_ball_point(place, _APART_STEPS * max_step):
            middle = np.linalg.norm((known[mother] + place) / 2 - mothers[mother]) / max_step
            if middle > _MIDDLE_STEPS:
                continue
            unlike = _unlike(mother_areas[mother], known_areas[mother], new_areas[row])
            if unlike <= 1:
                pairs.append((float(middle**2 + 0.3 * unlike), mother, row))
    chosen: list[tuple[int, int]] = []
    for _, mother, row in sorted(pairs):
        if all(mother != other and row != taken for other, taken in chosen):
            chosen.append((mother, row))
    return chosen


def _unlike(mother: float, known: float, new: float) -> float:
    """0 for areas just as of a division, above 1 for those of none; 0 where areas are not known."""
    if not np.isfinite([mother, known, new]).all() or min(mother, known, new) <= 0:
        return 0.0
    whole = abs(np.log((known + new) / mother)) / _SUM_LOG
    halves = abs(np.log(known / new)) / _EACH_LOG
    return float(max(whole, halves))
