"""How much light went where: time, time x power, and energy where the power at the specimen is known."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Dose:
    """An amount of light.

    Parameters
    ----------
    time_ms : float
        How long there was light.
    power_time : float, optional
        Power in the device's own units x milliseconds; None where no power is known.
    energy_uj : float, optional
        Energy at the specimen in microjoule; None where its power in milliwatts is not known.
    """

    time_ms: float = 0.0
    power_time: float | None = None
    energy_uj: float | None = None

    @classmethod
    def of(cls, time_ms: float, power: float | None, mw_per_unit: float | None) -> Dose:
        """The dose of ``time_ms`` at ``power``."""
        power_time = None if power is None else power * time_ms
        # 1 mW for 1 ms is 1 uJ.
        energy = None if power_time is None or mw_per_unit is None else power_time * mw_per_unit
        return cls(time_ms, power_time, energy)

    def __add__(self, other: Dose) -> Dose:
        return Dose(
            self.time_ms + other.time_ms,
            _sum(self.power_time, other.power_time),
            _sum(self.energy_uj, other.energy_uj),
        )

    def to_dict(self) -> dict[str, Any]:
        """The dose as JSON values, without what is not known."""
        values = {"time_ms": self.time_ms, "power_time": self.power_time, "energy_uj": self.energy_uj}
        return {name: round(value, 6) for name, value in values.items() if value is not None}


class DoseLedger:
    """The sum of all doses, per stage position and in total. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[int, Dose] = {}

    def add(self, position: int, dose: Dose) -> None:
        """Note a dose at a stage position."""
        with self._lock:
            self._at[position] = self._at.get(position, Dose()) + dose

    def at(self, position: int) -> Dose:
        """What the position has had."""
        with self._lock:
            return self._at.get(position, Dose())

    @property
    def total(self) -> Dose:
        """What all positions have had."""
        with self._lock:
            return sum(self._at.values(), Dose())


def _sum(first: float | None, second: float | None) -> float | None:
    """The sum of what is known: a light of unknown power adds to the time alone."""
    return second if first is None else first if second is None else first + second
