"""The slices of a z-stack that a script asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inscoper_mm.acquisition.commands.base import numbers
from inscoper_mm.errors import CommandRefused, did_you_mean

_KEYS = ("range_um", "step_um")
_MOST_SLICES = 10_000


def offsets_of(stack: Any) -> tuple[float, ...]:
    """The slices of ``stack`` in micrometres from the position's focus.

    Parameters
    ----------
    stack
        None (one slice), ``{"range_um", "step_um"}`` (from minus to plus half the range), or a list of offsets.

    Raises
    ------
    CommandRefused, LimitRefused
    """
    if stack is None:
        return (0.0,)
    if isinstance(stack, Mapping):
        return _range(stack)
    if not isinstance(stack, Sequence) or isinstance(stack, str) or not stack:
        raise CommandRefused(
            f"acquire: zStack must be {{'range_um': R, 'step_um': S}} or a list of offsets in um. Got: {stack!r}. "
            "Nothing was added."
        )
    for offset in stack:
        numbers("acquire", zStack=offset)
    return tuple(float(offset) for offset in stack)


def _range(stack: Mapping[str, Any]) -> tuple[float, ...]:
    for key in stack:
        if key not in _KEYS:
            near = did_you_mean(key, _KEYS)
            hint = f" Did you mean '{near}'?" if near else ""
            raise CommandRefused(
                f"acquire: zStack has no {key!r}. Allowed: range_um, step_um.{hint} Nothing was added."
            )
    if set(stack) != set(_KEYS):
        raise CommandRefused("acquire: zStack needs both range_um and step_um. Nothing was added.")
    numbers("acquire", **stack)
    length_um, step_um = float(stack["range_um"]), float(stack["step_um"])
    if length_um < 0 or step_um <= 0:
        raise CommandRefused(
            f"acquire: zStack needs a range_um of at least 0 and a step_um above 0. Got: {dict(stack)}. "
            "Nothing was added."
        )
    if length_um > _MOST_SLICES * step_um:
        raise CommandRefused(
            f"acquire: zStack would have too many slices. Allowed: {_MOST_SLICES}. Nothing was added."
        )
    # Not math.floor alone: 4 / 0.1 is 39.999...
    steps = math.floor(length_um / step_um + 1e-9)
    return tuple(number * step_um - steps * step_um / 2 for number in range(steps + 1))
