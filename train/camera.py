"""What a microscope makes of the light of a field: blur, haze, background, uneven light, noise, whole numbers."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]


def photographed(rng: np.random.Generator, light: Image, diameter_px: float) -> tuple[Image, float]:
    """An image of ``light``, and how far a point is blurred in it (sigma in pixels)."""
    blur_px = float(rng.choice([0.5, 0.8, 1.2, 1.8, 2.6]) * rng.uniform(0.8, 1.2) * np.sqrt(diameter_px / 24))
    image = cv2.GaussianBlur(light, (0, 0), blur_px)
    if haze := rng.choice([0, 0.1, 0.3, 0.6]):
        image = image + haze * cv2.GaussianBlur(image, (0, 0), diameter_px * rng.uniform(0.6, 2))
    image = (image + _background(rng, image.shape, diameter_px)) * _uneven(rng, image.shape)
    if rng.random() < 0.3:
        image = image + _debris(rng, image.shape)
    return _digitised(rng, image), blur_px


def _places(shape: tuple[int, ...]) -> tuple[Image, Image]:
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return rows / shape[0] - 0.5, cols / shape[1] - 0.5


def _background(rng: np.random.Generator, shape: tuple[int, ...], diameter_px: float) -> Image:
    rows, cols = _places(shape)
    slope = 1 + 0.5 * rng.normal() * cols + 0.5 * rng.normal() * rows
    level = rng.choice([0.02, 0.1, 0.3, 0.6]) * slope
    coarse = max(4, int(shape[0] / diameter_px))
    clouds = cv2.resize(
        rng.normal(size=(coarse, coarse)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    return np.clip(level + rng.choice([0, 0.05, 0.1]) * clouds, 0, None).astype(np.float32)


def _uneven(rng: np.random.Generator, shape: tuple[int, ...]) -> Image:
    rows, cols = _places(shape)
    return (1 - rng.uniform(0, 0.5) * (rows**2 + cols**2) * 2).astype(np.float32)


def _debris(rng: np.random.Generator, shape: tuple[int, ...]) -> Image:
    """Bright specks that are no cells."""
    specks = np.zeros(shape, np.float32)
    for _ in range(rng.integers(1, 25)):
        specks[tuple(rng.integers(0, shape[0], 2))] = rng.uniform(0.5, 6)
    return np.asarray(4 * cv2.GaussianBlur(specks, (0, 0), rng.uniform(0.6, 1.5)))


def _digitised(rng: np.random.Generator, image: Image) -> Image:
    photons = np.exp(rng.uniform(np.log(8), np.log(1500)))
    noisy = rng.poisson(np.clip(image, 0, None) * photons) + rng.normal(0, rng.uniform(0, 3), image.shape)
    noisy = noisy.astype(np.float32)
    if rng.random() < 0.3:  # compressed, or filtered by the camera
        noisy = cv2.GaussianBlur(noisy, (0, 0), rng.uniform(0.4, 1.0))
    low, high = np.percentile(noisy, [0.5, rng.choice([99.0, 99.9, 100])])
    if rng.random() < 0.4:  # 8 bits, or a few grey values of 16
        noisy = np.round(np.clip((noisy - low) / (high - low + 1e-6), 0, 1) * rng.choice([40, 120, 255]))
    if rng.random() < 0.2:  # somebody's gamma
        noisy = np.clip(noisy - np.percentile(noisy, 1), 0, None) ** rng.uniform(0.7, 1.4)
    return noisy.astype(np.float32)
