"""Draws docs/images/correlation_tracking_withZ.png: a followed field, what moves in it, and the target's way."""

from __future__ import annotations

import csv

import matplotlib.pyplot as plt
import numpy as np
import tifffile
from demo_run import DemoRun, save, stretched

NAME = "correlation_tracking_withZ"
MIDDLE = 3  # of the seven slices


def main() -> None:
    """Run the example, and the same without corrections; draw an image and the way of the target."""
    followed = DemoRun.of(NAME)
    off = DemoRun.of(NAME, "scripts[0].parameters.correct_xy=false", "scripts[0].parameters.correct_z=false")
    figure, axes = plt.subplots(1, 4, figsize=(16, 4.2), width_ratios=(1, 1, 1.25, 1.25))
    _draw_motion(axes[:2], followed)
    for run, text, colour in ((followed, "followed", "#1f77b4"), (off, "not corrected", "#e8602c")):
        shift, defocus = _away(run)
        axes[2].plot(shift, label=text, color=colour, marker=".")
        axes[3].plot(defocus, label=text, color=colour, marker=".")
    axes[2].axhline(1, color="grey", linewidth=0.8, linestyle=":")
    axes[2].set(
        xlabel="time point", ylabel="target away from its place [px]", yscale="symlog", ylim=(0, None)
    )
    axes[3].axhspan(-0.5, 0.5, color="grey", alpha=0.2)
    axes[3].set(xlabel="time point", ylabel="middle slice from the focus [µm]")
    for panel in axes[2:]:
        panel.legend()
    figure.tight_layout()
    save(figure, NAME)


def _draw_motion(panels: np.ndarray, run: DemoRun) -> None:
    """An image with what moves in it, and the difference."""
    folder = run.folder / "results" / NAME
    mask_file = sorted((folder / "motion_mask").glob("*.tif"))[14]
    mask = tifffile.imread(mask_file) > 0
    difference = tifffile.imread(folder / "motion_difference" / mask_file.name)
    index = next(index for index in run.images if index.stem == mask_file.stem)
    image = run.images[index.__class__(index.time, index.position, index.channel, MIDDLE)][0]
    panels[0].imshow(image, **stretched(image))
    panels[0].contour(mask, [0.5], colors="#56c8ff", linewidths=0.8)
    panels[0].set_title("motion_mask", fontsize=10)
    reach = np.percentile(np.abs(difference), 99.5)
    panels[1].imshow(difference, cmap="RdBu_r", vmin=-reach, vmax=reach)
    panels[1].set_title("motion_difference", fontsize=10)
    for panel in panels:
        panel.set(xticks=[], yticks=[])


def _away(run: DemoRun) -> tuple[np.ndarray, np.ndarray]:
    """Distance of the target from its place in pixels, and of the middle slice from the focus, by the truth."""
    with (run.folder / "truth" / "views.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stem"].endswith(f"z{MIDDLE:03d}")]
    column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name.endswith("_um")}
    x = column["x_um"] - column["moved_x_um"]
    y = column["y_um"] - column["moved_y_um"]
    return np.hypot(x - x[0], y - y[0]), column["z_um"] - column["true_focus_um"]


if __name__ == "__main__":
    main()
