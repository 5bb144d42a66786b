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
_BANK = 1 << 20


def gain(bit_depth: int) -> tuple[float, float]:
    """(grey values per electron, offset) of a camera with this many bits."""
    scale = min(1.0, (2**bit_depth - 1) / _FULL_SCALE)
    return _COUNTS_PER_ELECTRON * scale, _OFFSET * scale


class Noise:
    """Seeded normal noise, some twenty times faster than a generator.

    Each row of an image is a piece of one long random sequence, taken from a place that is drawn for each
    row and image; so no two images share a pattern that a registration could find.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._bank = np.random.default_rng([seed, 2]).standard_normal(_BANK, dtype=np.float32)

    def field(self, shape: tuple[int, int], image: int) -> Floats:
        """Noise (Y, X) of mean 0 and standard deviation 1 for an image number."""
        pieces = np.lib.stride_tricks.sliding_window_view(self._bank, shape[1])
        starts = np.random.default_rng([self._seed, 3, image]).integers(0, len(pieces), shape[0])
        return np.asarray(pieces[starts])


def digitise(
    electrons: Floats, noise: Floats, bit_depth: int, bytes_per_pixel: int = 2, binning: int = 1
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Grey values (Y, X) of the expected ``electrons`` (Y, X) per pixel.

    Shot noise is taken as Gaussian, which from some twenty electrons on nobody can tell from Poisson.
    Binning sums the signal of ``binning ** 2`` pixels (which ``electrons`` has already) and their read
    noise.
    """
    counts_per_electron, offset = gain(bit_depth)
    counts = np.sqrt(electrons + np.float32((READ_NOISE_ELECTRONS * binning) ** 2))
    counts *= noise
    counts += electrons
    counts *= np.float32(counts_per_electron)
    counts += np.float32(offset + 0.5)
    bits = min(bit_depth, 8 * bytes_per_pixel)
    np.clip(counts, 0, 2**bits - 1, out=counts)
    return np.asarray(counts, dtype=np.uint8) if bytes_per_pixel == 1 else np.asarray(counts, dtype=np.uint16)
