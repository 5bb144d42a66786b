"""The typed events of a run: plain JSON values only, so that each is one line of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

Json = Any
EventFate = Literal["stored", "skipped", "failed"]
CallFate = Literal["done", "gated", "dropped", "failed"]


@dataclass(frozen=True, slots=True)
class Record:
    """Base of all records; ``kind`` is the ``type`` of the journal line."""

    kind: ClassVar[str] = "record"

    def to_dict(self) -> dict[str, Json]:
        """The record as JSON values, ``type`` first, without fields that are None."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"type": self.kind} | {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RunStarted(Record):
    """The first record of a run; ``utc`` is the wall clock's time at second 0 of ``clock``."""

    kind: ClassVar[str] = "run_started"
    name: str
    planned: int
    scripts: tuple[str, ...]
    clock: str
    utc: str


@dataclass(frozen=True, slots=True)
class ScriptReady(Record):
    """A script is loaded and warm."""

    kind: ClassVar[str] = "script_ready"
    script: str
    place: str
    seconds: float
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class Planned(Record):
    """An event of the plan; written before the first image, or when a script (``added_by``) adds one.

    ``added_at`` is the event of the image at which the script asked for it; ``label`` is the script's own.
    """

    kind: ClassVar[str] = "planned"
    event: str
    index: Mapping[str, int]
    sizes: Mapping[str, int]
    due_s: float | None = None
    added_by: str | None = None
    added_at: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted(Record):
    """The event goes to the engine; ``correction_um`` is what was added to the planned position.

    ``burst`` is the id of the first event of the burst that the event is part of.
    """

    kind: ClassVar[str] = "submitted"
    event: str
    attempt: int = 1
    position_um: Mapping[str, float | None] = field(default_factory=dict)
    correction_um: Mapping[str, float] | None = None
    late_s: float = 0.0
    burst: str | None = None


@dataclass(frozen=True, slots=True)
class Captured(Record):
    """The image is in memory."""

    kind: ClassVar[str] = "captured"
    event: str
    index: Mapping[str, int]
    exposure_end_s: float
    arrived_s: float
    real_um: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored(Record):
    """The image is on disk and in the index; from here on nothing can lose it."""

    kind: ClassVar[str] = "stored"
    event: str
    index: Mapping[str, int]
    file: str


@dataclass(frozen=True, slots=True)
class EventSkipped(Record):
    """A planned event that will not be acquired; ``by`` is the script that wanted it so."""

    kind: ClassVar[str] = "event_skipped"
    event: str
    index: Mapping[str, int]
    reason: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class StackIncomplete(Record):
    """The last slice of a stack could not be taken."""

    kind: ClassVar[str] = "stack_incomplete"
    event: str
    index: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Decided(Record):
    """What became of one image at one script.

    ``requests`` are the indices of the fetched images; ``ms`` the latency of each stage, from the end of the exposure
    as far as it is known: ``bridge provider fetch process command settled``.
    """

    kind: ClassVar[str] = "decided"
    event: str
    script: str
    fate: CallFate
    requests: tuple[str, ...] = ()
    processors: tuple[str, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict)
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Injected(Record):
    """The script's values were written: into the image's own block, or beside it where they did not fit."""

    kind: ClassVar[str] = "injected"
    event: str
    script: str
    keys: tuple[str, ...]
    where: Literal["image", "side_file"]


