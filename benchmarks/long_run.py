"""Many images: does the memory grow, does the loop slow down? Run as a program, prints one line of JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

# Memory is compared with what it was after this many images: by then every cache and library is loaded.
_SETTLED = 100


def long_run(images: int, side_px: int) -> dict[str, float]:
    """``growth_mb``, ``first_ms`` and ``last_ms`` of a run of ``images``, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, str(images), str(side_px)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(images: int, side_px: int) -> None:
    """Run and print the figures."""
    import mmpycorex
    from contestants import null_experiment
    from demo_camera import ADAPTERS, CONFIG, set_up

    from inscoper_mm.acquisition.session import run_experiment
    from inscoper_mm.microscope.core import Microscope

    mmpycorex.create_core_instance(mm_app_path=str(ADAPTERS), config_file=str(CONFIG), python_backend=True)
    core = mmpycorex.Core()
    set_up(core, side_px)
    folder = Path(tempfile.mkdtemp(prefix="inscoper_mm_bench_"))
    arrived: list[float] = []
    memory: list[int] = []
    try:
        run_experiment(
            null_experiment(images, "null_script", "worker"),
            output=folder,
            on_record=_note(arrived, memory),
            microscope=Microscope(core, CONFIG),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures(arrived, memory)))
    sys.stdout.flush()


def figures(arrived_s: list[float], memory_bytes: list[int]) -> dict[str, float]:
    """What the run shows: growth after the first images, and the period at its beginning and its end."""
    period_ms = np.diff(arrived_s) * 1e3
    part = min(1000, len(period_ms) // 2)
    return {
        "images": len(arrived_s),
        "growth_mb": (max(memory_bytes[_SETTLED:]) - memory_bytes[_SETTLED]) / 1e6,
        "first_ms": float(np.median(period_ms[:part])),
        "last_ms": float(np.median(period_ms[-part:])),
    }


def _note(arrived: list[float], memory: list[int]) -> Callable[[float, object], None]:
    from inscoper_mm.records import Captured

    process = psutil.Process(os.getpid())

    def note(elapsed_s: float, record: object) -> None:
        if isinstance(record, Captured):
            arrived.append(record.arrived_s)
            memory.append(process.memory_info().rss)

    return note


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
