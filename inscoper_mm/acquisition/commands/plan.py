"""Changing the plan while it runs: more images, fewer images, another interval, the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inscoper_mm.acquisition.added import MOST_IMAGES_PER_REQUEST, AddedChannel, AddedImages
from inscoper_mm.acquisition.commands.base import Commander, numbers
from inscoper_mm.acquisition.commands.places import place_of, position_index
from inscoper_mm.acquisition.commands.stacks import offsets_of
from inscoper_mm.acquisition.corrections import Offset, corrected
from inscoper_mm.acquisition.losses import Losses
from inscoper_mm.acquisition.schedule import SkipRule
from inscoper_mm.errors import CommandRefused, LimitRefused, did_you_mean, one_of
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.records import Planned
from inscoper_mm.scripting.kinds import Refused, channel_value

# A run does not wait longer than a month for an image.
_LONGEST_WAIT_S = 30 * 86400
_FROM_NOW = "the next border between stacks"


def acquire(
    commander: Commander,
    position: Any = None,
    channels: Any = None,
    zStack: Any = None,
    objective: str | None = None,
    after_s: float = 0,
    label: str | None = None,
    *,
    times: int = 1,
    interval_s: float = 0,
    priority: int = 0,
) -> dict[str, Any]:
    """Add images to the plan; returns their position index, ids, and when the first is due."""
    asked = {
        "position": position,
        "channels": channels,
        "zStack": zStack,
        "objective": objective,
        "after_s": after_s,
        "label": label,
        "times": times,
        "interval_s": interval_s,
        "priority": priority,
    }
    request: AddedImages | None = None

    def decide() -> dict[str, Any]:
        nonlocal request
        if commander.live.stop.asked:
            raise CommandRefused("acquire: the run is ending. Nothing was added.")
        check_request(after_s, label, times, interval_s, priority)
        place = place_of(commander, position)
        request = AddedImages(
            script=commander.script,
            place=place.planned,
            belongs_to=place.belongs_to,
            channels=_channels(commander, channels),
            offsets_um=offsets_of(zStack),
            times=times,
            interval_s=float(interval_s),
            objective=_objective(commander, objective),
            priority=priority,
            label=label,
        )
        _check_request(commander, request)
        return {"images": request.count, "after_s": float(after_s)}

    def act(target: dict[str, Any]) -> dict[str, Any]:
        assert request is not None
        return _add(commander, request, target["after_s"])

    return dict(commander.command("acquire", asked, decide, act, holds_from=_FROM_NOW))


def _add(commander: Commander, request: AddedImages, after_s: float) -> dict[str, Any]:
    live, info = commander.live, commander.info
    due_s = commander.now() + after_s
    events = live.schedule.add(request, due_s)
    live.fates.add(event.index for event in events)
    for event in events:
        live.stream.publish(
            Planned(
                event.id,
                event.index.to_dict(),
                event.sizes.to_dict(),
                added_by=request.script,
                added_at=info.event_id,
                label=request.label,
            )
        )
    return {
        "positionIndex": events[0].index.position,
        "images": len(events),
        "events": [events[0].id, events[-1].id],
        "due_s": round(due_s - live.schedule.begun_s, 3),
    }


def skip(
    commander: Commander,
    position: Any = "current",
    channel: str | None = None,
    until_s: float | None = None,
    label: str | None = None,
) -> int:
    """Take events out of the rest of the plan; returns how many these are."""
    live = commander.live
    asked = {"position": position, "channel": channel, "until_s": until_s, "label": label}
    rule: SkipRule | None = None

    def decide() -> dict[str, Any]:
        nonlocal rule
        if label is not None:
            if label not in live.schedule.labels:
                raise CommandRefused(
                    f"skip: no added images called {label!r} wait. Waiting: {one_of(live.schedule.labels)}. "
                    "Nothing was changed."
                )
            return {"label": label}
        if until_s is not None:
            numbers("skip", until_s=until_s)
            if not live.schedule.pace.times_s:
                raise CommandRefused(
                    "skip: until_s needs a time_plan: without one, everything is due now. Nothing was changed."
                )
        place = None if position == "all" else position_index(commander, "skip", position)
        rule = SkipRule(
            commander.script,
            place,
            _channel_index(commander, channel),
            None if until_s is None else float(until_s) + live.schedule.begun_s,
        )
        return {"position": rule.position, "channel": rule.channel, "until_s": until_s}

    def act(target: dict[str, Any]) -> dict[str, Any]:
        if rule is not None:
            return {"events": live.schedule.skip(rule, commander.now())}
        withdrawn = live.schedule.withdraw(str(target["label"]))
        losses = Losses(live.fates, live.stream)
        for event in withdrawn:
            losses.tell(event, f"skipped by {commander.script}", commander.script)
        return {"events": len(withdrawn)}

    return int(commander.command("skip", asked, decide, act, holds_from="the next event")["events"])


def set_interval(commander: Commander, s: float) -> int:
    """Change the time between the time points still to come; returns how many these are."""
    live = commander.live

    def decide() -> dict[str, Any]:
        numbers("setInterval", s=s)
        if s < 0:
            raise LimitRefused(
                f"setInterval: an interval cannot be negative. Got: {s} s. Nothing was changed."
            )
        if not live.schedule.pace.times_s:
            raise CommandRefused("setInterval: the experiment has no time_plan. Nothing was changed.")
        return {"interval_s": float(s)}

    def act(target: dict[str, Any]) -> dict[str, Any]:
        return {"time_points": live.schedule.set_interval(target["interval_s"])}

    return int(
        commander.command("setInterval", {"s": s}, decide, act, holds_from="the next time point")[
            "time_points"
        ]
    )


def stop(commander: Commander, reason: str = "") -> None:
    """End the run after this event; what was captured is stored and all decisions are taken."""
    script = commander.script

    def act(target: dict[str, Any]) -> dict[str, Any]:
        commander.live.stop.finish("script", f"{script}: {reason}" if reason else script)
        return target

    # No turn: it touches no hardware, and it must work while the engine hangs.
    commander.without_turn("stop", {"reason": reason}, lambda: {"reason": str(reason)}, act)


def check_request(after_s: Any, label: Any, times: Any, interval_s: Any, priority: Any) -> None:
    """Refuse (CommandRefused) what ``acquire`` cannot take, before anything is added."""
    numbers("acquire", after_s=after_s, interval_s=interval_s)
    for name, value in (("after_s", after_s), ("interval_s", interval_s)):
        if value > _LONGEST_WAIT_S:
            raise CommandRefused(
                f"acquire: {name} is at most {_LONGEST_WAIT_S:g}. Got: {value}. Nothing was added."
            )
        if value < 0:
            raise CommandRefused(f"acquire: {name} cannot be negative. Got: {value}. Nothing was added.")
    for name, value, least in (("times", times, 1), ("priority", priority, None)):
        if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
            allowed = "a whole number" if least is None else f"a whole number of at least {least}"
            raise CommandRefused(f"acquire: {name} must be {allowed}. Got: {value!r}. Nothing was added.")
    if label is not None and (not isinstance(label, str) or not label.strip()):
        raise CommandRefused(f"acquire: label must be text. Got: {label!r}. Nothing was added.")


def _channels(commander: Commander, channels: Any) -> tuple[AddedChannel, ...]:
    """The channels of a request; None: that of the image that the call is about."""
    info = commander.info
    if channels is None:
        channels = [] if info.channel_name is None else [info.channel_name]
    if isinstance(channels, str | Mapping):
        channels = [channels]
    elif isinstance(channels, Sequence) and not channels:
        raise CommandRefused(
            "acquire: channels is an empty list. Leave it out for the image's own. Nothing was added."
        )
    if not isinstance(channels, Sequence):
        raise CommandRefused(
            f"acquire: channels must be a list of channels. Got: {channels!r}. Nothing was added."
        )
    return tuple(_channel(commander, channel) for channel in channels) or (
        AddedChannel(exposure_ms=info.exposure_ms),
    )


def _channel(commander: Commander, value: Any) -> AddedChannel:
    try:
        asked = channel_value(value)
    except Refused as refused:
        raise CommandRefused(f"acquire: {refused.finding} Nothing was added.") from refused
    live, who = commander.live, f"acquire by {commander.script}"
    found = live.microscope.find_channel(asked["config"], asked["group"])
    live.limits.check_preset(who, commander.script, found.group, found.name)
    exposure_ms = asked["exposure"]
    if exposure_ms is None:
        planned = [
            each for each in live.schedule.channels if (each.group, each.name) == (found.group, found.name)
        ]
        exposure_ms = (planned[0].exposure_ms if planned else None) or commander.info.exposure_ms
    if exposure_ms is not None:
        takes = live.microscope.exposure_range()
        if takes is not None and not takes.low <= exposure_ms <= takes.high:
            raise LimitRefused(
                f"acquire: the camera does not take an exposure of {exposure_ms:g} ms. Allowed: {takes.low:g} to "
                f"{takes.high:g} ms ({takes.source}). Nothing was added."
            )
        live.limits.check_exposure(who, commander.script, exposure_ms)
    return AddedChannel(found.group, found.name, exposure_ms, asked["z_offset"] or 0.0)


def _objective(commander: Commander, name: str | None) -> str | None:
    """The turret's label of an objective."""
    if name is None:
        return None
    live = commander.live
    label = live.objectives.find(name)
    who = f"acquire by {commander.script}"
    live.limits.check_setting(who, commander.script, make_id(live.objectives.turret), label)
    return label


