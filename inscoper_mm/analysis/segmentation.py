"""Classical segmentation of cells in fluorescence images."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.background import estimate_background
from inscoper_mm.analysis.diameter import estimate_diameter, typical_diameter
from inscoper_mm.analysis.grey import (
    GreyImage,
    Labels,
    as_grey,
    blur,
    blurred_noise,
    disk,
    enlarge,
    noise_sigma,
    shrink,
    without_hot_pixels,
)
from inscoper_mm.analysis.objects import clean_objects, fill_and_clean, grow, heights
from inscoper_mm.analysis.splitting import split_touching
from inscoper_mm.analysis.threshold import ThresholdMethod, foreground
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

# Cells are found in an image shrunk to at least this many pixels per cell; only their outlines need all pixels.
_PIXELS_PER_CELL = 12.0
_SMOOTHING_DIAMETERS = 0.05
_LEAST_SMOOTHING_PX = 0.7
# Outlines are taken from an image that is smoothed no more than this: haze shows by its soft edges.
_MOST_SMOOTHING_PX = 2.0
# A pixel of a cell is at least so many times the noise above the background.
_LEAST_NOISES = 4.0
_THIN_DIAMETERS = 0.12
# Parts of the area of a typical cell: what is smaller is no cell, and no larger hole is filled.
_LEAST_AREA = 0.08
_LARGEST_HOLE = 0.25
# If the cells found are so much smaller or larger than the estimate, the estimate was wrong.
_WRONG_ESTIMATE = 1.3
_METHODS = ("otsu", "li", "local", "manual")


def segment_cells(
    image: npt.ArrayLike,
    diameter_px: float | None = None,
    threshold: ThresholdMethod = "otsu",
    manual_level: float = 0.0,
    split: bool = True,
) -> Labels:
    """Label the bright cells of an image.

    Background and haze are removed, cells found by a threshold, touching ones split by distance and brightness, and
    each outlined where its brightness has fallen to half.

    Parameters
    ----------
    image : (Y, X) array
        Grey values, cells brighter than their surroundings.
    diameter_px : float, optional
        The typical diameter of a cell. It sets every scale. Left out, it is estimated from the image.
    threshold : {"otsu", "li", "local", "manual"}
    manual_level : float
        For "manual": grey values above the background.
    split : bool
        Whether touching cells are taken apart.

    Returns
    -------
    (Y, X) int32
        0 is background, cells are 1, 2, 3, ... Without cells all 0.

    Raises
    ------
    InvalidInput
        If the image is not grey, or a parameter is not allowed.
    """
    _check(diameter_px, threshold)
    grey = as_grey(image, "segment_cells")
    noise = noise_sigma(grey, whole_numbers=np.asarray(image).dtype.kind in "bui")
    grey = without_hot_pixels(grey, noise)
    if diameter_px is not None:
        return _segment(grey, noise, diameter_px, threshold, manual_level, split)
    estimate = estimate_diameter(grey, noise)
    if estimate is None:
        return np.zeros(grey.shape, np.int32)
    labels = _segment(grey, noise, estimate, threshold, manual_level, split)
    found = typical_diameter(labels)
    if found is None or 1 / _WRONG_ESTIMATE < found / estimate < _WRONG_ESTIMATE:
        return labels
    return _segment(grey, noise, found, threshold, manual_level, split)


def _segment(
    grey: GreyImage,
    noise: float,
    diameter_px: float,
    threshold: ThresholdMethod,
    manual_level: float,
    split: bool,
) -> Labels:
    factor = float(max(1, int(diameter_px / _PIXELS_PER_CELL)))
    diameter = diameter_px / factor
    cell_area = math.pi / 4 * diameter**2
    sigma = max(_LEAST_SMOOTHING_PX, _SMOOTHING_DIAMETERS * diameter)
    small = blur(shrink(grey, factor), sigma)
    small_noise = blurred_noise(noise / factor, sigma)
    background = estimate_background(small, diameter)
    above = small - background
    cells = foreground(above, threshold, diameter, manual_level) & (above > _LEAST_NOISES * small_noise)
    mask = cv2.morphologyEx(cells.astype(np.uint8), cv2.MORPH_OPEN, disk(_THIN_DIAMETERS * diameter))
    mask = fill_and_clean(mask.astype(np.uint8), _LEAST_AREA * cell_area, _LARGEST_HOLE * cell_area)
    if not mask.any():
        return np.zeros(grey.shape, np.int32)
    if split:
        labels = split_touching(mask, above, diameter)
    else:
        labels = cv2.connectedComponents(mask, connectivity=4, ltype=cv2.CV_32S)[1].astype(np.int32)
    high = heights(labels, above, diameter)
    fine_sigma = max(_LEAST_SMOOTHING_PX, min(_SMOOTHING_DIAMETERS * diameter_px, _MOST_SMOOTHING_PX))
    fine = blur(grey, fine_sigma) - enlarge(background, grey.shape)
    labels = _enlarged(labels, grey.shape)
    inside = np.where(fine > high.edges[labels], labels, 0).astype(np.int32, copy=False)
    least_area = _LEAST_AREA * math.pi / 4 * diameter_px**2
    return clean_objects(inside, fine, high.top - high.base, diameter_px, least_area, noise)


def _enlarged(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Labels found in a small image in the full one, a little too large: the edge levels trim them."""
    if labels.shape == shape:
        return labels
    grown = grow(labels, 1.5).astype(np.float32)
    return np.asarray(cv2.resize(grown, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST), np.int32)


def _check(diameter_px: float | None, threshold: str) -> None:
    findings = []
    if diameter_px is not None and not 3 <= diameter_px < math.inf:
        findings.append(
            Finding(
                "not a cell diameter",
                function="segment_cells",
                parameter="diameter_px",
                got=str(diameter_px),
                allowed="at least 3 pixels, or nothing to estimate it",
            )
        )
    if threshold not in _METHODS:
        findings.append(
            Finding(
                "unknown threshold",
                function="segment_cells",
                parameter="threshold",
                got=repr(threshold),
                allowed=one_of(_METHODS),
                suggestion=did_you_mean(threshold, _METHODS),
            )
        )
    if findings:
        raise InvalidInput(findings)
