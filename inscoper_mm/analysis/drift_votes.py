"""The movement that all cells share, by their votes, held against what the images tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Array = npt.NDArray[Any]
# Voters are drawn where there are more: the peak is as clear with some hundred.
_MOST_VOTERS = 400
# A bin is this part of the largest step.
_BIN_STEPS = 0.5
# A drift is believed if so many more cells than chance alone, in standard deviations, are where it takes them ...
_CLEAR_SIGMAS = 6.0
# ... and so much of them at least.
_LEAST_SHARE = 0.3
_LEAST_VOTES = 4


@dataclass(frozen=True, slots=True)
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


def find_drift(
    expected: Array,
    found: Array,
    max_step: float,
    max_drift: float | None = None,
    image_drift: Drift | None = None,
) -> Drift:
    """The movement that takes most of the expected cells to found ones.

    Each cell votes for every movement that would take it to a cell found. Of the movement with the most votes, of none,
    and of that which the images tell, the one that takes most cells to cells counts.

    Parameters
    ----------
    expected, found : (N, D), (M, D) float
    max_step : float
        How far a cell may be from where it is expected.
    max_drift : float, optional
        Left out, half the extent of the cells found.
    image_drift : Drift, optional
    """
    dimensions = found.shape[1]
    extent = float(np.ptp(found, axis=0).max()) if len(found) > 1 else 0.0
    reach = min(max_drift if max_drift is not None else np.inf, extent / 2)
    voters = _drawn(expected)
    tree = cKDTree(found)
    tolerance = _tolerance(found, max_step)
    candidates = [("none", np.zeros(dimensions))]
    if reach > 0 and len(voters) >= _LEAST_VOTES:
        candidates.append(("cells", _most_voted(voters, found, reach, _BIN_STEPS * tolerance)))
    if image_drift is not None:
        candidates.append(("image", np.asarray(image_drift.by, np.float64)))
    refined = [(source, *_refined(voters, tree, by, tolerance)) for source, by in candidates]
    shares = {source: share for source, _, share in refined}
    best, by, share = max(refined, key=lambda one: one[2])
    chance = _chance(found, tolerance)
    noise = np.sqrt(max(chance * (1 - chance), 1e-3) / len(voters))
    clear = share > max(_LEAST_SHARE, chance + _CLEAR_SIGMAS * noise) and len(voters) >= _LEAST_VOTES
    if not clear:
        if image_drift is not None:
            return Drift(np.asarray(image_drift.by, np.float64), shares["image"], "image")
        return Drift(np.zeros(dimensions), share)
    told = [np.asarray(image_drift.by)] if image_drift is not None else []
    disagree = any(bool(np.linalg.norm(other - by) > tolerance) for other in told)
    return Drift(by, share, "cells" if best == "none" else best, disagree)


def _drawn(places: Array) -> Array:
    """At most so many of the places, spread evenly over their order; the same ones for the same places."""
    if len(places) <= _MOST_VOTERS:
        return places
    return places[np.linspace(0, len(places) - 1, _MOST_VOTERS).astype(int)]


def _tolerance(found: Array, max_step: float) -> float:
    """How near a cell must come: a step, but no more than a third of the way to a cell's neighbours."""
    if len(found) < 2:
        return max_step
    nearest = cKDTree(found).query(_drawn(found), k=2)[0][:, 1]
    return float(min(max_step, max(np.median(nearest) / 2, max_step / 10)))


def _most_voted(voters: Array, found: Array, reach: float, width: float) -> Array:
    """The middle of the bin of movements with the most votes, with its neighbours'."""
    ways = (found[None, :, :] - voters[:, None, :]).reshape(-1, found.shape[1])
    ways = ways[np.all(np.abs(ways) <= reach, axis=1)]
    bins = int(np.ceil(2 * reach / width)) | 1
    most = 2048 if found.shape[1] == 2 else 128
    bins = min(bins, most)
    width = 2 * reach / bins
    cells = np.clip(((ways + reach) / width).astype(np.int64), 0, bins - 1)
    shape = (bins,) * found.shape[1]
    votes = np.bincount(np.ravel_multi_index(tuple(cells.T), shape), minlength=bins ** found.shape[1])
    from scipy.ndimage import uniform_filter

    smooth = uniform_filter(votes.reshape(shape).astype(np.float32), 3, mode="constant")
    peak = np.array(np.unravel_index(int(smooth.argmax()), shape))
    middle: Array = (peak + 0.5) * width - reach
    return middle


def _refined(voters: Array, tree: cKDTree, by: Array, tolerance: float) -> tuple[Array, float]:
    """A movement made exact by the cells that it takes to cells, and their share."""
    for _ in range(3):
        far, which = tree.query(voters + by, distance_upper_bound=tolerance)
        near = np.isfinite(far)
        if not near.any():
            break
        by = by + np.median(tree.data[which[near]] - voters[near] - by, axis=0)
    far, _ = tree.query(voters + by, distance_upper_bound=tolerance)
    return by, float(np.isfinite(far).mean()) if len(voters) else 0.0


def _chance(found: Array, tolerance: float) -> float:
    """The share of the cells that any movement takes to some cell."""
    dimensions = found.shape[1]
    size = np.prod(np.maximum(np.ptp(found, axis=0), tolerance))
    ball = np.pi * tolerance**2 if dimensions == 2 else 4 / 3 * np.pi * tolerance**3
    return float(1 - np.exp(-len(found) * ball / size))
