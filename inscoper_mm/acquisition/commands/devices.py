"""Sub-devices: what there is, what it takes, its value, setting it, and whether it is as it was set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from inscoper_mm.acquisition.commands.base import Commander
from inscoper_mm.acquisition.commands.moves import focus_to, get_stage_position, stage_to
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.microscope.sub_devices import SubDevice
from inscoper_mm.scripting.vocabulary import constraints_of


def get_sub_devices(commander: Commander, kind: str | None = None) -> list[str]:
    """The ids of what can be set, of one kind or of all."""
    return list(commander.live.devices.ids(kind))


def get_constraints(commander: Commander, id: str) -> dict[str, Any]:
    """What a sub-device takes; of the stage and the focus drive of the run, the limits of the run included."""
    sub_device = commander.live.devices.resolve(id)
    constraints = sub_device.constraints
    limit = commander.live.limits.ranges.get(sub_device.axis) if sub_device.axis else None
    if limit is not None:
        constraints = replace(constraints, minimum=limit.low, maximum=limit.high)
    return constraints_of(sub_device.kind, constraints)


def get(commander: Commander, id: str) -> Any:
    """The value that the device reports now."""
    return commander.live.devices.get(id)


def check(commander: Commander, id: str) -> bool:
    """Whether a sub-device answers, is not busy, and has the value that it was last set to, if it was set."""
    return commander.live.devices.check(id)


def set_(commander: Commander, id: str, value: Any, wait: bool = True) -> Any:
    """Set a sub-device; returns what it reports then.

    The axes of the stage and of the focus drive of the run go the way of one-off moves, and always wait. The exposure
    of the Core's camera holds until the next planned event.
    """
    devices = commander.live.devices
    asked = {"id": id, "value": value, "wait": wait}
    found = devices.inventory.find(id)
    if found is not None and found.axis is not None:
        return _SET_AXIS[found.axis](commander, asked, value)

    def decide() -> dict[str, Any]:
        sub_device = devices.resolve(id)
        target = devices.wanted(sub_device, value)
        _guard(commander, sub_device, target)
        return {"id": sub_device.id, "value": target}

    def act(target: dict[str, Any]) -> dict[str, Any]:
        sub_device, live = devices.resolve(target["id"]), commander.live
        if sub_device.access == "exposure" and sub_device.device == live.microscope.camera:
            live.one_off_light.note_exposure(live.microscope)
        reached = devices.send(sub_device, target["value"], bool(wait))
        return {"id": target["id"], "value": reached}

    return commander.command("set", asked, decide, act)["value"]


def _guard(commander: Commander, sub_device: SubDevice, target: Any) -> None:
    """Ask the run's limits; they may know more than the device."""
    commander.live.limits.check_setting(f"set by {commander.script}", commander.script, sub_device.id, target)


def _set_x(commander: Commander, asked: Mapping[str, Any], value: Any) -> float:
    return stage_to(commander, "set", asked, lambda: (value, get_stage_position(commander)[1]))[0]


def _set_y(commander: Commander, asked: Mapping[str, Any], value: Any) -> float:
    return stage_to(commander, "set", asked, lambda: (get_stage_position(commander)[0], value))[1]


def _set_z(commander: Commander, asked: Mapping[str, Any], value: Any) -> float:
    return focus_to(commander, "set", asked, lambda: value)


_SET_AXIS: Mapping[Axis, Callable[[Commander, Mapping[str, Any], Any], float]] = {
    "x_um": _set_x,
    "y_um": _set_y,
    "z_um": _set_z,
}
METHODS = (get_sub_devices, get_constraints, get, set_, check)
