"""What light has done to each cell: bleaching by dose, and recovery by what moves inside the cell."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen.channels import Look
from inscoper_mm.specimen.orientation import Orientation
from inscoper_mm.specimen.outline import Floats
from inscoper_mm.specimen.parameters import Bleaching
from inscoper_mm.specimen.population import Cell
from inscoper_mm.specimen.stamps import Stamp, draw

# Points of a cell on which its dyes are followed.
_STEP_UM = 0.5
# Doses of the whole cell that are told apart in time.
_KEPT_DOSES = 64
# The dyes: one that stays in the nucleus, and one that goes through the whole cell.
DYES = {"nucleus": Look(nucleus=1.0), "body": Look(body=1.0)}


def look_at(look: Look, dye: str) -> Look | None:
    """What a channel shows of one dye; None: nothing."""
    if dye == "nucleus":
        seen = replace(look, body=0.0, granules=0.0, marker=0.0)
    else:
        seen = replace(look, nucleus=0.0)
    return seen if seen.nucleus or seen.body or seen.granules or seen.marker else None


@dataclass(frozen=True, slots=True)
class Spot:
    """Light on one place of a cell, seen from its centre: a Gaussian that is cut at ``reach_um``.

    ``exponent`` is the dose in its centre: the light leaves ``exp(-exponent)`` there.
    """

    x_um: float
    y_um: float
    sigma_um: float
    reach_um: float
    exponent: float


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a cell's dyes at one time.

    ``everywhere`` is what light on the whole cell has left, 0 to 1; ``maps`` what spots and recovery have left of
    each dye, on a grid around the cell's centre; empty where no spot fell on the cell.
    """

    cell: Cell
    everywhere: float
    maps: dict[str, Floats]

    def at(self, dye: str, x: Floats, y: Floats) -> Floats:
        """What is left of a dye, 0 to 1, at places (Y, X) in um from the cell's centre."""
        if dye not in self.maps:
            return np.full((1, 1), self.everywhere, np.float32)
        grid = self.maps[dye]
        middle = (len(grid) - 1) / 2
        cols, rows = (np.asarray(each / _STEP_UM + middle, np.float32) for each in np.broadcast_arrays(x, y))
        found = cv2.remap(grid, cols, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found * np.float32(self.everywhere))

    def lost(self, dye: str, stamp: Stamp, pixel_um: float, orientation: Orientation) -> Stamp:
        """What is missing in the picture of the cell that shows this dye."""
        if dye not in self.maps:
            return replace(stamp, pixels=stamp.pixels * (1 - np.float32(self.everywhere)))
        height, width = stamp.pixels.shape
        cols = (np.arange(width) + stamp.left)[None, :] * pixel_um
        rows = (np.arange(height) + stamp.top)[:, None] * pixel_um
        x, y = orientation.to_stage(cols, rows)
        left = self.at(dye, x - self.cell.x_um, y - self.cell.y_um)
        return replace(stamp, pixels=stamp.pixels * (1 - left))

    def share(self, look: Look) -> float:
        """What is left of all the light of the cell in a channel, 0 to 1."""
        if not self.maps:
            return self.everywhere
        x, y = _grid(self.cell)
        before = after = 0.0
        for dye in DYES:
            seen = look_at(look, dye)
            if seen is not None:
                picture = draw(self.cell, seen, x, y)
                before += float(picture.sum(dtype=float))
                after += float((picture * self.at(dye, x, y)).sum(dtype=float))
        return after / before if before else 1.0


@dataclass(slots=True)
class _Dye:
    """One dye of a cell: where there is how much of it, and what is left of what moves and of what does not."""

    amount: Floats
    mobile: Floats
    fixed: Floats

    def recover(self, periods: float) -> None:
        """So many half-times pass: what moves comes nearer to its mean everywhere, its total conserved."""
        self.mobile = self.recovered(periods)

    def recovered(self, periods: float) -> Floats:
        mean = np.float32(np.average(self.mobile, weights=self.amount))
        return np.asarray(mean + (self.mobile - mean) * np.float32(0.5**periods))

    def bleach(self, box: tuple[slice, slice], survive: Floats) -> None:
        self.mobile[box] *= survive
        self.fixed[box] *= survive


@dataclass(slots=True)
class _Entry:
    """What fell on one cell, and what that left right after the first ``done`` spots."""

    cell: Cell
    spots: list[tuple[float, Spot]] = field(default_factory=list)
    doses: list[tuple[float, float]] = field(default_factory=list)
    dyes: dict[str, _Dye] = field(default_factory=dict)
    done: int = 0


