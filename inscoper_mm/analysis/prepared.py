"""An image made ready for registration: its pyramid, and what is made of its levels, each made once."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.resampling import Floats, binned, high_passed, smoothed

SMALLEST_SIDE_PX = 32
# Every level is smoothed by this many of its pixels before it is fitted.
SIGMA_PX = 1.0
_LARGEST_BINNING = 16
_STRIP_ROWS = 16


class Prepared:
    """An image and its levels, each binned by a power of two; made when they are asked for, and kept.

    Parameters
    ----------
    image : array (Y, X)
        Grey values of any type; at least 32 pixels a side.

    Raises
    ------
    ValueError
        Not (Y, X), too small, or with values that are not finite.
    """

    def __init__(self, image: npt.ArrayLike) -> None:
        raw = np.asarray(image)
        if raw.ndim != 2 or min(raw.shape) < SMALLEST_SIDE_PX:
            raise ValueError(
                f"An image (Y, X) of at least {SMALLEST_SIDE_PX} pixels a side is needed. Got: {raw.shape}."
            )
        if raw.dtype.kind not in "bui" and not np.isfinite(raw).all():
            raise ValueError("The image has values that are not finite.")
        self.shape: tuple[int, int] = (int(raw.shape[0]), int(raw.shape[1]))
        self.side = min(self.shape)
        self._raw = raw
        self._levels: dict[int, Floats] = {}
        self._smooth: dict[int, Floats] = {}
        self._bands: dict[tuple[int, float], Floats] = {}

    def level(self, factor: int) -> Floats:
        """The image binned by ``factor``, a power of two."""
        if factor not in self._levels:
            if factor == 1:
                self._levels[factor] = np.ascontiguousarray(self._raw, np.float32)
            else:
                finer = max((each for each in self._levels if each < factor), default=None)
                self._levels[factor] = (
                    _binned(self._raw, factor)
                    if finer is None
                    else binned(self._levels[finer], factor // finer)
                )
        return self._levels[factor]

    def smooth(self, factor: int) -> Floats:
        """The level under the Gaussian that fits are made with."""
        if factor not in self._smooth:
            self._smooth[factor] = smoothed(self.level(factor), SIGMA_PX)
        return self._smooth[factor]

    def band(self, factor: int, share: float) -> Floats:
        """The level without what is wider than ``share`` of its side."""
        key = factor, share
        if key not in self._bands:
            self._bands[key] = high_passed(self.level(factor), share * self.side / factor)
        return self._bands[key]

    def least_binning(self, least_side_px: int) -> int:
        """The largest power of two that leaves so many pixels a side, at most 16."""
        factor = 1
        while factor < _LARGEST_BINNING and self.side / (2 * factor) >= least_side_px:
            factor *= 2
        return factor


def _binned(raw: npt.NDArray[Any], factor: int) -> Floats:
    """``raw`` binned by ``factor``, without ever holding all of it as floating-point numbers."""
    height, width = raw.shape[0] // factor, raw.shape[1] // factor
    small = np.empty((height, width), np.float32)
    strip = np.empty((_STRIP_ROWS * factor, width * factor), np.float32)
    for top in range(0, height, _STRIP_ROWS):
        rows = min(_STRIP_ROWS, height - top)
        part = raw[top * factor : (top + rows) * factor, : width * factor]
        np.copyto(strip[: rows * factor], part, casting="unsafe")
        cv2.resize(
            strip[: rows * factor],
            (width, rows),
            dst=small[top : top + rows],
            interpolation=cv2.INTER_AREA,
        )
    return small
