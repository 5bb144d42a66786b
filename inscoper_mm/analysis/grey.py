"""Grey-value helpers that the other modules share: conversion, smoothing, shrinking, noise."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput

GreyImage = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]

# A grey value that was rounded to whole numbers carries at least this much noise: 1 / sqrt(12).
_ROUNDING_NOISE = 0.29
# A single pixel that is brighter than its neighbours by so many times the noise is a fault of the camera.
_HOT_NOISES = 10.0
# A Gauss filter as wide as this is sampled well enough.
_ENOUGH_SIGMA_PX = 2.5
# So many pixels tell the noise.
_NOISE_PX = 1 << 15
# Second difference along both axes: blind to constant and to linearly changing light; its noise gain is 6.
_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def as_grey(image: npt.ArrayLike, function: str) -> GreyImage:
    """``image`` as float32 (Y, X).

    Raises
    ------
    InvalidInput
        If it is not a grey image of at least 8 x 8 pixels, or has values that are not finite.
    """
    array = np.asarray(image)
    if array.ndim != 2 or min(array.shape) < 8 or array.dtype.kind not in "buif":
        raise InvalidInput(
            Finding(
                "not a grey image",
                function=function,
                parameter="image",
                got=f"shape {array.shape}, {array.dtype}",
                allowed="a (Y, X) array of numbers, at least 8 x 8",
            )
        )
    grey = np.ascontiguousarray(array, dtype=np.float32)
    if array.dtype.kind == "f" and not np.isfinite(grey).all():
        raise InvalidInput(
            Finding("the image has values that are not finite", function=function, parameter="image")
        )
    return grey


def blur(image: GreyImage, sigma_px: float, mirrored: bool = False) -> GreyImage:
    """``image`` after a Gauss filter.

    The border is continued by its own values, or by the image's mirror image: noise then stays the same up to the
    border.
    """
    border = cv2.BORDER_REFLECT if mirrored else cv2.BORDER_REPLICATE
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=border), np.float32)


def blur_widely(image: GreyImage, sigma_px: float, mirrored: bool = False) -> GreyImage:
    """As ``blur``, computed in a smaller image where so wide a filter loses nothing by that."""
    factor = float(int(sigma_px / _ENOUGH_SIGMA_PX))
    if factor < 2:
        return blur(image, sigma_px, mirrored)
    return enlarge(blur(shrink(image, factor), sigma_px / factor, mirrored), image.shape)


def shrink(image: GreyImage, factor: float) -> GreyImage:
    """``image`` made smaller by ``factor``, each new pixel the mean of those that it covers."""
    if factor <= 1:
        return image
    size = max(2, round(image.shape[1] / factor)), max(2, round(image.shape[0] / factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def enlarge(image: GreyImage, shape: tuple[int, ...]) -> GreyImage:
    """``image`` made as large as ``shape`` (Y, X), linearly interpolated."""
    if image.shape == shape:
        return image
    large = cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)


def disk(diameter_px: float) -> Mask:
    """A round structuring element of odd size, at least 1 x 1."""
    size = max(1, round(diameter_px)) | 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def noise_sigma(image: GreyImage, whole_numbers: bool) -> float:
    """Standard deviation of the noise of one pixel, in grey values.

    The median of the absolute second differences, which cells and uneven light hardly change (after J. Immerkaer,
    doi:10.1006/cviu.1996.0060, with the median in place of the mean).

    Parameters
    ----------
    image : (Y, X) float32
    whole_numbers : bool
        Whether the camera's values are whole numbers: rounding alone is then a noise of 0.29.
    """
    step = max(2, int(math.sqrt(image.size / _NOISE_PX)))
    rows, cols = image.shape
    differences = sum(
        weight * image[row : rows - 2 + row : step, col : cols - 2 + col : step]
        for (row, col), weight in np.ndenumerate(_NOISE_KERNEL)
    )
    sigma = 1.4826 * float(np.median(np.abs(differences))) / 6
    least = _ROUNDING_NOISE if whole_numbers else 1e-6 * max(1e-6, float(np.abs(image).max()))
    return max(sigma, least)


def blurred_noise(sigma: float, sigma_px: float) -> float:
    """What a Gauss filter of ``sigma_px`` leaves of white noise of standard deviation ``sigma``."""
    return min(sigma, sigma / (2 * math.sqrt(math.pi) * sigma_px))


def without_hot_pixels(image: GreyImage, noise: float) -> GreyImage:
    """``image`` with single far too bright pixels replaced by the median of their neighbours.

    Parameters
    ----------
    image : (Y, X) float32
    noise : float
        Standard deviation of the noise of one pixel.
    """
    median = cv2.medianBlur(image, 3)
    return np.asarray(np.where(image > median + _HOT_NOISES * noise, median, image), np.float32)
