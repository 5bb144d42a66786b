"""Safety limits: the one function that planned events, corrected events and commands all pass."""

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
    """An allowed range in micrometres, both ends included, and where it comes from."""

    low: float
    high: float
    source: str

    def tightened(self, other: Range | None) -> Range:
        """The overlap with ``other``; the source names the limit that binds at either end."""
        if other is None:
            return self
        low = max((self, other), key=lambda r: r.low)
        high = min((self, other), key=lambda r: r.high)
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
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise LimitRefused(
                f"{what}: {_NAMES[axis]} must be a finite number of micrometres. Got: {value!r}. Nothing was moved."
            )
        limit = self.ranges.get(axis)
        number = float(value)
        if limit is not None and not limit.low <= number <= limit.high:
            raise LimitRefused(
                f"{what}: {_NAMES[axis]} {number:g} um is outside its limit. Allowed: {limit.low:g} to "
                f"{limit.high:g} um ({limit.source}). Nothing was moved."
            )
        return number
