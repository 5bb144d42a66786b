"""What pycromanager's threads print goes to the run's log, not over the progress bar."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

# pycromanager's own threads, by the beginning of their names; the numbered ones are named after their function.
_PREFIXES = (
    "Acquisition Engine Thread",
    "Acq Eng event generator",
    "NotificationDispatcher",
    "StorageMonitor",
)
_SUFFIXES = ("(submit_events)", "(_process)", "(saving_thread)", "(run)")


class _Router(io.TextIOBase):
    """A stream that sends the lines of the engine's threads elsewhere."""

    def __init__(self, stream: TextIO, sink: Callable[[str], None]) -> None:
        self._stream = stream
        self._sink = sink

    def write(self, text: str) -> int:
        name = threading.current_thread().name
        if name.startswith(_PREFIXES) or name.endswith(_SUFFIXES):
            if line := text.strip("\n"):
                self._sink(line)
            return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


@contextmanager
def engine_output_to(sink: Callable[[str], None]) -> Iterator[None]:
    """Send each line that pycromanager's threads print to ``sink`` while the body runs."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Router(out, sink), _Router(err, sink)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
