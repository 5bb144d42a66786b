"""Which devices a fire takes: what points, what lights, and what sets the power."""

from __future__ import annotations

import math
from typing import Any

from inscoper_mm.errors import CommandRefused, LimitRefused
from inscoper_mm.experiment.photomanipulation import Photomanipulation
from inscoper_mm.microscope.galvo import Galvo, Pointer
from inscoper_mm.microscope.light_source import LightSource
from inscoper_mm.microscope.live_devices import SubDevices


class FiringLights:
    """Chooses among the devices that the experiment names and those that a script asks for.

    Parameters
    ----------
    core : CMMCore
    devices : SubDevices
    settings : Photomanipulation
        The experiment's.
    """

    def __init__(self, core: Any, devices: SubDevices, settings: Photomanipulation) -> None:
        self._core = core
        self._devices = devices
        self._settings = settings

    def chosen(self, asked: str | None, is_region: bool) -> tuple[Pointer | None, LightSource | None]:
        """What points, and what lights; without a pointer, the whole field is lit.

        Parameters
        ----------
        asked : str, optional
            The sub-device that a script asks for; else the experiment's counts.
        is_region : bool
            Whether there is a region to point at.

        Raises
        ------
        CommandRefused
            If there is no such device, or it cannot do that.
        """
        core, name = self._core, asked or self._settings.sub_device
        light = self._light(self._settings.light)
        if name is None:
            if not core.getGalvoDevice() and light is not None and not is_region:
                return None, light
            return Galvo(core), light
        sub_device = self._devices.resolve(name)
        if sub_device.access == "galvo":
            return Galvo(core, sub_device.device), light
        if sub_device.access != "switch":
            raise CommandRefused(
                f"'{name}' cannot fire: it is of the kind '{sub_device.kind}'. Allowed: a galvo, a shutter, or a "
                "light. Nothing was fired."
            )
        light = self._light(name)
        if not is_region:
            return None, light
        if not core.getGalvoDevice():
            raise CommandRefused(
                f"'{name}' lights the whole field, and the configuration has no galvo to point it. Leave the region "
                "out. Nothing was fired."
            )
        return Galvo(core), light

    def power(self, asked: float | None, light: LightSource | None) -> float | None:
        """The power to set for ``light``, within what its device takes; None: as it is.

        Raises
        ------
        CommandRefused, LimitRefused
            If it cannot be set, or not to this.
        """
        own = light is not None and light.power is not None
        power = asked if asked is not None else (self._settings.power if own else None)
        if power is None:
            return None
        if isinstance(power, bool) or not isinstance(power, int | float) or not 0 <= power < math.inf:
            raise LimitRefused(
                f"power must be a finite number of at least 0. Got: {power!r}. Nothing was fired."
            )
        if light is None or light.power is None:
            raise CommandRefused(
                "The power cannot be set: the experiment's 'photomanipulation:' names no 'power_device' for this "
                "light. Nothing was fired."
            )
        return float(self._devices.wanted(self._devices.resolve(light.power.id), float(power)))

    def present_power(self, light: LightSource | None) -> float | None:
        """The power of ``light`` now, where it is known."""
        if light is None or light.power is None:
            return None
        value = light.power.get()
        return float(value) if isinstance(value, int | float) else None

    def _light(self, name: str | None) -> LightSource | None:
        if name is None:
            return None
        settings, label = self._settings, self._label(name)
        own = settings.light is not None and label == self._label(settings.light)
        power = DevicePower(self._devices, settings.power_device) if own and settings.power_device else None
        return LightSource(self._core, label, power)

    def _label(self, name: str) -> str:
        return self._devices.resolve(name).device


class DevicePower:
    """The power of a light, set through the sub-device that sets it."""

    def __init__(self, devices: SubDevices, name: str) -> None:
        self._devices = devices
        self.id = devices.resolve(name).id

    def get(self) -> Any:
        """The present value."""
        return self._devices.get(self.id)

    def set(self, value: Any) -> None:
        """Set it, and wait until it is so."""
        self._devices.set(self.id, value)
