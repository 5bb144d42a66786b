"""The single-cell filter: each rule by itself, on drawn disks."""

import math

import numpy as np
import pytest

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.screening import Rules, screen_cells


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


def test_every_reason_is_given():
    labels = disks((10, 20, 20), (10, 55, 12))
    first, _ = verdicts(labels, min_area_px=5000)
    assert [reason.split()[0] for reason in first.reasons] == ["cut", "neighbour", "area"]


def test_no_cells_no_verdicts():
    assert verdicts(np.zeros((50, 50), np.int32)) == []
