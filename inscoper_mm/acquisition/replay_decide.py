"""Commands that the replayed run did not have: checked without a microscope, and answered as if carried out exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from inscoper_mm.acquisition.commands.base import numbers
from inscoper_mm.acquisition.corrections import Offset
from inscoper_mm.acquisition.replay_questions import focus, map_of, stage_position
from inscoper_mm.errors import CommandRefused, InscoperError, LimitRefused, did_you_mean, one_of
from inscoper_mm.microscope.limits import finite_number
from inscoper_mm.scripting.forms import FORMS, WrongForm
from inscoper_mm.scripting.kinds import Refused, channel_value

if TYPE_CHECKING:
    from inscoper_mm.acquisition.replay_commands import ReplayCommands


@dataclass(frozen=True, slots=True)
class Decided:
    """What the script gets back, and what the journal says of the command."""

    returned: Any
    commanded: Mapping[str, Any] | None = None
    reached: Mapping[str, Any] | None = None


# -- stage and focus


def move_stage(call: ReplayCommands, x_um: Any, y_um: Any) -> Decided:
    """An absolute move, inside the experiment's limits."""
    return _stage_to(call, "moveStage", x_um, y_um)


def move_stage_by(call: ReplayCommands, dx_um: Any, dy_um: Any) -> Decided:
    """A move from where the stage was."""
    numbers("moveStageBy", dx_um=dx_um, dy_um=dy_um)
    x_um, y_um = stage_position(call)
    return _stage_to(call, "moveStageBy", x_um + dx_um, y_um + dy_um)


def center_on(call: ReplayCommands, row: Any, col: Any, image: Any = None) -> Decided:
    """A move to what is seen at a pixel."""
    for name, value in (("row", row), ("col", col)):
        if finite_number(value) is None:
            raise CommandRefused(
                f"centerOn: {name} must be a finite number. Got: {value!r}. Nothing was moved."
            )
    return _stage_to(call, "centerOn", *map_of("centerOn", call, image).centered(row, col))


def _stage_to(call: ReplayCommands, name: str, x_um: Any, y_um: Any) -> Decided:
    limits = call.shared.known.limits
    target = limits.check(f"{name} by {call.script}", {"x_um": x_um, "y_um": y_um})
    call.standing.x_um, call.standing.y_um = target["x_um"], target["y_um"]
    reached = {"x_um": target["x_um"], "y_um": target["y_um"]}
    return Decided((target["x_um"], target["y_um"]), reached, reached)


def move_focus(call: ReplayCommands, z_um: Any) -> Decided:
    """An absolute move of the focus, inside the experiment's limits."""
    return _focus_to(call, "moveFocus", z_um)


def move_focus_by(call: ReplayCommands, dz_um: Any) -> Decided:
    """A move from where the focus was."""
    numbers("moveFocusBy", dz_um=dz_um)
    return _focus_to(call, "moveFocusBy", focus(call) + dz_um)


def _focus_to(call: ReplayCommands, name: str, z_um: Any) -> Decided:
    target = call.shared.known.limits.check(f"{name} by {call.script}", {"z_um": z_um})
    call.standing.z_um = target["z_um"]
    reached = {"z_um": target["z_um"]}
    return Decided(target["z_um"], reached, reached)


def correct_position(
    call: ReplayCommands, dx_um: Any = 0.0, dy_um: Any = 0.0, dz_um: Any = 0.0, positions: Any = "current"
) -> Decided:
    """A correction by the experiment's rules; the images that follow are those that were recorded."""
    numbers("correctPosition", dx_um=dx_um, dy_um=dy_um, dz_um=dz_um)
    corrections = call.shared.known.corrections
    decision = corrections.decide(Offset(float(dx_um), float(dy_um), float(dz_um)))
    places = _places(call, positions)
    time, here = call.info.corrected_as
    for place in places if places is not None else [here]:
        total = corrections.total(place, time) + decision.offset
        corrections.check_total(f"correctPosition by {call.script}, stage position {place}", total)
    corrections.add(decision, places, call.script, call.info.event_id, time)
    reached = corrections.total(here, time).to_dict()
    return Decided(reached, decision.offset.to_dict(), reached)


def note_correction(call: ReplayCommands, asked: Mapping[str, Any]) -> None:
    """Add a correction that the run had, too: later ones start from there."""
    with contextlib.suppress(InscoperError):  # the run has taken it
        correct_position(call, **asked)


def _places(call: ReplayCommands, positions: Any) -> tuple[int, ...] | None:
    if isinstance(positions, str) and positions == "all":
        return None
    if isinstance(positions, str | int) or not isinstance(positions, Sequence):
        positions = [positions]
    if not positions:
        raise CommandRefused("correctPosition: positions names none. Nothing was changed.")
    return tuple(dict.fromkeys(place_of(call, "correctPosition", position) for position in positions))


