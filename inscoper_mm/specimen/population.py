"""Where the cells are and what they are like: an unbounded carpet of cells, made tile by tile from the seed.

The cells are a hard-core point process in the plane (Matern's second kind, doi:10.1007/978-1-4615-7892-5):
candidates of random priority, of which each stays unless one of higher priority is too near. Whether a
candidate stays depends on its surroundings only, so that any place of the stage has the same cells in
whatever order the places are visited.
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
LARGEST_REACH_UM = 22.0
_GAP_UM = 2.0
_OVERLAP = 0.95
# Mean reach of single cells and of touching pairs, which together with the gap sets how densely they can lie.
_SINGLE_REACH_UM = 12.6
_PAIR_REACH_UM = 26.3
_SMALLEST_RADIUS_UM, LARGEST_RADIUS_UM = 7.0, 13.0
_ROUNDEST, _LONGEST = 1.0, 0.55
_WAVE_ORDERS = (2, 3, 4, 5)
_BODY_WAVES, _NUCLEUS_WAVES = 0.045, 0.025

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One cell: where it is when nothing has jumped or drifted, and what it is like.

    ``x_um, y_um`` is the centre of area of its body; ``nucleus_um`` that of its nucleus from there.
    ``brightness`` scales the body, ``dna`` the nucleus and ``marker`` the far-red label. ``texture`` is its
    place in the common texture. ``moving``: whether it crawls; ``parent``: the id of the cell that it was born of;
    ``shape``: which of the shapes of its life this is, None for one that it always has.
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
    moving: bool = False
    parent: str = ""
    shape: tuple[str, int] | None = None


# What a cell is made of: one uniform random number, 0 to 1, for each.
_TRAITS = np.dtype(
    [
        ("size", float, 2),
        ("ratio", float),
        ("angle", float),
        ("waves", float, (len(_WAVE_ORDERS), 2)),
        ("nucleus_size", float),
        ("nucleus_angle", float),
        ("nucleus_waves", float, (len(_WAVE_ORDERS), 2)),
        ("nucleus_place", float, 2),
        ("brightness", float),
        ("dna", float),
        ("marker", float, 2),
        ("texture", float, 2),
    ]
)
_NUMBERS = _TRAITS.itemsize // 8


@dataclass(frozen=True)
class _Candidates:
    """What might stand in one tile: (n, 2) centres, reach, priority, direction of pairs, (n, 2) traits."""

    centre_um: _Floats
    reach_um: _Floats
    priority: _Floats
    direction_rad: _Floats
    traits: npt.NDArray[np.void]
    singles: int


class Population:
    """All cells of the plane.

    Parameters
    ----------
    parameters : SpecimenParameters
        Of which ``seed``, ``cells_per_mm2``, ``touching_fraction`` and ``plate`` count here.
    """

    def __init__(self, parameters: SpecimenParameters) -> None:
        self._seed = parameters.seed
        self._densities = _candidate_densities(parameters)
        self._plate = parameters.plate
        self._candidates = lru_cache(maxsize=1024)(self._make_candidates)
        self.tile = lru_cache(maxsize=1024)(self._make_tile)

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
        there = ~beaten & self._in_wells(own, column, row)
        cells: list[Cell] = []
        for number in np.flatnonzero(there):
            cells += _make_group(own, int(number), f"{column}_{row}_{number}")
        return tuple(cells)

    def _in_wells(self, own: _Candidates, column: int, row: int) -> npt.NDArray[np.bool_]:
        """Which candidates the plate leaves there, single cells and pairs alike."""
        if self._plate is None:
            return np.ones(len(own.centre_um), dtype=bool)
        random = np.random.default_rng([self._seed, 11, column + 2**31, row + 2**31])
        drawn = random.uniform(0.0, 1.0, len(own.centre_um))
        return np.asarray(drawn < self._plate.shares(own.centre_um))

    def _make_candidates(self, column: int, row: int) -> _Candidates:
        # Seeds must not be negative; tile numbers are.
        random = np.random.default_rng([self._seed, column + 2**31, row + 2**31])
        singles, pairs = (int(random.poisson(density * TILE_UM**2)) for density in self._densities)
        count = singles + pairs
        is_pair = np.arange(count) >= singles
        traits = random.uniform(0.0, 1.0, (count, 2, _NUMBERS)).view(_TRAITS)[..., 0]
        reach = _reach(traits)
        return _Candidates(
            centre_um=np.array([column, row]) * TILE_UM + random.uniform(0.0, TILE_UM, (count, 2)),
            reach_um=np.where(is_pair, reach.mean(axis=1) + reach.max(axis=1), reach[:, 0]),
            # Pairs go first: their share would suffer most from the thinning.
            priority=random.uniform(0.0, 1.0, count) + is_pair,
            direction_rad=random.uniform(0.0, 2 * math.pi, count),
            traits=traits,
            singles=singles,
        )


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


def _radius(size: _Floats) -> _Floats:
    return np.asarray(_SMALLEST_RADIUS_UM + (LARGEST_RADIUS_UM - _SMALLEST_RADIUS_UM) * size.mean(axis=-1))


def _reach(traits: npt.NDArray[np.void]) -> _Floats:
    """A little more than the distance of the farthest point of each cell from its centre."""
    ratio = _ROUNDEST + (_LONGEST - _ROUNDEST) * traits["ratio"]
    swell = 1 + _BODY_WAVES * traits["waves"][..., 0].sum(axis=-1)
    return np.asarray(_radius(traits["size"]) / np.sqrt(ratio) * swell)


def _make_group(candidates: _Candidates, number: int, name: str) -> list[Cell]:
    """The cell or the two touching cells of one candidate."""
    x_um, y_um = candidates.centre_um[number].tolist()
    if number < candidates.singles:
        return [_make_cell(candidates.traits[number, 0], name, x_um, y_um)]
    first, second = (_make_cell(candidates.traits[number, k], f"{name}{'ab'[k]}", x_um, y_um) for k in (0, 1))
    direction = float(candidates.direction_rad[number])
    half = _touching_distance(first.body, second.body, direction) / 2
    dx_um, dy_um = half * math.cos(direction), half * math.sin(direction)
    return [
        replace(first, x_um=x_um - dx_um, y_um=y_um - dy_um),
        replace(second, x_um=x_um + dx_um, y_um=y_um + dy_um),
    ]


def _touching_distance(first: Outline, second: Outline, direction_rad: float) -> float:
    """Distance of the centres at which two outlines touch, the second seen from the first in a direction."""
    towards = np.array([math.cos(direction_rad), math.sin(direction_rad)])
    low, high = 0.0, first.reach_um + second.reach_um
    for _ in range(10):
        middle = (low + high) / 2
        away = (second.corners_um + towards * middle).astype(np.float32)
        inside = first.depth(away[:, 0], away[:, 1]) < 1
        low, high = (middle, high) if inside.any() else (low, middle)
    return high * _OVERLAP


def random_cell(random: np.random.Generator, name: str) -> Cell:
    """A cell like those of the population, at the stage's origin."""
    return _make_cell(random.uniform(0.0, 1.0, _NUMBERS).view(_TRAITS)[0], name, 0.0, 0.0)


