"""Cells in a scene: an image at the scale at which its cells are found, without its background."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.activity import activity, stronger_than_noise
from inscoper_mm.analysis.background import estimate_background
from inscoper_mm.analysis.diameter import diameter_of_convex
from inscoper_mm.analysis.grey import GreyImage, Labels, Mask, blur, blurred_noise, disk, enlarge, shrink
from inscoper_mm.analysis.objects import (
    clean_objects,
    edge_levels,
    fill_and_clean,
    grow,
    heights,
    tops,
)
from inscoper_mm.analysis.splitting import Splitter
from inscoper_mm.analysis.threshold import ThresholdMethod, foreground

ObjectKind = Literal["bright", "phase"]

# Cells are found in an image shrunk to this many pixels per cell; only their outlines need all pixels.
_PIXELS_PER_CELL = 14.0
_LEAST_FACTOR = 1.2
_SMOOTHING_DIAMETERS = 0.05
_LEAST_SMOOTHING_PX = 0.7
# Outlines are taken from an image that is smoothed no more than this: haze shows by its soft edges.
_MOST_SMOOTHING_PX = 2.0
# A pixel of a cell is at least so many times the noise above the background. In transmitted light it is the spread of
# the ground's activity, which has more outliers.
_LEAST_NOISES = 4.0
_LEAST_SPREADS = 6.0
_THIN_DIAMETERS = 0.12
# Parts of the area of a typical cell: what is smaller is no cell, and no larger hole is filled.
_LEAST_AREA = 0.15
_LARGEST_HOLE = 0.25


@dataclass(frozen=True, slots=True)
class Scene:
    """An image at the scale at which its cells are found.

    Parameters
    ----------
    kind : {"bright", "phase"}
        What the cells are made out by: their brightness, or all that is not even.
    above : (Y, X) float32
        Shrunk and smoothed; values above the background.
    background : (Y, X) float32
    mask : (Y, X) uint8
        1 where cells are.
    factor : float
        How much it was shrunk.
    diameter_px : float
        The typical diameter of a cell in this image.
    """

    kind: ObjectKind
    above: GreyImage
    background: GreyImage
    mask: Mask
    factor: float
    diameter_px: float

    def convex_diameter_px(self) -> float | None:
        """The typical diameter of what the mask shows one by one, in pixels of the image itself."""
        found = diameter_of_convex(self.mask)
        return None if found is None else found * self.factor

    def cleaned(self, cells: npt.NDArray[np.bool_]) -> Mask:
        """A mask of cells without threads, specks and small holes."""
        area_px = math.pi / 4 * self.diameter_px**2
        mask = cv2.morphologyEx(
            cells.astype(np.uint8), cv2.MORPH_OPEN, disk(_THIN_DIAMETERS * self.diameter_px)
        )
        return fill_and_clean(np.asarray(mask, np.uint8), _LEAST_AREA * area_px, _LARGEST_HOLE * area_px)

    def labels(self, grey: GreyImage, noise: float, split: bool) -> Labels:
        """The cells, outlined in the image itself.

        Parameters
        ----------
        grey : (Y, X) float32
            The image that the scene is of.
        noise : float
            Standard deviation of the noise of one of its pixels.
        split : bool
            Whether touching cells are taken apart.
        """
        if not self.mask.any():
            return np.zeros(grey.shape, np.int32)
        splitter = Splitter(self.above, self.diameter_px)
        labels = splitter.pieces(self.mask) if split else _connected(self.mask)
        # What was found first is as wide as the dimmest cells ask for. With each one's edge at its own half height the
        # waists between touching cells show.
        mask = self.cleaned(self.above > edge_levels(tops(labels, self.above))[labels])
        labels = splitter.cells(mask) if split else _connected(mask)
        if self.kind == "phase":
            labels = np.where(stronger_than_noise(tops(labels, self.above))[labels], labels, 0)
        return self._outlined(labels, grey, noise)

    def _outlined(self, labels: Labels, grey: GreyImage, noise: float) -> Labels:
        """Cells of the scene in the image itself, each down to its own edge."""
        high = heights(labels, self.above, self.diameter_px)
        # Room for the edges: their levels trim what is too much.
        labels = _enlarged(grow(labels), grey.shape)
        fine = self._fine(grey)
        inside = np.where(fine > high.edges.astype(np.float32)[labels], labels, 0)
        diameter_px = self.diameter_px * self.factor
        least_area = _LEAST_AREA * math.pi / 4 * diameter_px**2
        if self.kind == "phase":
            # The edges of activity are soft by nature: nothing is too soft or too low to be a cell.
            return clean_objects(inside, fine, np.zeros_like(high.top), diameter_px, least_area, 0.0)
        return clean_objects(inside, fine, high.top - high.base, diameter_px, least_area, noise)

    def _fine(self, grey: GreyImage) -> GreyImage:
        """The values above the background with all pixels of the image."""
        if self.kind == "phase":
            return enlarge(self.above, grey.shape)
        if self.factor == 1 and _SMOOTHING_DIAMETERS * self.diameter_px <= _MOST_SMOOTHING_PX:
            return self.above
        diameter_px = self.diameter_px * self.factor
        sigma = max(_LEAST_SMOOTHING_PX, min(_SMOOTHING_DIAMETERS * diameter_px, _MOST_SMOOTHING_PX))
        return blur(grey, sigma) - enlarge(self.background, grey.shape)


def make_scene(
    kind: ObjectKind,
    grey: GreyImage,
    noise: float,
    diameter_px: float,
    threshold: ThresholdMethod,
    manual_level: float,
) -> Scene:
    """Find where cells are.

    Parameters
    ----------
    kind : {"bright", "phase"}
    grey : (Y, X) float32
    noise : float
        Standard deviation of the noise of one pixel; of transmitted light it is not used.
    diameter_px : float
        The typical diameter of a cell.
    threshold, manual_level
        As ``foreground`` takes them.
    """
    factor = diameter_px / _PIXELS_PER_CELL
    factor = factor if factor > _LEAST_FACTOR else 1.0
    diameter = diameter_px / factor
    sigma = max(_LEAST_SMOOTHING_PX, _SMOOTHING_DIAMETERS * diameter)
    small = shrink(grey, factor)
    small = activity(small, diameter) if kind == "phase" else blur(small, sigma)
    background = estimate_background(small, diameter)
    above = small - background
    if kind == "phase":
        least = _LEAST_SPREADS * _spread(above)
    else:
        least = _LEAST_NOISES * blurred_noise(noise / factor, sigma)
    cells = foreground(above, threshold, diameter, manual_level) & (above > least)
    scene = Scene(kind, above, background, np.zeros(above.shape, np.uint8), factor, diameter)
    return replace(scene, mask=scene.cleaned(cells))


def _spread(above: GreyImage) -> float:
    """Standard deviation of the values below the median, which are the ground's."""
    middle = float(np.median(above))
    return 1.4826 * float(np.median(middle - above[above <= middle]))


def _connected(mask: Mask) -> Labels:
    return np.asarray(cv2.connectedComponents(mask, connectivity=4, ltype=cv2.CV_32S)[1], np.int32)


def _enlarged(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Labels found in a small image in the full one."""
    if labels.shape == shape:
        return labels
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST), np.int32)
