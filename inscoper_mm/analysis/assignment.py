"""The assignment of expected places to found ones with the least sum of squared distances, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

Array = npt.NDArray[Any]
# More neighbours than these within one step: the nearest are enough.
_MOST_NEIGHBOURS = 10
# The solver takes a weight of zero for no edge.
_NOT_ZERO = 1e-9
# Places that hang together by more edges than these would take seconds: their least likely edges are left out ...
_MOST_EDGES = 40_000
# ... down to this part of the dearest that is left, again and again.
_NARROWER = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs ``expected[rows]``, ``found[cols]``, and how many expected places had too many neighbours to try all."""

    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]
    crowded: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """What may be paired: row, column, cost (0 to 1)."""

    at: Array
    to: Array
    cost: Array

    def where(self, kept: Array) -> _Edges:
        return _Edges(self.at[kept], self.to[kept], self.cost[kept])


def assign(expected: Array, found: Array, max_step: float, price: Array | None = None) -> Pairs:
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
    Pairs
        The sum of their costs is the least there is; not where ``crowded`` tells of places with too many neighbours.
    """
    edges = _near(expected, found, max_step, price)
    edges, crowded = _bounded(edges, len(expected), len(found))
    if not len(edges.at):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), crowded)
    rows, at = np.unique(edges.at, return_inverse=True)
    count = len(rows)
    # One dummy column for each row: to stay alone.
    weights = np.concatenate([edges.cost, np.ones(count)]) + _NOT_ZERO
    lines = np.concatenate([at, np.arange(count)])
    columns = np.concatenate([edges.to, len(found) + np.arange(count)])
    graph = csr_array((weights, (lines, columns)), shape=(count, len(found) + count))
    row, col = min_weight_full_bipartite_matching(graph)
    real = col < len(found)
    return Pairs(rows[row[real]], col[real].astype(np.int64), crowded)


def _near(expected: Array, found: Array, max_step: float, price: Array | None) -> _Edges:
    none = np.zeros(0, np.int64)
    if not len(expected) or not len(found):
        return _Edges(none, none, np.zeros(0))
    near = min(_MOST_NEIGHBOURS, len(found))
    far, which = cKDTree(found).query(expected, k=[*range(1, near + 1)], distance_upper_bound=max_step)
    cost = far**2 / max_step**2 + (0 if price is None else price[:, None])
    at, slot = np.nonzero(cost < 1)
    return _Edges(at, which[at, slot], cost[at, slot])


def _bounded(edges: _Edges, expected: int, found: int) -> tuple[_Edges, int]:
    """The edges without the dearest of places that hang together by too many, and how many places these are."""
    limit, touched = 1.0, np.zeros(expected, bool)
    while len(edges.at) > _MOST_EDGES:
        ends = (edges.at, expected + edges.to)
        graph = coo_array((np.ones(len(edges.at)), ends), shape=(expected + found, expected + found))
        group = connected_components(graph, directed=False)[1][edges.at]
        over = np.bincount(group)[group] > _MOST_EDGES
        if not over.any():
            break
        touched[edges.at[over]] = True
        limit = _NARROWER * min(limit, float(edges.cost[over].max()))
        if limit < _NOT_ZERO:
            # All at the very same place: any of the edges is as good as another.
            edges = edges.where(~over | _firsts(edges))
            break
        edges = edges.where(~over | (edges.cost < limit))
    return edges, int(touched.sum())


def _firsts(edges: _Edges) -> Array:
    """The first edge of each row."""
    first = np.zeros(len(edges.at), bool)
    first[np.unique(edges.at, return_index=True)[1]] = True
    return first
