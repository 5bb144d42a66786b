"""The journal and the log."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.output import lines
from inscoper_mm.output.journal import Journal, read_journal
from inscoper_mm.output.log import RunLog
from inscoper_mm.records import (
    Autofocused,
    Captured,
    Commanded,
    Corrected,
    Decided,
    DeviceFailed,
    EventSkipped,
    Injected,
    Logged,
    Planned,
    Record,
    RunEnded,
    RunStarted,
    ScriptFailed,
    ScriptReady,
    StackIncomplete,
    StateSaved,
    StopAsked,
    Stored,
    Warned,
)
from inscoper_mm.stream import Clock, Stream

AT = {"time": 1, "position": 0, "channel": 0, "focus": 2}

RECORDS: list[Record] = [
    RunStarted("run", 3, ("cells",), "clock", "2026-01-02T03:04:05+00:00"),
    Planned("e1", AT, AT, 0.5),
    Captured("e1", AT, 1.25, 1.5, {"x": np.float64(1.5), "z": None}),
    Stored("e1", AT, "run_NDTiffStack.tif"),
    Decided("e1", "cells", "done", ("t000_p000_c0_z000",), ("crop",), {"process": np.float32(2.5)}),
    Injected("e1", "cells", ("N",), "image"),
    Warned("cells", "e1", AT, ("dim: 2 times the noise",)),
    Commanded("cells", "e1", "moveFocus", {"z_um": float("nan")}, "executed", reached={"z": np.int32(4)}),
    StateSaved("cells", "e1", 0, {"seen": (1, 2)}, {}),
]


def test_every_record_is_a_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "events.jsonl")
    for number, record in enumerate(RECORDS):
        journal(number / 8, record)
    journal.close()
    lines = list(read_journal(tmp_path / "events.jsonl"))
    assert [(line["t"], line["type"]) for line in lines] == [
        (number / 8, record.kind) for number, record in enumerate(RECORDS)
    ]
    by_type = {line.pop("type"): line for line in lines}
    assert by_type["planned"] == {"t": 0.125, "event": "e1", "index": AT, "sizes": AT, "due_s": 0.5}
    assert by_type["captured"]["real_um"] == {"x": 1.5, "z": None}
    assert by_type["decided"]["ms"] == {"process": 2.5}
    assert by_type["commanded"]["asked"] == {"z_um": None}
    assert by_type["state"]["state"] == {"seen": [1, 2]}


def test_each_line_is_there_when_the_call_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "events.jsonl")
    stream = Stream(Clock())
    stream.subscribe(journal)
    for number in range(1, 4):
        stream.publish(Logged(f"message {number}"))
        assert len(list(read_journal(tmp_path / "events.jsonl"))) == number
    journal.close()


TAILS = {
    "whole": b"",
    "torn": b'{"t":1.5,"ty',
    "torn in a sign": '{"t":1.5,"message":"µ'.encode()[:-1],
    "brace": b"{",
}


@pytest.mark.parametrize("name", TAILS)
def test_a_torn_last_line_is_left_out(name: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"t":1.0,"type":"log"}\n' + TAILS[name])
    assert list(read_journal(path)) == [{"t": 1.0, "type": "log"}]


def test_any_other_bad_line_is_an_error_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"t":1.0}\n{"t":1.5,"ty\n{"t":2.0}\n')
    with pytest.raises(InvalidInput, match=r"events\.jsonl:2"):
        list(read_journal(path))


def test_a_full_disk_leaves_whole_lines_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    journal(0.0, Logged("first"))
    write_all = lines.write_all

    def half(handle: Any, data: bytes) -> None:
        handle.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lines, "write_all", half)
    with pytest.raises(OSError, match="No space left"):
        journal(1.0, Logged("second"))
    monkeypatch.setattr(lines, "write_all", write_all)
    journal(2.0, Logged("third"))
    journal.close()
    assert [line["message"] for line in read_journal(path)] == ["first", "third"]


TOLD: dict[str, tuple[Record, str]] = {
    "a script's line": (
        Logged("hello", script="cells", event="e1"),
        "INFO    [t001_p000_c0_z002 cells] hello",
    ),
    "two lines": (Logged("one\ntwo", "warning"), "WARNING one\n    two"),
    "start": (RunStarted("run", 3, (), "c", "u"), "INFO    Run 'run' starts: 3 images planned, no script."),
    "end": (RunEnded("stopped", "enough"), "WARNING The run is stopped: enough."),
    "ready": (ScriptReady("cells", "worker", 1.25), "INFO    [cells] is ready (worker, 1.2 s)."),
    "script failed": (
        ScriptFailed("cells", "e1", AT, "find", "raised", "ValueError: no.", "skip", "Traceback ..."),
        "ERROR   [t001_p000_c0_z002 cells] find() failed (raised): ValueError: no. Action: skip.\n    Traceback ...",
    ),
    "device failed": (
        DeviceFailed("e1", AT, 2, "Z is out of range.", "retry"),
        "ERROR   [t001_p000_c0_z002] Attempt 2 failed in the hardware: Z is out of range. Action: retry.",
    ),
    "skipped": (EventSkipped("e1", AT, "stopped"), "WARNING [t001_p000_c0_z002] Not acquired: stopped"),
    "stack": (StackIncomplete("e1", AT), "WARNING [t001_p000_c0_z002] stack incomplete"),
    "stop": (StopAsked("cells", "found it"), "INFO    cells asked the run to stop: found it"),
    "correction": (
        Corrected("cells", "e1", 0, {"z": -1.5}, {"z": 2.0}),
        "INFO    [t001_p000_c0_z002 cells] Correction of position 0: z -1.50 µm, in all z +2.00 µm.",
    ),
    "correction that was changed": (
        Corrected("cells", "e1", None, {"x": 5.0}, {"x": 7.0}, {"x": 9.0}, "shortened"),
        "INFO    [t001_p000_c0_z002 cells] Correction of all positions: x +5.00 µm, in all x +7.00 µm. (shortened)",
    ),
    "autofocus holds": (
        Autofocused("e1", "holds", z_um=3.25),
        "INFO    [t001_p000_c0_z002] Autofocus holds at z = 3.25 µm.",
    ),
    "autofocus shifted": (
        Autofocused("e1", "shifted", offset=-1.5),
        "INFO    [t001_p000_c0_z002] Autofocus shifted to an offset of -1.5.",
    ),
    "autofocus lost": (
        Autofocused("e1", "lost", attempt=2, action="skip_event", message="no signal"),
        "WARNING [t001_p000_c0_z002] Autofocus lost: no signal. Action: skip_event.",
    ),
    "refused": (
        Commanded("cells", "e1", "moveFocus", {"z_um": 900}, "refused", message="above 200"),
        "WARNING [t001_p000_c0_z002 cells] moveFocus(z_um=900) refused: above 200",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_the_log(name: str, tmp_path: Path) -> None:
    record, expected = TOLD[name]
    log = RunLog(tmp_path / "log.txt")
    log(0.0, Planned("e1", AT, AT))
    log(12.345, record)
    log.close()
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    head, _, rest = text.partition("    12.345 s  ")
    assert head.endswith("Z ")
    assert rest == expected + "\n"


def test_the_log_leaves_out_what_is_for_machines(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.txt")
    for record in (Captured("e1", AT, 0.0, 0.0), Stored("e1", AT, "f"), Injected("e1", "s", (), "image")):
        log(0.0, record)
    log.close()
    assert (tmp_path / "log.txt").read_text() == ""
