"""Sharp pictures of single cells, on a grid of the camera's pixels that is fixed to the stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inscoper_mm.specimen.channels import Look
from inscoper_mm.specimen.orientation import Orientation
from inscoper_mm.specimen.outline import Floats
from inscoper_mm.specimen.population import Cell

_TEXTURE_UM = 128.0
_TEXELS_PER_UM = 4
_SAMPLE_UM = 0.5


@dataclass(frozen=True, slots=True)
class Stamp:
    """The picture of one cell, whose first pixel is (top, left) of the grid.

    The grid's pixel (0, 0) has its centre at the stage's origin, and its columns and rows run as the camera's.
    """

    top: int
    left: int
    pixels: Floats

    @property
    def nbytes(self) -> int:
        """Size of the picture in memory."""
        return self.pixels.nbytes


def make_stamp(cell: Cell, look: Look, pixel_um: float, orientation: Orientation) -> Stamp:
    """The sharp picture of a cell in a channel, each pixel the mean over its area.

    Parameters
    ----------
    cell : Cell
    look : Look
    pixel_um : float
    orientation : Orientation
        The camera's.

    Returns
    -------
    Stamp
        Of which 1 is a typical cell's brightness.
    """
    finer = max(1, round(pixel_um / _SAMPLE_UM))
    reach = cell.body.reach_um / pixel_um + 1
    col, row = orientation.to_pixel(cell.x_um / pixel_um, cell.y_um / pixel_um)
    top, rows = _samples(row, reach * orientation.reach[1], finer)
    left, columns = _samples(col, reach * orientation.reach[0], finer)
    x, y = orientation.to_stage(columns[None, :] * pixel_um, rows[:, None] * pixel_um)
    picture = draw(cell, look, x.astype(np.float32), y.astype(np.float32))
    if finer > 1:
        height, width = picture.shape
        picture = cv2.resize(picture, (width // finer, height // finer), interpolation=cv2.INTER_AREA)
    return Stamp(top, left, picture)


@dataclass(frozen=True, slots=True)
class Sprite:
    """The picture of a cell that can be set down anywhere on the grid.

    ``pixels``, ``finer`` samples a pixel, has the mean over a pixel's area around each of its places; it reaches
    ``reach`` = (rows, columns) pixels to each side of the cell's centre.
    """

    pixels: Floats
    finer: int
    reach: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Size of the picture in memory."""
        return self.pixels.nbytes

    def at(self, row: float, col: float) -> Stamp:
        """The picture of the cell with its centre at a place of the grid."""
        top, left = math.ceil(row - self.reach[0]), math.ceil(col - self.reach[1])
        size = (2 * self.reach[1], 2 * self.reach[0])
        offset = [(left - col + self.reach[1]) * self.finer, (top - row + self.reach[0]) * self.finer]
        place = np.array([[self.finer, 0.0, offset[0]], [0.0, self.finer, offset[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return Stamp(top, left, np.asarray(cv2.warpAffine(self.pixels, place, size, flags=flags)))


def make_sprite(cell: Cell, look: Look, pixel_um: float, orientation: Orientation) -> Sprite:
    """The sharp picture of a cell that moves; parameters as those of `make_stamp`."""
    finer = 2 * max(1, round(pixel_um / _SAMPLE_UM))
    reach = cell.body.reach_um / pixel_um + 1
    rows, cols = (math.ceil(reach * each) for each in reversed(orientation.reach))
    down, across = (np.arange(2 * each * finer + 1) / finer - each for each in (rows, cols))
    x, y = orientation.to_stage(across[None, :] * pixel_um, down[:, None] * pixel_um)
    picture = draw(cell, look, x.astype(np.float32), y.astype(np.float32))
    # The mean over a pixel, its two outermost samples counted by half.
    mean = np.full(finer + 1, 1 / finer)
    mean[[0, -1]] /= 2
    mean_over_pixel = cv2.sepFilter2D(picture, -1, mean, mean, borderType=cv2.BORDER_CONSTANT)
    return Sprite(np.asarray(mean_over_pixel), finer, (rows, cols))


def _samples(centre: float, reach: float, finer: int) -> tuple[int, npt.NDArray[np.float64]]:
    """First pixel along an axis, and all samples' distances from the cell's centre; all in pixels."""
    first, last = math.floor(centre - reach), math.ceil(centre + reach)
    return first, (np.arange((last - first + 1) * finer) + 0.5) / finer - 0.5 + first - centre


def draw(cell: Cell, look: Look, x: Floats, y: Floats) -> Floats:
    """The picture of a cell at single places: ``x`` (1, X) and ``y`` (Y, 1), or (Y, X), in um from its centre."""
    picture = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    core_x, core_y = cell.nucleus_um
    if look.nucleus:
        depth = cell.nucleus.depth(x - np.float32(core_x), y - np.float32(core_y))
        picture += look.nucleus * cell.dna * _dome(depth, 0.65) * (1 + 0.3 * _texture(cell, x, y, "fine"))
    body = look.body * cell.brightness + look.marker * cell.marker
    if body or look.granules:
        depth = cell.body.depth(x, y)
        dome = _dome(depth, 0.5)
        if body:
            picture += body * dome * (1 + 0.2 * _texture(cell, x, y, "fine"))
        if look.granules:
            hole = cell.nucleus.depth(x - np.float32(core_x), y - np.float32(core_y)) < 1
            spots = _texture(cell, x, y, "granules")
            picture += (
                look.granules
                * cell.brightness
                * dome
                * spots
                * np.where(hole, np.float32(0.1), np.float32(1))
            )
    return picture


def _dome(depth: Floats, edge: float) -> Floats:
    """A thickness that falls from 1 in the middle to ``edge`` at the outline, and 0 outside."""
    thickness = np.sqrt(np.clip(1 - depth * depth, 0, 1))
    return np.where(depth < 1, np.float32(edge) + np.float32(1 - edge) * thickness, np.float32(0))


def _texture(cell: Cell, x: Floats, y: Floats, kind: str) -> Floats:
    across = (x + np.float32(cell.texture[0])) * _TEXELS_PER_UM
    down = (y + np.float32(cell.texture[1])) * _TEXELS_PER_UM
    across, down = np.broadcast_arrays(across, down)
    return np.asarray(
        cv2.remap(
            _common_texture(kind),
            np.ascontiguousarray(across),
            np.ascontiguousarray(down),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
    )


@lru_cache(maxsize=4)
def _common_texture(kind: str) -> Floats:
    """A periodic random pattern that all cells are cut from: ``fine`` of mean 0, ``granules`` of mean 1."""
    size = int(_TEXTURE_UM * _TEXELS_PER_UM)
    noise = np.random.default_rng(20230).standard_normal((2, size, size)).astype(np.float32)
    small, large = (
        ndimage.gaussian_filter(plane, sigma_um * _TEXELS_PER_UM, mode="wrap")
        for plane, sigma_um in zip(noise, (0.7, 1.8), strict=True)
    )
    if kind == "fine":
        pattern = small / small.std() + large / large.std()
        return np.asarray(np.clip(pattern / pattern.std(), -2.2, 2.2), dtype=np.float32)
    spots = np.clip(small / small.std(), 0, 3)
    return np.asarray(spots / spots.mean(), dtype=np.float32)
