"""The period of each contestant's loop, taken in turns."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mmpycorex
import numpy as np
from contestants import BarePycromanager, Contestant, Ours, PymmcorePlus, RawCore
from demo_camera import ADAPTERS, CONFIG, set_up
from pymmcore_plus import CMMCorePlus
from report import Cost

# The first images of a round pay for opening files and filling caches.
_WARM_UP = 5


def compare(side_px: int, images: int, rounds: int) -> list[Cost]:
    """The cost of every contestant at ``side_px`` x ``side_px``, taking turns for ``rounds`` rounds."""
    mmpycorex.create_core_instance(mm_app_path=str(ADAPTERS), config_file=str(CONFIG), python_backend=True)
    core = mmpycorex.Core()
    plus = CMMCorePlus()
    plus.setDeviceAdapterSearchPaths([str(ADAPTERS)])
    plus.loadSystemConfiguration(str(CONFIG))
    for each in (core, plus):
        set_up(each, side_px)
    contestants: tuple[Contestant, ...] = (
        RawCore(core),
        BarePycromanager(core, "processed"),
        BarePycromanager(core, "saved"),
        PymmcorePlus(plus, ".ome.tiff"),
        PymmcorePlus(plus, ".ome.zarr"),
        Ours(core, "null_script", "thread"),
        Ours(core, "null_script", "worker"),
        Ours(core, "null_gate", "worker"),
        Ours(core, "null_gate", "thread"),
    )
    periods: dict[str, list[np.ndarray]] = {contestant.name: [] for contestant in contestants}
    try:
        for number in range(rounds):
            # Turned round each time: what a contestant leaves for the disk to do hits another one each round.
            for contestant in _turned(contestants, number):
                periods[contestant.name].append(_periods_ms(contestant, images))
    finally:
        plus.unloadAllDevices()
        mmpycorex.terminate_core_instances()
    return [_cost(name, rows) for name, rows in periods.items()]


def _turned(contestants: Sequence[Contestant], by: int) -> list[Contestant]:
    by %= len(contestants)
    return [*contestants[by:], *contestants[:by]]


def _periods_ms(contestant: Contestant, images: int) -> np.ndarray:
    folder = Path(tempfile.mkdtemp(prefix="inscoper_mm_bench_"))
    gc.collect()
    try:
        arrived = contestant.run(images, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if len(arrived) != images:
        raise RuntimeError(f"{contestant.name}: {len(arrived)} of {images} images arrived.")
    return np.diff(arrived[_WARM_UP:]) * 1e3


def _cost(name: str, rounds: Sequence[np.ndarray]) -> Cost:
    return Cost(
        name,
        median_ms=float(min(np.median(row) for row in rounds)),
        p95_ms=float(min(np.percentile(row, 95) for row in rounds)),
        mean_ms=float(min(np.mean(row) for row in rounds)),
    )
