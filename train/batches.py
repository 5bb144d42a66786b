"""Training examples: parts of fields, turned, mirrored and scaled to the network's size of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from fields import SIDE_PX, make_field

Array = npt.NDArray[np.float32]
CROP_PX = 128
DIAMETER_PX = 17.0
_SCALES = 0.35


@dataclass(frozen=True)
class Example:
    """A field as the network sees it (Y, X), its cells and flows (3, Y, X), and the diameter of its cells."""

    image: Array
    target: Array
    diameter_px: float


def make_example(seed: int) -> Example | None:
    """The field of a seed with the flows of Cellpose; None where it has no cells."""
    import torch
    from cellpose import dynamics, transforms, utils

    image, labels = make_field(seed)
    if not labels.any():
        return None
    flows = dynamics.labels_to_flows([labels.astype(np.uint16)], device=torch.device("cpu"))[0]
    diameter = float(utils.diameters(labels)[0])
    normal = transforms.normalize99(image).astype(np.float32)
    return Example(normal, flows[1:4].astype(np.float32), diameter) if diameter > 3 else None


def batch(rng: np.random.Generator, examples: Sequence[Example], size: int) -> tuple[Array, Array]:
    """Images (size, 2, 128, 128) and targets (size, 3, 128, 128): cell or not, and the flow along y and x."""
    pairs = [_part(rng, examples[number]) for number in rng.integers(len(examples), size=size)]
    images, targets = (np.stack(parts).astype(np.float32) for parts in zip(*pairs, strict=True))
    return images, targets


def _part(rng: np.random.Generator, example: Example) -> tuple[Array, Array]:
    scale = DIAMETER_PX / example.diameter_px * np.exp(rng.uniform(-_SCALES, _SCALES))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        turn = turn @ np.diag([-1, 1])
    free = max(0.0, (SIDE_PX - CROP_PX / scale) / 2)
    centre = SIDE_PX / 2 + rng.uniform(-free, free, 2)
    matrix = np.hstack([scale * turn, (CROP_PX / 2 - scale * turn @ centre)[:, None]])

    def moved(plane: Array, how: int) -> Array:
        return np.asarray(cv2.warpAffine(plane, matrix, (CROP_PX, CROP_PX), flags=how), np.float32)

    image = example.image
    if scale < 1:
        image = cv2.GaussianBlur(image, (0, 0), max(0.01, 0.4 * (1 / scale - 1)))
    seen = moved(image, cv2.INTER_LINEAR) * rng.uniform(0.7, 1.3) + rng.normal(0, 0.1)
    cells = moved(example.target[0], cv2.INTER_NEAREST)
    down, right = (moved(plane, cv2.INTER_LINEAR) for plane in example.target[1:])
    along_x, along_y = turn @ np.stack([right.ravel(), down.ravel()])
    flows = [along_y.reshape(cells.shape), along_x.reshape(cells.shape)]
    return np.stack([seen, np.zeros_like(seen)]), np.stack([cells, *flows])
