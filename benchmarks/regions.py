"""Regions: polygons as pixels against exact point-in-polygon, and what is recovered of known recoveries (FRAP)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from interleave import interleave, timing_table
from skimage.draw import polygon as skimage_polygon

from inscoper_mm.analysis.frap import recovery_of
from inscoper_mm.analysis.frap_areas import PARTS, Part, brightness, frap_areas
from inscoper_mm.analysis.recovery_fit import Recovery, fit_recovery
from inscoper_mm.analysis.regions import region_of
from inscoper_mm.specimen.parameters import Bleaching
from inscoper_mm.testing.simulated_frap import frap_series

PACKAGES = ("shapely",)

Outline = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]

OURS, SKIMAGE, SHAPELY = "inscoper_mm", "skimage.draw.polygon", "shapely.contains_xy in the box"
CV2, CV2_FINE = "cv2.fillPoly, whole pixels", "cv2.fillPoly, 1/65536 pixel"
SIDE_PX = 2048
_FINE_BITS = 16
SEEDS = (1, 2)
IMAGING_PER_MS = 2e-4
TRUTHS = ((0.7, 10.0), (0.3, 5.0))


def section(options: argparse.Namespace) -> str:
    """The tables of the page."""
    return "\n\n".join(
        [
            "## Regions and FRAP",
            _polygons("500 polygons of 64 vertices, radius 20", _many(), options.rounds),
            _polygons(
                "One polygon of 96 vertices, radius 600", [_round(np.array([1000.3, 1011.7]), 600, 96)], 3
            ),
            _recoveries(),
        ]
    )


# -- polygons


def _round(centre: Outline, radius_px: float, vertices: int) -> Outline:
    angle = np.arange(vertices) * (2 * np.pi / vertices)
    return centre + radius_px * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _many() -> list[Outline]:
    random = np.random.default_rng(0)
    side = 23
    places = np.stack(np.unravel_index(np.arange(500), (side, side)), axis=1) * 88 + 44
    return [_round(place + random.uniform(-10, 10, 2), 20, 64) for place in places]


def _ours(outlines: Sequence[Outline]) -> Labels:
    return _painted(outlines, lambda outline: region_of({"type": "polygon", "points": outline}))


def _painted(outlines: Sequence[Outline], make: Callable[[Outline], object]) -> Labels:
    found = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    for number, outline in enumerate(outlines, start=1):
        low, high = np.floor(outline.min(axis=0)).astype(int), np.ceil(outline.max(axis=0)).astype(int)
        box = found[low[0] : high[0] + 1, low[1] : high[1] + 1]
        box[make(outline - low).mask(box.shape)] = number  # type: ignore[attr-defined]
    return found


def _skimage(outlines: Sequence[Outline]) -> Labels:
    found = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    for number, outline in enumerate(outlines, start=1):
        found[skimage_polygon(outline[:, 0], outline[:, 1], found.shape)] = number
    return found


def _shapely(outlines: Sequence[Outline]) -> Labels:
    found = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    for number, outline in enumerate(outlines, start=1):
        low, high = np.floor(outline.min(axis=0)).astype(int), np.ceil(outline.max(axis=0)).astype(int)
        rows, cols = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1]
        area = shapely.Polygon(outline)
        shapely.prepare(area)
        found[low[0] : high[0] + 1, low[1] : high[1] + 1][shapely.contains_xy(area, rows, cols)] = number
    return found


def _cv2(outlines: Sequence[Outline]) -> Labels:
    found = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    for number, outline in enumerate(outlines, start=1):
        cv2.fillPoly(found, [np.rint(outline[:, ::-1]).astype(np.int32)], number)
    return found


def _cv2_fine(outlines: Sequence[Outline]) -> Labels:
    found = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    for number, outline in enumerate(outlines, start=1):
        points = np.rint(outline[:, ::-1] * 2**_FINE_BITS).astype(np.int32)
        cv2.fillPoly(found, [points], number, shift=_FINE_BITS)
    return found


CONTESTANTS = {OURS: _ours, SKIMAGE: _skimage, SHAPELY: _shapely, CV2: _cv2, CV2_FINE: _cv2_fine}


def _polygons(title: str, outlines: list[Outline], rounds: int) -> str:
    exact = _shapely(outlines)
    lines = ["| | pixels wrong, of all inside |", "|---|---:|"]
    for name, draw in CONTESTANTS.items():
        wrong = int(np.count_nonzero(draw(outlines) != exact))
        lines.append(f"| {name} | {wrong} ({100 * wrong / np.count_nonzero(exact):.2f} %) |")
    times = interleave({name: lambda draw=draw: draw(outlines) for name, draw in CONTESTANTS.items()}, rounds)
    return (
        f"### {title}, at {SIDE_PX} x {SIDE_PX}\n\nA pixel is inside if its centre is. Ours draws with "
        "scikit-image and adds the checks of a region, holes and clipping.\n\n"
        + "\n".join(lines)
        + "\n\n"
        + timing_table(times, base=SKIMAGE)
    )


# -- recoveries


def _recoveries() -> str:
    lines = [
        "| part | truth | photons | normalised by | cells, refused | mobile fraction: mean error | worst cell | "
        "half-time: mean error | worst cell |",
        "|---|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for part, truth, photons in product(PARTS, TRUTHS, (None, 200.0, 50.0)):
        for divisor, found in _found(part, truth, photons).items():
            lines.append(_row(part, truth, photons, divisor, found))
    return (
        "### Recoveries of known mobile fraction and half-time\n\nTen cells in each of two fields of the virtual "
        "specimen, 10 images before the fire and 60 after it, one a second; 0.4 % are lost in each image. Without a "
        "divisor, the brightness of the fired region alone is fitted; the rest of the cell is what the script "
        "measures besides.\n\n" + "\n".join(lines)
    )


def _found(part: Part, truth: tuple[float, float], photons: float | None) -> dict[str, list[Recovery]]:
    found: dict[str, list[Recovery]] = {"whole cell": [], "rest of the cell": [], "nothing": []}
    if photons is not None:
        found = {"whole cell": []}
    for seed in SEEDS:
        bleaching = Bleaching(0.3, *truth, imaging_per_ms=IMAGING_PER_MS)
        series = frap_series(seed, bleaching, photons, part=part)
        areas = frap_areas(series.regions, series.labels)
        measured = [brightness(image, areas) for image in series.images]
        table = {name: np.array([each[name] for each in measured]) for name in measured[0]}
        for number, divisor in product(range(areas.count), found):
            found[divisor].append(
                _fit({name: each[:, number] for name, each in table.items()}, divisor, series.time_s)
            )
    return found


def _fit(cell: dict[str, npt.NDArray[np.float64]], divisor: str, time_s: npt.NDArray[np.float64]) -> Recovery:
    if divisor == "nothing":
        return fit_recovery(time_s, cell["fired"] - cell["fired_background"])
    measured = cell if divisor == "whole cell" else cell | {"cell": cell["rest"]}
    return recovery_of(time_s, measured, time_s < 0)[1]


def _row(
    part: Part, truth: tuple[float, float], photons: float | None, divisor: str, found: list[Recovery]
) -> str:
    kept = [each for each in found if not each.reason]
    light = "no noise" if photons is None else f"{photons:g}"
    head = f"| {part} | {truth[0]:.0%}, {truth[1]:g} s | {light} | {divisor} "
    head += f"| {len(found)}, {len(found) - len(kept)} |"
    if not kept:
        return f"{head} | | | |"
    numbers = np.array([(each.mobile_fraction, each.half_time_s) for each in kept], float) / truth - 1
    cells = [
        f"{100 * mean:+.1f} % | {100 * worst:.1f} %"
        for mean, worst in zip(numbers.mean(0), abs(numbers).max(0), strict=True)
    ]
    return f"{head} {' | '.join(cells)} |"
