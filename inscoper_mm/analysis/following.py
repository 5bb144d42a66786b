"""Following a target: what an image, or a stack of them, says about where it has gone, and whether to believe it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from inscoper_mm.analysis.focus import find_focus
from inscoper_mm.analysis.running_reference import Place
from inscoper_mm.analysis.translation import LEAST_CONFIDENCE, Translation

_LEAST_SLICES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sharpest:
    """The slice to look at, and the focus between the slices.

    Parameters
    ----------
    number : int
        Which of the slices; the middle one where the focus is not known.
    best_z_um : float or None
        The height of the focus; None where there is none to be trusted, and ``reason`` says why.
    reason : str or None
    """

    number: int
    best_z_um: float | None
    reason: str | None


def find_sharpest(images: Sequence[npt.NDArray[Any]], z_um: Sequence[float | None]) -> Sharpest:
    """Find the sharpest slice of a stack, and the focus between the slices.

    Parameters
    ----------
    images : sequence of (Y, X) arrays
        In the order of the plan.
    z_um : sequence of float or None
        The real height of each.
    """
    heights = [height for height in z_um if height is not None]
    if len(heights) < max(_LEAST_SLICES, len(images)):
        few = f"{len(images)} slices are too few: {_LEAST_SLICES} are needed"
        if len(images) >= _LEAST_SLICES:
            few = "not all heights are known"
        return Sharpest(len(images) // 2, None, few)
    focus = find_focus(images, heights)
    if focus.best_z_um is None:
        return Sharpest(len(images) // 2, None, focus.reason)
    best = focus.best_z_um
    return Sharpest(min(range(len(heights)), key=lambda each: abs(heights[each] - best)), best, None)


def why_not(
    translation: Translation, place_px: Place, largest_error_px: float, largest_shift_px: float
) -> str | None:
    """Why no stage should be moved by a translation; None if one may be.

    Parameters
    ----------
    translation : Translation
    place_px : (row, col)
        Where the target is, against where it should be.
    largest_error_px, largest_shift_px : float
        Limits of the expected error, and of the distance.
    """
    if not translation.trusted:
        return (
            f"the image has too little in common with the reference (confidence {translation.confidence:.2f}, "
            f"{LEAST_CONFIDENCE:g} is needed)"
        )
    if translation.error_px > largest_error_px:
        return f"the expected error is {translation.error_px:.2g} px, more than the allowed {largest_error_px:g} px"
    distance_px = math.hypot(*place_px)
    if distance_px > largest_shift_px:
        return f"the target is {distance_px:.1f} px away, more than the allowed {largest_shift_px:g} px"
    return None


def on_stage_um(place_px: Place, pixel_to_stage_um: Sequence[float]) -> tuple[float, float]:
    """How far the stage has to go (x, y) so that what is at ``place_px`` (row, col) from its place comes back to it.

    Parameters
    ----------
    place_px : (row, col)
    pixel_to_stage_um : sequence of 6 floats
        (a, b, tx, c, d, ty): a pixel shows x = a col + b row + tx, y = c col + d row + ty of the stage.
    """
    a, b, _, c, d, _ = pixel_to_stage_um
    row, col = place_px
    return a * col + b * row, c * col + d * row


def where_in_image(
    place_px: Place, shape: tuple[int, ...], pixel_to_stage_um: Sequence[float] | None
) -> dict[str, float]:
    """Where a target that was in the middle of the image is now, under the names of a table's columns.

    Parameters
    ----------
    place_px : (row, col)
        Against the middle.
    shape : (height, width)
    pixel_to_stage_um : sequence of 6 floats, optional
        With it, also the place on the stage.
    """
    row, col = (shape[0] - 1) / 2 + place_px[0], (shape[1] - 1) / 2 + place_px[1]
    found = {"row_px": row, "col_px": col, "shift_row_px": place_px[0], "shift_col_px": place_px[1]}
    if pixel_to_stage_um is not None:
        a, b, tx, c, d, ty = pixel_to_stage_um
        found |= {"x_um": a * col + b * row + tx, "y_um": c * col + d * row + ty}
    return found
