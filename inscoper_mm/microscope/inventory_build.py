"""From what is known about the devices, by the Core or by a configuration file, to the inventory of sub-devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from inscoper_mm.microscope.limits import Axis
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.microscope.sub_device_kinds import (
    LINKS,
    OWN_PROPERTIES,
    SIGNAL_PROPERTIES,
    UNSTORABLE_PIXELS,
    DeviceType,
    property_kind,
    shutter_kind,
    signal_kind,
    why_locked,
)
from inscoper_mm.microscope.sub_devices import (
    Access,
    Constraints,
    Inventory,
    Kind,
    SubDevice,
    ValueType,
    property_id,
)

_STAGE_TOLERANCE_UM = 1.0
_FOCUS_TOLERANCE_UM = 0.5
# What a converter or a camera's clock makes of a number.
_ROUNDING = 0.005
_PIXELS = ("x", "y", "width", "height")
_READ_ONLY = "the device only reports it"
_PRE_INIT = "it is set before the device is initialised"


@dataclass(frozen=True, slots=True)
class PropertyFacts:
    """What is known about a property; ``values`` and limits as the device reports them."""

    type: ValueType = "text"
    read_only: bool = False
    pre_init: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    value: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What is known about a device; ``adapter`` is the name that its library gives it.

    ``labels`` are those of a state device, in the order of the states. ``complete`` is False where it may have
    properties that are not known; ``offset_drive`` marks a stage that stands for the offset of an autofocus.
    """

    label: str
    type: DeviceType
    adapter: str = ""
    properties: Mapping[str, PropertyFacts] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    focus_direction: int = 0
    spans: tuple[tuple[float, float], ...] = ()
    offset_drive: bool = False
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Roles:
    """The labels of the Core's stage, focus drive, camera and autofocus; empty where there is none."""

    camera: str = ""
    focus: str = ""
    xy_stage: str = ""
    autofocus: str = ""


def build_inventory(devices: Sequence[DeviceFacts], roles: Roles) -> Inventory:
    """The sub-devices of ``devices``, in their order, each device's main one first."""
    moving = _ways_round(devices, roles)
    found: list[SubDevice] = []
    same: dict[str, str] = {}
    for device in devices:
        for each in _of_device(device, roles, same):
            if device.label in moving and each.constraints.settable:
                reason = f"it moves {moving[device.label]}, past its limits; set that instead"
                each = replace(each, constraints=replace(each.constraints, why_not=reason))
            found.append(each)
    return Inventory(found, same, (device.label for device in devices if not device.complete))


def _of_device(device: DeviceFacts, roles: Roles, same: dict[str, str]) -> Iterator[SubDevice]:
    main = tuple(_MAIN.get(device.type, _nothing)(device, roles))
    reserved = {each.id for each in main}
    own = _own_properties(device) if main else ()
    yield from main
    for name, facts in device.properties.items():
        plain = make_id(device.label, name)
        if name in own:
            if plain not in reserved:
                same[plain] = main[0].id
            continue
        yield _property(
            device, property_id(device.label, name, {name} if plain in reserved else ()), name, facts
        )


def _own_properties(device: DeviceFacts) -> tuple[str, ...]:
    if device.type == "signal":
        return _signal_property(device)
    return tuple(name for name in OWN_PROPERTIES.get(device.type, ()) if name in device.properties)


# -- the main sub-devices of each type


