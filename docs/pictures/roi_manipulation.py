"""Draws docs/images/roi_manipulation.png: a run of the example on the demo devices, its cells and its curves."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import read_entry, read_index
from inscoper_mm.library import library_dir

OUT = Path(__file__).resolve().parents[1] / "images" / "roi_manipulation.png"
SHOWN = {9: "before the fire", 10: "1 s after it", 69: "60 s after it"}
ROWS, COLS = slice(80, 480), slice(60, 440)
MOBILE, HALF_TIME_S = 0.7, 10.0


def main() -> None:
    """Run, and draw."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "inscoper_mm.cli", "run"]
        subprocess.run(
            [*command, str(library_dir("configs") / "roi_manipulation.yaml"), "-o", runs],
            check=True,
            capture_output=True,
        )
        (folder,) = Path(runs).iterdir()
        draw(folder)


def draw(folder: Path) -> None:
    """The picture of a run."""
    figure = Figure(figsize=(11, 7.2), dpi=100, layout="constrained")
    axes = figure.subplot_mosaic([["9", "10", "69"], ["curves", "curves", "curves"]], height_ratios=(1.15, 1))
    entries = read_index(folder / "images")
    fired, cells, _ = tifffile.imread(folder / "regions.tif")
    for time, text in SHOWN.items():
        pixels, _ = read_entry(folder / "images", entries[Index(time, 0, 0, 0)])
        panel = axes[str(time)]
        panel.imshow(pixels[ROWS, COLS], cmap="gray", vmin=300, vmax=1100)
        panel.contour(cells[ROWS, COLS] > 0, [0.5], colors="#4aa3df", linewidths=0.8)
        panel.contour(fired[ROWS, COLS] > 0, [0.5], colors="#ff7f2a", linewidths=1.0)
        panel.set_title(text, fontsize=10)
        panel.set_axis_off()
    curves(axes["curves"], folder / "recovery.csv")
    figure.savefig(OUT)


def curves(panel: Axes, table: Path) -> None:
    """The points of all cells, and what the specimen was told to do."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value or "nan") for name, value in row.items()} for row in csv.DictReader(file)]
    for cell in sorted({row["cell"] for row in rows}):
        own = [row for row in rows if row["cell"] == cell]
        time_s = np.array([row["since_fire_s"] for row in own])
        panel.plot(time_s, [row["normalised"] for row in own], ".", ms=3, color="#7a8794", alpha=0.6)
        panel.plot(time_s, [row["fitted"] for row in own], lw=1, color="#ff7f2a", alpha=0.8)
    start = np.mean([row["fitted"] for row in rows if row["image"] == 10])
    time_s = np.linspace(1, 60, 200)
    low = (start - MOBILE * (1 - 0.5 ** (1 / HALF_TIME_S))) / (1 - MOBILE * (1 - 0.5 ** (1 / HALF_TIME_S)))
    true = low + MOBILE * (1 - low) * (1 - 0.5 ** (time_s / HALF_TIME_S))
    panel.plot(time_s, true, "--", lw=2, color="#1b6ca8", label="the specimen: 70 %, half-time 10 s")
    panel.plot([], [], color="#ff7f2a", label="fits of ten cells")
    panel.set_xlabel("time since the fire [s]")
    panel.set_ylabel("brightness, double-normalised")
    panel.set_ylim(0, 1.1)
    panel.legend(loc="lower right")


if __name__ == "__main__":
    main()
