"""Classical segmentation of cells in fluorescence images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.background import estimate_background
from inscoper_mm.analysis.diameter import diameter_of_convex, estimate_diameter
from inscoper_mm.analysis.grey import (
    GreyImage,
    Labels,
    Mask,
    as_grey,
    blur,
    blurred_noise,
    disk,
    enlarge,
    noise_sigma,
    shrink,
    without_hot_pixels,
)
from inscoper_mm.analysis.objects import (
    clean_objects,
    edge_levels,
    fill_and_clean,
    heights,
    nearest_label,
    tops,
)
from inscoper_mm.analysis.splitting import Splitter
from inscoper_mm.analysis.threshold import ThresholdMethod, foreground
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

# Cells are found in an image shrunk to this many pixels per cell; only their outlines need all pixels.
_PIXELS_PER_CELL = 14.0
_LEAST_FACTOR = 1.2
_SMOOTHING_DIAMETERS = 0.05
_LEAST_SMOOTHING_PX = 0.7
# Outlines are taken from an image that is smoothed no more than this: haze shows by its soft edges.
_MOST_SMOOTHING_PX = 2.0
# A pixel of a cell is at least so many times the noise above the background.
_LEAST_NOISES = 4.0
_THIN_DIAMETERS = 0.12
# Parts of the area of a typical cell: what is smaller is no cell, and no larger hole is filled.
_LEAST_AREA = 0.15
_LARGEST_HOLE = 0.25
# If the pieces found are so much larger than the estimate, it was that of debris; they are wider than cells by so much.
_WRONG_ESTIMATE = 2.2
_LOOSE_OUTLINE = 1.3
# Room for the edges of cells found in the shrunk image: their levels trim them.
_GROWN_PX = 1.5
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
        return _labelled(grey, noise, _scene(grey, noise, diameter_px, threshold, manual_level), split)
    estimate = estimate_diameter(grey, noise)
    if estimate is None:
        return np.zeros(grey.shape, np.int32)
    scene = _scene(grey, noise, estimate, threshold, manual_level)
    found = (diameter_of_convex(scene.mask) or 0.0) * scene.factor
    if found > _WRONG_ESTIMATE * estimate:
        scene = _scene(grey, noise, found / _LOOSE_OUTLINE, threshold, manual_level)
    return _labelled(grey, noise, scene, split)


@dataclass(frozen=True, slots=True)
class _Scene:
    """An image at the scale at which its cells are found.

    Parameters
    ----------
    above : (Y, X) float32
        Shrunk and smoothed; grey values above the background.
    background : (Y, X) float32
    mask : (Y, X) uint8
        1 where cells are.
    factor : float
        How much it was shrunk.
    diameter_px : float
        The typical diameter of a cell in this image.
    """

    above: GreyImage
    background: GreyImage
    mask: Mask
    factor: float
    diameter_px: float

    @property
    def cell_area_px(self) -> float:
        """Of a typical cell, in this image."""
        return math.pi / 4 * self.diameter_px**2

    def cleaned(self, cells: npt.NDArray[np.bool_]) -> Mask:
        """A mask of cells without threads, specks and small holes."""
        mask = cv2.morphologyEx(
            cells.astype(np.uint8), cv2.MORPH_OPEN, disk(_THIN_DIAMETERS * self.diameter_px)
        )
        return fill_and_clean(
            np.asarray(mask, np.uint8), _LEAST_AREA * self.cell_area_px, _LARGEST_HOLE * self.cell_area_px
        )


def _scene(
    grey: GreyImage, noise: float, diameter_px: float, threshold: ThresholdMethod, manual_level: float
) -> _Scene:
    factor = diameter_px / _PIXELS_PER_CELL
    factor = factor if factor > _LEAST_FACTOR else 1.0
    diameter = diameter_px / factor
    sigma = max(_LEAST_SMOOTHING_PX, _SMOOTHING_DIAMETERS * diameter)
    small = blur(shrink(grey, factor), sigma)
    background = estimate_background(small, diameter)
    above = small - background
    cells = foreground(above, threshold, diameter, manual_level)
    cells &= above > _LEAST_NOISES * blurred_noise(noise / factor, sigma)
    scene = _Scene(above, background, np.zeros(above.shape, np.uint8), factor, diameter)
    return replace(scene, mask=scene.cleaned(cells))


def _labelled(grey: GreyImage, noise: float, scene: _Scene, split: bool) -> Labels:
    """The cells of a scene, outlined in the image itself."""
    if not scene.mask.any():
        return np.zeros(grey.shape, np.int32)
    above, diameter = scene.above, scene.diameter_px
    splitter = Splitter(above, diameter)
    labels = splitter.pieces(scene.mask) if split else _connected(scene.mask)
    # What was found first is as wide as the dimmest cells ask for. With each one's edge at its own half height the
    # waists between touching cells show.
    mask = scene.cleaned(above > edge_levels(tops(labels, above))[labels])
    labels = splitter.cells(mask) if split else _connected(mask)
    nearest = nearest_label(labels)
    high = heights(labels, above, diameter, nearest)
    diameter_px = diameter * scene.factor
    sigma = max(_LEAST_SMOOTHING_PX, min(_SMOOTHING_DIAMETERS * diameter_px, _MOST_SMOOTHING_PX))
    fine = blur(grey, sigma) - enlarge(scene.background, grey.shape)
    distance, owner = nearest
    labels = _enlarged(np.where(distance <= _GROWN_PX, owner, 0), grey.shape)
    inside = np.where(fine > high.edges.astype(np.float32)[labels], labels, 0)
    least_area = _LEAST_AREA * math.pi / 4 * diameter_px**2
    return clean_objects(inside, fine, high.top - high.base, diameter_px, least_area, noise)


def _connected(mask: Mask) -> Labels:
    return np.asarray(cv2.connectedComponents(mask, connectivity=4, ltype=cv2.CV_32S)[1], np.int32)


def _enlarged(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Labels found in a small image in the full one."""
    if labels.shape == shape:
        return labels
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST), np.int32)


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
