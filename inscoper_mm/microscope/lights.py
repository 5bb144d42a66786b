"""Everything that can light the specimen, and switching it off: what a run does at its end, whatever it found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inscoper_mm.errors import DeviceError
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.microscope.sub_device_kinds import DEVICE_TYPES, DeviceType, is_light_name

# How adapters call the property that switches a light: "Laser 488 - State", "OnOff", "Emission".
_SWITCH = re.compile(r"(^|[\s\-_:])(state|on\s*/?\s*off|(laser )?emission|operate|enabled?)$", re.IGNORECASE)
_OFF = ("off", "0", "no", "disabled", "false")
# A camera's "Enabled" is no light's, and a state device is switched by its shutter.
_WITH_SWITCHES: tuple[DeviceType, ...] = ("generic", "shutter", "hub", "signal")


# States in which nothing is lit, or nobody knows.
NOTHING = "nothing connected"
DARK = ("closed", "off", "unknown", NOTHING)
# Of Micro-Manager's utilities: what a shutter works through. One that works through nothing cannot be closed.
_THROUGH = re.compile(r"((State|DA) Device|Target Device|Physical Shutter( \d+)?)(-\d+)?")
_NO_DEVICE = ("", "None", "Undefined")


@dataclass(frozen=True, slots=True)
class Light:
    """Something that lights, or lets light through.

    ``off`` switches it off and returns the state that the device reports then, in words; ``state`` only reads it.
    """

    id: str
    device: str
    off: Callable[[], str]
    state: Callable[[], str]


def lights_of(core: Any) -> tuple[Light, ...]:
    """All shutters, all galvos, and all properties that are switches of lights. Asks no device anything."""
    return (*_shutters(core), *_galvos(core), *_switches(core))


def off_value(device: DeviceType, label: str, name: str, values: Sequence[str]) -> str | None:
    """The value that switches a light off; None if the property ``name`` of ``label`` is no switch of a light."""
    if device not in _WITH_SWITCHES or len(values) != 2 or not _SWITCH.search(name):
        return None
    if not is_light_name(f"{label} {name}"):
        return None
    return next((value for value in values if value.lower() in _OFF), None)


def _shutters(core: Any) -> Iterator[Light]:
    for label in of_type(core, "shutter"):
        yield Light(make_id(label), label, _Shutter(core, label).close, _Shutter(core, label).state)


def _galvos(core: Any) -> Iterator[Light]:
    for label in of_type(core, "galvo"):
        yield Light(make_id(label), label, _GalvoLight(core, label).off, lambda: "unknown")


def _switches(core: Any) -> Iterator[Light]:
    for label in map(str, core.getLoadedDevices()):
        kind = DEVICE_TYPES.get(int(core.getDeviceType(label)), "generic")
        if kind not in _WITH_SWITCHES:
            continue
        for name in map(str, core.getDevicePropertyNames(label)):
            # Looked at last: most names are no switch's.
            if not _SWITCH.search(name) or (kind == "shutter" and name == "State"):
                continue
            off = off_value(kind, label, name, tuple(map(str, core.getAllowedPropertyValues(label, name))))
            if off is not None and not core.isPropertyReadOnly(label, name):
                switch = _Switch(core, label, name, off)
                yield Light(make_id(label, name), label, switch.turn_off, switch.state)


def of_type(core: Any, kind: DeviceType) -> list[str]:
    """The labels of the devices of a type, in the order in which they were loaded."""
    labels = [str(label) for label in core.getLoadedDevices()]
    return [label for label in labels if DEVICE_TYPES.get(int(core.getDeviceType(label))) == kind]


@dataclass(frozen=True, slots=True)
class _Shutter:
    core: Any
    label: str

    def close(self) -> str:
        if not self.works:
            return NOTHING
        self.core.setShutterOpen(self.label, False)
        self.core.waitForDevice(self.label)
        state = self.state()
        if state != "closed":
            raise DeviceError(f"The shutter '{self.label}' was closed and reports that it is open.")
        return state

    @property
    def works(self) -> bool:
        """Whether there is something that it opens and closes."""
        names = [
            name
            for name in map(str, self.core.getDevicePropertyNames(self.label))
            if _THROUGH.fullmatch(name)
        ]
        return not names or any(self.core.getProperty(self.label, name) not in _NO_DEVICE for name in names)

    def state(self) -> str:
        if not self.works:
            return NOTHING
        return "open" if self.core.getShutterOpen(self.label) else "closed"


@dataclass(frozen=True, slots=True)
class _GalvoLight:
    core: Any
    label: str

    def off(self) -> str:
        # A galvo does not tell whether it lights.
        self.core.setGalvoIlluminationState(self.label, False)
        return "off"


@dataclass(frozen=True, slots=True)
class _Switch:
    core: Any
    label: str
    name: str
    off: str

    def turn_off(self) -> str:
        self.core.setProperty(self.label, self.name, self.off)
        self.core.waitForDevice(self.label)
        if (state := self.state()) != "off":
            raise DeviceError(f"{self.label}-{self.name} was set to {self.off!r} and reports {state!r}.")
        return state

    def state(self) -> str:
        value = str(self.core.getProperty(self.label, self.name))
        return "off" if value == self.off else value
