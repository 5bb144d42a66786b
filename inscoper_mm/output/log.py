"""``log.txt``: what people want to read about a run, a line each, with time, image and script."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inscoper_mm.images.index import Index
from inscoper_mm.output.lines import LineFile
from inscoper_mm.records import (
    Autofocused,
    Commanded,
    Corrected,
    DeviceFailed,
    EventSkipped,
    Logged,
    Planned,
    Record,
    RunEnded,
    RunStarted,
    ScriptFailed,
    ScriptReady,
    StackIncomplete,
    StopAsked,
    Warned,
)


class RunLog:
    """Subscriber that writes the log.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path)
        self._frames: dict[str, str] = {}

    def __call__(self, elapsed_s: float, record: Record) -> None:
        """Write a record, if it is one for people.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if isinstance(record, Planned):
            self._frames[record.event] = str(Index(**record.index))
            return
        teller = _TELLERS.get(type(record))
        if teller is None:
            return
        level, message = teller(record)
        utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        head = f"{utc} {elapsed_s:10.3f} s  {level:<7} {self._place(record)}"
        first, *more = message.splitlines() or [""]
        self._lines.write("".join([f"{head}{first}\n", *(f"    {line}\n" for line in more)]))

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _place(self, record: Record) -> str:
        event, script = getattr(record, "event", None), getattr(record, "script", None)
        parts = [self._frames.get(event, event)] if event else []
        parts += [script] if script else []
        return f"[{' '.join(parts)}] " if parts else ""


def _logged(record: Logged) -> tuple[str, str]:
    return record.level.upper(), record.message


def _warned(record: Warned) -> tuple[str, str]:
    return "WARNING", "; ".join(record.warnings)


def _started(record: RunStarted) -> tuple[str, str]:
    scripts = ", ".join(record.scripts) or "no script"
    return "INFO", f"Run '{record.name}' starts: {record.planned} images planned, {scripts}."


def _ended(record: RunEnded) -> tuple[str, str]:
    reason = f": {record.reason}" if record.reason else ""
    return "INFO" if record.state == "completed" else "WARNING", f"The run is {record.state}{reason}."


def _ready(record: ScriptReady) -> tuple[str, str]:
    how = "is ready again after a restart" if record.restarted else "is ready"
    return "INFO", f"{how} ({record.place}, {record.seconds:.1f} s)."


def _script_failed(record: ScriptFailed) -> tuple[str, str]:
    text = f"{record.function}() failed ({record.fault}): {record.message} Action: {record.action}."
    return "ERROR", f"{text}\n{record.details}" if record.details else text


def _device_failed(record: DeviceFailed) -> tuple[str, str]:
    return (
        "ERROR",
        f"Attempt {record.attempt} failed in the hardware: {record.message} Action: {record.action}.",
    )


def _skipped(record: EventSkipped) -> tuple[str, str]:
    return "WARNING", f"Not acquired: {record.reason}"


def _incomplete(record: StackIncomplete) -> tuple[str, str]:
    return "WARNING", "stack incomplete"


def _stop(record: StopAsked) -> tuple[str, str]:
    return "INFO", f"{record.by} asked the run to stop: {record.reason}"


def _corrected(record: Corrected) -> tuple[str, str]:
    where = "all positions" if record.position is None else f"position {record.position}"
    note = f" ({record.note})" if record.note else ""
    return "INFO", f"Correction of {where}: {_um(record.offset_um)}, in all {_um(record.total_um)}.{note}"


def _autofocused(record: Autofocused) -> tuple[str, str]:
    height = "" if record.z_um is None else f" at z = {record.z_um:.2f} µm"
    offset = "" if record.offset is None else f" to an offset of {record.offset:g}"
    why = f": {record.message}" if record.message else ""
    action = f". Action: {record.action}" if record.action else ""
    level = "WARNING" if record.did == "lost" else "INFO"
    return level, f"Autofocus {record.did}{height}{offset}{why}{action}."


def _commanded(record: Commanded) -> tuple[str, str]:
    asked = ", ".join(f"{key}={value}" for key, value in record.asked.items())
    why = f": {record.message}" if record.message else ""
    return "INFO" if record.decided in ("executed", "recorded") else "WARNING", (
        f"{record.name}({asked}) {record.decided}{why}"
    )


def _um(offset: Any) -> str:
    return ", ".join(f"{axis} {value:+.2f} µm" for axis, value in offset.items()) or "none"


_TELLERS: dict[type[Record], Callable[[Any], tuple[str, str]]] = {
    Logged: _logged,
    Warned: _warned,
    RunStarted: _started,
    RunEnded: _ended,
    ScriptReady: _ready,
    ScriptFailed: _script_failed,
    DeviceFailed: _device_failed,
    EventSkipped: _skipped,
    StackIncomplete: _incomplete,
    StopAsked: _stop,
    Corrected: _corrected,
    Autofocused: _autofocused,
    Commanded: _commanded,
}
