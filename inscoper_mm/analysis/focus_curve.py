"""The curve of sharpness over height: whether it has a peak that can be trusted, where, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Side = Literal["below", "above"]

LEAST_SLICES = 3
# A value that far below the peak counts as nothing: its logarithm would only be noise.
_FLOOR = 1e-3
# A stack does not lose more of its light than that; what changes more is not bleaching.
_MOST_BLEACHED = 0.5


@dataclass(frozen=True, slots=True)
class Focus:
    """The focus of a stack.

    ``z_um`` (ascending) and ``score`` are the curve. ``best_z_um`` is where it peaks, between the slices too;
    None where it must not be trusted, and then ``reason`` says why, and ``side`` on which side of the stack the focus
    lies where the curve tells. ``significance`` is the height of the peak over the noise of the curve.
    """

    z_um: tuple[float, ...]
    score: tuple[float, ...]
    best_z_um: float | None
    reason: str | None
    significance: float
    side: Side | None = None


def stack_error(z_um: Values) -> str | None:
    """Why heights (ascending) cannot be those of a stack; None if they can."""
    if len(z_um) < LEAST_SLICES:
        return f"{len(z_um)} slices are too few: a peak needs at least {LEAST_SLICES}"
    if (np.diff(z_um) <= 0).any():
        return "two slices were taken at the same height: the focus drive did not move"
    return None


def flat(what: str = "stack") -> str:
    """What is said of a curve without a peak."""
    return f"the curve is flat within its noise: there is nothing sharp in the {what}"


def at_end(z_um: Values, peak: int) -> tuple[str, Side]:
    """What is said of a curve whose highest slice is its first or last one, and the side to go."""
    side: Side = "below" if peak == 0 else "above"
    which = "lowest" if peak == 0 else "highest"
    return (
        f"the sharpest slice is the {which} one, at {z_um[peak]:.2f} um: the focus lies {side} the stack",
        side,
    )


def evenly_spaced(z_um: Values) -> bool:
    """Whether heights (ascending) are the same distance apart, within a fifth."""
    steps = np.diff(z_um)
    return bool(len(steps) > 0 and steps.min() > 0 and steps.max() <= 1.2 * steps.min())


def peak_between(z_um: Values, scores: Values, peak: int | None = None, tilt_per_um: float = 0.0) -> float:
    """The top of the curve near its highest slice: a parabola through the logarithms of three.

    Near its top, the curve of a lens is closer to a Gauss curve than to a parabola: of three slices half a depth of
    field apart, the logarithms give a third of the error.

    Parameters
    ----------
    z_um, scores : (Z,) arrays
        Ascending heights, and scores above the floor of the noise; values that are not positive count as nothing.
    peak : int, optional
        The highest slice; neither the first nor the last one.
    tilt_per_um : float
        Slope of the logarithm that does not come from the focus (bleaching): it is taken out.
    """
    top = int(np.argmax(scores)) if peak is None else peak
    values = np.maximum(scores[top - 1 : top + 2], _FLOOR * scores[top])
    heights = z_um[top - 1 : top + 2]
    return parabola_top(heights, np.log(values) - tilt_per_um * (heights - heights[1]))


def parabola_top(z_um: Values, scores: Values) -> float:
    """The top of the parabola through three slices, whatever their distances; between the first and the last one."""
    low, middle, high = (float(value) for value in z_um)
    before, top, after = (float(value) for value in scores)
    rise, fall = (top - before) / (middle - low), (top - after) / (high - middle)
    if rise + fall <= 0:
        return middle
    # The slope falls linearly from `rise` half way up to `-fall` half way down.
    start, stop = (low + middle) / 2, (middle + high) / 2
    return float(np.clip(start + (stop - start) * rise / (rise + fall), low, high))


def fading_per_um(z_um: Values, means: Values, dark: float) -> float:
    """By how much the light changes with height, relative to the light: bleaching in a stack taken from end to end.

    0 unless the means of the slices lie on a line that falls by less than half: light that leaves and enters the field
    with defocus does not do so.

    Parameters
    ----------
    z_um, means : (Z,) arrays
    dark : float
        Level without light: the camera's offset, or the darkest place of the stack.
    """
    light = float(np.mean(means)) - dark
    if len(z_um) < 5 or light <= 0 or np.ptp(means) == 0:
        return 0.0
    away = z_um - z_um.mean()
    slope = float(away @ means / (away @ away))
    rest = means - means.mean() - slope * away
    # The line must explain nearly all of it.
    straight = float(rest @ rest) <= 0.1 * float(np.sum((means - means.mean()) ** 2))
    if not straight or np.ptp(means) > _MOST_BLEACHED * light:
        return 0.0
    steepest = 0.03 / float(np.median(np.diff(z_um)))
    return float(np.clip(slope / light, -steepest, steepest))
