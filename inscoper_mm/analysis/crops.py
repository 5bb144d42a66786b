"""Pictures of single cells cut out of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput

Box = tuple[int, int, int, int]


def crop_box(box: Box, shape: tuple[int, ...], padding_px: int = 0, size_px: int | None = None) -> Box:
    """The part of an image to cut out for a cell.

    Parameters
    ----------
    box : tuple of int
        The cell's bounding box (r0, c0, r1, c1), the last two one past the end.
    shape : tuple of int
        (Y, X) of the image.
    padding_px : int
        A margin around the box.
    size_px : int, optional
        A fixed size instead: a square around the middle of the box. At the border of the image it is moved inside; only
        an image that is smaller gives a smaller crop. A cell that is larger than the square is cut.

    Returns
    -------
    tuple of int
        (r0, c0, r1, c1), wholly in the image.

    Raises
    ------
    InvalidInput
        If the margin is negative or the size is not positive.
    """
    if padding_px < 0 or (size_px is not None and size_px < 1):
        raise InvalidInput(
            Finding(
                "not a size of a crop",
                function="crop_box",
                parameter="padding_px" if padding_px < 0 else "size_px",
                got=str(padding_px if padding_px < 0 else size_px),
                allowed="a margin of 0 or more pixels, a size of 1 or more",
            )
        )
    r0, r1 = _span(box[0], box[2], shape[0], padding_px, size_px)
    c0, c1 = _span(box[1], box[3], shape[1], padding_px, size_px)
    return r0, c0, r1, c1


def _span(start: int, stop: int, size: int, padding_px: int, wanted: int | None) -> tuple[int, int]:
    """Where to cut along one axis of ``size`` pixels."""
    if wanted is None:
        return max(0, start - padding_px), min(size, stop + padding_px)
    wanted = min(wanted, size)
    first = min(max(0, (start + stop - wanted) // 2), size - wanted)
    return first, first + wanted


def cut_out(image: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
    """A copy of the part ``box`` of ``image``."""
    r0, c0, r1, c1 = box
    return np.array(image[r0:r1, c0:c1])
