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
_MOST_EDGES = 20_000
# ... down to this part of the dearest that is left, again and again.
_NARROWER = 0.7
_EDGES_AT_ONCE = 500


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
    edges, group, crowded = _bounded(edges, len(expected), len(found))
    if not len(edges.at):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), crowded)
    alone = np.bincount(group)[group] == 1
    rows, cols = [edges.at[alone]], [edges.to[alone]]
    for part in _parts(edges.where(~alone), group[~alone]):
        row, col = _solved(part)
        rows.append(row)
        cols.append(col)
    return Pairs(np.concatenate(rows), np.concatenate(cols), crowded)


def _parts(edges: _Edges, group: Array) -> list[_Edges]:
    """Edges in parts of some hundred, no group cut: the solver's time grows with the square of the places."""
    if not len(group):
        return []
    order = np.argsort(group, kind="stable")
    group = group[order]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    turn = np.diff(first // _EDGES_AT_ONCE, prepend=0) > 0
    cuts = first[turn]
    return [edges.where(part) for part in np.split(order, cuts)]


def _solved(edges: _Edges) -> tuple[Array, Array]:
    """Rows and columns of the pairs of least cost."""
    rows, at = np.unique(edges.at, return_inverse=True)
    cols, to = np.unique(edges.to, return_inverse=True)
    count, width = len(rows), len(cols)
    # One dummy column for each row: to stay alone.
    weights = np.concatenate([edges.cost, np.ones(count)]) + _NOT_ZERO
    lines = np.concatenate([at, np.arange(count)])
    columns = np.concatenate([to, width + np.arange(count)])
    graph = csr_array((weights, (lines, columns)), shape=(count, width + count))
    row, col = min_weight_full_bipartite_matching(graph)
    real = col < width
    return rows[row[real]], cols[col[real]]


def _near(expected: Array, found: Array, max_step: float, price: Array | None) -> _Edges:
    none = np.zeros(0, np.int64)
    if not len(expected) or not len(found):
        return _Edges(none, none, np.zeros(0))
    near = min(_MOST_NEIGHBOURS, len(found))
    far, which = cKDTree(found).query(expected, k=[*range(1, near + 1)], distance_upper_bound=max_step)
    cost = far**2 / max_step**2 + (0 if price is None else price[:, None])
    at, slot = np.nonzero(cost < 1)
    return _Edges(at, which[at, slot], cost[at, slot])


def _bounded(edges: _Edges, expected: int, found: int) -> tuple[_Edges, Array, int]:
    """Edges, the group of those that hang together which each belongs to, and how many places lost some.

    The dearest edges of a group that has too many are left out.
    """
    limit, touched = 1.0, np.zeros(expected, bool)
    while True:
        ends = (edges.at, expected + edges.to)
        graph = coo_array((np.ones(len(edges.at)), ends), shape=(expected + found, expected + found))
        group = connected_components(graph, directed=False)[1][edges.at]
        over = np.bincount(group, minlength=1)[group] > _MOST_EDGES
        if not over.any():
            return edges, group, int(touched.sum())
        touched[edges.at[over]] = True
        limit = _NARROWER * min(limit, float(edges.cost[over].max()))
        # At the very same place any edge is as good as another.
        kept = edges.cost < limit if limit > _NOT_ZERO else _firsts(edges)
        edges = edges.where(~over | kept)


def _firsts(edges: _Edges) -> Array:
    """One edge for each row, as far as columns go: its nearest one's turn."""
    first = np.zeros(len(edges.at), bool)
    first[np.unique(edges.at, return_index=True)[1]] = True
    return first
