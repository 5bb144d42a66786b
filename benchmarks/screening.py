"""Single cells: how many of those that are alone are found, against the textbook's pipeline, on the same images."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from interleave import interleave, timing_table
from scipy.optimize import linear_sum_assignment
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.segmentation import watershed

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.screening import Rules, screen_cells
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.specimen import Specimen, SpecimenParameters, View
from inscoper_mm.specimen.scoring import match

Image = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.integer]
Find = Callable[[Image], Labels]

OURS, TEXTBOOK = "inscoper_mm", "Otsu, distance, watershed (scikit-image)"
CHANNELS = ("DAPI", "FITC")
SEEDS = range(1, 11)
PLACES_UM = ((0.0, 0.0), (700.0, -400.0))
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "nuclei"
SIDES_PX = (512, 2048)


def section(options: argparse.Namespace) -> str:
    """The tables of the page."""
    parts = ["## Single cells", _on_the_specimen(), _on_real_nuclei()]
    return "\n\n".join([*parts, *(_times(side, options.rounds) for side in SIDES_PX)])


def single_cells(image: Image) -> Labels:
    """What the script ``single_cell_screening_no_ai`` keeps, with its defaults."""
    labels = segment_cells(image)
    verdicts = screen_cells(labels, measure_cells(labels, image), Rules())
    return np.where(np.isin(labels, [each.label for each in verdicts if each.single]), labels, 0)


def textbook(image: Image) -> Labels:
    """Smoothing, a threshold of the image as it is, and the distance transform."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.5)
    mask = smooth > threshold_otsu(smooth)
    distance = cv2.GaussianBlur(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), (0, 0), 1)
    peaks = peak_local_max(distance, min_distance=5, labels=label(mask))
    seeds = np.zeros(mask.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-distance, seeds, mask=mask))


def _on_the_specimen() -> str:
    lines = [
        f"Of the virtual specimen's cells that are alone, in {len(SEEDS) * len(PLACES_UM)} fields of 512 x 512 "
        f"({len(SEEDS)} specimens), those found at an overlap of at least 0.5; wrong is what is kept and is no cell "
        "of the field, or not its shape.",
        "",
        "| what | channel | alone | found | wrong |",
        "|---|---|---:|---:|---:|",
    ]
    for name, find in ((f"{OURS}, single_cell_screening_no_ai", single_cells), (TEXTBOOK, textbook)):
        for channel in CHANNELS:
            isolated, hits, wrong, kept = _screened(channel, find)
            lines.append(
                f"| {name} | {channel} | {isolated} | {100 * hits / isolated:.1f} % | {100 * wrong / kept:.1f} % |"
            )
    return "\n".join(lines)


def _screened(channel: str, find: Find) -> tuple[int, int, int, int]:
    """Cells that are alone, those of them found, what is wrong, and all that is kept."""
    isolated = hits = wrong = kept = 0
    for seed in SEEDS:
        specimen = Specimen(SpecimenParameters(seed=seed))
        for number, (x_um, y_um) in enumerate(PLACES_UM):
            view = View(x_um, y_um, 0.0, channel, 20.0, image=number)
            labels = find(specimen.render(view))
            result = match(labels, specimen.truth(view))
            shown = set(np.unique(labels).tolist()) - {0}
            wrong += len(shown - set(result.pairs.values()))
            kept += len(shown)
            isolated += result.isolated
            hits += result.isolated_hits
    return isolated, hits, wrong, kept


def _on_real_nuclei() -> str:
    pairs = _real_pairs()
    if not pairs:
        return "Real nuclei: the folder of data was not there."
    rows = {
        f"{OURS}, diameter estimated": lambda image, diameter: segment_cells(image),
        f"{OURS}, diameter given": segment_cells,
        TEXTBOOK: lambda image, diameter: textbook(image),
    }
    lines = [
        f"Real nuclei with known outlines ({len(pairs)} images of DSB 2018 and StarDist): hits / (hits + wrong + "
        "missed) at an overlap of at least 0.5, the mean over the images.",
        "",
        "| what | average precision |",
        "|---|---:|",
    ]
    for name, find in rows.items():
        scores = []
        for image, truth in pairs:
            diameter = float(np.median(measure_cells(truth.astype(np.int32))["diameter_px"]))
            scores.append(_precision(find(image, diameter), truth))
        lines.append(f"| {name} | {np.mean(scores):.2f} |")
    return "\n".join(lines)


def _real_pairs() -> Sequence[tuple[Image, Labels]]:
    files = [
        (path, path.with_name(path.name.replace("_img", "_mask")))
        for path in sorted(DATA.glob("dsb2018/*_img.tif"))
    ]
    files += [(path, path.with_name("mask2d.tif")) for path in DATA.glob("stardist/img2d.tif")]
    return [(tifffile.imread(image), tifffile.imread(mask)) for image, mask in files]


def _precision(found: Labels, truth: Labels) -> float:
    found = np.unique(found, return_inverse=True)[1].reshape(found.shape)
    truth = np.unique(truth, return_inverse=True)[1].reshape(truth.shape)
    shared = np.zeros((truth.max() + 1, found.max() + 1))
    np.add.at(shared, (truth.ravel(), found.ravel()), 1)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    overlap = (shared / union)[1:, 1:]
    hits = int(np.count_nonzero(overlap[linear_sum_assignment(-overlap)] >= 0.5))
    return hits / (sum(overlap.shape) - hits)


def _times(side_px: int, rounds: int) -> str:
    specimen = Specimen(SpecimenParameters(seed=1))
    image = specimen.render(View(0.0, 0.0, 0.0, "DAPI", 20.0, sensor=(side_px, side_px)))
    timings = interleave(
        {OURS: lambda: single_cells(image), TEXTBOOK: lambda: textbook(image)}, rounds=rounds
    )
    cells = measure_cells(segment_cells(image))
    return f"### {side_px} x {side_px}, {len(cells['label'])} cells\n\n{timing_table(timings)}"
