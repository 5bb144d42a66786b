"""Channel and exposure, until the next planned event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inscoper_mm.acquisition.commands.base import Commander, Target, numbers
from inscoper_mm.acquisition.commands.moves import get_focus
from inscoper_mm.errors import CommandRefused, LimitRefused
from inscoper_mm.microscope.core import Channel
from inscoper_mm.scripting.kinds import Refused, channel_value


def get_channels(commander: Commander) -> list[str]:
    """The names of the presets of the channel group."""
    return [channel.name for channel in commander.live.microscope.channels()]


def get_channel(commander: Commander) -> str | None:
    """The present channel preset."""
    return commander.live.microscope.channel()


def get_exposure(commander: Commander) -> float:
    """The camera's exposure in ms."""
    return commander.live.microscope.exposure_ms()


def set_channel(commander: Commander, channel: str | Mapping[str, Any]) -> str:
    """Apply a channel until the next planned event: its preset, and its exposure and z offset if it has them."""
    live = commander.live
    leads_um: Target = {}

    def decide() -> dict[str, Any]:
        nonlocal leads_um
        asked = _channel(channel)
        found = live.microscope.find_channel(asked["config"], asked["group"])
        leads_um = live.limits.check_preset(
            _who(commander, "setChannel"), commander.script, found.group, found.name
        )
        target: dict[str, Any] = {"group": found.group, "config": found.name}
        if asked["exposure"] is not None:
            target["exposure"] = _exposure(commander, "setChannel", asked["exposure"])
        if asked["z_offset"] is not None:
            target["z_um"] = _offset_focus(commander, asked["z_offset"])
        return target

    def act(target: dict[str, Any]) -> dict[str, Any]:
        reached = dict(target)
        found = Channel(target["group"], target["config"])
        if "z_um" in target:
            live.one_off.claim(commander.script, ("z_um",))
        if leads_um:
            live.limits.moved(leads_um)
        live.one_off_light.note_channel(live.microscope, found)
        live.microscope.set_channel(found)
        if "exposure" in target:
            reached["exposure"] = _set_exposure(commander, target["exposure"])
        if "z_um" in target:
            live.limits.moved({"z_um": target["z_um"]})
            live.microscope.move_focus(target["z_um"])
            reached["z_um"] = get_focus(commander)
        return reached

    asked = dict(channel) if isinstance(channel, Mapping) else {"config": channel}
    return str(commander.command("setChannel", asked, decide, act)["config"])


def set_exposure(commander: Commander, ms: float) -> float:
    """Set the exposure until the next planned event; returns what the camera made of it."""

    def decide() -> dict[str, Any]:
        return {"ms": _exposure(commander, "setExposure", ms)}

    def act(target: dict[str, Any]) -> dict[str, Any]:
        return {"ms": _set_exposure(commander, target["ms"])}

    return float(commander.command("setExposure", {"ms": ms}, decide, act)["ms"])


def _who(commander: Commander, name: str) -> str:
    return f"{name} by {commander.script}"


def _channel(value: object) -> dict[str, Any]:
    try:
        return channel_value(value)
    except Refused as refused:
        raise CommandRefused(f"setChannel: {refused.finding} Nothing was set.") from refused


def _exposure(commander: Commander, name: str, ms: Any) -> float:
    """The exposure as a plain number, if the camera and the safety rules take it."""
    numbers(name, ms=ms)
    if ms < 0:
        raise LimitRefused(f"{name}: an exposure cannot be negative. Got: {ms} ms. Nothing was set.")
    takes = commander.live.microscope.exposure_range()
    if takes is not None and not takes.low <= ms <= takes.high:
        raise LimitRefused(
            f"{name}: the camera does not take an exposure of {ms:g} ms. "
            f"Allowed: {takes.low:g} to {takes.high:g} ms ({takes.source}). Nothing was set."
        )
    commander.live.limits.check_exposure(_who(commander, name), commander.script, ms)
    return float(ms)


def _set_exposure(commander: Commander, ms: float) -> float:
    live = commander.live
    live.one_off_light.note_exposure(live.microscope)
    live.microscope.set_exposure(ms)
    return live.microscope.exposure_ms()


def _offset_focus(commander: Commander, offset_um: float) -> float:
    """Where the focus goes for a channel's z offset: from where the plan, as corrected, has it for the image."""
    live, info = commander.live, commander.info
    if info.planned.z_um is None:
        raise CommandRefused(
            "setChannel: a z offset needs a focus drive, and the configuration has none. Nothing was set."
        )
    live.focus_lock.refuse_move("setChannel")
    time, place = info.corrected_as
    corrected = live.corrections.total(place, time).z_um + live.objectives.shift(info.objective).z_um
    target: Target = {"z_um": info.planned.z_um + corrected + offset_um}
    return live.limits.check(_who(commander, "setChannel"), target, commander.script)["z_um"]


METHODS = (get_channels, get_channel, set_channel, get_exposure, set_exposure)
