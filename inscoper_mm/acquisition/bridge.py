"""From a captured image to the scripts' decisions, and to the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inscoper_mm.acquisition.runner import Call, ScriptRunner
from inscoper_mm.acquisition.services import Services
from inscoper_mm.images.frame import Frame

# Disks that hang longer than this hang for ever.
DISK_LIMIT_S = 120.0

Wanted = Sequence[tuple[ScriptRunner, Call]]


class Bridge:
    """Stores images and offers them to the scripts, in the scripts' order.

    Parameters
    ----------
    services : Services
    runners : sequence of ScriptRunner
    write_truth : callable
        Gets each stored image; writes what was really to be seen, where there is a specimen and somebody asked.
    """

    def __init__(
        self, services: Services, runners: Sequence[ScriptRunner], write_truth: Callable[[Frame], None]
    ) -> None:
        self._services = services
        self._runners = runners
        self._write_truth = write_truth

    def store(self, frame: Frame) -> None:
        """Hand ``frame`` to the writer, and keep it for scripts that ask for it later."""
        self._services.cache.add(frame)
        self._services.writer.put(frame, DISK_LIMIT_S)
        self._write_truth(frame)

    def ask(self, frame: Frame) -> Wanted:
        """Ask every provider about ``frame``; the calls to make. Their images must be stored before."""
        asked = [(runner, runner.ask(frame)) for runner in self._runners]
        return [(runner, call) for runner, call in asked if call is not None]

    def answer(self, wanted: Wanted) -> None:
        """Make the calls: at once, or in their scripts' queues."""
        for runner, call in wanted:
            runner.take(call)

    @property
    def idle(self) -> bool:
        """Whether no script is at work, and no call waits."""
        return all(runner.idle for runner in self._runners)

    def finish(self) -> None:
        """Wait for the calls that are still queued.

        Raises
        ------
        BaseException
            The error of a script whose policy is ``abort``.
        """
        for runner in self._runners:
            runner.finish()
            runner.raise_error()
