"""Values of sub-devices: whether one is taken, what is sent for it, and whether what was reached is what was meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from inscoper_mm.errors import CommandRefused, did_you_mean
from inscoper_mm.microscope.sub_devices import Constraints, SubDevice, ValueType

# Adapters keep whole numbers in 32 bits, and text in MMCore's buffer of 1024 characters.
_LARGEST_WHOLE = 2**31 - 1
_LONGEST_TEXT = 1000
_WORDS_ON = {"open": True, "on": True, "closed": False, "off": False}


class _Refused(Exception):
    """A value is not taken; ``cure`` may say what would be."""

    def __init__(self, why: str, cure: str = "") -> None:
        self.why, self.cure = why, cure
        super().__init__(why)


def wanted(sub_device: SubDevice, value: object) -> Any:
    """``value`` as the plain value that will be sent.

    Raises
    ------
    CommandRefused
        The sub-device cannot be set, or not to this; with id, value, and what is allowed.
    """
    takes = sub_device.constraints
    if not takes.settable:
        raise CommandRefused(
            f"{sub_device.id} cannot be set: {takes.why_not}. Got: {value!r}. Nothing was set."
        )
    try:
        return _CONVERT[takes.type](value, takes)
    except _Refused as refused:
        cure = f" {refused.cure}" if refused.cure else ""
        raise CommandRefused(
            f"{sub_device.id}: {refused.why}. Got: {value!r}. Allowed: {takes.allowed}.{cure} Nothing was set."
        ) from None


def reached(sub_device: SubDevice, asked: Any, value: Any) -> bool:
    """Whether ``value``, read from the device, is what was ``asked``, within the device's tolerance."""
    takes = sub_device.constraints
    if takes.type == "numbers":
        return len(asked) == len(value) and all(_near(a, b, takes) for a, b in zip(asked, value, strict=True))
    if takes.type == "number":
        return isinstance(value, Real) and _near(asked, float(value), takes)
    if takes.type == "text" and not takes.values:
        return True  # free text: some devices take a word and report another
    return bool(asked == value)


def plain(text: str, takes: Constraints) -> Any:
    """What a property's text means; text where it is no number although it should be."""
    try:
        if takes.type == "integer":
            return int(float(text))
        if takes.type == "number":
            return float(text)
    except (ValueError, OverflowError):
        return text
    return text


def _near(asked: float, value: float, takes: Constraints) -> bool:
    return abs(asked - value) <= max(takes.tolerance, takes.relative_tolerance * abs(asked)) + 1e-9


def _number(value: object, takes: Constraints) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise _Refused("the value must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _Refused("the value must be a finite number")
    _in_range(number, takes)
    if takes.values and number not in takes.values:
        raise _Refused("the value is not one of those that the device takes")
    return number


def _integer(value: object, takes: Constraints) -> int:
    number = _number(value, takes)
    if number != int(number) or abs(number) > _LARGEST_WHOLE:
        raise _Refused("the value must be a whole number")
    return int(number)


def _in_range(number: float, takes: Constraints) -> None:
    low, high = takes.minimum, takes.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        raise _Refused("the value is outside the range of the device")


def _text(value: object, takes: Constraints) -> str:
    if not isinstance(value, str):
        cure = f"Write '{value}', as text." if str(value) in takes.values else ""
        raise _Refused("the value must be text", cure)
    if takes.values and value not in takes.values:
        near = did_you_mean(value, takes.values)
        raise _Refused("there is no such value", f"Did you mean '{near}'?" if near else "")
    if len(value) > _LONGEST_TEXT or not all(each.isprintable() or each == "\t" for each in value):
        raise _Refused(f"the text must be printable and have at most {_LONGEST_TEXT} characters")
    return value


def _switch(value: object, takes: Constraints) -> bool:
    if isinstance(value, str) and value.lower() in _WORDS_ON:
        return _WORDS_ON[value.lower()]
    if isinstance(value, bool | np.bool_) or (isinstance(value, Integral) and value in (0, 1)):
        return bool(value)
    raise _Refused("the value must be True or False")


def _state(value: object, takes: Constraints) -> Any:
    """The label of a state, or its number where it has none."""
    if isinstance(value, str):
        if value and takes.values.count(value) == 1:
            return value
        near = did_you_mean(value, takes.values)
        raise _Refused("there is no state of this name", f"Did you mean '{near}'?" if near else "")
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise _Refused("a state is chosen by its label or by its number")
    number = int(value)
    if number < 0 or (takes.values and number >= len(takes.values)):
        cure = f"Its label is text: write '{value}'." if str(number) in takes.values else ""
        raise _Refused(f"there are {len(takes.values)} states, numbered from 0", cure)
    return state_value(number, takes)


def state_value(number: int, takes: Constraints) -> str | int:
    """The label of a state, or its number where it has no label of its own."""
    label = takes.values[number] if number < len(takes.values) else ""
    return label if label and takes.values.count(label) == 1 else number


def _numbers(value: object, takes: Constraints) -> list[float]:
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence | np.ndarray)
        or len(value) != len(takes.names)
    ):
        raise _Refused(f"the value must be a list of {len(takes.names)} numbers")
    convert = _integer if takes.step == 1 else _number
    return [convert(each, takes) for each in value]


_CONVERT: Mapping[ValueType, Callable[[object, Constraints], Any]] = {
    "number": _number,
    "integer": _integer,
    "text": _text,
    "switch": _switch,
    "state": _state,
    "numbers": _numbers,
}
