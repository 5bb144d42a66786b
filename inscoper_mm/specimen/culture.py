"""The cells of the plane at any time: those that the seed has made, and where life has brought them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from inscoper_mm.specimen.block import Block, Habits, Rectangle
from inscoper_mm.specimen.crawling import Walk, step_s
from inscoper_mm.specimen.lives import Lives
from inscoper_mm.specimen.parameters import SpecimenParameters
from inscoper_mm.specimen.population import LARGEST_REACH_UM, TILE_UM, Cell, Population

_TILES = 8
BLOCK_UM = _TILES * TILE_UM
# So that the origin of the stage lies in the middle of a block.
_FIRST_TILE = -_TILES // 2
_LONGEST_STEP_S = 300.0
_STEPS_A_DIVISION = 20


class Culture:
    """All cells of the plane, at any time.

    Parameters
    ----------
    parameters : SpecimenParameters

    Notes
    -----
    The plane is divided into blocks of ``BLOCK_UM``; cells keep off the others of their block and never leave it.
    Times are told apart by the microsecond.
    """

    def __init__(self, parameters: SpecimenParameters) -> None:
        self.population = Population(parameters)
        self._seed = parameters.seed
        self._habits = _habits(parameters)
        self._block = lru_cache(maxsize=None)(self._make_block)

    @property
    def changes(self) -> bool:
        """Whether there is anything that depends on the time."""
        return self._habits is not None

    def cells_near(
        self, left_um: float, top_um: float, right_um: float, bottom_um: float, time_s: float
    ) -> Sequence[Cell]:
        """All cells with a part inside the rectangle at a time, and perhaps some just outside of it."""
        if not self.changes:
            return self.population.cells_near(left_um, top_um, right_um, bottom_um)
        reach = LARGEST_REACH_UM
        bounds = (left_um - reach, top_um - reach, right_um + reach, bottom_um + reach)
        time_s = round(time_s, 6)
        return [
            cell
            for row in _blocks(bounds[1], bounds[3])
            for column in _blocks(bounds[0], bounds[2])
            for cell in self._block(column, row).cells_in(bounds, time_s)
        ]

    def _make_block(self, column: int, row: int) -> Block:
        assert self._habits is not None
        first_column, first_row = (_TILES * number + _FIRST_TILE for number in (column, row))
        founders = [
            cell
            for tile_row in range(first_row, first_row + _TILES)
            for tile_column in range(first_column, first_column + _TILES)
            for cell in self.population.tile(tile_column, tile_row)
        ]
        left, top = first_column * TILE_UM, first_row * TILE_UM
        bounds: Rectangle = (left, top, left + BLOCK_UM, top + BLOCK_UM)
        random = np.random.default_rng([self._seed, 7, column + 2**31, row + 2**31])
        return Block(founders, bounds, self._habits, random)


def _habits(parameters: SpecimenParameters) -> Habits | None:
    """What the cells do; None: nothing."""
    motion, division, death = parameters.motion, parameters.division, parameters.death
    crawls = motion is not None and motion.moving_fraction > 0
    steps = [_LONGEST_STEP_S]
    if motion is not None and crawls:
        steps.append(step_s(motion))
    if division is not None:
        steps.append(60 * division.mitosis_min / _STEPS_A_DIVISION)
    duration_s = min(steps)
    if not crawls and division is None and (death is None or death.per_h == 0):
        return None
    return Habits(
        Lives(parameters.seed, division, death, duration_s),
        duration_s,
        Walk(motion, duration_s) if motion is not None and crawls else None,
        motion.moving_fraction if motion is not None else 0.0,
        push=division is not None,
    )


def _blocks(low_um: float, high_um: float) -> range:
    """Blocks whose cells may stand between two places: one may stand a little outside of its own at the beginning."""
    first, last = (
        int((place / TILE_UM - _FIRST_TILE) // _TILES)
        for place in (low_um - 2 * LARGEST_REACH_UM, high_um + 2 * LARGEST_REACH_UM)
    )
    return range(first, last + 1)
