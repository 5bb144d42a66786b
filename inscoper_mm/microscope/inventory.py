"""The sub-devices of the loaded microscope, as the Core describes them.

Only descriptions are asked for (types, limits, allowed values), which adapters keep in memory; the few values that
are read come from the Core's cache. So this is quick with slow devices, too.
"""

from __future__ import annotations

from typing import Any, cast

from inscoper_mm.microscope.inventory_build import (
    DeviceFacts,
    PropertyFacts,
    Roles,
    build_inventory,
    finite,
)
from inscoper_mm.microscope.sub_device_kinds import DEVICE_TYPES, LINKS
from inscoper_mm.microscope.sub_devices import Inventory, ValueType

_VALUE_TYPES: dict[int, ValueType] = {1: "text", 2: "number", 3: "integer"}


def core_inventory(core: Any) -> Inventory:
    """Everything that can be set or read on the devices of ``core``."""
    return build_inventory([_device(core, str(label)) for label in core.getLoadedDevices()], roles_of(core))


def roles_of(core: Any) -> Roles:
    """Which devices are the Core's own now; presets can change that."""
    return Roles(
        camera=str(core.getCameraDevice()),
        focus=str(core.getFocusDevice()),
        xy_stage=str(core.getXYStageDevice()),
        autofocus=str(core.getAutoFocusDevice()),
    )


def _device(core: Any, label: str) -> DeviceFacts:
    kind = DEVICE_TYPES.get(int(core.getDeviceType(label)), "generic")
    return DeviceFacts(
        label=label,
        type=kind,
        adapter="" if kind == "core" else str(core.getDeviceName(label)),
        properties={
            str(name): _property(core, label, str(name)) for name in core.getDevicePropertyNames(label)
        },
        labels=tuple(str(each) for each in core.getStateLabels(label)) if kind == "state" else (),
        focus_direction=int(core.getFocusDirection(label)) if kind == "stage" else 0,
        offset_drive=kind == "stage" and bool(core.isContinuousFocusDrive(label)),
        spans=_galvo_spans(core, label) if kind == "galvo" else (),
    )


def _property(core: Any, label: str, name: str) -> PropertyFacts:
    limited = bool(core.hasPropertyLimits(label, name))
    return PropertyFacts(
        type=_VALUE_TYPES.get(int(core.getPropertyType(label, name)), "text"),
        read_only=bool(core.isPropertyReadOnly(label, name)),
        pre_init=bool(core.isPropertyPreInit(label, name)),
        minimum=finite(float(core.getPropertyLowerLimit(label, name))) if limited else None,
        maximum=finite(float(core.getPropertyUpperLimit(label, name))) if limited else None,
        values=tuple(str(each) for each in core.getAllowedPropertyValues(label, name)),
        value=_link(core, label, name) if LINKS.fullmatch(name) else None,
    )


def _link(core: Any, label: str, name: str) -> str:
    if core.isPropertyReadOnly(label, name):
        return ""
    return str(core.getProperty(label, name))


def _galvo_spans(core: Any, label: str) -> tuple[tuple[float, float], ...]:
    spans = []
    for axis in "XY":
        low = float(getattr(core, f"getGalvo{axis}Minimum")(label))
        spans.append((low, low + float(getattr(core, f"getGalvo{axis}Range")(label))))
    return cast("tuple[tuple[float, float], ...]", tuple(spans))
