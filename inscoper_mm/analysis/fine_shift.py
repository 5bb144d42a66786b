"""The shift between two images to a few thousandths of a pixel: least squares on their grey values (Gauss-Newton).

``image(p + shift) = gain * reference(p) + offset`` is fitted over the overlap alone, so that what enters and leaves at
the borders does not count. Lucas & Kanade 1981; why the fit meets the Cramer-Rao bound where correlation does not:
Robinson & Milanfar 2004, doi:10.1109/TIP.2004.832923.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.prepared import SIGMA_PX, Prepared
from inscoper_mm.analysis.resampling import Floats, Slices, gradients, overlap, smoothed

Vector = npt.NDArray[np.float64]
_LARGEST_STEP_PX = 2.0
_MOST_STEPS = 8
_LEAST_KNOWN = 0.3
# Images are summed up in strips that stay in the processor's cache: so many pixels.
_STRIP_PIXELS = 65_536
MARGIN_PX = math.ceil(3 * SIGMA_PX) + 2
_NUMBERS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """The two images over their overlap, the second moved onto the first; all (Y, X)."""

    reference: Floats
    image: Floats
    down: Floats
    right: Floats

    def residual(self, gain: float, offset: float) -> Floats:
        """What gain and offset do not explain."""
        return np.asarray(np.float32(gain) * self.reference + np.float32(offset) - self.image)


@dataclass(frozen=True, slots=True)
class Fit:
    """``image(p + shift) = gain * reference(p) + offset``; ``step_px`` is what the last step changed."""

    shift_px: tuple[float, float]
    gain: float
    offset: float
    step_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What one look at two images gives: the normal equations of the fit, and what its error is made of.

    Parameters
    ----------
    matrix, vector : ndarray
        (4, 4) and (4,), for the columns down, right, reference, 1 and the residual of the fit before.
    square : float
        Sum of the squared residual.
    smooth : ndarray
        (2, 2): sums of products of the gradients, smoothed once more.
    pixels : float
    """

    matrix: Vector
    vector: Vector
    square: float
    smooth: Vector
    pixels: float

    def step(self, fit: Fit) -> Fit | None:
        """The next fit from ``fit``, for which these sums were made; None where the images do not determine one."""
        change = self._solution()
        if change is None:
            return None
        down, right, gain, offset = change
        size_px = math.hypot(down, right)
        share = min(1.0, _LARGEST_STEP_PX / size_px) if size_px else 1.0
        # image(p + shift) was read at shift: where it lies above its fit along the gradient, the shift is too large.
        moved = (fit.shift_px[0] - share * float(down), fit.shift_px[1] - share * float(right))
        return Fit(moved, fit.gain + float(gain), fit.offset + float(offset), size_px)

    def left(self) -> float:
        """Sum of the squared residual that the next fit will leave."""
        change = _solved(self.matrix, self.vector)
        return max(self.square - (0.0 if change is None else float(change @ self.vector)), 0.0)

    def white(self, sigma_px: float = SIGMA_PX) -> float:
        """Variance of the noise in the difference of the two images, before their smoothing by ``sigma_px``."""
        return self.left() / max(self.pixels, 1e-9) * 4 * math.pi * sigma_px**2

    def known(self, sigma_px: float = SIGMA_PX) -> Vector:
        """The (2, 2) sums of products of the gradients, without those of the noise."""
        return self.matrix[:2, :2] - np.eye(2) * self.pixels * gradient_noise(
            self.white(sigma_px) / 4, sigma_px
        )

    def _solution(self) -> Vector | None:
        # With the noise's own gradients in them, steps would be too short, and many.
        matrix = self.matrix.copy()
        diagonal = np.diag(self.matrix)[:2]
        matrix[0, 0], matrix[1, 1] = np.maximum(np.diag(self.known()), _LEAST_KNOWN * diagonal)
        change = _solved(matrix, self.vector)
        return _solved(self.matrix, self.vector) if change is None else change


