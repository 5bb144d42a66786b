"""The movement that all cells share, by their votes, held against what the images tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree
from scipy.special import bdtrc

Array = npt.NDArray[Any]
# Voters are drawn where there are more: the peak is as clear with some hundred.
_MOST_VOTERS = 400
_MOST_WAYS = 1_500_000
# A bin is this part of the tolerance; there are at most so many, by the number of dimensions.
_BIN = 0.5
_MOST_BINS = {2: 1024, 3: 96}
# A jump is believed if chance alone gives as many votes less often than this, anywhere ...
_CHANCE = 1e-3
# ... and so many cells, and so much of them, at least go along.
_LEAST_VOTES = 4
# Looked at within these parts of the tolerance: cells that hardly move are far clearer.
_PARTS = (1.0, 0.5, 0.25)
_LEAST_SHARE = 0.25
# So many standard deviations more votes than another movement has are more.
_CLEARLY_MORE = 2.0
# Cells in no hurry: their mean movement is a drift if there are so many, or if it is so many times its error.
_LEAST_FOR_MEAN = 20
_CLEAR_MEAN = 4.0
# No search for a jump where so much of the usual share of cells are found without one.
_AS_USUAL = 0.85


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """A movement that all cells share.

    Parameters
    ----------
    by : (D,) float
        In the unit of the positions.
    share : float
        The share of the cells that it takes to a cell (0 to 1).
    source : {"cells", "image", "none"}
        What it was taken from; "none" is no movement, for want of a clear one.
    disagree : bool
        Whether the images told something else than the cells.
    """

    by: Array
    share: float = 0.0
    source: str = "none"
    disagree: bool = False

    @staticmethod
    def none(dimensions: int) -> Drift:
        """No movement."""
        return Drift(np.zeros(dimensions))


@dataclass(frozen=True, slots=True, eq=False)
class _Election:
    """Who votes, for what, and how near a cell must come."""

    voters: Array
    found: Array
    tree: cKDTree
    tolerance: float

    def distances(self, by: Array) -> Array:
        """How far each voter is from a cell, taken by a movement; infinite beyond the tolerance."""
        far: Array = self.tree.query(self.voters + by, distance_upper_bound=self.tolerance)[0]
        return far

    def votes(self, by: Array) -> int:
        return int(np.isfinite(self.distances(by)).sum())

    def chance(self, by: Array, places: float) -> float:
        """How often chance alone gives so many votes, at one or more of so many places.

        Compared with movements all round, and with cells spread evenly; cells as near as they are, or much nearer.
        """
        dimensions, count = self.found.shape[1], len(self.voters)
        size = np.prod(np.maximum(np.ptp(self.found, axis=0), self.tolerance))
        aside = 3 * self.tolerance * np.vstack([np.eye(dimensions), -np.eye(dimensions)])
        around = np.array([self.distances(by + way) for way in aside])
        far, least = self.distances(by), 1.0
        for part in _PARTS:
            radius = part * self.tolerance
            ball = (np.pi if dimensions == 2 else 4 / 3 * np.pi) * radius**dimensions
            evenly = 1 - np.exp(-len(self.found) * ball / size)
            share = min(0.99, max(float((around <= radius).mean()), float(evenly)))
            tail = float(bdtrc(int((far <= radius).sum()) - 1, count, share))
            least = min(least, len(_PARTS) * places / part**dimensions * tail)
        return least

    def refined(self, by: Array) -> tuple[Array, Array]:
        """A movement made exact by the cells that it takes to cells, and what is left of their own movements."""
        rest = np.zeros((0, len(by)))
        for _ in range(3):
            far, which = self.tree.query(self.voters + by, distance_upper_bound=self.tolerance)
            near = np.isfinite(far)
            if not near.any():
                break
            rest = self.found[which[near]] - self.voters[near] - by
            by = by + np.median(rest, axis=0)
        return by, rest


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    source: str
    by: Array
    rest: Array
    votes: int


def find_drift(
    expected: Array,
    found: Array,
    max_step: float,
    max_drift: float | None = None,
    image_drift: Drift | None = None,
    usual_share: float = 0.0,
) -> Drift:
    """The movement that takes most of the expected cells to found ones.

    Each cell votes for every movement that would take it to a cell found. Of the movement with the most votes, of none,
    and of that which the images tell, the one that takes most cells to cells counts, if chance cannot explain it.

    Parameters
    ----------
    expected, found : (N, D), (M, D) float
    max_step : float
        How far a cell may be from where it is expected.
    max_drift : float, optional
        Left out, half the extent of the cells found.
    image_drift : Drift, optional
        Taken where the cells do not tell, unless more of them are found where they were without it.
    usual_share : float
        The share of the cells that was found in the frames before; where as many are found without a jump, none is
        looked for. 0: always look.
    """
    dimensions = found.shape[1]
    told = None if image_drift is None else np.asarray(image_drift.by, np.float64)
    if not len(expected) or not len(found):
        return Drift.none(dimensions) if told is None else Drift(told, source="image")
    poll = _Election(_drawn(expected, len(found)), found, cKDTree(found), _tolerance(found, max_step))
    count = len(poll.voters)
    staying = _candidate(poll, "none", np.zeros(dimensions))
    candidates = [staying]
    if told is not None:
        candidates.append(_candidate(poll, "image", told))
    best = max(candidates, key=lambda one: one.votes)
    extent = float(np.ptp(found, axis=0).max())
    reach = min(max_drift if max_drift is not None else np.inf, extent / 2)
    usual = usual_share > 0 and best.votes >= _AS_USUAL * usual_share * count
    if not usual and reach > poll.tolerance and count >= _LEAST_VOTES:
        jump = _candidate(poll, "cells", _most_voted(poll, reach))
        if _is_clear(poll, jump, reach) and _more(jump, best):
            best = jump
    if best.source == "cells" or (best.source == "image" and _is_clear(poll, best, 0.0)):
        disagree = told is not None and bool(np.linalg.norm(told - best.by) > poll.tolerance)
        return Drift(best.by, best.votes / count, best.source, disagree)
    if told is not None and best.source == "image":
        return Drift(told, best.votes / count, "image")
    return _small(poll, staying, told)


def _small(poll: _Election, staying: _Candidate, told: Array | None) -> Drift:
    """The drift of cells that are about where they were: the median of their movements, if there are enough."""
    count, near = len(poll.voters), len(staying.rest)
    share = staying.votes / count
    far = told is not None and bool(np.linalg.norm(told - staying.by) > poll.tolerance)
    if told is not None and staying.votes == 0:
        return Drift(told, 0.0, "image")
    if near >= _LEAST_VOTES and _is_clear(poll, staying, 0.0):
        spread = 1.4826 * np.median(np.abs(staying.rest - np.median(staying.rest, axis=0)), axis=0)
        error = 1.25 * float(np.linalg.norm(spread)) / np.sqrt(near)
        if near >= _LEAST_FOR_MEAN or float(np.linalg.norm(staying.by)) > _CLEAR_MEAN * error:
            return Drift(staying.by, share, "cells", far)
    if told is not None and not far:
        return Drift(told, share, "image")
    return Drift(np.zeros(len(staying.by)), share, "none", far)


def _candidate(poll: _Election, source: str, by: Array) -> _Candidate:
    exact, rest = poll.refined(by)
    return _Candidate(source, exact, rest, poll.votes(exact))


def _is_clear(poll: _Election, one: _Candidate, reach: float) -> bool:
    """Whether chance gives so many votes too seldom to be believed, at any movement within ``reach``."""
    count = len(poll.voters)
    if one.votes < max(_LEAST_VOTES, _LEAST_SHARE * count):
        return False
    # Movements between the places, and the one made exact afterwards, are more chances.
    places = max(1.0, 4.0 * (reach / poll.tolerance) ** len(one.by))
    return poll.chance(one.by, places) < _CHANCE


def _more(one: _Candidate, other: _Candidate) -> bool:
    return one.votes > other.votes + _CLEARLY_MORE * math.sqrt(one.votes + other.votes)


def _drawn(places: Array, found: int) -> Array:
    """At most so many of the places, spread evenly over their order; the same ones for the same places."""
    most = min(_MOST_VOTERS, max(100, _MOST_WAYS // max(found, 1)))
    if len(places) <= most:
        return places
    drawn: Array = places[np.linspace(0, len(places) - 1, most).astype(int)]
    return drawn


def _tolerance(found: Array, max_step: float) -> float:
    """How near a cell must come: a step, but no more than half of the way to a cell's neighbour."""
    if len(found) < 2:
        return max_step
    some = _drawn(found, 0)
    nearest = cKDTree(found).query(some, k=2)[0][:, 1]
    return float(min(max_step, max(np.median(nearest) / 2, max_step / 10)))


def _most_voted(poll: _Election, reach: float) -> Array:
    """The middle of the bin of movements with the most votes, with its neighbours'."""
    dimensions = poll.found.shape[1]
    bins = min(int(np.ceil(2 * reach / (_BIN * poll.tolerance))) | 1, _MOST_BINS[dimensions])
    width = 2 * reach / bins
    flat, inside = np.zeros(1, np.int32), np.ones(1, bool)
    for found, voters in zip(poll.found.T, poll.voters.T, strict=True):
        way = np.subtract.outer((found + reach) / width, voters / width)
        at = np.floor(way, out=way).astype(np.int32)
        inside = inside & (at >= 0) & (at < bins)
        flat = flat * bins + at
    votes = np.bincount(flat[inside], minlength=bins**dimensions).reshape((bins,) * dimensions)
    smooth = uniform_filter(votes.astype(np.float32), 3, mode="constant")
    peak = np.array(np.unravel_index(int(smooth.argmax()), smooth.shape))
    middle: Array = (peak + 0.5) * width - reach
    return middle
