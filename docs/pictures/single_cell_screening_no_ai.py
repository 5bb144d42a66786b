"""Draws docs/images/single_cell_screening_no_ai.png: what is kept of a field, what is left out, and some crops."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import tifffile
from demo_run import DemoRun, save, stretched

from inscoper_mm.images.index import Index

NAME = "single_cell_screening_no_ai"
SINGLE, OTHER = "#56c8ff", "#ff9632"
PART = 320


def main() -> None:
    """Run the example and draw its first field."""
    run = DemoRun.of(NAME, "scripts[0].parameters.crop_size_px=32", "acquisition.time_plan.loops=1")
    index = min(run.answers)
    pixels, labels = run.images[index][0], run.result(NAME, "segmentation", index)
    crops = sorted((run.folder / "crops").glob(f"{index.stem}_*.tif"))
    single = _kept(run, index)
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    field, cells = figure.subfigures(1, 2)
    axes = field.subplots()
    axes.imshow(pixels, **stretched(pixels))
    for kept, colour in ((True, SINGLE), (False, OTHER)):
        mask = np.isin(labels, single, invert=not kept) & (labels > 0)
        for each in np.unique(labels[mask]):
            axes.contour(labels == each, [0.5], colors=colour, linewidths=0.9)
    axes.set(xlim=(0, PART), ylim=(PART, 0), xticks=[], yticks=[])
    axes.set_title(f"single cells (blue): {len(single)} of {labels.max()} in the whole field", fontsize=10)
    panels = cells.subplots(6, 6)
    for panel, path in zip(panels.flat, crops, strict=False):
        crop = tifffile.imread(path)
        panel.imshow(crop, **stretched(crop))
        panel.axis("off")
    panels[0, 2].set_title("          some of the crops", fontsize=10)
    save(figure, NAME)


def _kept(run: DemoRun, index: Index) -> list[int]:
    """The labels of the crops of an image."""
    files = (run.folder / "crops").glob(f"{index.stem}_*.json")
    return [json.loads(path.read_text(encoding="utf-8"))["label"] for path in files]


if __name__ == "__main__":
    main()
