"""A light for a while: shutter open and power set, and both as before when it is over, whatever happened."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from inscoper_mm.errors import CommandRefused, DeviceError
from inscoper_mm.microscope.galvo import is_shutter

_SHUTTER_LIMIT_S = 10.0
_POLL_S = 0.0005


class Power(Protocol):
    """What sets how strong a light is: any settable thing that takes a number."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    def get(self) -> Any:
        """The present value."""
        ...

    def set(self, value: Any) -> None:
        """Set it, and wait until it is so."""
        ...


class LightSource:
    """A light with a shutter, and what sets its power, if anything does.

    Parameters
    ----------
    core : CMMCore
    shutter : str
        Label of the shutter device.
    power : Power, optional

    Raises
    ------
    CommandRefused
        If there is no such shutter.
    """

    def __init__(self, core: Any, shutter: str, power: Power | None = None) -> None:
        if not is_shutter(core, shutter):
            raise CommandRefused(f"'{shutter}' is no shutter. Nothing was lit.")
        self.label = shutter
        self.power = power
        self._core = core

    @property
    def is_open(self) -> bool:
        """Whether the shutter is open."""
        return bool(self._core.getShutterOpen(self.label))

    @contextlib.contextmanager
    def lit(self, power: float | None = None) -> Iterator[None]:
        """Light on, at ``power``, for the body; after it shutter and power are as before.

        Raises
        ------
        CommandRefused
            If a power is asked for and nothing can set it.
        DeviceError
            If a device hangs. All that can be set back is set back first.
        """
        if power is not None and self.power is None:
            raise CommandRefused(f"The power of '{self.label}' cannot be set: no device for it is known.")
        was_open = self.is_open
        with contextlib.ExitStack() as stack:
            # Set back in the opposite order: first dark, then the power. Each is tried, even if the other fails.
            if power is not None and self.power is not None:
                stack.callback(self.power.set, self.power.get())
                # A shutter that is open already would light the specimen while the power changes.
                self._switch(False)
                self.power.set(power)
            stack.callback(self._switch, was_open)
            self._switch(True)
            yield

    def _switch(self, is_open: bool) -> None:
        self._core.setShutterOpen(self.label, is_open)
        limit = time.monotonic() + _SHUTTER_LIMIT_S
        while self._core.deviceBusy(self.label):
            if time.monotonic() > limit:
                raise DeviceError(f"The shutter '{self.label}' is still busy after {_SHUTTER_LIMIT_S:g} s.")
            time.sleep(_POLL_S)


@contextlib.contextmanager
def no_light(power: float | None = None) -> Iterator[None]:
    """In place of a light, where the pointing device has one of its own."""
    if power is not None:
        raise CommandRefused("A power was given, but no light is named whose power it is.")
    yield


LightFor = Callable[[float | None], contextlib.AbstractContextManager[None]]
