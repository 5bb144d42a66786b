"""Exclusion zones: boxes that the stage may neither enter nor cross."""

from __future__ import annotations

import math
from dataclasses import dataclass

Point = tuple[float, float, float]
_ANY = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Zone:
    """A box in stage and focus coordinates in um, its faces included; without ``z_um`` at every focus."""

    name: str
    x_um: tuple[float, float]
    y_um: tuple[float, float]
    z_um: tuple[float, float] = _ANY
    source: str = ""

    def has(self, place: Point) -> bool:
        """Whether ``place`` lies in the zone; an unknown focus (NaN) lies in every range, an unknown stage in none."""
        x_um, y_um, z_um = place
        return (
            self.x_um[0] <= x_um <= self.x_um[1]
            and self.y_um[0] <= y_um <= self.y_um[1]
            and (self.z_um[0] <= z_um <= self.z_um[1] or z_um != z_um)
        )

    def blocks(self, start: Point, end: Point) -> bool:
        """Whether the straight way from ``start`` to ``end`` touches the zone.

        A way that begins inside is allowed to leave: otherwise a stage that was put there by hand could not be
        moved at all.
        """
        if self.has(end):
            return True
        known = start[0] == start[0] and start[1] == start[1]
        return known and not self.has(start) and self._crossed(start, end)

    def _crossed(self, start: Point, end: Point) -> bool:
        """The slab method: the part of the way that is inside the range of every axis at once."""
        enter, leave = 0.0, 1.0
        for a, b, (low, high) in zip(start, end, (self.x_um, self.y_um, self.z_um), strict=True):
            way = b - a
            if way != way:
                continue  # the focus is not known: it may be anywhere
            if way == 0:
                if not low <= a <= high:
                    return False
                continue
            first, second = sorted(((low - a) / way, (high - a) / way))
            enter, leave = max(enter, first), min(leave, second)
            if enter > leave:
                return False
        return True

    @property
    def text(self) -> str:
        """The box in words."""
        box = f"x {self.x_um[0]:g} to {self.x_um[1]:g} um, y {self.y_um[0]:g} to {self.y_um[1]:g} um"
        if math.isinf(self.z_um[0]):
            return box
        return f"{box}, focus {self.z_um[0]:g} to {self.z_um[1]:g} um"


def legs(start: Point, end: Point) -> tuple[tuple[Point, Point], ...]:
    """The ways of a move: first the stage, then the focus, as events are executed."""
    corner = (end[0], end[1], start[2])
    return tuple((a, b) for a, b in ((start, corner), (corner, end)) if a != b) or ((end, end),)
