"""Rules about the way of a move: exclusion zones, the longest step, the distance travelled in a minute."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping

from inscoper_mm.errors import LimitRefused
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.limits import Axis, Range
from inscoper_mm.microscope.rules import OBJECTIVES, STEP, TRAVEL, Path, Rules
from inscoper_mm.microscope.zones import Point, Zone, legs

_AXES: tuple[Axis, ...] = ("x_um", "y_um", "z_um")
_WINDOW_S = 60.0
# A stage that reports a place this near to where it was sent is there: a step is counted between targets.
_THERE_UM = 1.0
# What adding floating-point numbers makes of a distance.
_ROUNDING = 1e-9
# A way that needs more steps than this is none that anybody meant.
_MOST_STEPS = 200
# Who waits for the end of the minute looks again after this, at the earliest.
_LEAST_WAIT_S = 0.001


class Motion:
    """The way from where the devices are to where they shall go, against the rules. Thread-safe.

    Parameters
    ----------
    rules : Rules
    position : callable
        Where stage and focus are now; asked only where a rule needs it.
    objectives : callable
        Labels and presets of the objective in place; asked only where a rule needs it.
    now : callable
        A clock in seconds.
    """

    def __init__(
        self,
        rules: Rules,
        position: Callable[[], StagePosition],
        objectives: Callable[[], Collection[str]],
        now: Callable[[], float],
    ) -> None:
        self._zones = rules.zones
        self._steps = _kinds(rules, STEP)
        self._per_objective = {
            label: _kinds(rules, (*OBJECTIVES, label))
            for label in {path[2] for path in rules.spans if path[:2] == OBJECTIVES and len(path) == 4}
        }
        self._most_travel = _kinds(rules, TRAVEL)
        self._position = position
        self._objectives = objectives
        self._now = now
        self._lock = threading.Lock()
        self._sent: dict[Axis, float] = {}
        self._leg = {"stage_um": 0.0, "focus_um": 0.0}
        self._travel: deque[tuple[float, float, float]] = deque()
        self._travelled = {"stage_um": 0.0, "focus_um": 0.0}
        self.idle = not (self._zones or self._steps or self._per_objective or self._most_travel)

    def check(self, what: str, target: Mapping[Axis, float], here: StagePosition | None) -> None:
        """Refuse a way that is too long or touches a zone."""
        start = self._start(here or self._position())
        leg = self._check_leg(what, start, _end(start, target))
        self._check_travel(what, leg)
        with self._lock:
            self._leg = leg

    def check_way(self, what: str, start: StagePosition, end: StagePosition) -> None:
        """Refuse a way wherever the devices are now; what was travelled before does not count."""
        self._check_leg(what, _point(start), _point(end))

    def stops(self, what: str, target: Mapping[Axis, float]) -> list[dict[Axis, float]]:
        """Where to stand in between, so that no step to ``target`` is too long: first the stage, then the focus.

        Empty where one step is enough. A way with a zone on it is refused.
        """
        start = self._start(self._position())
        end = _end(start, target)
        self._check_zones(what, start, end)
        stage_steps, focus_steps = self._steps_for(what, start, end)
        (x_um, y_um, z_um), (to_x_um, to_y_um, to_z_um) = start, end
        found: list[dict[Axis, float]] = []
        for part in _parts(stage_steps):
            found.append({"x_um": x_um + part * (to_x_um - x_um), "y_um": y_um + part * (to_y_um - y_um)})
        if focus_steps > 1 and start[:2] != end[:2] and "x_um" in target:
            found.append({"x_um": to_x_um, "y_um": to_y_um})
        for part in _parts(focus_steps):
            found.append({"z_um": z_um + part * (to_z_um - z_um)})
        place = start
        for stop in found:
            before, place = place, _end(place, stop)
            self._check_zones(what, before, place)
        return found

    def _steps_for(self, what: str, start: Point, end: Point) -> tuple[int, int]:
        """How many steps the stage and the focus need."""
        leg, steps = _leg(start, end), {"stage_um": 1, "focus_um": 1}
        for kind, limit in self._too_long(leg):
            count = math.ceil(leg[kind] / limit.high - _ROUNDING) if limit.high > 0 else _MOST_STEPS + 1
            if count > _MOST_STEPS:
                raise _step_refused(what, kind, leg[kind], limit, start, end)
            steps[kind] = max(steps[kind], count)
        return steps["stage_um"], steps["focus_um"]

    def travel_wait_s(self, target: Mapping[Axis, float]) -> float:
        """After which time the distance to ``target`` may be travelled; infinite where it never may."""
        if not self._most_travel:
            return 0.0
        start = self._start(self._position())
        leg = _leg(start, _end(start, target))
        with self._lock:
            now = self._forget_travel()
            return max(self._free_s(kind, limit, leg[kind], now) for kind, limit in self._most_travel.items())

    def _free_s(self, kind: str, limit: Range, more_um: float, now: float) -> float:
        most_um = limit.high * (1 + _ROUNDING)
        over_um = self._travelled[kind] + more_um - most_um
        if not more_um or over_um <= 0:
            return 0.0
        if more_um > most_um:
            return math.inf
        for moved_s, stage_um, focus_um in self._travel:
            over_um -= stage_um if kind == "stage_um" else focus_um
            if over_um <= 0:
                return max(moved_s + _WINDOW_S - now, _LEAST_WAIT_S)
        return _LEAST_WAIT_S  # nothing but the rounding of the sum is left

    def _check_leg(self, what: str, start: Point, end: Point) -> dict[str, float]:
        leg = _leg(start, end)
        for kind, limit in self._too_long(leg):
            raise _step_refused(what, kind, leg[kind], limit, start, end)
        self._check_zones(what, start, end)
        return leg

    def _too_long(self, leg: Mapping[str, float]) -> Iterator[tuple[str, Range]]:
        """The limits that are smaller than this step."""
        for limits in self._step_limits():
            for kind, limit in limits.items():
                if leg[kind] > limit.high * (1 + _ROUNDING):
                    yield kind, limit

    def _check_zones(self, what: str, start: Point, end: Point) -> None:
        for zone in self._zones:
            if any(zone.blocks(a, b) for a, b in legs(start, end)):
                verb = "lies in" if zone.has(end) else "leads through"
                raise _in_zone(what, f"{_text(end)} {verb}", zone, f" The way begins at {_text(start)}.")

    def check_end(self, what: str, target: Mapping[Axis, float]) -> None:
        """Refuse a place in a zone, whatever way leads there."""
        if not self._zones or "x_um" not in target or "y_um" not in target:
            return
        end: Point = (target["x_um"], target["y_um"], target.get("z_um", math.nan))
        for zone in self._zones:
            # A place whose focus is not known lies in no zone for certain, unless the zone is one at every focus.
            if zone.has(end) and (end[2] == end[2] or math.isinf(zone.z_um[0])):
                raise _in_zone(what, f"{_text(end)} lies in", zone)

    def moved(self, target: Mapping[Axis, float]) -> None:
        """Note that the devices are now sent to a target that was checked."""
        with self._lock:
            self._sent |= target
            if self._most_travel:
                stage_um, focus_um = self._leg["stage_um"], self._leg["focus_um"]
                self._travel.append((self._now(), stage_um, focus_um))
                self._travelled["stage_um"] += stage_um
                self._travelled["focus_um"] += focus_um

    def _step_limits(self) -> list[Mapping[str, Range]]:
        if not self._per_objective:
            return [self._steps]
        now = {label.lower() for label in self._objectives()}
        own = [limits for label, limits in self._per_objective.items() if label.lower() in now]
        return [self._steps, *own]

    def _check_travel(self, what: str, leg: Mapping[str, float]) -> None:
        if not self._most_travel:
            return
        with self._lock:
            self._forget_travel()
            sums = {kind: self._travelled[kind] + leg[kind] for kind in leg}
        for kind, limit in self._most_travel.items():
            if leg[kind] and sums[kind] > limit.high * (1 + _ROUNDING):
                raise LimitRefused(
                    f"{what}: the {kind.removesuffix('_um')} would have travelled {sums[kind]:g} um within a minute. "
                    f"Allowed: {limit.text} um ({limit.source}). Nothing was moved."
                )

    def _forget_travel(self) -> float:
        """What was travelled before the last minute does not count any more; returns what time it is."""
        now = self._now()
        while self._travel and self._travel[0][0] < now - _WINDOW_S:
            _, stage_um, focus_um = self._travel.popleft()
            self._travelled["stage_um"] -= stage_um
            self._travelled["focus_um"] -= focus_um
        if not self._travel:
            self._travelled = dict.fromkeys(self._travelled, 0.0)  # forget the rounding
        return now

    def _start(self, here: StagePosition) -> Point:
        """Where the way begins: the last target of each axis, if the device is there; else where it says it is."""
        start = []
        for axis, known in zip(_AXES, _point(here), strict=True):
            sent = self._sent.get(axis)
            start.append(sent if sent is not None and abs(sent - known) < _THERE_UM else known)
        return start[0], start[1], start[2]


def _point(place: StagePosition) -> Point:
    """The place with NaN for what is not known, or not there."""
    x_um, y_um, z_um = (math.nan if each is None else each for each in (place.x_um, place.y_um, place.z_um))
    return x_um, y_um, z_um


def _end(start: Point, target: Mapping[Axis, float]) -> Point:
    x_um, y_um, z_um = (target.get(axis, start[number]) for number, axis in enumerate(_AXES))
    return x_um, y_um, z_um


def _leg(start: Point, end: Point) -> dict[str, float]:
    return {"stage_um": _length(start[:2], end[:2]), "focus_um": _length(start[2:], end[2:])}


def _parts(steps: int) -> list[float]:
    """The parts of a way after each step but the last."""
    return [step / steps for step in range(1, steps)]


def _kinds(rules: Rules, path: Path) -> dict[str, Range]:
    found = {kind: rules.spans.get((*path, kind)) for kind in ("stage_um", "focus_um")}
    return {kind: limit for kind, limit in found.items() if limit is not None}


def _length(start: tuple[float, ...], end: tuple[float, ...]) -> float:
    """The distance along the axes that are known; nothing is known of a device that is not there."""
    return math.hypot(*(b - a for a, b in zip(start, end, strict=True) if a == a and b == b))


def _text(place: Point) -> str:
    names = ("x", "y", "z")
    return "(" + ", ".join(f"{n} {v:g}" for n, v in zip(names, place, strict=True) if v == v) + ")"


def _step_refused(
    what: str, kind: str, length_um: float, limit: Range, start: Point, end: Point
) -> LimitRefused:
    return LimitRefused(
        f"{what}: a step of the {kind.removesuffix('_um')} of {length_um:g} um, from {_text(start)} to {_text(end)}. "
        f"Allowed: {limit.text} um ({limit.source}). Nothing was moved."
    )


def _in_zone(what: str, way: str, zone: Zone, more: str = "") -> LimitRefused:
    return LimitRefused(
        f"{what}: {way} the exclusion zone '{zone.name}': {zone.text} ({zone.source}).{more} Nothing was moved."
    )