def _solved(matrix: Vector, vector: Vector) -> Vector | None:
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-30))
    scaled = matrix / np.outer(scale, scale)
    if not np.isfinite(scaled).all() or np.linalg.eigvalsh(scaled)[0] < 1e-10:
        return None
    return np.asarray(np.linalg.solve(scaled, vector / scale) / scale)


class Pair:
    """Two images at one binning, ready to be laid onto each other."""

    sigma_px = SIGMA_PX

    def __init__(self, reference: Prepared, image: Prepared, factor: int) -> None:
        self.factor = factor
        self._reference = reference.smooth(factor)
        self._image = image.level(factor)

    def parts(self, shift_px: tuple[float, float]) -> tuple[Slices, Slices, tuple[float, float]] | None:
        """Where both overlap, and the rest of the shift below a pixel; None where next to nothing is left."""
        whole = round(shift_px[0]), round(shift_px[1])
        ours, theirs = overlap(self._reference.shape, whole)
        if min(part.stop - part.start for part in ours) < 4 * MARGIN_PX:
            return None
        return ours, theirs, (shift_px[0] - whole[0], shift_px[1] - whole[1])

    def shape(self, shift_px: tuple[float, float]) -> tuple[int, int] | None:
        """Of the overlap without its margins."""
        parts = self.parts(shift_px)
        if parts is None:
            return None
        rows, cols = (part.stop - part.start - 2 * MARGIN_PX for part in parts[0])
        return rows, cols

    def aligned(self, shift_px: tuple[float, float]) -> Aligned | None:
        """Both images where they overlap under ``shift_px``; None where nothing is left."""
        parts = self.parts(shift_px)
        if parts is None:
            return None
        ours, theirs, rest = parts
        inner = slice(MARGIN_PX, -MARGIN_PX)
        reference = np.ascontiguousarray(self._reference[ours][inner, inner])
        image = np.ascontiguousarray(smoothed(self._image[theirs], self.sigma_px, rest)[inner, inner])
        # The gradient of the mean of both: that of one alone would be too steep by its noise.
        down, right = gradients(np.float32(0.5) * (reference + image))
        return Aligned(reference, image, down, right)

    def sums(self, fit: Fit, weights: Floats | None = None, error: bool = False) -> Sums | None:
        """Look at both images under ``fit``.

        Parameters
        ----------
        fit : Fit
        weights : ndarray, optional
            (Y, X) of the overlap without a margin of 5 pixels: how much each pixel counts.
        error : bool
            Whether ``smooth`` is wanted.
        """
        parts = self.parts(fit.shift_px)
        if parts is None:
            return None
        ours, theirs, rest = parts
        reference, image = self._reference[ours], self._image[theirs]
        matrix, vector, smooth = np.zeros((4, 4)), np.zeros(4), np.zeros((2, 2))
        square = pixels = 0.0
        for rows in _strips(reference.shape):
            strip = _Strip(reference[rows], image[rows], self.sigma_px, rest, fit, error)
            part = None
            if weights is not None:
                part = weights[rows.start : rows.start + strip.rows]
            square += strip.add_to(matrix, vector, smooth, part)
            pixels += strip.pixels if part is None else float(part.sum())
        for row in range(_NUMBERS):
            for other in range(row):
                matrix[row, other] = matrix[other, row]
        smooth[1, 0] = smooth[0, 1]
        return Sums(matrix, vector, square, smooth, pixels)

    def fit(self, begin: Fit, enough_px: float = 1e-3) -> Fit | None:
        """The least-squares fit, begun at ``begin``; None where the images do not determine one.

        Parameters
        ----------
        begin : Fit
        enough_px : float
            A step smaller than this is the last. Steps shrink about tenfold, so what is left is far less.
        """
        fit = begin
        for _ in range(_MOST_STEPS):
            sums = self.sums(fit)
            found = None if sums is None else sums.step(fit)
            if found is None or found.step_px < enough_px:
                return found
            fit = found
        return fit


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of an overlap, with margins; the rows between the margins cover each row once."""
    height = max(_STRIP_PIXELS // shape[1], 2 * MARGIN_PX)
    end = shape[0] - MARGIN_PX
    for top in range(MARGIN_PX, end, height):
        yield slice(top - MARGIN_PX, min(top + height, end) + MARGIN_PX)


class _Strip:
    """Some rows of both images, without their margins, as columns of the normal equations."""

    def __init__(
        self,
        reference: Floats,
        image: Floats,
        sigma_px: float,
        rest: tuple[float, float],
        fit: Fit,
        error: bool,
    ) -> None:
        margin = MARGIN_PX
        moved = smoothed(image, sigma_px, rest)
        mean = cv2.addWeighted(reference, 0.5, moved, 0.5, 0.0)
        inner = slice(margin, -margin)
        self.down = _difference(mean, margin, 0)
        self.right = _difference(mean, margin, 1)
        self.reference = np.ascontiguousarray(reference[inner, inner])
        self.residual = moved[inner, inner] - np.float32(fit.gain) * self.reference
        self.residual -= np.float32(fit.offset)
        self.rows, self.pixels = len(self.down), self.down.size
        self.smooth: tuple[Floats, Floats] | None = None
        if error:
            mean = smoothed(mean, sigma_px)
            self.smooth = _difference(mean, margin, 0), _difference(mean, margin, 1)

    def add_to(self, matrix: Vector, vector: Vector, smooth: Vector, weights: Floats | None) -> float:
        """Add up; the upper triangle only. Returns the sum of the squared residual."""
        ones = _ones(self.down.size).reshape(self.down.shape)
        columns = self.down, self.right, self.reference, ones
        weighted = columns if weights is None else tuple(column * weights for column in columns)
        for row, column in enumerate(weighted):
            for other in range(row, _NUMBERS):
                matrix[row, other] += float(np.vdot(column, columns[other]))
            vector[row] += float(np.vdot(column, self.residual))
        if self.smooth is not None:
            down, right = self.smooth
            scaled = self.smooth if weights is None else (down * weights, right * weights)
            smooth[0, 0] += float(np.vdot(scaled[0], down))
            smooth[0, 1] += float(np.vdot(scaled[0], right))
            smooth[1, 1] += float(np.vdot(scaled[1], right))
        residual = self.residual if weights is None else self.residual * weights
        return float(np.vdot(residual, self.residual))


@lru_cache(maxsize=4)
def _ones(size: int) -> Floats:
    return np.ones(size, np.float32)


def _difference(image: Floats, margin: int, axis: int) -> Floats:
    """Central difference along ``axis``, without the margins."""
    inner = slice(margin, -margin)
    after, before = slice(margin + 1, 1 - margin or None), slice(margin - 1, -margin - 1)
    if axis == 0:
        difference = image[after, inner] - image[before, inner]
    else:
        difference = image[inner, after] - image[inner, before]
    difference *= np.float32(0.5)
    return difference


def step(aligned: Aligned, fit: Fit, weights: Floats) -> Fit | None:
    """One step of the fit from ``fit``, where ``weights`` (Y, X) say how much each pixel counts."""
    residual = -aligned.residual(fit.gain, fit.offset)
    columns = (aligned.down, aligned.right, aligned.reference, np.ones_like(aligned.reference))
    matrix, vector = np.empty((4, 4)), np.empty(4)
    for row, column in enumerate(columns):
        weighted = column * weights
        for other in range(row, 4):
            matrix[row, other] = matrix[other, row] = np.vdot(weighted, columns[other])
        vector[row] = np.vdot(weighted, residual)
    return Sums(matrix, vector, 0.0, np.zeros((2, 2)), float(weights.sum())).step(fit)


def gradient_noise(white: float, sigma_px: float) -> float:
    """The variance of the central differences of white noise of variance ``white``, smoothed."""
    return white / (4 * math.pi * sigma_px**2) * (1 - math.exp(-1 / sigma_px**2)) / 2
