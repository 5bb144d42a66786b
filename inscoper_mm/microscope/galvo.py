"""What points light at a place: the galvo of the Core, behind a small Protocol that leaves room for other devices."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from inscoper_mm.errors import CommandRefused, DeviceError
from inscoper_mm.microscope.sub_device_kinds import DEVICE_TYPES

# A galvo is there in a millisecond; one that is still busy after this hangs.
_SETTLE_LIMIT_S = 5.0
_POLL_S = 0.0005
# How often a long pulse looks whether it has to end.
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class PointerRange:
    """Where a pointing device reaches, in its own units, both ends included."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def has(self, x: float, y: float) -> bool:
        """Whether the place is inside; NaN is not."""
        return self.x_low <= x <= self.x_high and self.y_low <= y <= self.y_high

    def __str__(self) -> str:
        return f"x {self.x_low:g} to {self.x_high:g}, y {self.y_low:g} to {self.y_high:g}"


class Pointer(Protocol):
    """A device that points a spot of light; a galvo now, other devices later."""

    label: str

    @property
    def range(self) -> PointerRange:
        """Where it reaches."""
        ...

    def position(self) -> tuple[float, float]:
        """Where it points."""
        ...

    def aim(self, x: float, y: float) -> None:
        """Point there without light, and wait until it does."""
        ...

    def illuminate(self, on: bool) -> None:
        """Switch the spot on or off."""
        ...

    def fire(self, x: float, y: float, duration_ms: float, give_up: Callable[[], bool]) -> bool:
        """Point there and light the spot for ``duration_ms``; returns when it is dark: False if it was ended early."""
        ...


class Galvo:
    """A galvo of the Core.

    Parameters
    ----------
    core : CMMCore
    label : str, optional
        Otherwise the Core's own galvo.

    Raises
    ------
    CommandRefused
        If there is no such galvo.
    """

    def __init__(self, core: Any, label: str = "") -> None:
        self.label = label or str(core.getGalvoDevice())
        if not self.label:
            raise CommandRefused(
                "There is no galvo: the configuration has none (Core-Galvo is not set). Nothing was fired."
            )
        if not is_galvo(core, self.label):
            raise CommandRefused(f"'{self.label}' is no galvo. Nothing was fired.")
        self._core = core

    @property
    def range(self) -> PointerRange:
        """Where it reaches, as the device tells it; many devices do not enforce it."""
        x, y = self._core.getGalvoXMinimum(self.label), self._core.getGalvoYMinimum(self.label)
        width, height = self._core.getGalvoXRange(self.label), self._core.getGalvoYRange(self.label)
        return PointerRange(float(x), float(x + width), float(y), float(y + height))

    def position(self) -> tuple[float, float]:
        """Where it points."""
        x, y = self._core.getGalvoPosition(self.label)
        return float(x), float(y)

    def aim(self, x: float, y: float) -> None:
        """Point there without light, and wait until it does."""
        self._core.setGalvoPosition(self.label, x, y)
        self._settle()

    def illuminate(self, on: bool) -> None:
        """Switch the spot on or off."""
        self._core.setGalvoIlluminationState(self.label, on)

    def fire(self, x: float, y: float, duration_ms: float, give_up: Callable[[], bool]) -> bool:
        """Light the spot at (x, y) for ``duration_ms``; returns when it is dark: False if it was ended early.

        The Core's call may return at once or at the end of the pulse, depending on the device.
        """
        begin = time.perf_counter()
        self._core.pointGalvoAndFire(self.label, x, y, duration_ms * 1e3)
        returned = time.perf_counter()
        blocking = returned - begin >= duration_ms / 1e3
        end = returned if blocking else returned + duration_ms / 1e3
        if not wait_until(end, give_up):
            self.illuminate(False)
            return False
        self._settle()
        return True

    def _settle(self) -> None:
        limit = time.monotonic() + _SETTLE_LIMIT_S
        while self._core.deviceBusy(self.label):
            if time.monotonic() > limit:
                with contextlib.suppress(RuntimeError):
                    self.illuminate(False)
                raise DeviceError(f"The galvo '{self.label}' is still busy after {_SETTLE_LIMIT_S:g} s.")
            time.sleep(_POLL_S)


def is_galvo(core: Any, label: str) -> bool:
    """Whether the device ``label`` is loaded and a galvo."""
    return _type_of(core, label) == "galvo"


def is_shutter(core: Any, label: str) -> bool:
    """Whether the device ``label`` is loaded and a shutter."""
    return _type_of(core, label) == "shutter"


def _type_of(core: Any, label: str) -> str | None:
    return (
        DEVICE_TYPES.get(int(core.getDeviceType(label))) if label in tuple(core.getLoadedDevices()) else None
    )


def wait_until(end_s: float, give_up: Callable[[], bool]) -> bool:
    """Wait for ``time.perf_counter()`` to reach ``end_s``; False if ``give_up`` said so before."""
    while (left := end_s - time.perf_counter()) > 0:
        if give_up():
            return False
        # The last millisecond is not slept: a sleep may last longer.
        time.sleep(min(left - 0.001, _LOOK_S) if left > 0.001 else 0)
    return True
