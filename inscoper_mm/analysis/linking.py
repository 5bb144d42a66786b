"""Linking cells from frame to frame into tracks, online: what is kept is a few numbers per cell.

Cells are predicted from their last step, as far as steps have turned out to go on; the drift that all share is found by
their votes; the rest is an exact assignment of least squared distances. Lost cells are kept for some frames. A new cell
beside one that was linked may be its sister.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.assignment import assign
from inscoper_mm.analysis.drift_votes import Drift, find_drift
from inscoper_mm.analysis.sisters import find_sisters
from inscoper_mm.errors import Finding, InvalidInput

Array = npt.NDArray[Any]
# How much a frame's steps count for how steps go on, against all before.
_MEMORY_OF_STEPS = 0.9
# Lost cells are less sure than those just seen: each frame costs this part of a step squared.
_PRICE_OF_A_GAP = 0.15


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What links may be. Lengths are in the unit of the positions.

    Parameters
    ----------
    max_step : float
        How far a cell may be from where it is expected.
    memory : int
        For how many frames a lost cell is waited for.
    divisions : bool
        Whether cells may divide.
    drift : bool
        Whether to find the movement that all cells share, and take it out.
    max_drift : float, optional
        Largest drift between two frames; left out, half the extent of the cells.
    """

    max_step: float
    memory: int = 3
    divisions: bool = True
    drift: bool = True
    max_drift: float | None = None


