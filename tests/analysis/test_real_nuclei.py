"""Segmentation of real nuclei with known outlines, where the data are at hand."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.segmentation import segment_cells

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "nuclei"
PAIRS = [
    *(
        (path, path.with_name(path.name.replace("_img", "_mask")))
        for path in sorted(DATA.glob("dsb2018/*_img.tif"))
    ),
    *((path, path.with_name("mask2d.tif")) for path in DATA.glob("stardist/img2d.tif")),
]
pytestmark = pytest.mark.skipif(
    not PAIRS, reason=f"the folder of real data, {DATA.name}, is not beside the checkout"
)


def average_precision(counts):
    hits, false, missed = counts
    return hits / (hits + false + missed)


def true_diameter(truth):
    return float(np.median(measure_cells(truth.astype(np.int32))["diameter_px"]))


@pytest.mark.parametrize(("given", "least"), [(False, 0.72), (True, 0.72)], ids=["estimated", "given"])
def test_mean_average_precision(matches, given, least, record_property):
    """At IoU 0.5, over dsb2018 and stardist; Otsu and a distance watershed reach 0.53 to 0.66."""
    scores = {}
    for image, mask in PAIRS:
        truth = tifffile.imread(mask)
        labels = segment_cells(tifffile.imread(image), true_diameter(truth) if given else None)
        scores[image.stem] = average_precision(matches(labels, truth))
    mean = float(np.mean(list(scores.values())))
    record_property("mean_average_precision", round(mean, 4))
    assert len(scores) == 11
    assert mean >= least, scores