@dataclass(frozen=True, slots=True)
class Warned(Record):
    """A script says when not to trust what it found; each text is a fixed phrase, a colon, and numbers."""

    kind: ClassVar[str] = "warned"
    script: str
    event: str
    index: Mapping[str, int]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Commanded(Record):
    """A command of a script: what was asked, decided, sent, reached, and when; ``error`` is the class of its error."""

    kind: ClassVar[str] = "commanded"
    script: str
    event: str
    name: str
    asked: Mapping[str, Json]
    decided: Literal["executed", "refused", "failed", "recorded"]
    commanded: Mapping[str, Json] | None = None
    reached: Mapping[str, Json] | None = None
    asked_s: float = 0.0
    turn_s: float = 0.0
    done_s: float = 0.0
    holds_from: str | None = None
    message: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Answered(Record):
    """What a script's question to the microscope was answered, where that differs from the answer before.

    ``number`` counts what the call had asked and commanded before. Refused: ``error`` and ``message`` instead.
    """

    kind: ClassVar[str] = "answered"
    script: str
    event: str
    name: str
    asked: Mapping[str, Json]
    number: int
    answer: Json = None
    message: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Corrected(Record):
    """A script corrected a position (``None``: all); what it added holds for every event submitted later.

    ``asked_um`` is what the script asked for and ``offset_um`` what was added; ``note`` says why they differ.
    """

    kind: ClassVar[str] = "corrected"
    script: str
    event: str
    position: int | None
    offset_um: Mapping[str, float]
    total_um: Mapping[str, float]
    asked_um: Mapping[str, float] | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class CorrectionApplied(Record):
    """The first event that carries a correction."""

    kind: ClassVar[str] = "correction_applied"
    event: str
    decided_at: str
    script: str


@dataclass(frozen=True, slots=True)
class Autofocused(Record):
    """What the hardware autofocus did before or after an event.

    ``holds`` or ``found`` the focus, was ``shifted`` by its offset, ``suspended`` for a stack and ``resumed`` after it,
    or ``lost`` the focus; then ``action`` is retry, continue, skip_event or abort.
    """

    kind: ClassVar[str] = "autofocus"
    event: str | None
    did: Literal["holds", "found", "shifted", "suspended", "resumed", "lost"]
    z_um: float | None = None
    offset: float | None = None
    attempt: int = 1
    action: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Fired(Record):
    """Light was fired: what was really fired, also where it failed or was ended early (then ``complete`` is false).

    ``regions`` has for each region its type, its points in pixels of the image ``frame`` (row, col), the light it got
    and its area. ``dose`` is that of this fire, ``dose_at_position`` that of its stage position since the run began.
    """

    kind: ClassVar[str] = "fired"
    script: str
    event: str
    frame: str
    index: Mapping[str, int]
    position: int
    sub_device: str
    light: str | None
    power: float | None
    power_mw: float | None
    fill: str | None
    spot_px: float | None
    repetitions: int
    regions: tuple[Mapping[str, Json], ...]
    begin_s: float
    end_s: float
    complete: bool
    dose: Mapping[str, float]
    dose_at_position: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StateSaved(Record):
    """A script's state after an accepted call."""

    kind: ClassVar[str] = "state"
    script: str
    event: str
    position: int
    state: Mapping[str, Json]
    run_state: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ScriptFailed(Record):
    """A script call failed; what the policy made of it is ``action``."""

    kind: ClassVar[str] = "script_failed"
    script: str
    event: str
    index: Mapping[str, int]
    function: str
    fault: str
    message: str
    action: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class DeviceFailed(Record):
    """An event failed in the hardware; ``action`` is retry, skip_event or abort."""

    kind: ClassVar[str] = "device_failed"
    event: str
    index: Mapping[str, int]
    attempt: int
    message: str
    action: str
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Logged(Record):
    """A line for the run's log, with the image and the script it belongs to where there is one."""

    kind: ClassVar[str] = "log"
    message: str
    level: str = "info"
    script: str | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True)
class StopAsked(Record):
    """Somebody asked the run to end."""

    kind: ClassVar[str] = "stop_asked"
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetBack(Record):
    """How the microscope was left when the run was over.

    ``lights`` has the state of every light and shutter; ``changed`` what was set back, each with what it was
    ``found`` at and ``set_to``; ``failed`` what could not be done, and why; ``position_um`` where stage and focus
    are, and ``moved`` which of them went there at the end.
    """

    kind: ClassVar[str] = "set_back"
    lights: Mapping[str, str]
    changed: Mapping[str, Mapping[str, Json]]
    failed: Mapping[str, str]
    position_um: Mapping[str, float | None]
    moved: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunEnded(Record):
    """The last record of a run."""

    kind: ClassVar[str] = "run_ended"
    state: Literal["completed", "stopped", "aborted", "failed"]
    reason: str | None = None
