"""Where the cells are and what they are like: an unbounded carpet of cells, made tile by tile from the seed.

The cells are a hard-core point process in the plane (Matern's second kind, doi:10.1007/978-1-4615-7892-5): candidates of
random priority, of which each stays unless one of higher priority is too near. Whether a candidate stays depends on its
surroundings only, so that any place of the stage has the same cells in whatever order the places are visited.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen.outline import Outline
from inscoper_mm.specimen.parameters import SpecimenParameters

TILE_UM = 128.0
LARGEST_REACH_UM = 20.0
_GAP_UM = 2.5
_OVERLAP = 0.95
# Mean distance from the centre within which nothing else may lie, of single cells and of touching pairs.
_SINGLE_REACH_UM = 11.6
_PAIR_REACH_UM = 21.5


@dataclass(frozen=True)
class Cell:
    """One cell: where it is when nothing has jumped, and what it is like.

    ``x_um, y_um`` is the centre of area of its body; ``nucleus_um`` that of its nucleus from there. ``brightness`` scales
    the body, ``dna`` the nucleus and ``marker`` the far-red label. ``texture`` is its place in the common texture.
    """

    id: str
    x_um: float
    y_um: float
    body: Outline
    nucleus: Outline
    nucleus_um: tuple[float, float]
    brightness: float
    dna: float
    marker: float
    texture: tuple[float, float]


@dataclass(frozen=True)
class _Candidates:
    """What might stand in one tile: for each candidate, centre (n, 2), reach, priority and its one or two cells."""

    centre_um: npt.NDArray[np.float64]
    reach_um: npt.NDArray[np.float64]
    priority: npt.NDArray[np.float64]
    cells: tuple[tuple[Cell, ...], ...]


class Population:
    """All cells of the plane.

    Parameters
    ----------
    parameters : SpecimenParameters
        Of which ``seed``, ``cells_per_mm2`` and ``touching_fraction`` count here.
    """

    def __init__(self, parameters: SpecimenParameters) -> None:
        self._seed = parameters.seed
        self._singles_per_um2, self._pairs_per_um2 = _candidate_densities(parameters)
        self._candidates = lru_cache(maxsize=4096)(self._make_candidates)
        self.tile = lru_cache(maxsize=2048)(self._make_tile)

    def cells_near(self, left_um: float, top_um: float, right_um: float, bottom_um: float) -> list[Cell]:
        """All cells with a part inside the rectangle, and perhaps some just outside of it."""
        reach = LARGEST_REACH_UM
        columns = _tiles(left_um - reach, right_um + reach)
        rows = _tiles(top_um - reach, bottom_um + reach)
        return [
            cell
            for row in rows
            for column in columns
            for cell in self.tile(column, row)
            if left_um - reach <= cell.x_um <= right_um + reach
            and top_um - reach <= cell.y_um <= bottom_um + reach
        ]

    def _make_tile(self, column: int, row: int) -> tuple[Cell, ...]:
        own = self._candidates(column, row)
        around = [self._candidates(column + dx, row + dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        centre = np.concatenate([item.centre_um for item in around])
        reach = np.concatenate([item.reach_um for item in around])
        priority = np.concatenate([item.priority for item in around])
        offset = own.centre_um[:, None, :] - centre[None]
        near = np.hypot(offset[..., 0], offset[..., 1]) < own.reach_um[:, None] + reach[None] + _GAP_UM
        beaten = (near & (priority[None] > own.priority[:, None])).any(axis=1)
        return tuple(
            cell for cells, lost in zip(own.cells, beaten, strict=True) if not lost for cell in cells
        )

    def _make_candidates(self, column: int, row: int) -> _Candidates:
        # Seeds must not be negative; tile numbers are.
        random = np.random.default_rng([self._seed, column + 2**31, row + 2**31])
        singles = int(random.poisson(self._singles_per_um2 * TILE_UM**2))
        pairs = int(random.poisson(self._pairs_per_um2 * TILE_UM**2))
        corner = np.array([column, row]) * TILE_UM
        centre = corner + random.uniform(0.0, TILE_UM, (singles + pairs, 2))
        # Pairs go first: their share would suffer most from the thinning.
        priority = random.uniform(0.0, 1.0, singles + pairs) + (np.arange(singles + pairs) >= singles)
        cells, reach = [], []
        for number, (x_um, y_um) in enumerate(centre):
            name = f"{column}_{row}_{number}"
            make = _make_single if number < singles else _make_pair
            group, group_reach = make(random, name, float(x_um), float(y_um))
            cells.append(group)
            reach.append(group_reach)
        return _Candidates(centre, np.array(reach), priority, tuple(cells))


def _tiles(low_um: float, high_um: float) -> range:
    return range(math.floor(low_um / TILE_UM), math.floor(high_um / TILE_UM) + 1)


def _candidate_densities(parameters: SpecimenParameters) -> tuple[float, float]:
    """Candidates per um2, single cells and pairs, of which the wanted density is left after the thinning."""
    cells = parameters.cells_per_mm2 * 1e-6
    singles, pairs = cells * (1 - parameters.touching_fraction), cells * parameters.touching_fraction / 2
    pair_pair = math.pi * (2 * _PAIR_REACH_UM + _GAP_UM) ** 2
    pair_single = math.pi * (_PAIR_REACH_UM + _SINGLE_REACH_UM + _GAP_UM) ** 2
    single_single = math.pi * (2 * _SINGLE_REACH_UM + _GAP_UM) ** 2
    pair_candidates = _before_thinning(pairs, pair_pair)
    single_candidates = _before_thinning(singles * math.exp(pair_candidates * pair_single), single_single)
    return single_candidates, pair_candidates


def _before_thinning(density: float, forbidden_area: float) -> float:
    """Candidates per area of which ``density`` stays, if each forbids ``forbidden_area`` to others."""
    # Near the densest possible packing the count would run away.
    return -math.log(max(1.0 - density * forbidden_area, 0.01)) / forbidden_area


def _make_single(
    random: np.random.Generator, name: str, x_um: float, y_um: float
) -> tuple[tuple[Cell, ...], float]:
    cell = _make_cell(random, name, x_um, y_um)
    return (cell,), cell.body.reach_um


def _make_pair(
    random: np.random.Generator, name: str, x_um: float, y_um: float
) -> tuple[tuple[Cell, ...], float]:
    direction = random.uniform(0.0, 2 * math.pi)
    first, second = (_make_cell(random, f"{name}{part}", 0.0, 0.0) for part in "ab")
    distance = _touching_distance(first.body, second.body, direction)
    step = np.array([math.cos(direction), math.sin(direction)]) * distance / 2
    placed = (
        _moved(first, x_um - step[0], y_um - step[1]),
        _moved(second, x_um + step[0], y_um + step[1]),
    )
    return placed, distance / 2 + max(first.body.reach_um, second.body.reach_um)


def _touching_distance(first: Outline, second: Outline, direction_rad: float) -> float:
    """Distance of the centres at which two outlines touch, the second seen from the first in ``direction_rad``."""
    towards = np.array([math.cos(direction_rad), math.sin(direction_rad)])
    low, high = 0.0, first.reach_um + second.reach_um
    for _ in range(12):
        middle = (low + high) / 2
        away = second.corners_um + towards * middle
        inside = first.depth(away[:, 0].astype(np.float32), away[:, 1].astype(np.float32))
        low, high = (middle, high) if (inside < 1).any() else (low, middle)
    return high * _OVERLAP


def _moved(cell: Cell, x_um: float, y_um: float) -> Cell:
    return replace(cell, x_um=x_um, y_um=y_um)


def _make_cell(random: np.random.Generator, name: str, x_um: float, y_um: float) -> Cell:
    radius = random.triangular(7.0, 9.5, 13.0)
    ratio = random.uniform(0.55, 1.0)
    angle = random.uniform(0.0, math.pi)
    body = _make_outline(random, radius, ratio, angle, 0.045)
    core = _make_outline(
        random, radius * random.uniform(0.52, 0.62), 0.4 + 0.6 * ratio, angle + random.normal(0, 0.2), 0.025
    )
    shift = random.uniform(0.0, 0.12) * radius
    towards = random.uniform(0.0, 2 * math.pi)
    return Cell(
        id=name,
        x_um=x_um,
        y_um=y_um,
        body=body,
        nucleus=core,
        nucleus_um=(shift * math.cos(towards), shift * math.sin(towards)),
        brightness=math.exp(random.uniform(math.log(0.65), math.log(1.5))),
        dna=math.exp(random.uniform(math.log(0.7), math.log(1.45))),
        marker=float(random.uniform(0.7, 1.4)) if random.uniform() < 0.3 else 0.05,
        texture=(float(random.uniform(0, 256)), float(random.uniform(0, 256))),
    )


def _make_outline(
    random: np.random.Generator, radius_um: float, ratio: float, angle_rad: float, waviness: float
) -> Outline:
    waves = tuple(
        (order, float(random.uniform(0, waviness)), float(random.uniform(0, 2 * math.pi)))
        for order in (2, 3, 4, 5)
    )
    stretch = math.sqrt(ratio)
    return Outline(radius_um / stretch, radius_um * stretch, angle_rad, waves)
