"""The sharpness of single cells: blurred disks of known width, the specimen out of focus, and real images."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.segmentation import segment_cells

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "nuclei"
BLURRED = sorted(DATA.glob("bbbc006/*.tif"))
SHARP = sorted(DATA.glob("dsb2018/*_img.tif"))


def disk(radius_px, shape=(160, 160)):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (np.hypot(rows - 80, cols - 80) <= radius_px).astype(np.int32)


@pytest.mark.parametrize("height", [50, -50, 3000], ids=["dim", "dark", "bright"])
@pytest.mark.parametrize("sigma_px", [1.5, 3.0, 5.0])
def test_the_width_of_a_blurred_edge(sigma_px, height):
    labels = disk(30)
    image = 200 + height * cv2.GaussianBlur(labels.astype(np.float32), (0, 0), sigma_px)
    noisy = np.random.default_rng(1).normal(image, 5)
    table = measure_cells(labels, noisy, 0.5, focus=True)
    # The steepest slope of a blurred step is 1 / sqrt(2 pi) / sigma; smoothing before measuring widens it by 0.7 px.
    expected = math.sqrt(2 * math.pi) * math.hypot(sigma_px, 0.7)
    assert table["edge_width_px"] == pytest.approx([expected], rel=0.12)
    assert table["edge_width_um"] == table["edge_width_px"] / 2
    assert table["focus"] == table["diameter_px"] / table["edge_width_px"]


def test_contrast_and_size_do_not_matter():
    large, small = disk(40), disk(20)
    blurred = [
        cv2.GaussianBlur(each.astype(np.float32), (0, 0), 40 / 8 * share)
        for each, share in ((large, 1), (small, 0.5))
    ]
    focus = [
        measure_cells(*each, focus=True)["focus"][0]
        for each in ((large, 100 * blurred[0]), (small, 7 + blurred[1]))
    ]
    assert focus[1] == pytest.approx(focus[0], rel=0.1)


def test_the_border_with_a_touching_cell_is_no_edge():
    labels = disk(30)
    labels[:, 80:] *= 2
    image = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), 2)
    alone = measure_cells(disk(30), image, focus=True)["edge_width_px"]
    assert measure_cells(labels, image, focus=True)["edge_width_px"] == pytest.approx(
        [*alone, *alone], rel=0.05
    )


def test_one_value_has_no_edge():
    table = measure_cells(disk(30), np.full((160, 160), 5, np.uint8), focus=True)
    assert math.isnan(table["focus"][0])


@pytest.mark.parametrize(("channel", "shown"), [("DAPI", "nuclei"), ("FITC", "labels")])
def test_cells_of_the_specimen_lose_their_sharpness_out_of_focus(render, channel, shown):
    # The depth of field is 2 um.
    medians = []
    for z_um in (0.0, 2.0, 4.0, -4.0):
        image, truth, _ = render(1, channel, z_um=z_um)
        medians.append(np.nanmedian(measure_cells(getattr(truth, shown), image, focus=True)["focus"]))
    focused, edge, above, below = medians
    assert focused > 1.15 * edge > 1.25 * above
    assert below == pytest.approx(above, rel=0.1)
    assert above < 3.05 < focused


@pytest.mark.skipif(not BLURRED or not SHARP, reason="the folder of real data is not beside the checkout")
def test_real_nuclei():
    def focus(paths):
        images = [tifffile.imread(path) for path in paths]
        found = [measure_cells(segment_cells(image), image, focus=True)["focus"] for image in images]
        return np.array([np.nanmedian(each) for each in found if each.size])

    blurred, sharp = focus(BLURRED), focus(SHARP)
    assert len(blurred) >= 2
    assert blurred.max() < 2.8 < sharp.min()
