"""The hardware autofocus: a device that holds the focus by itself, and the offset that shifts what it holds.

Micro-Manager calls it the autofocus device. It can hold the focus all the time ("continuous focus"), or look for it
once ("full focus"). What it holds is shifted by an offset, which is either a drive of its own (a "continuous focus
drive") or a value of the autofocus device.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from inscoper_mm.errors import DeviceError, Finding, InvalidInput, did_you_mean, one_of
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.microscope.sub_device_kinds import DEVICE_TYPES, DeviceType

_POLL_S = 0.005
# The property with which a drive of the Utilities adapter names the autofocus device whose offset it moves.
_OFFSET_OF = "AutoFocus Device"


class FocusNotHeld(DeviceError):
    """The hardware autofocus does not hold the focus, or did not find it, within its limit."""


class Offset(Protocol):
    """What shifts the focus that is held."""

    @property
    def name(self) -> str:
        """The device that is moved."""
        ...

    @property
    def id(self) -> str:
        """The sub-device that it is."""
        ...

    def read(self) -> float:
        """Where it stands, in units of the device."""
        ...

    def write(self, value: float) -> None:
        """Move it there and wait until it stands."""
        ...


@dataclass(frozen=True, slots=True)
class OffsetDrive:
    """A drive of its own."""

    microscope: Microscope
    name: str

    @property
    def id(self) -> str:
        """The sub-device that it is."""
        return make_id(self.name)

    def read(self) -> float:
        """Where the drive stands."""
        return float(self.microscope.core.getPosition(self.name))

    def write(self, value: float) -> None:
        """Move the drive and wait until it stands."""
        way = abs(value - self.read())
        self.microscope.core.setPosition(self.name, value)
        self.microscope.wait(self.name, way)


@dataclass(frozen=True, slots=True)
class OwnOffset:
    """A value of the autofocus device itself."""

    microscope: Microscope
    name: str

    @property
    def id(self) -> str:
        """The sub-device that it is."""
        return make_id(self.name, "Offset")

    def read(self) -> float:
        """The offset of the autofocus device."""
        return float(self.microscope.core.getAutoFocusOffset())

    def write(self, value: float) -> None:
        """Set the offset and wait until the device is done."""
        self.microscope.core.setAutoFocusOffset(value)
        self.microscope.wait(self.name)


class HardwareAutofocus:
    """The autofocus device, with a limit to every wait.

    Parameters
    ----------
    microscope : Microscope
    device : str
        Its label; it is the Core's autofocus device now.
    offset : Offset or None
        What shifts the focus that it holds; None where nothing does.
    limit_s : float
        Longest wait for the focus.
    settle_s : float
        How long to wait once it is held or found.
    before : str
        What was the Core's autofocus device before.
    """

    def __init__(
        self,
        microscope: Microscope,
        device: str,
        offset: Offset | None,
        limit_s: float,
        settle_s: float = 0.0,
        before: str = "",
    ) -> None:
        self.microscope = microscope
        self.device = device
        self.offset = offset
        self.limit_s = limit_s
        self._settle_s = settle_s
        self._before = before
        self._was_on = self.on
        self._offset_before = offset.read() if offset is not None else None

    @property
    def on(self) -> bool:
        """Whether it tries to hold the focus."""
        return bool(self.microscope.core.isContinuousFocusEnabled())

    @property
    def holds(self) -> bool:
        """Whether it holds the focus."""
        return self.on and bool(self.microscope.core.isContinuousFocusLocked())

    def hold(self) -> None:
        """Switch it on, where it is off, and wait until it holds the focus.

        Raises
        ------
        FocusNotHeld
            It does not within the limit.
        """
        if self.holds:
            return
        try:
            if not self.on:
                self.microscope.core.enableContinuousFocus(True)
            self._until(lambda: self.holds, f"{self.device} does not hold the focus")
        except RuntimeError as error:  # the Core's: many devices report so that they are out of their range
            raise FocusNotHeld(f"{self.device} does not hold the focus: {error}") from error
        time.sleep(self._settle_s)

    def release(self) -> None:
        """Switch it off and wait until it is."""
        if self.on:
            self.microscope.core.enableContinuousFocus(False)
            self._until(lambda: not self.on, f"{self.device} cannot be switched off")

    def search(self) -> None:
        """Look for the focus once; the focus drive stands there then.

        Raises
        ------
        FocusNotHeld
            The device reports an error, or does not end within the limit.
        """
        failed: list[BaseException] = []

        def look() -> None:
            try:
                self.microscope.core.fullFocus()
            except BaseException as error:  # noqa: BLE001  (a thread border: told in the caller's thread)
                failed.append(error)

        # The Core gives no way to end it: a device that never answers must not stop the run for ever.
        thread = threading.Thread(target=look, name="inscoper-mm autofocus", daemon=True)
        thread.start()
        thread.join(self.limit_s)
        if thread.is_alive():
            raise FocusNotHeld(f"{self.device} did not end its search within {self.limit_s:g} s.")
        if failed:
            raise FocusNotHeld(f"{self.device} did not find the focus: {failed[0]}") from failed[0]
        self.microscope.wait(self.device)
        self.microscope.wait(self.microscope.focus)
        time.sleep(self._settle_s)

    def restore(self) -> None:
        """Leave it as it was found: on or off, its offset, and which one is the Core's."""
        core, offset, before = self.microscope.core, self.offset, self._offset_before
        try:
            core.setAutoFocusDevice(self.device)  # a script may have chosen another one
            if self.on != self._was_on:
                core.enableContinuousFocus(self._was_on)
            if offset is not None and before is not None and offset.read() != before:
                offset.write(before)
        finally:
            if self._before != self.device:
                core.setAutoFocusDevice(self._before)

    def _until(self, done: Callable[[], bool], failure: str) -> None:
        begin = time.monotonic()
        while not done():
            if time.monotonic() - begin > self.limit_s or self.microscope.give_up():
                raise FocusNotHeld(f"{failure} within {self.limit_s:g} s.")
            time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class AutofocusFacts:
    """What there is, by label: autofocus devices, the Core's one, and the drives.

    ``offsets`` has what shifts the focus that each device holds, where something does; ``unclear`` the devices for
    which several drives may do so.
    """

    devices: tuple[str, ...] = ()
    role: str = ""
    stages: tuple[str, ...] = ()
    offsets: Mapping[str, str] = field(default_factory=dict)
    unclear: tuple[str, ...] = ()


