"""What a run will take: time and disk space."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.errors import Level
from inscoper_mm.experiment.plan import Plan

# Tags, index entry and journal lines of an image, without the scripts' values.
_BYTES_BESIDE_PIXELS = 4_000
_GUESSED_SHAPE, _GUESSED_BYTES_PER_PIXEL = (2048, 2048), 2
_TIGHT = 0.9
_ROUNDING_S = 1e-9

FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run takes at least.

    ``duration_s`` is exposures and waiting times only, ``late_times`` how many time points cannot start when due.
    """

    images: int
    duration_s: float
    late_times: int
    bytes_needed: int
    bytes_free: int
    guessed: bool


def cost_of(plan: Plan, facts: MicroscopeFacts, output: Path, free_bytes: FreeBytes) -> Cost:
    """The cost of ``plan``; where the image size is not known, that of 2048 x 2048 pixels of 16 bit."""
    duration_s, late_times = _duration(plan, facts.exposure_ms or 0.0)
    image_bytes = facts.image_bytes
    if image_bytes is None:
        image_bytes = _GUESSED_SHAPE[0] * _GUESSED_SHAPE[1] * _GUESSED_BYTES_PER_PIXEL
    needed = len(plan) * (image_bytes + _BYTES_BESIDE_PIXELS)
    free = free_bytes(_existing(output))
    return Cost(len(plan), duration_s, late_times, needed, free, facts.image_bytes is None)


def check_cost(cost: Cost, notes: Notes) -> None:
    """Note where disk or time will not do."""
    if cost.bytes_needed > _TIGHT * cost.bytes_free:
        full = cost.bytes_needed > cost.bytes_free
        # A guess about the camera is no reason to refuse.
        level: Level = "error" if full and not cost.guessed else "warning"
        verb = "do not fit on" if full else "nearly fill"
        about = ", if each has 2048 x 2048 pixels of 16 bit" if cost.guessed else ""
        got = f"{cost.images} images take {size_text(cost.bytes_needed)}{about}"
        message = f"the images {verb} the disk: {size_text(cost.bytes_free)} are free."
        notes.add(level, ("output", "directory"), message, got=got)
    if cost.late_times:
        message = f"{cost.late_times} time points cannot start when they are due: they are shifted."
        cure = "The exposures alone take longer than the interval."
        notes.add("warning", ("acquisition", "time_plan"), message, cure=cure)


def check_folder(output: Path, notes: Notes) -> None:
    """Note where the run folder cannot be made."""
    folder = _existing(output)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        notes.add("error", ("output", "directory"), "run folders cannot be made here.", got=str(folder))


def free_on_disk(folder: Path) -> int:
    """The free bytes of the disk that holds ``folder``."""
    return shutil.disk_usage(folder).free


def size_text(count: float) -> str:
    """``count`` bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} TB" if count < 1000 else f"{count:,.0f} TB"


def _duration(plan: Plan, default_exposure_ms: float) -> tuple[float, int]:
    """When the last exposure ends, and how many time points are due before the camera is free."""
    now_s = last_due_s = shift_s = 0.0
    late = 0
    for event in plan:
        due_s = event.due_s
        if due_s is not None and due_s != last_due_s:
            # A time point that starts late shifts all that follow, as in the run.
            behind_s = max(now_s - (due_s + shift_s), 0.0)
            # The time-lapse of the next position (or channel) begins anew: it is not late.
            late += due_s > last_due_s and behind_s > _ROUNDING_S
            shift_s += behind_s
            now_s, last_due_s = max(now_s, due_s + shift_s), due_s
        now_s += (default_exposure_ms if event.exposure_ms is None else event.exposure_ms) / 1000
    return now_s, late


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if each.exists())