def _channel_index(commander: Commander, name: str | None) -> int | None:
    """The number of a channel of the plan."""
    if name is None:
        return None
    names = [channel.name for channel in commander.live.schedule.channels if channel.name is not None]
    if name in names:
        return names.index(name)
    near = did_you_mean(name, names)
    raise CommandRefused(
        f"skip: the plan has no channel {name!r}. Allowed: {one_of(names)}."
        + (f" Did you mean '{near}'?" if near else "")
        + " Nothing was changed."
    )


def _check_request(commander: Commander, request: AddedImages) -> None:
    """Refuse too many images, and images outside the limits: each slice of each channel, as corrected now."""
    live, who = commander.live, f"acquire by {commander.script}"
    if request.count > MOST_IMAGES_PER_REQUEST:
        raise CommandRefused(
            f"acquire: {request.count} images are too many for one request. Allowed: {MOST_IMAGES_PER_REQUEST}. "
            "Nothing was added."
        )
    if request.place.z_um is None and (
        len(request.offsets_um) > 1 or any(c.z_offset_um for c in request.channels)
    ):
        raise CommandRefused(
            "acquire: the configuration has no focus drive for a z-stack. Nothing was added."
        )
    time, place = request.belongs_to
    total = live.corrections.total(place, time) + Offset(*_shift(commander, request))
    for channel in request.channels:
        for offset_um in request.offsets_um:
            target = corrected(request.place, total + Offset(0.0, 0.0, channel.z_offset_um + offset_um))
            live.limits.check_place(who, target, commander.script)


def _shift(commander: Commander, request: AddedImages) -> tuple[float, float, float]:
    shift = commander.live.objectives.shift(request.objective)
    return shift.x_um, shift.y_um, shift.z_um


METHODS = (acquire, skip, set_interval, stop)
