"""Closing what a run has opened: everything, in reverse order; the first error is the one that is told."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Closing:
    """A stack of closing steps.

    Unlike `contextlib.ExitStack`, a later failure never hides an earlier one: ``error`` is the first.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []
        self.error: BaseException | None = None
        self.failures: list[str] = []

    def add(self, what: str, step: Callable[[], object]) -> None:
        """Do ``step`` when the run is closed; ``what`` names it if it fails."""
        self._steps.append((what, step))

    def run(self) -> None:
        """Do every step, the last added first."""
        while self._steps:
            what, step = self._steps.pop()
            self.attempt(what, step)

    def attempt(self, what: str, step: Callable[[], object]) -> None:
        """Do one step; a failure is kept and does not stop the others."""
        try:
            step()
        except BaseException as error:  # noqa: BLE001  (kept for the caller; the other steps must still be done)
            self.failures.append(f"{what}: {error}")
            self.keep(error)

    def keep(self, error: BaseException) -> None:
        """Keep ``error`` if it is the first."""
        self.error = self.error or error


def ends_within(limit_s: float, action: Callable[[], object]) -> bool:
    """Do ``action`` in a thread of its own; False if it has not ended after ``limit_s``.

    Raises
    ------
    BaseException
        What ``action`` raised.
    """
    closing = Closing()
    thread = threading.Thread(target=closing.attempt, args=("", action), daemon=True)
    thread.start()
    thread.join(limit_s)
    if closing.error is not None:
        raise closing.error
    return not thread.is_alive()
