"""How far cells get: mean squared displacement over time, and the diffusion coefficient, of tracks with gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput

Array = npt.NDArray[Any]
# Tracks are left out group by group for the error of a coefficient.
_GROUPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class SquaredDisplacement:
    """Mean squared displacements of an ensemble of tracks.

    Parameters
    ----------
    lag_s : (L,) float
        The times over which displacements were taken.
    squared : (L,) float
        Their mean squares, in ``unit`` squared; NaN where no track is so long.
    pairs : (L,) int
        How many displacements each is the mean of; those of a track overlap.
    dimensions : int
        2 or 3.
    unit : str
        Of lengths.
    sums, counts : (G, L) float
        The same as sums over groups of tracks.
    """

    lag_s: Array
    squared: Array
    pairs: Array
    dimensions: int
    unit: str
    sums: Array
    counts: Array


@dataclass(frozen=True, slots=True)
class Diffusion:
    """What displacements tell about a random walk.

    Parameters
    ----------
    coefficient, error : float
        In ``unit``; the error is a standard deviation. NaN where tracks are too short or too few.
    exponent : float
        Of the displacements' growth: 1 for diffusion, 2 for straight ways, below 1 for cages.
    noise : float
        How exactly places are known, as the displacements tell it: a standard deviation along each axis, in the unit of
        lengths; 0 if they do not tell.
    unit : str
        For example ``um²/s``.
    """

    coefficient: float
    error: float
    exponent: float
    noise: float
    unit: str


def mean_squared_displacement(
    track_id: npt.ArrayLike,
    frame: npt.ArrayLike,
    positions: npt.ArrayLike,
    time_step_s: float,
    *,
    lags: int = 10,
    remove_drift: bool = False,
    unit: str = "um",
) -> SquaredDisplacement:
    """The mean over all tracks and all their moments.

    Parameters
    ----------
    track_id, frame : (N,) int
        Which track each row is of, and in which frame it was seen. Frames may be missing.
    positions : (N, D) float
        D is 2 or 3.
    time_step_s : float
        From frame to frame.
    lags : int
        Up to so many frames.
    remove_drift : bool
        Take out the mean movement of all tracks; not needed for positions that are free of drift.
    unit : str
        Of the positions.

    Raises
    ------
    InvalidInput
        If the rows do not fit together, or a track has two rows of a frame.
    """
    tracks, frames = np.asarray(track_id, np.int64), np.asarray(frame, np.int64)
    places = np.asarray(positions, np.float64)
    _check(tracks, frames, places, time_step_s)
    if remove_drift:
        places = places - drift_of(tracks, frames, places)
    which = np.unique(tracks, return_inverse=True)[1]
    group = which % _GROUPS
    sums, counts = np.zeros((_GROUPS, lags)), np.zeros((_GROUPS, lags))
    for lag in range(1, lags + 1):
        before, after = _pairs(tracks, frames, lag)
        squared = np.sum((places[after] - places[before]) ** 2, axis=1)
        sums[:, lag - 1] = np.bincount(group[before], squared, _GROUPS)
        counts[:, lag - 1] = np.bincount(group[before], minlength=_GROUPS)
    pairs = counts.sum(axis=0)
    return SquaredDisplacement(
        lag_s=np.arange(1, lags + 1) * float(time_step_s),
        squared=_quotient(sums.sum(axis=0), pairs),
        pairs=pairs.astype(np.int64),
        dimensions=places.shape[1],
        unit=unit,
        sums=sums,
        counts=counts,
    )


def diffusion_coefficient(displacement: SquaredDisplacement, lags: int = 5) -> Diffusion:
    """The slope of the mean squared displacement, by how certain its points are.

    Uncertain places lift all points alike and leave the slope. Few lags are best: those of long ones are of the same
    displacements over and over (DOI 10.1103/PhysRevE.82.041914).

    Parameters
    ----------
    displacement : SquaredDisplacement
    lags : int
        How many of its points are used.
    """
    dimensions = displacement.dimensions
    unit = f"{displacement.unit}²/s"
    lag_s, squared = displacement.lag_s[:lags], displacement.squared[:lags]
    known = np.isfinite(squared)
    if known.sum() < 2:
        return Diffusion(np.nan, np.nan, np.nan, 0.0, unit)
    slope, offset = _line(lag_s, squared, displacement.pairs[:lags])
    slopes = []
    for group in range(len(displacement.sums)):
        counts = (displacement.counts.sum(axis=0) - displacement.counts[group])[:lags]
        sums = (displacement.sums.sum(axis=0) - displacement.sums[group])[:lags]
        slopes.append(_line(lag_s, _quotient(sums, counts), counts)[0])
    spread = np.array(slopes)
    error = float(np.sqrt((len(spread) - 1) * np.mean((spread - spread.mean()) ** 2)))
    positive = known & (squared > 0)
    exponent = np.nan
    if positive.sum() >= 2:
        exponent = _line(np.log(lag_s), np.log(np.where(positive, squared, np.nan)), positive)[0]
    noise = float(np.sqrt(max(offset, 0.0) / (2 * dimensions)))
    return Diffusion(slope / (2 * dimensions), error / (2 * dimensions), float(exponent), noise, unit)


def drift_of(track_id: npt.ArrayLike, frame: npt.ArrayLike, positions: npt.ArrayLike) -> Array:
    """The mean movement of all tracks since the first frame, for each row (N, D)."""
    tracks, frames = np.asarray(track_id, np.int64), np.asarray(frame, np.int64)
    places = np.asarray(positions, np.float64)
    if not len(places):
        return np.zeros_like(places)
    first, count = int(frames.min()), int(np.ptp(frames)) + 1
    before, after = _pairs(tracks, frames, 1)
    at = frames[after] - first
    moved = np.stack([np.bincount(at, axis, count) for axis in (places[after] - places[before]).T], axis=1)
    mean = moved / np.maximum(np.bincount(at, minlength=count), 1)[:, None]
    total: Array = np.cumsum(mean, axis=0)[frames - first]
    return total


def _pairs(tracks: Array, frames: Array, lag: int) -> tuple[Array, Array]:
    """Rows of the same track so many frames apart."""
    if not len(tracks):
        none = np.zeros(0, np.int64)
        return none, none
    frames = frames - frames.min()
    key = np.unique(tracks, return_inverse=True)[1] * (int(frames.max()) + 1 + lag) + frames
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    at = np.searchsorted(ordered, ordered + lag)
    found = at < len(ordered)
    found[found] = ordered[at[found]] == ordered[found] + lag
    return order[found], order[at[found]]


def _line(x: Array, y: Array, weight: Array) -> tuple[float, float]:
    """Slope and offset of the line through points of such weights; points that are NaN do not count."""
    known = np.isfinite(y) & (np.asarray(weight) > 0)
    if known.sum() < 2:
        return np.nan, np.nan
    slope, offset = np.polyfit(x[known], y[known], 1, w=np.sqrt(np.asarray(weight, float)[known]))
    return float(slope), float(offset)


def _quotient(sums: Array, counts: Array) -> Array:
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _check(tracks: Array, frames: Array, places: Array, time_step_s: float) -> None:
    def wrong(message: str, parameter: str, got: str, allowed: str) -> InvalidInput:
        name = "mean_squared_displacement"
        return InvalidInput(Finding(message, function=name, parameter=parameter, got=got, allowed=allowed))

    rows = len(tracks)
    if places.ndim != 2 or places.shape[1] not in (2, 3) or len(places) != rows:
        raise wrong("not a place for each row", "positions", f"shape {places.shape}", f"({rows}, 2 or 3)")
    if tracks.ndim != 1 or frames.shape != tracks.shape:
        raise wrong("not a frame for each row", "frame", f"shape {frames.shape}", f"({rows},)")
    if not np.isfinite(places).all():
        raise wrong("places that are not finite", "positions", "NaN or infinite", "finite numbers")
    if len(np.unique(np.column_stack([tracks, frames]), axis=0)) != rows:
        raise wrong("a track twice in a frame", "track_id", "rows of the same track and frame", "one row")
    if not (np.isfinite(time_step_s) and time_step_s > 0):
        raise wrong("no time step", "time_step_s", f"{time_step_s:g} s", "above 0 s")
