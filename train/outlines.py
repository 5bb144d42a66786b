"""Outlines of made-up nuclei: ellipses with a wobble."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
_POINTS = 48
_HARMONICS = range(2, 7)
_SUB_PIXEL_BITS = 4


@dataclass(frozen=True)
class Patch:
    """One cell drawn on its own: its mask (h, w), how deep each pixel lies (h, w, px), and its corner (row, column)."""

    mask: npt.NDArray[np.bool_]
    depth_px: Array
    row: int
    col: int


def draw_cell(
    rng: np.random.Generator, centre: Array, diameter_px: float, wobble: float, elongation: float
) -> Patch:
    """A cell of about a diameter around ``centre`` (x, y)."""
    angle = np.arange(_POINTS) * 2 * np.pi / _POINTS
    stretch = np.exp(abs(rng.normal(0, elongation)) / 2)
    radius = 1 / np.hypot(np.cos(angle) / stretch, np.sin(angle) * stretch)
    for order in _HARMONICS:
        radius *= 1 + wobble / order**1.2 * rng.normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    radius *= diameter_px / 2 / np.sqrt((radius**2).mean())
    turned = angle + rng.uniform(0, 2 * np.pi)
    points = np.stack([radius * np.cos(turned), radius * np.sin(turned)], 1) + centre
    corner = np.floor(points.min(0) - 2).astype(int)
    size = np.ceil(points.max(0) + 3).astype(int) - corner
    mask = np.zeros((size[1], size[0]), np.uint8)
    fixed = np.round((points - corner) * 2**_SUB_PIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 1, shift=_SUB_PIXEL_BITS)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_3)
    return Patch(mask > 0, depth, int(corner[1]), int(corner[0]))
