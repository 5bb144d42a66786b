"""What does not move with the rest: the shift that most of an image agrees on, and which pixels follow it.

Cells that move on their own pull a least-squares shift with them. Here each block of the image votes for a shift of
its own; where enough of them agree, the others are left out, and then the pixels that do not fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.fine_shift import MARGIN_PX, Aligned, Fit, Pair, Vector, gradient_noise, step
from inscoper_mm.analysis.resampling import Floats, block_sums

# Blocks agree that are this close to each other; cells that move on their own rarely move by less.
_TOLERANCE_PX = 0.15
# Of the camera; blocks have at least half as many pixels of the binned image.
_BLOCK_PX = 32
_FEWEST_VOTES = 6
_MOST_CANDIDATES = 64
# Where (almost) all agree there is nothing to do; where few agree, agreement is chance and least squares is right.
_ALL_AGREE = 0.9
_TOO_FEW_AGREE = 0.2
_ROUNDS = 3
_STEPS = 6
# The last fit, with all pixels, follows.
_ENOUGH_PX = 5e-3
# A pixel stops counting where the residual around it (of this width) has this many times the energy of noise.
_AROUND_PX = 4
_TOO_MUCH_ENERGY = 3.0
_FEWEST_PIXELS = 50
# Of a squared normal variable, in units of its variance.
_MEDIAN_OF_SQUARE = 0.455
# Every so many pixels are enough to know the noise.
_SAMPLE = 3


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """Where the blocks want to go: ``mode_px`` (row, col) is what most of them want, ``agree`` their share.

    ``weights`` is an image of one pixel a block.
    """

    mode_px: tuple[float, float]
    agree: float
    weights: Floats
    block_px: int


def follow_the_majority(pair: Pair, fit: Fit) -> tuple[Fit, Floats | None]:
    """``fit`` without what moves on its own.

    Returns
    -------
    fit : Fit
        The given one where (almost) everything moves alike, and where no majority does.
    weights : ndarray or None
        How much each pixel of the overlap counts, where some were left out.
    """
    found = fit
    votes = None
    for number in range(_ROUNDS):
        aligned = pair.aligned(found.shift_px)
        votes = None if aligned is None else count_votes(aligned, found, pair)
        if aligned is None or votes is None or votes.agree < _TOO_FEW_AGREE:
            return fit, None
        if number == 0 and votes.agree > _ALL_AGREE:
            return fit, None
        found = _moved(found, aligned, votes)
        if math.hypot(*votes.mode_px) < _TOLERANCE_PX / 8:
            break
    assert votes is not None
    return _fit_what_agrees(pair, found, votes) or (fit, None)


def _moved(fit: Fit, aligned: Aligned, votes: Votes) -> Fit:
    """``fit`` moved to the mode, with gain and offset of the blocks that agree."""
    row, col = (float(np.clip(part, -1.0, 1.0)) for part in votes.mode_px)
    light = step(aligned, fit, _spread(votes, aligned.reference.shape))
    gain, offset = (fit.gain, fit.offset) if light is None else (light.gain, light.offset)
    return Fit((fit.shift_px[0] + row, fit.shift_px[1] + col), gain, offset, math.hypot(row, col))


def count_votes(aligned: Aligned, fit: Fit, pair: Pair) -> Votes | None:
    """Ask each block how far it lies from ``fit``; None where too few can tell."""
    size, sigma_px = max(_BLOCK_PX // pair.factor, _BLOCK_PX // 2), pair.sigma_px
    if min(aligned.reference.shape) < size:
        return None
    down, right, rest = aligned.down, aligned.right, aligned.residual(fit.gain, fit.offset)
    products = (down * down, down * right, right * right, down * rest, right * rest)
    sums = [block_sums(product, size) for product in products]
    shape = sums[0].shape
    rr, rc, cc, br, bc = (each.ravel().astype(float) for each in sums)
    # The smaller eigenvalue: what the block knows about its place in its worst direction.
    known = 0.5 * (rr + cc) - np.hypot(0.5 * (rr - cc), rc)
    # Noise has gradients as well, and votes to stay: without it, an empty block knows nothing.
    white = float(np.median(rest[::_SAMPLE, ::_SAMPLE] ** 2)) / _MEDIAN_OF_SQUARE * 4 * math.pi * sigma_px**2
    known = np.maximum(known - size * size * gradient_noise(white / 4, sigma_px), 0.0)
    able = known > 0.02 * np.quantile(known, 0.98)
    if able.sum() < _FEWEST_VOTES:
        return None
    determinant = (rr * cc - rc * rc)[able]
    votes = np.stack([(cc * br - rc * bc)[able], (rr * bc - rc * br)[able]], axis=1) / determinant[:, None]
    # Capped, so that one bright cell does not decide.
    power = np.minimum(known[able], 2 * np.median(known[able]))
    # A block's own error is no disagreement; half of the noise, which is correlated, lies in the band of the gradients.
    tolerance = (_TOLERANCE_PX / pair.factor) ** 2 + white / 2 / known[able]
    mode = _mode(votes, power, tolerance)
    distance = ((votes - mode) ** 2).sum(axis=1)
    agree = power[distance < 4 * tolerance].sum() / power.sum()
    weights = np.zeros(known.size, np.float32)
    weights[able] = _closeness(distance, tolerance)
    return Votes((float(mode[0]), float(mode[1])), float(agree), weights.reshape(shape), size)


def _closeness(distance: Vector, tolerance: Vector) -> Vector:
    """1 for a squared distance of 0, next to nothing from a few tolerances (squared, too) on (Geman-McClure)."""
    return np.asarray(1 / (1 + distance / tolerance) ** 2)


def _mode(votes: Vector, power: Vector, tolerance: Vector) -> Vector:
    """The place of the densest crowd: the best of the strongest votes, moved to the mean around it."""
    strongest = votes[np.argsort(-power, kind="stable")[:_MOST_CANDIDATES]]
    candidates = np.concatenate([strongest, [[0.0, 0.0]]])
    crowds = _closeness(((candidates[:, None, :] - votes[None]) ** 2).sum(axis=2), tolerance) @ power
    mode = candidates[int(np.argmax(crowds))]
    for _ in range(20):
        weights = power * _closeness(((votes - mode) ** 2).sum(axis=1), tolerance)
        better = weights @ votes / weights.sum()
        if np.hypot(*(better - mode)) < 1e-4:
            break
        mode = better
    return np.asarray(mode)


def _spread(votes: Votes, shape: tuple[int, ...]) -> Floats:
    """The blocks' weights as an image of ``shape``; what fills no block does not count."""
    rows, cols = (size * votes.block_px for size in votes.weights.shape)
    large = cv2.resize(votes.weights, (cols, rows), interpolation=cv2.INTER_NEAREST)[: shape[0], : shape[1]]
    spread = np.zeros(shape, np.float32)
    spread[: large.shape[0], : large.shape[1]] = large
    return spread


