"""Focus: how sharp an image is, and where between the slices of a stack it is sharpest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import GreyImage, as_grey, blur
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

FocusMetric = Literal["tenengrad", "normalised_variance", "brenner", "variance_of_laplacian"]
Values = npt.NDArray[np.float64]

# About the width of a sharp point on a well-sampled camera: finer detail is noise only.
SIGMA_PX = 1.5
# A peak counts if it stands out of the curve by so many times the noise of the curve.
_LEAST_SIGNIFICANCE = 10.0
_LEAST_SLICES = 3
# The images are compared in so many parts, of every fourth row, to know the noise of the curve.
_PARTS = 4


def tenengrad(image: GreyImage) -> float:
    """Mean squared slope (Tenenbaum; see Y. Sun et al., doi:10.1002/jemt.20118)."""
    across = cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=1 / 8)
    return _mean_square(across) + _mean_square(down)


def normalised_variance(image: GreyImage) -> float:
    """Variance over mean: never far off, but with a flat top."""
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(image))
    return deviation**2 / mean if mean > 0 else 0.0


def brenner(image: GreyImage) -> float:
    """Mean squared difference of pixels two columns, and two rows, apart (J. F. Brenner et al., 1976)."""
    return (_mean_square(image[:, 2:] - image[:, :-2]) + _mean_square(image[2:] - image[:-2])) / 2


def variance_of_laplacian(image: GreyImage) -> float:
    """Variance of the second derivative: the sharpest peak, and the most noise."""
    return float(cv2.meanStdDev(cv2.Laplacian(image, cv2.CV_32F))[1][0, 0]) ** 2


def _mean_square(values: GreyImage) -> float:
    """The mean of the squares, summed in double precision."""
    return float(cv2.norm(values, cv2.NORM_L2SQR)) / values.size


METRICS: Mapping[str, Callable[[GreyImage], float]] = {
    "tenengrad": tenengrad,
    "normalised_variance": normalised_variance,
    "brenner": brenner,
    "variance_of_laplacian": variance_of_laplacian,
}


def focus_score(image: npt.ArrayLike, metric: FocusMetric = "tenengrad", sigma_px: float = SIGMA_PX) -> float:
    """How sharp an image is; larger is sharper.

    Parameters
    ----------
    image : (Y, X) array
    metric : {"tenengrad", "normalised_variance", "brenner", "variance_of_laplacian"}
    sigma_px : float
        The image is smoothed first by a Gauss filter of the width of a sharp point: what is finer is noise, which would
        hide the focus in dim images. 0 does not smooth.

    Raises
    ------
    InvalidInput
        If the image is not grey or the metric is unknown.
    """
    if metric not in METRICS:
        raise InvalidInput(
            Finding(
                "unknown focus metric",
                function="focus_score",
                parameter="metric",
                got=repr(metric),
                allowed=one_of(METRICS),
                suggestion=did_you_mean(metric, METRICS),
            )
        )
    grey = as_grey(image, "focus_score")
    return METRICS[metric](blur(grey, sigma_px) if sigma_px > 0 else grey)


@dataclass(frozen=True, slots=True)
class Focus:
    """The focus of a stack.

    ``z_um`` (ascending) and ``score`` are the curve. ``best_z_um`` is where it peaks, between the slices too;
    None where it must not be trusted, and then ``reason`` says why. ``significance`` is the height of the peak
    over the noise of the curve.
    """

    z_um: tuple[float, ...]
    score: tuple[float, ...]
    best_z_um: float | None
    reason: str | None
    significance: float


def find_focus(
    images: Sequence[npt.ArrayLike],
    z_um: Sequence[float],
    metric: FocusMetric = "tenengrad",
    sigma_px: float = SIGMA_PX,
) -> Focus:
    """Where a stack is sharpest.

    The noise of the curve is measured by the images themselves: neighbouring rows have nearly the same content, and
    noise of their own.

    Parameters
    ----------
    images : sequence of (Y, X) arrays
        The slices, in any order.
    z_um : sequence of float
        The real height of each.
    metric, sigma_px
        As for ``focus_score``.

    Returns
    -------
    Focus

    Raises
    ------
    InvalidInput
        If there is not one height for each image, or as ``focus_score``.
    """
    if len(images) != len(z_um):
        raise InvalidInput(
            Finding(
                "a stack needs one height for each image",
                function="find_focus",
                parameter="z_um",
                got=f"{len(z_um)} heights",
                allowed=f"{len(images)} heights",
            )
        )
    order = sorted(range(len(z_um)), key=lambda number: float(z_um[number]))
    z = np.array([z_um[number] for number in order], np.float64)
    scores = np.array([focus_score(images[number], metric, sigma_px) for number in order])
    parts = np.array([_part_scores(images[number], metric, sigma_px) for number in order])
    return _judge(z, scores, _curve_noise(parts))


def _part_scores(image: npt.ArrayLike, metric: FocusMetric, sigma_px: float) -> list[float]:
    """The scores of every fourth row, from each of the first four on."""
    rows = np.asarray(image)
    parts = min(_PARTS, rows.shape[0] // 8)
    height = rows.shape[0] // parts
    return [focus_score(rows[first::parts][:height], metric, sigma_px) for first in range(parts)]


def _curve_noise(parts: Values) -> float:
    """Relative noise of the curve of whole images, from the curves of their parts, (Z, parts)."""
    if parts.ndim < 2 or min(parts.shape) < 2:
        return 0.0
    mean = parts.mean(axis=0)
    if not (mean > 0).all():
        return 0.0
    relative = parts / mean
    apart = relative - relative.mean(axis=1, keepdims=True)
    freedom = (parts.shape[0] - 1) * (parts.shape[1] - 1)
    # Variance of one part, over the number of parts that the whole image is the mean of.
    return float(np.sqrt((apart**2).sum() / freedom / parts.shape[1]))


def _judge(z_um: Values, scores: Values, noise: float) -> Focus:
    height = float(scores.max() - np.median(scores)) / max(float(scores.mean()), 1e-12) if scores.size else 0
    significance = height / max(noise, 1e-12)
    reason = _reason(z_um, scores, significance)
    best = None if reason else _parabola_peak(z_um, scores)
    return Focus(tuple(z_um.tolist()), tuple(scores.tolist()), best, reason, significance)


def _reason(z_um: Values, scores: Values, significance: float) -> str | None:
    """Why no focus can be given; None if it can."""
    if len(z_um) < _LEAST_SLICES:
        return f"{len(z_um)} slices are too few: a peak needs at least {_LEAST_SLICES}"
    if (np.diff(z_um) <= 0).any():
        return "two slices were taken at the same height: the focus drive did not move"
    if significance < _LEAST_SIGNIFICANCE:
        return "the curve is flat within its noise: there is nothing sharp in the stack"
    peak = int(np.argmax(scores))
    if peak in (0, len(z_um) - 1):
        side = "below" if peak == 0 else "above"
        return (
            f"the sharpest slice is the {'lowest' if peak == 0 else 'highest'} one, at {z_um[peak]:.2f} um: "
            f"the focus lies {side} the stack"
        )
    return None


def _parabola_peak(z_um: Values, scores: Values) -> float:
    """The top of the parabola through the highest slice and its two neighbours, whatever their distances."""
    peak = int(np.argmax(scores))
    low, middle, high = z_um[peak - 1 : peak + 2]
    before, top, after = scores[peak - 1 : peak + 2]
    rise, fall = (top - before) / (middle - low), (top - after) / (high - middle)
    if rise + fall <= 0:
        return float(middle)
    # The slope falls linearly from `rise` half way up to `-fall` half way down.
    start, stop = (low + middle) / 2, (middle + high) / 2
    return float(start + (stop - start) * rise / (rise + fall))
