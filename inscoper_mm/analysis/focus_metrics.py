"""How sharp an image is: the measures, made from one smoothed image that they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import GreyImage, as_grey, blur, shrink
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

FocusMetric = Literal[
    "tenengrad",
    "dcts",
    "normalised_variance",
    "brenner",
    "vollath_f4",
    "band_power",
    "variance_of_laplacian",
]
# First row, first column, last row, last column (excluded) of a part of the image.
Region = tuple[int, int, int, int]

# About the width of a sharp point on a well-sampled camera: finer detail is noise only.
SIGMA_PX = 1.5
# Pixels are joined as long as this much of the smoothing is left to do, in joined pixels.
_LEAST_SIGMA = 0.7
# Band of the spatial frequencies for band_power, in cycles over the smoothing's sigma: a tenth to a half of what an
# objective passes whose sharp point is as wide as the smoothing.
_BAND = (0.07, 0.35)


@dataclass(frozen=True)
class Prepared:
    """An image as the measures need it; each form is made once, when first asked for.

    ``binned`` is the image with pixels joined as far as the smoothing allows; ``left_px`` what of the smoothing is left
    to do on it.
    """

    binned: GreyImage
    left_px: float

    @cached_property
    def smooth(self) -> GreyImage:
        """The image smoothed at the scale of a sharp point (Y, X)."""
        return blur(self.binned, self.left_px) if self.left_px > 0 else self.binned

    @cached_property
    def slopes(self) -> GreyImage:
        """Differences across and down, one after the other in one line, such that their squares sum up to the mean."""
        smooth = self.smooth
        height, width = smooth.shape
        line = np.empty(height * (width - 2) + (height - 2) * width, np.float32)
        across = line[: height * (width - 2)].reshape(height, width - 2)
        down = line[height * (width - 2) :].reshape(height - 2, width)
        np.subtract(smooth[:, 2:], smooth[:, :-2], out=across)
        np.subtract(smooth[2:], smooth[:-2], out=down)
        return line

    @cached_property
    def spectrum(self) -> GreyImage:
        """Cosine spectrum of the image before smoothing; of even size, an odd last row or column left out."""
        rows, cols = (size - size % 2 for size in self.binned.shape)
        return np.asarray(cv2.dct(np.ascontiguousarray(self.binned[:rows, :cols])), np.float32)

    @property
    def size(self) -> int:
        """Number of joined pixels."""
        return int(self.binned.size)


def prepare(
    image: npt.ArrayLike,
    sigma_px: float = SIGMA_PX,
    region: Region | None = None,
    function: str = "focus_score",
) -> Prepared:
    """``image``, or a region of it, with its pixels joined as far as a smoothing by ``sigma_px`` allows.

    Raises
    ------
    InvalidInput
        If the image is not grey, or the region is not at least 8 x 8 pixels of it.
    """
    pixels = np.asarray(image)
    if region is not None:
        pixels = _part(pixels, region, function)
    grey = as_grey(pixels, function)
    factor = max(1, int(sigma_px / _LEAST_SIGMA))
    while factor > 1 and (_left_px(sigma_px, factor) < _LEAST_SIGMA or min(grey.shape) < 16 * factor):
        factor -= 1
    if factor > 1:
        height, width = (size - size % factor for size in grey.shape)
        grey = shrink(grey[:height, :width], factor)
    return Prepared(grey, _left_px(sigma_px, factor))


def _left_px(sigma_px: float, factor: int) -> float:
    """What a mean over ``factor`` pixels leaves to do of a smoothing, in joined pixels."""
    return math.sqrt(max(sigma_px**2 - (factor**2 - 1) / 12, 0.0)) / factor


def region_of_text(text: str, shape: tuple[int, ...], parameter: str = "region_px") -> Region | None:
    """The region that a parameter's text means, "top, left, bottom, right"; None: all of the image.

    Raises
    ------
    InvalidInput
        Naming the parameter, if these are not four whole numbers, or the region is not in an image of that shape.
    """
    if not text.strip():
        return None
    height, width = shape[:2]
    try:
        top, left, bottom, right = (int(value) for value in text.split(","))
        fits = 0 <= top < bottom <= height and 0 <= left < right <= width
    except ValueError:
        fits = False
    if not fits:
        allowed = f'"top, left, bottom, right" within the image of {height} rows and {width} columns'
        raise InvalidInput(
            Finding("is no region of the image.", parameter=parameter, got=repr(text), allowed=allowed)
        )
    return top, left, bottom, right


def _part(pixels: npt.NDArray[np.generic], region: Region, function: str) -> npt.NDArray[np.generic]:
    top, left, bottom, right = region
    height, width = pixels.shape[:2]
    if not (0 <= top <= bottom - 8 and bottom <= height and 0 <= left <= right - 8 and right <= width):
        raise InvalidInput(
            Finding(
                "the region is not a part of the image",
                function=function,
                parameter="region",
                got=f"rows {top} to {bottom}, columns {left} to {right}",
                allowed=f"at least 8 x 8 pixels of {height} rows and {width} columns",
            )
        )
    return pixels[top:bottom, left:right]


def tenengrad(image: Prepared) -> float:
    """Mean squared slope (Tenenbaum; see Y. Sun et al., doi:10.1002/jemt.20118)."""
    smooth = image.smooth
    return _mean_square(smooth[:, 2:], smooth[:, :-2]) + _mean_square(smooth[2:], smooth[:-2])


def brenner(image: Prepared) -> float:
    """Mean squared difference of pixels two columns apart (J. F. Brenner et al., doi:10.1177/24.1.1254907)."""
    return _mean_square(image.smooth[:, 2:], image.smooth[:, :-2])


def normalised_variance(image: Prepared) -> float:
    """Variance over mean: never far off, but with a flat top."""
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(image.smooth))
    return deviation**2 / mean if mean > 0 else 0.0


def vollath_f4(image: Prepared) -> float:
    """Correlation of neighbours minus that of pixels two apart, along rows (doi:10.1111/j.1365-2818.1987.tb02837.x).

    The correlations are written as differences: (a - c)^2 - (a - b)^2, halved, is a b - a c where the means agree.
    """
    smooth = image.smooth
    two, one = _mean_square(smooth[:, 2:], smooth[:, :-2]), _mean_square(smooth[:, 1:], smooth[:, :-1])
    return (two - one) / 2


def variance_of_laplacian(image: Prepared) -> float:
    """Variance of the second derivative: the sharpest peak, and the most noise."""
    return float(cv2.meanStdDev(cv2.Laplacian(image.smooth, cv2.CV_32F))[1][0, 0]) ** 2


def dcts(image: Prepared) -> float:
    """Entropy of the cosine spectrum (L. A. Royer et al., doi:10.1038/nbt.3708), of the image before smoothing."""
    spectrum = image.spectrum
    share = spectrum[_triangle(spectrum.shape)] / max(float(cv2.norm(spectrum, cv2.NORM_L2)), 1e-12)
    np.abs(share, out=share)
    logarithm = np.log2(share, where=share > 0, out=np.zeros_like(share))
    return -2 * float(np.dot(share, logarithm)) / spectrum.size


def band_power(image: Prepared) -> float:
    """Power of the middle spatial frequencies, a tenth to a half of what passes the objective, a pixel."""
    spectrum = image.spectrum
    sigma = image.left_px if image.left_px > 0 else SIGMA_PX
    chosen = spectrum[_ring(spectrum.shape, round(sigma, 3))]
    return float(np.dot(chosen, chosen)) / spectrum.size


@lru_cache(maxsize=4)
def _triangle(shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The cosine frequencies below the line from the highest along rows to the highest along columns, without 0."""
    rows, cols = shape
    inside = np.arange(rows)[:, None] / rows + np.arange(cols)[None, :] / cols < 1
    inside[0, 0] = False
    return inside


