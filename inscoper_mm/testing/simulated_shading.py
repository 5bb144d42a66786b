"""Fields of cells under known uneven light: the answer first, then the camera's pictures of it.

Six cases: smooth and hard light, each with 5, 20 and 50 % of the fields covered by cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

OFFSET = 100.0
FIELDS = 20
SIDE_PX = 2048
# Light of an empty field, in photo-electrons; the camera has one grey value for each.
_LEVEL_ELECTRONS = 300.0
_READ_NOISE_ELECTRONS = 2.0
# Radii of cells, in pixels, and how much brighter than the empty field they are.
_RADII_PX = (14.0, 30.0)
# Beyond the radius a cell is still seen this far.
_EDGE_PX = 3.0
_BRIGHTNESS = (0.5, 3.5)
# Relative to the level, from field to field: medium, time since the lamp was switched on.
_LEVEL_SPREAD = 0.15


@dataclass(frozen=True, slots=True)
class Case:
    """One of the six cases."""

    light: str
    coverage: float

    def __str__(self) -> str:
        return f"{self.light}, {self.coverage:.0%} cells"


CASES = tuple(Case(light, coverage) for light in ("smooth", "hard") for coverage in (0.05, 0.20, 0.50))


def light(kind: str, side: int = SIDE_PX) -> Floats:
    """The light (Y, X), of mean 1.

    ``smooth`` is a Gaussian, off centre, times a slope. ``hard`` is a flat top with a hot spot, fringes of 2 %, and 15
    spots of dust. The finest structures keep their size in pixels where ``side`` is smaller.
    """
    row, col = np.mgrid[:side, :side] / side - 0.5
    shape = {"smooth": _smooth, "hard": _hard}[kind](row, col, side)
    return np.asarray(shape / shape.mean())


def fields(
    case: Case, seed: int = 0, count: int = FIELDS, side: int = SIDE_PX
) -> Iterator[npt.NDArray[np.uint16]]:
    """Pictures (Y, X) of different places, one after the other, with shot noise, read noise and ``OFFSET``."""
    lamp = light(case.light, side)
    for number in range(count):
        random = np.random.default_rng([seed, number])
        level = _LEVEL_ELECTRONS * (1 + _LEVEL_SPREAD * random.uniform(-1, 1))
        electrons = random.poisson(lamp * level * (1 + cells(random, case.coverage, side)))
        picture = electrons + random.normal(OFFSET + 0.5, _READ_NOISE_ELECTRONS, electrons.shape)
        yield np.clip(picture, 0, 65535).astype(np.uint16)


def error_percent(estimate: npt.NDArray[np.floating[Any]], kind: str) -> tuple[float, float]:
    """Root mean square and largest relative error of an estimate of the light, whatever its scale, in percent."""
    truth = light(kind, len(estimate))
    ratio = np.asarray(estimate, np.float64) / truth
    off = ratio / ratio.mean() - 1
    return 100 * float(np.sqrt(np.mean(off**2))), 100 * float(np.abs(off).max())


def cells(random: np.random.Generator, coverage: float, side: int) -> Floats:
    """The light of cells above that of the empty field (Y, X), relative to it; ``coverage`` of the pixels are cells."""
    low, high = (radius + _EDGE_PX for radius in _RADII_PX)
    area = math.pi * (low * low + low * high + high * high) / 3
    margin = 2 * high
    # Placed independently: 1 - exp(-density x area) of the plane is covered.
    count = random.poisson(-math.log(1 - coverage) / area * (side + 2 * margin) ** 2)
    seen = np.zeros((side, side))
    for _ in range(count):
        place = random.uniform(-margin, side + margin, 2)
        radius, brightness, turn = (
            random.uniform(*_RADII_PX),
            random.uniform(*_BRIGHTNESS),
            random.uniform(0, math.pi),
        )
        _draw(seen, place, radius, math.exp(random.uniform(-0.25, 0.25)), turn, brightness)
    return seen


def _draw(seen: Floats, place: Floats, radius: float, long: float, turn: float, brightness: float) -> None:
    """Add an elliptic cell: brightest in its middle, half of that at its edge, which is three pixels soft."""
    reach = radius * max(long, 1 / long) + 6
    box = [slice(max(0, int(at - reach)), max(0, int(at + reach) + 1)) for at in place]
    part = seen[box[0], box[1]]
    if not part.size:
        return
    down = np.arange(box[0].start, box[0].start + part.shape[0])[:, None] - place[0]
    right = np.arange(box[1].start, box[1].start + part.shape[1])[None, :] - place[1]
    along = (right * math.cos(turn) + down * math.sin(turn)) / (radius * long)
    across = (down * math.cos(turn) - right * math.sin(turn)) * long / radius
    depth = np.sqrt(along * along + across * across)
    edge = 1 / (1 + np.exp(np.minimum((depth - 1) * radius / 1.5, 50.0)))
    part += brightness * (1 - 0.5 * np.minimum(depth, 1.0) ** 2) * edge


def _smooth(row: Floats, col: Floats, side: int) -> Floats:
    return np.asarray(
        np.exp(-((row - 0.06) ** 2 + (col + 0.08) ** 2) / (2 * 0.52**2)) * (1 + 0.15 * col - 0.1 * row)
    )


def _hard(row: Floats, col: Floats, side: int) -> Floats:
    random = np.random.default_rng(5)
    far = np.hypot(row + 0.02, col - 0.03)
    shape = 0.55 + 0.45 / (1 + np.exp((far - 0.5) / 0.05))
    shape += 0.3 * np.exp(-((row + 0.15) ** 2 + (col - 0.1) ** 2) / (2 * 0.1**2))
    pixel = 1 / side
    shape *= 1 + 0.02 * np.sin(2 * math.pi * (row * 0.6 + col * 0.8) / (110 * pixel))
    for _ in range(15):
        at, size, depth = (
            random.uniform(-0.5, 0.5, 2),
            random.uniform(15, 40) * pixel,
            random.uniform(0.05, 0.2),
        )
        shape *= 1 - depth * np.exp(-((row - at[0]) ** 2 + (col - at[1]) ** 2) / (2 * size**2))
    return np.asarray(shape)
