"""Images as a neural network can take them: copies, two-dimensional, finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput

LEAST_SIDE_PX = 16
LEAST_DIAMETER_PX = 4.0


def grey_copies(images: Sequence[npt.ArrayLike], function: str) -> list[npt.NDArray[np.float32]]:
    """A float32 copy of each image. Values that are not finite become the least finite one of their image.

    One pixel that is not a number would leave Cellpose without a single cell, and it normalises floats in place.

    Raises
    ------
    InvalidInput
        If one is no grey image of at least ``LEAST_SIDE_PX`` pixels a side, or has no finite value.
    """
    return [_grey_copy(np.asarray(image), number, function) for number, image in enumerate(images)]


def _grey_copy(image: npt.NDArray[np.generic], number: int, function: str) -> npt.NDArray[np.float32]:
    def wrong(message: str, got: str, allowed: str, cure: str | None = None) -> InvalidInput:
        place = f"images[{number}]"
        return InvalidInput(
            Finding(message, function=function, parameter=place, got=got, allowed=allowed, cure=cure)
        )

    if image.ndim != 2:
        cure = "Of a stack, give slice by slice or a projection; of a colour image, one channel."
        raise wrong("not one grey image", f"shape {image.shape}", "a shape (Y, X)", cure)
    if image.dtype.kind not in "buif":
        raise wrong("not grey values", str(image.dtype), "whole or floating-point numbers")
    if min(image.shape) < LEAST_SIDE_PX:
        raise wrong("the image is too small", f"{image.shape}", f"at least {LEAST_SIDE_PX} pixels a side")
    grey = np.array(image, np.float32)
    finite = np.isfinite(grey)
    if not finite.any():
        raise wrong("no pixel is a finite number", "NaN or infinite values only", "finite grey values")
    if not finite.all():
        grey[~finite] = grey[finite].min()
    if grey.min() == grey.max():
        # Cellpose does not normalise what has no contrast: a level of 1 would be as bright as a cell everywhere.
        grey[:] = 0
    return grey


def refuse_diameter(diameter_px: float | None, shape: tuple[int, ...], function: str) -> None:
    """Refuse a diameter with which the image would be blown up or shrunk beyond sense: that takes minutes.

    Raises
    ------
    InvalidInput
        If it is below ``LEAST_DIAMETER_PX`` or larger than the image.
    """
    if diameter_px is None or LEAST_DIAMETER_PX <= diameter_px <= min(shape):
        return
    raise InvalidInput(
        Finding(
            "not a diameter of cells in this image",
            function=function,
            parameter="diameter_px",
            got=f"{diameter_px:g} px",
            allowed=f"{LEAST_DIAMETER_PX:g} to {min(shape)} px, or nothing",
            cure="Is the pixel size right?",
        )
    )