def autofocus_facts(microscope: Microscope) -> AutofocusFacts:
    """What the loaded devices are. Each autofocus device becomes the Core's for a moment."""
    core = microscope.core
    devices, role = _labels(core, "autofocus"), str(core.getAutoFocusDevice())
    offsets: dict[str, str] = {}
    unclear: list[str] = []
    for device in devices:
        core.setAutoFocusDevice(device)
        try:
            offset = _offset(microscope, device, None)
        except InvalidInput:
            unclear.append(device)
        else:
            offsets |= {device: offset.name} if offset is not None else {}
    if devices:
        core.setAutoFocusDevice(role)
    return AutofocusFacts(tuple(devices), role, tuple(_labels(core, "stage")), offsets, tuple(unclear))


def find_autofocus(
    microscope: Microscope, device: str | None, drive: str | None, limit_s: float, settle_s: float = 0.0
) -> HardwareAutofocus:
    """The autofocus device called ``device`` (None: the Core's), with what shifts the focus that it holds.

    Raises
    ------
    InvalidInput
        There is no such device or drive, or several drives of which none is named; the fields say which.
    """
    core = microscope.core
    devices, role = _labels(core, "autofocus"), str(core.getAutoFocusDevice())
    label = device or role
    if not devices:
        raise InvalidInput(_missing("the configuration has no autofocus device.", "device"))
    if label not in devices:
        near = did_you_mean(label, devices)
        message = f"there is no autofocus device '{label}'." if label else "no autofocus device is chosen."
        raise InvalidInput(_missing(message, "device", allowed=one_of(devices), suggestion=near))
    core.setAutoFocusDevice(label)
    try:
        offset = _offset(microscope, label, drive)
        return HardwareAutofocus(microscope, label, offset, limit_s, settle_s, role)
    except BaseException:
        core.setAutoFocusDevice(role)
        raise


def _offset(microscope: Microscope, device: str, drive: str | None) -> Offset | None:
    """The drive that is named, else the only one that belongs to ``device``, else the device's own value."""
    core = microscope.core
    stages = _labels(core, "stage")
    if drive is not None:
        if drive not in stages:
            near = did_you_mean(drive, stages)
            message = f"there is no drive '{drive}'."
            raise InvalidInput(_missing(message, "offset_drive", allowed=one_of(stages), suggestion=near))
        return OffsetDrive(microscope, drive)
    mine = _drives_of(core, device, [label for label in stages if core.isContinuousFocusDrive(label)])
    if len(mine) > 1:
        message = f"several drives may shift the focus that '{device}' holds."
        raise InvalidInput(_missing(message, "offset_drive", allowed=one_of(mine), cure="Name one."))
    if mine:
        return OffsetDrive(microscope, mine[0])
    own = OwnOffset(microscope, device)
    try:
        own.write(own.read())  # says whether it can be set, and changes nothing
    except (RuntimeError, DeviceError):
        return None
    return own


def _drives_of(core: Any, device: str, drives: Sequence[str]) -> list[str]:
    """Those of ``drives`` that name ``device`` as theirs; without such, those that name none."""
    owners = {
        drive: core.getProperty(drive, _OFFSET_OF) if core.hasProperty(drive, _OFFSET_OF) else None
        for drive in drives
    }
    own = [drive for drive, owner in owners.items() if owner == device]
    return own or [drive for drive, owner in owners.items() if owner is None]


def _labels(core: Any, kind: DeviceType) -> list[str]:
    labels = [str(label) for label in core.getLoadedDevices()]
    return [label for label in labels if DEVICE_TYPES.get(int(core.getDeviceType(label))) == kind]


def _missing(message: str, key: str, **fields: Any) -> Finding:
    return Finding(message, field=f"autofocus.{key}", **fields)