def _make_cell(traits: np.void, name: str, x_um: float, y_um: float) -> Cell:
    radius = float(_radius(traits["size"]))
    ratio = _ROUNDEST + (_LONGEST - _ROUNDEST) * float(traits["ratio"])
    angle = math.pi * float(traits["angle"])
    nucleus_radius = radius * (0.52 + 0.1 * float(traits["nucleus_size"]))
    nucleus_angle = angle + 0.6 * (float(traits["nucleus_angle"]) - 0.5)
    shift, towards = 0.12 * radius * traits["nucleus_place"][0], 2 * math.pi * traits["nucleus_place"][1]
    has_marker, marker = traits["marker"].tolist()
    return Cell(
        id=name,
        x_um=x_um,
        y_um=y_um,
        body=_outline(radius, ratio, angle, _BODY_WAVES, traits["waves"]),
        nucleus=_outline(
            nucleus_radius, 0.4 + 0.6 * ratio, nucleus_angle, _NUCLEUS_WAVES, traits["nucleus_waves"]
        ),
        nucleus_um=(float(shift * math.cos(towards)), float(shift * math.sin(towards))),
        brightness=0.65 * (1.5 / 0.65) ** float(traits["brightness"]),
        dna=0.7 * (1.45 / 0.7) ** float(traits["dna"]),
        marker=0.7 * (1 + marker) if has_marker < 0.3 else 0.05,
        texture=(128 * float(traits["texture"][0]), 128 * float(traits["texture"][1])),
    )


def _outline(radius_um: float, ratio: float, angle_rad: float, waviness: float, waves: _Floats) -> Outline:
    stretch = math.sqrt(ratio)
    bumps = tuple(
        (order, waviness * height, 2 * math.pi * phase)
        for order, (height, phase) in zip(_WAVE_ORDERS, waves.tolist(), strict=True)
    )
    return Outline(radius_um / stretch, radius_um * stretch, angle_rad, bumps)
