"""What the engine and its errors are told by: from planned events to those of pycromanager, and back from messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from inscoper_mm.experiment.plan import PlannedEvent
from inscoper_mm.microscope.core import Channel
from inscoper_mm.microscope.limits import Axis

# An event may take this long plus twice its exposures before it counts as hanging: the Core's own time limits for
# devices (5 s a call, 6 attempts) come first.
_EVENT_LIMIT_S = 60.0


def channel_of(event: PlannedEvent) -> Channel | None:
    """The preset of the event's channel."""
    return Channel(event.channel_group, event.channel) if event.channel and event.channel_group else None


def engine_event(event: PlannedEvent, target: dict[Axis, float]) -> dict[str, Any]:
    """The event as pycromanager writes it, going to ``target``."""
    values: dict[str, Any] = {"axes": event.index.ndtiff}
    values |= {axis.removesuffix("_um"): value for axis, value in target.items()}
    if event.channel is not None:
        values["config_group"] = [event.channel_group, event.channel]
    return values


def limit_s(events: Sequence[PlannedEvent], own_ms: Callable[[], float]) -> float:
    """How long these events may take; ``own_ms()`` is the camera's exposure, where a burst's plan gives none."""
    exposure_ms = events[0].exposure_ms
    if exposure_ms is None:
        exposure_ms = own_ms() if len(events) > 1 else 0.0
    return _EVENT_LIMIT_S + 2e-3 * exposure_ms * len(events)


def name_of(events: Sequence[PlannedEvent]) -> str:
    """What an event, or a burst, is called in messages."""
    first, last = events[0].id, events[-1].id
    return f"event {first}" if first == last else f"the burst {first} to {last}"


def device_of(error: Exception) -> str | None:
    """The device that the Core blames."""
    found = re.search(r'device "([^"]+)"', str(error))
    return found[1] if found else None
