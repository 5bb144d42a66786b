"""The section ``at_end`` of an experiment file: where stage and focus are left when the run is over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from inscoper_mm.errors import did_you_mean
from inscoper_mm.experiment.document import shown
from inscoper_mm.experiment.reader import Section, is_number

Word = Literal["stay", "return"]
_WORDS = ("stay", "return")


@dataclass(frozen=True, slots=True)
class AtEnd:
    """Where stage and focus go at the end: ``stay``, ``return`` to where they were before the run, or a place.

    ``stage`` may be (x, y) and ``focus`` a number, in micrometres. Everything else is always set back.
    """

    stage: Word | tuple[float, float] = "stay"
    focus: Word | float = "stay"


def read_at_end(section: Section) -> AtEnd:
    """The section ``at_end``."""
    default = AtEnd()
    at_end = AtEnd(_stage(section, default), _focus(section, default))
    section.finish()
    return at_end


def dump_at_end(at_end: AtEnd) -> dict[str, Any]:
    """The values of the section."""
    stage: Any = at_end.stage
    if isinstance(stage, tuple):
        stage = {"x_um": stage[0], "y_um": stage[1]}
    return {"stage": stage, "focus": at_end.focus}


def _stage(section: Section, default: AtEnd) -> Word | tuple[float, float]:
    value = section.value("stage")
    if value is None:
        return default.stage
    if value in _WORDS:
        return cast("Word", value)
    if isinstance(value, Mapping):
        place = section.section("stage")
        x_um, y_um = _coordinate(place, "x_um"), _coordinate(place, "y_um")
        place.finish()
        return (x_um, y_um) if x_um is not None and y_um is not None else default.stage
    _refuse(section, "stage", value, "stay, return, {x_um: X, y_um: Y}")
    return default.stage


def _focus(section: Section, default: AtEnd) -> Word | float:
    value = section.value("focus")
    if value is None:
        return default.focus
    if value in _WORDS:
        return cast("Word", value)
    if is_number(value) and math.isfinite(value):
        return float(value)
    _refuse(section, "focus", value, "stay, return, a number of micrometres")
    return default.focus


def _coordinate(section: Section, key: str) -> float | None:
    value = section.value(key)
    if value is None:
        section.need(key)
        return None
    if not is_number(value) or not math.isfinite(value):
        section.refuse(key, "must be a number of micrometres.", got=shown(value))
        return None
    return float(value)


def _refuse(section: Section, key: str, value: Any, allowed: str) -> None:
    near = did_you_mean(value, _WORDS) if isinstance(value, str) else None
    section.refuse(key, "is not a possible place.", got=shown(value), allowed=allowed, suggestion=near)
