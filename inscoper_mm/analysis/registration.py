"""How far the content of one image has moved against another one, near to where it is expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.prepared import SMALLEST_SIDE_PX
from inscoper_mm.analysis.resampling import high_passed, overlap
from inscoper_mm.analysis.translation import find_translation

Grey = npt.NDArray[Any]

# What is wider (standard deviation of a Gaussian) is uneven light, which stays where it is when the content moves: of a
# large move, each cell is then elsewhere in it.
_COARSEST_PX = 12.0


@dataclass(frozen=True, slots=True)
class Shift:
    """A displacement of content: what was at (row, col) is now at (row + drow_px, col + dcol_px).

    ``score`` is how much of both images it explains where they overlap, at most 1; 0 without overlap or structure.
    """

    drow_px: float
    dcol_px: float
    score: float


def find_shift(reference: Grey, moved: Grey, near: tuple[float, float] = (0.0, 0.0)) -> Shift:
    """Where the content of ``reference`` is in ``moved``.

    Parameters
    ----------
    reference, moved : (Y, X)
        Of the same shape.
    near : tuple of float
        (drow, dcol) that is expected: only what overlaps then is looked at. Displacements up to about a third of the
        overlap away from it are found.

    Notes
    -----
    `inscoper_mm.analysis.translation.find_translation` between what both images should show.
    """
    guess = round(near[0]), round(near[1])
    ours, theirs = overlap(reference.shape, guess)
    if min(part.stop - part.start for part in ours) < SMALLEST_SIDE_PX:
        return Shift(float(guess[0]), float(guess[1]), 0.0)
    one, other = (
        high_passed(part.astype(np.float32), _COARSEST_PX) for part in (reference[ours], moved[theirs])
    )
    found = find_translation(one, other, independent=False)
    score = max(found.confidence, 0.0)
    return Shift(guess[0] + found.row_px, guess[1] + found.col_px, score)