def place_of(call: ReplayCommands, name: str, position: Any) -> int:
    """The index of a stage position, given by index, name or "current".

    Raises
    ------
    CommandRefused
        Naming the method ``name``.
    """
    if position == "current":
        return call.info.corrected_as[1]
    known = call.shared.known
    if isinstance(position, int) and not isinstance(position, bool) and 0 <= position < known.positions:
        return position
    names = known.position_names
    if isinstance(position, str) and position in names:
        return names[position]
    near = did_you_mean(position, ["current", "all", *names])
    raise CommandRefused(
        f"{name}: there is no stage position {position!r}. Allowed: 'current', 'all', an index below "
        f"{known.positions}, or a name ({one_of(names)})."
        + (f" Did you mean '{near}'?" if near else "")
        + " Nothing was changed."
    )


# -- light and devices


def set_channel(call: ReplayCommands, channel: Any) -> Decided:
    """A channel of the recorded experiment; of foreign data, of any name."""
    asked = channel_of(call, "setChannel", channel)
    reached = {key: asked[key] for key in ("group", "config", "exposure") if asked[key] is not None}
    call.standing.channel = asked["config"]
    if asked["exposure"] is not None:
        call.standing.exposure_ms = _exposure("setChannel", asked["exposure"])
    return Decided(asked["config"], reached, reached)


def channel_of(call: ReplayCommands, name: str, channel: Any) -> dict[str, Any]:
    """A channel as its parts, if the recorded experiment has it.

    Raises
    ------
    CommandRefused
        Naming the method ``name``.
    """
    try:
        asked: dict[str, Any] = channel_value(channel)
    except Refused as refused:
        raise CommandRefused(f"{name}: {refused.finding} Nothing was set.") from refused
    known = call.shared.known.bench.channels
    if known is not None and asked["group"] is None and asked["config"] not in known:
        near = did_you_mean(asked["config"], known)
        hint = f" Did you mean '{near}'?" if near else ""
        raise CommandRefused(
            f"{name}: the configuration has no channel '{asked['config']}'. Allowed: {one_of(known)}.{hint} "
            "Nothing was set."
        )
    return asked


def set_exposure(call: ReplayCommands, ms: Any) -> Decided:
    """An exposure; what the camera would have made of it is not known."""
    call.standing.exposure_ms = exposure_ms = _exposure("setExposure", ms)
    return Decided(exposure_ms, {"ms": exposure_ms}, {"ms": exposure_ms})


def _exposure(name: str, ms: Any) -> float:
    numbers(name, ms=ms)
    if ms < 0:
        raise LimitRefused(f"{name}: an exposure cannot be negative. Got: {ms} ms. Nothing was set.")
    return float(ms)


def set_value(call: ReplayCommands, id: str, value: Any, wait: bool = True) -> Decided:
    """A sub-device; whether it takes the value is checked as far as the configuration file tells."""
    inventory = call.shared.known.bench.inventory
    found = inventory.find(id) if inventory is not None else None
    if inventory is not None and found is None and not inventory.is_open(id):
        near = inventory.near(id)
        raise CommandRefused(
            f"set: there is no sub-device '{id}'."
            + (f" Did you mean '{near}'?" if near else "")
            + " Nothing was set."
        )
    axis = found.axis if found is not None else None
    if axis == "z_um":
        return _focus_to(call, "set", value)
    if axis is not None:
        x_um, y_um = stage_position(call)
        moved = _stage_to(call, "set", *((value, y_um) if axis == "x_um" else (x_um, value)))
        return Decided(moved.returned[0 if axis == "x_um" else 1], moved.commanded, moved.reached)
    call.standing.values[id] = value
    reached = {"id": found.id if found is not None else id, "value": value}
    return Decided(value, reached, reached)


def fire_on_demand(
    call: ReplayCommands,
    roi: Any = None,
    subDevice: Any = None,
    duration_ms: Any = None,
    power: Any = None,
    repetitions: Any = None,
    wait: bool = True,
) -> Decided:
    """Light at regions; which points and what dose that would have been, only the devices know."""
    asked = {"duration_ms": duration_ms, "power": power, "repetitions": repetitions}
    given = {key: value for key, value in asked.items() if value is not None}
    numbers("fireOnDemand", **given)
    if roi is None:
        roi = call.shared.published.get(call.script)
    try:
        regions = FORMS["rois"](_as_list(roi), "fireOnDemand: roi", ()) if roi is not None else []
    except WrongForm as error:
        raise CommandRefused(f"{error} Nothing was fired.") from None
    told = [_region(region) for region in regions]
    reached: dict[str, Any] = {"repetitions": 1} | given | {"complete": True}
    if subDevice is not None:
        reached["sub_device"] = subDevice
    return Decided(reached | {"regions": told, "waited": bool(wait)}, given, reached)


def _as_list(roi: Any) -> Any:
    return [roi] if isinstance(roi, Mapping) else roi


def _region(region: Mapping[str, Any]) -> dict[str, Any]:
    if region["type"] == "mask":
        return {"type": "mask", "area_px": int(np.count_nonzero(np.asarray(region["points"])))}
    return {"type": region["type"], f"points_{region['unit']}": region["points"]}


ACTS: Mapping[str, Callable[..., Decided]] = {
    "moveStage": move_stage,
    "moveStageBy": move_stage_by,
    "centerOn": center_on,
    "moveFocus": move_focus,
    "moveFocusBy": move_focus_by,
    "correctPosition": correct_position,
    "setChannel": set_channel,
    "setExposure": set_exposure,
    "set": set_value,
    "fireOnDemand": fire_on_demand,
}
