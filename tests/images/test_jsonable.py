"""Values on their way into JSON."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from inscoper_mm.images.jsonable import json_safe, json_text

CASES: dict[str, tuple[Any, Any]] = {
    "plain": ({"a": [1, 2.5, "x", None, True]}, {"a": [1, 2.5, "x", None, True]}),
    "numpy scalars": ([np.int64(3), np.float32(0.5), np.bool_(True), np.uint8(255)], [3, 0.5, True, 255]),
    "numpy text": (np.str_("cell"), "cell"),
    "array": (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    "array with nan": (np.array([1.0, np.nan]), [1.0, None]),
    "nan and infinities": ([float("nan"), float("inf"), -float("inf"), np.float64("nan")], [None] * 4),
    "tuple and set": ({"t": (1, (2,)), "s": {7}}, {"t": [1, [2]], "s": [7]}),
    "keys": ({1: "a", np.int64(2): "b"}, {"1": "a", "2": "b"}),
    "mapping": (MappingProxyType({"a": MappingProxyType({"b": 1})}), {"a": {"b": 1}}),
    "path": (PurePosixPath("a/b"), "a/b"),
    "time": (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
    "lone surrogate": ("\ud800", "\ud800"),
}


@pytest.mark.parametrize("name", CASES)
def test_becomes_json(name: str) -> None:
    value, expected = CASES[name]
    assert json_safe(value) == expected
    text = json_text(value)
    assert json.loads(text) == expected
    assert text.isascii()
    assert "\n" not in text


def test_a_value_in_itself_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "..." in json_text(loop)
