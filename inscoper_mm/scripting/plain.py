"""Values that a script hands over, as plain JSON values, or an error that says where one is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_DEEPEST = 40


class NotPlain(ValueError):
    """A value is no JSON value; the message says which, as in ``state['cells'][3]``."""


def plain(value: Any, place: str, nan_is_none: bool = False, _depth: int = 0) -> Any:
    """``value`` built of None, bool, int, finite float, str, list and dict with text keys.

    numpy scalars and arrays, and tuples, are converted.

    Parameters
    ----------
    value
    place : str
        The value's name in errors.
    nan_is_none : bool
        NaN and infinities become None instead of an error.

    Raises
    ------
    NotPlain
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _finite(float(value), place, nan_is_none)
    if _depth >= _DEEPEST:
        raise NotPlain(f"{place} is nested too deep, or contains itself.")
    if isinstance(value, Mapping):
        return {
            _key(key, place): plain(item, f"{place}[{key!r}]", nan_is_none, _depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item, f"{place}[{n}]", nan_is_none, _depth + 1) for n, item in enumerate(value)]
    if isinstance(value, bool | str):  # a numpy scalar that became one
        return value
    raise NotPlain(
        f"{place} is no JSON value. Got: {show(value)}. Allowed: numbers, text, lists, dicts, None."
    )


def _finite(value: float, place: str, nan_is_none: bool) -> float | None:
    if math.isfinite(value):
        return value
    if nan_is_none:
        return None
    raise NotPlain(f"{place} is {value}, which JSON does not have. Use None where there is no value.")


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str):
        raise NotPlain(f"{place} has a key that is no text. Got: {show(key)}.")
    return str(key)


def show(value: Any, most: int = 60) -> str:
    """``value`` for an error: short, with its type."""
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    text = repr(value)
    return f"{text[:most]}{'...' if len(text) > most else ''} ({type(value).__name__})"