def _fit_what_agrees(pair: Pair, fit: Fit, votes: Votes) -> tuple[Fit, Floats] | None:
    """The fit to the pixels whose residual is noise; which those are is found with the fit."""
    noise: _Noise | None = None
    for _ in range(_STEPS):
        aligned = pair.aligned(fit.shift_px)
        if aligned is None:
            return None
        if noise is None:
            residual = aligned.residual(fit.gain, fit.offset)
            noise = _Noise.of(aligned.reference, residual, _spread(votes, residual.shape) > 0.5)
        weights = _weights(aligned, fit, noise)
        found = step(aligned, fit, weights)
        if found is None:
            return None
        if found.step_px < _ENOUGH_PX:
            return fit, weights
        fit = found
    # The overlap is that of the last step but one: its weights would be of another shape.
    last = pair.aligned(fit.shift_px)
    return None if last is None or noise is None else (fit, _weights(last, fit, noise))


def _weights(aligned: Aligned, fit: Fit, noise: _Noise) -> Floats:
    """How much each pixel counts: 1 in the dark where the fit holds, less in brighter noise, 0 where not."""
    residual = aligned.residual(fit.gain, fit.offset)
    variance = noise.variance(aligned.reference)
    # Twice a box: a Gaussian's width at a part of its time.
    box = 2 * _AROUND_PX + 1, 2 * _AROUND_PX + 1
    energy = cv2.blur(cv2.blur(residual * residual / variance, box), box)
    return np.asarray(noise.dark / (1 + (energy / _TOO_MUCH_ENERGY) ** 3) / variance, np.float32)


def spread_out(agree: Floats, shape: tuple[int, int], factor: int) -> Floats:
    """``agree`` of images that are binned ``factor`` times more, as weights of an overlap of ``shape``."""
    margin = MARGIN_PX
    rows, cols = shape
    large = (
        cv2.resize(agree, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) if factor > 1 else agree
    )
    # Both begin a margin of their own pixels inside of (almost) the same overlap.
    before = margin * (factor - 1)
    padded = cv2.copyMakeBorder(
        large,
        before,
        max(rows - before - large.shape[0], 0),
        before,
        max(cols - before - large.shape[1], 0),
        cv2.BORDER_REPLICATE,
    )
    return np.asarray(padded[:rows, :cols])


@dataclass(frozen=True, slots=True)
class _Noise:
    """The variance of the residual: ``dark`` at grey value ``at``, and ``slope`` for each grey value above."""

    dark: float
    slope: float
    at: float

    @classmethod
    def of(cls, grey: Floats, residual: Floats, where: npt.NDArray[np.bool_]) -> _Noise:
        """Measured where ``where``: a line through the medians of the squared residuals of eight grey levels."""
        sample = np.s_[::_SAMPLE, ::_SAMPLE]
        grey, residual, where = grey[sample], residual[sample], where[sample]
        values, squares = grey[where], residual[where] ** 2
        if values.size < _FEWEST_PIXELS:
            values, squares = grey.ravel(), residual.ravel() ** 2
        level = np.digitize(values, np.linspace(values.min(), np.quantile(values, 0.999), 9)[1:-1])
        full = [number for number in range(8) if (level == number).sum() > _FEWEST_PIXELS] or [0]
        greys = np.array([values[level == number].mean() for number in full])
        found = np.array([np.median(squares[level == number]) for number in full]) / _MEDIAN_OF_SQUARE
        found = np.maximum(found, 1e-12 * float(np.square(values).mean()) + 1e-30)
        if len(full) < 3:
            return cls(float(found[0]), 0.0, float(greys[0]))
        counts = np.array([(level == number).sum() for number in full])
        slope, start = np.polyfit(greys - greys[0], found, 1, w=np.sqrt(counts) / found)
        return cls(float(max(start, 0.3 * found[0])), float(max(slope, 0.0)), float(greys[0]))

    def variance(self, grey: Floats) -> Floats:
        """The variance of the residual at each pixel."""
        line = np.float32(self.dark) + np.float32(self.slope) * (grey - np.float32(self.at))
        return np.asarray(np.maximum(line, np.float32(0.3 * self.dark)))
