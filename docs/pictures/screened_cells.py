"""Draws what a screening script has kept of a field and what it has left out, and crops with their outlines."""

from __future__ import annotations

import json
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import tifffile
from demo_run import DemoRun, save, stretched

from inscoper_mm.images.index import Index

KEPT, OTHER = "#56c8ff", "#ff9632"
_PART_PX, _CROPS = 320, 6


def draw_screening(name: str, *changes: str) -> None:
    """Run ``configs/<name>.yaml`` and draw its first field."""
    run = DemoRun.of(name, "scripts[0].parameters.crop_size_px=40", *changes)
    index = min(run.answers)
    crops = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((run.folder / "crops").glob(f"{index.stem}_*.json"))
    ]
    figure = plt.figure(figsize=(12, 6), layout="constrained")
    field, cells = figure.subfigures(1, 2)
    _draw_field(field.subplots(), run, index, name, [crop["label"] for crop in crops])
    panels = cells.subplots(_CROPS, _CROPS)
    cells.suptitle("some of the crops, with the outlines of their .json", fontsize=10)
    for panel, crop in zip(panels.flat, crops, strict=False):
        _draw_crop(panel, tifffile.imread(run.folder / "crops" / crop["image"]), crop)
    for panel in panels.flat:
        panel.axis("off")
    save(figure, name)


def _draw_field(axes: Any, run: DemoRun, index: Index, name: str, kept: list[int]) -> None:
    first = Index(index.time, index.position, 0, index.focus)
    pixels, labels = run.images[first][0], run.result(name, "segmentation", index)
    axes.imshow(pixels, **stretched(pixels))
    for each in np.unique(labels[labels > 0]):
        axes.contour(labels == each, [0.5], colors=KEPT if each in kept else OTHER, linewidths=0.9)
    axes.set(xlim=(0, _PART_PX), ylim=(_PART_PX, 0), xticks=[], yticks=[])
    axes.set_title(f"single cells (blue): {len(kept)} of {labels.max()} in the whole field", fontsize=10)


def _draw_crop(axes: Any, pixels: npt.NDArray[Any], crop: dict[str, Any]) -> None:
    planes = pixels if pixels.ndim == 3 else pixels[None]
    if len(planes) == 1:
        axes.imshow(planes[0], **stretched(planes[0]))
    else:  # nuclei blue, bodies green
        shown = np.zeros((*planes.shape[1:], 3))
        for plane, colour in zip(planes, ((0.35, 0.55, 1.0), (0.15, 0.8, 0.25)), strict=True):
            low, high = np.percentile(plane[plane > 0], (1, 99.8))
            shown += np.clip((plane - low) / (high - low), 0, 1)[..., None] * colour
        axes.imshow(np.clip(shown, 0, 1), interpolation="nearest")
    outline = np.array([*crop["contour"], crop["contour"][0]]) - (crop["bbox"][1], crop["bbox"][0])
    axes.plot(*outline.T, color=KEPT if len(planes) == 1 else "white", linewidth=0.9)
