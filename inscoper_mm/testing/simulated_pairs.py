"""Pairs of images with known shifts between them: the answer first, then the pictures of it.

Content enters and leaves at the borders, as it does when a stage moves under a camera: nothing is periodic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import skimage.color
import skimage.data
from scipy import ndimage

from inscoper_mm.testing.simulated_stacks import Slide, Viewer, camera

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Shift = tuple[float, float]

PICTURES = ("camera", "coins", "moon", "page", "text", "clock", "brick", "grass", "gravel", "cell")
MAGNITUDES_PX = (0.05, 0.2, 0.5, 1.3, 2.7, 5.1, 9.3, 15.7, 25.2, 39.0)
_CROP_PX = 40
_BLUR_PX = 1.0
# Half a box around a cell: beyond it nothing of the cell is left.
_REACH_PX = 25


@dataclass(frozen=True, slots=True, eq=False)
class ShiftedPair:
    """Two noise-free images (Y, X); the second's content lies by ``shift_px`` (row, col) from the first's."""

    name: str
    shift_px: Shift
    first: Array
    second: Array


def drift_pairs(seed: int = 0, every: int = 1) -> Iterator[ShiftedPair]:
    """110 pairs: ten pictures and simulated cells, each shifted by ten magnitudes (0.05 to 39 px) in random directions.

    The whole picture is shifted by Fourier transform, then its middle is cut out. One in ``every`` pairs is made.
    """
    random = np.random.default_rng(seed)
    middle = slice(_CROP_PX, -_CROP_PX)
    for place, name in enumerate((*PICTURES, "cells")):
        image = ndimage.gaussian_filter(_picture(name), _BLUR_PX)
        for number, far_px in enumerate(MAGNITUDES_PX):
            turn = random.uniform(0, 2 * math.pi)
            if (place * len(MAGNITUDES_PX) + number) % every:
                continue
            shift = far_px * math.sin(turn), far_px * math.cos(turn)
            moved = np.fft.ifftn(ndimage.fourier_shift(np.fft.fftn(image), shift)).real
            yield ShiftedPair(name, shift, image[middle, middle], moved[middle, middle])


def noisy(image: Array, snr: float, random: np.random.Generator, of: Array | None = None) -> Array:
    """``image`` with white noise, ``snr`` times smaller than the standard deviation of ``of`` (or of itself)."""
    noise = float((image if of is None else of).std()) / snr
    return image + noise * random.standard_normal(image.shape)


def bound_px(image: Array, snr: float) -> float:
    """Cramer-Rao: the least error (root mean square) of a shift between two images that are as noisy as that."""
    down, right = np.gradient(image)
    known = np.array([[(down**2).sum(), (down * right).sum()], [(down * right).sum(), (right**2).sum()]])
    return math.sqrt(float(np.trace(2 * (image.std() / snr) ** 2 * np.linalg.inv(known))))


@cache
def _picture(name: str) -> Array:
    if name == "cells":
        return _drawn_cells(np.random.default_rng(7))
    image = np.asarray(getattr(skimage.data, name)(), np.float64)
    return np.asarray(skimage.color.rgb2gray(image) if image.ndim == 3 else image)


def _drawn_cells(random: np.random.Generator, side: int = 512, count: int = 120) -> Array:
    image = np.zeros((side, side))
    rows, cols = np.mgrid[:side, :side]
    for _ in range(count):
        row, col = random.uniform(0, side, 2)
        radii = random.uniform(6, 11, 2)
        turn = random.uniform(0, math.pi)
        along = (cols - col) * math.cos(turn) + (rows - row) * math.sin(turn)
        across = (rows - row) * math.cos(turn) - (cols - col) * math.sin(turn)
        depth = (along / radii[0]) ** 2 + (across / radii[1]) ** 2
        image += random.uniform(0.5, 1.5) * np.exp(-(depth**2))
    return image


class Field:
    """Cells on a plane that reaches beyond the image; ``draw`` shows them shifted, some of them on ways of their own.

    Parameters
    ----------
    seed : int or list of int
    count : int
        Cells in the image on average; ten or fewer lie all inside, as many as that.
    side : int
        Pixels of the image's sides.
    """

    BACKGROUND = 0.2

    def __init__(self, seed: int | list[int], count: int = 120, side: int = 512) -> None:
        random = np.random.default_rng(seed)
        self.side = side
        few, beyond = count <= 10, 80
        low, high = (30, side - 30) if few else (-beyond, side + beyond)
        number = count if few else int(count * (side + 2 * beyond) ** 2 / side**2)
        self._places = random.uniform(low, high, (number, 2))
        self._radii = random.uniform(5, 9, (number, 2))
        self._turns = random.uniform(0, math.pi, number)
        self._lights = random.uniform(0.5, 1.5, number)
        self._ways = random.uniform(0, 2 * math.pi, number)
        self._order = random.permutation(number) / number

    def draw(
        self, shift_px: Shift = (0.0, 0.0), moving: float = 0.0, moved_px: float = 0.0, gain: float = 1.0
    ) -> Array:
        """The image (Y, X), ``gain`` times as bright, with a part ``moving`` of the cells ``moved_px`` on their own."""
        image = np.full((self.side, self.side), self.BACKGROUND)
        for number in range(len(self._places)):
            place = self._place(number, shift_px, moving, moved_px)
            rows, cols, depth = self._depth(number, place)
            image[rows, cols] += self._lights[number] * np.exp(-(depth**1.5))
        return image * gain

    def moving_cells(self, shift_px: Shift, moving: float, moved_px: float) -> Mask:
        """Where the cells that have moved on their own are now (half their brightness and more)."""
        mask = np.zeros((self.side, self.side), bool)
        for number in np.flatnonzero(self._order < moving):
            rows, cols, depth = self._depth(int(number), self._place(int(number), shift_px, moving, moved_px))
            mask[rows, cols] |= depth**1.5 < math.log(2)
        return mask

    def _place(self, number: int, shift_px: Shift, moving: float, moved_px: float) -> Shift:
        own = moved_px if self._order[number] < moving else 0.0
        row, col = self._places[number]
        way = self._ways[number]
        return row + shift_px[0] + own * math.sin(way), col + shift_px[1] + own * math.cos(way)

    def _depth(self, number: int, place: Shift) -> tuple[slice, slice, Array]:
        """The part of the image around a cell, and how far out of the cell its pixels are, squared (1 at its edge)."""
        boxes = [
            slice(
                min(max(int(middle) - _REACH_PX, 0), self.side),
                max(min(int(middle) + _REACH_PX + 1, self.side), 0),
            )
            for middle in place
        ]
        down = np.arange(boxes[0].start, boxes[0].stop)[:, None] - place[0]
        right = np.arange(boxes[1].start, boxes[1].stop)[None, :] - place[1]
        cos, sin = math.cos(self._turns[number]), math.sin(self._turns[number])
        long, short = self._radii[number]
        depth = ((right * cos + down * sin) / long) ** 2 + ((down * cos - right * sin) / short) ** 2
        return boxes[0], boxes[1], depth


def fixed_pattern(seed: int | list[int], side: int = 512, strength: float = 0.3) -> Array:
    """Fall-off of the light and 25 grains of dust, as a factor (Y, X): it stays where it is when the content moves."""
    random = np.random.default_rng(seed)
    row, col = np.mgrid[:side, :side]
    light = 1 - 2 * strength * ((row / side - 0.5) ** 2 + (col / side - 0.5) ** 2)
    for _ in range(25):
        at, size = random.uniform(0, side, 2), random.uniform(2, 6)
        light -= strength * np.exp(-((row - at[0]) ** 2 + (col - at[1]) ** 2) / 2 / size**2)
    return np.asarray(light)


@dataclass(frozen=True, slots=True, eq=False)
class ShiftedStacks:
    """Two stacks (Z, Y, X) uint16 of one slide; the second's content lies elsewhere by ``shift_px`` and ``z_um``."""

    shift_px: Shift
    z_um: float
    heights_um: tuple[float, ...]
    depth_of_field_um: float
    first: npt.NDArray[np.uint16]
    second: npt.NDArray[np.uint16]


