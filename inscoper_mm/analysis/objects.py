"""Objects made into cells: outlines at half height, and the rejection of what is only noise or haze."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from inscoper_mm.analysis.grey import GreyImage, Labels, Mask, disk

Values = npt.NDArray[np.float64]

# The surroundings of a cell, in cell diameters: beyond its blurred edge, and not far beyond.
_AROUND_DIAMETERS = (0.12, 0.37)
# Surroundings of fewer pixels than this say nothing.
_LEAST_PX = 8
# A blurred edge is half way up to what lies behind it; cells are thinner at the edge than in their bright half.
_EDGE_HEIGHT = 0.42
# The edge is tested between two narrow rims, inside and outside of the outline.
_RIM_DIAMETERS = 0.12
_RIM_PX = (1.5, 2.5)
# A cell's edge step is at least so many times its standard error, at least so many times the noise of a pixel
# (ripples of the background are less), and at least this part of the cell's height (haze is softer).
_LEAST_STEP_ERRORS = 4.0
_LEAST_STEP_NOISES = 1.0
_LEAST_STEP_PART = 0.15
# Threads and specks thinner than this part of a diameter are not cell.
_THIN_DIAMETERS = 0.1


def fill_and_clean(mask: Mask, least_area_px: float, largest_hole_px: float) -> Mask:
    """``mask`` with small holes filled and small pieces removed, in place."""
    outlines, family = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for outline, (_, _, _, parent) in zip(outlines, family[0] if outlines else (), strict=True):
        # Outlines run through pixel centres; half the length makes up for the half pixels outside.
        area = cv2.contourArea(outline)
        half_border = cv2.arcLength(outline, True) / 2
        if parent >= 0 and area - half_border <= largest_hole_px:
            cv2.drawContours(mask, [outline], -1, 1, cv2.FILLED)
    for outline, (_, _, _, parent) in zip(outlines, family[0] if outlines else (), strict=True):
        area = cv2.contourArea(outline) + cv2.arcLength(outline, True) / 2
        if parent < 0 and area < least_area_px:
            cv2.drawContours(mask, [outline], -1, 0, cv2.FILLED)
    return mask


@dataclass(frozen=True, slots=True)
class Heights:
    """Grey values of each object, by label: of its surroundings, and of its brighter half."""

    base: Values
    top: Values

    @property
    def edges(self) -> Values:
        """Where the edge of a blurred object is: near half way up. Infinite for label 0."""
        levels: Values = self.base + _EDGE_HEIGHT * (self.top - self.base)
        levels[0] = np.inf
        return levels


def heights(labels: Labels, above: GreyImage, diameter_px: float) -> Heights:
    """How high each object stands above its surroundings.

    Parameters
    ----------
    labels : (Y, X) int32
    above : (Y, X) float32
        Grey values above the background.
    diameter_px : float
        The typical diameter of a cell.
    """
    count = int(labels.max()) + 1
    distance, owner = nearest_label(labels)
    nearest, farthest = (part * diameter_px for part in _AROUND_DIAMETERS)
    around = (distance > nearest) & (distance <= farthest)
    own, values = labels[labels > 0], above[labels > 0]
    mean, _ = _means(own, values, count)
    bright = values > mean[own]
    top, _ = _means(own[bright], values[bright], count)
    base, base_px = _means(owner[around], above[around], count)
    return Heights(np.where(base_px >= _LEAST_PX, base, 0.0), top)


def nearest_label(labels: Labels) -> tuple[npt.NDArray[np.float32], Labels]:
    """For each pixel outside, the distance to the nearest object and its label; inside, 0 and the own label."""
    outside = (labels == 0).astype(np.uint8)
    distance, nearest = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owners = np.zeros(int(nearest.max()) + 1, np.int32)
    owners[nearest[labels > 0]] = labels[labels > 0]
    return distance.astype(np.float32, copy=False), owners[nearest]


def grow(labels: Labels, distance_px: float) -> Labels:
    """``labels`` grown into the background by ``distance_px``, never into one another."""
    distance, owner = nearest_label(labels)
    grown: Labels = np.where(distance <= distance_px, owner, 0).astype(np.int32, copy=False)
    return grown


def _means(
    labels: Labels, values: npt.NDArray[np.float32], count: int
) -> tuple[Values, npt.NDArray[np.intp]]:
    """Mean of ``values`` and their number, by label; both arrays are lists of pixels."""
    number = np.bincount(labels, minlength=count)
    return np.bincount(labels, values, minlength=count) / np.maximum(number, 1), number


def clean_objects(
    labels: Labels, above: GreyImage, height: Values, diameter_px: float, least_area_px: float, noise: float
) -> Labels:
    """Each object as one piece without holes and threads, labelled 1, 2, 3, ...; what is no cell is removed.

    Parameters
    ----------
    labels : (Y, X) int32
        Objects down to their edges.
    above : (Y, X) float32
        Grey values above the background.
    height : (labels.max() + 1,) float64
        How far each object stands above its surroundings.
    diameter_px : float
        The typical diameter of a cell.
    least_area_px : float
        Smaller objects are removed, and those whose edge is lost in noise or as soft as haze.
    noise : float
        Standard deviation of the noise of one pixel of the image, before it was smoothed.
    """
    clean = np.zeros(labels.shape, np.int32)
    thin = disk(max(3.0, _THIN_DIAMETERS * diameter_px))
    rim_px = min(max(_RIM_DIAMETERS * diameter_px, _RIM_PX[0]), _RIM_PX[1])
    margin = max(thin.shape[0], math.ceil(rim_px) + 1)
    found = 0
    for label, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        wide = _widened(box, margin, labels.shape)
        own = labels[wide] == label
        piece = _largest_piece(cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_OPEN, thin))
        free = own | ((labels[wide] == 0) & (clean[wide] == 0))
        piece = piece & free.astype(np.uint8)
        if np.count_nonzero(piece) < least_area_px:
            continue
        others = (labels[wide] > 0) & ~own
        if not _has_edge(piece, others, above[wide], rim_px, height[label], noise):
            continue
        found += 1
        clean[wide][piece > 0] = found
    return clean


def _widened(box: tuple[slice, slice], margin: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """``box`` with a margin, inside an image of ``shape``."""
    rows, cols = (
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, size in zip(box, shape, strict=True)
    )
    return rows, cols


def _has_edge(
    piece: Mask,
    others: npt.NDArray[np.bool_],
    above: GreyImage,
    rim_px: float,
    height: float,
    noise: float,
) -> bool:
    """Whether the mean just inside the outline is clearly above that just outside.

    Where neighbours are all around there is no outside, and the object is trusted.
    """
    rim = disk(2 * rim_px)
    outside = above[(cv2.dilate(piece, rim) > piece) & ~others]
    inside = above[cv2.erode(piece, rim) < piece]
    if outside.size < _LEAST_PX or not inside.size:
        return True
    step = float(inside.mean() - outside.mean())
    error = noise * math.sqrt(1 / inside.size + 1 / outside.size)
    return step > max(_LEAST_STEP_PART * height, _LEAST_STEP_ERRORS * error, _LEAST_STEP_NOISES * noise)


def _largest_piece(mask: Mask) -> Mask:
    """The largest connected piece of ``mask``, its holes filled."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    if outlines:
        cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return filled
