"""Threshold and watershed behind the same protocol as the neural networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.scene import ObjectKind
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.analysis.threshold import ThresholdMethod
from inscoper_mm.segmentation.segmenter import Labels, Segmenter


@dataclass(frozen=True, slots=True)
class ClassicalSegmenter:
    """``segment_cells`` with its settings."""

    settings: dict[str, Any]

    @property
    def about(self) -> dict[str, Any]:
        """The method and its settings."""
        return {"method": "classical", "settings": dict(self.settings)}

    def warm_up(self, shape: tuple[int, int] = (512, 512)) -> None:
        """Segment a made-up image."""
        self.segment([np.zeros(shape, np.uint16)])

    def segment(self, images: Sequence[npt.ArrayLike], diameter_px: float | None = None) -> list[Labels]:
        """Label the cells of each image; see ``Segmenter``."""
        return [segment_cells(image, diameter_px, **self.settings) for image in images]


def classical_segmenter(
    threshold: ThresholdMethod = "otsu",
    manual_level: float = 0.0,
    objects: ObjectKind = "bright",
    *,
    split: bool = True,
) -> Segmenter:
    """Threshold and watershed.

    Parameters
    ----------
    threshold, manual_level, objects, split
        As ``inscoper_mm.analysis.segmentation.segment_cells`` takes them.
    """
    return ClassicalSegmenter(
        {"threshold": threshold, "manual_level": manual_level, "objects": objects, "split": split}
    )
