"""The light that is not the cells': uneven illumination and haze under them."""

from __future__ import annotations

import cv2
import numpy as np

from inscoper_mm.analysis.grey import GreyImage, Mask, blur, blur_widely, disk, enlarge, shrink
from inscoper_mm.analysis.threshold import otsu_level

# At this many pixels per cell the background, which is smooth, loses nothing.
_PIXELS_PER_CELL = 5.0
# Windows of the weighted mean, in cell diameters, wide to narrow. The narrow one follows haze; where it sees nothing
# but cells, the next wider one counts.
_WINDOWS_DIAMETERS = (2.0, 0.6)
# So much of a window must be background to outweigh the wider one.
_SUPPORT = 0.05
_ROUNDS = 2
# Pixels along each axis to which the overall surface is fitted.
_FIT_PX = 48


def estimate_background(image: GreyImage, diameter_px: float) -> GreyImage:
    """What the image would be without its cells.

    A first guess (an opening wider than a cell) tells cells from background; then the background under a cell is the
    weighted mean of the background pixels around it. Unlike the opening alone, which follows the darkest noise, the
    mean is not below the true level, so that what is left after subtraction has its zero at the background.

    Parameters
    ----------
    image : (Y, X) float32
        Smoothed grey values.
    diameter_px : float
        The typical diameter of a cell.

    Returns
    -------
    (Y, X) float32
        The background in grey values.
    """
    factor = max(1.0, float(round(diameter_px / _PIXELS_PER_CELL)))
    small = shrink(image, factor)
    diameter = diameter_px / factor
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, disk(2 * diameter), borderType=cv2.BORDER_REPLICATE)
    background = blur(opened, diameter / 2)
    for _ in range(_ROUNDS):
        cells = _cells_above(small - background, diameter)
        if cells.mean() > 0.98:
            break
        background = _mean_without(small, cells, diameter)
    return enlarge(background, image.shape)


def _cells_above(above: GreyImage, diameter_px: float) -> Mask:
    """Where the image is clearly above the background, with a margin for the blurred edges of cells."""
    sample = above[::2, ::2]
    middle = float(np.median(sample))
    below = sample[sample <= middle]
    spread = 1.4826 * float(np.median(middle - below))
    level = max(0.5 * otsu_level(above), middle + 3 * spread)
    return np.asarray(cv2.dilate((above > level).astype(np.uint8), disk(0.4 * diameter_px)), np.uint8)


def _mean_without(image: GreyImage, cells: Mask, diameter_px: float) -> GreyImage:
    """The Gauss-weighted mean of the pixels outside ``cells``."""
    weight = (1 - cells).astype(np.float32)
    surface = quadratic_surface(image, cells)
    known = (image - surface) * weight
    mean = np.zeros_like(image)
    for window in _WINDOWS_DIAMETERS:
        window_px = window * diameter_px
        mean = (blur_widely(known, window_px) + _SUPPORT * mean) / (blur_widely(weight, window_px) + _SUPPORT)
    return mean + surface


def quadratic_surface(image: GreyImage, cells: Mask) -> GreyImage:
    """The second-order surface that fits the pixels outside ``cells`` best.

    The local mean is taken of what is left over it: at the border of the image, where one side is not seen, the
    mean of a slope would be wrong.
    """
    row, col = (np.linspace(-1, 1, size, dtype=np.float32) for size in image.shape)
    down, right = row[:, None], col[None, :]
    # Six numbers need no more than some thousand pixels.
    sample = tuple(slice(None, None, max(1, size // _FIT_PX)) for size in image.shape)
    rows, cols = np.nonzero(cells[sample] == 0)
    y, x = row[sample[0]][rows], col[sample[1]][cols]
    terms = np.column_stack([np.ones_like(y), y, x, y * x, y * y, x * x])
    a, b, c, d, e, f = np.linalg.lstsq(terms, image[sample][rows, cols], rcond=None)[0]
    return np.asarray((a + b * down + e * down * down) + (c * right + f * right * right) + d * down * right)