def _nothing(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    yield from ()


def _camera(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    label = device.label
    exposure = device.properties.get("Exposure", PropertyFacts())
    takes = Constraints(
        "number", "ms", exposure.minimum or 0.0, exposure.maximum, tolerance=0.1, relative_tolerance=_ROUNDING
    )
    yield SubDevice(make_id(label, "Exposure"), "exposure", label, "exposure", takes)
    other = (
        ""
        if label == roles.camera
        else f"the Core sets the region of its own camera only, now {roles.camera}"
    )
    region = Constraints("numbers", "px", 0.0, step=1.0, names=_PIXELS, why_not=other)
    yield SubDevice(make_id(label, "ROI"), "roi", label, "roi", region)


def _shutter(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    kind = shutter_kind(device.label, device.adapter)
    yield SubDevice(
        make_id(device.label), kind, device.label, "switch", Constraints("switch", values=(False, True))
    )


def _state(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    takes = Constraints("state", values=device.labels)
    yield SubDevice(make_id(device.label), "state", device.label, "state", takes)


def _stage(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    position = device.properties.get("Position", PropertyFacts())
    kind: Kind = "offset" if device.offset_drive else "focus"
    takes = Constraints(
        "number",
        "um",
        position.minimum,
        position.maximum,
        focus_direction=device.focus_direction if kind == "focus" else None,
        tolerance=_FOCUS_TOLERANCE_UM,
    )
    axis: Axis | None = "z_um" if device.label == roles.focus else None
    yield SubDevice(make_id(device.label), kind, device.label, "position", takes, axis=axis)


def _xy_stage(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    takes = Constraints("number", "um", tolerance=_STAGE_TOLERANCE_UM)
    axes: tuple[tuple[str, Access, Axis], ...] = (("X", "x", "x_um"), ("Y", "y", "y_um"))
    for part, access, axis in axes:
        of_run = axis if device.label == roles.xy_stage else None
        yield SubDevice(make_id(device.label, part), "stage", device.label, access, takes, axis=of_run)


def _autofocus(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    other = "" if device.label == roles.autofocus else "the Core sets the offset of its own autofocus only"
    takes = Constraints("number", why_not=other, tolerance=_FOCUS_TOLERANCE_UM)
    yield SubDevice(make_id(device.label, "Offset"), "offset", device.label, "offset", takes)


def _signal_property(device: DeviceFacts) -> tuple[str, ...]:
    return tuple(name for name in SIGNAL_PROPERTIES if name in device.properties)[:1]


def _signal(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    # A file need not name the property; that there is one is certain.
    name = next(iter(_signal_property(device)), None if device.complete else SIGNAL_PROPERTIES[0])
    if name is not None:
        facts = device.properties.get(name, PropertyFacts("number"))
        takes = replace(_takes(device, name, facts), unit="V", type="number")
        identity = make_id(device.label, SIGNAL_PROPERTIES[0])
        yield SubDevice(identity, signal_kind(device.label), device.label, "property", takes, property=name)


def _galvo(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    low = max((span[0] for span in device.spans), default=None)
    high = min((span[1] for span in device.spans), default=None)
    takes = Constraints(
        "numbers", "", low, high, names=("x", "y"), tolerance=0.01, relative_tolerance=_ROUNDING
    )
    yield SubDevice(make_id(device.label), "galvo", device.label, "galvo", takes)


def _slm(device: DeviceFacts, roles: Roles) -> Iterator[SubDevice]:
    takes = Constraints("numbers", "px", names=("width", "height"), why_not="patterns cannot be shown yet")
    yield SubDevice(make_id(device.label), "slm", device.label, "slm", takes)


_MAIN: Mapping[DeviceType, Callable[[DeviceFacts, Roles], Iterable[SubDevice]]] = {
    "camera": _camera,
    "shutter": _shutter,
    "state": _state,
    "stage": _stage,
    "xy stage": _xy_stage,
    "autofocus": _autofocus,
    "signal": _signal,
    "galvo": _galvo,
    "slm": _slm,
}


# -- properties


def _property(device: DeviceFacts, identity: str, name: str, facts: PropertyFacts) -> SubDevice:
    takes = _takes(device, name, facts)
    kind: Kind = property_kind(device.type, name, takes.type in ("number", "integer"))
    return SubDevice(identity, kind, device.label, "property", takes, property=name)


def _takes(device: DeviceFacts, name: str, facts: PropertyFacts) -> Constraints:
    why_not = (
        _READ_ONLY if facts.read_only else _PRE_INIT if facts.pre_init else why_locked(device.type, name)
    )
    values = facts.values
    if device.type == "camera" and name == "PixelType":
        values = tuple(each for each in values if not UNSTORABLE_PIXELS.search(each))
    whole = facts.type == "integer"
    span = 0.0
    if facts.minimum is not None and facts.maximum is not None:
        span = facts.maximum - facts.minimum
    return Constraints(
        facts.type,
        "",
        _whole(facts.minimum) if whole else facts.minimum,
        _whole(facts.maximum) if whole else facts.maximum,
        step=1 if whole and not values else None,
        values=_converted(values, facts.type),
        why_not=why_not,
        tolerance=0.0 if whole else max(1e-4, _ROUNDING * span),
        relative_tolerance=0.0 if whole else _ROUNDING,
    )


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)


def _converted(values: Iterable[str], kind: ValueType) -> tuple[Any, ...]:
    """Allowed values as what they are; numbers in their order."""
    values = tuple(values)
    if kind not in ("number", "integer"):
        return values
    try:
        numbers = sorted(float(value) for value in values)
    except ValueError:
        return values
    return tuple(int(each) for each in numbers) if kind == "integer" else tuple(numbers)


# -- ways round the limits


def _ways_round(devices: Sequence[DeviceFacts], roles: Roles) -> dict[str, str]:
    """Devices that move the run's stage or focus by another way, or are moved by it: label -> what they move.

    An analog stage is moved by the voltage of a line, a stage can be part of another, and a state device or a
    shutter can stand for positions of a stage.
    """
    drives = {device.label: _driven(device, devices) for device in devices}
    found: dict[str, str] = {}
    for role in (roles.focus, roles.xy_stage):
        if role in drives:
            moved = {role, *_reached(role, drives)}
            for label in drives:
                if label != role and moved & {label, *_reached(label, drives)}:
                    found.setdefault(label, role)
    return found


def _driven(device: DeviceFacts, devices: Sequence[DeviceFacts]) -> set[str]:
    labels = {each.label for each in devices}
    return {
        facts.value
        for name, facts in device.properties.items()
        if facts.value in labels and facts.value != device.label and LINKS.fullmatch(name)
    }


def _reached(label: str, drives: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(drives.get(label, ()))
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += drives.get(each, ())
    return found


def finite(value: float) -> float | None:
    """``value``, or None where a device reports a limit that is none."""
    return value if math.isfinite(value) else None
