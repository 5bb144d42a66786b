"""What demo.py does: a field of the scan with its most eccentric cell, and the image that was taken of it."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import tifffile
from demo_run import DemoRun, save, stretched

from inscoper_mm.images.index import Index

FIELDS = 3


def main() -> None:
    """Run the example and draw it."""
    done = DemoRun.of("demo")
    figure, axes = plt.subplots(2, FIELDS + 1, figsize=(14, 7.2))
    answers = done.answers
    fields = [index for index in answers if index.time == 1][:FIELDS]
    closer = [index for index in answers if index.time == 0][:FIELDS]
    for column, (field, near) in enumerate(zip(fields, closer, strict=True)):
        _draw(axes[0, column], done, field, answers[field], f"field {column + 1}: the most eccentric cell")
        _draw(axes[1, column], done, near, answers[near], "and the image taken of it")
    light = tifffile.imread(done.folder / "background.tif")
    axes[0, FIELDS].imshow(light, cmap="viridis")
    axes[0, FIELDS].set_title("background.tif")
    crop = sorted((done.folder / "crops").glob("*.tif"))[0]
    pixels = tifffile.imread(crop)
    axes[1, FIELDS].imshow(pixels, **stretched(pixels))
    axes[1, FIELDS].set_title(crop.name)
    for axis in axes.ravel():
        axis.set_axis_off()
    figure.tight_layout()
    save(figure, "demo_cellpose")


def _draw(axis: plt.Axes, done: DemoRun, index: Index, answer: dict[str, object], title: str) -> None:
    pixels, _ = done.images[index]
    labels = done.result("demo", "segmentation", index)
    axis.imshow(pixels, **stretched(pixels))
    axis.contour(labels > 0, [0.5], colors="#4da6ff", linewidths=0.7)
    target = answer["TARGET"]
    assert isinstance(target, dict)
    row, col = target["centroid_row_px"], target["centroid_col_px"]
    axis.plot(col, row, "o", ms=34, mfc="none", mec="#ff9f1c", mew=2)
    axis.plot([labels.shape[1] / 2], [labels.shape[0] / 2], "+", ms=14, color="#ff9f1c")
    axis.set_title(f"{title} ({target['eccentricity']:.2f})", fontsize=10)


if __name__ == "__main__":
    main()
