"""Firing light at a region, or at the whole field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from inscoper_mm.acquisition.commands.base import Commander
from inscoper_mm.acquisition.firing import Asked, Firing, Order
from inscoper_mm.errors import CommandRefused, LimitRefused
from inscoper_mm.images.jsonable import json_safe
from inscoper_mm.microscope.firing import Fire, GiveUp
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.records import Fired

_NAME = "fireOnDemand"
_DECIMALS = 3


def fire_on_demand(
    commander: Commander,
    roi: Any = None,
    subDevice: str | None = None,
    duration_ms: float | None = None,
    power: float | None = None,
    repetitions: int | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    """Fire light at ``roi``; returns what was really done or, without ``wait``, what will be done."""
    firing = commander.live.firing
    if firing is None:
        raise CommandRefused(f"{_NAME}: this run cannot fire.")
    asked = Asked(roi, subDevice, duration_ms, power, repetitions)
    orders: list[Order] = []
    done: dict[str, Any] = {}

    def decide() -> dict[str, Any]:
        try:
            orders.append(firing.decide(commander.script, commander.info, asked))
        except (CommandRefused, LimitRefused) as error:
            raise type(error)(f"{_NAME} by {commander.script}: {error}") from error
        _guard(commander, firing, orders[0])
        return orders[0].to_dict()

    def act(_: Any, give_up: GiveUp) -> dict[str, Any]:
        done.update(_carried_out(commander, firing, orders[0], give_up))
        return {key: value for key, value in done.items() if key != "regions"}  # they are in the record

    audit = asked_fire(roi, subDevice, duration_ms, power, repetitions, wait)
    if wait:
        # A call that is over ends the fire that it waits for.
        commander.command(_NAME, audit, decide, partial(act, give_up=lambda: commander.revoked))
        return done | {"waited": True}
    go_on = partial(firing.go_on, name=f"fire of {commander.script}")
    will = commander.command_going_on(_NAME, audit, decide, partial(act, give_up=lambda: False), go_on)
    return dict(will) | {"complete": False, "waited": False}


def asked_fire(
    roi: Any,
    subDevice: str | None,
    duration_ms: float | None,
    power: float | None,
    repetitions: int | None,
    wait: bool,
) -> dict[str, Any]:
    """What was asked for, as the journal has it."""
    shown = {"roi": _shown(roi), "subDevice": subDevice, "duration_ms": duration_ms, "power": power}
    shown |= {"repetitions": repetitions, "wait": wait}
    audit: dict[str, Any] = json_safe({key: value for key, value in shown.items() if value is not None})
    return audit


def _guard(commander: Commander, firing: Firing, order: Order) -> None:
    """Refuse what the safety rules do not allow: the devices, their values, the power, the amount of light."""
    limits, script = commander.live.limits, commander.script
    who = f"{_NAME} by {script}"
    if order.pointer is not None:
        for corner in (order.shots.places.min(axis=0), order.shots.places.max(axis=0)):
            limits.check_setting(who, script, make_id(order.pointer.label), corner.tolist())
    if order.light is not None:
        limits.check_use(who, script, make_id(order.light.label))
    power = None
    if order.known_power is not None and order.settings.power_device is not None:
        power = order.settings.power_device, order.known_power
        if order.power is not None:
            limits.check_setting(who, script, *power)
    before = firing.ledger.at(commander.info.corrected_as[1])
    limits.check_dose(who, order.dose, before, firing.ledger.total, power)


def _carried_out(commander: Commander, firing: Firing, order: Order, give_up: GiveUp) -> dict[str, Any]:
    """Fire, and tell what was really done; also when it fails."""
    fire = Fire()
    offset_s = commander.now()
    begin = fire.begin_s
    position = commander.info.corrected_as[1]
    try:
        firing.carry_out(order, fire, give_up)
    finally:
        regions = _regions(order, fire)
        dose = order.dose_of(sum(fire.light_ms))
        firing.ledger.add(position, dose)
        record = Fired(
            script=commander.script,
            event=commander.info.event_id,
            frame=order.info.index.stem,
            index=order.info.index.to_dict(),
            position=position,
            sub_device=order.target,
            light=order.light.label if order.light is not None else None,
            power=order.known_power,
            power_mw=order.power_mw,
            fill=order.settings.fill if order.pointer is not None else None,
            spot_px=order.spot_px,
            repetitions=order.shots.repetitions,
            regions=tuple(regions),
            begin_s=round(offset_s + fire.begin_s - begin, 6),
            end_s=round(offset_s + fire.end_s - begin, 6),
            complete=fire.complete,
            dose=dose.to_dict(),
            dose_at_position=firing.ledger.at(position).to_dict(),
        )
        commander.live.stream.publish(record)
    told = {key: value for key, value in record.to_dict().items() if key not in ("type", "script", "event")}
    # By the clock of the images' metadata, so that a script knows how long after the fire an image was taken.
    return told | {"elapsedTime_ms": round((record.end_s - commander.live.schedule.begun_s) * 1e3, 3)}


def _regions(order: Order, fire: Fire) -> list[dict[str, Any]]:
    """What each region got."""
    pulses, light_ms = fire.pulses, fire.light_ms
    if order.pointer is None:
        return [{"type": "whole field", "pulses": sum(pulses)} | order.dose_of(sum(light_ms)).to_dict()]
    told, first = [], 0
    for region in order.regions:
        mine = slice(first, first + len(region.places))
        first += len(region.places)
        entry = {
            "type": region.kind,
            "points_px": np.round(region.pixels, _DECIMALS).tolist(),
            "points_galvo": np.round(region.places, 6).tolist(),
            "pulses": sum(pulses[mine]),
            "area_px": round(region.area_px, _DECIMALS),
        }
        if region.area_um2 is not None:
            entry["area_um2"] = round(region.area_um2, _DECIMALS)
        told.append(entry | order.dose_of(sum(light_ms[mine])).to_dict())
    return told


def _shown(roi: Any) -> Any:
    """Regions as the journal has them: a mask by its size only."""
    if isinstance(roi, list | tuple):
        return [_shown(each) for each in roi]
    if not isinstance(roi, Mapping):
        return roi if roi is None else repr(roi)[:80]
    shown = {str(key): value for key, value in roi.items()}
    if shown.get("type") == "mask" and "points" in shown:
        array = np.asarray(shown["points"])
        shown["points"] = f"{array.shape}, {int(np.count_nonzero(array))} pixels"
    return json_safe(shown)


METHODS = (fire_on_demand,)
