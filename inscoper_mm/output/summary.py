"""``run.json``: what the run was, what came of it, every error, how late and how fast the loop was."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from array import array
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from inscoper_mm.images.index import Index
from inscoper_mm.images.jsonable import json_safe
from inscoper_mm.output.counts import Counters
from inscoper_mm.output.files import write_whole
from inscoper_mm.records import (
    Captured,
    Decided,
    DeviceFailed,
    Logged,
    Planned,
    Record,
    RunEnded,
    RunStarted,
    ScriptFailed,
    SetBack,
    Submitted,
)

FORMAT = 1
STAGES = ("bridge", "provider", "fetch", "process", "command", "settled")
# Enough to see what went wrong; all are in the journal.
_MOST_ERRORS = 1000
# An event counts as late from here on: what a timer and a thread may take on a busy machine.
_LATE_S = 0.01
_PACKAGES = (
    "inscoper-mm",
    "pycromanager",
    "mmpycorex",
    "pymmcore",
    "mm-test-adapters",
    "ndstorage",
    "useq-schema",
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "tifffile",
)


def versions() -> dict[str, str]:
    """Versions of Python, the system and the packages that a run depends on, as far as they are installed."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class RunSummary:
    """Subscriber that keeps the books of a run and writes ``run.json``.

    Parameters
    ----------
    path : Path
    metadata : mapping
        As the experiment gives it.
    seeds : mapping
        Of everything that is random in this run, by name.
    more_versions : mapping
        Besides ``versions()``, for example of the Core and its devices.

    Attributes
    ----------
    counters : Counters
        Counts what this subscriber is told.
    """

    def __init__(
        self,
        path: Path,
        metadata: Mapping[str, Any],
        seeds: Mapping[str, int] | None = None,
        more_versions: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.counters = Counters()
        self._metadata = json_safe(metadata)
        self._seeds = dict(seeds or {})
        self._versions = versions() | dict(more_versions or {})
        self._started: RunStarted | None = None
        self._reason: str | None = None
        self._due: set[str] = set()
        self._errors: list[dict[str, Any]] = []
        self._error_count = 0
        self._latency_ms: dict[str, array[float]] = {stage: array("f") for stage in STAGES}
        self._late_s: array[float] = array("f")
        self._at_end: dict[str, Any] | None = None

    def __call__(self, elapsed_s: float, record: Record) -> None:
        """Take one record."""
        self.counters(elapsed_s, record)
        handler = self._HANDLERS.get(type(record))
        if handler is not None:
            handler(self, elapsed_s, record)

    @property
    def last_error(self) -> dict[str, Any] | None:
        """The latest error of the run."""
        return self._errors[-1] if self._errors else None

    @property
    def error_count(self) -> int:
        """How many errors there were, those that are not listed any more included."""
        return self._error_count

    def write(self, state: str | None = None, reason: str | None = None) -> None:
        """Write ``run.json`` whole: when the run starts, and when it has ended.

        Parameters
        ----------
        state : str, optional
            Default: as the records say.
        reason : str, optional
            Why it ended, for people.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if state is not None:
            self.counters.state = state
        self._reason = reason or self._reason
        text = json.dumps(json_safe(self.content()), indent=1, ensure_ascii=False)
        write_whole(self.path, text + "\n")

    def content(self) -> dict[str, Any]:
        """What ``write`` writes."""
        started, state = self._started, self.counters.state
        ended = state not in ("running", "paused")
        return {
            "format": FORMAT,
            "name": started.name if started else "",
            "state": state,
            "reason": self._reason,
            "started_utc": started.utc if started else None,
            "ended_utc": datetime.now(UTC).isoformat(timespec="milliseconds") if ended else None,
            "elapsed_s": round(self.counters.elapsed_s, 3),
            "scripts": list(started.scripts) if started else [],
            "metadata": self._metadata,
            "counts": self.counters.counts,
            "warnings": self.counters.warnings,
            "at_end": self._at_end,
            "errors": self._errors,
            "error_count": self._error_count,
            "lateness": self._lateness(),
            "latency_ms": {stage: _spread(ms) for stage, ms in self._latency_ms.items()},
            "clock": started.clock if started else None,
            "seeds": self._seeds,
            "versions": self._versions,
        }

    def _lateness(self) -> dict[str, Any]:
        late_s = np.asarray(self._late_s)
        spread = {f"{name}_s": value for name, value in _spread(self._late_s).items() if name != "n"}
        return {
            "events": len(late_s),
            "late": int((late_s > _LATE_S).sum()),
            "late_above_s": _LATE_S,
        } | spread

    def _run_started(self, elapsed_s: float, record: RunStarted) -> None:
        self._started = record

    def _planned(self, elapsed_s: float, record: Planned) -> None:
        if record.due_s is not None:
            self._due.add(record.event)

    def _submitted(self, elapsed_s: float, record: Submitted) -> None:
        if record.event in self._due:
            self._due.discard(record.event)
            self._late_s.append(record.late_s)

    def _captured(self, elapsed_s: float, record: Captured) -> None:
        self._due.discard(record.event)

    def _decided(self, elapsed_s: float, record: Decided) -> None:
        for stage, ms in record.ms.items():
            self._latency_ms.setdefault(stage, array("f")).append(ms)

    def _script_failed(self, elapsed_s: float, record: ScriptFailed) -> None:
        self._add(elapsed_s, "script", record)

    def _device_failed(self, elapsed_s: float, record: DeviceFailed) -> None:
        self._add(elapsed_s, "device", record)

    def _logged(self, elapsed_s: float, record: Logged) -> None:
        # What a script logs as an error is its own business; without a script it is the run that failed.
        if record.level == "error" and record.script is None:
            self._add(elapsed_s, "run", record)

    def _set_back(self, elapsed_s: float, record: SetBack) -> None:
        self._at_end = {key: value for key, value in record.to_dict().items() if key != "type"}

    def _run_ended(self, elapsed_s: float, record: RunEnded) -> None:
        self._reason = record.reason

    def _add(self, elapsed_s: float, kind: str, record: Record) -> None:
        values = {key: value for key, value in record.to_dict().items() if key not in ("type", "level")}
        index = values.pop("index", None)
        frame = {"frame": _stem(index)} if index else {}
        self._error_count += 1
        if len(self._errors) == _MOST_ERRORS:
            self._errors.pop(_MOST_ERRORS // 2)  # the first ones say why, the last ones how it ended
        self._errors.append({"t": round(elapsed_s, 3), "kind": kind} | frame | values)

    _HANDLERS: ClassVar[dict[type[Record], Callable[..., None]]] = {
        RunStarted: _run_started,
        RunEnded: _run_ended,
        SetBack: _set_back,
        Planned: _planned,
        Submitted: _submitted,
        Captured: _captured,
        Decided: _decided,
        ScriptFailed: _script_failed,
        DeviceFailed: _device_failed,
        Logged: _logged,
    }


def _spread(values: array[float]) -> dict[str, float | int | None]:
    if not values:
        return {"p50": None, "p95": None, "max": None, "n": 0}
    p50, p95, largest = np.percentile(np.asarray(values), (50, 95, 100))
    return {"p50": _short(p50), "p95": _short(p95), "max": _short(largest), "n": len(values)}


def _short(value: Any) -> float:
    return round(float(value), 4)


def _stem(index: Mapping[str, int]) -> str:
    return str(Index(**index))
