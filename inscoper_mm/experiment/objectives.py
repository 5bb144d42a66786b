"""The section ``microscope.objectives`` of an experiment file: how the objectives differ in place and focus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from inscoper_mm.experiment.document import shown
from inscoper_mm.experiment.reader import Section, is_number

_KEYS = ("x_um", "y_um", "z_um", "escape_z_um")


@dataclass(frozen=True, slots=True)
class ObjectiveOffset:
    """Where stage and focus have to go to see with this objective what another one, of offset 0, sees.

    ``escape_z_um`` is the height to which the focus drive goes before the turret turns to this objective or away from
    it; None: it stays where it is.
    """

    x_um: float = 0.0
    y_um: float = 0.0
    z_um: float = 0.0
    escape_z_um: float | None = None


ObjectiveOffsets = Mapping[str, ObjectiveOffset]


def read_objectives(section: Section) -> dict[str, ObjectiveOffset]:
    """The section: label or preset -> offset. Whether there is such an objective shows when devices are known."""
    found: dict[str, ObjectiveOffset] = {}
    for name in section.keys:
        entry = section.section(name)
        values = {key: value for key in _KEYS if (value := _number(entry, key)) is not None}
        entry.finish()
        found[name] = ObjectiveOffset(**values)
    return found


def dump_objectives(objectives: ObjectiveOffsets) -> dict[str, Any]:
    """The values of the section."""
    return {
        name: {key: value for key, value in asdict(offset).items() if value is not None}
        for name, offset in objectives.items()
    }


def _number(section: Section, key: str) -> float | None:
    value = section.value(key)
    if value is None:
        return None
    if not is_number(value) or not math.isfinite(value):
        section.refuse(key, "must be a number of micrometres.", got=shown(value))
        return None
    return float(value)
