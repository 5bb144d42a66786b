"""Bursts: the z-stack of one channel as one hardware sequence of camera and focus drive.

A burst counts as one event: it has one turn, its scripts are asked when it is over, and it is tried again or given up
as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from inscoper_mm.acquisition.corrections import Offset, corrected
from inscoper_mm.acquisition.live import Live
from inscoper_mm.acquisition.schedule import Schedule
from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan, PlannedEvent
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.microscope.sequences import ON, most_slices, room_for, switch_of
from inscoper_mm.microscope.sub_device_ids import make_id

_CURE = "Use 'bursts: none'."

Target = dict[Axis, float]
Burst = tuple[PlannedEvent, ...]


# -- which events


def members(first: PlannedEvent, schedule: Schedule, now: Callable[[], float], longest: int) -> Burst:
    """``first``, which is taken, and the events after it that make a burst with it; these are taken, too."""
    found = [first]
    while _in_stack(first) and len(found) < longest:
        upcoming = schedule.next(now())
        if upcoming is None or not _together(first, upcoming.event):
            break
        if schedule.take(upcoming.event):
            found.append(upcoming.event)
    return tuple(found)


def _in_stack(event: PlannedEvent) -> bool:
    return event.sizes.focus > 1 and event.z_um is not None


def _together(first: PlannedEvent, other: PlannedEvent) -> bool:
    return _in_stack(other) and _kind(first) == _kind(other)


def _kind(event: PlannedEvent) -> tuple[object, ...]:
    """What the slices of a burst have in common."""
    light = event.channel_group, event.channel, event.exposure_ms, event.objective
    return event.stack_key, event.x_um, event.y_um, event.added_by, light


def longest_burst(plan: Plan) -> int:
    """How many images the largest burst of ``plan`` has; 1 where no slices follow each other."""
    if not plan.has_z_plan or len(plan) < 2:
        return 1
    stacks = plan.rows[:, :3]
    begins = np.flatnonzero((stacks[1:] != stacks[:-1]).any(axis=1)) + 1
    return int(np.diff(np.concatenate(([0], begins, [len(stacks)]))).max())


# -- where they go


def preset_of(event: PlannedEvent) -> tuple[str, str] | None:
    """Group and preset of the event's channel."""
    return (event.channel_group, event.channel) if event.channel_group and event.channel else None


def target_of(event: PlannedEvent, offset: Offset, live: Live) -> Target:
    """Where ``event`` goes, corrections and the objective's offsets included; not checked."""
    shift = live.objectives.shift(event.objective)
    return corrected(event.planned, offset + Offset(shift.x_um, shift.y_um, shift.z_um))


def targets_of(events: Burst, offset: Offset, live: Live) -> list[Target]:
    """Where ``events`` go, corrections and the objective's offsets included, checked against the limits.

    Raises
    ------
    LimitRefused
        One of them may not go there. Nothing was moved.
    """
    targets: list[Target] = []
    for event in events:
        target = live.limits.check_event(
            f"event {event.id} ({event.index})",
            target_of(event, offset, live),
            preset_of(event),
            event.exposure_ms,
            # The drive goes from slice to slice.
            StagePosition(**targets[-1]) if targets else None,
        )
        live.limits.moved(target)
        targets.append(target)
    return targets


def shifted(events: Burst, targets: Sequence[Target], held: Target, live: Live) -> list[Target]:
    """``targets`` with the first one at ``held``, where the autofocus wants it, and the others as much higher.

    Raises
    ------
    LimitRefused
    """
    if len(targets) == 1:
        return [held]
    dz_um = held["z_um"] - targets[0]["z_um"]
    if not dz_um:
        return [held, *targets[1:]]
    moved = [{**target, "z_um": target["z_um"] + dz_um} for target in targets[1:]]
    checked = [
        live.limits.check_place(f"event {event.id} ({event.index}) with autofocus", target)
        for event, target in zip(events[1:], moved, strict=True)
    ]
    return [held, *checked]


# -- whether the microscope can


def prepare_bursts(experiment: Experiment, plan: Plan, microscope: Microscope, limits: Guard) -> int:
    """Switch the focus drive's sequences on, where it has such a switch; the end of the run sets it back.

    Returns
    -------
    int
        How many images a burst may have; 1 for no bursts.

    Raises
    ------
    InvalidInput
        The plan's bursts cannot be taken with this microscope.
    """
    if experiment.bursts == "none" or not microscope.focus:
        return 1
    switch = switch_of(microscope)
    if switch is not None:
        limits.check_setting("bursts", None, make_id(microscope.focus, switch), ON)
        microscope.core.setProperty(microscope.focus, switch, ON)
    slices, room = most_slices(microscope), room_for(microscope)
    file = str(experiment.source) if experiment.source else None
    findings = [
        Finding(message, file=file, field="bursts", cure=cure)
        for message, cure in problems(plan, microscope.focus, slices, room)
    ]
    if findings:
        raise InvalidInput(findings)
    # A plan without stacks needs nothing of this; stacks that scripts add are cut to what can be taken.
    return max(1, min(slices, room))


def problems(plan: Plan, focus: str, slices: int, room: int | None) -> list[tuple[str, str]]:
    """Why the bursts of ``plan`` cannot be taken, each with its cure; empty where they can.

    Parameters
    ----------
    plan : Plan
    focus : str
        The label of the focus drive.
    slices : int
        How many positions its longest sequence has; 0 if it runs none.
    room : int or None
        How many images the Core's buffer takes; None: not known.
    """
    longest = longest_burst(plan)
    if longest <= 1:
        return []
    if not slices:
        return [(f"the focus drive {focus} cannot run a sequence of positions.", _CURE)]
    found = []
    if longest > slices:
        found.append(
            (f"a stack has {longest} slices, a sequence of the focus drive {focus} {slices}.", _CURE)
        )
    if room is not None and longest > room:
        message = f"a stack has {longest} images, and the Core's buffer has room for {room}."
        found.append((message, f"{_CURE} Or read less of the sensor, or bin."))
    return found
