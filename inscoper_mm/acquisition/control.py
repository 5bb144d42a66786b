"""Stopping a run from outside: once to end after the current event, twice to end now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

StopBy = Literal["user", "script"]


class StopSwitch:
    """Asked by a signal handler, a script or another thread; looked at by the loop.

    ``by`` and ``reason`` tell who asked first. ``policy_error`` is the error with which a policy of the experiment
    has ended the run, and ``failure`` what broke beside the loop (a queued script, the disk); both are the first.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._now = threading.Event()
        self._when_now: list[Callable[[], None]] = []
        self.by: StopBy | None = None
        self.policy_error: BaseException | None = None
        self.failure: BaseException | None = None
        self.reason = ""

    @property
    def asked(self) -> bool:
        """Whether the run should end after the current event."""
        return self._asked.is_set()

    @property
    def now(self) -> bool:
        """Whether the run should end at once."""
        return self._now.is_set()

    def finish(self, by: StopBy, reason: str) -> None:
        """End the run after the current event and its decisions."""
        if not self.asked:
            self.by, self.reason = by, reason
        self._asked.set()

    def stop_now(self, reason: str) -> None:
        """End the run at once: running scripts are killed and the running event is aborted; data are still closed."""
        self.finish("user", reason)
        if not self._now.is_set():
            self._now.set()
            for action in self._when_now:
                action()

    def fail(self, error: BaseException) -> None:
        """End the run with ``error`` as soon as the loop looks; it may be waiting for a time point of next hour."""
        self.failure = self.failure or error
        self._asked.set()

    def blame(self, error: BaseException) -> None:
        """Note that a policy ends the run with ``error``."""
        self.policy_error = self.policy_error or error

    def when_now(self, action: Callable[[], None]) -> None:
        """Call ``action`` (quick, from any thread) when the run has to end at once."""
        self._when_now.append(action)

    def wait(self, seconds: float) -> bool:
        """Sleep for ``seconds``, or until a stop is asked; True if it was."""
        return self._asked.wait(max(0.0, seconds))
