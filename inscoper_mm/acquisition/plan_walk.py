"""The ways of a plan, from event to event, tried against the guard before the first image.

Plans can have a hundred thousand events: numpy finds the ways that a rule could refuse, and only those are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import LimitRefused
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.limits import Range
from inscoper_mm.microscope.rules import STEP, TRAVEL

_WINDOW_S = 60.0
Places = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A way of the plan that is refused: the event that it leads to, and why."""

    event: int
    position_name: str
    message: str


@dataclass(frozen=True, slots=True)
class Travel:
    """The longest distance that the plan may travel within a minute, if nothing holds it up, and the limit."""

    kind: str
    most_um: float
    event: int
    limit: Range


def refused_ways(plan: Plan, guard: Guard) -> Iterator[Refusal]:
    """The ways of the plan that are too long or touch an exclusion zone, in the order of the events.

    The first way begins at ``plan.start``, if that is known.
    """
    if not guard.watches_ways:
        return
    places = _filled(plan)
    starts, ends = places[:-1], places[1:]
    # The same way is asked for once.
    for number in _first_of_each(starts, ends, _doubtful(starts, ends, guard)):
        event = plan[int(number)]
        what = f"event {event.id} at position '{event.position_name}'"
        try:
            guard.check_way(what, _place(starts[number]), _place(ends[number]))
        except LimitRefused as error:
            yield Refusal(int(number), event.position_name, str(error))


def travels(plan: Plan, guard: Guard) -> Iterator[Travel]:
    """Where the plan, as fast as its due times and exposures allow, would travel farther in a minute than allowed.

    A real run is slower: moves and scripts take their time. So this is a possibility, not a certainty.
    """
    kinds = ("stage_um", "focus_um")
    limits = {kind: guard.rules.spans.get((*TRAVEL, kind)) for kind in kinds}
    if not any(limits.values()):
        return
    places = _filled(plan)
    steps = np.nan_to_num(np.abs(np.diff(places, axis=0)))
    distances = {"stage_um": np.hypot(steps[:, 0], steps[:, 1]), "focus_um": steps[:, 2]}
    begin_s = plan.earliest_s()
    first = np.searchsorted(begin_s, begin_s - _WINDOW_S, side="left")
    for kind, limit in limits.items():
        if limit is None:
            continue
        total = np.concatenate(([0.0], np.cumsum(distances[kind])))
        within = total[1:] - total[first]
        worst = int(within.argmax())
        if within[worst] > limit.high * (1 + 1e-9):
            yield Travel(kind, float(within[worst]), worst, limit)


def _filled(plan: Plan) -> Places:
    """The place of each event, (events + 1, 3) in x, y, z, the start first; an axis that is not set stays."""
    start = plan.start
    first = [np.nan if value is None else value for value in (start.x_um, start.y_um, start.z_um)]
    places = np.vstack([[first], plan.places_um()])
    for axis in range(3):
        known = ~np.isnan(places[:, axis])
        last = np.maximum.accumulate(np.where(known, np.arange(len(places)), 0))
        places[:, axis] = places[last, axis]
    return places


def _doubtful(starts: Places, ends: Places, guard: Guard) -> npt.NDArray[np.bool_]:
    """The ways that a rule could refuse: no other one can be."""
    steps = np.nan_to_num(np.abs(ends - starts))
    doubtful = np.zeros(len(ends), dtype=bool)
    for path, limit in guard.rules.spans.items():
        if path[:1] == STEP:
            length = np.hypot(steps[:, 0], steps[:, 1]) if path[-1] == "stage_um" else steps[:, 2]
            doubtful |= length > limit.high
    for zone in guard.rules.zones:
        near = np.ones(len(ends), dtype=bool)
        for axis, (low, high) in enumerate((zone.x_um, zone.y_um, zone.z_um)):
            # Written so that what is not known (NaN) is near.
            near &= ~(np.fmax(starts[:, axis], ends[:, axis]) < low)
            near &= ~(np.fmin(starts[:, axis], ends[:, axis]) > high)
        doubtful |= near
    return doubtful


def _first_of_each(starts: Places, ends: Places, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    numbers = np.flatnonzero(wanted)
    ways = np.nan_to_num(np.hstack([starts[numbers], ends[numbers]]), nan=np.inf)
    _, first = np.unique(ways, axis=0, return_index=True)
    return np.sort(numbers[first])


def _place(values: npt.NDArray[np.float64]) -> StagePosition:
    x_um, y_um, z_um = (None if value != value else float(value) for value in values)
    return StagePosition(x_um, y_um, z_um)