def shifted_stacks(
    seed: int, photons: float, name: str = "nuclei", slices: int = 15, side: int = 224
) -> ShiftedStacks:
    """A slide that has moved by up to 12 px and 2 depths of field, in stacks of steps of half a depth of field."""
    random = np.random.default_rng([seed, 11])
    turn, far_px = random.uniform(0, 2 * math.pi), random.uniform(0.3, 12)
    shift = far_px * math.sin(turn), far_px * math.cos(turn)
    slide = Slide(name, seed, photons, size_px=side + 2 * _CROP_PX)
    viewer, depth = Viewer(slide), slide.optics.depth_of_field_um
    z_um, begin_um = random.uniform(-2, 2) * depth, random.uniform(-0.5, 0.5) * depth
    heights = tuple(begin_um + 0.5 * depth * (number - slices // 2) for number in range(slices))
    middle = slice(_CROP_PX, -_CROP_PX)
    stacks = []
    for away, moved in ((0.0, (0.0, 0.0)), (z_um, shift)):
        lights = [viewer.light(height - away) for height in heights]
        lights = [np.fft.ifftn(ndimage.fourier_shift(np.fft.fftn(light), moved)).real for light in lights]
        stacks.append(np.stack([camera(np.maximum(light, 0)[middle, middle], random) for light in lights]))
    return ShiftedStacks(shift, z_um, heights, depth, stacks[0], stacks[1])
