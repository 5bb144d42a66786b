"""Draws docs/images/scan_and_zoom.png: a field of the scan with the chosen cells, and each of them at 40x."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from demo_run import DemoRun, save, stretched

NAME = "scan_and_zoom"


def main() -> None:
    """Run the example and draw its first field."""
    run = DemoRun.of(NAME)
    index = min(run.answers)
    field, labels = run.images[index][0], run.result(NAME, "segmentation", index)
    targets = run.answers[index]["TARGETS"]
    figure, axes = plt.subplots(
        1, 1 + len(targets), figsize=(14, 4), width_ratios=(1.25, *(1 for _ in targets))
    )
    axes[0].imshow(field, **stretched(field))
    axes[0].set_title("the scan, 10x, DAPI", fontsize=10)
    for number, (target, panel) in enumerate(zip(targets, axes[1:], strict=True), start=1):
        col, row = _centre(labels, target)
        axes[0].plot(col, row, "o", markersize=16, markerfacecolor="none", markeredgecolor="#56c8ff")
        axes[0].annotate(str(number), (col + 12, row - 10), color="#56c8ff")
        stack = {
            each.focus: pixels
            for each, (pixels, _) in run.images.items()
            if each.position == target["positionIndex"] and each.channel == 0
        }
        middle = stack[len(stack) // 2]
        panel.imshow(middle, **stretched(middle))
        panel.set_title(f"cell {number}, 40x, DAPI, middle of {len(stack)} slices", fontsize=10)
    for panel in axes:
        panel.set(xticks=[], yticks=[])
    save(figure, NAME)


def _centre(labels: npt.NDArray[np.integer], target: dict[str, Any]) -> tuple[float, float]:
    """Column and row of a target, by its label."""
    rows, cols = np.nonzero(labels == int(target["label"].rsplit(" ", 1)[1]))
    return float(cols.mean()), float(rows.mean())


if __name__ == "__main__":
    main()
