"""One block of the plane whose cells live together: their places at all times, step by step from the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen.crawling import Neighbours, Walk
from inscoper_mm.specimen.lives import Life, Lives
from inscoper_mm.specimen.population import Cell

_Floats = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]
Rectangle = tuple[float, float, float, float]
# How fast cells that overlap push each other away.
_PUSH_UM_PER_S = 0.5 / 60
_RESTS = 3


@dataclass(frozen=True, slots=True)
class Habits:
    """What the cells of all blocks do.

    ``walk`` is None where none of them crawls; ``push``: whether cells that have grown into each other part again.
    """

    lives: Lives
    step_s: float
    walk: Walk | None
    moving_fraction: float
    push: bool


class Block:
    """Cells that see each other, and nobody else.

    Parameters
    ----------
    founders : sequence of Cell
        Where they stand at time 0.
    bounds_um : tuple of float
        (left, top, right, bottom): crawling cells turn round there, so that blocks need not know of each other.
    habits : Habits
    random : Generator
        The block's own; steps are made in order from time 0, so that a place at a time does not depend on what
        was asked before.
    """

    def __init__(
        self, founders: Sequence[Cell], bounds_um: Rectangle, habits: Habits, random: np.random.Generator
    ) -> None:
        self._habits = habits
        self._random = random
        self._bounds_um = np.array([bounds_um[:2], bounds_um[2:]])
        self._lives: list[Life] = []
        self._neighbours = Neighbours()
        self._places: _Floats = np.zeros((0, 2))
        self._velocity: _Floats = np.zeros((0, 2))
        # Of each cell: when it is born, divides, dies, rests; area at birth against that of its outline.
        self._course: _Floats = np.zeros((0, 5))
        self._ends_s, self._reach_um = np.zeros(0), np.zeros(0)
        self._crawls: _Flags = np.zeros(0, bool)
        crawls = random.uniform(0.0, 1.0, len(founders)) < habits.moving_fraction
        cells = [replace(cell, moving=bool(moves)) for cell, moves in zip(founders, crawls, strict=True)]
        self._add([habits.lives.founder(cell) for cell in cells])
        # Place of each cell that was born by then, at each step.
        self._path = [self._places]

    def cells_in(self, bounds_um: Rectangle, time_s: float) -> list[Cell]:
        """The cells with their centre in a rectangle at a time."""
        left, top, right, bottom = bounds_um
        places = self._places_at(max(time_s, 0.0))
        x, y = places.T
        there = (self._course[: len(x), 0] <= time_s) & (time_s < self._ends_s[: len(x)])
        inside = np.flatnonzero(there & (left <= x) & (x <= right) & (top <= y) & (y <= bottom))
        found = []
        for number, (x_um, y_um) in zip(inside.tolist(), places[inside].tolist(), strict=True):
            cell = self._habits.lives.cell(self._lives[number], time_s)
            found.append(replace(cell, x_um=x_um, y_um=y_um))
        return found

    def _places_at(self, time_s: float) -> _Floats:
        whole, part = divmod(time_s / self._habits.step_s, 1.0)
        step = int(whole)
        while len(self._path) < step + 2:
            self._step()
        before = self._path[step]
        return np.asarray(before + (self._path[step + 1][: len(before)] - before) * part)

    def _add(self, lives: list[Life]) -> None:
        """Cells are born, or found."""
        if not lives:
            return
        cells = [life.cell for life in lives]
        self._lives += lives
        self._places = np.concatenate([self._places, [(cell.x_um, cell.y_um) for cell in cells]])
        self._course = np.concatenate([self._course, [self._course_of(life) for life in lives]])
        self._ends_s = np.append(self._ends_s, [life.ends_s for life in lives])
        self._crawls = np.append(self._crawls, [cell.moving for cell in cells])
        self._neighbours.add([cell.body for cell in cells])
        self._reach_um = np.append(self._reach_um, [cell.body.reach_um for cell in cells])
        velocity = np.zeros((len(cells), 2))
        if self._habits.walk is not None:
            moving = np.array([cell.moving for cell in cells])
            velocity[moving] = self._habits.walk.velocities(self._random, int(moving.sum()))
        self._velocity = np.concatenate([self._velocity, velocity])

    def _course_of(self, life: Life) -> tuple[float, float, float, float, float]:
        rests_s = self._habits.lives.rests_from_s(life)
        area_at_birth = life.area_um2 / life.cell.body.area_um2
        return life.born_s, life.divides_s, life.dies_s, rests_s, area_at_birth

    def _step(self) -> None:
        """From one step to the next: cells crawl, push each other, and are born."""
        habits, begin_s = self._habits, (len(self._path) - 1) * self._habits.step_s
        end_s = begin_s + habits.step_s
        there = (self._course[:, 0] <= begin_s) & (begin_s < self._ends_s)
        scale = self._scale(begin_s) if habits.push else np.ones(len(there))
        if habits.walk is not None:
            self._crawl(habits.walk, there, scale, begin_s)
        if habits.push:
            self._part(there, scale)
        born: list[Life] = []
        for number in np.flatnonzero((self._ends_s > begin_s) & (self._ends_s <= end_s)):
            life = self._lives[number]
            if habits.lives.divides(life):
                born += habits.lives.daughters(life, *self._places[number].tolist())
        self._add(born)
        self._path.append(self._places)

    def _scale(self, time_s: float) -> _Floats:
        """Size of each cell against that of its outline as it is when spread."""
        born_s, divides_s, dies_s, _, area_at_birth = self._course.T
        phase = np.clip((np.minimum(time_s, dies_s) - born_s) / (divides_s - born_s), 0.0, 1.0)
        return np.asarray(np.sqrt(area_at_birth * (1 + phase)))

    def _crawl(self, walk: Walk, there: _Flags, scale: _Floats, time_s: float) -> None:
        """All crawling cells go on; who would run into another one, or leave, stays and turns round."""
        before = self._places
        numbers = np.flatnonzero(self._crawls & there)
        moved = np.zeros_like(before)
        moved[numbers], self._velocity[numbers] = walk.step(self._random, self._velocity[numbers])
        held = ~(self._crawls & there) | (self._course[:, _RESTS] <= time_s)
        held |= self._turn_at_borders(moved)
        while True:
            after = before + np.where(held[:, None], 0.0, moved)
            pairs, direction, _ = self._neighbours.meetings(before, after, there, scale)
            newly = np.zeros_like(held)
            for side, towards in ((0, direction), (1, -direction)):
                mine = pairs[:, side]
                ours = self._crawls[mine]
                self._turn(mine[ours], towards[ours])
                newly[mine[ours]] = True
            newly &= ~held
            if not newly.any():
                break
            held |= newly
        self._places = after

    def _turn(self, crawlers: npt.NDArray[np.intp], towards: _Floats) -> None:
        """Who heads towards what is in the way heads as much away from it afterwards."""
        for number, direction in zip(crawlers.tolist(), towards, strict=True):
            ahead = float(self._velocity[number] @ direction)
            if ahead > 0:
                self._velocity[number] -= 2 * ahead * direction

    def _turn_at_borders(self, moved: _Floats) -> _Flags:
        reach_um = self._reach_um[:, None]
        out_low = (self._places + moved < self._bounds_um[0] + reach_um) & (moved < 0)
        out_high = (self._places + moved > self._bounds_um[1] - reach_um) & (moved > 0)
        self._velocity = np.where(out_low, np.abs(self._velocity), self._velocity)
        self._velocity = np.where(out_high, -np.abs(self._velocity), self._velocity)
        return np.asarray((out_low | out_high).any(axis=1))

    def _part(self, there: _Flags, scale: _Floats) -> None:
        """Cells that overlap push each other apart, and never out of the block."""
        pairs, apart, overlap_um = self._neighbours.overlaps(self._places, there, scale)
        distance = np.maximum(np.hypot(apart[:, 0], apart[:, 1]), 1e-9)
        most_um = _PUSH_UM_PER_S * self._habits.step_s
        push = apart / distance[:, None] * np.minimum(overlap_um / 2, most_um)[:, None]
        places = self._places.copy()
        np.add.at(places, pairs[:, 0], -push)
        np.add.at(places, pairs[:, 1], push)
        low, high = np.minimum(self._bounds_um[0], self._places), np.maximum(self._bounds_um[1], self._places)
        self._places = np.clip(places, low, high)
