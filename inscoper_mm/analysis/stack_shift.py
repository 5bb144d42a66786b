"""How far the content of a small stack has moved in all three directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.focus import find_focus
from inscoper_mm.analysis.focus_curve import Focus
from inscoper_mm.analysis.focus_metrics import FocusMetric
from inscoper_mm.analysis.translation import Translation, find_translation


@dataclass(frozen=True, slots=True, eq=False)
class StackShift:
    """Where the content of a stack is, against that of another one.

    Parameters
    ----------
    z_um : float or None
        How much higher its focus lies; None where a stack has none that can be trusted.
    translation : Translation or None
        Across, from the slices that are as far from the focus in both stacks; None without ``z_um``.
    refused : str or None
        Why not to believe it.
    best : tuple of int or None
        The slices that were compared, of the reference and of the stack.
    """

    z_um: float | None
    translation: Translation | None
    refused: str | None
    best: tuple[int, int] | None

    @property
    def trusted(self) -> bool:
        """Whether stage and focus drive may be moved by it."""
        return self.refused is None


def find_stack_shift(
    reference: Sequence[npt.ArrayLike],
    stack: Sequence[npt.ArrayLike],
    reference_z_um: Sequence[float],
    z_um: Sequence[float],
    metric: FocusMetric = "tenengrad",
    independent: bool = True,
) -> StackShift:
    """Find how far the content of ``stack`` has moved against ``reference``, across and along the optical axis.

    The height is the difference of the two focus heights, which is more precise than a correlation of the stacks: each
    slice is there with all of its light. Across, the two slices nearest to the focus are compared that are about as far
    from it in both stacks, so that both are equally blurred.

    Parameters
    ----------
    reference, stack : sequence of (Y, X) arrays
        From below the focus to above it; equal shapes.
    reference_z_um, z_um : sequence of float
        The height of each slice, as the focus drive tells it.
    metric : str
        What is called sharp, see `inscoper_mm.analysis.focus`.
    independent : bool
        See `inscoper_mm.analysis.translation.find_translation`.

    Returns
    -------
    StackShift
        Refused where one of the stacks has no focus within it, or where nothing is alike at the two focus heights.

    Raises
    ------
    InvalidInput
        Not one height for each slice, or slices that are no grey images.
    """
    focuses = find_focus(reference, reference_z_um, metric), find_focus(stack, z_um, metric)
    for focus, name in zip(focuses, ("reference", "stack"), strict=True):
        if focus.best_z_um is None:
            return StackShift(None, None, f"the {name} has no focus: {focus.reason}", None)
    first, second = _equally_sharp(focuses, reference_z_um, z_um)
    found = find_translation(reference[first], stack[second], independent)
    refused = None
    if not found.trusted:
        refused = f"the sharpest slices have too little in common (confidence {found.confidence:.2f})"
    ours, theirs = (float(focus.best_z_um or 0.0) for focus in focuses)
    return StackShift(theirs - ours, found, refused, (first, second))


def _equally_sharp(
    focuses: tuple[Focus, Focus], reference_z_um: Sequence[float], z_um: Sequence[float]
) -> tuple[int, int]:
    """One slice of each stack: near to the focus, and as far from it as the other one."""
    away = [
        np.asarray(heights, np.float64) - float(focus.best_z_um or 0.0)
        for focus, heights in zip(focuses, (reference_z_um, z_um), strict=True)
    ]
    # Blur grows with the distance from the focus, whichever the side.
    cost = np.maximum(np.abs(away[0])[:, None], np.abs(away[1])[None, :])
    cost = cost + np.abs(np.abs(away[0])[:, None] - np.abs(away[1])[None, :])
    first, second = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return int(first), int(second)
