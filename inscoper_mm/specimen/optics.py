"""The light on its way from the sharp specimen to the sensor: blur, sub-pixel placement, haze, fall-off."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inscoper_mm.specimen.outline import Floats
from inscoper_mm.specimen.view import View

# Standard deviation of the sharp image of a point, and what one depth of field adds (in quadrature).
SHARP_UM = 0.45
BLUR_PER_DEPTH_UM = 1.2
_LARGEST_BLUR_UM = 40.0
# A sampled Gaussian narrower than this no longer shifts an image by exact fractions of a pixel.
_NARROWEST_PX = 0.7
_WIDEST_DIRECT_PX = 8.0
_HAZE_NODE_UM = 70.0
_HAZE_BLOCK = 16
_HAZE_STEP_UM = 8.0
# The galvo's spot: standard deviation, and where it is cut, for a full width at half maximum of 1.
SPOT_SIGMA = 1 / math.sqrt(8 * math.log(2))
SPOT_REACH = 1.1


def blur_um(defocus_um: float, depth_of_field_um: float, pixel_um: float) -> float:
    """Standard deviation of the blur at a distance from the focus."""
    sharp = max(SHARP_UM, _NARROWEST_PX * pixel_um)
    return min(
        math.hypot(sharp, BLUR_PER_DEPTH_UM * defocus_um / depth_of_field_um), max(_LARGEST_BLUR_UM, sharp)
    )


def margin_px(sigma_px: float) -> int:
    """How far around the image the specimen must be known to blur the image."""
    return math.ceil(4 * sigma_px) + 2


def blurred(sharp: Floats, sigma_px: float, shift: tuple[float, float], margin: int) -> Floats:
    """``sharp`` without its margin, blurred and moved by a fraction of a pixel in one pass.

    Parameters
    ----------
    sharp : ndarray (Y + 2 margin, X + 2 margin)
    sigma_px : float
    shift : tuple of float
        (row, col) fractions, 0 to 1: the result at (r, c) is the blurred ``sharp`` at (r + row, c + col).
    margin : int

    Returns
    -------
    ndarray (Y, X)
    """
    if sigma_px <= _WIDEST_DIRECT_PX:
        field = cv2.sepFilter2D(
            sharp,
            -1,
            _kernel(sigma_px, shift[1]),
            _kernel(sigma_px, shift[0]),
            borderType=cv2.BORDER_REPLICATE,
        )
        return np.asarray(field[margin:-margin, margin:-margin])
    return _widely_blurred(sharp, sigma_px, shift, margin)


def _widely_blurred(sharp: Floats, sigma_px: float, shift: tuple[float, float], margin: int) -> Floats:
    """Wide blurs at reduced resolution: the same to a few parts in a thousand, and much faster."""
    first = cv2.sepFilter2D(
        sharp, -1, _kernel(1.0, shift[1]), _kernel(1.0, shift[0]), borderType=cv2.BORDER_REPLICATE
    )
    factor = int(sigma_px / 3)
    height, width = first.shape
    padded = cv2.copyMakeBorder(first, 0, -height % factor, 0, -width % factor, cv2.BORDER_REPLICATE)
    small_size = (padded.shape[1] // factor, padded.shape[0] // factor)
    small = cv2.resize(padded, small_size, interpolation=cv2.INTER_AREA)
    kernel = _kernel(math.sqrt(sigma_px**2 - 1) / factor, 0.0)
    small = cv2.sepFilter2D(small, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    field = cv2.resize(small, (padded.shape[1], padded.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field[margin : height - margin, margin : width - margin])


def _kernel(sigma_px: float, shift_px: float) -> npt.NDArray[np.float64]:
    reach = margin_px(sigma_px) - 1
    taps = np.exp(-0.5 * ((np.arange(-reach, reach + 1) - shift_px) / sigma_px) ** 2)
    return np.asarray(taps / taps.sum())


def spot(view: View, row: float, col: float, width_px: float, peak: float) -> Floats:
    """A Gaussian spot of light (Y, X) in a view; its place and its width are those on the sensor without binning."""
    first_row, first_col = view.origin_px
    down = (np.arange(view.shape[0], dtype=np.float32) + first_row) * view.binning - np.float32(row)
    across = (np.arange(view.shape[1], dtype=np.float32) + first_col) * view.binning - np.float32(col)
    sigma, reach = np.float32(width_px * SPOT_SIGMA), width_px * SPOT_REACH
    light = np.exp(-0.5 * (down / sigma) ** 2)[:, None] * np.exp(-0.5 * (across / sigma) ** 2)[None, :]
    inside = down[:, None] ** 2 + across[None, :] ** 2 < reach**2
    return np.asarray(np.where(inside, np.float32(peak) * light, 0), dtype=np.float32)


@lru_cache(maxsize=8)
def illumination(sensor: tuple[int, int], falloff: float) -> Floats:
    """Light on the sensor (height, width): a parabola, 1 in the centre, ``1 - falloff`` in the corners."""
    height, width = sensor
    row = (np.arange(height) - (height - 1) / 2) / (height / 2)
    col = (np.arange(width) - (width - 1) / 2) / (width / 2)
    light = 1 - falloff * (row[:, None] ** 2 + col[None, :] ** 2) / 2
    return light.astype(np.float32)


class Haze:
    """Out-of-focus light: a smooth random field of the stage, between 0 and 1, mean 0.5.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._block = lru_cache(maxsize=256)(self._make_block)

    def seen(self, view: View) -> Floats:
        """The haze (Y, X) in the pixels of a view."""
        height, width = view.shape
        rows, cols, zero = np.arange(float(height)), np.arange(float(width)), np.zeros(1)
        if view.orientation.is_upright:
            return self.field(view.to_stage(zero, cols)[0], view.to_stage(rows, zero)[1])
        if view.orientation.is_transposed:
            return self.field(view.to_stage(rows, zero)[0], view.to_stage(zero, cols)[1]).T
        # So smooth a field is known from a few of its places.
        step = max(1.0, _HAZE_STEP_UM / view.pixel_size_um)
        coarse_rows, down = _keys_weights(rows / step)
        coarse_cols, across = _keys_weights(cols / step)
        coarse = self._at(*view.to_stage(coarse_rows[:, None] * step, coarse_cols[None, :] * step))
        return np.asarray(down @ coarse @ across.T, dtype=np.float32)

    def field(self, x_um: npt.NDArray[np.float64], y_um: npt.NDArray[np.float64]) -> Floats:
        """The haze (Y, X) at columns ``x_um`` and rows ``y_um``: a cubic B-spline, exact at any place."""
        first_col, across = _spline_weights(x_um / _HAZE_NODE_UM)
        first_row, down = _spline_weights(y_um / _HAZE_NODE_UM)
        nodes = self._nodes(first_row, first_col, down.shape[1], across.shape[1])
        return np.asarray((down @ nodes @ across.T), dtype=np.float32)

    def _at(self, x_um: npt.NDArray[np.float64], y_um: npt.NDArray[np.float64]) -> Floats:
        """The haze at single places."""
        col, row = x_um / _HAZE_NODE_UM, y_um / _HAZE_NODE_UM
        left, top = math.floor(col.min()) - 1, math.floor(row.min()) - 1
        nodes = self._nodes(top, left, math.floor(row.max()) + 3 - top, math.floor(col.max()) + 3 - left)
        return np.asarray(ndimage.map_coordinates(nodes, (row - top, col - left), order=3, prefilter=False))

    def _nodes(self, row: int, col: int, rows: int, cols: int) -> Floats:
        first_row, last_row = row // _HAZE_BLOCK, (row + rows - 1) // _HAZE_BLOCK
        first_col, last_col = col // _HAZE_BLOCK, (col + cols - 1) // _HAZE_BLOCK
        blocks = np.block(
            [
                [self._block(r, c) for c in range(first_col, last_col + 1)]
                for r in range(first_row, last_row + 1)
            ]
        )
        top, left = row - first_row * _HAZE_BLOCK, col - first_col * _HAZE_BLOCK
        return np.asarray(blocks[top : top + rows, left : left + cols])

    def _make_block(self, row: int, col: int) -> Floats:
        random = np.random.default_rng([self._seed, 1, row + 2**31, col + 2**31])
        return (random.uniform(0, 1, (_HAZE_BLOCK, _HAZE_BLOCK)) > 0.5).astype(np.float32)


def _spline_weights(place: npt.NDArray[np.float64]) -> tuple[int, Floats]:
    """First node, and the weights (place, node) of the cubic B-spline of all nodes that count."""
    whole = np.floor(place).astype(int)
    first = int(whole.min()) - 1
    weights = np.zeros((place.size, int(whole.max()) - first + 3), np.float32)
    t = place - whole
    values = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    rows = np.arange(place.size)
    for offset, value in enumerate(values):
        weights[rows, whole - 1 - first + offset] = value / 6
    return first, weights


def _keys_weights(place: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], Floats]:
    """Nodes, and the weights (place, node) of Keys' cubic interpolation (doi:10.1109/TASSP.1981.1163711)."""
    nodes = np.arange(math.floor(place.min()) - 1.0, math.floor(place.max()) + 3.0)
    away = np.abs(place[:, None] - nodes[None, :])
    near = (1.5 * away - 2.5) * away**2 + 1
    far = ((2.5 - 0.5 * away) * away - 4) * away + 2
    return nodes, np.where(away < 1, near, np.where(away < 2, far, 0)).astype(np.float32)
