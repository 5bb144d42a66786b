"""The light that several fields of cells have in common, from small statistics of each field as it arrives.

Each field is reduced to the means of its tiles, some pixels wide. Cells only add light, and they lie elsewhere in each
field: the level that several fields agree on in a tile, in units of the level of their field, is the light there. What
is left uncertain is told by the neighbouring tiles, and what the fields contradict each other in is not believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import dctn, idctn

from inscoper_mm.analysis.agreement import agree
from inscoper_mm.analysis.grey import as_grey
from inscoper_mm.analysis.illumination import Light
from inscoper_mm.analysis.surface import Surface
from inscoper_mm.errors import Finding, InvalidInput

# Wide enough that the noise of a tile is small, narrow enough for grains of dust and the gaps between cells.
_TILE_PX = 8
# More tiles along a side only cost time.
_MOST_TILES = 256
# A tile of which the mask leaves less than this is not used.
_LEAST_SEEN = 0.25
# The light is a polynomial of this degree, times what is left over it.
_DEGREE = 6
# How often the fields are divided into halves, to see what these contradict each other in.
_SPLITS = 6
# A degree of the polynomial, or a band of what is left over it, counts as far as its power is so many times that of
# the contradictions. The polynomial reaches into the corners and costs most where it is wrong.
_DOUBT_SURFACE = 8.0
_DOUBT_REST = 2.5
# Bands of spatial frequency, for each doubling of it.
_BANDS_PER_OCTAVE = 4
# Values below this share of the typical one are taken for it.
_DARKEST = 0.05
_NO_WEIGHT = 1e-3

Tiles = npt.NDArray[np.float32]


def tiles_of(image: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> Tiles:
    """The means of the tiles of one field: all that the model keeps of it.

    Parameters
    ----------
    image : (Y, X)
    mask : (Y, X), optional
        Not zero where there is a cell: not looked at.

    Returns
    -------
    (rows, columns) float32
        Grey values, at most 256 along a side; NaN where the mask leaves too little of a tile.
    """
    grey = as_grey(image, "tiles_of")
    rows, cols = (_tile_count(side, max(grey.shape)) for side in grey.shape)
    if mask is None:
        return np.asarray(cv2.resize(grey, (cols, rows), interpolation=cv2.INTER_AREA), np.float32)
    free = (np.asarray(mask) == 0).astype(np.float32)
    if free.shape != grey.shape:
        raise InvalidInput(
            Finding(
                "the mask is of another size than the image.", got=f"{free.shape}", allowed=f"{grey.shape}"
            )
        )
    seen = cv2.resize(free, (cols, rows), interpolation=cv2.INTER_AREA)
    total = cv2.resize(grey * free, (cols, rows), interpolation=cv2.INTER_AREA)
    enough = seen >= _LEAST_SEEN
    return np.asarray(np.where(enough, total / np.where(enough, seen, 1), np.nan), np.float32)


def _tile_count(side: int, longest: int) -> int:
    tile_px = max(_TILE_PX, longest / _MOST_TILES)
    return max(4, round(side / tile_px))


def common_light(fields: Sequence[Tiles], shape: tuple[int, int], offset: float) -> Light:
    """The light that fields have in common.

    After the log transform, light and level of the field are a sum, as in CIDRE (K. Smith et al.,
    doi:10.1038/nmeth.3323); agreement in place of a fit of all pixels rejects the cells.

    Parameters
    ----------
    fields : sequence of (rows, columns)
        What `tiles_of` has made of each field; one is enough, more are better.
    shape : tuple of int
        (Y, X) of the images.
    offset : float
        Of the camera, in grey values.

    Raises
    ------
    InvalidInput
        If there is no field, or the fields have no light above the offset.
    """
    levels = _as_logarithms(fields, offset)
    found = agree(levels)
    surface = Surface.fit(found.light, found.support, _DEGREE)
    rest = found.filled(found.light - surface.on(found.light.shape))
    surface, rest = _believed(found.contradictions(_SPLITS), surface, rest)
    cols_rows = shape[::-1]
    log_light = surface.on(shape) + cv2.resize(rest, cols_rows, interpolation=cv2.INTER_CUBIC)
    seen = np.exp(log_light + np.float32(found.level))
    return Light.from_background(np.asarray(seen + offset, np.float32), offset)


def _as_logarithms(fields: Sequence[Tiles], offset: float) -> npt.NDArray[np.float32]:
    """The fields (F, rows, columns) as logarithms; infinite where nothing is known."""
    if not len(fields):
        raise InvalidInput(Finding("there is no field to make a background model of."))
    stack = np.stack(fields) - np.float32(offset)
    typical = float(np.nanmedian(stack))
    if not typical > 0:
        raise InvalidInput(
            Finding(
                "the fields are not brighter than the camera's offset.",
                got=f"a median of {typical:.1f} above the offset",
                cure="give the offset that the camera has without light, and fields that have some light",
            )
        )
    # Noise around a dark place has no logarithm.
    bounded = np.maximum(stack, np.float32(_DARKEST * typical))
    return np.where(np.isnan(stack), np.float32(np.inf), np.log(bounded))


def _believed(
    contradictions: Iterable[tuple[Tiles, Tiles]], surface: Surface, rest: Tiles
) -> tuple[Surface, Tiles]:
    """Surface and rest, each as far as the fields do not contradict each other in it.

    As a Wiener filter, with the power of the noise taken from the contradictions: in the degrees of the surface, and
    in the bands of spatial frequency of what is left over it.
    """
    bands = _bands(rest.shape)
    noise_of_surface, noise_of_rest, count = np.zeros(_DEGREE + 1), np.zeros(bands.max() + 1), 0
    for noise, weight in contradictions:
        # The rest has no surface in it; its noise must not have one.
        part = Surface.fit(noise, weight + _NO_WEIGHT, _DEGREE)
        left = np.where(weight > 0, noise - part.on(noise.shape), np.float32(0))
        noise_of_surface += part.power()
        noise_of_rest += _in_bands(dctn(left, norm="ortho"), bands) / max(float((weight > 0).mean()), 0.05)
        count += 1
    waves = dctn(rest, norm="ortho")
    power = _in_bands(waves, bands)
    gains = 1 / (1 + (_DOUBT_SURFACE * noise_of_surface / count / np.maximum(surface.power(), 1e-30)) ** 4)
    gains[0] = 1.0
    waves *= _above(noise_of_rest / count, power, _DOUBT_REST)[bands]
    return surface.scaled(gains), np.asarray(idctn(waves, norm="ortho"), np.float32)


def _above(
    noise: npt.NDArray[np.float64], power: npt.NDArray[np.float64], doubt: float
) -> npt.NDArray[np.float64]:
    """Factors from 0 to 1: how far the power is above that of the noise."""
    return np.asarray(np.clip(1 - doubt * noise / np.maximum(power, 1e-30), 0, 1))


def _in_bands(waves: Tiles, bands: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The power of a cosine transform in each band."""
    return np.asarray(np.bincount(bands.ravel(), (waves**2).ravel()), np.float64)


def _bands(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The band of each coefficient of the cosine transform (rows, columns)."""
    down, right = (np.arange(side) * (max(shape) / side) for side in shape)
    frequency = np.hypot(down[:, None], right[None, :])
    return np.asarray(np.log2(frequency + 1) * _BANDS_PER_OCTAVE, np.int64)
