"""The shift between two images to a pixel or so: correlation by Fourier transform, and a vote between hypotheses.

One correlation has one weakness each: a window loses cells at the border, whitening loses to noise, neither knows a
fixed pattern (vignette, dust) from the specimen. So several correlations name candidates, and the candidate that
explains most of the structure of both images is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from inscoper_mm.analysis.resampling import Floats, overlap

Shift = tuple[int, int]
Pair = tuple[Floats, Floats]

_WHITENING = 0.5
_PEAKS = 3
_PEAK_RADIUS = 3
_LEAST_OVERLAP = 0.25
_PADDING = 1.5


@dataclass(frozen=True, slots=True)
class Candidates:
    """Whole-pixel shifts, the best first, with how much each explains in all bands together.

    ``chance`` is how well two fields like these fit onto each other that have nothing in common.
    """

    shifts: tuple[Shift, ...]
    scores: tuple[float, ...]
    chance: float


def coarse_shifts(bands: Sequence[Pair]) -> Candidates:
    """Whole-pixel shifts of the second image's content against the first's.

    Parameters
    ----------
    bands : sequence of (ndarray, ndarray)
        The two images (Y, X), in one or more frequency bands.

    Returns
    -------
    Candidates
        ``chance`` is the best match of the first image with mirrored ones of the second: they have the same cells,
        light and noise, but nothing in common with it.
    """
    height, width = bands[0][0].shape
    found: dict[Shift, float] = {}
    candidates, chance = _candidates(bands)
    energies = [_energy(pair) for pair in bands]
    for shift in candidates | {(0, 0)}:
        if (height - abs(shift[0])) * (width - abs(shift[1])) < _LEAST_OVERLAP * height * width:
            continue
        ours, theirs = overlap((height, width), shift)
        found[shift] = sum(
            common(pair[0][ours], pair[1][theirs]) / energy if energy > 0 else 0.0
            for pair, energy in zip(bands, energies, strict=True)
        )
    best = sorted(found, key=lambda shift: found[shift], reverse=True)
    return Candidates(tuple(best), tuple(found[shift] for shift in best), chance)


def explained(whole: Pair, first: Floats, second: Floats) -> float:
    """How much of the structure of both whole images is common to the parts ``first`` and ``second``.

    Their covariance over the energy of the whole images, 1 for equal images. A correlation of the parts alone would
    be 1 for one cell on another, with all other cells outside.
    """
    energy = _energy(whole)
    return common(first, second) / energy if energy > 0 else 0.0


def common(first: Floats, second: Floats) -> float:
    """Covariance of two images of one shape, times their pixels."""
    product = float(np.vdot(first, second))
    return product - float(first.sum(dtype=np.float64)) * float(second.sum(dtype=np.float64)) / first.size


def _energy(pair: Pair) -> float:
    """Of both images, without their means; what `common` is for equal images."""
    return math.sqrt(math.prod(max(common(image, image), 0.0) for image in pair))


def _candidates(bands: Sequence[Pair]) -> tuple[set[Shift], float]:
    height, width = bands[0][0].shape
    firsts, seconds = (np.stack([pair[number] for pair in bands]) for number in (0, 1))
    firsts, seconds = (each - each.mean(axis=(1, 2), keepdims=True) for each in (firsts, seconds))
    window = _window(height, width)
    cross = _crossed(firsts * window, seconds * window, (height, width))
    strength = np.abs(cross)
    least = np.maximum(1e-9 * strength.max(axis=(1, 2), keepdims=True), 1e-30)
    white = cross / np.maximum(strength, least) ** _WHITENING
    size = fft.next_fast_len(int(_PADDING * height)), fft.next_fast_len(int(_PADDING * width), real=True)
    spectra = fft.rfft2(firsts, size), fft.rfft2(seconds, size)
    maps = [*fft.irfft2(np.concatenate([cross, white]), (height, width))]
    maps += [*fft.irfft2(np.conj(spectra[0]) * spectra[1], size)]
    # Each mirrored along one axis: turned by half a turn, two cells would fit onto themselves.
    mirrored = np.stack([seconds[0, ::-1], seconds[0, :, ::-1]])
    unrelated = fft.irfft2(np.conj(spectra[0][:1]) * fft.rfft2(mirrored, size), size)
    energy = math.prod(math.sqrt(float(np.vdot(each[0], each[0]))) for each in (firsts, seconds))
    chance = float(unrelated.max()) / energy if energy > 0 else 0.0
    return set[Shift]().union(*(_peaks(each) for each in maps)), chance


def _crossed(firsts: Floats, seconds: Floats, size: tuple[int, int]) -> npt.NDArray[np.complex64]:
    return np.asarray(np.conj(fft.rfft2(firsts, size)) * fft.rfft2(seconds, size))


@lru_cache(maxsize=8)
def _window(height: int, width: int) -> Floats:
    return np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)


def _peaks(correlation: npt.NDArray[np.float32]) -> set[Shift]:
    height, width = correlation.shape
    around = np.arange(-_PEAK_RADIUS, _PEAK_RADIUS + 1)
    found: set[Shift] = set()
    for _ in range(_PEAKS):
        row, col = divmod(int(np.argmax(correlation)), width)
        found.add((row - height if row > height // 2 else row, col - width if col > width // 2 else col))
        correlation[np.ix_((row + around) % height, (col + around) % width)] = -np.inf
    return found
