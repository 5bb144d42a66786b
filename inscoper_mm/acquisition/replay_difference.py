"""A difference between a run and its replay, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inscoper_mm.acquisition.sameness import same

ABSENT = "nothing"
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as in the run; ``frame`` is empty for a file."""

    script: str
    frame: str
    what: str
    run: str
    replay: str

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.frame, self.script) if part)
        return f"{place}: {self.what}: {self.run} in the run, {self.replay} now"


def first_difference(what: str, one: Any, other: Any) -> tuple[str, str, str]:
    """Where two values begin to differ, and what stands there."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            if key not in one or key not in other or not same(one[key], other[key]):
                return first_difference(f"{what}.{key}", one.get(key, _Absent), other.get(key, _Absent))
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (first, second) in enumerate(zip(one, other, strict=True)):
            if not same(first, second):
                return first_difference(f"{what}[{at}]", first, second)
    return what, _shown(one), _shown(other)


class _Absent:
    """Stands for what is not there."""


def _shown(value: Any) -> str:
    if value is None or value is _Absent:
        return ABSENT
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
