"""Uneven light: errors and times on simulated fields with a known answer, and what is left on real ones."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from interleave import interleave, timing_table

from inscoper_mm.analysis.camera_offset import noise_of
from inscoper_mm.analysis.illumination import flatten, flatten_as_taken, project_light
from inscoper_mm.analysis.light_model import common_light, tiles_of
from inscoper_mm.output.background_fields import BackgroundFields
from inscoper_mm.output.background_file import Optics
from inscoper_mm.specimen import Specimen, SpecimenParameters, View
from inscoper_mm.specimen.optics import illumination
from inscoper_mm.testing.simulated_shading import CASES, OFFSET, Case, error_percent, fields

PACKAGES = ("basicpy-uncapped", "torch")

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "flatfield"
Pixels = npt.NDArray[np.floating]
Estimate = Callable[[npt.NDArray[np.generic], float], Pixels]

OURS, MEDIAN, SMOOTHED, BASIC = "inscoper_mm, robust", "median", "median, smoothed by 50 px", "BaSiCPy"
NOT_INSTALLED = "not installed"
# Real fields: shading is what is left on a grid of so many parts; the finer one shows more of the cells as well.
GRIDS = (4, 8)
_SPLITS = 20


def section(options: argparse.Namespace) -> str:
    """The tables of the page."""
    return "\n\n".join(["## Background", simulated(), times(options.rounds), specimen(), *real(DATA)])


# -- contestants: all fields and the offset -> the light


def _ours(stack: npt.NDArray[np.generic], offset: float) -> Pixels:
    return common_light([tiles_of(field) for field in stack], stack.shape[1:], offset).flat  # type: ignore[arg-type]


def _basic(stack: npt.NDArray[np.generic], offset: float) -> Pixels:
    import torch
    from basicpy import BaSiC

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = BaSiC(get_darkfield=False)
        model.fit(stack.astype(np.float32) - offset)
    return np.asarray(model.flatfield)


def contestants() -> dict[str, Estimate]:
    """Name -> estimate; BaSiCPy is None where it is not installed."""
    found: dict[str, Estimate] = {
        OURS: _ours,
        MEDIAN: lambda stack, offset: project_light(stack, "median", offset).flat,
        SMOOTHED: lambda stack, offset: project_light(stack, "median", offset, 50).flat,
    }
    if importlib.util.find_spec("basicpy"):
        found[BASIC] = _basic
    return found


# -- what is measured


def simulated() -> str:
    """Errors of the six cases."""
    lines = [
        "Error of the light in percent, root mean square (and largest), from 20 fields of 2048 x 2048 pixels:\n",
        _row("", *map(str, CASES)),
        _row("---", *["---:"] * len(CASES)),
    ]
    names = contestants()
    cells: dict[str, list[str]] = {name: [] for name in names}
    for case in CASES:
        stack = np.stack(list(fields(case)))
        for name, estimate in names.items():
            rms, largest = error_percent(estimate(stack, OFFSET), case.light)
            cells[name].append(f"{rms:.3f} ({largest:.1f})")
    lines += [_row(name, *values) for name, values in cells.items()]
    if BASIC not in names:
        lines.append(_row(BASIC, *[NOT_INSTALLED] * len(CASES)))
    return "\n".join(lines)


def times(rounds: int) -> str:
    """Milliseconds of a field as it arrives, of the model, and of a corrected image."""
    stack = np.stack(list(fields(Case("hard", 0.20))))
    tiles = [tiles_of(field) for field in stack]
    light = common_light(tiles, (2048, 2048), OFFSET)
    timed = {
        "a field as it arrives: its tiles": lambda: tiles_of(stack[0]),
        "a field as it arrives: its tiles, kept on disk": lambda: kept.add("field", stack[0], Optics(), {}),
        "a field as it arrives: with its noise, for an offset that is not known": lambda: noise_of(stack[0]),
        "the model, from what is kept of 20 fields": lambda: common_light(tiles, (2048, 2048), OFFSET),
        "an image corrected, float32": lambda: flatten(stack[0], light),
        "an image corrected, the camera's type": lambda: flatten_as_taken(stack[0], light),
        "median of 20 fields (for comparison)": lambda: project_light(stack, "median", OFFSET),
    }
    if importlib.util.find_spec("basicpy"):
        timed["BaSiCPy of 20 fields (for comparison)"] = lambda: _basic(stack, OFFSET)
    size = sum(tile.nbytes for tile in tiles) / len(tiles) / 1024
    with tempfile.TemporaryDirectory() as folder:
        kept = BackgroundFields(Path(folder), offset=OFFSET)
        table = timing_table(interleave(timed, min(rounds, 5)))
    return f"2048 x 2048 pixels, 16 bit; {size:.0f} KiB are kept of a field:\n\n{table}"


def specimen() -> str:
    """The virtual specimen, whose haze is another one in each field."""
    falloff, counts = 0.6, (6, 16, 25)
    drawn = Specimen(SpecimenParameters(seed=5, falloff=falloff))
    views = [View(700.0 * (n % 5), 700.0 * (n // 5), 0.0, "DAPI", 20.0, image=n) for n in range(max(counts))]
    stack = np.stack([drawn.render(view) for view in views])
    truth = illumination((512, 512), falloff)
    uncorrected = 100 * float(np.std(truth) / np.mean(truth))
    names = contestants()
    lines = [
        f"Virtual specimen, 512 x 512, {falloff:.0%} less light in the corners, haze: shading that the correction "
        f"leaves, percent, root mean square (uncorrected: {uncorrected:.1f}):\n",
        _row("fields", *names),
        _row("---:", *["---:"] * len(names)),
    ]
    for count in counts:
        left = []
        for estimate in names.values():
            ratio = truth / estimate(stack[:count], 100.0)
            left.append(f"{100 * float(np.std(ratio) / np.mean(ratio)):.1f}")
        lines.append(_row(str(count), *left))
    return "\n".join(lines)


def real(data: Path) -> list[str]:
    """Held-back real fields: the model of one half of the fields, and the shading that it leaves in the other half."""
    if not data.is_dir():
        return [f"Real fields: left out, the folder of real data, {data.name}, is not beside the checkout."]
    names = contestants()
    given = tifffile.imread(data / "cp_sbs_ch1" / "Channel1ILLUM.tif")
    others = {"cp_sbs_ch1": {"CellProfiler, of all 96 wells": given}, "basicpy_nanog": {}}
    head = ["uncorrected", *names, *([] if BASIC in names else [BASIC]), "CellProfiler, of all 96 wells"]
    lines = [
        "Real fields: shading that is left in held-back fields, percent, root mean square over a grid of the field; "
        f"means of {_SPLITS} ways to halve the set. `basicpy_nanog` is 8 times of one place, `cp_sbs_ch1` 12 wells "
        "with dense cells and next to no light between them:\n",
        _row("", *head),
        _row("---", *["---:"] * len(head)),
    ]
    for folder, more in others.items():
        left = _left(_images(data / folder), names, more)
        for grid in GRIDS:
            values = [f"{left[grid, name]:.2f}" if (grid, name) in left else "" for name in head]
            values = [
                NOT_INSTALLED if name == BASIC and not value else value
                for name, value in zip(head, values, strict=True)
            ]
            lines.append(_row(f"{folder}, {grid} x {grid}", *values))
    return ["\n".join(lines)]


def _left(
    stack: npt.NDArray[np.generic], names: dict[str, Estimate], more: dict[str, Pixels]
) -> dict[tuple[int, str], float]:
    halves = list(itertools.combinations(range(len(stack)), len(stack) // 2))
    np.random.default_rng(0).shuffle(halves)
    found: dict[tuple[int, str], list[float]] = {}
    # Cells fill most of the wells: their mean; a background that can be seen: the middle value.
    middle = np.median if np.median(stack) > 10 else np.mean
    for half in halves[:_SPLITS]:
        held_back = np.delete(stack, half, axis=0).astype(np.float32)
        lights = {"uncorrected": np.ones(stack.shape[1:])} | more
        lights |= {name: estimate(stack[list(half)], 0.0) for name, estimate in names.items()}
        for (name, light), grid in itertools.product(lights.items(), GRIDS):
            light = np.maximum(light, 0.02 * light.mean())
            found.setdefault((grid, name), []).append(_shading(held_back / light, grid, middle))
    return {key: float(np.mean(values)) for key, values in found.items()}


def _shading(images: Pixels, grid: int, middle: Callable[..., float]) -> float:
    """Unevenness of the field, in percent: each part relative to its image, the median of all images."""
    maps = []
    for image in images:
        rows = np.array_split(image, grid, axis=0)
        parts = np.array([[middle(part) for part in np.array_split(row, grid, axis=1)] for row in rows])
        maps.append(parts / parts.mean())
    typical = np.median(maps, axis=0)
    return 100 * float(np.std(typical) / np.mean(typical))


def _images(folder: Path) -> npt.NDArray[np.generic]:
    files: Sequence[Path] = sorted(path for path in folder.glob("*.tif") if "ILLUM" not in path.name)
    return np.stack([tifffile.imread(path) for path in files])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


cv2.setNumThreads(1)
