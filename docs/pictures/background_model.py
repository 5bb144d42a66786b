"""Draws docs/images/background_model.png: a run of the example on the demo devices, its model and corrected images."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.figure import Figure

from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import read_entry, read_index
from inscoper_mm.library import library_dir

OUT = Path(__file__).resolve().parents[1] / "images" / "background_model.png"
FIELDS, OFFSET, FALLOFF = 16, 100.0, 0.6
SHOWN = Index(1, 5, 0, 0)
LIKE = {"even": "raw", "mean even": "mean"}


def main() -> None:
    """Run, and draw."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "inscoper_mm.cli", "run"]
        subprocess.run(
            [*command, str(library_dir("configs") / "background_model.yaml"), "-o", runs],
            check=True,
            capture_output=True,
        )
        (folder,) = Path(runs).iterdir()
        draw(folder)


def draw(folder: Path) -> None:
    """The picture of a run."""
    figure = Figure(figsize=(11, 7.4), dpi=100, layout="constrained")
    axes = figure.subplot_mosaic([["raw", "model", "even"], ["mean", "mean even", "profile"]])
    entries = read_index(folder / "images")
    fields = [Index(1, number, 0, 0) for number in range(FIELDS)]
    raw = {index: read_entry(folder / "images", entries[index])[0] - OFFSET for index in fields}
    place = folder / "results" / "background_model" / "normalized"
    even = {index: tifffile.imread(place / f"{index.stem}.tif") for index in fields}
    model = tifffile.imread(folder / "background.tif")
    means = {"mean": np.mean([*raw.values()], axis=0), "mean even": np.mean([*even.values()], axis=0)}
    pictures = {
        "raw": (raw[SHOWN], "one image, raw"),
        "model": (model, f"background.tif, from {FIELDS} fields"),
        "even": (even[SHOWN], "the same image, corrected"),
        "mean": (means["mean"], f"mean of {FIELDS} images, raw"),
        "mean even": (means["mean even"], f"mean of {FIELDS} images, corrected"),
    }
    for name, (pixels, title) in pictures.items():
        # A raw image and its corrected one in the same range, relative to their means.
        like = pictures[LIKE.get(name, name)][0]
        low, high = np.quantile(like / like.mean(), (0.005, 0.995)) * pixels.mean()
        axes[name].imshow(pixels, cmap="gray", vmin=low, vmax=high)
        axes[name].set_title(title, fontsize=10)
        axes[name].set_axis_off()
    profile(axes["profile"], model - OFFSET)
    figure.savefig(OUT)


def profile(panel, learned) -> None:  # type: ignore[no-untyped-def]
    """From corner to corner: what was learned, and what is true."""
    along = np.linspace(-1, 1, len(learned))
    truth = 1 - FALLOFF * (along[:, None] ** 2 + along[None, :] ** 2) / 2
    panel.plot(
        along, np.diag(truth / truth.mean()), color="#888888", linewidth=3, label="the lamp of the specimen"
    )
    panel.plot(along, np.diag(learned / learned.mean()), color="#d95f02", label="learned")
    panel.plot(
        along,
        np.diag(truth / truth.mean()) / np.diag(learned / learned.mean()),
        color="#1b7837",
        label="left",
    )
    panel.set(xlabel="from corner to corner", ylabel="light, relative to its mean", ylim=(0, 1.5))
    panel.set_xticks([-1, 0, 1], ["top left", "centre", "bottom right"])
    panel.legend(fontsize=8, loc="lower center", frameon=False)
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
