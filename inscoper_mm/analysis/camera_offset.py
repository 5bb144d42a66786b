"""What a camera delivers without light, from images with light: the noise of photons tells how many there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import as_grey

# Each block gives one pair of mean and variance.
_BLOCK_PX = 16
# Second difference along both axes: blind to light that changes slowly. The sum of its squares is 36.
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
# The darker blocks are background rather than cells, whose structure adds to the variance.
_BACKGROUND_QUANTILE = 0.6
_BINS = 12
_FEWEST_BLOCKS = 240
# Of today's cameras, between 1 and 3 electrons.
_READ_NOISE_ELECTRONS = 2.0
_ROUNDING_VARIANCE = 1 / 12
# An offset that is less certain than this share of the light is none.
_LEAST_CERTAIN = 0.1

NoiseOfField = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CameraOffset:
    """An estimated offset, and its standard error, in grey values."""

    value: float
    error: float


def noise_of(image: npt.ArrayLike) -> NoiseOfField:
    """Mean and variance of the noise in each block of an image: (2, blocks) float32."""
    grey = as_grey(image, "noise_of")
    cols, rows = (max(2, side // _BLOCK_PX) for side in grey.shape[::-1])
    noise = cv2.filter2D(grey, cv2.CV_32F, _KERNEL)
    mean = cv2.resize(grey, (cols, rows), interpolation=cv2.INTER_AREA)
    variance = cv2.resize(cv2.multiply(noise, noise), (cols, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(np.stack([mean.ravel(), variance.ravel()]), np.float32)


def estimate_offset(fields: Sequence[NoiseOfField]) -> CameraOffset | None:
    """The offset at which the noise of photons ends.

    The variance of photon noise grows in proportion to the light (photon transfer; J. Janesick,
    doi:10.1117/3.725073), so that it leads back to the grey value of no light. A read noise of 2 electrons is taken
    off; one of 1 or 3 would move the result by up to 5 grey values for each grey value that an electron has.

    Returns
    -------
    CameraOffset or None
        None where the noise does not lead back to one place: too little range of light, or images that were
        smoothed, sharpened or compressed.
    """
    mean, variance = np.concatenate(fields, axis=1) if len(fields) else np.empty((2, 0))
    dark = mean <= np.quantile(mean, _BACKGROUND_QUANTILE) if mean.size else np.empty(0, bool)
    if np.count_nonzero(dark) < _FEWEST_BLOCKS:
        return None
    mean, variance = mean[dark].astype(float), variance[dark] - _ROUNDING_VARIANCE
    groups = np.array_split(np.argsort(mean), _BINS)
    level = np.array([np.median(mean[group]) for group in groups])
    noise = np.array([np.median(variance[group]) for group in groups])
    return _line_to_zero(level, noise)


def _line_to_zero(level: npt.NDArray[np.float64], noise: npt.NDArray[np.float64]) -> CameraOffset | None:
    """Where a line through (level, noise) says that there is read noise only."""
    middle = level.mean()
    spread = ((level - middle) ** 2).sum()
    if spread <= 0:
        return None
    gain = ((level - middle) * (noise - noise.mean())).sum() / spread
    left = noise - noise.mean() - gain * (level - middle)
    scatter = float((left**2).sum()) / (len(level) - 2)
    if gain <= 0:
        return None
    light = noise.mean() / gain
    # Of the quotient: the errors of its two parts, which are independent around the middle.
    error = light * np.sqrt(scatter / len(level) / noise.mean() ** 2 + scatter / spread / gain**2)
    offset = middle - light + _READ_NOISE_ELECTRONS**2 * gain
    certain = error < _LEAST_CERTAIN * (middle - offset) and offset < level[0]
    return CameraOffset(max(0.0, float(offset)), float(error)) if certain else None
