"""``IIS_CONTEXT`` in a replay: commands are written down, nothing moves, questions are answered from the recording."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from inscoper_mm.acquisition.commands.fire import asked_fire
from inscoper_mm.acquisition.context import METHODS
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.replay_decide import ACTS, Decided, note_correction
from inscoper_mm.acquisition.replay_journal import Answers, Recorded, RecordedCommand, RunRecord, error_of
from inscoper_mm.acquisition.replay_known import Known
from inscoper_mm.acquisition.replay_plan import CHANGES
from inscoper_mm.acquisition.replay_questions import QUESTIONS
from inscoper_mm.acquisition.replay_returns import returned
from inscoper_mm.errors import CommandRefused, InscoperError, LimitRefused, one_of
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index
from inscoper_mm.images.jsonable import json_safe
from inscoper_mm.records import Commanded, Logged
from inscoper_mm.stream import Stream

_DECIDE = {**ACTS, **CHANGES}
NOT_EXECUTED = "recorded, not executed"


@dataclass(slots=True)
class Standing:
    """Where things would stand after the commands of a call; None: as at the image."""

    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    channel: str | None = None
    exposure_ms: float | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What all calls of a replay share.

    Parameters
    ----------
    known : Known
    run : RunRecord
        The journal of the run that is replayed; empty for foreign data.
    answers : mapping of str to Answers
        By script.
    stream : Stream
    stop : StopSwitch
    frames : callable
        Brings the frame of an index; raises StorageError where there is none.
    """

    known: Known
    run: RunRecord
    answers: Mapping[str, Answers]
    stream: Stream
    stop: StopSwitch
    frames: Callable[[Index], Frame]
    published: dict[str, Any] = field(default_factory=dict)


class ReplayCommands:
    """The commands of one call of one script in a replay.

    A command that the run had, too, gets the answer that it got there. Any other is checked as far as that can be
    done without a microscope, and gets the answer that a command gets that does exactly what it was asked.
    """

    def __init__(self, shared: Replayed, script: str, info: FrameInfo) -> None:
        self.shared = shared
        self.script = script
        self.info = info
        self.standing = Standing()
        self.command_s = 0.0
        self.as_recorded = True
        self._recorded = Recorded(shared.run.commands.get((script, info.event_id), []))
        self._asked = 0
        self._revoked = threading.Event()

    def revoke(self) -> None:
        """Refuse all later commands of this call."""
        self._revoked.set()

    def log(self, level: str, text: str) -> None:
        """A line of the script for the log."""
        self.shared.stream.publish(Logged(text, level, self.script, self.info.event_id))

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Write the command down, or answer the question, and return what the context returns.

        Raises
        ------
        LimitRefused, CommandRefused
            As in the run; or the recording does not have the answer.
        """
        if self._revoked.is_set():
            raise CommandRefused(f"{name}: this call of {self.script} is over.")
        if name not in METHODS:
            raise CommandRefused(f"IIS_CONTEXT has no {name}() in this version. Allowed: {one_of(METHODS)}.")
        try:
            bound = inspect.signature(METHODS[name]).bind(self, *args, **kwargs)
        except TypeError as error:
            raise CommandRefused(f"{name}: {error}") from error
        bound.apply_defaults()
        values = dict(list(bound.arguments.items())[1:])
        begin = self._now()
        number, self._asked = self._asked, self._asked + 1
        try:
            if name in QUESTIONS:
                return self._answer(name, values, number)
            return self._command(name, values)
        finally:
            self.command_s += self._now() - begin

    def _now(self) -> float:
        return self.shared.stream.clock.now()

    # -- questions

    def _answer(self, name: str, values: dict[str, Any], number: int) -> Any:
        answers = self.shared.answers.get(self.script)
        # What the run answered holds for as long as the script has done what it did there.
        if answers is not None and self.as_recorded:
            found = answers.find(name, json_safe(values), self.info.event_id, number)
            if found is not None:
                if found.error:
                    raise error_of(found.error, found.message)
                return tuple(found.answer) if name == "getStagePosition" else found.answer
        return QUESTIONS[name](self, **values)

    # -- commands

    def _command(self, name: str, values: dict[str, Any]) -> Any:
        asked = json_safe(_ASKED.get(name, dict)(values))
        recorded = self._recorded.take(name, asked)
        if recorded is not None:
            return self._as_recorded(name, asked, recorded)
        self.as_recorded = False
        try:
            decided = _DECIDE[name](self, **values)
        except (LimitRefused, CommandRefused) as error:
            self._write(name, asked, "refused", Decided(None), error)
            raise
        self._write(name, asked, "recorded", decided)
        return decided.returned

    def _as_recorded(self, name: str, asked: Mapping[str, Any], recorded: RecordedCommand) -> Any:
        decided = Decided(None, recorded.commanded, recorded.reached)
        try:
            recorded.raise_if_refused()
        except InscoperError as error:
            self._write(name, asked, recorded.decided, decided, error)
            raise
        answer = returned(recorded, self.shared.known.aliases)
        self._write(name, asked, "recorded", decided)
        self._note(name, asked, recorded.reached or {})
        return answer

    def _note(self, name: str, asked: Mapping[str, Any], reached: Mapping[str, Any]) -> None:
        """Keep what later commands need to know."""
        standing, known = self.standing, self.shared.known
        for axis in ("x_um", "y_um", "z_um"):
            if name != "acquire" and axis in reached:
                setattr(standing, axis, reached[axis])
        standing.channel = reached.get("config", standing.channel)
        standing.exposure_ms = reached.get("ms", reached.get("exposure", standing.exposure_ms))
        if name == "set" and "value" in reached:
            standing.values[str(asked["id"])] = reached["value"]
        if name == "correctPosition":
            note_correction(self, asked)
        if name == "acquire":
            known.requests += 1
            known.images_added += int(reached.get("images", 0))

    def _write(
        self,
        name: str,
        asked: Mapping[str, Any],
        fate: Any,
        decided: Decided,
        error: Exception | None = None,
    ) -> None:
        now = self._now()
        self.shared.stream.publish(
            Commanded(
                self.script,
                self.info.event_id,
                name,
                asked,
                fate,
                commanded=None if fate == "refused" else decided.commanded,
                reached=decided.reached if error is None else None,
                asked_s=now,
                turn_s=now,
                done_s=now,
                message=NOT_EXECUTED if error is None else str(error),
            )
        )


def _asked_center(values: Mapping[str, Any]) -> dict[str, Any]:
    asked = {"row": values["row"], "col": values["col"]}
    return asked | ({"image": dict(values["image"])} if isinstance(values["image"], Mapping) else {})


def _asked_channel(values: Mapping[str, Any]) -> dict[str, Any]:
    channel = values["channel"]
    return dict(channel) if isinstance(channel, Mapping) else {"config": channel}


# What the journal has as asked; where nothing stands here, the arguments by name.
_ASKED: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "centerOn": _asked_center,
    "setChannel": _asked_channel,
    "fireOnDemand": lambda values: asked_fire(**values),
}
