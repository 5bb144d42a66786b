"""Questions of a script in a replay: answered from the recorded image, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inscoper_mm.acquisition.replay_known import NO_MICROSCOPE
from inscoper_mm.errors import CommandRefused, StorageError
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.microscope.geometry import PixelMap
from inscoper_mm.microscope.limits import finite_number
from inscoper_mm.microscope.sub_devices import SubDevice
from inscoper_mm.scripting.vocabulary import constraints_of, index_of

if TYPE_CHECKING:
    from inscoper_mm.acquisition.replay_commands import ReplayCommands


def stage_position(call: ReplayCommands) -> tuple[float, float]:
    """Where the stage was at the image, or where this call's own commands would have brought it."""
    standing, real = call.standing, call.info.real
    x_um = real.x_um if standing.x_um is None else standing.x_um
    y_um = real.y_um if standing.y_um is None else standing.y_um
    if x_um is None or y_um is None:
        raise _unknown("getStagePosition", "where the stage was")
    return x_um, y_um


def focus(call: ReplayCommands) -> float:
    """The focus at the image, or where this call's own commands would have brought it."""
    z_um = call.info.real.z_um if call.standing.z_um is None else call.standing.z_um
    if z_um is None:
        raise _unknown("getFocus", "where the focus was")
    return z_um


def channels(call: ReplayCommands) -> list[str]:
    """The presets of the recorded experiment's channel group, or the channels that were recorded."""
    names = call.shared.known.channels
    if names is None:
        raise _unknown("getChannels", "which channels there were")
    return list(names)


def channel(call: ReplayCommands) -> str | None:
    """The channel of the image."""
    name = call.standing.channel or call.info.channel_name
    if name is None:
        raise _unknown("getChannel", "the channel of this image")
    return name


def exposure(call: ReplayCommands) -> float:
    """The exposure of the image."""
    ms = call.info.exposure_ms if call.standing.exposure_ms is None else call.standing.exposure_ms
    if ms is None:
        raise _unknown("getExposure", "the exposure of this image")
    return ms


def sub_devices(call: ReplayCommands, kind: str | None = None) -> list[str]:
    """The ids that the recorded experiment's configuration file tells."""
    inventory = call.shared.known.bench.inventory
    if inventory is None:
        raise _unknown("getSubDevices", "which sub-devices there were")
    return list(inventory.ids(kind))


def constraints(call: ReplayCommands, id: str) -> dict[str, Any]:
    """What a sub-device takes, as far as the configuration file tells; stage and focus with the safety limits."""
    sub_device = _find(call, "getConstraints", id)
    said = sub_device.constraints
    limit = call.shared.known.limits.ranges.get(sub_device.axis) if sub_device.axis else None
    if limit is not None:
        said = replace(said, minimum=limit.low, maximum=limit.high)
    return constraints_of(sub_device.kind, said)


def get(call: ReplayCommands, id: str) -> Any:
    """What this call has set; of stage and focus, where they were."""
    if id in call.standing.values:
        return call.standing.values[id]
    inventory = call.shared.known.bench.inventory
    sub_device = inventory.find(id) if inventory is not None else None
    axis = sub_device.axis if sub_device is not None else None
    if axis == "z_um":
        return focus(call)
    if axis is not None:
        return stage_position(call)[0 if axis == "x_um" else 1]
    raise _unknown("get", f"the value of '{id}'")


def check(call: ReplayCommands, id: str) -> bool:
    """Whether this call has set it: then it is as it was set."""
    if id in call.standing.values:
        return True
    raise _unknown("check", f"whether '{id}' was as it had been set")


def pixel_to_stage(
    call: ReplayCommands, row: float, col: float, image: Mapping[str, Any] | None = None
) -> tuple[float, float]:
    """The stage coordinate at a pixel, from the recorded image's own map."""
    row, col = _finite("pixelToStage", row=row, col=col)
    return map_of("pixelToStage", call, image).to_stage(row, col)


def stage_to_pixel(
    call: ReplayCommands, x_um: float, y_um: float, image: Mapping[str, Any] | None = None
) -> tuple[float, float]:
    """The pixel at which a stage coordinate is seen, from the recorded image's own map."""
    x_um, y_um = _finite("stageToPixel", x_um=x_um, y_um=y_um)
    return map_of("stageToPixel", call, image).to_pixel(x_um, y_um)


def map_of(name: str, call: ReplayCommands, image: Any) -> PixelMap:
    """The map of an image's pixels.

    Raises
    ------
    CommandRefused
        Naming the method ``name``.
    """
    try:
        return PixelMap.of(_info(call, image))
    except CommandRefused as error:
        raise CommandRefused(f"{name}: {error}") from error


def _info(call: ReplayCommands, image: Any) -> FrameInfo:
    if image is None:
        return call.info
    if not isinstance(image, Mapping):
        raise CommandRefused(
            f"image must be one of the images of a call, as images[0]. Got: {type(image).__name__}."
        )
    try:
        index = index_of(image)
        return call.info if index == call.info.index else call.shared.frames(index).info
    except (ValueError, StorageError, KeyError) as error:
        raise CommandRefused(f"image is not one that was captured: {error}") from error


def _find(call: ReplayCommands, name: str, id: str) -> SubDevice:
    inventory = call.shared.known.bench.inventory
    if inventory is None:
        raise _unknown(name, f"what '{id}' takes")
    found = inventory.find(id)
    if found is None:
        near = inventory.near(id)
        hint = f" Did you mean '{near}'?" if near else ""
        raise _unknown(name, f"what '{id}' takes: its configuration file does not name it.{hint}")
    return found


def _finite(name: str, **values: object) -> tuple[float, float]:
    found: list[float] = []
    for parameter, value in values.items():
        number = finite_number(value)
        if number is None:
            raise CommandRefused(f"{name}: {parameter} must be a finite number. Got: {value!r}.")
        found.append(number)
    return found[0], found[1]


def _unknown(name: str, what: str) -> CommandRefused:
    return CommandRefused(f"{name}: {NO_MICROSCOPE}: {what}.")


QUESTIONS: Mapping[str, Callable[..., Any]] = {
    "getStagePosition": stage_position,
    "getFocus": focus,
    "getChannels": channels,
    "getChannel": channel,
    "getExposure": exposure,
    "getSubDevices": sub_devices,
    "getConstraints": constraints,
    "get": get,
    "check": check,
    "pixelToStage": pixel_to_stage,
    "stageToPixel": stage_to_pixel,
}
