"""Linking cells from frame to frame into tracks, online: what is kept is a few numbers per cell.

Cells are predicted from their last step, as far as steps have turned out to go on; the drift that all share is found by
their votes; the rest is an exact assignment of least squared distances. Lost cells are kept for some frames. A new cell
beside one that was linked may be its sister.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.assignment import Pairs, assign
from inscoper_mm.analysis.drift_votes import Drift, find_drift
from inscoper_mm.analysis.link_state import LinkState
from inscoper_mm.analysis.sisters import Sight, find_sisters
from inscoper_mm.errors import Finding, InvalidInput

Array = npt.NDArray[Any]
# How much a frame's steps count for how steps go on, against all before.
_MEMORY_OF_STEPS = 0.9
# How much a frame counts for the share of cells that are usually found.
_NEW_SHARE = 0.2
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

    def __post_init__(self) -> None:
        """Refuse what no link can be made with."""
        if not (math.isfinite(self.max_step) and self.max_step > 0):
            raise _wrong("no step", "max_step", f"{self.max_step:g}", "above 0", "LinkSettings")
        if self.memory < 0:
            raise _wrong("no count", "memory", f"{self.memory}", "0 or more", "LinkSettings")


@dataclass(frozen=True, slots=True, eq=False)
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
    crowded : int
        How many cells had so many neighbours that only the nearest ones were tried.
    """

    track_id: npt.NDArray[np.int64]
    parent_id: npt.NDArray[np.int64]
    drift: Drift
    total_drift: Array
    crowded: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """The cells of a frame."""

    places: Array
    time_s: float
    areas: Array
    intensities: Array


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
            Areas (or volumes), and summed intensities above the background, tell sisters from neighbours.
        image_drift : Drift, optional
            The drift since the frame before as the images tell it; it is held against what the cells tell.

        Raises
        ------
        InvalidInput
            If the positions are not finite or of another shape than before, or the time is not later.
        """
        places = np.array(positions, np.float64)
        state = self.state or LinkState.empty(places.shape[1] if places.ndim == 2 else 2)
        if places.size == 0:
            places = places.reshape(0, state.position.shape[1])
        _check(places, time_s, image_drift, state)
        frame = _Frame(
            places,
            float(time_s),
            _column(areas, len(places), "areas"),
            _column(intensities, len(places), "intensities"),
        )
        expected = _expected(state, frame.time_s)
        drift = self._drift(state, expected, places, image_drift)
        expected = expected + drift.by
        pairs = assign(expected, places, self._settings.max_step, price=_PRICE_OF_A_GAP * state.unseen)
        return self._take(state, frame, expected, pairs, drift)

    def _drift(self, state: LinkState, expected: Array, places: Array, image_drift: Drift | None) -> Drift:
        if not self._settings.drift or not state.frames:
            return Drift.none(places.shape[1])
        # Those of the last frame that had any: after an empty one, cells may be back elsewhere.
        last_seen = state.unseen == state.unseen.min(initial=self._settings.memory)
        return find_drift(
            expected[last_seen],
            places,
            self._settings.max_step,
            self._settings.max_drift,
            image_drift,
            state.share,
        )

    def _take(self, state: LinkState, frame: _Frame, expected: Array, pairs: Pairs, drift: Drift) -> Links:
        """Note the pairs: the links, and the state for the next frame."""
        moved, rows, cols = state.position + drift.by, pairs.rows, pairs.cols
        count = len(frame.places)
        ids = np.zeros(count, np.int64)
        ids[cols] = state.track_id[rows]
        velocity = np.zeros_like(frame.places)
        seconds = frame.time_s - state.seen_s[rows]
        velocity[cols] = (frame.places[cols] - moved[rows]) / seconds[:, None]
        steps = _learned(state, rows, velocity[cols], frame.time_s)
        parents = np.zeros(count, np.int64)
        if self._settings.divisions:
            for known, sister in self._sisters(state, expected, frame, pairs):
                parents[[known, sister]] = ids[known]
                ids[known] = 0
                velocity[known] = 0
        fresh = np.flatnonzero(ids == 0)
        ids[fresh] = state.next_id + np.arange(len(fresh))
        unlinked = np.ones(len(state.track_id), bool)
        unlinked[rows] = False
        lost = np.flatnonzero(unlinked & (state.unseen < self._settings.memory))
        total = state.drift + drift.by
        self.state = LinkState(
            track_id=np.concatenate([ids, state.track_id[lost]]),
            position=np.vstack([frame.places, moved[lost]]),
            velocity=np.vstack([velocity, state.velocity[lost]]),
            unseen=np.concatenate([np.zeros(count, np.int64), state.unseen[lost] + 1]),
            seen_s=np.concatenate([np.full(count, frame.time_s), state.seen_s[lost]]),
            area=np.concatenate([frame.areas, state.area[lost]]),
            intensity=np.concatenate([frame.intensities, state.intensity[lost]]),
            drift=total,
            steps=steps,
            share=_usual(state.share, drift.share),
            next_id=state.next_id + len(fresh),
            frames=state.frames + 1,
            time_s=frame.time_s,
        )
        return Links(ids, parents, drift, total.copy(), pairs.crowded)

    def _sisters(
        self, state: LinkState, expected: Array, frame: _Frame, pairs: Pairs
    ) -> list[tuple[int, int]]:
        """Rows of the frame's cells, the one that was linked first."""
        new = np.ones(len(frame.places), bool)
        new[pairs.cols] = False
        rows = np.flatnonzero(new)
        before = Sight(expected, state.area, state.intensity).of(pairs.rows)
        seen = Sight(frame.places, frame.areas, frame.intensities)
        found = find_sisters(before, seen.of(pairs.cols), seen.of(rows), self._settings.max_step)
        return [(int(pairs.cols[known]), int(rows[sister])) for known, sister in found]


