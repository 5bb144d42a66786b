"""The single-cell filter: each rule by itself, on drawn disks."""

import math

import cv2
import numpy as np
import pytest

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.screening import Rules, screen_cells
from inscoper_mm.errors import InvalidInput


def disks(*places, shape=(200, 300)):
    """Labels of disks given by row, column, radius."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.int32)
    for number, (row, col, radius) in enumerate(places, start=1):
        labels[np.hypot(rows - row, cols - col) <= radius] = number
    return labels


def verdicts(labels, **rules):
    return screen_cells(labels, measure_cells(labels), Rules(**rules))


def test_a_cell_alone_is_single():
    (verdict,) = verdicts(disks((100, 150, 20)))
    assert verdict.single
    assert verdict.reasons == ()
    assert verdict.gap_px == math.inf


@pytest.mark.parametrize(
    ("gap_px", "least_diameters", "single"),
    [(25, 0.5, True), (17, 0.5, False), (2, 0.5, False), (17, 0.4, True), (0, 0.0, True), (50, 2.0, False)],
)
def test_the_gap_is_measured_from_edge_to_edge(gap_px, least_diameters, single):
    # Radius 20: the diameter of the disk of that area is 40; its edge is half a pixel outside.
    labels = disks((100, 80, 20), (100, 80 + 41 + gap_px, 20))
    for verdict in verdicts(labels, min_gap_diameters=least_diameters):
        assert verdict.single is single
        if not single:
            assert verdict.gap_px == pytest.approx(gap_px, abs=1e-3)
            assert verdict.reasons == (
                f"neighbour {gap_px:.1f} px away, less than {least_diameters * 40.0:.1f}",
            )


def test_a_small_cell_near_a_large_one_may_be_single_alone():
    labels = disks((100, 100, 40), (100, 165, 8))
    large, small = verdicts(labels)
    assert not large.single
    assert small.single


@pytest.mark.parametrize("place", [(10, 150), (189, 150), (100, 10), (100, 289), (5, 5)])
def test_a_cell_at_the_border_is_not_whole(place):
    (verdict,) = verdicts(disks((*place, 20)))
    assert verdict.reasons == ("cut by the border of the image",)
    assert verdicts(disks((*place, 20)), whole=False)[0].single


def test_the_size_range():
    labels = disks((50, 50, 5), (50, 150, 20), (150, 150, 35))
    reasons = [verdict.reasons for verdict in verdicts(labels, min_area_px=500, max_area_px=2000)]
    assert reasons[0][0].endswith("less than 500")
    assert reasons[1] == ()
    assert reasons[2][0].endswith("more than 2000")


def test_a_clump_is_no_single_cell():
    labels = disks((100, 100, 20))
    labels[disks((100, 136, 20)) > 0] = 1
    (verdict,) = verdicts(labels, min_solidity=0.95)
    assert verdict.reasons[0].startswith("solidity")


@pytest.mark.parametrize(("gap_px", "single"), [(10, False), (18, False), (20, True)])
@pytest.mark.parametrize("side", ["top", "left", "bottom", "right"])
def test_the_border_may_have_to_be_away(gap_px, single, side):
    # The disk of radius 20 has a diameter of 40.
    place = {
        "top": (20 + gap_px, 150),
        "left": (100, 20 + gap_px),
        "bottom": (179 - gap_px, 150),
        "right": (100, 279 - gap_px),
    }
    (verdict,) = verdicts(disks((*place[side], 20)), min_border_gap_diameters=0.5)
    assert verdict.border_gap_px == gap_px
    assert verdict.single is single
    assert single or verdict.reasons == (f"border of the image {gap_px} px away, less than 20.0",)


def test_a_long_cell_may_be_none():
    labels = np.zeros((60, 120), np.int32)
    labels[20:30, 20:100] = 1
    assert verdicts(labels)[0].single
    assert verdicts(labels, max_eccentricity=0.9)[0].reasons == ("eccentricity 0.99, more than 0.90",)


def three_cells():
    """A bright sharp cell, a dim one, and one out of focus, with noise; and their labels."""
    labels = disks((50, 50, 15), (50, 150, 15), (150, 150, 15))
    sharp = cv2.GaussianBlur((300.0 * (labels == 1) + 80.0 * (labels == 2)).astype(np.float32), (0, 0), 1.2)
    soft = cv2.GaussianBlur(300.0 * (labels == 3).astype(np.float32), (0, 0), 7)
    return labels, np.random.default_rng(1).poisson(100 + sharp + soft).astype(np.uint16)


def test_brightness_and_sharpness():
    labels, image = three_cells()
    table = measure_cells(labels, image, focus=True)

    def reasons(**rules):
        return [" ".join(each.reasons) for each in screen_cells(labels, table, Rules(**rules))]

    bright, dim, _ = table["mean_intensity"]
    assert reasons(min_mean_intensity=250)[1] == f"intensity {dim:.1f}, less than 250.0"
    assert reasons(max_mean_intensity=250)[0] == f"intensity {bright:.1f}, more than 250.0"
    assert reasons(min_focus=4)[:2] == ["", ""]
    assert reasons(min_focus=4)[2] == f"focus {table['focus'][2]:.1f}, less than 4.0"


def test_the_channel_of_the_rules_counts():
    labels, image = three_cells()
    table = measure_cells(labels, {"DAPI": image, "GFP": np.full(image.shape, 7, np.uint16)})
    kept = screen_cells(labels, table, Rules(max_mean_intensity=10, channel="GFP"))
    assert all(each.single for each in kept)
    with pytest.raises(InvalidInput, match=r"mean_intensity_GFB.*Did you mean 'mean_intensity_GFP'"):
        screen_cells(labels, table, Rules(max_mean_intensity=10, channel="GFB"))
    with pytest.raises(InvalidInput, match="focus=True"):
        screen_cells(labels, table, Rules(min_focus=3, channel="GFP"))


def test_a_cell_too_small_to_tell_is_not_sharp():
    labels = np.zeros((40, 40), np.int32)
    labels[20, 20] = 1
    table = measure_cells(labels, np.ones(labels.shape), focus=True)
    (verdict,) = screen_cells(labels, table, Rules(min_focus=1))
    assert verdict.reasons == ("focus cannot be told, 1.0 is asked for",)


def test_every_reason_is_given():
    labels = disks((10, 20, 20), (10, 55, 12))
    first, _ = verdicts(labels, min_area_px=5000)
    assert [reason.split()[0] for reason in first.reasons] == ["cut", "neighbour", "area"]


def test_no_cells_no_verdicts():
    assert verdicts(np.zeros((50, 50), np.int32)) == []
