"""Objects made into cells: outlines at half height, and the rejection of what is only noise or haze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import GreyImage, Labels, Mask, disk
from inscoper_mm.analysis.runs import Integers, find_runs
from inscoper_mm.analysis.sheets import Sheet, sheets

Values = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
# For each pixel the distance to the nearest object, and its label.
Nearest = tuple[npt.NDArray[np.float32], Labels]

# The surroundings of a cell, in cell diameters: beyond its blurred edge, and not far beyond.
_AROUND_DIAMETERS = (0.12, 0.37)
# Surroundings of fewer pixels than this say nothing.
_LEAST_PX = 8
# A blurred edge is half way up to what lies behind it; cells are thinner at the edge than in their bright half.
_EDGE_HEIGHT = 0.37
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
        return self.base + edge_levels(self.top - self.base)


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
    top = tops(labels, above)
    base, base_px = np.zeros(top.size), np.zeros(top.size, np.intp)
    begin, end = (disk(2 * part * diameter_px) for part in _AROUND_DIAMETERS)
    near_any = cv2.dilate((labels > 0).astype(np.uint8), begin)
    runs = find_runs(labels)
    for sheet in sheets(runs, margin=end.shape[0] // 2 + 1):
        around = (cv2.dilate(sheet.mask(), end) > sheet.of(near_any)) & sheet.inside
        own = runs.found[sheet.cells]
        base[own], base_px[own] = _block_means(sheet, around, sheet.of(above))
    return Heights(np.where(base_px >= _LEAST_PX, base, 0.0), top)


def grow(labels: Labels) -> Labels:
    """``labels`` grown into the background by a pixel on all sides, never into one another."""
    grown = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8))
    return np.where(labels > 0, labels, grown).astype(np.int32)


def tops(labels: Labels, above: GreyImage) -> Values:
    """Mean grey value of the brighter half of each object, by label."""
    count = int(labels.max()) + 1
    inside = np.flatnonzero(labels > 0)
    own, values = labels.reshape(-1)[inside].astype(np.intp), above.reshape(-1)[inside]
    mean, _ = _means(own, values, count)
    bright = np.flatnonzero(values > mean[own])
    return _means(own[bright], values[bright], count)[0]


def nearest_label(labels: Labels) -> Nearest:
    """For each pixel outside, the distance to the nearest object and its label; inside, 0 and the own label."""
    outside = (labels == 0).astype(np.uint8)
    distance, nearest = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owners = np.zeros(int(nearest.max()) + 1, np.int32)
    owners[nearest[labels > 0]] = labels[labels > 0]
    return distance.astype(np.float32, copy=False), owners[nearest]


def edge_levels(tops: Values) -> Values:
    """The grey values at the edges of objects of these heights, by label; infinite for label 0."""
    levels: Values = _EDGE_HEIGHT * tops
    levels[0] = np.inf
    return levels


def _means(
    labels: npt.NDArray[np.integer[Any]], values: npt.NDArray[np.float32], count: int
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
    thin = disk(max(3.0, _THIN_DIAMETERS * diameter_px))
    rim = disk(2 * min(max(_RIM_DIAMETERS * diameter_px, _RIM_PX[0]), _RIM_PX[1]))
    margin = max(thin.shape[0], rim.shape[0]) // 2 + 1
    runs = find_runs(labels)
    areas = np.zeros(runs.count, np.int64)
    where, owners = [], []
    for sheet in sheets(runs, margin):
        own = runs.found[sheet.cells]
        shown = sheet.of(labels)
        free = sheet.inside & ((shown == 0) | (shown == own.astype(np.int32)[sheet.block][:, None]))
        piece = _largest_pieces(sheet, cv2.morphologyEx(sheet.mask(), cv2.MORPH_OPEN, thin)) & free
        area = np.add.reduceat(np.count_nonzero(piece, axis=1), sheet.tops)
        step, error = _edge_steps(sheet, piece, free, rim, sheet.of(above))
        least = np.maximum(_LEAST_STEP_PART * height[own], _LEAST_STEP_NOISES * noise)
        good = (area >= least_area_px) & (step > np.maximum(least, _LEAST_STEP_ERRORS * noise * error))
        areas[sheet.cells] = np.where(good, area, 0)
        painted = np.flatnonzero(piece.astype(bool) & good[sheet.block][:, None])
        where.append(sheet.places.reshape(-1)[painted])
        owners.append(np.repeat(sheet.cells, areas[sheet.cells]))
    return _painted(labels.shape, areas, where, owners)


def _painted(shape: tuple[int, ...], areas: Integers, where: list[Places], owners: list[Integers]) -> Labels:
    """The objects that have an area, numbered in order.

    Where two of them overlap, the narrower one is seen, which lies in what was a hole of the other: it comes later.
    """
    clean = np.zeros(shape, np.int32)
    numbers = np.cumsum(areas > 0, dtype=np.int32)
    for place, owner in zip(where, owners, strict=True):
        clean.reshape(-1)[place] = numbers[owner]
    return clean


def _edge_steps(sheet: Sheet, piece: Mask, free: Bools, rim: Mask, above: GreyImage) -> tuple[Values, Values]:
    """By cell: how far the rim inside of the outline is above that outside, and what noise of 1 adds to that.

    Where neighbours are all around there is no outside, and the object is trusted: the step is infinite.
    """
    outside = (cv2.dilate(piece, rim) > piece) & free
    inside = cv2.erode(piece, rim) < piece
    (low, low_px), (high, high_px) = (_block_means(sheet, mask, above) for mask in (outside, inside))
    known = (low_px >= _LEAST_PX) & (high_px > 0)
    error = np.sqrt(1 / np.maximum(low_px, 1) + 1 / np.maximum(high_px, 1))
    return np.where(known, high - low, np.inf), np.where(known, error, 0)


def _block_means(sheet: Sheet, mask: Bools, values: GreyImage) -> tuple[Values, npt.NDArray[np.intp]]:
    """Mean of the values in the mask and their number, by cell of the sheet."""
    places = np.flatnonzero(mask)
    return _means(sheet.block[places // sheet.width], values.reshape(-1)[places], sheet.cells.size)


def _largest_pieces(sheet: Sheet, mask: Mask) -> Mask:
    """Of each cell of the sheet the largest connected piece, its holes filled."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4, ltype=cv2.CV_32S)
    order = np.argsort(stats[1:, cv2.CC_STAT_AREA], kind="stable") + 1
    largest = np.zeros(sheet.cells.size, np.int64)
    largest[sheet.block[stats[order, cv2.CC_STAT_TOP]]] = order
    kept = np.zeros(count, np.uint8)
    kept[largest] = 1
    kept[0] = 0
    # The margins join all that is outside.
    rest = 1 - kept[pieces]
    outside = cv2.connectedComponents(rest, connectivity=4, ltype=cv2.CV_32S)[1]
    return np.asarray(outside != outside[0, 0], np.uint8)
