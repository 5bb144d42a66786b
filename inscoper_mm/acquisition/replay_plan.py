"""Changes of the plan that the replayed run did not have: what was recorded comes all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inscoper_mm.acquisition.added import MOST_IMAGES_PER_REQUEST
from inscoper_mm.acquisition.commands.base import numbers
from inscoper_mm.acquisition.commands.plan import check_request
from inscoper_mm.acquisition.commands.stacks import offsets_of
from inscoper_mm.acquisition.replay_decide import Decided, channel_of, place_of
from inscoper_mm.acquisition.replay_known import NO_MICROSCOPE
from inscoper_mm.errors import CommandRefused, LimitRefused, one_of

if TYPE_CHECKING:
    from inscoper_mm.acquisition.replay_commands import ReplayCommands

_KEYS = ("x_um", "y_um", "z_um")


def acquire(
    call: ReplayCommands,
    position: Any = None,
    channels: Any = None,
    zStack: Any = None,
    objective: str | None = None,
    after_s: Any = 0,
    label: Any = None,
    *,
    times: Any = 1,
    interval_s: Any = 0,
    priority: Any = 0,
) -> Decided:
    """Images that will not come: nobody took them."""
    check_request(after_s, label, times, interval_s, priority)
    _check_place(call, position)
    count = times * _channel_count(call, channels) * len(offsets_of(zStack))
    if count > MOST_IMAGES_PER_REQUEST:
        raise CommandRefused(
            f"acquire: {count} images are too many for one request. Allowed: {MOST_IMAGES_PER_REQUEST}. "
            "Nothing was added."
        )
    known = call.shared.known
    first = known.images_added + 1
    added = {
        "positionIndex": known.positions + known.requests,
        "images": count,
        "events": [f"a{first:06d}", f"a{first + count - 1:06d}"],
        "due_s": round((call.info.elapsed_ms or 0.0) / 1e3 + after_s, 3),
    }
    known.requests += 1
    known.images_added += count
    return Decided(added, {"images": count, "after_s": float(after_s)}, added)


def _check_place(call: ReplayCommands, position: Any) -> None:
    if position is None:
        return
    if isinstance(position, Mapping):
        for key in position:
            if key not in _KEYS:
                raise CommandRefused(
                    f"acquire: a position has no {key!r}. Allowed: {one_of(_KEYS)}. Nothing was added."
                )
        given = {key: value for key, value in position.items() if value is not None}
    elif isinstance(position, Sequence) and not isinstance(position, str):
        if len(position) not in (2, 3):
            raise CommandRefused(
                f"acquire: coordinates are (x_um, y_um) or (x_um, y_um, z_um). Got: {position!r}. Nothing was added."
            )
        given = dict(zip(_KEYS, position, strict=False))
    else:
        place_of(call, "acquire", position)
        return
    numbers("acquire", **given)
    call.shared.known.limits.check(f"acquire by {call.script}", given)


def _channel_count(call: ReplayCommands, channels: Any) -> int:
    if channels is None:
        return 1
    if isinstance(channels, str | Mapping):
        channels = [channels]
    if not isinstance(channels, Sequence) or not channels:
        raise CommandRefused(
            f"acquire: channels must be a list of channels. Got: {channels!r}. Nothing was added."
        )
    return len([channel_of(call, "acquire", channel) for channel in channels])


def skip(
    call: ReplayCommands,
    position: Any = "current",
    channel: Any = None,
    until_s: Any = None,
    label: Any = None,
) -> Decided:
    """Images taken out of the plan; they were recorded, and come all the same."""
    if until_s is not None or label is not None:
        raise CommandRefused(
            f"skip: {NO_MICROSCOPE} how many images {'until_s' if label is None else 'the label'} stands for. "
            "Nothing was changed."
        )
    known = call.shared.known
    place = None if position == "all" else place_of(call, "skip", position)
    names = known.image_channels
    if channel is not None and channel not in names:
        raise CommandRefused(
            f"skip: the plan has no channel {channel!r}. Allowed: {one_of(name for name in names if name)}. "
            "Nothing was changed."
        )
    wanted = None if channel is None else names.index(channel)
    left = known.planned[_after(call) :]
    count = sum(place in (None, index.position) and wanted in (None, index.channel) for index in left)
    return Decided(count, {"position": place, "channel": wanted}, {"events": count})


def set_interval(call: ReplayCommands, s: Any) -> Decided:
    """Another interval; the recorded one stays."""
    numbers("setInterval", s=s)
    if s < 0:
        raise LimitRefused(f"setInterval: an interval cannot be negative. Got: {s} s. Nothing was changed.")
    left = {index.time for index in call.shared.known.planned[_after(call) :]}
    count = len(left - {call.info.index.time})
    return Decided(count, {"interval_s": float(s)}, {"time_points": count})


def _after(call: ReplayCommands) -> int:
    """The number of the first planned image after the one of this call."""
    planned, index = call.shared.known.planned, call.info.index
    return planned.index(index) + 1 if index in planned else len(planned)


def stop(call: ReplayCommands, reason: str = "") -> Decided:
    """The end: what was recorded after this is not replayed."""
    call.shared.stop.finish("script", f"{call.script}: {reason}" if reason else call.script)
    return Decided(None, {"reason": str(reason)}, {"reason": str(reason)})


CHANGES: Mapping[str, Callable[..., Decided]] = {
    "acquire": acquire,
    "skip": skip,
    "setInterval": set_interval,
    "stop": stop,
}
