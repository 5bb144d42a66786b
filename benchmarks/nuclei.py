"""Real images of cells with known outlines, the measure of what was found, and the textbook's pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label
from skimage.segmentation import watershed

Image = npt.NDArray[np.integer]
Labels = npt.NDArray[np.integer]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "nuclei"


def nuclei() -> Sequence[tuple[str, Image, Labels]]:
    """Name, image and true labels of the nuclei of DSB 2018 and StarDist; empty where the data are not there."""
    files = [
        (path, path.with_name(path.name.replace("_img", "_mask"))) for path in DATA.glob("dsb2018/*_img.tif")
    ]
    files += [(path, path.with_name("mask2d.tif")) for path in DATA.glob("stardist/img2d.tif")]
    return [(path.stem, tifffile.imread(path), tifffile.imread(mask)) for path, mask in sorted(files)]


def phase_contrast() -> Sequence[tuple[str, Image, Labels]]:
    """Name, image and true labels of myoblasts in phase contrast; empty where the data are not there."""
    files = sorted(DATA.glob("c2c12_phase/*_img.tif"))
    return [
        (
            path.stem,
            tifffile.imread(path),
            tifffile.imread(path.with_name(path.name.replace("_img", "_mask"))),
        )
        for path in files
    ]


def typical_diameter(truth: Labels) -> float:
    """Median diameter of a circle of a cell's area, in pixels."""
    areas = np.bincount(truth.ravel())[1:]
    return float(np.median(np.sqrt(4 / np.pi * areas[areas > 0])))


def counts(found: Labels, truth: Labels, overlap: float = 0.5) -> tuple[int, int, int]:
    """Hits, wrong and missed at this least intersection over union."""
    found = np.unique(found, return_inverse=True)[1].reshape(found.shape)
    truth = np.unique(truth, return_inverse=True)[1].reshape(truth.shape)
    rows, cols = int(truth.max()) + 1, int(found.max()) + 1
    shared = np.bincount(truth.ravel() * cols + found.ravel(), minlength=rows * cols).reshape(rows, cols)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    part = (shared / union)[1:, 1:]
    hits = int(np.count_nonzero(part[linear_sum_assignment(-part)] >= overlap))
    return hits, part.shape[1] - hits, part.shape[0] - hits


def average_precision(found: Labels, truth: Labels) -> float:
    """Hits / (hits + wrong + missed) at an overlap of at least 0.5."""
    hits, wrong, missed = counts(found, truth)
    return hits / max(1, hits + wrong + missed)


def f1(found: Labels, truth: Labels) -> float:
    """2 hits / (2 hits + wrong + missed) at an overlap of at least 0.5."""
    hits, wrong, missed = counts(found, truth)
    return 2 * hits / max(1, 2 * hits + wrong + missed)


def textbook(image: Image) -> Labels:
    """Smoothing, a threshold of the image as it is, and the distance transform; the filters are OpenCV's."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.5)
    mask = smooth > threshold_otsu(smooth)
    distance = cv2.GaussianBlur(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), (0, 0), 1)
    return _flooded(mask, distance, 5)


def idiomatic(image: Image) -> Labels:
    """The same by scikit-image and scipy alone, as their galleries have it."""
    smooth = gaussian(image, 2)
    mask = smooth > threshold_otsu(smooth)
    return _flooded(mask, ndimage.distance_transform_edt(mask), 10)


def _flooded(mask: npt.NDArray[np.bool_], distance: npt.NDArray[np.floating], apart_px: int) -> Labels:
    peaks = peak_local_max(distance, min_distance=apart_px, labels=label(mask))
    seeds = np.zeros(mask.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-distance, seeds, mask=mask))
