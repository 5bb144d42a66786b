"""What a run has come to, in numbers: one count per fate of an image and of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from inscoper_mm.images.index import Index
from inscoper_mm.records import (
    Captured,
    Decided,
    EventSkipped,
    Injected,
    Planned,
    Record,
    RunEnded,
    RunStarted,
    Stored,
    Warned,
)

STATES = ("running", "paused", "completed", "stopped", "aborted", "failed")
COUNTS = (
    "planned",
    "added",
    "captured",
    "stored",
    "gated",
    "skipped_script",
    "skipped_plan",
    "dropped",
    "processed",
    "failed",
    "injected",
)
# More kinds of warnings than anybody reads; the others are counted together.
_MOST_PHRASES = 50
_OTHERS = "others"
_OF_FATE = {"done": "processed", "gated": "gated", "dropped": "dropped", "failed": "failed"}


def phrase_of(warning: str) -> str:
    """What a warning is about: what stands before its colon."""
    return warning.partition(":")[0].strip()


class Counters:
    """Subscriber that counts; its numbers may be read from any thread.

    Attributes
    ----------
    state : str
        One of ``STATES``; follows the records, and may be set to ``"paused"``.
    last_decision : dict or None
    elapsed_s : float
        Time of the latest record on the run's clock.
    """

    def __init__(self) -> None:
        self.state = "running"
        self.name = ""
        self.last_decision: dict[str, Any] | None = None
        self.elapsed_s = 0.0
        self._counts = dict.fromkeys(COUNTS, 0)
        self._warned = 0
        self._phrases: dict[str, dict[str, Any]] = {}
        self._first_capture_s: float | None = None
        self._last_capture_s = 0.0
        self._last_due_s = 0.0

    def __call__(self, elapsed_s: float, record: Record) -> None:
        """Count one record."""
        self.elapsed_s = elapsed_s
        handler = self._HANDLERS.get(type(record))
        if handler is not None:
            handler(self, elapsed_s, record)

    @property
    def counts(self) -> dict[str, int]:
        """A copy of the counts, in the order of ``COUNTS``.

        ``added`` are those of ``planned`` that scripts have asked for. ``skipped_script`` were taken out of the plan by
        scripts; after the end every other planned event that has no image counts as ``skipped_plan``, whatever the
        reason.
        """
        counts = dict(self._counts)
        if self.state not in ("running", "paused"):
            missing = counts["planned"] - counts["captured"] - counts["skipped_script"]
            counts["skipped_plan"] = max(counts["skipped_plan"], missing)
        return counts

    @property
    def warnings(self) -> dict[str, Any]:
        """In how many ``calls`` scripts warned, and by phrase, how often, and where and with what text first.

        The phrase is what stands before the colon of a warning.
        """
        phrases = {phrase: dict(about) for phrase, about in list(self._phrases.items())}
        return {"calls": self._warned, "phrases": phrases}

    @property
    def time_left_s(self) -> float | None:
        """An estimate from the pace so far and the last due time; None before the second image."""
        captured = self._counts["captured"]
        if self._first_capture_s is None or captured < 2:
            return None
        gone = self._counts["skipped_plan"] + self._counts["skipped_script"]
        left = max(0, self._counts["planned"] - captured - gone)
        period_s = (self._last_capture_s - self._first_capture_s) / (captured - 1)
        until_last_due_s = self._last_due_s - self.elapsed_s if left else 0.0
        return max(left * period_s, until_last_due_s, 0.0)

    def _started(self, elapsed_s: float, record: RunStarted) -> None:
        self.name = record.name
        self.state = "running"

    def _ended(self, elapsed_s: float, record: RunEnded) -> None:
        self.state = record.state

    def _planned(self, elapsed_s: float, record: Planned) -> None:
        self._counts["planned"] += 1
        self._counts["added"] += record.added_by is not None
        self._last_due_s = max(self._last_due_s, record.due_s or 0.0)

    def _captured(self, elapsed_s: float, record: Captured) -> None:
        self._counts["captured"] += 1
        self._last_capture_s = record.arrived_s
        if self._first_capture_s is None:
            self._first_capture_s = record.arrived_s

    def _stored(self, elapsed_s: float, record: Stored) -> None:
        self._counts["stored"] += 1

    def _skipped(self, elapsed_s: float, record: EventSkipped) -> None:
        self._counts["skipped_plan" if record.by is None else "skipped_script"] += 1

    def _injected(self, elapsed_s: float, record: Injected) -> None:
        self._counts["injected"] += 1

    def _warns(self, elapsed_s: float, record: Warned) -> None:
        self._warned += 1
        for text in record.warnings:
            phrase = phrase_of(text)
            if phrase not in self._phrases and len(self._phrases) >= _MOST_PHRASES:
                phrase = _OTHERS
            frame = str(Index(**record.index))
            first = {"count": 0, "script": record.script, "frame": frame, "text": text}
            self._phrases.setdefault(phrase, first)["count"] += 1

    def _decided(self, elapsed_s: float, record: Decided) -> None:
        self._counts[_OF_FATE[record.fate]] += 1
        self.last_decision = {
            "t": round(elapsed_s, 3),
            "event": record.event,
            "script": record.script,
            "fate": record.fate,
            "message": record.message,
        }

    _HANDLERS: ClassVar[dict[type[Record], Callable[..., None]]] = {
        RunStarted: _started,
        RunEnded: _ended,
        Planned: _planned,
        Captured: _captured,
        Stored: _stored,
        EventSkipped: _skipped,
        Injected: _injected,
        Warned: _warns,
        Decided: _decided,
    }
