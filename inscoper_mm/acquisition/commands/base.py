"""The one way that every command of a script goes: the turn, the decision, the act, the audit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from inscoper_mm.acquisition.live import Live
from inscoper_mm.errors import CommandRefused, LimitRefused, StorageError
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index
from inscoper_mm.microscope.limits import Axis, finite_number
from inscoper_mm.records import Commanded, Logged

# Longer than any event may take: a command that waits this long waits for something that hangs.
COMMAND_LIMIT_S = 120.0

Target = dict[Axis, float]
# What a command would have done, for its refusals; the others move.
_DONE = {
    "acquire": "added",
    "correctPosition": "changed",
    "setChannel": "set",
    "setExposure": "set",
    "setInterval": "changed",
    "skip": "changed",
}


class Commander:
    """What the commands of one call of one script need: who asks, about which image, and the microscope.

    Parameters
    ----------
    live : Live
    script : str
        The script's name in this run.
    info : FrameInfo
        The new image of the call.
    frames : callable, optional
        Brings the frame of an index, from memory or from disk; raises StorageError where there is none.
    """

    def __init__(
        self, live: Live, script: str, info: FrameInfo, frames: Callable[[Index], Frame] | None = None
    ) -> None:
        self.live = live
        self.script = script
        self.info = info
        self._frames = frames
        self._revoked = threading.Event()

    @property
    def revoked(self) -> bool:
        """Whether the call is over."""
        return self._revoked.is_set()

    def revoke(self) -> None:
        """Refuse all later commands of this call."""
        self._revoked.set()

    def info_at(self, index: Index) -> FrameInfo:
        """What is known about an image that was captured before.

        Raises
        ------
        CommandRefused
            If it was not.
        """
        try:
            if self._frames is not None:
                return self._frames(index).info
        except StorageError:
            pass
        raise CommandRefused(f"The image {index} was not captured.")

    def now(self) -> float:
        """Seconds on the run's clock."""
        return self.live.stream.clock.now()

    def command(
        self,
        name: str,
        asked: Mapping[str, Any],
        decide: Callable[[], Any],
        act: Callable[[Any], Any],
        holds_from: str | None = None,
    ) -> Any:
        """Carry out a command that touches the hardware: under the turn, and recorded.

        Parameters
        ----------
        name : str
            The method, as the contract spells it.
        asked : mapping
            What the script asked for; JSON values.
        decide : callable
            Returns what will be commanded, or raises ``LimitRefused`` or ``CommandRefused``; moves nothing.
        act : callable
            Gets what ``decide`` returned, does it, and returns what was reached.
        holds_from : str, optional
            For the audit: the event from which a lasting change holds.

        Returns
        -------
        object
            What ``act`` returned.
        """
        asked_s = self.now()
        with self.live.turn.take(f"{name} by {self.script}", COMMAND_LIMIT_S):
            if self.revoked:
                raise CommandRefused(f"{name}: this call of {self.script} is over. Nothing was moved.")
            return self._record(name, asked, decide, act, asked_s, holds_from)

    def without_turn(
        self,
        name: str,
        asked: Mapping[str, Any],
        decide: Callable[[], Any],
        act: Callable[[Any], Any],
        holds_from: str | None = None,
    ) -> Any:
        """Like `command`, for what touches no hardware and must work while the engine hangs."""
        return self._record(name, asked, decide, act, self.now(), holds_from)

    def command_going_on(
        self,
        name: str,
        asked: Mapping[str, Any],
        decide: Callable[[], Any],
        act: Callable[[Any], Any],
        go_on: Callable[[Callable[[], None]], None],
    ) -> Any:
        """Like `command`, but returns what was decided; ``go_on`` gets the rest, to do it in a thread of its own.

        The turn is kept until that is over, so that nothing else touches the hardware meanwhile. A refusal is raised
        here; what fails later is recorded and logged.
        """
        asked_s = self.now()
        with ExitStack() as stack:
            stack.enter_context(self.live.turn.take(f"{name} by {self.script}", COMMAND_LIMIT_S))
            if self.revoked:
                raise CommandRefused(f"{name}: this call of {self.script} is over. Nothing was moved.")
            audit = self._audit(name, asked, asked_s, None)
            target = self._decided(audit, decide)

            def rest(held: ExitStack) -> None:
                with held:
                    try:
                        self._acted(audit, target, act)
                    except Exception as error:  # noqa: BLE001  (a thread border: nobody waits for it)
                        message = f"{name}: {type(error).__name__}: {error}"
                        self.live.stream.publish(Logged(message, "error", self.script, self.info.event_id))

            go_on(partial(rest, stack.pop_all()))
        return target

    def _record(
        self,
        name: str,
        asked: Mapping[str, Any],
        decide: Callable[[], Any],
        act: Callable[[Any], Any],
        asked_s: float,
        holds_from: str | None,
    ) -> Any:
        audit = self._audit(name, asked, asked_s, holds_from)
        return self._acted(audit, self._decided(audit, decide), act)

    def _audit(
        self, name: str, asked: Mapping[str, Any], asked_s: float, holds_from: str | None
    ) -> Commanded:
        return Commanded(
            self.script,
            self.info.event_id,
            name,
            dict(asked),
            "executed",
            asked_s=asked_s,
            turn_s=self.now(),
            holds_from=holds_from,
        )

    def _decided(self, audit: Commanded, decide: Callable[[], Any]) -> Any:
        try:
            return decide()
        except Exception as error:
            self._not_done(audit, error)
            raise

    def _acted(self, audit: Commanded, target: Any, act: Callable[[Any], Any]) -> Any:
        try:
            reached = act(target)
        except Exception as error:
            self._not_done(audit, error, target)
            raise
        self.live.stream.publish(replace(audit, commanded=target, reached=reached, done_s=self.now()))
        return reached

    def _not_done(self, audit: Commanded, error: Exception, target: Any = None) -> None:
        refused = isinstance(error, LimitRefused | CommandRefused)
        audit = replace(
            audit,
            decided="refused" if refused else "failed",
            commanded=None if refused else target,
            holds_from=None,
        )
        audit = replace(audit, message=str(error), error=type(error).__name__)
        self.live.stream.publish(replace(audit, done_s=self.now()))


def numbers(name: str, **values: object) -> None:
    """Refuse what cannot be added to a position; whether the sum is allowed is asked later."""
    for parameter, value in values.items():
        if finite_number(value) is None:
            raise LimitRefused(
                f"{name}: {parameter} must be a finite number. Got: {value!r:.100}. "
                f"Nothing was {_DONE.get(name, 'moved')}."
            )
