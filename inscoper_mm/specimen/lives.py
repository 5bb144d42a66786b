"""The lives of cells: growth, division and death, and what a cell looks like at each time of its life.

When a cell divides or dies does not depend on where it is, nor on what was asked before: each life is drawn from the
seed and the cell's name.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from inscoper_mm.specimen.changes import Death, Division
from inscoper_mm.specimen.outline import Outline
from inscoper_mm.specimen.population import LARGEST_RADIUS_UM, Cell, random_cell

State = Literal["alive", "dividing", "dying"]
# Cells that are about to divide are no larger than the largest ones of a population that does not grow.
_LARGEST_AREA_UM2 = math.pi * LARGEST_RADIUS_UM**2
# In how many steps the shape follows a cycle, and a division or a death.
_CYCLE_STEPS, _QUICK_STEPS = 60, 20
_KEPT_SHAPES = 3
_UNEVEN = 0.05
_CONDENSED = 0.6
_SHRUNK = 0.6


@dataclass(frozen=True, slots=True)
class Life:
    """One cell from its birth to its end.

    ``cell`` is what it is like when it is spread, of whatever size; ``area_um2`` that of its body at birth.
    ``axis_rad`` is the direction in which it divides, and ``split`` the share of the first daughter.
    """

    cell: Cell
    area_um2: float
    born_s: float = -math.inf
    divides_s: float = math.inf
    dies_s: float = math.inf
    ends_s: float = math.inf
    axis_rad: float = 0.0
    split: float = 0.5
    shapes: dict[tuple[str, int], Cell] = field(default_factory=dict, compare=False)


class Lives:
    """What becomes of each cell.

    Parameters
    ----------
    seed : int
    division, death : Division, Death or None
        None: there is none.
    step_s : float
        Births and ends happen at multiples of it.
    """

    def __init__(self, seed: int, division: Division | None, death: Death | None, step_s: float) -> None:
        self._seed = seed
        self._division = division
        self._death = death if death is not None and death.per_h > 0 else None
        self._step_s = step_s

    def founder(self, cell: Cell) -> Life:
        """The life of a cell that is there at time 0, in the middle of its cycle."""
        random = self._random(cell.id)
        area = cell.body.area_um2
        if self._division is None:
            return self._mortal(Life(cell, area), 0.0, random)
        # In a growing culture the young are more; what is large already must be old.
        youngest = min(max(0.0, 2 * area / _LARGEST_AREA_UM2 - 1), 0.98)
        age = 1 - math.log2(2 - float(random.uniform()))
        phase = youngest + (1 - youngest) * age
        cycle_s = self._cycle_s(random)
        life = Life(cell, area / (1 + phase), -phase * cycle_s)
        return self._mortal(self._dividing(life, (1 - phase) * cycle_s, random), 0.0, random)

    def daughters(self, mother: Life, x_um: float, y_um: float) -> tuple[Life, Life]:
        """The two cells that a mother at (x_um, y_um) divides into: two discs, where she was an ellipse."""
        share = (mother.split, 1 - mother.split)
        area = 2 * mother.area_um2
        radii = [math.sqrt(area * each / math.pi) for each in share]
        born = []
        for number, name in enumerate(("1", "2")):
            random = self._random(f"{mother.cell.id}.{name}")
            # From the common centre of mass, the smaller one lies further away.
            away = (radii[0] + radii[1]) * share[1 - number] * (1 if number == 0 else -1)
            cell = replace(
                random_cell(random, f"{mother.cell.id}.{name}"),
                x_um=x_um + away * math.cos(mother.axis_rad),
                y_um=y_um + away * math.sin(mother.axis_rad),
                moving=mother.cell.moving,
                parent=mother.cell.id,
                brightness=mother.cell.brightness,
                dna=mother.cell.dna,
                marker=mother.cell.marker,
            )
            life = Life(cell, area * share[number], mother.divides_s)
            life = self._dividing(life, mother.divides_s + self._cycle_s(random), random)
            born.append(self._mortal(life, mother.divides_s, random))
        return born[0], born[1]

    def divides(self, life: Life) -> bool:
        """Whether the life ends with a division."""
        return math.isfinite(life.divides_s) and math.isinf(life.dies_s)

    def rests_from_s(self, life: Life) -> float:
        """From when on the cell stays where it is, because it divides or dies."""
        return min(life.dies_s, life.divides_s - self._mitosis_s)

    def cell(self, life: Life, time_s: float) -> Cell:
        """What the cell is like at a time, wherever it is."""
        stage, step = self._stage(life, time_s)
        if stage == "still":
            return life.cell
        if (stage, step) not in life.shapes:
            if len(life.shapes) >= _KEPT_SHAPES:
                life.shapes.clear()
            life.shapes[stage, step] = replace(self._shaped(life, stage, step), shape=(stage, step))
        return life.shapes[stage, step]

    @property
    def _mitosis_s(self) -> float:
        return 60 * self._division.mitosis_min if self._division is not None else 0.0

    def _random(self, name: str) -> np.random.Generator:
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        return np.random.default_rng([self._seed, 8, int.from_bytes(digest, "little")])

    def _cycle_s(self, random: np.random.Generator) -> float:
        assert self._division is not None
        spread = max(self._division.spread, 1e-3)
        hours = self._division.cycle_h * spread**2 * random.gamma(1 / spread**2)
        # No cycle is shorter than its own beginning and end.
        return max(3600 * float(hours), 2.5 * self._mitosis_s)

    def _dividing(self, life: Life, divides_s: float, random: np.random.Generator) -> Life:
        divides_s = self._step_s * max(math.ceil(divides_s / self._step_s), 1)
        return replace(
            life,
            divides_s=divides_s,
            ends_s=divides_s,
            axis_rad=float(random.uniform(0, math.pi)),
            split=0.5 + _UNEVEN * float(random.uniform(-1, 1)),
        )

    def _mortal(self, life: Life, since_s: float, random: np.random.Generator) -> Life:
        """With a time of death, if that comes before the division."""
        if self._death is None:
            return life
        dies_s = since_s + 3600 * float(random.exponential(1 / self._death.per_h))
        if dies_s >= life.divides_s - self._mitosis_s:
            return life
        return replace(life, dies_s=dies_s, ends_s=dies_s + 60 * self._death.fade_min)

    def _stage(self, life: Life, time_s: float) -> tuple[str, int]:
        if time_s >= life.dies_s:
            assert self._death is not None
            part = (time_s - life.dies_s) / (60 * self._death.fade_min)
            return "dying", min(int(part * _QUICK_STEPS), _QUICK_STEPS)
        if self._division is None:
            return "still", 0
        left_s = life.divides_s - time_s
        if left_s < self._mitosis_s:
            return "dividing", int((1 - left_s / self._mitosis_s) * _QUICK_STEPS)
        if life.cell.parent and time_s - life.born_s < self._mitosis_s:
            return "spreading", int((time_s - life.born_s) / self._mitosis_s * _QUICK_STEPS)
        return "growing", int(_phase(life, time_s) * _CYCLE_STEPS)

    def _shaped(self, life: Life, stage: str, step: int) -> Cell:
        part = step / _QUICK_STEPS
        cell = life.cell
        if stage == "growing":
            return _sized(cell, life.area_um2 * (1 + step / _CYCLE_STEPS))
        if stage == "spreading":
            time_s = life.born_s + part * self._mitosis_s
            return _sized(cell, _area_um2(life, time_s), spread=part)
        if stage == "dividing":
            time_s = life.divides_s - (1 - part) * self._mitosis_s
            area = _area_um2(life, time_s)
            # It rounds up, and then grows long.
            spread, stretch = max(0.0, 1 - 3 * part), max(0.0, 3 * part - 2)
            return _condensed(_sized(cell, area, spread, stretch, life.axis_rad), 1 - spread)
        shrinks, fades = min(2 * part, 1.0), max(2 * part - 1, 0.0)
        area = _area_um2(life, life.dies_s)
        round_cell = _sized(cell, area * (1 - (1 - _SHRUNK) * shrinks), spread=1 - shrinks)
        light = (1 - fades) / (1 - (1 - _SHRUNK) * shrinks)
        return replace(
            round_cell,
            brightness=cell.brightness * light,
            dna=cell.dna * light,
            marker=cell.marker * light,
        )


def _phase(life: Life, time_s: float) -> float:
    """0 at birth, 1 at the division. A cell that will die has grown as if it would divide."""
    if math.isinf(life.divides_s):
        return 0.0
    passed_s = min(time_s, life.dies_s) - life.born_s
    return min(max(passed_s / (life.divides_s - life.born_s), 0.0), 1.0)


def _area_um2(life: Life, time_s: float) -> float:
    return life.area_um2 * (1 + _phase(life, time_s))


def state_of(cell: Cell) -> State:
    """What a cell is doing."""
    stage = cell.shape[0] if cell.shape is not None else ""
    return "dividing" if stage == "dividing" else "dying" if stage == "dying" else "alive"


def _sized(
    cell: Cell, area_um2: float, spread: float = 1.0, stretch: float = 0.0, axis_rad: float = 0.0
) -> Cell:
    """The cell with another area, spread from 0 (a disc) to 1 (its own shape), or stretched along an axis."""
    scale = math.sqrt(area_um2 / cell.body.area_um2)
    body = _outline(cell.body, area_um2, spread, stretch, axis_rad)
    nucleus = _outline(cell.nucleus, cell.nucleus.area_um2 * scale**2, spread, stretch, axis_rad)
    x_um, y_um = cell.nucleus_um
    factor = scale * spread
    return replace(cell, body=body, nucleus=nucleus, nucleus_um=(x_um * factor, y_um * factor))


def _condensed(cell: Cell, part: float) -> Cell:
    """The cell with its chromosomes in a smaller, brighter place."""
    smaller = 1 - (1 - _CONDENSED) * part
    nucleus = _resized(cell.nucleus, cell.nucleus.area_um2 * smaller)
    return replace(cell, nucleus=nucleus, dna=cell.dna / smaller)


def _outline(own: Outline, area_um2: float, spread: float, stretch: float, axis_rad: float) -> Outline:
    ratio = 1 - spread * (1 - own.minor_um / own.major_um) if not stretch else 1 - stretch / 2
    waves = tuple((order, height * spread, phase) for order, height, phase in own.waves)
    angle = axis_rad if stretch else own.angle_rad
    return _resized(Outline(1 / math.sqrt(ratio), math.sqrt(ratio), angle, waves), area_um2)


def _resized(outline: Outline, area_um2: float) -> Outline:
    scale = math.sqrt(area_um2 / outline.area_um2)
    return replace(outline, major_um=outline.major_um * scale, minor_um=outline.minor_um * scale)
