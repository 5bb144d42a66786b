"""Any value as JSON: numpy scalars and arrays become plain, NaN and infinities null, the rest text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from datetime import date, datetime
from typing import Any

import numpy as np

_DEEPEST = 60

_compact = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def json_safe(value: Any, _depth: int = 0) -> Any:
    """``value`` built of None, bool, int, finite float, str, list and dict only.

    Tuples, sets and arrays become lists, keys become text, NaN and infinities become None, and whatever JSON
    does not know becomes its ``str``.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if _depth > _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {str(key): json_safe(item, _depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | Set):
        return [json_safe(item, _depth + 1) for item in value]
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist(), _depth + 1)
    if isinstance(value, np.generic):
        return json_safe(value.item(), _depth + 1)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def json_text(value: Any) -> str:
    """``value`` as one line of pure ASCII JSON, never with NaN."""
    try:
        return _compact(value)
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # only the rare case is worth a slow walk
        return _compact(json_safe(value))
