"""The shift between two images to a pixel or so: correlation by Fourier transform, and a vote between hypotheses.

One correlation has one weakness each: a window loses cells at the border, whitening loses to noise, neither knows a
fixed pattern (vignette, dust) from the specimen. So several correlations name candidates, and the candidate that
explains most of the structure of both images is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.resampling import Floats, overlap

Shift = tuple[int, int]
Pair = tuple[Floats, Floats]

# (window, exponent of the whitening): 0 is plain cross-correlation, 1 would be phase correlation.
_CORRELATIONS = ((True, 0.5), (True, 0.0), (False, 0.0))
_PEAKS = 3
_PEAK_RADIUS = 3
_LEAST_OVERLAP = 0.25
_PADDING = 1.5


def coarse_shifts(bands: Sequence[Pair]) -> list[Shift]:
    """Whole-pixel shifts of the second image's content against the first's, the best first.

    Parameters
    ----------
    bands : sequence of (ndarray, ndarray)
        The two images (Y, X), in one or more frequency bands.
    """
    height, width = bands[0][0].shape
    found: dict[Shift, float] = {}
    for shift in {(0, 0)}.union(*(_candidates(*pair) for pair in bands)):
        if (height - abs(shift[0])) * (width - abs(shift[1])) < _LEAST_OVERLAP * height * width:
            continue
        ours, theirs = overlap((height, width), shift)
        found[shift] = sum(explained(pair, pair[0][ours], pair[1][theirs]) for pair in bands)
    return sorted(found, key=lambda shift: found[shift], reverse=True)


def explained(whole: Pair, first: Floats, second: Floats) -> float:
    """How much of the structure of both whole images is common to the parts ``first`` and ``second``.

    Their covariance over the energy of the whole images, 1 for equal images. A correlation of the parts alone would
    be 1 for one cell on another, with all other cells outside.
    """
    energy = math.prod(float(np.var(image)) * image.size for image in whole)
    common = float(np.vdot(first - first.mean(), second - second.mean()))
    return common / math.sqrt(energy) if energy > 0 else 0.0


def _candidates(first: Floats, second: Floats) -> set[Shift]:
    height, width = first.shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
    padded = tuple(cv2.getOptimalDFTSize(int(_PADDING * size)) for size in (height, width))
    found: set[Shift] = set()
    for windowed, whitening in _CORRELATIONS:
        size = (height, width) if windowed else (padded[0], padded[1])
        one, other = (first * window, second * window) if windowed else (first, second)
        spectrum = np.fft.rfft2(other, size) * np.conj(np.fft.rfft2(one, size))
        strength = np.abs(spectrum)
        if whitening and strength.any():
            spectrum /= np.maximum(strength, 1e-9 * strength.max()) ** whitening
        found |= _peaks(np.fft.irfft2(spectrum, size))
    return found


def _peaks(correlation: npt.NDArray[np.float64]) -> set[Shift]:
    height, width = correlation.shape
    around = np.arange(-_PEAK_RADIUS, _PEAK_RADIUS + 1)
    found: set[Shift] = set()
    for _ in range(_PEAKS):
        row, col = divmod(int(np.argmax(correlation)), width)
        found.add((row - height if row > height // 2 else row, col - width if col > width // 2 else col))
        correlation[np.ix_((row + around) % height, (col + around) % width)] = -np.inf
    return found
