"""The way to an event from where scripts, or added images, have left stage and focus.

The plan's own ways were looked at before the first image. Here what is too long for one allowed step is gone in
several, and what is too far for the last minute waits until the minute is over.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

from inscoper_mm.acquisition.bursts import Burst, Target, preset_of, target_of, targets_of
from inscoper_mm.acquisition.corrections import Offset
from inscoper_mm.acquisition.live import Live
from inscoper_mm.errors import LimitRefused
from inscoper_mm.microscope.walking import approach
from inscoper_mm.records import Logged

# Somebody may move the stage by hand meanwhile.
_LOOK_S = 0.2


class StoppedWaiting(Exception):
    """The run is to end, and the event has not begun."""


def led_to(
    events: Burst, offset: Offset, live: Live, before_waiting: Callable[[], None]
) -> tuple[list[Target], bool]:
    """As `bursts.targets_of`, but with the devices brought near where they are too far away; the caller has the turn.

    Parameters
    ----------
    events : Burst
    offset : Offset
        The corrections.
    live : Live
    before_waiting : callable
        Called before a longer wait: nothing else may have to wait for its end.

    Returns
    -------
    list of target, bool
        Where the events go, and whether anything was moved.

    Raises
    ------
    LimitRefused
    StoppedWaiting
    """
    try:
        return targets_of(events, offset, live), False
    except LimitRefused as error:
        refused = error
    first = events[0]
    what = f"event {first.id} ({first.index})"
    target = target_of(first, offset, live)
    live.limits.check_light(what, preset_of(first), first.exposure_ms)
    target = live.limits.check_place(what, target)
    stops = live.limits.stops(what, target)
    waited = _wait_for_travel(what, target, live, before_waiting)
    if not stops and not waited:
        raise refused
    steps = 0
    if stops:
        with _focus_free(live, any("z_um" in stop for stop in stops)):
            steps = approach(live.microscope, live.limits, what, target)
        text = f"{what}: the way is gone in {steps + 1} steps, one would be longer than safety.largest_step allows."
        live.stream.publish(Logged(text, "info", event=first.id))
    return targets_of(events, offset, live), steps > 0


def _focus_free(live: Live, needed: bool) -> contextlib.AbstractContextManager[None]:
    if not needed:
        return contextlib.nullcontext()
    return live.focus_lock.suspended("the focus is moved in several steps")


def _wait_for_travel(what: str, target: Target, live: Live, before_waiting: Callable[[], None]) -> bool:
    """Wait until the way is allowed; False if there is nothing to wait for."""
    wait_s = live.limits.travel_wait_s(target)
    if wait_s <= 0 or math.isinf(wait_s):
        return False
    text = f"{what} waits {wait_s:.0f} s: safety.travel_per_min allows no more within this minute."
    live.stream.publish(Logged(text, "warning"))
    before_waiting()
    while 0 < wait_s < math.inf:
        if live.stop.wait(min(wait_s, _LOOK_S)):
            raise StoppedWaiting("the run was stopped")
        wait_s = live.limits.travel_wait_s(target)
    return True