@lru_cache(maxsize=4)
def _ring(shape: tuple[int, int], sigma_px: float) -> npt.NDArray[np.bool_]:
    """The cosine frequencies of the band; the one of number n makes n / 2 cycles over the image."""
    rows, cols = shape
    frequency = np.hypot(np.arange(rows)[:, None] / (2 * rows), np.arange(cols)[None, :] / (2 * cols))
    return np.asarray((frequency * sigma_px > _BAND[0]) & (frequency * sigma_px < _BAND[1]))


def _mean_square(one: GreyImage, other: GreyImage) -> float:
    """The mean of the squared differences, summed in double precision and without a copy."""
    return float(cv2.norm(one, other, cv2.NORM_L2SQR)) / one.size


METRICS: Mapping[str, Callable[[Prepared], float]] = {
    "tenengrad": tenengrad,
    "dcts": dcts,
    "normalised_variance": normalised_variance,
    "brenner": brenner,
    "vollath_f4": vollath_f4,
    "band_power": band_power,
    "variance_of_laplacian": variance_of_laplacian,
}


def check_metric(metric: str, function: str) -> None:
    """Raise InvalidInput if there is no such measure."""
    if metric not in METRICS:
        raise InvalidInput(
            Finding(
                "unknown focus metric",
                function=function,
                parameter="metric",
                got=repr(metric),
                allowed=one_of(METRICS),
                suggestion=did_you_mean(metric, METRICS),
            )
        )


def focus_score(
    image: npt.ArrayLike,
    metric: FocusMetric = "tenengrad",
    sigma_px: float = SIGMA_PX,
    region: Region | None = None,
) -> float:
    """How sharp an image is; larger is sharper.

    Parameters
    ----------
    image : (Y, X) array
    metric : str
        One of ``METRICS``.
    sigma_px : float
        The image is smoothed first by a Gauss filter of the width of a sharp point: what is finer is noise, which would
        hide the focus in dim images. 0 does not smooth. ``dcts`` and ``band_power`` look at the frequencies themselves
        and only join pixels as far as the smoothing would allow.
    region : (row, column, row, column), optional
        Only this part counts, the last row and column excluded.

    Raises
    ------
    InvalidInput
        If the image is not grey, the metric is unknown, or the region is not in the image.
    """
    check_metric(metric, "focus_score")
    return METRICS[metric](prepare(image, sigma_px, region))


def focus_scores(
    image: npt.ArrayLike,
    metrics: Iterable[FocusMetric] | None = None,
    sigma_px: float = SIGMA_PX,
    region: Region | None = None,
) -> dict[str, float]:
    """Several measures of one image (all by default), which is read and smoothed once.

    Parameters and errors as for ``focus_score``.
    """
    names: list[str] = list(METRICS) if metrics is None else list(metrics)
    for name in names:
        check_metric(name, "focus_scores")
    prepared = prepare(image, sigma_px, region, "focus_scores")
    return {name: METRICS[name](prepared) for name in names}
