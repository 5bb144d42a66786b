"""Made-up fluorescence images of nuclei, with their labels: what the small network learns from."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from camera import photographed
from outlines import Patch, draw_cell

SIDE_PX = 256
DIAMETERS_PX = (12.0, 36.0)
# People draw nuclei up to the foot of their edges: labels reach past the middle of the edge by up to so many blurs.
LABEL_REACH = 1.5
_MOST_CELLS, _MOST_TRIES = 600, 1500
_LEAST_AREA_PX = 12

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Culture:
    """What the cells of one field have in common."""

    diameter_px: float
    spread: float
    wobble: float
    elongation: float
    coverage: float
    clustering: float
    overlap: float
    brightness_spread: float
    dome: float
    dome_power: float
    rim: float
    texture: float
    mitoses: float
    spots: float

    @staticmethod
    def drawn(rng: np.random.Generator) -> Culture:
        """Any of very different cultures."""
        low, high = np.log(DIAMETERS_PX)
        return Culture(
            diameter_px=float(np.exp(rng.uniform(low, high))),
            spread=rng.uniform(0.03, 0.35),
            wobble=rng.choice([0.03, 0.08, 0.15, 0.25]) * rng.uniform(0.6, 1.2),
            elongation=rng.uniform(0.05, 0.5),
            coverage=rng.choice([0.08, 0.2, 0.35, 0.55, 0.7]) * rng.uniform(0.6, 1.1),
            clustering=rng.choice([0.0, 0.3, 0.7, 0.95]),
            overlap=rng.choice([0.0, 0.05, 0.15]),
            brightness_spread=rng.choice([0.05, 0.2, 0.4, 0.7]),
            dome=rng.choice([0.0, 0.3, 0.6, 1.0]),
            dome_power=rng.choice([1.0, 1.5]),
            rim=rng.choice([0, 0, 0, 0, 0.5]),
            texture=rng.choice([0.0, 0.1, 0.2, 0.35]),
            mitoses=rng.choice([0, 0.03, 0.1]),
            spots=rng.uniform(0.3, 1.0) if rng.random() < 0.35 else 0.0,
        )


class Field:
    """An image under way: brightness and labels, cell after cell."""

    def __init__(self, rng: np.random.Generator, culture: Culture) -> None:
        self._rng, self._culture = rng, culture
        self.light = np.zeros((SIDE_PX, SIDE_PX), np.float32)
        self.labels = np.zeros((SIDE_PX, SIDE_PX), np.int32)
        self._texture = smooth_noise(rng, rng.uniform(0.06, 0.3) * culture.diameter_px)
        grains = smooth_noise(rng, 0.1 * culture.diameter_px)
        self._spots = np.clip(grains - 1.2, 0, None) if culture.spots else np.zeros_like(grains)
        self._centres: list[tuple[npt.NDArray[np.float64], float]] = []
        self.count = 0
        self.area_px = 0

    def add_cell(self) -> None:
        """Try to place one more cell: beside another or anywhere, where little is covered."""
        rng, culture = self._rng, self._culture
        diameter, bright = culture.diameter_px * np.exp(rng.normal(0, culture.spread)), 1.0
        elongation = culture.elongation
        if rng.random() < culture.mitoses:  # small, bright, long
            diameter, bright, elongation = 0.65 * diameter, np.exp(rng.uniform(0.4, 1.7)), 0.7
        centre = self._place(diameter)
        patch = draw_cell(rng, centre, diameter, culture.wobble, elongation)
        if self._put(patch, diameter, bright):
            self._centres.append((centre, diameter))

    def _place(self, diameter: float) -> npt.NDArray[np.float64]:
        rng = self._rng
        if self._centres and rng.random() < self._culture.clustering:
            beside, other = self._centres[rng.integers(len(self._centres))]
            angle = rng.uniform(0, 2 * np.pi)
            far = (other + diameter) / 2 * rng.uniform(0.85, 1.1)
            return beside + far * np.array([np.cos(angle), np.sin(angle)])
        return rng.uniform(-0.3 * diameter, SIDE_PX + 0.3 * diameter, 2)

    def _put(self, patch: Patch, diameter: float, bright: float) -> bool:
        height, width = patch.mask.shape
        r0, c0 = max(patch.row, 0), max(patch.col, 0)
        r1, c1 = min(patch.row + height, SIDE_PX), min(patch.col + width, SIDE_PX)
        if min(r1 - r0, c1 - c0) < 3:
            return False
        inside = np.s_[r0 - patch.row : r1 - patch.row, c0 - patch.col : c1 - patch.col]
        here, mask, depth = np.s_[r0:r1, c0:c1], patch.mask[inside], patch.depth_px[inside]
        taken = (self.labels[here] > 0) & mask
        if mask.sum() < _LEAST_AREA_PX or taken.sum() > self._culture.overlap * mask.sum() + 2:
            return False
        new = mask & ~taken
        self.count += 1
        self.labels[here][new] = self.count
        self.area_px += int(new.sum())
        level = bright * np.exp(self._rng.normal(0, self._culture.brightness_spread))
        light = (level * self._profile(depth, diameter, here)).astype(np.float32)
        if self._culture.overlap:
            self.light[here][mask] += light[mask]
        else:
            self.light[here][new] = light[new]
        return True

    def _profile(self, depth: Image, diameter: float, here: tuple[slice, slice]) -> Image:
        culture = self._culture
        rho = 1 - np.clip(depth / (diameter / 2), 0, 1)
        profile = 1 - culture.dome + culture.dome * np.sqrt(1 - rho**2) ** culture.dome_power
        profile += culture.rim * np.exp(-(((depth - 0.06 * diameter) / (0.05 * diameter + 0.5)) ** 2))
        profile *= np.clip(1 + culture.texture * self._texture[here], 0.15, None)
        return profile + culture.spots * self._spots[here]


def make_field(seed: int) -> tuple[Image, Labels]:
    """An image (256, 256) and its labels, the same for the same seed."""
    rng = np.random.default_rng(seed)
    culture = Culture.drawn(rng)
    field = Field(rng, culture)
    for _ in range(_MOST_TRIES):
        if field.area_px >= culture.coverage * SIDE_PX**2 or field.count >= _MOST_CELLS:
            break
        field.add_cell()
    image, blur_px = photographed(rng, field.light, culture.diameter_px)
    return image, _labels(field.labels, rng.uniform(0, LABEL_REACH) * blur_px)


def _labels(labels: Labels, reach_px: float) -> Labels:
    """The labels, each in one piece, as far as people see the cells."""
    from skimage.segmentation import expand_labels

    whole = np.zeros_like(labels)
    for number in range(1, labels.max() + 1):
        mask = (labels == number).astype(np.uint8)
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        if mask.sum() >= _LEAST_AREA_PX:
            whole[pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()] = whole.max() + 1
    return np.asarray(expand_labels(whole, reach_px), np.int32)


def smooth_noise(rng: np.random.Generator, sigma_px: float) -> Image:
    """Noise (256, 256) without grains smaller than about ``sigma_px``."""
    small = max(4, int(SIDE_PX / max(sigma_px, 1) * 2))
    coarse = rng.normal(size=(small, small)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC))
