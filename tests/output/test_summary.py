"""run.json and status.json."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.output.counts import COUNTS, Counters
from inscoper_mm.output.status import StatusFile
from inscoper_mm.output.summary import STAGES, RunSummary
from inscoper_mm.records import (
    Captured,
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
    Stored,
    Submitted,
    Warned,
)

AT = {"time": 1, "position": 0, "channel": 0, "focus": 0}


def of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def publish(subscriber: Callable[[float, Record], None], records: list[Record]) -> None:
    for second, record in enumerate(records):
        subscriber(float(second), record)


STARTED = RunStarted("run", 4, ("cells",), "time.perf_counter", "2026-01-02T03:04:05+00:00")
PLANNED: list[Record] = [Planned(f"e{n}", AT, AT, n * 10.0) for n in range(4)]

# What happens, and the counts that are not 0.
COUNTED: dict[str, tuple[list[Record], dict[str, int]]] = {
    "planned": (PLANNED, {"planned": 4}),
    "added events count as planned": (
        [*PLANNED, Planned("x", AT, AT, added_by="cells")],
        {"planned": 5, "added": 1},
    ),
    "skipped by a script": (
        [*PLANNED, EventSkipped("e0", AT, "why", "cells"), RunEnded("completed")],
        {"planned": 4, "skipped_script": 1, "skipped_plan": 3},
    ),
    "images": ([Captured("e0", AT, 0, 0), Stored("e0", AT, "f")], {"captured": 1, "stored": 1}),
    "done": ([Decided("e0", "cells", "done")], {"processed": 1}),
    "gated": ([Decided("e0", "cells", "gated")], {"gated": 1}),
    "dropped": ([Decided("e0", "cells", "dropped")], {"dropped": 1}),
    "failed": ([Decided("e0", "cells", "failed")], {"failed": 1}),
    "injected": ([Injected("e0", "cells", ("N",), "image")], {"injected": 1}),
    "skipped": ([*PLANNED, EventSkipped("e0", AT, "device")], {"planned": 4, "skipped_plan": 1}),
    "not reached": (
        [*PLANNED, Captured("e0", AT, 0, 0), RunEnded("stopped")],
        {"planned": 4, "captured": 1, "skipped_plan": 3},
    ),
    "not reached, and told so": (
        [
            *PLANNED,
            Captured("e0", AT, 0, 0),
            *[EventSkipped(f"e{n}", AT, "stop") for n in (1, 2, 3)],
            RunEnded("stopped"),
        ],
        {"planned": 4, "captured": 1, "skipped_plan": 3},
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counts(name: str) -> None:
    records, expected = COUNTED[name]
    counters = Counters()
    publish(counters, records)
    assert counters.counts == dict.fromkeys(COUNTS, 0) | expected


def test_warnings_are_counted_by_phrase_with_the_first_text(tmp_path: Path) -> None:
    summary = RunSummary(tmp_path / "run.json", {})
    later = AT | {"time": 2}
    publish(
        summary,
        [
            STARTED,
            Warned("cells", "e0", AT, ("dim: 2.0 times the noise", "saturated: 3 %")),
            Warned("cells", "e1", later, ("dim: 2.5 times the noise: more light",)),
            Warned("drift", "e1", later, ("something else",)),
        ],
    )
    assert summary.content()["warnings"] == {
        "calls": 3,
        "phrases": {
            "dim": {
                "count": 2,
                "script": "cells",
                "frame": "t001_p000_c0_z000",
                "text": "dim: 2.0 times the noise",
            },
            "saturated": {
                "count": 1,
                "script": "cells",
                "frame": "t001_p000_c0_z000",
                "text": "saturated: 3 %",
            },
            "something else": {
                "count": 1,
                "script": "drift",
                "frame": "t002_p000_c0_z000",
                "text": "something else",
            },
        },
    }


def test_a_script_that_never_says_the_same_cannot_fill_the_report() -> None:
    counters = Counters()
    publish(counters, [Warned("cells", "e0", AT, (f"number {number}: no",)) for number in range(3000)])
    warnings = counters.warnings
    assert warnings["calls"] == 3000
    assert len(warnings["phrases"]) <= 51
    assert sum(about["count"] for about in warnings["phrases"].values()) == 3000


def test_time_left() -> None:
    counters = Counters()
    for event in PLANNED[:3]:
        counters(0.0, event)
    assert counters.time_left_s is None
    counters(1.0, Captured("e0", AT, 1.0, 1.0))
    assert counters.time_left_s is None
    counters(3.0, Captured("e1", AT, 3.0, 3.0))
    assert counters.time_left_s == pytest.approx(17.0)  # the last event is due at 20 s
    for number in range(20):
        counters(3.0, Planned(f"x{number}", AT, AT))
    assert counters.time_left_s == pytest.approx(21 * 2.0)  # 21 images at 2 s each
    counters(3.0, RunEnded("completed"))


def test_run_json_of_a_run(report: dict[str, Any]) -> None:
    assert list(report) == [
        "format",
        "name",
        "state",
        "reason",
        "started_utc",
        "ended_utc",
        "elapsed_s",
        "scripts",
        "metadata",
        "counts",
        "warnings",
        "at_end",
        "errors",
        "error_count",
        "lateness",
        "latency_ms",
        "clock",
        "seeds",
        "versions",
    ]
    assert (report["name"], report["state"], report["scripts"]) == ("screening", "completed", ["cells"])
    assert report["metadata"] == {"sample": "HeLa"}
    assert report["counts"] == dict.fromkeys(COUNTS, 0) | {
        "planned": 3,
        "captured": 3,
        "stored": 3,
        "gated": 1,
        "processed": 2,
        "injected": 2,
    }
    assert report["latency_ms"]["process"] == {"p50": 20.0, "p95": 20.0, "max": 20.0, "n": 2}
    assert report["latency_ms"]["bridge"] == {"p50": 0.2, "p95": 0.2, "max": 0.2, "n": 3}
    assert report["latency_ms"]["command"] == {"p50": None, "p95": None, "max": None, "n": 0}
    assert list(report["latency_ms"]) == list(STAGES)
    assert "perf_counter" in report["clock"]
    assert {"python", "numpy", "ndstorage", "pycromanager", "inscoper-mm"} <= set(report["versions"])


def test_run_json_is_there_from_the_start(tmp_path: Path) -> None:
    summary = RunSummary(tmp_path / "run.json", {}, seeds={"specimen": 7}, more_versions={"MMCore": "12.5"})
    publish(summary, [STARTED])
    summary.write()
    running = of(summary.path)
    assert (running["state"], running["ended_utc"], running["seeds"]) == ("running", None, {"specimen": 7})
    assert running["versions"]["MMCore"] == "12.5"
    summary.write("failed", "OSError: No space left on device")
    failed = of(summary.path)
    assert (failed["state"], failed["reason"]) == ("failed", "OSError: No space left on device")
    assert failed["ended_utc"] is not None


def test_errors_name_frame_script_and_device(tmp_path: Path) -> None:
    summary = RunSummary(tmp_path / "run.json", {})
    publish(
        summary,
        [
            ScriptFailed("cells", "e1", AT, "find", "timeout", "took over 5 s", "skip"),
            DeviceFailed("e1", AT, 2, "out of range", "abort", "Z"),
            Logged("the disk is full", "error"),
            Logged("a script's own error", "error", script="cells"),
            Logged("a warning", "warning"),
        ],
    )
    errors = summary.content()["errors"]
    assert [error["kind"] for error in errors] == ["script", "device", "run"]
    script, device, run = errors
    assert (script["frame"], script["script"], script["fault"]) == ("t001_p000_c0_z000", "cells", "timeout")
    assert (device["frame"], device["device"], device["attempt"]) == ("t001_p000_c0_z000", "Z", 2)
    assert run == {"t": 2.0, "kind": "run", "message": "the disk is full"}
    assert summary.last_error == run


def test_the_list_of_errors_ends_but_the_count_goes_on(tmp_path: Path) -> None:
    summary = RunSummary(tmp_path / "run.json", {})
    publish(summary, [Logged(str(number), "error") for number in range(2500)])
    content = summary.content()
    assert (len(content["errors"]), content["error_count"]) == (1000, 2500)
    assert (content["errors"][0]["message"], content["errors"][-1]["message"]) == ("0", "2499")


def test_lateness_counts_first_attempts_of_events_with_a_time(tmp_path: Path) -> None:
    summary = RunSummary(tmp_path / "run.json", {})
    publish(
        summary,
        [
            *PLANNED,
            Planned("x", AT, AT),
            Submitted("e0", late_s=0.0),
            Submitted("e1", late_s=0.25),
            Submitted("e1", attempt=2, late_s=5.0),
            Submitted("x", late_s=9.0),
            Submitted("e2", late_s=0.5),
        ],
    )
    assert summary.content()["lateness"] == {
        "events": 3,
        "late": 2,
        "late_above_s": 0.01,
        "p50_s": 0.25,
        "p95_s": pytest.approx(0.475, abs=1e-3),
        "max_s": 0.5,
    }


def test_status_says_what_goes_on(tmp_path: Path) -> None:
    counters = Counters()
    publish(
        counters,
        [
            STARTED,
            *PLANNED,
            Captured("e0", AT, 1, 1),
            Decided("e0", "cells", "done", message="3 cells"),
            Warned("cells", "e0", AT, ("dim: a little",)),
        ],
    )
    status = StatusFile(
        tmp_path / "status.json", counters, lambda: 12.3456, lambda: {"message": "late"}, 0.02
    )
    first = of(tmp_path / "status.json")
    counters.state = "paused"
    status.close()
    last = of(tmp_path / "status.json")
    assert first["state"] == "running"
    assert first["elapsed_s"] == 12.346
    assert first["counts"]["planned"] == 4
    assert first["last_decision"] == {
        "t": 6.0,
        "event": "e0",
        "script": "cells",
        "fate": "done",
        "message": "3 cells",
    }
    assert first["last_error"] == {"message": "late"}
    assert first["warnings"]["phrases"]["dim"]["count"] == 1
    assert last["state"] == "paused"
    assert last["heartbeat_utc"] > first["heartbeat_utc"]


def test_status_beside_readers(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    status = StatusFile(path, Counters(), lambda: 0.0, period_s=0.005)
    beats: set[str] = set()
    broken: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            text = path.read_text(encoding="utf-8")
            try:
                beats.add(json.loads(text)["heartbeat_utc"])
            except ValueError:
                broken.append(text)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    end = time.monotonic() + 60
    while len(beats) <= 3 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)
    stop.set()
    for reader in readers:
        reader.join(10)
    status.close()
    assert broken == []
    assert len(beats) > 3
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def test_a_status_that_cannot_be_written_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        tries.append(self)
        if len(tries) < 4:
            raise PermissionError(13, "open in a reader")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    status = StatusFile(tmp_path / "status.json", Counters(), lambda: 0.0, period_s=0.01)
    assert not (tmp_path / "status.json").exists()
    status.close()
    assert of(tmp_path / "status.json")["state"] == "running"


def test_status_is_not_replaced_more_often_than_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []
    monkeypatch.setattr(StatusFile, "_write", lambda self, attempts=1: times.append(time.monotonic()))
    status = StatusFile(tmp_path / "status.json", Counters(), lambda: 0.0, period_s=0.05)
    end = time.monotonic() + 60
    while len(times) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    status.close()
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) >= 2
    assert min(gaps) >= 0.049
