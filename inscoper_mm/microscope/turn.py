"""The turn: the one lock that says who may touch the hardware.

The loop holds it from submitting an event until the engine has finished with it, and never while it waits for a
decision or a due time; a script's command takes it in between. It is handed over in the order of asking, so that a
loop that submits event after event cannot starve a command.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from inscoper_mm.errors import CommandRefused


@dataclass(slots=True, eq=False)
class _Ticket:
    who: str
    handed_over: threading.Event = field(default_factory=threading.Event)


class Turn:
    """A fair lock with a time limit and the name of its holder."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._holder: str | None = None
        self._waiting: deque[_Ticket] = deque()

    @property
    def holder(self) -> str | None:
        """Who has the turn now."""
        return self._holder

    @contextmanager
    def take(self, who: str, limit_s: float) -> Iterator[None]:
        """Hold the turn for the body.

        Parameters
        ----------
        who : str
            Named in the error of others that wait in vain.
        limit_s : float
            Longest wait.

        Raises
        ------
        CommandRefused
            If the turn did not come within ``limit_s``.
        """
        self._acquire(who, limit_s)
        try:
            yield
        finally:
            self._release()

    def _acquire(self, who: str, limit_s: float) -> None:
        with self._guard:
            if self._holder is None and not self._waiting:
                self._holder = who
                return
            ticket = _Ticket(who)
            self._waiting.append(ticket)
        if ticket.handed_over.wait(limit_s):
            return
        with self._guard:
            if ticket.handed_over.is_set():  # it came between the limit and this line
                return
            self._waiting.remove(ticket)
            holder = self._holder
        raise CommandRefused(
            f"{who} did not get the turn at the hardware within {limit_s:g} s: {holder} has it. Nothing was moved."
        )

    def _release(self) -> None:
        with self._guard:
            if self._waiting:
                ticket = self._waiting.popleft()
                self._holder = ticket.who
                ticket.handed_over.set()
            else:
                self._holder = None
