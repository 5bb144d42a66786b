"""From a command in the journal to what the script got back from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from inscoper_mm.acquisition.replay_journal import RecordedCommand

Aliases = Mapping[str, str]
Return = Callable[[RecordedCommand, Mapping[str, Any], Aliases], Any]


def returned(command: RecordedCommand, aliases: Aliases) -> Any:
    """What the context method returned when the run executed ``command``."""
    return _RETURNS[command.name](command, command.reached or {}, aliases)


def _stage(command: RecordedCommand, reached: Mapping[str, Any], aliases: Aliases) -> tuple[float, float]:
    return reached["x_um"], reached["y_um"]


def _set(command: RecordedCommand, reached: Mapping[str, Any], aliases: Aliases) -> Any:
    if "value" in reached:
        return reached["value"]
    if "z_um" in reached:
        return reached["z_um"]
    name = str(command.asked["id"])
    return reached["x_um" if aliases.get(name, name).endswith(".X") else "y_um"]


def _fire(command: RecordedCommand, reached: Mapping[str, Any], aliases: Aliases) -> dict[str, Any]:
    if not command.asked.get("wait", True):
        return dict(command.commanded or {}) | {"complete": False, "waited": False}
    fired = command.fired or {}
    left_out = ("t", "type", "script", "event")
    return (
        dict(reached) | {key: value for key, value in fired.items() if key not in left_out} | {"waited": True}
    )


def _whole(command: RecordedCommand, reached: Mapping[str, Any], aliases: Aliases) -> dict[str, Any]:
    return dict(reached)


def _item(key: str) -> Return:
    return lambda command, reached, aliases: reached[key]


_RETURNS: Mapping[str, Return] = {
    "moveStage": _stage,
    "moveStageBy": _stage,
    "centerOn": _stage,
    "moveFocus": _item("z_um"),
    "moveFocusBy": _item("z_um"),
    "correctPosition": _whole,
    "setChannel": _item("config"),
    "setExposure": _item("ms"),
    "set": _set,
    "fireOnDemand": _fire,
    "acquire": _whole,
    "skip": _item("events"),
    "setInterval": _item("time_points"),
    "stop": lambda command, reached, aliases: None,
}
