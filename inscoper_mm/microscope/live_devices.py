"""The sub-devices of a loaded microscope: read, set, and checked after they were set.

Who may set what, and when, is decided elsewhere: here is what the devices themselves take. Only stage axes of the
run pass further limits, which is their caller's task as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inscoper_mm.errors import CommandRefused, DeviceError
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.device_values import plain, reached, state_value, wanted
from inscoper_mm.microscope.inventory import core_inventory, roles_of
from inscoper_mm.microscope.inventory_build import Roles
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.microscope.sub_devices import Access, Constraints, Inventory, SubDevice


class SubDevices:
    """The live set. Making it asks no device anything; the inventory is made when it is first needed.

    Parameters
    ----------
    microscope : Microscope
    aliases : mapping, optional
        The lab's name -> id.
    """

    def __init__(self, microscope: Microscope, aliases: Mapping[str, str] | None = None) -> None:
        self._microscope = microscope
        self._aliases = dict(aliases or {})
        self._inventories: dict[Roles, Inventory] = {}
        self._asked: dict[str, Any] = {}
        self._moving: dict[str, None] = {}

    @property
    def inventory(self) -> Inventory:
        """Everything that can be read or set, with the camera and the other devices that the Core has now."""
        roles = roles_of(self._microscope.core)
        if roles not in self._inventories:
            self._inventories[roles] = core_inventory(self._microscope.core).with_aliases(self._aliases)
        return self._inventories[roles]

    def ids(self, kind: str | None = None) -> tuple[str, ...]:
        """The ids of what can be set, of one kind or of all."""
        return self.inventory.ids(kind)

    def resolve(self, name: object) -> SubDevice:
        """The sub-device with this id or alias.

        Raises
        ------
        CommandRefused
            There is none; with "did you mean".
        """
        return self.inventory.resolve(name)

    def constraints(self, name: object) -> Constraints:
        """What a sub-device takes."""
        return self.resolve(name).constraints

    def get(self, name: object) -> Any:
        """The value that the device reports now: a number, text, True or False, a label, or a list of numbers.

        Raises
        ------
        CommandRefused
            There is no such sub-device.
        DeviceError
            It cannot be read.
        """
        return self.read(self.resolve(name))

    def set(self, name: object, value: object, wait: bool = True) -> Any:
        """Set a sub-device, wait until it is done, and return what it reports then.

        Without ``wait`` the value that was sent is returned at once; `settle` waits later.

        Raises
        ------
        CommandRefused
            There is no such sub-device, or it does not take the value; nothing was set.
        DeviceError
            The device failed, took too long, or reports another value afterwards.
        """
        sub_device = self.resolve(name)
        return self.send(sub_device, self.wanted(sub_device, value), wait)

    def wanted(self, sub_device: SubDevice, value: object) -> Any:
        """What will be sent for ``value``, see `set`; sends nothing."""
        return wanted(sub_device, value)

    def read(self, sub_device: SubDevice) -> Any:
        """As `get`, for a sub-device already found."""
        try:
            return _WAYS[sub_device.access].read(self._microscope, sub_device)
        except RuntimeError as error:
            raise DeviceError(f"{sub_device.id} cannot be read: {error}") from error

    def send(self, sub_device: SubDevice, target: Any, wait: bool = True) -> Any:
        """As `set`, for a value that `wanted` has returned."""
        self._asked.pop(sub_device.id, None)
        try:
            distance = _WAYS[sub_device.access].send(self._microscope, sub_device, target)
        except RuntimeError as error:
            raise DeviceError(f"{sub_device.id} could not be set to {target!r}: {error}") from error
        self._asked[sub_device.id] = target
        if not wait:
            self._moving[sub_device.device] = None
            return target
        self._microscope.wait(sub_device.device, distance)
        return self._verified(sub_device, target)

    def settle(self) -> None:
        """Wait for all devices that were set without waiting."""
        while self._moving:
            self._microscope.wait(next(iter(self._moving)))
            self._moving.pop(next(iter(self._moving)))

    def confirm(self, target_um: Mapping[Axis, float], reached_um: Mapping[Axis, float]) -> None:
        """Refuse to believe that a move of the run's stage or focus drive is done where it is not.

        Raises
        ------
        DeviceError
            An axis stands farther from its target than the device's tolerance.
        """
        for each in self.inventory:
            axis = each.axis
            if axis in target_um and not reached(each, target_um[axis], reached_um[axis]):
                raise DeviceError(
                    f"{each.id} was moved to {target_um[axis]:g} um and reports {reached_um[axis]:g} um."
                )

    def check(self, name: object) -> bool:
        """Whether a sub-device answers, is not busy, and has the value that it was last set to, if it was set."""
        sub_device = self.resolve(name)
        try:
            if self._microscope.core.deviceBusy(sub_device.device):
                return False
            value = self.read(sub_device)
        except (DeviceError, RuntimeError):
            return False
        return sub_device.id not in self._asked or reached(sub_device, self._asked[sub_device.id], value)

    def _verified(self, sub_device: SubDevice, target: Any) -> Any:
        value = self.read(sub_device)
        if not reached(sub_device, target, value):
            raise DeviceError(
                f"{sub_device.id} was set to {target!r} and reports {value!r}. "
                f"Allowed: {sub_device.constraints.allowed}."
            )
        return value


# -- the ways to the devices


@dataclass(frozen=True, slots=True)
class _Way:
    """``send`` returns the distance in um that the device has to go, 0 for what is no move."""

    read: Callable[[Microscope, SubDevice], Any]
    send: Callable[[Microscope, SubDevice, Any], float]


def _read_property(microscope: Microscope, sub_device: SubDevice) -> Any:
    text = str(microscope.core.getProperty(sub_device.device, sub_device.property))
    return plain(text, sub_device.constraints)


def _send_property(microscope: Microscope, sub_device: SubDevice, target: Any) -> float:
    microscope.core.setProperty(sub_device.device, sub_device.property, str(target))
    return 0.0


def _read_x(microscope: Microscope, sub_device: SubDevice) -> float:
    return float(microscope.core.getXPosition(sub_device.device))


def _read_y(microscope: Microscope, sub_device: SubDevice) -> float:
    return float(microscope.core.getYPosition(sub_device.device))


def _send_x(microscope: Microscope, sub_device: SubDevice, target: float) -> float:
    core, stage = microscope.core, sub_device.device
    distance = abs(target - core.getXPosition(stage))
    core.setXYPosition(stage, target, core.getYPosition(stage))
    return float(distance)


def _send_y(microscope: Microscope, sub_device: SubDevice, target: float) -> float:
    core, stage = microscope.core, sub_device.device
    distance = abs(target - core.getYPosition(stage))
    core.setXYPosition(stage, core.getXPosition(stage), target)
    return float(distance)


def _read_position(microscope: Microscope, sub_device: SubDevice) -> float:
    return float(microscope.core.getPosition(sub_device.device))


def _send_position(microscope: Microscope, sub_device: SubDevice, target: float) -> float:
    distance = abs(target - microscope.core.getPosition(sub_device.device))
    microscope.core.setPosition(sub_device.device, target)
    return float(distance)


def _read_exposure(microscope: Microscope, sub_device: SubDevice) -> float:
    return float(microscope.core.getExposure(sub_device.device))


def _send_exposure(microscope: Microscope, sub_device: SubDevice, target: float) -> float:
    microscope.core.setExposure(sub_device.device, target)
    return 0.0


def _read_region(microscope: Microscope, sub_device: SubDevice) -> list[int]:
    return [int(each) for each in microscope.core.getROI(sub_device.device)]


def _send_region(microscope: Microscope, sub_device: SubDevice, target: list[int]) -> float:
    """Set the region, if it lies on the sensor. Not every camera refuses one that does not."""
    core, (x, y, width, height) = microscope.core, target
    if (
        microscope.camera != sub_device.device
    ):  # clearROI() and the size of the sensor are of the Core's camera
        raise CommandRefused(
            f"{sub_device.id}: the Core sets the region of its own camera only, now {microscope.camera}. "
            "Nothing was set."
        )
    before = _read_region(microscope, sub_device)
    core.clearROI()
    _, _, most_x, most_y = full = _read_region(microscope, sub_device)
    if width < 1 or height < 1 or x + width > most_x or y + height > most_y:
        if before != full:
            core.setROI(sub_device.device, *before)
        raise CommandRefused(
            f"{sub_device.id}: the region is not on the sensor. Got: {target}. "
            f"Allowed: [x, y, width, height] within {most_x} x {most_y} px. Nothing was set."
        )
    if target != full:
        core.setROI(sub_device.device, *target)
    return 0.0


def _read_switch(microscope: Microscope, sub_device: SubDevice) -> bool:
    return bool(microscope.core.getShutterOpen(sub_device.device))


def _send_switch(microscope: Microscope, sub_device: SubDevice, target: bool) -> float:
    microscope.core.setShutterOpen(sub_device.device, target)
    return 0.0


def _read_state(microscope: Microscope, sub_device: SubDevice) -> Any:
    return state_value(int(microscope.core.getState(sub_device.device)), sub_device.constraints)


def _send_state(microscope: Microscope, sub_device: SubDevice, target: Any) -> float:
    if isinstance(target, int):
        microscope.core.setState(sub_device.device, target)
    else:
        microscope.core.setStateLabel(sub_device.device, target)
    return 0.0


def _read_galvo(microscope: Microscope, sub_device: SubDevice) -> list[float]:
    return [float(each) for each in microscope.core.getGalvoPosition(sub_device.device)]


def _send_galvo(microscope: Microscope, sub_device: SubDevice, target: list[float]) -> float:
    microscope.core.setGalvoPosition(sub_device.device, *target)
    return 0.0


def _read_slm(microscope: Microscope, sub_device: SubDevice) -> list[int]:
    core = microscope.core
    return [int(core.getSLMWidth(sub_device.device)), int(core.getSLMHeight(sub_device.device))]


def _send_slm(microscope: Microscope, sub_device: SubDevice, target: Any) -> float:
    raise CommandRefused(f"{sub_device.id} cannot be set: {sub_device.constraints.why_not}.")


def _read_offset(microscope: Microscope, sub_device: SubDevice) -> float | None:
    core = microscope.core
    # The Core knows the offset of its own autofocus only.
    return float(core.getAutoFocusOffset()) if core.getAutoFocusDevice() == sub_device.device else None


def _send_offset(microscope: Microscope, sub_device: SubDevice, target: float) -> float:
    microscope.core.setAutoFocusOffset(target)
    return 0.0


_WAYS: Mapping[Access, _Way] = {
    "property": _Way(_read_property, _send_property),
    "x": _Way(_read_x, _send_x),
    "y": _Way(_read_y, _send_y),
    "position": _Way(_read_position, _send_position),
    "exposure": _Way(_read_exposure, _send_exposure),
    "roi": _Way(_read_region, _send_region),
    "switch": _Way(_read_switch, _send_switch),
    "state": _Way(_read_state, _send_state),
    "galvo": _Way(_read_galvo, _send_galvo),
    "slm": _Way(_read_slm, _send_slm),
    "offset": _Way(_read_offset, _send_offset),
}
