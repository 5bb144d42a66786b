"""Thresholds: the grey value above which a pixel belongs to a cell."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_li

from inscoper_mm.analysis.grey import GreyImage, blur_widely, enlarge, shrink

ThresholdMethod = Literal["otsu", "li", "local", "manual"]

# A cell dimmer than the overall level still counts where it is above this part of it and above its surroundings.
_LOW_PART = 0.6
# The surroundings: a Gauss window of this many cell diameters.
_SURROUNDINGS_DIAMETERS = 1.25
_PIXELS_PER_CELL = 5.0


def otsu_level(values: npt.NDArray[np.float32], bins: int = 256) -> float:
    """The level that splits ``values`` into two classes of least variance (Otsu, doi:10.1109/TSMC.1979.4310076).

    Values that are all alike have no such level: then it is their maximum, and nothing lies above it.
    """
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return high
    width = (high - low) / bins
    which = ((values.ravel() - low) / width).astype(np.intp)
    counts = np.bincount(np.minimum(which, bins - 1), minlength=bins)
    centres = low + width * (np.arange(bins) + 0.5)
    weight = np.cumsum(counts, dtype=np.float64)
    total = np.cumsum(counts * centres)
    rest = weight[-1] - weight
    valid = (weight > 0) & (rest > 0)
    gap = total[valid] / weight[valid] - (total[-1] - total[valid]) / rest[valid]
    best = int(np.argmax(weight[valid] * rest[valid] * gap**2))
    return float(centres[valid][best])


def foreground(
    above: GreyImage, method: ThresholdMethod, diameter_px: float, manual_level: float
) -> npt.NDArray[np.bool_]:
    """Where cells are, without regard to noise.

    Parameters
    ----------
    above : (Y, X) float32
        Grey values above the background.
    method : {"otsu", "li", "local", "manual"}
        One level for the image (Otsu, with help for dim cells; Li's cross-entropy), one that follows the
        surroundings, or ``manual_level``.
    diameter_px : float
        The typical diameter of a cell.
    manual_level : float
        For "manual": grey values above the background.

    Returns
    -------
    (Y, X) bool
    """
    if method == "manual":
        return np.asarray(above > manual_level)
    # The square root brings bright and dim cells together and makes shot noise even.
    root = np.sqrt(np.maximum(above, 0))
    sample = root[::2, ::2]
    if method == "li":
        level = float(threshold_li(sample)) if sample.max() > sample.min() else np.inf
        return np.asarray(root > level)
    surroundings = _surroundings(root, diameter_px)
    if method == "local":
        return np.asarray(root > surroundings)
    level = otsu_level(sample)
    return np.asarray((root > _LOW_PART * level) & ((root > level) | (root > surroundings)))


def _surroundings(root: GreyImage, diameter_px: float) -> GreyImage:
    factor = max(1.0, float(round(diameter_px / _PIXELS_PER_CELL)))
    window_px = _SURROUNDINGS_DIAMETERS * diameter_px / factor
    return enlarge(blur_widely(shrink(root, factor), window_px), root.shape)
