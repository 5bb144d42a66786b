"""The one way that every command of a script goes: the turn, the decision, the act, the audit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from inscoper_mm.acquisition.live import Live
from inscoper_mm.errors import CommandRefused, LimitRefused, StorageError
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index
from inscoper_mm.microscope.limits import Axis, Limits
from inscoper_mm.records import Commanded

# Longer than any event may take: a command that waits this long waits for something that hangs.
COMMAND_LIMIT_S = 120.0

Target = dict[Axis, float]


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

    def _record(
        self,
        name: str,
        asked: Mapping[str, Any],
        decide: Callable[[], Any],
        act: Callable[[Any], Any],
        asked_s: float,
        holds_from: str | None,
    ) -> Any:
        audit = Commanded(
            self.script,
            self.info.event_id,
            name,
            dict(asked),
            "executed",
            asked_s=asked_s,
            turn_s=self.now(),
            holds_from=holds_from,
        )
        publish = self.live.stream.publish
        target: Any = None
        try:
            target = decide()
            reached = act(target)
        except Exception as error:
            if isinstance(error, LimitRefused | CommandRefused):
                audit = replace(audit, decided="refused", holds_from=None)
            else:
                audit = replace(audit, decided="failed", commanded=target, holds_from=None)
            publish(replace(audit, done_s=self.now(), message=str(error)))
            raise
        publish(replace(audit, commanded=target, reached=reached, done_s=self.now()))
        return reached


def numbers(name: str, **values: object) -> None:
    """Refuse what cannot be added to a position; whether the sum is allowed is asked later."""
    for parameter, value in values.items():
        Limits().check(f"{name}({parameter})", {"x_um": value})
