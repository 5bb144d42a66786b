"""What a script prints, logs and warns, taken to the sink of the call that it belongs to.

The streams, the root logger and the warnings of a process are shared by its threads: while at least one capture is
installed they look up the sink of the thread they are used in. Other threads are not touched.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

Sink = Callable[[str, str], None]
"""``sink(level, line)``."""


class _Lines:
    """Makes whole lines of what is written; one for each call and stream."""

    def __init__(self, sink: Sink, level: str) -> None:
        self._sink = sink
        self._level = level
        self._open = ""

    def write(self, text: str) -> None:
        *whole, self._open = (self._open + text).split("\n")
        for line in whole:
            self._emit(line)

    def finish(self) -> None:
        self._emit(self._open)
        self._open = ""

    def _emit(self, line: str) -> None:
        # A progress bar goes back to the start of its line: what it showed last counts.
        shown = line.rstrip().rsplit("\r", 1)[-1]
        if shown:
            self._sink(self._level, shown)


class _Captured:
    """A sink with a line maker for each stream."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.streams = {"stdout": _Lines(sink, "info"), "stderr": _Lines(sink, "warning")}

    def finish(self) -> None:
        for lines in self.streams.values():
            lines.finish()


_by_thread: dict[int, _Captured] = {}
_default: list[_Captured] = []


def _captured() -> _Captured | None:
    found = _by_thread.get(threading.get_ident())
    return found if found is not None or not _default else _default[-1]


class _Stream:
    """Stands for sys.stdout or sys.stderr."""

    def __init__(self, name: str, original: TextIO) -> None:
        self._name = name
        self.original = original

    def write(self, text: str) -> int:
        captured = _captured()
        if captured is None:
            return self.original.write(text)
        captured.streams[self._name].write(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if _captured() is None:
            self.original.flush()

    def isatty(self) -> bool:
        return _captured() is None and self.original.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        captured = _captured()
        if captured is not None:
            captured.sink(record.levelname.lower(), self.format(record))


class _Installation:
    """What is changed in the process while at least one capture is installed, and how to change it back."""

    def __init__(self) -> None:
        self._count = 0
        self._guard = threading.Lock()
        self._undo: list[Callable[[], None]] = []

    def add(self) -> None:
        with self._guard:
            self._count += 1
            if self._count == 1:
                _replace_streams()
                self._undo = [_restore_streams, _add_handler(), _take_warnings()]

    def remove(self) -> None:
        with self._guard:
            self._count -= 1
            if self._count == 0:
                for undo in reversed(self._undo):
                    undo()


def _replace_streams() -> None:
    """Stand for the streams, again if somebody (a progress bar, a test) has replaced them since."""
    for name in ("stdout", "stderr"):
        if not isinstance(getattr(sys, name), _Stream):
            setattr(sys, name, _Stream(name, getattr(sys, name)))


def _restore_streams() -> None:
    for name in ("stdout", "stderr"):
        while isinstance(stream := getattr(sys, name), _Stream):
            setattr(sys, name, stream.original)


def _add_handler() -> Callable[[], None]:
    root, handler = logging.getLogger(), _Handler()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO) if level else logging.INFO)

    def undo() -> None:
        root.removeHandler(handler)
        root.setLevel(level)

    return undo


def _take_warnings() -> Callable[[], None]:
    original = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        captured = _captured() if file is None else None
        if captured is None:
            original(message, category, filename, lineno, file, line)
        else:
            captured.sink("warning", f"{category.__name__}: {message} ({filename}:{lineno})")

    warnings.showwarning = show

    def undo() -> None:
        if warnings.showwarning is show:
            warnings.showwarning = original

    return undo


_installation = _Installation()


def install() -> None:
    """Begin to look up sinks; each call needs one :func:`uninstall`."""
    _installation.add()


def uninstall() -> None:
    """Change everything back, at the last of these calls."""
    _installation.remove()


def capture_rest(sink: Sink) -> None:
    """Take also what threads without a sink of their own write; for a process that belongs to one script."""
    _default.append(_Captured(sink))


@contextmanager
def captured_to(sink: Sink) -> Iterator[None]:
    """Take what this thread writes in the body to ``sink``."""
    _replace_streams()
    captured = _Captured(sink)
    thread = threading.get_ident()
    before = _by_thread.get(thread)
    _by_thread[thread] = captured
    try:
        yield
    finally:
        if before is None:
            _by_thread.pop(thread, None)
        else:
            _by_thread[thread] = before
        captured.finish()
