"""What several noisy fields agree on in each place, where some of them are too bright there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.surface import Surface

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Values so many standard deviations from each other's mean agree.
_AGREES = 2.5
_START_QUANTILE = 0.25
_ROUNDS = 3
# Neighbours count as far as this, in tiles.
_NEAR = 2.0
# Brighter than the neighbours by so many times what is usual: cells. Where most fields agree, that must be far more.
_SUSPECT, _SUSPECT_IF_MOST = 4.0, 20.0
_PEELINGS, _FITS = 8, 3
_DEGREE = 6
# Weight of places that one field alone speaks for.
_ALONE = 0.01
# To normal distribution's standard deviation.
_SIGMA = 1.4826
# A quarter of its absolute values are smaller than this many of them.
_QUARTER = 0.3186
_VERY_FEW = 3
_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """What the fields agree on.

    Parameters
    ----------
    values : (F, Y, X) float32
        The fields less their own levels.
    chosen : (F, Y, X) bool
        Those that agree, in each place.
    level : float
        Mean level of the fields.
    noise : (Y, X) float32
        Standard deviation of one value.
    """

    values: Floats
    chosen: Mask
    level: float
    noise: Floats

    @property
    def support(self) -> Floats:
        """How many fields agree in each place (Y, X)."""
        return np.asarray(self.chosen.sum(axis=0, dtype=np.float32))

    @property
    def light(self) -> Floats:
        """The mean of those (Y, X); 0 where there is none."""
        return _mean(self.values, self.chosen)[0]

    def filled(self, rest: Floats) -> Floats:
        """``rest`` (Y, X) with the places that no field speaks for filled from their neighbours, or by 0."""
        support = self.support
        weight = _near(support)
        filled = _near(support * rest) / np.maximum(weight, 1e-6)
        return np.where(support > 0, rest, np.where(weight > 0.05, filled, np.float32(0)))

    def contradictions(self, count: int) -> Iterator[tuple[Floats, Floats]]:
        """Noise like that of `light`, with the places' weights: what two halves of the fields differ in.

        The fields are divided at random, up to ``count`` times; of one field, the noise of its values is taken.
        """
        fields = len(self.values)
        random = np.random.default_rng(_SEED)
        support = self.support
        if fields == 1:
            drawn = random.standard_normal(support.shape, dtype=np.float32)
            yield np.where(support > 0, drawn * self.noise, np.float32(0)), support
            return
        for _ in range(min(count, fields * (fields - 1) // 2)):
            half = np.zeros(fields, bool)
            half[random.permutation(fields)[: fields // 2]] = True
            (first, n_first), (second, n_second) = (
                _mean(self.values[part], self.chosen[part]) for part in (half, ~half)
            )
            both = (n_first > 0) & (n_second > 0)
            parts = 1 / np.maximum(n_first, 1) + 1 / np.maximum(n_second, 1)
            scale = np.sqrt(1 / (np.maximum(support, 1) * parts))
            yield np.where(both, (first - second) * scale, np.float32(0)), np.where(both, support, 0)


def agree(fields: Floats) -> Agreement:
    """Find what the fields (F, Y, X) agree on, up to a level of their own for each.

    A field may be too bright in any place, so much that most of them are in some places; it is too dark nowhere.
    Infinite values are unknown.
    """
    level = np.array([_start_level(field) for field in fields], np.float32)
    values = fields - level[:, None, None]
    light = np.quantile(values, _START_QUANTILE, axis=0, method="lower")
    light = np.where(np.isfinite(light), light, 0).astype(np.float32)
    noise, chosen = light, np.isfinite(values)
    for _ in range(_ROUNDS):
        noise = _noise(values, light)
        chosen = _densest(values, noise)
        light, _support = _mean(values, chosen)
        level = _levels(fields - light, noise, level)
        values = fields - level[:, None, None]
    chosen = _without_suspects(values, chosen, noise)
    return Agreement(values, chosen, float(level.mean()), noise)


def _start_level(field: Floats) -> float:
    known = field[np.isfinite(field)]
    return float(np.quantile(known, _START_QUANTILE)) if known.size else 0.0


def _noise(values: Floats, light: Floats) -> Floats:
    """Standard deviation of one value in each place (Y, X).

    From those darker than what is agreed on, which have no cell in them; of very few fields that may be none, then
    from what differs between neighbours where they differ least. Noise of photons: relative to the light, it falls
    with the root of the light.
    """
    if len(values) > _VERY_FEW:
        differences = (light - values)[values < light]
        typical = _SIGMA * float(np.median(differences)) if differences.size else 0.0
    else:
        with np.errstate(invalid="ignore"):
            differences = np.abs(values[:, :-2:2] - 2 * values[:, 1:-1:2] + values[:, 2::2])
        known = differences[np.isfinite(differences)]
        typical = float(np.quantile(known, 0.25)) / _QUARTER / np.sqrt(6) if known.size else 0.0
    relative = np.exp(-0.5 * (light - light.mean()))
    return np.asarray(max(typical, 1e-6) * relative, np.float32)


def _densest(values: Floats, noise: Floats) -> Mask:
    """Where the values lie closest together, and the lowest such place if there are several."""
    ordered = np.sort(values, axis=0)
    width = 2 * _AGREES * noise
    together = np.zeros(values.shape, np.int16)
    for step in range(len(values)):
        with np.errstate(invalid="ignore"):
            together[: len(values) - step] += ordered[step:] - ordered[: len(values) - step] < width
    lowest = np.take_along_axis(ordered, together.argmax(axis=0)[None], axis=0)
    chosen = (values >= lowest) & (values < lowest + width)
    for _ in range(2):
        middle, _support = _mean(values, chosen)
        chosen = np.abs(values - middle) < _AGREES * noise
    return chosen


def _levels(above: Floats, noise: Floats, level: Floats) -> Floats:
    """The levels (F,) of the fields, of which ``above`` is what is left once the light is taken off."""
    for _ in range(3):
        near = np.abs(above - level[:, None, None]) < _AGREES * noise
        total = np.where(near, above, np.float32(0)).sum(axis=(1, 2), dtype=np.float64)
        count = near.sum(axis=(1, 2))
        level = np.where(count > 0, total / np.maximum(count, 1), level).astype(np.float32)
    return level


def _without_suspects(values: Floats, chosen: Mask, noise: Floats) -> Mask:
    """The choice, made again in places that are brighter than their neighbours say: by what these expect there.

    In such a place all fields have cells, or cells of like brightness have outvoted the light.
    """
    light, support = _mean(values, chosen)
    trust = np.maximum(support - 1, _ALONE) if len(values) > 2 else support
    suspicious = np.where(support <= max(2, len(values) / 2), _SUSPECT, _SUSPECT_IF_MOST)
    weight, own = trust, _own_weight()
    for round_ in range(_PEELINGS):
        if round_ < _FITS:
            surface = Surface.fit(light, weight, _DEGREE).on(light.shape)
        rest = light - surface
        around = _near(weight) - own * weight
        expected = (_near(weight * rest) - own * weight * rest) / np.maximum(around, 1e-3)
        expected[around < 0.02 * max(1.0, float(np.median(weight)))] = 0
        above = rest - expected
        below = -above[(weight > 0) & (above < 0)]
        usual = _SIGMA * float(np.median(below)) if below.size else 0.0
        bad = above > suspicious * usual
        weight = np.where(bad, np.float32(0), trust)
    near = np.abs(values - (surface + expected)) < _SUSPECT * usual + _AGREES * noise
    return np.where(bad, near, chosen)


def _mean(values: Floats, chosen: Mask) -> tuple[Floats, Floats]:
    """Mean of the chosen values in each place, 0 where there is none, and how many they are (Y, X)."""
    support = chosen.sum(axis=0, dtype=np.float32)
    total = np.where(chosen, values, np.float32(0)).sum(axis=0, dtype=np.float32)
    return total / np.maximum(support, 1), support


def _near(image: Floats) -> Floats:
    return np.asarray(
        cv2.GaussianBlur(image.astype(np.float32), (0, 0), _NEAR, borderType=cv2.BORDER_REFLECT), np.float32
    )


def _own_weight() -> float:
    """What a place adds to its own neighbourhood."""
    point = np.zeros((41, 41), np.float32)
    point[20, 20] = 1
    return float(_near(point)[20, 20])
