"""Draws docs/images/autofocus.png: a stack's curve, the images of a search, and how searches follow a drift."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from demo_run import PICTURES, DemoRun
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import read_entry, read_index
from inscoper_mm.output.journal import read_journal

ROWS, COLS = slice(150, 350), slice(150, 350)
BLUE, ORANGE, GREY = "#1b6ca8", "#ff7f2a", "#7a8794"


def main() -> None:
    """Run both examples, and draw."""
    stack = DemoRun.of("autofocus").folder
    search = DemoRun.of("autofocus_search").folder
    figure = Figure(figsize=(11, 7), dpi=100, layout="constrained")
    axes = figure.subplot_mosaic(
        [["curve", "curve", "path", "path", "path"], ["0", "1", "2", "3", "4"]], height_ratios=(1.5, 1)
    )
    curves(axes["curve"], stack)
    images(axes, search)
    path(axes["path"], search)
    figure.savefig(PICTURES / "autofocus.png")


def answers(folder: Path) -> list[dict[str, Any]]:
    """What the script has published, in order."""
    lines = (folder / "results" / "autofocus" / "focus.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def curves(panel: Axes, folder: Path) -> None:
    """The stacks of one position at three time points."""
    texts = ("before", "5 depths of field lower", "corrected")
    own = [answer for answer in answers(folder) if answer["index"]["position"] == 0]
    for answer, text, colour in zip(own, texts, (GREY, ORANGE, BLUE), strict=True):
        focus = answer["value"]
        panel.plot(focus["z_um"], focus["score"], "o-", ms=3, lw=1, color=colour, label=text)
        panel.axvline(focus["best_z_um"], color=colour, lw=1, ls="--")
    panel.set_title("stack: three time points of a position", fontsize=10)
    panel.set_xlabel("height, um")
    panel.set_ylabel("mean squared slope")
    panel.legend(fontsize=8, loc="upper right")


def taken(folder: Path) -> list[tuple[str, Index, float]]:
    """Event, index and real height of all images of the first position's searches, in order."""
    labels = {
        line["event"]: line.get("label")
        for line in read_journal(folder / "events.jsonl")
        if line["type"] == "planned"
    }
    return [
        (line["event"], Index(**line["index"]), line["real_um"]["z"])
        for line in read_journal(folder / "events.jsonl")
        if line["type"] == "captured"
        and (labels.get(line["event"]) == "focus search 0" or line["index"]["position"] == 0)
    ]


def images(axes: dict[str, Axes], folder: Path) -> None:
    """Five images of the first search."""
    entries = read_index(folder / "images")
    seen = taken(folder)
    last = next(number for number, (event, _, _) in enumerate(seen[1:], 1) if event.startswith("e"))
    for panel, number in enumerate(np.unique(np.linspace(0, last - 1, 5).round().astype(int))):
        _, index, z_um = seen[number]
        pixels, _ = read_entry(folder / "images", entries[index])
        axes[str(panel)].imshow(pixels[ROWS, COLS], cmap="gray", vmin=100, vmax=900)
        axes[str(panel)].set_title(f"image {number + 1}: {z_um:.1f} um", fontsize=10)
        axes[str(panel)].set_axis_off()


def path(panel: Axes, folder: Path) -> None:
    """Heights of the images over their number, and the true focus."""
    with (folder / "truth" / "views.csv").open(encoding="utf-8", newline="") as file:
        true = {row["stem"]: float(row["true_focus_um"]) for row in csv.DictReader(file)}
    seen = taken(folder)
    number = np.arange(1, len(seen) + 1)
    planned = np.array([event.startswith("e") for event, _, _ in seen])
    z_um = np.array([z for _, _, z in seen])
    panel.plot(number, [true[index.stem] for _, index, _ in seen], "-", color=GREY, lw=2, label="true focus")
    panel.plot(number, z_um, ".-", color=BLUE, lw=0.7, ms=6, label="images of the searches")
    panel.plot(number[planned], z_um[planned], "o", color=ORANGE, ms=7, label="images of the plan")
    panel.set_title("search: from 10 depths of field away, then after the drift", fontsize=10)
    panel.set_xlabel("image of this position")
    panel.set_ylabel("height, um")
    panel.legend(fontsize=8, loc="lower right")


if __name__ == "__main__":
    main()
