"""How large the cells of an image are, when nobody said so."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import GreyImage, Mask, blur, enlarge, shrink
from inscoper_mm.analysis.outline import hull_areas
from inscoper_mm.analysis.runs import find_runs

# A disk of diameter d answers most to a difference of Gaussians of d / 2.83; cells, elongated and textured, to a
# smaller one (1.15: median over real and synthetic nuclei).
_DIAMETER_OF_SIGMA = 2 * math.sqrt(2) * 1.15
# Four scales an octave, from cells of 8 pixels to cells of a quarter of the image.
_SCALES_PER_OCTAVE = 4
_SCALE_STEP = 2 ** (1 / _SCALES_PER_OCTAVE)
_LEAST_DIAMETER_PX = 8.0
_LARGEST_PART = 1 / 4
# Each octave is computed at the lowest resolution that still shows its smallest blobs.
_PIXELS_PER_BLOB = 4.0
# A blob counts if it answers this many times more than noise, and this part of the strongest ones.
_LEAST_NOISES = 8.0
_LEAST_PART = 0.3
_MOST_BLOBS = 400
# Steepest slope over answer, 1 / pixel: cells in focus have 0.10 and more at any size, hills of haze 0.05. Blobs
# between are trusted in part.
_SLOPES = (0.085, 0.135)
# The trusted blobs are ripples of haze if they are weaker than this part of all blobs.
_LEAST_TRUSTED = 0.35
# The slope is measured in the image shrunk by 2 and smoothed by one of its pixels; white noise of 1 then has this
# mean square (computed once, by simulation).
_SLOPE_NOISE = 0.0025
# A piece of a mask is convex if it fills so much of its hull; a few such pieces tell nothing.
_CONVEX = 0.9
_FEWEST_CONVEX = 5
# Of a larger image, the middle of this side is looked at first; it has to have so many blobs.
_PART_PX = 1024
_ENOUGH_BLOBS = 40
# A table of blobs has these columns.
_ANSWER, _ROW, _COL, _DIAMETER, _SLOPE = range(5)
Blobs = npt.NDArray[np.float64]


def estimate_diameter(image: GreyImage, noise: float) -> float | None:
    """The typical diameter of the bright blobs of an image, in pixels; None if there are none.

    Blobs are the maxima over place and scale of the difference of Gaussians (T. Lindeberg,
    doi:10.1023/A:1008045108935). Blobs without steep edges are haze and do not count.

    Parameters
    ----------
    image : (Y, X) float32
    noise : float
        Standard deviation of the noise of one pixel.
    """
    part = _middle(image)
    if part.size < image.size:
        found = _typical_of(_blobs(part, noise), _ENOUGH_BLOBS)
        if found is not None:
            return found
    return _typical_of(_blobs(image, noise), 1)


def _middle(image: GreyImage) -> GreyImage:
    """The middle of a large image: it has cells enough, most often."""
    rows, cols = (
        slice(max(0, (size - _PART_PX) // 2), (size + min(size, _PART_PX)) // 2) for size in image.shape
    )
    return np.ascontiguousarray(image[rows, cols])


def _blobs(image: GreyImage, noise: float) -> Blobs:
    octaves = []
    steepness = _steepness(image, noise)
    diameter = _LEAST_DIAMETER_PX
    while diameter <= _LARGEST_PART * min(image.shape):
        octaves.append(_blobs_of_octave(image, steepness, diameter, noise))
        diameter *= 2
    return np.concatenate(octaves) if octaves else np.empty((0, 5))


def _typical_of(blobs: Blobs, fewest: int) -> float | None:
    """The typical diameter of blobs, the trusted ones above all; None if these are too few or too weak."""
    soft, steep = _SLOPES
    strength = blobs[:, _ANSWER] * np.clip((blobs[:, _SLOPE] - soft) / (steep - soft), 0, 1)
    strongest = _strongest(strength)
    if strongest <= _LEAST_TRUSTED * _strongest(blobs[:, _ANSWER]):
        return None
    order = np.argsort(-strength)[:_MOST_BLOBS]
    order = order[strength[order] >= _LEAST_PART * strongest]
    chosen = order[_without_overlap(blobs[order])]
    if chosen.size < fewest:
        return None
    return _weighted_median(blobs[chosen, _DIAMETER], strength[chosen])


def _strongest(values: npt.NDArray[np.float64]) -> float:
    """The median of the five largest values; 0 without values."""
    return float(np.median(np.sort(values)[-5:])) if values.size else 0.0


def _weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])


def _steepness(image: GreyImage, noise: float) -> GreyImage:
    """The sixth power of the slope in grey values per pixel, less that of noise; half as large as the image.

    The mean of so high a power is ruled by the steepest places, whatever part of a blob they are.
    """
    half = blur(shrink(image, 2), 1.0)
    across = cv2.Sobel(half, cv2.CV_32F, 1, 0, scale=1 / 16)
    down = cv2.Sobel(half, cv2.CV_32F, 0, 1, scale=1 / 16)
    square = cv2.magnitude(across, down) ** 2
    # The third moment of an exponential distribution, which the squared slope of noise has, is 6 mean^3.
    steep: GreyImage = square**3 - np.float32(6 * (_SLOPE_NOISE * noise**2) ** 3)
    return steep


def _blobs_of_octave(image: GreyImage, steepness: GreyImage, diameter_px: float, noise: float) -> Blobs:
    """The blobs of ``diameter_px`` to twice that."""
    factor = diameter_px / _PIXELS_PER_BLOB
    small = shrink(image, factor)
    scale = image.shape[0] / small.shape[0]
    steep = enlarge(shrink(steepness, factor / 2), small.shape)
    sigmas = [
        _PIXELS_PER_BLOB / _DIAMETER_OF_SIGMA * _SCALE_STEP ** (number - 0.5)
        for number in range(_SCALES_PER_OCTAVE + 1)
    ]
    blurred = [blur(small, sigma) for sigma in sigmas]
    blobs = []
    for number in range(_SCALES_PER_OCTAVE):
        answer = (blurred[number] - blurred[number + 1]) / math.log(_SCALE_STEP)
        least = _LEAST_NOISES * noise / factor / (2 * sigmas[number])
        rows, cols = np.nonzero((answer >= cv2.dilate(answer, np.ones((3, 3), np.uint8))) & (answer > least))
        answers = answer[rows, cols]
        slopes = np.maximum(blur(steep, 1.4 * sigmas[number])[rows, cols], 0) ** (1 / 6) / answers
        diameters = np.full(rows.size, diameter_px * _SCALE_STEP**number)
        blobs.append(np.column_stack([answers, rows * scale, cols * scale, diameters, slopes]))
    return np.concatenate(blobs)


def _without_overlap(blobs: Blobs) -> npt.NDArray[np.intp]:
    """Which of the blobs, strongest first, do not lie in a stronger one."""
    free = np.ones(len(blobs), bool)
    chosen = []
    for number, blob in enumerate(blobs):
        if not free[number]:
            continue
        chosen.append(number)
        reach = 0.5 * np.maximum(blobs[:, _DIAMETER], blob[_DIAMETER])
        free &= np.hypot(blobs[:, _ROW] - blob[_ROW], blobs[:, _COL] - blob[_COL]) > reach
    return np.array(chosen, np.intp)


def diameter_of_convex(mask: Mask) -> float | None:
    """The typical diameter of the convex pieces of a mask, in pixels; half of their area is in larger ones.

    None if they are few. Clumps of cells are not convex, and debris has little area.
    """
    runs = find_runs(cv2.connectedComponents(mask, connectivity=4, ltype=cv2.CV_32S)[1])
    convex = runs.area >= _CONVEX * hull_areas(runs)
    if np.count_nonzero(convex) < _FEWEST_CONVEX:
        return None
    area = runs.area[convex].astype(np.float64)
    return _weighted_median(np.sqrt(4 / math.pi * area), area)
