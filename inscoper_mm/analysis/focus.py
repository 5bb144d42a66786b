"""Focus: where between the slices of a stack it is sharpest, worked out slice by slice as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.focus_curve import Focus, Values, at_end, flat, peak_between, stack_error
from inscoper_mm.analysis.focus_metrics import (
    METRICS,
    SIGMA_PX,
    FocusMetric,
    Prepared,
    Region,
    check_metric,
    focus_score,
    focus_scores,
    prepare,
)
from inscoper_mm.analysis.focus_phase import PhaseStack
from inscoper_mm.analysis.focus_together import SlicesTogether
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

__all__ = [
    "METRICS",
    "SIGMA_PX",
    "Focus",
    "FocusMetric",
    "FocusStack",
    "Objects",
    "Region",
    "find_focus",
    "focus_score",
    "focus_scores",
]

Objects = Literal["bright", "phase"]
# A peak of the plain curve of a measure counts if it stands out by so many times the noise of the curve.
_LEAST_SIGNIFICANCE = 6.0
# The images are compared in so many parts, of every fourth row, to know the noise of the curve.
_PARTS = 4


class _Slices(Protocol):
    def add(self, image: Prepared, z_um: float) -> float: ...

    def result(self) -> Focus: ...


class FocusStack:
    """The focus of a stack, slice by slice: all work on a slice is done when it is added.

    Parameters
    ----------
    metric : str
        One of ``METRICS``. The default, ``tenengrad``, also compares each slice with its neighbours, whose noise is
        independent: it finds the focus in the dimmest stacks.
    sigma_px : float
        The images are smoothed by this first: about the width of a sharp point.
    region : (row, column, row, column), optional
        Only this part counts, the last row and column excluded.
    objects : {"bright", "phase"}
        ``phase``: transparent objects in brightfield, whose contrast vanishes in focus and changes its sign there. The
        focus is where the slices above and below are each other's negatives; the metric is only shown.

    Raises
    ------
    InvalidInput
        If the metric or the kind of objects is unknown.
    """

    def __init__(
        self,
        metric: FocusMetric = "tenengrad",
        sigma_px: float = SIGMA_PX,
        region: Region | None = None,
        objects: Objects = "bright",
    ) -> None:
        check_metric(metric, "FocusStack")
        self._sigma_px, self._region = sigma_px, region
        self._slices: _Slices
        if objects == "phase":
            self._slices = PhaseStack(metric)
        elif objects != "bright":
            raise _unknown_objects(objects)
        else:
            self._slices = SlicesTogether() if metric == "tenengrad" else _PlainCurve(metric)

    def add(self, image: npt.ArrayLike, z_um: float) -> float:
        """Take the next slice, with its real height; returns its sharpness.

        Raises
        ------
        InvalidInput
            If it is not a grey image of the size of the others, or the region is not in it.
        """
        return self._slices.add(prepare(image, self._sigma_px, self._region, "FocusStack.add"), z_um)

    def result(self) -> Focus:
        """The focus of the slices so far."""
        return self._slices.result()


def find_focus(
    images: Sequence[npt.ArrayLike],
    z_um: Sequence[float],
    metric: FocusMetric = "tenengrad",
    sigma_px: float = SIGMA_PX,
    region: Region | None = None,
    objects: Objects = "bright",
) -> Focus:
    """Where a stack is sharpest.

    Parameters
    ----------
    images : sequence of (Y, X) arrays
        The slices, in any order.
    z_um : sequence of float
        The real height of each.
    metric, sigma_px, region, objects
        As for ``FocusStack``.

    Returns
    -------
    Focus

    Raises
    ------
    InvalidInput
        If there is not one height for each image, or as ``FocusStack``.
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
    stack = FocusStack(metric, sigma_px, region, objects)
    for number in sorted(range(len(z_um)), key=lambda number: float(z_um[number])):
        stack.add(images[number], float(z_um[number]))
    return stack.result()


class _PlainCurve:
    """One score for each slice, by any measure.

    The noise of the curve is measured by the images themselves: neighbouring rows have nearly the same content, and
    noise of their own.
    """

    def __init__(self, metric: FocusMetric) -> None:
        self._measure = METRICS[metric]
        self._z_um: list[float] = []
        self._scores: list[float] = []
        self._parts: list[list[float]] = []

    def add(self, image: Prepared, z_um: float) -> float:
        self._z_um.append(float(z_um))
        self._scores.append(self._measure(image))
        self._parts.append(_part_scores(image, self._measure))
        return self._scores[-1]

    def result(self) -> Focus:
        order = np.argsort(self._z_um, kind="stable")
        z_um, scores = np.array(self._z_um)[order], np.array(self._scores)[order]
        height = (
            float(scores.max() - np.median(scores)) / max(float(scores.mean()), 1e-12) if scores.size else 0
        )
        significance = height / max(_curve_noise(np.array(self._parts)[order]), 1e-12)
        shown = tuple(z_um.tolist()), tuple(scores.tolist())
        if reason := stack_error(z_um):
            return Focus(*shown, None, reason, significance)
        if significance < _LEAST_SIGNIFICANCE:
            return Focus(*shown, None, flat(), significance)
        peak = int(np.argmax(scores))
        if peak in (0, len(z_um) - 1):
            reason, side = at_end(z_um, peak)
            return Focus(*shown, None, reason, significance, side)
        return Focus(*shown, peak_between(z_um, scores - 0.98 * scores.min(), peak), None, significance)


def _part_scores(image: Prepared, measure: Callable[[Prepared], float]) -> list[float]:
    """The scores of every fourth row, from each of the first four on."""
    rows = image.binned
    parts = min(_PARTS, rows.shape[0] // 8)
    height = rows.shape[0] // parts
    return [
        measure(Prepared(np.ascontiguousarray(rows[first::parts][:height]), image.left_px))
        for first in range(parts)
    ]


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


def _unknown_objects(objects: str) -> InvalidInput:
    choices = ("bright", "phase")
    return InvalidInput(
        Finding(
            "unknown kind of objects",
            function="FocusStack",
            parameter="objects",
            got=repr(objects),
            allowed=one_of(choices),
            suggestion=did_you_mean(objects, choices),
        )
    )
