"""What all scripts of a run share: the microscope, the turn at it, and the rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.corrections import Corrections
from inscoper_mm.acquisition.fates import Fates
from inscoper_mm.acquisition.firing import Firing
from inscoper_mm.acquisition.focus_lock import FocusLock
from inscoper_mm.acquisition.focus_use import NO_FOCUS_LOCK, NoFocusLock
from inscoper_mm.acquisition.one_off_light import OneOffLight
from inscoper_mm.acquisition.questions import Questions
from inscoper_mm.acquisition.schedule import Schedule
from inscoper_mm.errors import CommandRefused
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.microscope.live_devices import SubDevices
from inscoper_mm.microscope.objectives import Objectives
from inscoper_mm.microscope.turn import Turn
from inscoper_mm.stream import Stream


@dataclass(slots=True)
class OneOffMoves:
    """Which script has moved stage and focus since the last event: a second one would undo the first."""

    owners: dict[Axis, str] = field(default_factory=dict)

    def claim(self, script: str, axes: Iterable[Axis]) -> None:
        """Reserve ``axes`` for ``script`` until the next event.

        Raises
        ------
        CommandRefused
            If another script has moved one of them since the last event.
        """
        for axis in axes:
            owner = self.owners.setdefault(axis, script)
            if owner != script:
                raise CommandRefused(
                    f"{script} and {owner} both move {axis.removesuffix('_um')} before the same event; "
                    f"{owner} was first. Let one of them use correctPosition(), or put them in one script."
                )

    def forget(self) -> None:
        """A planned event was submitted: the plan decides where the devices go."""
        self.owners.clear()


@dataclass(frozen=True, slots=True)
class Live:
    """What the commands of all scripts share."""

    microscope: Microscope
    turn: Turn
    limits: Guard
    corrections: Corrections
    planned: Mapping[int, Sequence[StagePosition]]
    position_names: Mapping[str, int]
    stream: Stream
    stop: StopSwitch
    devices: SubDevices
    objectives: Objectives
    schedule: Schedule
    fates: Fates
    one_off: OneOffMoves = field(default_factory=OneOffMoves)
    one_off_light: OneOffLight = field(default_factory=OneOffLight)
    focus_lock: FocusLock | NoFocusLock = NO_FOCUS_LOCK
    firing: Firing | None = None
    questions: Questions = field(default_factory=Questions)
