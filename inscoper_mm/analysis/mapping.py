"""Maps between two planes, fitted to pairs of points of which some may be wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput

Floats = npt.NDArray[np.float64]
MapModel = Literal["affine", "second_order"]

_TRIALS = 400
_ROUNDS = 20
# Pairs farther from the map than this many robust standard deviations are left out.
_FAR = 4.0
_FEWEST_KEPT = 0.6


def _affine_terms(a: Floats, b: Floats) -> list[Floats]:
    return [np.ones_like(a), a, b]


def _second_order_terms(a: Floats, b: Floats) -> list[Floats]:
    return [np.ones_like(a), a, b, a * a, a * b, b * b]


_TERMS: Mapping[str, Callable[[Floats, Floats], list[Floats]]] = {
    "affine": _affine_terms,
    "second_order": _second_order_terms,
}


@dataclass(frozen=True, slots=True, eq=False)
class FittedMap:
    """A fitted map.

    Parameters
    ----------
    model : {"affine", "second_order"}
    coefficients : tuple of float
        Of the first target coordinate, then of the second: 3 each (1, a, b), or 6 each (1, a, b, a^2, a b, b^2).
    residual : float
        Root mean square of the distance of the kept pairs, in units of the source.
    largest : float
        The largest of these distances.
    kept : ndarray
        (N,) bool: the pairs that agree with the map.
    """

    model: MapModel
    coefficients: tuple[float, ...]
    residual: float
    largest: float
    kept: npt.NDArray[np.bool_]


def apply_map(model: str, coefficients: Sequence[float], source: Floats) -> Floats:
    """Where the map leads ``source`` (N, 2): (N, 2)."""
    terms = np.stack(_TERMS[model](*np.asarray(source, float).T), axis=1)
    return np.asarray(terms @ np.asarray(coefficients, float).reshape(2, -1).T)


def fit_map(
    source: Floats,
    target: Floats,
    model: MapModel,
    agree: float = math.inf,
    precise: float = 0.0,
    seed: int = 0,
) -> FittedMap:
    """Fit a map to pairs of points.

    Parameters
    ----------
    source, target : ndarray
        (N, 2) each.
    model : {"affine", "second_order"}
    agree : float
        A pair farther from the map than this, in units of the source, is wrong in any case.
    precise : float
        A pair nearer to the map than this is right in any case: without it, few pairs that agree by chance would make
        all others look wrong.
    seed : int
        Of the trials.

    Raises
    ------
    InvalidInput
        If there are too few pairs, they lie on a line, or fewer than six in ten agree with one map.

    Notes
    -----
    The start is the affine of three pairs with the least median of distances, tried at random; it is refitted to the
    pairs that agree with it until these no longer change. Rousseeuw (1984), doi:10.1080/01621459.1984.10477105.
    """
    source, target = np.asarray(source, float), np.asarray(target, float)
    terms = len(_TERMS[model](np.zeros(1), np.zeros(1)))
    if len(source) < terms + 1:
        raise InvalidInput(_failed(f"{len(source)} points are too few", f"at least {terms + 1}"))
    # Around 0 and of size 1: squares of pixel numbers would lose digits.
    centre, size = source.mean(axis=0), float(np.abs(source - source.mean(axis=0)).max()) or 1.0
    scaled = (source - centre) / size
    near = _least_median(scaled, target, np.random.default_rng(seed))
    nearest = max(precise / size, 1e-9)
    kept = near <= max(2 * _FAR * _spread(near), nearest)
    fitted = _solve(scaled[kept], target[kept], model)
    for _ in range(_ROUNDS):
        distance = _distance(scaled, target, fitted, model)
        now = distance <= min(max(_FAR * _spread(distance), nearest), agree / size)
        if np.array_equal(now, kept):
            break
        kept = now
        if kept.sum() < terms:
            break
        fitted = _solve(scaled[kept], target[kept], model)
    if kept.sum() < max(terms + 1, _FEWEST_KEPT * len(source)):
        raise InvalidInput(
            _failed(f"only {int(kept.sum())} of {len(source)} points agree with one map", "6 in 10")
        )
    distance = _distance(scaled, target, fitted, model)[kept] * size
    return FittedMap(
        model,
        tuple(_unscaled(fitted, centre, size, model).ravel().tolist()),
        float(np.sqrt(np.mean(distance**2))),
        float(distance.max()),
        kept,
    )


def _least_median(source: Floats, target: Floats, random: np.random.Generator) -> Floats:
    """The distances of all pairs from the best affine of three."""
    best: Floats | None = None
    for _ in range(_TRIALS):
        three = random.choice(len(source), 3, replace=False)
        sides = source[three[1:]] - source[three[0]]
        if abs(sides[0, 0] * sides[1, 1] - sides[0, 1] * sides[1, 0]) < 1e-3:
            continue
        distance = _distance(source, target, _solve(source[three], target[three], "affine"), "affine")
        if best is None or np.median(distance) < np.median(best):
            best = distance
    if best is None:
        raise InvalidInput(_failed("the points lie on a line", "points all over the field"))
    return best


def _solve(source: Floats, target: Floats, model: MapModel) -> Floats:
    """(2, terms)"""
    terms = np.stack(_TERMS[model](*source.T), axis=1)
    return np.asarray(np.linalg.lstsq(terms, target, rcond=None)[0].T)


def _distance(source: Floats, target: Floats, fitted: Floats, model: MapModel) -> Floats:
    """Distances (N,), in units of the source: through the inverse of the map's linear part."""
    off = np.stack(_TERMS[model](*source.T), axis=1) @ fitted.T - target
    linear = fitted[:, 1:3]
    if abs(np.linalg.det(linear)) < 1e-12 * max(1e-30, float(np.abs(linear).max()) ** 2):
        return np.full(len(source), np.inf)
    return np.asarray(np.hypot(*np.linalg.solve(linear, off.T)))


def _spread(distance: Floats) -> float:
    return 1.4826 * float(np.median(distance))


def _unscaled(fitted: Floats, centre: Floats, size: float, model: MapModel) -> Floats:
    """Coefficients for sources that are neither centred nor scaled."""
    return _moved(fitted / np.array([size**power for power in _POWERS[model]]), centre, model)


_POWERS: Mapping[str, tuple[int, ...]] = {"affine": (0, 1, 1), "second_order": (0, 1, 1, 2, 2, 2)}


def _moved(coefficients: Floats, centre: Floats, model: MapModel) -> Floats:
    """The polynomial in (a - centre) written as one in a."""
    a, b = centre
    result = coefficients.copy()
    constant, first, second = coefficients[:, 0], coefficients[:, 1], coefficients[:, 2]
    result[:, 0] = constant - first * a - second * b
    if model == "second_order":
        aa, ab, bb = coefficients[:, 3], coefficients[:, 4], coefficients[:, 5]
        result[:, 0] += aa * a * a + ab * a * b + bb * b * b
        result[:, 1] = first - 2 * aa * a - ab * b
        result[:, 2] = second - 2 * bb * b - ab * a
    return result


def _failed(message: str, allowed: str) -> Finding:
    return Finding(f"The map cannot be fitted: {message}.", allowed=allowed)
