"""The assignment of expected places to found ones with the least sum of squared distances, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

Array = npt.NDArray[Any]
# More neighbours than these within one step: the nearest are enough.
_MOST_NEIGHBOURS = 10
# The solver takes a weight of zero for no edge.
_NOT_ZERO = 1e-9


def assign(expected: Array, found: Array, max_step: float, price: Array | None = None) -> tuple[Array, Array]:
    """Pair expected with found places.

    Parameters
    ----------
    expected : (N, D) float
    found : (M, D) float
    max_step : float
        No pair is further apart. Leaving an expected place without a partner costs as much as a pair so far apart.
    price : (N,) float, optional
        What each expected place's pairs cost more, in units of ``max_step`` squared.

    Returns
    -------
    (rows, cols) : (K,) int each
        Pairs ``expected[rows]``, ``found[cols]``; the sum of the costs is the least there is.
    """
    none = np.zeros(0, np.int64)
    if not len(expected) or not len(found):
        return none, none
    near = min(_MOST_NEIGHBOURS, len(found))
    far, which = cKDTree(found).query(expected, k=[*range(1, near + 1)], distance_upper_bound=max_step)
    there = np.isfinite(far)
    rows = np.flatnonzero(there.any(axis=1))
    if not len(rows):
        return none, none
    cost = far[rows] ** 2 / max_step**2 + (0 if price is None else price[rows][:, None])
    there = there[rows] & (cost < 1)
    at, slot = np.nonzero(there)
    weights = np.concatenate([cost[at, slot], np.ones(len(rows))]) + _NOT_ZERO
    columns = np.concatenate([which[rows][at, slot], len(found) + np.arange(len(rows))])
    lines = np.concatenate([at, np.arange(len(rows))])
    graph = csr_array((weights, (lines, columns)), shape=(len(rows), len(found) + len(rows)))
    row, col = min_weight_full_bipartite_matching(graph)
    real = col < len(found)
    return rows[row[real]], col[real].astype(np.int64)
