"""``status.json``: what the run does now, replaced whole at most twice a second, with a heartbeat."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inscoper_mm.output.counts import Counters
from inscoper_mm.output.files import write_whole

FORMAT = 1


class StatusFile:
    """Writes the status at once, then every ``period_s`` until ``close``, in a thread of its own.

    Parameters
    ----------
    path : Path
    counters : Counters
        Where the numbers are.
    now : callable
        The run's clock, in seconds.
    last_error : callable, optional
        ``last_error()`` is the run's latest error as a mapping, or None.
    period_s : float

    Notes
    -----
    A status that cannot be written (a full disk; on Windows a reader that has the file open) is tried again at
    the next beat and never raised: the run does not depend on it.
    """

    def __init__(
        self,
        path: Path,
        counters: Counters,
        now: Callable[[], float],
        last_error: Callable[[], dict[str, Any] | None] = lambda: None,
        period_s: float = 0.5,
    ) -> None:
        self._path = path
        self._counters = counters
        self._now = now
        self._last_error = last_error
        self._period_s = period_s
        self._end = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._beat, name="inscoper-mm status")
        self._thread.start()

    def close(self, limit_s: float = 5.0) -> None:
        """Write the last status and end the thread; may be called again."""
        self._end.set()
        self._thread.join(limit_s)

    def _beat(self) -> None:
        written = time.monotonic()
        while not self._end.wait(self._period_s):
            self._write()
            written = time.monotonic()
            if not threading.main_thread().is_alive():
                return  # nobody is left who would call close
        # Readers are promised that the file is not replaced more often than this, the last time included.
        time.sleep(max(0.0, written + self._period_s - time.monotonic()))
        self._write(attempts=20)

    def _write(self, attempts: int = 1) -> None:
        with contextlib.suppress(OSError):
            write_whole(self._path, json.dumps(self.content(), indent=1) + "\n", attempts)

    def content(self) -> dict[str, Any]:
        """The status as it is now."""
        counters = self._counters
        left_s = counters.time_left_s
        return {
            "format": FORMAT,
            "name": counters.name,
            "state": counters.state,
            "pid": os.getpid(),
            "heartbeat_utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "heartbeat_s": self._period_s,
            "elapsed_s": round(self._now(), 3),
            "time_left_s": None if left_s is None else round(left_s, 1),
            "counts": counters.counts,
            "warnings": counters.warnings,
            "last_decision": counters.last_decision,
            "last_error": self._last_error(),
        }
