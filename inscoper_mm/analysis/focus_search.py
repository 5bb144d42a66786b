"""Finding the focus with few exposures: from coarse detail, which is seen from far away, to the finest.

Detail of 2 px vanishes a depth of field away from the focus, detail of 50 px is still seen ten away. So each image is
measured at several scales; the finest scale that tells heights apart says where to look next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.focus_curve import Side, Values, flat, parabola_top
from inscoper_mm.analysis.focus_look import Seen, look
from inscoper_mm.analysis.focus_metrics import SIGMA_PX, Region

# A scale tells two heights apart if they differ by so many times the noise, and by so much in the logarithm (bleaching
# and a lamp that flickers change it, too).
_LEAST_SIGNIFICANCE = 5.0
_LEAST_LOG = 0.08
# Three heights tell the place of the peak if detail is seen at each with so many times the noise.
_LEAST_SEEN = 3.0
# Heights at which a coarse scale sees less than that of the most are not the sharpest, whatever finer scales say.
_NEARLY = 0.8
# Squared relative scatter of the mean squared slope of noise, times the pixels.
_SPREAD = 5.5

# All lengths in depths of field.
_FIRST_STEP = 4.0
_NEAR_STEP = 0.8
_BESIDE = 0.7
_NEAR = 0.35
_REACH = 1.6
_LARGEST_GROWTH = 2.5
# Heights between which there is room for a peak.
_WIDE = 2.4
# The search ends when the error of the focus is expected to be that small.
_GOOD = 0.06
# With the last exposure, this will do.
_GOOD_ENOUGH = 0.15
# Heights that see so much less (in the logarithm) than the best one say nothing about the very top.
_DEEPEST = 1.8
# How far a lens's curve departs from a parabola in the logarithm, as a share of the fall; and what the lamp does.
_MODEL_ERROR = 0.1
_FLICKER = 0.015
# Means that differ by this factor are those of another light.
_OTHER_LIGHT = 1.5


@dataclass(frozen=True, slots=True)
class Advice:
    """What a search says next: a height to look at, the focus, or why there is none.

    Exactly one of ``next_z_um``, ``best_z_um`` and ``reason`` is given. ``side`` says on which side of what was
    searched the focus lies, where that is known.
    """

    next_z_um: float | None = None
    best_z_um: float | None = None
    reason: str | None = None
    side: Side | None = None


def next_look(
    kept: dict[str, Any],
    image: npt.ArrayLike,
    z_um: float,
    search: FocusSearch,
    sigma_px: float = SIGMA_PX,
    region: Region | None = None,
) -> Advice:
    """What a search says after one more image, with what was seen kept as JSON values between calls.

    Parameters
    ----------
    kept : dict
        Empty at the start of a search; the image is added to it, and ``z_um`` and ``score`` are the curve so far.
    image, z_um, sigma_px, region
        As for ``look``.
    search : FocusSearch
    """
    seen = [Seen(**each) for each in kept.get("seen", [])] + [look(image, z_um, sigma_px, region)]
    kept["seen"] = [asdict(each) for each in seen]
    curve = sorted((each.z_um, each.slope[0]) for each in seen)
    kept["z_um"], kept["score"] = ([float(pair[axis]) for pair in curve] for axis in (0, 1))
    return search.advise(seen)


@dataclass(frozen=True)
class FocusSearch:
    """A search for the focus: what it says depends on the images so far alone, which may be kept between calls.

    Parameters
    ----------
    start_um : float
        Where to look first.
    depth_of_field_um : float
        About how far from the focus an image is still sharp: wavelength over the squared aperture.
    limits_um : (low, high)
        Heights that are never left.
    most_exposures : int
    near : bool
        The focus is not far, as it was found before: the first step is a small one.
    """

    start_um: float
    depth_of_field_um: float
    limits_um: tuple[float, float]
    most_exposures: int = 15
    near: bool = False

    def advise(self, seen: Sequence[Seen]) -> Advice:
        """Where to look next after these images (in any order), or the end of the search."""
        if not seen:
            return Advice(next_z_um=self._inside(self.start_um))
        heights = _Heights(sorted(seen, key=lambda each: each.z_um))
        advice = self._advise(heights)
        if advice.next_z_um is None or len(seen) < self.most_exposures:
            return advice
        peak = heights.peak()
        around = None if peak is None else heights.fit(peak, self.depth_of_field_um)
        if around is not None and around.error_um <= _GOOD_ENOUGH * self.depth_of_field_um:
            return Advice(best_z_um=around.place_um)
        return Advice(reason=f"not found with {self.most_exposures} exposures")

    def _advise(self, heights: _Heights) -> Advice:
        depth = self.depth_of_field_um
        peak = heights.peak()
        if peak is None:
            return self._look_around(heights)
        if peak in (0, len(heights.z_um) - 1):
            return self._go_on(heights, upwards=peak > 0)
        around = heights.fit(peak, depth)
        if around is not None:
            if around.error_um <= _GOOD * depth:
                return Advice(best_z_um=around.place_um)
            return Advice(next_z_um=self._inside(self._beside(heights, around.place_um)))
        place = heights.between(peak)
        if place is None or float(np.abs(heights.z_um - place).min()) <= _NEAR * depth:
            return self._close_in(heights, peak)
        return Advice(next_z_um=self._inside(place))

    def _beside(self, heights: _Heights, place_um: float) -> float:
        """At the place itself; or, where that was seen, on the side that is known less."""
        depth = self.depth_of_field_um
        away = heights.z_um - place_um
        if float(np.abs(away).min()) > _NEAR * depth:
            return place_um
        near = away[np.abs(away) <= _REACH * depth]
        side = 1 if np.count_nonzero(near > 0.2 * depth) <= np.count_nonzero(near < -0.2 * depth) else -1
        choices = place_um + side * depth * np.array([_BESIDE, 1.0, 0.5])
        free = [float(np.abs(heights.z_um - choice).min()) for choice in choices]
        # The first one that is not seen yet.
        return float(
            choices[next((n for n, room in enumerate(free) if room > 0.15 * depth), int(np.argmax(free)))]
        )

    def _look_around(self, heights: _Heights) -> Advice:
        """Nothing tells the heights apart: ever further away, first on the roomier side, until both limits are seen."""
        low, high = self.limits_um
        first, last = float(heights.z_um[0]), float(heights.z_um[-1])
        step = _FIRST_STEP * self.depth_of_field_um * max(1.0, (len(heights.z_um) - 1) / 2)
        if self.near and len(heights.z_um) <= 2:
            step = _NEAR_STEP * self.depth_of_field_um
        up, down = min(last + step, high), max(first - step, low)
        room_up, room_down = high - last, first - low
        done = 0.05 * self.depth_of_field_um
        if max(room_up, room_down) <= done:
            return Advice(reason=flat("range"))
        # In turns, unless one side is all seen.
        further_up = last - self.start_um <= self.start_um - first
        if len(heights.z_um) == 1:
            further_up = room_up >= room_down
        if room_down <= done or (further_up and room_up > done):
            return Advice(next_z_um=up)
        return Advice(next_z_um=down)

    def _go_on(self, heights: _Heights, upwards: bool) -> Advice:
        """The best height is the outermost one: further that way, to where the logarithms point."""
        way = 1 if upwards else -1
        z_um = heights.z_um if upwards else heights.z_um[::-1]
        end, limit = float(z_um[-1]), self.limits_um[1 if upwards else 0]
        gap = abs(float(z_um[-1] - z_um[-2]))
        if way * (limit - end) <= 0.05 * self.depth_of_field_um:
            if gap > _WIDE * self.depth_of_field_um:
                return Advice(next_z_um=(end + float(z_um[-2])) / 2)
            side: Side = "above" if upwards else "below"
            return Advice(
                reason=f"it gets sharper up to the limit of {limit:g} um: the focus lies {side} it", side=side
            )
        aim = heights.outside(upwards)
        reach = 2 * gap if aim is None else way * (aim - end)
        step = float(np.clip(reach, 0.5 * gap, _LARGEST_GROWTH * gap))
        step = max(step, _BESIDE * self.depth_of_field_um)
        return Advice(next_z_um=self._inside(end + way * step))

    def _close_in(self, heights: _Heights, peak: int) -> Advice:
        """Towards the best height's further neighbour: a depth of field at most, or half way."""
        low, middle, high = (float(value) for value in heights.z_um[peak - 1 : peak + 2])
        way, room = (-1, middle - low) if middle - low > high - middle else (1, high - middle)
        return Advice(next_z_um=middle + way * min(room / 2, _BESIDE * self.depth_of_field_um))

    def _inside(self, z_um: float) -> float:
        return float(np.clip(z_um, *self.limits_um))


