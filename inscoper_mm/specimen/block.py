"""One block of the plane whose cells live together: their places at all times, step by step from the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen.changes import Motion
from inscoper_mm.specimen.crawling import Neighbours, Walk, step_s
from inscoper_mm.specimen.population import Cell

_Floats = npt.NDArray[np.float64]
Rectangle = tuple[float, float, float, float]


class Block:
    """Cells that see each other, and nobody else.

    Parameters
    ----------
    founders : sequence of Cell
        Where they stand at time 0.
    bounds_um : tuple of float
        (left, top, right, bottom): crawling cells turn round there, so that blocks need not know of each other.
    motion : Motion
    random : Generator
        The block's own; steps are made in order from time 0, so that a place at a time does not depend on what
        was asked before.
    """

    def __init__(
        self, founders: Sequence[Cell], bounds_um: Rectangle, motion: Motion, random: np.random.Generator
    ) -> None:
        self._random = random
        crawls = random.uniform(0.0, 1.0, len(founders)) < motion.moving_fraction
        self._cells = [
            replace(cell, moving=bool(moves)) for cell, moves in zip(founders, crawls, strict=True)
        ]
        self._crawlers = np.flatnonzero(crawls)
        self._step_s = step_s(motion)
        self._walk = Walk(motion, self._step_s)
        self._places = np.array([(cell.x_um, cell.y_um) for cell in founders]).reshape(-1, 2)
        self._velocity = self._walk.velocities(random, len(self._crawlers))
        self._neighbours = Neighbours([cell.body for cell in founders])
        left, top, right, bottom = bounds_um
        reach = np.array([founders[number].body.reach_um for number in self._crawlers]).reshape(-1, 1)
        self._low, self._high = np.array([left, top]) + reach, np.array([right, bottom]) - reach
        self._path = [self._places[self._crawlers]]

    def cells_in(self, bounds_um: Rectangle, time_s: float) -> list[Cell]:
        """The cells with their centre in a rectangle at a time."""
        left, top, right, bottom = bounds_um
        places = self._places_at(time_s)
        x, y = places.T
        inside = np.flatnonzero((left <= x) & (x <= right) & (top <= y) & (y <= bottom))
        found = []
        for number, (x_um, y_um) in zip(inside.tolist(), places[inside].tolist(), strict=True):
            cell = self._cells[number]
            found.append(replace(cell, x_um=x_um, y_um=y_um) if cell.moving else cell)
        return found

    def _places_at(self, time_s: float) -> _Floats:
        whole, part = divmod(max(time_s, 0.0) / self._step_s, 1.0)
        step = int(whole)
        while len(self._path) < step + 2:
            self._step()
        places = self._places.copy()
        before, after = self._path[step], self._path[step + 1]
        places[self._crawlers] = before + (after - before) * part
        return places

    def _step(self) -> None:
        """All crawling cells go on; who would run into another one, or leave, stays and turns round."""
        before = self._places
        moved, self._velocity = self._walk.step(self._random, self._velocity)
        number_of = np.full(len(before), -1)
        number_of[self._crawlers] = np.arange(len(self._crawlers))
        held = self._turn_at_borders(before[self._crawlers], moved)
        while True:
            after = before.copy()
            after[self._crawlers] += np.where(held[:, None], 0.0, moved)
            pairs, direction = self._neighbours.meetings(before, after)
            newly = np.zeros_like(held)
            for side, towards in ((0, direction), (1, -direction)):
                mine = number_of[pairs[:, side]]
                ours = mine >= 0
                self._turn(mine[ours], towards[ours])
                newly[mine[ours]] = True
            newly &= ~held
            if not newly.any():
                break
            held |= newly
        self._places = after
        self._path.append(after[self._crawlers])

    def _turn(self, crawlers: npt.NDArray[np.intp], towards: _Floats) -> None:
        """Who heads towards what is in the way heads as much away from it afterwards."""
        for number, direction in zip(crawlers.tolist(), towards, strict=True):
            ahead = float(self._velocity[number] @ direction)
            if ahead > 0:
                self._velocity[number] -= 2 * ahead * direction

    def _turn_at_borders(self, places: _Floats, moved: _Floats) -> npt.NDArray[np.bool_]:
        out_low = (places + moved < self._low) & (moved < 0)
        out_high = (places + moved > self._high) & (moved > 0)
        self._velocity = np.where(out_low, np.abs(self._velocity), self._velocity)
        self._velocity = np.where(out_high, -np.abs(self._velocity), self._velocity)
        return np.asarray((out_low | out_high).any(axis=1))