def _expected(state: LinkState, time_s: float) -> Array:
    """Where cells would be without drift: their step goes on, a part of it less with each frame."""
    if not state.frames:
        return state.position
    both, before = state.steps
    again = float(np.clip(both / before, 0, 1)) if before > 0 else 0.0
    frames = 1 + state.unseen
    sum_of_parts = again * (1 - again**frames) / (1 - again) if again < 1 else frames.astype(float)
    seconds = (time_s - state.seen_s) / frames * sum_of_parts
    expected: Array = state.position + seconds[:, None] * state.velocity
    return expected


def _learned(state: LinkState, rows: Array, velocity: Array, time_s: float) -> Array:
    """The sums that tell how steps go on, with this frame's: of cells that were linked twice."""
    known = (state.unseen[rows] == 0) & np.any(state.velocity[rows] != 0, axis=1)
    if not known.any():
        return state.steps
    before, now = state.velocity[rows][known], velocity[known]
    sums = np.array([np.sum(before * now), np.sum(before * before)]) * (time_s - state.time_s) ** 2
    learned: Array = _MEMORY_OF_STEPS * state.steps + sums
    return learned


def _usual(before: float, share: float) -> float:
    if before == 0 or share == 0:
        return before or share
    return (1 - _NEW_SHARE) * before + _NEW_SHARE * share


def _column(values: npt.ArrayLike | None, count: int, name: str) -> Array:
    if values is None:
        return np.full(count, np.nan)
    column = np.array(values, np.float64)
    if column.shape != (count,):
        raise _wrong("not a value for each cell", name, f"shape {column.shape}", f"({count},)")
    return column


def _check(places: Array, time_s: float, image_drift: Drift | None, state: LinkState) -> None:
    axes = state.position.shape[1]
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        raise _wrong("not places of cells", "positions", f"shape {places.shape}", "(N, 2) or (N, 3)")
    if places.shape[1] != axes:
        got = f"{places.shape[1]} coordinates"
        raise _wrong("not as the frames before", "positions", got, f"{axes} coordinates")
    if not np.isfinite(places).all():
        count = int((~np.isfinite(places)).any(axis=1).sum())
        got = f"{count} of {len(places)}"
        raise _wrong("places that are not finite", "positions", got, "finite numbers")
    if not math.isfinite(time_s) or time_s <= state.time_s:
        allowed = f"a time after {state.time_s:g} s"
        raise _wrong("not later than the frame before", "time_s", f"{time_s:g} s", allowed)
    if image_drift is not None and (
        np.shape(image_drift.by) != (axes,) or not np.isfinite(image_drift.by).all()
    ):
        raise _wrong("not a movement", "image_drift", f"{image_drift.by}", f"{axes} finite numbers")


def _wrong(message: str, parameter: str, got: str, allowed: str, function: str = "link") -> InvalidInput:
    return InvalidInput(Finding(message, function=function, parameter=parameter, got=got, allowed=allowed))


__all__ = ["Drift", "LinkSettings", "LinkState", "Linker", "Links"]
