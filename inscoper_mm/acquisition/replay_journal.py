"""What the journal of a run says that a replay needs: what was lost, what was answered, what was commanded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inscoper_mm.acquisition.sameness import same
from inscoper_mm.errors import CommandRefused, DeviceError, InscoperError, LimitRefused
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.output.journal import read_journal

Call = tuple[str, str]
_ERRORS: Mapping[str, type[InscoperError]] = {"LimitRefused": LimitRefused, "CommandRefused": CommandRefused}
_DEFAULT: Mapping[str, type[InscoperError]] = {"refused": CommandRefused, "failed": DeviceError}


def error_of(name: str, message: str, default: type[InscoperError] = CommandRefused) -> InscoperError:
    """The error of this name and message, as the journal has them."""
    return _ERRORS.get(name, default)(message)


@dataclass(frozen=True, slots=True)
class RecordedCommand:
    """A command as the journal has it; ``fired`` is the record of the light that it gave."""

    name: str
    asked: Mapping[str, Any]
    decided: str
    commanded: Mapping[str, Any] | None = None
    reached: Mapping[str, Any] | None = None
    message: str = ""
    error: str = ""
    fired: Mapping[str, Any] | None = None

    def raise_if_refused(self) -> None:
        """Raise what the command raised in the run.

        Raises
        ------
        LimitRefused, CommandRefused
            It was refused.
        DeviceError
            It failed.
        """
        if self.decided in _DEFAULT:
            raise error_of(self.error, self.message, _DEFAULT[self.decided])


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """What a question of a script was answered; ``number`` counts what its call had asked before."""

    name: str
    asked: Mapping[str, Any]
    answer: Any
    number: int
    message: str = ""
    error: str = ""


@dataclass(slots=True)
class RunRecord:
    """The journal of a run, sorted for a replay.

    Attributes
    ----------
    planned : dict of Index to Sizes
        Every image that was planned or added.
    lost : list of (event, indices)
        The captured images in order, each with those that were lost before it.
    bursts : dict of str to str
        Event -> the first event of its burst.
    commands : dict
        (script, event) -> its commands in order.
    answers : dict
        script -> (event, answer) in order.
    """

    planned: dict[Index, Sizes] = field(default_factory=dict)
    lost: list[tuple[str, tuple[Index, ...]]] = field(default_factory=list)
    bursts: dict[str, str] = field(default_factory=dict)
    commands: dict[Call, list[RecordedCommand]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, list[tuple[str, RecordedAnswer]]] = field(default_factory=lambda: defaultdict(list))
    added: set[Index] = field(default_factory=set)


def read_run(journal: Path) -> RunRecord:
    """Read the journal of a run, also of one that was killed.

    Raises
    ------
    InvalidInput
        It is no journal.
    """
    run, waiting = RunRecord(), _Waiting()
    for line in read_journal(journal):
        take = _TAKE.get(line.get("type", ""))
        if take is not None:
            take(run, waiting, line)
    return run


@dataclass(slots=True)
class _Waiting:
    """What belongs to a record that comes later."""

    lost: list[Index] = field(default_factory=list)
    fired: dict[Call, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))


def _planned(run: RunRecord, waiting: _Waiting, line: Mapping[str, Any]) -> None:
    index = Index(**line["index"])
    run.planned[index] = Sizes(**line["sizes"])
    if line.get("added_by") is not None:
        run.added.add(index)


def _submitted(run: RunRecord, waiting: _Waiting, line: Mapping[str, Any]) -> None:
    if line.get("burst") is not None:
        run.bursts[line["event"]] = line["burst"]


def _captured(run: RunRecord, waiting: _Waiting, line: Mapping[str, Any]) -> None:
    run.lost.append((line["event"], tuple(waiting.lost)))
    waiting.lost.clear()


def _skipped(run: RunRecord, waiting: _Waiting, line: Mapping[str, Any]) -> None:
    waiting.lost.append(Index(**line["index"]))


def _fired(run: RunRecord, waiting: _Waiting, line: Mapping[str, Any]) -> None:
    waiting.fired[line["script"], line["event"]].append(line)


def _commanded(run: RunRecord, waiting: _Waiting, line: Mapping[str, Any]) -> None:
    call = line["script"], line["event"]
    # Light is told of just before the command that gave it.
    fired = waiting.fired[call].pop() if line["name"] == "fireOnDemand" and waiting.fired[call] else None
    run.commands[call].append(
        RecordedCommand(
            line["name"],
            line["asked"],
            line["decided"],
            line.get("commanded"),
            line.get("reached"),
            line.get("message", ""),
            line.get("error", ""),
            fired,
        )
    )


def _answered(run: RunRecord, waiting: _Waiting, line: Mapping[str, Any]) -> None:
    answer = RecordedAnswer(
        line["name"],
        line["asked"],
        line.get("answer"),
        line["number"],
        line.get("message", ""),
        line.get("error", ""),
    )
    run.answers[line["script"]].append((line["event"], answer))


_TAKE = {
    "planned": _planned,
    "submitted": _submitted,
    "captured": _captured,
    "event_skipped": _skipped,
    "fired": _fired,
    "commanded": _commanded,
    "answered": _answered,
}


class Recorded:
    """The commands of one call as the run had them, each taken once."""

    def __init__(self, commands: list[RecordedCommand]) -> None:
        self._left = list(commands)

    def take(self, name: str, asked: Mapping[str, Any]) -> RecordedCommand | None:
        """The next recorded command that asked for the same; None if there is none."""
        for at, command in enumerate(self._left):
            if command.name == name and same(command.asked, asked):
                return self._left.pop(at)
        return None


class Answers:
    """What the questions of one script were answered. Unchanged answers are in the journal once."""

    def __init__(self, recorded: list[tuple[str, RecordedAnswer]], events: Mapping[str, int]) -> None:
        self._recorded: dict[str, list[tuple[tuple[int, int], RecordedAnswer]]] = defaultdict(list)
        for event, answer in recorded:
            at = events.get(event)
            if at is not None:
                self._recorded[answer.name].append(((at, answer.number), answer))
        self._events = events

    def find(self, name: str, asked: Mapping[str, Any], event: str, number: int) -> RecordedAnswer | None:
        """The answer that held when the call about ``event`` asked its question ``number``."""
        now = (self._events.get(event, -1), number)
        return next(self._before(name, asked, now), None)

    def _before(self, name: str, asked: Mapping[str, Any], now: tuple[int, int]) -> Iterator[RecordedAnswer]:
        for at, answer in reversed(self._recorded.get(name, ())):
            if at <= now and same(answer.asked, asked):
                yield answer
