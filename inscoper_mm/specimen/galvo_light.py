"""The galvo's light on its way to the specimen: when it is on, where it falls and how strong it is."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from inscoper_mm.specimen.parameters import Galvo
from inscoper_mm.specimen.specimen import Specimen
from inscoper_mm.specimen.view import View

_SHUTTER, _SIGNAL = 3, 12
_POWER = "Voltage"


class GalvoLight:
    """Charges the specimen with the galvo's light, piece by piece.

    Parameters
    ----------
    core : CMMCore
    specimen : Specimen
    read : callable
        Gives the view of the microscope as it stands.

    Notes
    -----
    Each piece lasts as long as nothing changes that has to do with light: before such a change, and before an image,
    `charge` adds up the piece until then. So a pulse that is cut short, a laser that is dimmed or a stage that is
    moved while the light is on bleach as they should.
    """

    def __init__(self, core: Any, specimen: Specimen, read: Callable[[], View]) -> None:
        self._core = core
        self._specimen = specimen
        self._read = read
        self._lasers = _lasers(core)
        self._lock = threading.RLock()
        self._galvo = ""
        # By time.perf_counter(): since when light is not yet charged, and until when it lasts.
        self._since_s = self._until_s = 0.0
        self._begun_s = 0.0

    def charge(self) -> None:
        """Bleach with the light until now."""
        with self._lock:
            now_s = time.perf_counter()
            lasted_s = min(now_s, self._until_s) - self._since_s
            if lasted_s <= 0:
                return
            power = self._power()
            if power > 0:
                view = self._read()
                row, col = self._place(view)
                self._specimen.shine(view.at(self._begun_s), row, col, lasted_s * 1e3 * power)
            self._since_s, self._begun_s = now_s, self._specimen.now_s()

    def seen(self, view: View) -> tuple[tuple[float, float, float], ...]:
        """What an image that begins now shows of the spot: (row, col, strength) where there is light."""
        with self._lock:
            left_ms = (self._until_s - time.perf_counter()) * 1e3
            if left_ms <= 0:
                return ()
            strength = self._power() * min(1.0, left_ms / max(view.exposure_ms, 1e-3))
            return ((*self._place(view), strength),) if strength > 0 else ()

    # The methods below stand in for the Core's; ``real`` is the Core's own.

    def change(self, real: Callable[..., Any], *args: Any) -> Any:
        """Something changes that the light depends on."""
        self.charge()
        return real(*args)

    def fire(self, real: Callable[..., Any], label: str, x: float, y: float, duration_us: float) -> None:
        """A pulse."""
        with self._lock:
            self.charge()
            # Some devices return at the end of the pulse only.
            begin_s, begun_s = time.perf_counter(), self._specimen.now_s()
            real(label, x, y, duration_us)
            self._light(label, begin_s, begun_s, begin_s + duration_us * 1e-6)

    def illuminate(self, real: Callable[..., Any], label: str, on: bool) -> None:
        """Light that lasts."""
        with self._lock:
            self.charge()
            real(label, on)
            self._light(label, time.perf_counter(), self._specimen.now_s(), math.inf if on else 0.0)

    def _light(self, label: str, since_s: float, begun_s: float, until_s: float) -> None:
        self._galvo, self._since_s, self._begun_s, self._until_s = label, since_s, begun_s, until_s

    def _place(self, view: View) -> tuple[float, float]:
        """(row, col) of the spot on the sensor without binning."""
        x, y = self._core.getGalvoPosition(self._galvo)
        height, width = (size * view.binning for size in view.sensor)
        return place(self._specimen.parameters.galvo, height, width, x, y)

    def _power(self) -> float:
        """The share of the full light; without lasers the galvo has a light of its own."""
        if not self._lasers:
            return 1.0
        return math.fsum(
            self._share(power)
            for shutter, power in self._lasers.items()
            if self._core.getShutterOpen(shutter)
        )

    def _share(self, power: str | None) -> float:
        if power is None:
            return 1.0
        value = float(self._core.getProperty(power, _POWER))
        return value / float(self._core.getPropertyUpperLimit(power, _POWER))


def place(galvo: Galvo, height: int, width: int, x: float, y: float) -> tuple[float, float]:
    """(row, col) on a sensor (height, width) at which the galvo's (x, y) is seen."""
    terms = (1.0, x, y, x * x, x * y, y * y)
    # As the demo camera draws the spot of its galvo, which goes from 0 to 10.
    row = galvo.row or (19.5, 0.0, (height - 15) / 10)
    col = galvo.col or (24.5, (width - 20) / 10, 0.0)
    return (
        math.fsum(factor * term for factor, term in zip(row, terms, strict=False)),
        math.fsum(factor * term for factor, term in zip(col, terms, strict=False)),
    )


def _lasers(core: Any) -> dict[str, str | None]:
    """The shutters that are lasers by their name, and what sets the power of each: a voltage of the name + Power."""
    devices = tuple(core.getLoadedDevices())
    found: dict[str, str | None] = {}
    for label in devices:
        if "laser" in label.lower() and int(core.getDeviceType(label)) == _SHUTTER:
            power = f"{label}Power"
            has_power = power in devices and int(core.getDeviceType(power)) == _SIGNAL
            found[label] = power if has_power and core.hasPropertyLimits(power, _POWER) else None
    return found
