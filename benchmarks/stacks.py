"""A z-stack as one hardware sequence against the same stack slice by slice, taken in turns."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mmpycorex
import numpy as np
import useq
from demo_camera import ADAPTERS, CONFIG, EXPOSURE_MS, set_up

from inscoper_mm.acquisition.session import run_experiment
from inscoper_mm.experiment.model import Bursts, Experiment
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Captured, Record

SLICES = 21
_STACKS = 12
_KINDS: tuple[Bursts, ...] = ("none", "z_stack")


@dataclass(frozen=True)
class StackCost:
    """From one stack's first slice to the next one's: the least of the rounds' medians, for a slice."""

    bursts: Bursts
    slice_ms: float


def compare_stacks(side_px: int, rounds: int) -> list[StackCost]:
    """What a slice costs with and without bursts, at ``side_px`` x ``side_px``."""
    mmpycorex.create_core_instance(mm_app_path=str(ADAPTERS), config_file=str(CONFIG), python_backend=True)
    try:
        core = mmpycorex.Core()
        set_up(core, side_px)
        microscope = Microscope(core, CONFIG)
        found = {kind: [_slice_ms(microscope, kind) for _ in range(rounds)] for kind in _KINDS}
    finally:
        mmpycorex.terminate_core_instances()
    return [StackCost(kind, min(times)) for kind, times in found.items()]


def _slice_ms(microscope: Microscope, bursts: Bursts) -> float:
    ends: list[float] = []

    def note(elapsed_s: float, record: Record) -> None:
        if isinstance(record, Captured) and record.index["focus"] == 0:
            ends.append(record.exposure_end_s)

    folder = Path(tempfile.mkdtemp(prefix="inscoper_mm_bench_"))
    plan = useq.MDASequence(
        axis_order="tpcz",
        stage_positions=[{"x": 0, "y": 0, "z": 0}],
        z_plan={"range": SLICES - 1, "step": 1},
        time_plan={"interval": 0, "loops": _STACKS},
    )
    try:
        microscope.set_exposure(EXPOSURE_MS)
        experiment = Experiment(name="stacks", acquisition=plan, bursts=bursts)
        result = run_experiment(experiment, output=folder, on_record=note, microscope=microscope)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if result.state != "completed" or result.counts["stored"] != _STACKS * SLICES:
        raise RuntimeError(f"The run with bursts: {bursts} did not go well: {result}")
    return float(np.median(np.diff(ends[1:]))) * 1e3 / SLICES


def stack_table(costs: list[StackCost]) -> str:
    """The times, and their ratio to single events."""
    base = next(cost for cost in costs if cost.bursts == "none")
    lines = ["| `bursts` | ms a slice | times as fast |", "|---|---:|---:|"]
    lines += [
        f"| `{cost.bursts}` | {cost.slice_ms:.2f} | {base.slice_ms / cost.slice_ms:.2f} |" for cost in costs
    ]
    return "\n".join(lines)