@dataclass(frozen=True, slots=True)
class _Fit:
    """Where a peak is, and how sure that is."""

    place_um: float
    error_um: float


class _Heights:
    """The images of a search in the order of their heights."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self.z_um = np.array([each.z_um for each in seen])
        raw = np.array([each.slope for each in seen])
        # The noise is the same in all images but for bleaching; the median of all is known better than that of one.
        floor = np.minimum(np.median([each.noise for each in seen], axis=0), raw.min(axis=0))
        pixels = seen[0].pixels / 4.0 ** np.arange(raw.shape[1])
        scatter = np.sqrt(_SPREAD / pixels * floor * (2 * raw - floor)) + 1e-12
        light = _light(seen)[:, None]
        self._slope = (raw - floor) / light**2
        self._scatter = scatter / light**2

    def _telling(self, level: int) -> bool:
        """Whether a scale tells the best height from the worst one."""
        slope, scatter = self._slope[:, level], self._scatter[:, level]
        best, worst = int(np.argmax(slope)), int(np.argmin(slope))
        noise = math.hypot(scatter[best], scatter[worst])
        if slope[best] - slope[worst] < _LEAST_SIGNIFICANCE * noise:
            return False
        return math.log(slope[best] / max(slope[worst], scatter[worst])) >= _LEAST_LOG

    def peak(self) -> int | None:
        """The sharpest height: by the finest scale that tells heights apart, among those that the coarser ones allow.

        Far from focus, fine detail comes and goes (the side lobes of the blur), coarse detail does not.
        """
        allowed = np.ones(len(self.z_um), bool)
        best = None
        for level in reversed(range(self._slope.shape[1])):
            if self._telling(level):
                slope = np.where(allowed, self._slope[:, level], -np.inf)
                best = int(np.argmax(slope))
                allowed &= slope >= _NEARLY * slope[best]
        return best

    def _logs(self, level: int, chosen: Sequence[int]) -> Values | None:
        """Logarithms at some heights; None unless detail is seen at each of them."""
        slope, scatter = self._slope[chosen, level], self._scatter[chosen, level]
        return np.log(slope) if (slope >= _LEAST_SEEN * scatter).all() else None

    def between(self, peak: int) -> float | None:
        """The peak between three heights far apart, by the finest scale that is seen at all three."""
        chosen = [peak - 1, peak, peak + 1]
        for level in range(self._slope.shape[1]):
            logs = self._logs(level, chosen)
            if logs is not None and self._telling(level) and logs[1] >= max(logs[0], logs[2]):
                return parabola_top(self.z_um[chosen], logs)
        return None

    def fit(self, peak: int, depth_um: float) -> _Fit | None:
        """The peak by all heights near it, by the scale that says it best; None where they are too few."""
        away = (self.z_um - self.z_um[peak]) / depth_um
        near = np.flatnonzero(np.abs(away) <= _REACH)
        if away[near].min() > -_NEAR or away[near].max() < _NEAR:
            return None
        fits = [
            self._fit_at(level, near, away) for level in range(self._slope.shape[1]) if self._telling(level)
        ]
        found = [each for each in fits if each is not None]
        if not found:
            return None
        place, error = min(found, key=lambda each: each[1])
        return _Fit(float(self.z_um[peak]) + place * depth_um, error * depth_um)

    def _fit_at(self, level: int, near: npt.NDArray[np.intp], away: Values) -> tuple[float, float] | None:
        """Top of a parabola through the logarithms at one scale, and its error, in depths of field."""
        slope, scatter = self._slope[near, level], self._scatter[near, level]
        logs = np.log(np.maximum(slope, scatter))
        kept = logs >= logs.max() - _DEEPEST
        if np.count_nonzero(kept) < 3 or np.ptp(away[near][kept]) < 2 * _NEAR:
            return None
        model = _FLICKER + _MODEL_ERROR * (logs.max() - logs[kept])
        noise = np.hypot(scatter[kept] / np.maximum(slope[kept], scatter[kept]), model)
        x = away[near][kept]
        design = np.stack([np.ones_like(x), x, x * x], axis=1) / noise[:, None]
        spread = np.linalg.pinv(design.T @ design)
        _, tilt, bend = spread @ design.T @ (logs[kept] / noise)
        if bend >= -2 * math.sqrt(max(spread[2, 2], 0.0)):
            return None
        place = -tilt / (2 * bend)
        towards = np.array([0.0, -1 / (2 * bend), tilt / (2 * bend**2)])
        error = math.sqrt(float(towards @ spread @ towards))
        if not x.min() <= place <= x.max():
            return None
        # One-sided heights hide how far the curve is from a parabola.
        lopsided = min(place - x.min(), x.max() - place) < _NEAR
        return float(place), error + (_GOOD if lopsided else 0.0)

    def outside(self, upwards: bool) -> float | None:
        """Where the logarithms of the outermost three heights point, at the finest scale that is seen at all three."""
        if len(self.z_um) < 3:
            return None
        chosen = [-3, -2, -1] if upwards else [2, 1, 0]
        for level in range(self._slope.shape[1]):
            logs = self._logs(level, chosen)
            if logs is not None and self._telling(level):
                return _vertex(self.z_um[chosen], logs)
        return None


def _light(seen: Sequence[Seen]) -> Values:
    """The light of each image, where it changes by far more than bleaching or defocus do; else 1."""
    means = np.array([each.mean for each in seen])
    if means.min() <= 0 or means.max() < _OTHER_LIGHT * means.min():
        return np.ones(len(seen))
    light = means - min(each.darkest for each in seen)
    return np.asarray(np.maximum(light / light.max(), 1e-3))


def _vertex(z_um: Values, values: Values) -> float | None:
    """The top of the parabola through three points, wherever it is; None if it has none."""
    curvature, slope, _ = np.polyfit(z_um - z_um[1], values, 2)
    return None if curvature >= 0 else float(z_um[1] - slope / (2 * curvature))