@dataclass(frozen=True, slots=True)
class LinkState:
    """What has to be known of the frames before: a row per track that is alive, and a few numbers.

    Parameters
    ----------
    track_id, unseen : (N,) int64
        The tracks, and for how many frames each has been lost.
    position, velocity : (N, D) float
        In the coordinates of the last frame; velocities per second, without the drift.
    area, intensity : (N,) float
        As last seen; NaN where unknown.
    drift : (D,) float
        Since the first frame.
    steps : (2,) float
        Sums that tell how steps go on.
    next_id, frames : int
        The id of the next new track, and how many frames have been seen.
    time_s : float
        Of the last frame.
    """

    track_id: Array
    position: Array
    velocity: Array
    unseen: Array
    area: Array
    intensity: Array
    drift: Array
    steps: Array = field(default_factory=lambda: np.zeros(2))
    next_id: int = 1
    frames: int = 0
    time_s: float = -math.inf

    @staticmethod
    def empty(dimensions: int = 2) -> LinkState:
        """Before the first frame."""
        none = np.zeros(0)
        places = np.zeros((0, dimensions))
        return LinkState(
            none.astype(np.int64), places, places, none.astype(np.int64), none, none, np.zeros(dimensions)
        )

    def to_arrays(self) -> dict[str, Array]:
        """Everything, as arrays for ``numpy.savez``."""
        return {name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> LinkState:
        """What ``to_arrays`` gave."""
        values: dict[str, Any] = {name: np.array(arrays[name]) for name in LinkState.__dataclass_fields__}
        values |= {name: int(values[name]) for name in ("next_id", "frames")}
        return LinkState(**values | {"time_s": float(values["time_s"])})


@dataclass(frozen=True, slots=True)
class Links:
    """A frame's links.

    Parameters
    ----------
    track_id : (N,) int64
        The track of each cell, from 1.
    parent_id : (N,) int64
        The track that the cell's track comes from by a division, told in its first frame; otherwise 0.
    drift : Drift
        How far all cells have moved since the frame before.
    total_drift : (D,) float
        The same since the first frame: positions minus it are free of drift.
    """

    track_id: npt.NDArray[np.int64]
    parent_id: npt.NDArray[np.int64]
    drift: Drift
    total_drift: Array


class Linker:
    """Links frame after frame.

    Parameters
    ----------
    settings : LinkSettings
    state : LinkState, optional
        Of a linker that has seen the frames before; its links go on as if nothing had been.
    """

    def __init__(self, settings: LinkSettings, state: LinkState | None = None) -> None:
        self._settings = settings
        self.state = state

    def link(
        self,
        positions: npt.ArrayLike,
        time_s: float,
        *,
        areas: npt.ArrayLike | None = None,
        intensities: npt.ArrayLike | None = None,
        image_drift: Drift | None = None,
    ) -> Links:
        """Link the cells of the next frame to the tracks.

        Parameters
        ----------
        positions : (N, D) array
            D is 2 or 3; all axes in one unit.
        time_s : float
            Later than that of the frame before.
        areas, intensities : (N,) array, optional
            Areas (or volumes) tell sisters from neighbours.
        image_drift : Drift, optional
            The drift since the frame before as the images tell it; it is held against what the cells tell.

        Raises
        ------
        InvalidInput
            If the positions are not finite or of another shape than before, or the time is not later.
        """
        places = np.asarray(positions, np.float64)
        state = self.state or LinkState.empty(places.shape[1] if places.ndim == 2 else 2)
        if places.size == 0:
            places = places.reshape(0, state.position.shape[1])
        _check(places, time_s, state)
        sizes, lights = _column(areas, len(places)), _column(intensities, len(places))
        first = state.frames == 0
        dt_s = 0.0 if first else float(time_s - state.time_s)
        expected = state.position + self._going_on(state) * dt_s * state.velocity
        drift = Drift.none(places.shape[1])
        if self._settings.drift and len(expected) and len(places):
            seen = state.unseen == 0
            drift = find_drift(
                expected[seen], places, self._settings.max_step, self._settings.max_drift, image_drift
            )
        rows, cols = assign(
            expected + drift.by,
            places,
            self._settings.max_step,
            price=_PRICE_OF_A_GAP * state.unseen,
        )
        return self._take(state, places, sizes, lights, rows, cols, drift, time_s, dt_s)

    def _going_on(self, state: LinkState) -> float:
        """How much of a cell's last step comes again, as a share: 0 for Brownian motion."""
        both, before = state.steps
        return float(np.clip(both / before, 0, 1)) if before > 0 else 0.0

    def _take(
        self,
        state: LinkState,
        places: Array,
        sizes: Array,
        lights: Array,
        rows: Array,
        cols: Array,
        drift: Drift,
        time_s: float,
        dt_s: float,
    ) -> Links:
        moved = state.position + drift.by
        ids = np.zeros(len(places), np.int64)
        ids[cols] = state.track_id[rows]
        velocity = np.zeros_like(places)
        seconds = max(dt_s, 1e-12) * (1 + state.unseen[rows])
        velocity[cols] = (places[cols] - moved[rows]) / seconds[:, None]
        steps = _learned(state, rows, velocity[cols], dt_s)
        parents = np.zeros(len(places), np.int64)
        new = np.flatnonzero(ids == 0)
        next_id = state.next_id
        if self._settings.divisions and len(new) and len(rows):
            just_seen = state.unseen[rows] == 0
            pairs = find_sisters(
                moved[rows[just_seen]],
                places[cols[just_seen]],
                places[new],
                self._settings.max_step,
                state.area[rows[just_seen]],
                sizes[cols[just_seen]],
                sizes[new],
            )
            for mother, sister in pairs:
                known = cols[just_seen][mother]
                parents[[known, new[sister]]] = ids[known]
                ids[known] = 0
                velocity[known] = 0
        fresh = np.flatnonzero(ids == 0)
        ids[fresh] = next_id + np.arange(len(fresh))
        lost = np.setdiff1d(np.arange(len(state.track_id)), rows)
        lost = lost[state.unseen[lost] < self._settings.memory]
        total = state.drift + drift.by
        self.state = LinkState(
            track_id=np.concatenate([ids, state.track_id[lost]]),
            position=np.vstack([places, moved[lost]]),
            velocity=np.vstack([velocity, state.velocity[lost]]),
            unseen=np.concatenate([np.zeros(len(ids), np.int64), state.unseen[lost] + 1]),
            area=np.concatenate([sizes, state.area[lost]]),
            intensity=np.concatenate([lights, state.intensity[lost]]),
            drift=total,
            steps=steps,
            next_id=next_id + len(fresh),
            frames=state.frames + 1,
            time_s=float(time_s),
        )
        return Links(ids, parents, drift, total.copy())


def _learned(state: LinkState, rows: Array, velocity: Array, dt_s: float) -> Array:
    """The sums that tell how steps go on, with this frame's."""
    known = (state.unseen[rows] == 0) & np.any(state.velocity[rows] != 0, axis=1)
    if not known.any() or dt_s <= 0:
        return state.steps
    before, now = state.velocity[rows][known], velocity[known]
    sums = np.array([np.sum(before * now), np.sum(before * before)]) * dt_s**2
    learned: Array = _MEMORY_OF_STEPS * state.steps + sums
    return learned


def _column(values: npt.ArrayLike | None, count: int) -> Array:
    return np.full(count, np.nan) if values is None else np.asarray(values, np.float64)


def _check(places: Array, time_s: float, state: LinkState) -> None:
    def wrong(message: str, parameter: str, got: str, allowed: str) -> InvalidInput:
        return InvalidInput(Finding(message, function="link", parameter=parameter, got=got, allowed=allowed))

    if places.ndim != 2 or places.shape[1] not in (2, 3):
        raise wrong("not places of cells", "positions", f"shape {places.shape}", "(N, 2) or (N, 3)")
    if places.shape[1] != state.position.shape[1]:
        got = f"{places.shape[1]} coordinates"
        raise wrong("not as the frames before", "positions", got, f"{state.position.shape[1]} coordinates")
    if not np.isfinite(places).all():
        count = int((~np.isfinite(places)).any(axis=1).sum())
        raise wrong("places that are not finite", "positions", f"{count} of {len(places)}", "finite numbers")
    if not math.isfinite(time_s) or time_s <= state.time_s:
        allowed = f"a time after {state.time_s:g} s"
        raise wrong("not later than the frame before", "time_s", f"{time_s:g} s", allowed)


__all__ = ["Drift", "LinkSettings", "LinkState", "Linker", "Links"]
