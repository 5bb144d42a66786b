"""What a run is made of, without hardware: infos, records, and a small finished run folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.images.frame import Frame, FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.ndtiff import ImageWriter
from inscoper_mm.output.folder import RunFolder
from inscoper_mm.output.journal import Journal
from inscoper_mm.output.log import RunLog
from inscoper_mm.output.results import ResultsWriter
from inscoper_mm.output.status import StatusFile
from inscoper_mm.output.summary import RunSummary
from inscoper_mm.records import (
    Captured,
    Decided,
    Injected,
    Planned,
    RunEnded,
    RunStarted,
    Stored,
    Submitted,
)
from inscoper_mm.stream import Clock, Stream

MakeInfo = Callable[..., FrameInfo]


@pytest.fixture
def make_info() -> MakeInfo:
    """``make_info(time, position, channel, focus, **more)``."""

    def make(*index: int, **more: Any) -> FrameInfo:
        at = Index(*index)
        values: dict[str, Any] = {
            "sizes": Sizes(3, 1, 1, 1),
            "channel_name": "DAPI",
            "position_name": "A",
            "planned": StagePosition(100.0, -5.0, 7.0),
            "real": StagePosition(101.5, -5.25, None),
            "exposure_ms": 10.0,
            "pixel_size_um": 0.5,
            "elapsed_ms": 2500.0,
            "camera": "Camera",
        }
        return FrameInfo(f"e{at.time}", at, **(values | more))

    return make


def labels_of(pixels: np.ndarray) -> np.ndarray:
    labels = np.zeros(pixels.shape, np.int64)
    labels[8:20, 10:30], labels[30:44, 35:50] = 1, 2
    return labels


@pytest.fixture
def run_folder(tmp_path: Path, make_info: MakeInfo) -> Path:
    """A finished run of three images, two of them processed, made with the writers themselves."""
    folder = RunFolder.create(tmp_path / "runs", "screening", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    folder.experiment.write_text("name: screening\n", encoding="utf-8")
    stream = Stream(Clock())
    summary, journal, log = (
        RunSummary(folder.run, {"sample": "HeLa"}),
        Journal(folder.events),
        RunLog(folder.log),
    )
    for subscriber in (summary, journal, log):
        stream.subscribe(subscriber)
    stream.publish(RunStarted("screening", 3, ("cells",), Clock().name, "2026-01-02T03:04:05.000+00:00"))
    infos = [make_info(time) for time in range(3)]
    for info in infos:
        stream.publish(
            Planned(info.event_id, info.index.to_dict(), info.sizes.to_dict(), info.index.time * 0.5)
        )
    status = StatusFile(folder.status, summary.counters, stream.clock.now, lambda: summary.last_error, 0.05)
    writer = ImageWriter(
        folder.images,
        "screening",
        {"UserData": {"sample": "HeLa"}},
        on_stored=lambda info, file: stream.publish(Stored(info.event_id, info.index.to_dict(), file)),
        on_answered=lambda info, *rest: stream.publish(Injected(info.event_id, *rest)),
        on_error=pytest.fail,
    )
    results = ResultsWriter(folder.results, on_error=pytest.fail)
    export_path = folder.export_path("cells", several=False)
    for info in infos:
        pixels = np.random.default_rng(info.index.time).integers(0, 4096, (64, 64), dtype=np.uint16)
        stream.publish(Submitted(info.event_id, late_s=0.002))
        stream.publish(Captured(info.event_id, info.index.to_dict(), 1.0, 1.003))
        writer.put(Frame(info, pixels), 10.0)
        if info.index.time == 1:
            stream.publish(Decided(info.event_id, "cells", "gated", ms={"bridge": 0.2, "provider": 0.4}))
            continue
        values = {"NBR_OF_CELLS": 2, "MEAN_CELL_AREA": 54.0}
        results.inject("cells", info, values)
        writer.answer(info, "cells", values)
        labels = labels_of(pixels)
        boxes = {1: [8, 10, 20, 30], 2: [30, 35, 44, 50]}
        crops = [
            {
                "image": pixels[r0:r1, c0:c1],
                "bbox": [r0, c0, r1, c1],
                "label": label,
                "measurements": {"area_um2": 60.0},
            }
            for label, (r0, c0, r1, c1) in boxes.items()
        ]
        tracks = {"track_id": [1, 2], "time": info.index.time, "x_um": [5.0, 21.25], "y_um": [3.5, 18.5]}
        returned = {
            "segmentation": labels,
            "crop": crops,
            "cells": {"label": [1, 2], "kept": [True, False], "area_um2": [60.0, 48.0]},
            "tracks": tracks,
            "timeseries": {"cells": 2, "mean area": [54.0, "µm²"]},
            "focus": {"z_um": [0.0, 1.0], "score": [0.5, 0.75], "best_z_um": 1.0},
        }
        results.put("cells", info, returned, export_path)
        ms = {"bridge": 0.2, "provider": 0.4, "fetch": 0.5, "process": 20.0, "settled": 21.0}
        stream.publish(Decided(info.event_id, "cells", "done", ("t000_p000_c0_z000",), tuple(returned), ms))
    writer.close()
    results.close()
    stream.publish(RunEnded("completed"))
    summary.write()
    for part in (status, journal, log):
        part.close()
    return folder.path


@pytest.fixture
def report(run_folder: Path) -> dict[str, Any]:
    """``run.json`` of ``run_folder``."""
    return json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
