"""Synthetic fields with known cells: the answer first, then the picture of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import linear_sum_assignment

from inscoper_mm.specimen import Specimen, SpecimenParameters, Truth, View


@dataclass(frozen=True)
class Field:
    """An image (Y, X) uint16 and the true labels (Y, X) int32 it was made from."""

    image: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.int32]


def _outline(rng: np.random.Generator, diameter_px: float) -> npt.NDArray[np.float64]:
    """A wobbly ellipse around (0, 0): (N, 2) as x, y."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.full(64, diameter_px / 2)
    for order in (2, 3, 4):
        radius *= 1 + rng.uniform(0, 0.12 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    ratio = np.sqrt(rng.uniform(1.0, 1.7))
    turn = rng.uniform(0, np.pi)
    x, y = radius * np.cos(angle) * ratio, radius * np.sin(angle) / ratio
    return np.column_stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)])


def _draw(outline: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.round(outline * 16).astype(np.int32)], 1, shift=4)
    return canvas > 0


def _place(
    rng: np.random.Generator, shape: tuple[int, int], count: int, diameter_px: float, touching: float
) -> npt.NDArray[np.int32]:
    """Labels of ``count`` cells at random places; a part of them touch the one before."""
    labels = np.zeros(shape, np.int32)
    centre = np.zeros(2)
    label = 0
    for _ in range(count * 30):
        size = diameter_px * rng.uniform(0.75, 1.25)
        touch = label > 0 and rng.random() < touching
        if touch:
            turn = rng.uniform(0, 2 * np.pi)
            place = centre + 0.95 * size * np.array([np.cos(turn), np.sin(turn)])
        else:
            place = rng.uniform(0, 1, 2) * np.array(shape[::-1])
        mask = _draw(_outline(rng, size) + place, shape)
        ring = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        covered = np.count_nonzero(labels[mask]) / max(1, np.count_nonzero(mask))
        if not mask.any() or (covered > 0.08 if touch else labels[ring].any()):
            continue
        label += 1
        labels[mask & (labels == 0)] = label
        centre = place
        if label == count:
            break
    return labels


def _widely_blurred(image: npt.NDArray[np.float64], sigma_px: float) -> npt.NDArray[np.float64]:
    """Gauss, at a resolution that is enough for it."""
    factor = max(1, int(sigma_px / 4))
    size = (image.shape[1], image.shape[0])
    small = cv2.resize(image, (size[0] // factor, size[1] // factor), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma_px / factor), size, interpolation=cv2.INTER_CUBIC)


def make_field(
    seed: int,
    shape: tuple[int, int] = (512, 512),
    count: int = 40,
    diameter_px: float = 30.0,
    touching: float = 0.2,
    peak: float = 60.0,
    haze: float = 30.0,
    fall_off: float = 0.4,
    blur_px: float = 1.5,
    read_noise: float = 3.0,
) -> Field:
    """A field of textured cells under uneven light, with haze, shot noise and read noise.

    ``peak`` and ``haze`` are photoelectrons; the camera adds an offset of 100.
    """
    rng = np.random.default_rng(seed)
    labels = _place(rng, shape, count, diameter_px, touching) if count else np.zeros(shape, np.int32)
    brightness = np.concatenate([[0.0], rng.uniform(0.5, 1.0, int(labels.max()))])
    texture = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), diameter_px / 12)
    cells = brightness[labels] * np.clip(1 + 0.2 * texture / texture.std(), 0.3, 2)
    y, x = np.mgrid[: shape[0], : shape[1]]
    far = ((y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2) / (shape[0] ** 2 + shape[1] ** 2) * 4
    light = 1 - fall_off * far
    scattered = _widely_blurred(cells, 2.5 * diameter_px) * 2
    clouds = _widely_blurred(rng.normal(0, 1, shape), shape[0] / 6)
    fog = haze * (1 + 0.5 * clouds / clouds.std()).clip(0.2)
    expected = (peak * cv2.GaussianBlur(cells, (0, 0), blur_px) + peak * 0.3 * scattered + fog) * light
    electrons = rng.poisson(expected) + rng.normal(0, read_noise, shape)
    return Field(np.clip(electrons + 100, 0, 65535).astype(np.uint16), labels)


@pytest.fixture(scope="session")
def field() -> Callable[..., Field]:
    """The maker of synthetic fields: ``field(seed, count=..., ...)``."""
    return make_field


def count_matches(
    found: npt.NDArray[np.integer], truth: npt.NDArray[np.integer], iou: float = 0.5
) -> tuple[int, int, int]:
    """True positives, false positives and misses at this intersection over union."""
    found = np.unique(found, return_inverse=True)[1].reshape(found.shape)
    truth = np.unique(truth, return_inverse=True)[1].reshape(truth.shape)
    shared = np.zeros((truth.max() + 1, found.max() + 1))
    np.add.at(shared, (truth.ravel(), found.ravel()), 1)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    overlap = (shared / union)[1:, 1:]
    rows, cols = linear_sum_assignment(-overlap)
    hits = int(np.count_nonzero(overlap[rows, cols] >= iou))
    return hits, overlap.shape[1] - hits, overlap.shape[0] - hits


@pytest.fixture(scope="session")
def matches() -> Callable[..., tuple[int, int, int]]:
    """``matches(found, truth)``: true positives, false positives and misses at IoU 0.5."""
    return count_matches


@pytest.fixture(scope="session")
def render() -> Callable[..., tuple[npt.NDArray[np.uint16], Truth, View]]:
    """``render(seed, channel, x_um, y_um, **parameters)``: image, truth and view of a virtual specimen."""

    @lru_cache(maxsize=8)
    def specimen_of(**parameters: Any) -> Specimen:
        return Specimen(SpecimenParameters(**parameters))

    def make(
        seed: int, channel: str, x_um: float = 0.0, y_um: float = 0.0, z_um: float = 0.0, **parameters: Any
    ) -> tuple[npt.NDArray[np.uint16], Truth, View]:
        specimen = specimen_of(seed=seed, **parameters)
        view = View(x_um, y_um, z_um, channel, 20.0, image=round(x_um) % 1000)
        return specimen.render(view), specimen.truth(view), view

    return make
