"""Channel and exposure, until the next planned event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inscoper_mm.acquisition.commands.base import Commander, numbers
from inscoper_mm.errors import LimitRefused


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
    """Apply a channel preset until the next planned event."""
    name = str(channel.get("config", channel.get("name"))) if isinstance(channel, Mapping) else str(channel)

    def act(_: Any) -> dict[str, Any]:
        commander.live.microscope.set_channel(name)
        return {"channel": name}

    commander.command("setChannel", {"channel": name}, lambda: {"channel": name}, act)
    return name


def set_exposure(commander: Commander, ms: float) -> float:
    """Set the exposure until the next planned event; returns what the camera made of it."""
    microscope = commander.live.microscope

    def decide() -> dict[str, Any]:
        numbers("setExposure", ms=ms)
        if ms < 0:
            raise LimitRefused(f"setExposure: an exposure cannot be negative. Got: {ms} ms. Nothing was set.")
        return {"ms": float(ms)}

    def act(target: dict[str, Any]) -> dict[str, Any]:
        microscope.set_exposure(target["ms"])
        return {"ms": microscope.exposure_ms()}

    return float(commander.command("setExposure", {"ms": ms}, decide, act)["ms"])


METHODS = (get_channels, get_channel, set_channel, get_exposure, set_exposure)