class Ledger:
    """What light has done to all cells.

    Parameters
    ----------
    bleaching : Bleaching

    Notes
    -----
    Of the dye in a place, a dose leaves ``exp(-dose)``, in whatever pieces it comes. In each half-time, the mobile
    share of a dye comes by half nearer to its own mean over the nucleus, or over the whole cell: what is bleached
    stays bleached, and the total of a cell does not change. Times must not decrease.
    """

    def __init__(self, bleaching: Bleaching) -> None:
        self._bleaching = bleaching
        self._entries: dict[str, _Entry] = {}

    def add_spot(self, cell: Cell, spot: Spot, time_s: float) -> None:
        """Light falls on a place of the stage; nothing is noted where it does not reach the cell."""
        x_um, y_um = spot.x_um - cell.x_um, spot.y_um - cell.y_um
        if math.hypot(x_um, y_um) < spot.reach_um + cell.body.reach_um:
            on_cell = replace(spot, x_um=x_um, y_um=y_um)
            self._entries.setdefault(cell.id, _Entry(cell)).spots.append((time_s, on_cell))

    def add_dose(self, cell: Cell, exponent: float, time_s: float) -> None:
        """Even light falls on a whole cell."""
        doses = self._entries.setdefault(cell.id, _Entry(cell)).doses
        doses.append((time_s, exponent + (doses[-1][1] if doses else 0.0)))
        if len(doses) > _KEPT_DOSES:
            # Of what is older, only the sum is known.
            del doses[0]
            doses[0] = (-math.inf, doses[0][1])

    @property
    def used(self) -> bool:
        """Whether light has fallen on any cell."""
        return bool(self._entries)

    def left(self, time_s: float, cells: Iterable[Cell]) -> list[Left]:
        """What is left at a time of each of these cells that had light by then, where they are now."""
        found: list[Left] = []
        for cell in cells:
            entry = self._entries.get(cell.id)
            born_with = self._inherited(cell.id)
            if entry is not None:
                begin = min(time for time, _ in (*entry.spots[:1], *entry.doses[:1]))
                if begin <= time_s:
                    left = self._left(entry, cell, time_s)
                    found.append(replace(left, everywhere=left.everywhere * born_with))
                    continue
            if born_with < 1:
                found.append(Left(cell, born_with, {}))
        return found

    def _inherited(self, id: str) -> float:
        """What the ancestors of a cell have left to it: daughters are called after their mother."""
        share = 1.0
        mother, dot, _ = id.rpartition(".")
        while dot:
            entry = self._entries.get(mother)
            if entry is not None:
                left = self._left(entry, entry.cell, math.inf)
                share *= left.share(DYES["body"])
            mother, dot, _ = mother.rpartition(".")
        return share

    def _left(self, entry: _Entry, cell: Cell, time_s: float) -> Left:
        doses = bisect_right(entry.doses, time_s, key=lambda each: each[0])
        everywhere = math.exp(-entry.doses[doses - 1][1]) if doses else 1.0
        spots = bisect_right(entry.spots, time_s, key=lambda each: each[0])
        if not spots:
            return Left(cell, everywhere, {})
        periods = self._periods(entry.spots[spots - 1][0], time_s)
        share = np.float32(self._bleaching.mobile_fraction)
        return Left(
            cell,
            everywhere,
            {
                name: share * dye.recovered(periods) + (1 - share) * dye.fixed
                for name, dye in self._dyes(entry, spots).items()
            },
        )

    def _periods(self, begin_s: float, end_s: float) -> float:
        return (end_s - begin_s) / self._bleaching.half_time_s

    def _dyes(self, entry: _Entry, count: int) -> dict[str, _Dye]:
        """The dyes right after the first ``count`` spots."""
        if not entry.dyes or entry.done > count:
            entry.dyes, entry.done = _untouched(entry.cell), 0
        for number in range(entry.done, count):
            time_s, spot = entry.spots[number]
            box, survive = _survival(spot, entry.cell)
            for dye in entry.dyes.values():
                if number:
                    dye.recover(self._periods(entry.spots[number - 1][0], time_s))
                dye.bleach(box, survive)
        entry.done = count
        return entry.dyes


def _grid(cell: Cell) -> tuple[Floats, Floats]:
    """(x, y) of a square of points around the centre of a cell, of shapes (1, N) and (N, 1)."""
    count = 2 * math.ceil(cell.body.reach_um / _STEP_UM) + 3
    places = ((np.arange(count) - (count - 1) / 2) * _STEP_UM).astype(np.float32)
    return places[None, :], places[:, None]


def _untouched(cell: Cell) -> dict[str, _Dye]:
    x, y = _grid(cell)
    amounts = {name: draw(cell, look, x, y) for name, look in DYES.items()}
    return {
        name: _Dye(amount, np.ones_like(amount), np.ones_like(amount)) for name, amount in amounts.items()
    }


def _survival(spot: Spot, cell: Cell) -> tuple[tuple[slice, slice], Floats]:
    """The part of a cell's grid that a spot reaches, and what the spot leaves there."""
    x, y = _grid(cell)
    away_x: npt.NDArray[np.float32] = x - np.float32(spot.x_um)
    away_y: npt.NDArray[np.float32] = y - np.float32(spot.y_um)
    (cols,), (rows,) = (
        np.nonzero(np.abs(away_x[0]) < spot.reach_um),
        np.nonzero(np.abs(away_y[:, 0]) < spot.reach_um),
    )
    box = (_from_to(rows), _from_to(cols))
    squared = away_y[box[0]] ** 2 + away_x[:, box[1]] ** 2
    light = np.where(squared < spot.reach_um**2, np.exp(squared * np.float32(-0.5 / spot.sigma_um**2)), 0)
    return box, np.exp(light * np.float32(-spot.exponent), dtype=np.float32)


def _from_to(numbers: npt.NDArray[np.intp]) -> slice:
    return slice(int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else slice(0, 0)
