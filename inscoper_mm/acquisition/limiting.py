"""The limits of a run: the devices' own, tightened by the experiment's; and the plan tried against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inscoper_mm.acquisition.corrections import Offset, corrected
from inscoper_mm.errors import Finding, InvalidInput, LimitRefused, short_path
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import PlannedEvent
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.limits import Axis, Limits, Range


def limits_of(experiment: Experiment, microscope: Microscope) -> Limits:
    """What the devices report, tightened by the experiment's ``safety``."""
    return microscope.device_limits().tightened(safety_limits(experiment))


def safety_limits(experiment: Experiment) -> Limits:
    """The experiment's ``safety``, with the file and field of each limit."""
    safety = experiment.safety
    source = short_path(experiment.source) if experiment.source else "the experiment"
    asked: dict[Axis, tuple[tuple[float, float] | None, str]] = {
        "x_um": (safety.x_um, "safety.stage.x_um"),
        "y_um": (safety.y_um, "safety.stage.y_um"),
        "z_um": (safety.focus_um, "safety.focus_um"),
    }
    ranges = {
        axis: Range(float(limit[0]), float(limit[1]), f"{field} in {source}")
        for axis, (limit, field) in asked.items()
        if limit is not None
    }
    return Limits(ranges)


def planned_places(plan: Sequence[PlannedEvent], limits: Limits) -> Mapping[int, Sequence[StagePosition]]:
    """Where the plan goes at each stage position, each place once.

    Raises
    ------
    InvalidInput
        If a planned position lies outside the limits: found before the first image, not at it.
    """
    places: dict[int, dict[StagePosition, None]] = {}
    findings: list[Finding] = []
    for event in plan:
        seen = places.setdefault(event.index.position, {})
        place = event.planned
        if place in seen:
            continue
        seen[place] = None
        try:
            limits.check(f"event {event.id} at position '{event.position_name}'", corrected(place, Offset()))
        except LimitRefused as error:
            findings.append(Finding(str(error), field="acquisition"))
    if findings:
        raise InvalidInput(findings[:20])
    return {position: tuple(seen) for position, seen in places.items()}
