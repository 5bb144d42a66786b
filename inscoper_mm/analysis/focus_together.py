"""Sharpness of slices together with their neighbours, whose noise is independent: the focus of dim stacks.

The slope of a sum of neighbouring slices is measured beside the slope of each slice. What is in all of them adds up;
the noise of separate exposures does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from inscoper_mm.analysis.focus_curve import (
    Focus,
    Values,
    at_end,
    evenly_spaced,
    fading_per_um,
    flat,
    parabola_top,
    peak_between,
    stack_error,
)
from inscoper_mm.analysis.focus_metrics import Prepared, tenengrad
from inscoper_mm.analysis.grey import GreyImage, noise_sigma, shrink

# Weights of a slice and its neighbours, and the noise of the sum in units of one slice's.
_NEXT, _NEXT_BUT_ONE = 0.7, 0.3
_OF_THREE = 1 + 2 * _NEXT**2
_OF_FIVE = _OF_THREE + 2 * _NEXT_BUT_ONE**2
_LEAST_TOGETHER = 7
# A peak counts if it stands out of the curve by so many times the noise of the curve, and by this share of its foot: a
# lamp that flickers changes the foot, too. Noise alone reaches 3 in the sums of five of three stacks in a hundred; a
# higher threshold would refuse stacks of two photons, whose peaks are right.
LEAST_SIGNIFICANCE = 4.0
_LEAST_OF_FIVE = 3.0
_LEAST_RISE = 0.03
# So far above the noise, sums of three slices, at the finest scale, say it better than the sums of five at two scales.
_CLEAR = 8.0
# The noise of one image is measured in so many rows in the middle of it.
_NOISE_ROWS = 128
_DARK_BLOCK = 16
# Smoothing at half resolution, in its pixels.
_LEVEL_SIGMA = 0.75
# There are a quarter of the pixels, smoothed more widely: the mean squared slope of noise scatters so much more.
_SPREAD_AT_HALF = 2.25


@dataclass
class _Curves:
    """What is kept of the slices: of each, of sums of three and of five (also at half resolution), of differences."""

    z_um: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    of_three: list[float] = field(default_factory=list)
    of_five: list[tuple[float, float]] = field(default_factory=list)
    differs: list[tuple[float, float]] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    darkest: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)


class SlicesTogether:
    """The focus by the mean squared slope of slices and their neighbours, as they come; only four are kept."""

    def __init__(self) -> None:
        self._seen = _Curves()
        self._last: list[GreyImage] = []
        self._three: GreyImage | None = None
        self._spread = 0.0

    def add(self, image: Prepared, z_um: float) -> float:
        """Take the next slice; returns its own sharpness, the mean squared slope."""
        seen, smooth = self._seen, image.smooth
        seen.z_um.append(float(z_um))
        seen.own.append(tenengrad(image))
        seen.means.append(float(cv2.mean(smooth)[0]))
        seen.darkest.append(float(shrink(smooth, _DARK_BLOCK).min()))
        seen.noise.append(noise_of_slopes(image))
        self._last = [*self._last[-4:], smooth]
        self._spread = math.sqrt((2.5 + 4.4 * image.left_px**2) / smooth.size)
        self._sum_up()
        return seen.own[-1]

    def _sum_up(self) -> None:
        """Measure the sums that the newest slice completes."""
        five = None
        if len(self._last) == 5 and self._three is not None:
            ends = cv2.add(self._last[0], self._last[4])
            five = cv2.scaleAdd(ends, _NEXT_BUT_ONE, self._three)
            self._seen.of_five.append(_at_two_scales(five))
        if len(self._last) >= 3:
            before, middle, after = self._last[-3:]
            sides = cv2.add(before, after)
            self._three = cv2.scaleAdd(sides, _NEXT, middle)
            self._seen.of_three.append(_slope(self._three))
            self._seen.differs.append(_at_two_scales(cv2.scaleAdd(middle, -2.0, sides)))

    def result(self) -> Focus:
        """The focus of the slices so far."""
        seen = self._seen
        order = np.argsort(seen.z_um, kind="stable")
        z_um, own, means = (np.array(each)[order] for each in (seen.z_um, seen.own, seen.means))
        if reason := stack_error(z_um):
            return _focus(z_um, own, reason)
        tilt_per_um = 2 * fading_per_um(z_um, means, min(seen.darkest))
        way = int(order[1] - order[0])
        in_turn = abs(way) == 1 and bool((np.diff(order) == way).all())
        if not (in_turn and len(z_um) >= _LEAST_TOGETHER and evenly_spaced(z_um)):
            return self._apart(z_um, own, tilt_per_um)
        differs, five = np.array(seen.differs)[::way], np.array(seen.of_five)[::way]
        three = np.array(seen.of_three)[::way]
        floor = float(min(_floor(differs[:, 0]), own.min()))
        curve = three - _OF_THREE * floor
        significance = _significance(curve, _OF_THREE * floor, self._spread)
        if significance >= _CLEAR:
            return _clear_peak(z_um, own, own - floor, curve, tilt_per_um, significance)
        floors = np.array([floor, _floor(differs[:, 1])]) * _OF_FIVE
        return _dim_peak(z_um, own, five - floors, floors, self._spread)

    def _apart(self, z_um: Values, own: Values, tilt_per_um: float) -> Focus:
        """The focus of few or unevenly spaced slices, each for itself."""
        floor = min(*self._seen.noise, *own)
        significance = _significance(own - floor, floor, self._spread)
        if significance < LEAST_SIGNIFICANCE:
            return _focus(z_um, own, flat(), significance)
        return _single_peak(z_um, own, own - floor, int(np.argmax(own)), tilt_per_um, significance)


def _clear_peak(
    z_um: Values, own: Values, single: Values, three: Values, tilt_per_um: float, significance: float
) -> Focus:
    """The focus by sums of three; next to an end, the single slices say whether it goes on rising there."""
    peak = int(np.argmax(three)) + 1
    last = len(z_um) - 1
    if 1 < peak < last - 1:
        best = peak_between(z_um[1:-1], three, peak - 1, tilt_per_um)
        return _focus(z_um, own, None, significance, best)
    near_end = [0, 1] if peak == 1 else [last - 1, last]
    peak = near_end[int(np.argmax(single[near_end]))]
    return _single_peak(z_um, own, single, peak, tilt_per_um, significance)


def _single_peak(
    z_um: Values, own: Values, single: Values, peak: int, tilt_per_um: float, significance: float
) -> Focus:
    if peak in (0, len(z_um) - 1):
        reason, side = at_end(z_um, peak)
        return Focus(tuple(z_um.tolist()), tuple(own.tolist()), None, reason, significance, side)
    return _focus(z_um, own, None, significance, peak_between(z_um, single, peak, tilt_per_um))


def _dim_peak(z_um: Values, own: Values, five: Values, floors: Values, spread: float) -> Focus:
    """The focus by sums of five at two scales, each in units of its noise."""
    noise = floors * spread * np.array([1.0, _SPREAD_AT_HALF])
    curve = (five / np.maximum(noise, 1e-12)).sum(axis=1)
    louder = float((1 + 2 * np.maximum(five.max(axis=0), 0) / np.maximum(floors, 1e-12)).sum())
    significance = float(curve.max() - np.median(curve)) / math.sqrt(louder)
    if significance < _LEAST_OF_FIVE or _hardly_rises(five[:, 0]):
        return _focus(z_um, own, flat(), significance)
    peak, inner = int(np.argmax(curve)), z_um[2:-2]
    if peak in (0, len(curve) - 1):
        reason, side = at_end(inner, peak)
        return Focus(tuple(z_um.tolist()), tuple(own.tolist()), None, reason, significance, side)
    best = parabola_top(inner[peak - 1 : peak + 2], curve[peak - 1 : peak + 2])
    return _focus(z_um, own, None, significance, best)


def _focus(
    z_um: Values, own: Values, reason: str | None, significance: float = 0.0, best: float | None = None
) -> Focus:
    return Focus(tuple(z_um.tolist()), tuple(own.tolist()), best, reason, significance)


def _slope(smooth: GreyImage) -> float:
    return tenengrad(Prepared(smooth, 0.0))


def _at_two_scales(smooth: GreyImage) -> tuple[float, float]:
    """Mean squared slope, and that at half the resolution."""
    half = cv2.GaussianBlur(shrink(smooth, 2), (0, 0), _LEVEL_SIGMA, borderType=cv2.BORDER_REPLICATE)
    return _slope(smooth), _slope(np.asarray(half, np.float32))


def _floor(differs: Values) -> float:
    """What the noise alone adds to the mean squared slope of one slice.

    Far from focus, a slice is nearly the mean of its neighbours; what differs is noise. The three slices of which that
    is most true count.
    """
    return float(np.sort(differs)[:3].mean()) / 6


def _hardly_rises(curve: Values) -> bool:
    top, foot = float(curve.max()), float(np.median(curve))
    return top - foot < _LEAST_RISE * abs(foot)


def _significance(curve: Values, noise: float, spread: float) -> float:
    """Height of the peak over the noise of the curve; 0 where it hardly rises above its own foot."""
    if _hardly_rises(curve):
        return 0.0
    top, foot = float(curve.max()), float(np.median(curve))
    scatter = spread * math.sqrt(noise * (noise + 2 * max(top, 0.0)))
    return (top - foot) / max(scatter, 1e-12)


def noise_of_slopes(image: Prepared) -> float:
    """What the noise of one image adds to its mean squared slope, by the noise between neighbouring pixels."""
    height = image.binned.shape[0]
    first = max(0, (height - _NOISE_ROWS) // 2)
    variance = noise_sigma(image.binned[first : first + _NOISE_ROWS], whole_numbers=False) ** 2
    sigma = image.left_px
    if sigma < 0.4:
        return 4 * variance
    return variance * (1 - math.exp(-1 / sigma**2)) / (math.pi * sigma**2)
