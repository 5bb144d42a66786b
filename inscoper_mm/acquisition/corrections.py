"""Persistent corrections of stage and focus: added to planned positions when an event is submitted.

pycromanager sends the planned position with every event, so a move between two events is undone by the next one.
A correction is therefore kept here and changes the events themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.limits import Axis


@dataclass(frozen=True, slots=True)
class Offset:
    """A shift in micrometres."""

    x_um: float = 0.0
    y_um: float = 0.0
    z_um: float = 0.0

    def __add__(self, other: Offset) -> Offset:
        return Offset(self.x_um + other.x_um, self.y_um + other.y_um, self.z_um + other.z_um)

    def __bool__(self) -> bool:
        return bool(self.x_um or self.y_um or self.z_um)

    def to_dict(self) -> dict[str, float]:
        """The shift as JSON values."""
        return {"x": self.x_um, "y": self.y_um, "z": self.z_um}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A correction that no event carries yet."""

    script: str
    decided_at: str
    position: int | None


class Corrections:
    """The sum of all corrections, per stage position and for all of them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._everywhere = Offset()
        self._at: dict[int, Offset] = {}
        self._waiting: list[Waiting] = []

    def add(self, offset: Offset, positions: Iterable[int] | None, script: str, event: str) -> None:
        """Add ``offset`` for ``positions`` (None: for all); events submitted from now on carry it."""
        with self._lock:
            if positions is None:
                self._everywhere += offset
                self._waiting.append(Waiting(script, event, None))
                return
            for position in positions:
                self._at[position] = self._at.get(position, Offset()) + offset
                self._waiting.append(Waiting(script, event, position))

    def total(self, position: int) -> Offset:
        """The correction that an event at ``position`` carries."""
        with self._lock:
            return self._everywhere + self._at.get(position, Offset())

    def take_waiting(self, position: int) -> list[Waiting]:
        """The corrections that an event at ``position`` is the first to carry; each is given out once."""
        with self._lock:
            mine = [waiting for waiting in self._waiting if waiting.position in (None, position)]
            self._waiting = [waiting for waiting in self._waiting if waiting not in mine]
            return mine


def corrected(planned: StagePosition, offset: Offset) -> dict[Axis, float]:
    """The axes of ``planned`` that the plan sets, with the correction added."""
    axes: dict[Axis, float] = {}
    if planned.x_um is not None:
        axes["x_um"] = planned.x_um + offset.x_um
    if planned.y_um is not None:
        axes["y_um"] = planned.y_um + offset.y_um
    if planned.z_um is not None:
        axes["z_um"] = planned.z_um + offset.z_um
    return axes
