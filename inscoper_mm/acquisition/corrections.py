"""Persistent corrections of stage and focus: added to planned positions when an event is submitted.

pycromanager sends the planned position with every event, so a move between two events is undone by the next one.
A correction is therefore kept here and changes the events themselves.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from inscoper_mm.errors import LimitRefused, short_path
from inscoper_mm.experiment.corrections import FOCUS_RULE, STAGE_RULE, CorrectionPolicy, CorrectionRule
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.limits import Axis

_DEFAULT = CorrectionPolicy()


@dataclass(frozen=True, slots=True)
class Offset:
    """A shift in micrometres."""

    x_um: float = 0.0
    y_um: float = 0.0
    z_um: float = 0.0

    def __add__(self, other: Offset) -> Offset:
        return Offset(self.x_um + other.x_um, self.y_um + other.y_um, self.z_um + other.z_um)

    def __bool__(self) -> bool:
        return bool(self.x_um or self.y_um or self.z_um)

    @property
    def stage_um(self) -> float:
        """The length of the shift of the stage."""
        return math.hypot(self.x_um, self.y_um)

    @property
    def focus_um(self) -> float:
        """The length of the shift of the focus."""
        return abs(self.z_um)

    def scaled(self, stage: float, focus: float) -> Offset:
        """The shift with the stage's part multiplied by ``stage`` and the focus's by ``focus``."""
        return Offset(self.x_um * stage, self.y_um * stage, self.z_um * focus)

    def to_dict(self) -> dict[str, float]:
        """The shift as JSON values."""
        return {"x": self.x_um, "y": self.y_um, "z": self.z_um}


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules made of a correction; ``notes`` tells what they changed."""

    asked: Offset
    offset: Offset
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A correction that no event carries yet."""

    script: str
    decided_at: str
    position: int | None


@dataclass(slots=True)
class _Sum:
    """A total, and the time points at which its parts were last confirmed by a correction."""

    offset: Offset = Offset()
    stage_time: int = 0
    focus_time: int = 0

    def at(self, time: int | None, policy: CorrectionPolicy) -> Offset:
        """The total for an event at ``time``; None: as it was at the last correction."""
        if time is None or not self.offset:
            return self.offset
        return self.offset.scaled(
            _left(policy.stage, time - self.stage_time), _left(policy.focus, time - self.focus_time)
        )

    def confirm(self, asked: Offset, time: int, policy: CorrectionPolicy) -> None:
        """A script has measured: what is left of the total now does not fade before the time point after next."""
        self.offset = self.at(time, policy)
        # What was not asked for goes on fading from here: the first time point was counted already.
        self.stage_time = max(self.stage_time, time if asked.stage_um else time - 1)
        self.focus_time = max(self.focus_time, time if asked.focus_um else time - 1)


def _left(rule: CorrectionRule, age: int) -> float:
    """The share of a total that is left ``age`` time points after its last correction; the first carries it whole."""
    return (1.0 - rule.decay) ** max(0, age - 1)


class Corrections:
    """The sum of all corrections, per stage position and for all of them. Thread-safe.

    Parameters
    ----------
    policy : CorrectionPolicy
        Dead band, gain, largest step, largest total and decay.
    source : str
        Where the policy was written down, for errors.
    """

    def __init__(self, policy: CorrectionPolicy = _DEFAULT, source: str = "the experiment") -> None:
        self._policy = policy
        self._source = source
        self._lock = threading.Lock()
        self._everywhere = _Sum()
        self._at: dict[int, _Sum] = {}
        self._waiting: list[Waiting] = []

    def decide(self, asked: Offset) -> Decision:
        """What the rules make of ``asked``: nothing below the dead band; else the gain, up to the largest step."""
        stage, stage_note = _follow("stage", self._policy.stage, asked.stage_um)
        focus, focus_note = _follow("focus", self._policy.focus, asked.focus_um)
        notes = tuple(note for note in (stage_note, focus_note) if note)
        return Decision(asked, asked.scaled(stage, focus), notes)

    def check_total(self, what: str, total: Offset) -> None:
        """Refuse a total that is longer than allowed.

        Raises
        ------
        LimitRefused
            Naming the limit, and the file and field that it comes from.
        """
        default = {"stage": STAGE_RULE, "focus": FOCUS_RULE}
        lengths = {"stage": total.stage_um, "focus": total.focus_um}
        for kind, rule in {"stage": self._policy.stage, "focus": self._policy.focus}.items():
            largest = rule.largest_total_um
            if largest is None or lengths[kind] <= largest:
                continue
            field = f"corrections.{kind}.largest_total_um"
            own = largest != default[kind].largest_total_um
            source = f"{field} in {self._source}" if own else f"the default of {field}"
            raise LimitRefused(
                f"{what}: the total correction of the {kind} would be {lengths[kind]:g} um. Allowed: {largest:g} um "
                f"({source}). Nothing was changed."
            )

    def add(
        self, decision: Decision, positions: Iterable[int] | None, script: str, event: str, time: int = 0
    ) -> None:
        """Add a correction for ``positions`` (None: for all); events submitted from now on carry it.

        Parameters
        ----------
        decision : Decision
        positions : iterable of int, or None
        script, event : str
            Who decided it, and at which event.
        time : int
            The time point of that event: from here the total's age is counted.
        """
        with self._lock:
            sums: dict[int | None, _Sum] = {None: self._everywhere} if positions is None else {}
            for position in positions or ():
                sums[position] = self._at.setdefault(position, _Sum())
            for place, total in sums.items():
                total.confirm(decision.asked, time, self._policy)
                if decision.offset:
                    total.offset += decision.offset
                    self._waiting.append(Waiting(script, event, place))

    def total(self, position: int, time: int | None = None) -> Offset:
        """The correction that an event at ``position`` carries at time point ``time`` (None: without decay)."""
        with self._lock:
            own = self._at.get(position, _Sum())
            return self._everywhere.at(time, self._policy) + own.at(time, self._policy)

    def take_waiting(self, position: int) -> list[Waiting]:
        """The corrections that an event at ``position`` is the first to carry; each is given out once."""
        with self._lock:
            mine = [waiting for waiting in self._waiting if waiting.position in (None, position)]
            self._waiting = [waiting for waiting in self._waiting if waiting not in mine]
            return mine

    def never_carried(self) -> list[Waiting]:
        """The corrections that no event carries so far."""
        with self._lock:
            return list(self._waiting)


def corrections_of(experiment: Experiment) -> Corrections:
    """The corrections of a run: none so far, under the experiment's rules."""
    source = short_path(experiment.source) if experiment.source else "the experiment"
    return Corrections(experiment.corrections, source)


def _follow(kind: str, rule: CorrectionRule, length_um: float) -> tuple[float, str]:
    """The factor for a correction of this length, and what was changed for which reason."""
    if not length_um:
        return 1.0, ""
    if length_um < rule.dead_band_um:
        return 0.0, f"{kind}: {length_um:g} um is below the dead band of {rule.dead_band_um:g} um and ignored"
    wanted = length_um * rule.gain
    if rule.largest_step_um is not None and wanted > rule.largest_step_um:
        note = f"{kind}: {wanted:g} um is shortened to the largest step of {rule.largest_step_um:g} um"
        return rule.largest_step_um / length_um, note
    return rule.gain, ""


def corrected(planned: StagePosition, offset: Offset) -> dict[Axis, float]:
    """The axes of ``planned`` that the plan sets, with the correction added."""
    axes: dict[Axis, float] = {}
    if planned.x_um is not None:
        axes["x_um"] = planned.x_um + offset.x_um
    if planned.y_um is not None:
        axes["y_um"] = planned.y_um + offset.y_um
    if planned.z_um is not None:
        axes["z_um"] = planned.z_um + offset.z_um
    return axes
