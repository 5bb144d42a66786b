"""Smoothing, binning and exact sub-pixel shifts of images: what registration is built of."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Slices = tuple[slice, slice]

_DIFFERENCE = np.array([-0.5, 0.0, 0.5])
_NOTHING = np.array([1.0])
_LOW_PASS_BINNING = 4
# Half-width of the interpolation, and its taper (Kaiser's beta).
_SINC_REACH = 6
_SINC_TAPER = 5.0


@lru_cache(maxsize=256)
def _kernel(sigma_px: float, shift_px: float) -> npt.NDArray[np.float64]:
    reach = math.ceil(3.5 * sigma_px + abs(shift_px)) + 1
    taps = np.exp(-0.5 * ((np.arange(-reach, reach + 1) - shift_px) / sigma_px) ** 2)
    return np.asarray(taps / taps.sum())


def smoothed(image: Floats, sigma_px: float, shift_px: tuple[float, float] = (0.0, 0.0)) -> Floats:
    """``image`` (Y, X) under a Gaussian, read at (row, col) + ``shift_px``.

    Smoothing and shift are one filter: the Gaussian is sampled off its centre. That is exact to 1e-3 of a pixel
    for ``sigma_px`` of 0.7 and more, where interpolation (1/32 px steps in OpenCV) is not.
    """
    row, col = (round(float(shift), 6) for shift in shift_px)
    kernels = _kernel(sigma_px, col), _kernel(sigma_px, row)
    return np.asarray(cv2.sepFilter2D(image, cv2.CV_32F, *kernels, borderType=cv2.BORDER_REFLECT))


@lru_cache(maxsize=64)
def _interpolation(shift_px: float) -> npt.NDArray[np.float64]:
    places = np.arange(-_SINC_REACH, _SINC_REACH + 1) - shift_px
    taps = np.sinc(places) * np.i0(
        _SINC_TAPER * np.sqrt(np.maximum(1 - (places / (_SINC_REACH + 0.5)) ** 2, 0))
    )
    return np.asarray(taps / taps.sum())


def moved(image: Floats, shift_px: tuple[float, float]) -> Floats:
    """``image`` (Y, X) read at (row, col) + ``shift_px``, of half a pixel at most, and no smoother than it is.

    A windowed sinc (Kaiser): no blur and no rounding of the shift, where OpenCV's warps have 1/32 px steps.
    """
    row, col = (round(float(shift), 6) for shift in shift_px)
    kernels = _interpolation(col), _interpolation(row)
    return np.asarray(cv2.sepFilter2D(image, cv2.CV_32F, *kernels, borderType=cv2.BORDER_REFLECT))


def binned(image: Floats, factor: int) -> Floats:
    """The means of blocks of ``factor`` x ``factor`` pixels; rows and columns that fill no block are left out."""
    if factor == 1:
        return image
    height, width = (size // factor * factor for size in image.shape)
    size = (width // factor, height // factor)
    return np.asarray(cv2.resize(image[:height, :width], size, interpolation=cv2.INTER_AREA))


def high_passed(image: Floats, sigma_px: float) -> Floats:
    """``image`` without what varies more slowly than ``sigma_px``, up to its borders."""
    small = binned(image, _LOW_PASS_BINNING)
    sigma = max(sigma_px / _LOW_PASS_BINNING, 0.5)
    reach = min(math.ceil(3 * sigma), min(small.shape) - 1)
    # Continued as steeply as it ends: mirrored, uneven light would leave a bright or dark rim.
    wider = np.pad(small, reach, mode="reflect", reflect_type="odd")
    slow = cv2.GaussianBlur(wider, (0, 0), sigma)[reach:-reach, reach:-reach]
    size = (image.shape[1], image.shape[0])
    return np.asarray(image - cv2.resize(slow, size, interpolation=cv2.INTER_LINEAR))


def gradients(image: Floats) -> tuple[Floats, Floats]:
    """(along rows, along columns): central differences."""
    down = cv2.sepFilter2D(image, cv2.CV_32F, _NOTHING, _DIFFERENCE)
    right = cv2.sepFilter2D(image, cv2.CV_32F, _DIFFERENCE, _NOTHING)
    return np.asarray(down), np.asarray(right)


def overlap(shape: tuple[int, ...], shift_px: tuple[int, int]) -> tuple[Slices, Slices]:
    """Where two images of ``shape`` show the same when the second's content is shifted by ``shift_px`` (row, col).

    Returns
    -------
    (in the first, in the second)
        Slices of equal size; empty where the shift is as large as the image.
    """
    first, second = [], []
    for size, shift in zip(shape, shift_px, strict=True):
        begin, end = max(0, -shift), max(min(size, size - shift), 0)
        first.append(slice(begin, max(end, begin)))
        second.append(slice(begin + shift, max(end, begin) + shift))
    return (first[0], first[1]), (second[0], second[1])


def block_sums(image: Floats, size: int) -> Floats:
    """The sums over blocks of ``size`` x ``size`` pixels."""
    return np.asarray(binned(image, size) * np.float32(size * size))
