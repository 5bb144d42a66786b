"""Bursts: the z-stack of one channel as one hardware sequence of camera and focus drive.

A burst counts as one event: it has one turn, its scripts are asked when it is over, and it is tried again or given up
as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from inscoper_mm.microscope.sub_device_ids import make_id

CURE = "Use 'bursts: none'."
# What adapters call the property that switches sequences of a drive on.
_SWITCHES = ("UseSequences", "UseSequence", "Use Sequence")

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


def bursts_of(plan: Plan) -> tuple[int, int]:
    """The largest burst of ``plan``, and how many consecutive slices it really has; (1, 1) without a z plan.

    They differ where the stack is not the innermost axis.
    """
    if not plan.has_z_plan:
        return 1, 1
    rows = plan.rows
    stack = plan.sizes.focus
    if len(rows) < 2:
        return stack, 1
    same = (rows[1:, :3] == rows[:-1, :3]).all(axis=1)
    return stack, stack if bool(same.any()) else 1


# -- where they go


def targets_of(events: Burst, offset: Offset, live: Live) -> list[Target]:
    """Where ``events`` go, corrections and the objective's offsets included, checked against the limits.

    Raises
    ------
    LimitRefused
        One of them may not go there. Nothing was moved.
    """
    targets: list[Target] = []
    for event in events:
        shift = live.objectives.shift(event.objective)
        target = live.limits.check_event(
            f"event {event.id} ({event.index})",
            corrected(event.planned, offset + Offset(shift.x_um, shift.y_um, shift.z_um)),
            (event.channel_group, event.channel) if event.channel_group and event.channel else None,
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
    _switch_on(microscope, limits)
    longest, _ = bursts_of(plan)
    file = str(experiment.source) if experiment.source else None
    findings = [
        Finding(message, file=file, field="bursts", cure=cure)
        for message, cure in problems(microscope, longest)
    ]
    if findings:
        raise InvalidInput(findings)
    core, focus = microscope.core, microscope.focus
    if not core.isStageSequenceable(focus):
        return 1  # the plan has no stack; those that scripts add are taken image by image
    return min(int(core.getStageSequenceMaxLength(focus)), buffer_images(microscope))


def _switch_on(microscope: Microscope, limits: Guard) -> None:
    core, focus = microscope.core, microscope.focus
    if core.isStageSequenceable(focus):
        return
    name = switch_of(microscope)
    if name is not None:
        limits.check_setting("bursts", None, make_id(focus, name), "Yes")
        core.setProperty(focus, name, "Yes")


def switch_of(microscope: Microscope) -> str | None:
    """The property that switches sequences of the focus drive on."""
    core, focus = microscope.core, microscope.focus
    for name in _SWITCHES:
        if core.hasProperty(focus, name) and "Yes" in core.getAllowedPropertyValues(focus, name):
            return name
    return None


def problems(microscope: Microscope, longest: int) -> list[tuple[str, str]]:
    """Why bursts of ``longest`` images cannot be taken, each with its cure; empty where they can."""
    core, focus = microscope.core, microscope.focus
    if longest <= 1 or not focus:
        return []
    if not core.isStageSequenceable(focus):
        return [(f"the focus drive {focus} cannot run sequences.", CURE)]
    found = []
    most = int(core.getStageSequenceMaxLength(focus))
    if longest > most:
        found.append((f"a z-stack has {longest} slices, the focus drive {focus} takes {most}.", CURE))
    return found + too_large(longest, buffer_images(microscope))


def too_large(longest: int, images: int) -> list[tuple[str, str]]:
    """Whether a burst does not fit into a buffer of ``images``."""
    if longest <= images:
        return []
    message = f"a z-stack has {longest} slices, the Core's buffer has room for {images} images."
    return [(message, f"{CURE} Or read less of the sensor, or bin.")]


def buffer_images(microscope: Microscope) -> int:
    """How many images the Core's circular buffer has room for, with the present settings of the camera."""
    return int(microscope.core.getCircularBufferMemoryFootprint()) * 2**20 // max(microscope.image_bytes, 1)
