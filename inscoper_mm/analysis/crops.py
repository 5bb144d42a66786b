"""Pictures of single cells cut out of an image."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput

Box = tuple[int, int, int, int]
AtBorder = Literal["move", "pad", "drop"]


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


def crop_cell(
    image: npt.NDArray[Any],
    box: Box,
    padding_px: int = 0,
    size_px: int | None = None,
    at_border: AtBorder = "move",
) -> tuple[npt.NDArray[Any], Box] | None:
    """The picture of a cell, and which part of the image it is.

    Parameters
    ----------
    image : (Y, X) or (C, Y, X) array
    box : tuple of int
        The cell's bounding box (r0, c0, r1, c1), the last two one past the end.
    padding_px, size_px
        As of `crop_box`.
    at_border : {"move", "pad", "drop"}
        For a picture that would reach beyond the image. "move": as `crop_box` does. "pad": what is not in the image is
        0, and the cell stays in the middle; the box then begins below 0 or ends past the image.
        "drop": there is none.

    Returns
    -------
    tuple of array and box, or None
        A copy, (Y, X) or (C, Y, X).

    Raises
    ------
    InvalidInput
        As `crop_box`.
    """
    height, width = image.shape[-2:]
    inside = crop_box(box, (height, width), padding_px, size_px)
    if at_border == "move":
        return np.array(image[..., inside[0] : inside[2], inside[1] : inside[3]]), inside
    r0, r1 = _free_span(box[0], box[2], padding_px, size_px)
    c0, c1 = _free_span(box[1], box[3], padding_px, size_px)
    rows, cols = slice(max(r0, 0), min(r1, height)), slice(max(c0, 0), min(c1, width))
    whole = (rows.start, cols.start, rows.stop, cols.stop) == (r0, c0, r1, c1)
    if at_border == "drop" and not whole:
        return None
    picture = np.zeros((*image.shape[:-2], r1 - r0, c1 - c0), image.dtype)
    picture[..., rows.start - r0 : rows.stop - r0, cols.start - c0 : cols.stop - c0] = image[..., rows, cols]
    return picture, (r0, c0, r1, c1)


def _free_span(start: int, stop: int, padding_px: int, wanted: int | None) -> tuple[int, int]:
    """Where to cut along one axis that has no ends."""
    if wanted is None:
        return start - padding_px, stop + padding_px
    first = (start + stop - wanted) // 2
    return first, first + wanted
