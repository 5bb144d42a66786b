"""Ranges of stage and focus, and where each comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Literal

from inscoper_mm.errors import LimitRefused

Axis = Literal["x_um", "y_um", "z_um"]

_NAMES: Mapping[Axis, str] = {"x_um": "stage x", "y_um": "stage y", "z_um": "focus"}


@dataclass(frozen=True, slots=True)
class Range:
    """An allowed range, both ends included, and where it comes from; an end may be infinite."""

    low: float
    high: float
    source: str

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    @property
    def text(self) -> str:
        """The range in words."""
        if math.isinf(self.low):
            return f"at most {self.high:g}"
        return f"{self.low:g} to {self.high:g}"

    def tightened(self, other: Range | None) -> Range:
        """The overlap with ``other``; the source names the limit that binds at either end."""
        if other is None:
            return self
        low = max((self, other), key=lambda r: r.low)
        high = min((self, other), key=lambda r: r.high)
        if math.isinf(low.low):
            return high
        source = low.source if low.source == high.source else f"{low.source}; {high.source}"
        return Range(low.low, high.high, source)


@dataclass(frozen=True, slots=True)
class Limits:
    """The envelope of stage and focus. An axis without a range takes any finite number."""

    ranges: Mapping[Axis, Range] = field(default_factory=dict)

    def tightened(self, other: Limits) -> Limits:
        """Both envelopes at once: a later one can only make the allowed space smaller."""
        merged = dict(self.ranges)
        for axis, limit in other.ranges.items():
            merged[axis] = limit.tightened(merged.get(axis))
        return Limits(merged)

    def check(self, what: str, target_um: Mapping[Axis, object]) -> dict[Axis, float]:
        """The target as plain numbers, if every axis is a finite number inside its range.

        Parameters
        ----------
        what : str
            Who asks, for the error: ``"moveStage by autofocus"`` or ``"event e000012"``.
        target_um : mapping of axis to position
            Absolute positions in micrometres.

        Raises
        ------
        LimitRefused
            Naming axis, value, limit and the limit's source. Nothing was moved.
        """
        return {axis: self._check_axis(what, axis, value) for axis, value in target_um.items()}

    def _check_axis(self, what: str, axis: Axis, value: object) -> float:
        number = finite_number(value)
        if number is None:
            raise LimitRefused(
                f"{what}: {_NAMES[axis]} must be a finite number of micrometres. Got: {value!r}. Nothing was moved."
            )
        limit = self.ranges.get(axis)
        if limit is not None and number not in limit:
            raise LimitRefused(
                f"{what}: {_NAMES[axis]} {number:g} um is outside its limit. Allowed: {limit.text} um "
                f"({limit.source}). Nothing was moved."
            )
        return number


def finite_number(value: object) -> float | None:
    """``value`` as a plain number; None for what is not one finite real number, truth values included."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError, TypeError):
        return None  # a whole number of 400 digits, say
    return number if math.isfinite(number) else None
