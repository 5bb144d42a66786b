"""The camera: photo-electrons to grey values, with shot noise, read noise, offset and bit depth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen.outline import Floats

READ_NOISE_ELECTRONS = 2.5
_OFFSET = 100.0
_COUNTS_PER_ELECTRON = 2.0
# Cameras of fewer bits read the same full well in coarser steps.
_FULL_SCALE = 4095


def gain(bit_depth: int) -> tuple[float, float]:
    """(grey values per electron, offset) of a camera with this many bits."""
    scale = min(1.0, (2**bit_depth - 1) / _FULL_SCALE)
    return _COUNTS_PER_ELECTRON * scale, _OFFSET * scale


def digitise(
    electrons: Floats, random: np.random.Generator, bit_depth: int, bytes_per_pixel: int = 2, binning: int = 1
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Grey values of the expected ``electrons`` (Y, X) per pixel.

    Shot noise is taken as Gaussian, which from some twenty electrons on nobody can tell from Poisson. Binning sums the
    signal of ``binning ** 2`` pixels (which ``electrons`` has already) and their read noise.
    """
    counts_per_electron, offset = gain(bit_depth)
    noise = random.standard_normal(electrons.shape, dtype=np.float32)
    spread = np.sqrt(electrons + np.float32((READ_NOISE_ELECTRONS * binning) ** 2))
    noise *= spread
    noise += electrons
    noise *= np.float32(counts_per_electron)
    noise += np.float32(offset + 0.5)
    bits = min(bit_depth, 8 * bytes_per_pixel)
    np.clip(noise, 0, 2**bits - 1, out=noise)
    return noise.astype(np.uint8) if bytes_per_pixel == 1 else noise.astype(np.uint16)
