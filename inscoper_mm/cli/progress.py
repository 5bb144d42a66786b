"""The progress bar of a run: images, time left, and the last decision."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column

from inscoper_mm.images.index import Index
from inscoper_mm.output.counts import phrase_of
from inscoper_mm.records import (
    Commanded,
    Decided,
    DeviceFailed,
    EventSkipped,
    Logged,
    Planned,
    Record,
    RunStarted,
    ScriptFailed,
    ScriptReady,
    Stored,
    Warned,
)


class Progress:
    """Shows a run while it goes on. Records come from the run's threads; drawing is done by ``refresh``.

    An image is done when a record of the type ``counted`` comes.
    """

    def __init__(self, console: Console, counted: type[Record] = Stored) -> None:
        self._console = console
        self._counted = counted
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[decision]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=console,
            auto_refresh=False,
        )
        self._task = self._bar.add_task("opening", total=None, decision="")
        self._lock = threading.Lock()
        # A deque needs no lock: notes come from a signal handler, too, which may interrupt a holder of the lock.
        self._notes: deque[str] = deque()
        self._known_warnings: set[tuple[str, str]] = set()
        self._done = 0
        self._total: int | None = None
        self._what = "opening"
        self._decision = ""

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refresh()
        self._bar.stop()

    def note(self, text: str) -> None:
        """Print a line above the bar at the next refresh."""
        self._notes.append(text)

    def refresh(self) -> None:
        """Draw what has come in since the last time."""
        with self._lock:
            state = (self._done, self._total, self._what, self._decision)
        while self._notes:
            self._bar.console.print(self._notes.popleft(), markup=False, highlight=False)
        done, total, what, decision = state
        self._bar.update(self._task, completed=done, total=total, description=what, decision=decision)
        self._bar.refresh()

    def on_record(self, elapsed_s: float, record: Record) -> None:
        """Take note of a record."""
        with self._lock:
            if isinstance(record, RunStarted):
                self._total, self._what = record.planned, "images"
            elif isinstance(record, Planned) and record.added_by is not None:
                self._total = (self._total or 0) + 1
            elif isinstance(record, EventSkipped):
                self._total = max(0, (self._total or 0) - 1)
            elif isinstance(record, self._counted):
                self._done += 1
            elif isinstance(record, Decided) and record.fate == "done":
                what = ", ".join(record.processors) or "done"
                self._decision = f"{what} after {record.ms.get('settled', 0.0):.0f} ms"
            elif isinstance(record, Commanded) and record.decided == "executed":
                self._decision = record.name
            elif isinstance(record, Warned):
                self._notes.extend(self._new_warnings(record))
            else:
                self._notes.extend(_note(record))

    def _new_warnings(self, record: Warned) -> Iterator[str]:
        """Of each script, the first warning of a kind; how many there are is told at the end."""
        for text in record.warnings:
            kind = (record.script, phrase_of(text))
            if kind not in self._known_warnings:
                self._known_warnings.add(kind)
                yield f"{Index(**record.index)}: {text}"


def _note(record: Record) -> list[str]:
    match record:
        case ScriptReady(script=script, seconds=seconds, restarted=restarted):
            return [f"{script} is ready {'again ' if restarted else ''}after {seconds:.1f} s"]
        case ScriptFailed(message=message, action=action, event=event):
            return [f"{event}: {message} [{action}]"]
        case DeviceFailed(message=message, action=action, event=event):
            return [f"{event}: {message} [{action}]"]
        case Logged(message=message, level=level, script=script) if level in ("warning", "error"):
            return [f"{script or 'run'}: {message}"]
    return []
