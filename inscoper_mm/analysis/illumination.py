"""Uneven light: what a flat field looks like through the microscope, and images as they were under even light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import GreyImage, as_grey
from inscoper_mm.errors import Finding, InvalidInput

Projection = Literal["median", "mean", "low_quantile"]

# Of the fields' values in each pixel; cells are above it where less than three quarters of the fields have one.
_LOW_QUANTILE = 0.25
# Below this share of the mean there is no light to speak of; dividing by it would make noise of it.
_LEAST_LIGHT = 0.02
# Rows that are projected at a time: the sorted copy stays small.
_STRIP = 64


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """How the light is spread over the field.

    Parameters
    ----------
    flat : (Y, X) float32
        The light relative to its mean, which is 1.
    level : float
        Mean grey value of an empty field above the camera's offset.
    offset : float
        What the camera delivers without light, in grey values.
    """

    flat: GreyImage
    level: float
    offset: float

    @property
    def background(self) -> GreyImage:
        """An empty field as the camera sees it, in grey values (Y, X)."""
        return np.asarray(self.offset + self.level * self.flat, np.float32)

    @classmethod
    def from_background(cls, background: GreyImage, offset: float) -> Light:
        """The light that makes an empty field look like ``background`` (Y, X).

        Raises
        ------
        InvalidInput
            If the background is not above the offset.
        """
        seen = background - np.float32(offset)
        level = float(seen.mean(dtype=np.float64))
        if not level > 0:
            raise InvalidInput(
                Finding(
                    "the background is not brighter than the camera's offset.",
                    parameter="offset",
                    got=f"{offset:g}, and a mean background of {offset + level:.1f}",
                    cure="give the offset that the camera has without light, and fields that have some light",
                )
            )
        return cls(_bounded(seen / np.float32(level)), level, offset)


def flatten(image: npt.ArrayLike, light: Light) -> GreyImage:
    """``image`` under even light: above the offset, divided by the light.

    Parameters
    ----------
    image : (Y, X)
    light : Light
        Of the same size.

    Returns
    -------
    (Y, X) float32
        Grey values without the camera's offset; the mean level of an empty field is ``light.level``.

    Raises
    ------
    InvalidInput
        If the sizes differ.
    """
    grey = _same_size(image, light)
    cv2.subtract(grey, (float(light.offset), 0, 0, 0), dst=grey)
    cv2.divide(grey, light.flat, dst=grey)
    return grey


def flatten_as_taken(image: npt.NDArray[Any], light: Light) -> npt.NDArray[Any]:
    """``image`` under even light, in its own type and with the camera's offset, for programs that expect raw images.

    Everything is dimmed to where the light is weakest, so that nothing can be clipped, and by the same factor in all
    images of a ``light``, so that they can be compared.

    Parameters
    ----------
    image : (Y, X), any type
    light : Light
        Of the same size.

    Returns
    -------
    (Y, X), the type of ``image``
        The offset and the grey values above it, times the weakest light.
    """
    grey = flatten(image, light)
    grey *= light.flat.min()
    grey += np.float32(light.offset)
    if image.dtype.kind == "f":
        return grey.astype(image.dtype)
    bounds = np.iinfo(image.dtype)
    return np.asarray(np.clip(np.rint(grey, out=grey), bounds.min, bounds.max), image.dtype)


def project_light(
    fields: npt.NDArray[Any], how: Projection, offset: float, smoothing_px: float = 0.0
) -> Light:
    """The light from all fields at once, pixel by pixel: of each pixel, the middle or another value of the fields.

    The noise of the pixels stays in it, and what most fields have in one place is taken for light.

    Parameters
    ----------
    fields : (F, Y, X)
    how : str
        ``median``, ``mean``, or ``low_quantile`` (a quarter of the fields are darker).
    offset : float
        Of the camera, in grey values.
    smoothing_px : float
        Standard deviation of a Gauss filter; 0 leaves the projection as it is.
    """
    projected = np.empty(fields.shape[1:], np.float32)
    for first in range(0, fields.shape[1], _STRIP):
        strip = slice(first, first + _STRIP)
        projected[strip] = _PROJECTIONS[how](fields[:, strip])
    if smoothing_px > 0:
        projected = np.asarray(
            cv2.GaussianBlur(projected, (0, 0), smoothing_px, borderType=cv2.BORDER_REPLICATE), np.float32
        )
    return Light.from_background(projected, offset)


_PROJECTIONS = {
    "median": lambda strip: np.median(strip, axis=0),
    "mean": lambda strip: strip.mean(axis=0, dtype=np.float32),
    "low_quantile": lambda strip: np.quantile(strip, _LOW_QUANTILE, axis=0),
}


def _bounded(flat: GreyImage) -> GreyImage:
    """``flat`` without places that are as good as dark, its mean 1 again."""
    bounded = np.maximum(flat, np.float32(_LEAST_LIGHT))
    return np.asarray(bounded / bounded.mean(dtype=np.float64), np.float32)


def _same_size(image: npt.ArrayLike, light: Light) -> GreyImage:
    grey = as_grey(image, "flatten")
    if grey.shape != light.flat.shape:
        raise InvalidInput(
            Finding(
                "the image is of another size than the background model.",
                parameter="image",
                got=f"shape {grey.shape}",
                allowed=f"{light.flat.shape}",
                cure="take the fields of the model with the same camera region and binning",
            )
        )
    return grey if grey is not image else grey.copy()
