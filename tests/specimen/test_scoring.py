"""Scores of segmentations whose faults are known."""

import numpy as np
import pytest

from inscoper_mm.specimen import CellTruth, Truth, match


def square(labels, label, row, col, size=10):
    labels[row : row + size, col : col + size] = label


def cell(label, whole=True, isolated=True):
    return CellTruth(
        label=label,
        id=str(label),
        x_um=0,
        y_um=0,
        row_px=0,
        col_px=0,
        area_um2=100,
        eccentricity=0,
        nucleus_row_px=0,
        nucleus_col_px=0,
        nucleus_area_um2=0,
        brightness=1,
        dna=1,
        marker=0,
        gap_um=9,
        isolated=isolated,
        touching=False,
        whole=whole,
    )


@pytest.fixture
def truth():
    """Two isolated cells, one that is not, and one that is cut by the border."""
    labels = np.zeros((60, 60), np.int32)
    for label, (row, col) in enumerate([(5, 5), (5, 30), (30, 5), (50, 50)], start=1):
        square(labels, label, row, col)
    cells = (cell(1), cell(2), cell(3, isolated=False), cell(4, whole=False))
    return Truth(labels=labels, nuclei=np.zeros_like(labels), cells=cells, channel="FITC")


def found_as(*squares):
    labels = np.zeros((60, 60), np.int32)
    for label, place in enumerate(squares, start=1):
        square(labels, 10 * label, *place)
    return labels


ALL = ((5, 5), (5, 30), (30, 5))


@pytest.mark.parametrize(
    ("found", "precision", "recall", "isolated"),
    [
        pytest.param(found_as(*ALL), 1, 1, 1, id="all"),
        pytest.param(found_as(*ALL, (50, 50)), 1, 1, 1, id="a cut cell more is not wrong"),
        pytest.param(found_as(*ALL, (30, 30)), 3 / 4, 1, 1, id="one that is not there"),
        pytest.param(found_as((5, 5), (5, 30)), 1, 2 / 3, 1, id="one missed that is not isolated"),
        pytest.param(found_as((5, 5), (30, 5)), 1, 2 / 3, 1 / 2, id="an isolated one missed"),
        pytest.param(found_as(), 1, 0, 0, id="nothing"),
        pytest.param(found_as((5, 8), (5, 30), (30, 5)), 1, 1, 1, id="a little beside"),
        pytest.param(found_as((5, 9), (5, 30), (30, 5)), 2 / 3, 2 / 3, 1 / 2, id="too far beside"),
        pytest.param(found_as((5, 5, 5), (10, 10, 5), *ALL[1:]), 2 / 4, 2 / 3, 1 / 2, id="split in pieces"),
        pytest.param(np.ones((60, 60), np.int32), 0, 0, 0, id="all in one"),
    ],
)
def test_scores(truth, found, precision, recall, isolated):
    result = match(found, truth)
    assert (result.precision, result.recall, result.isolated_recall) == pytest.approx(
        (precision, recall, isolated)
    )
    total = precision + recall
    assert result.f1 == pytest.approx(2 * precision * recall / total if total else 0)
    assert result.false_fraction == pytest.approx(1 - precision)


def test_pairs_name_what_was_found(truth):
    assert match(found_as((5, 30), (50, 50)), truth).pairs == {2: 10, 4: 20}


def test_a_stricter_overlap(truth):
    found = found_as((5, 7), (5, 30), (30, 5))
    assert match(found, truth, iou=0.6).hits == 3
    assert match(found, truth, iou=0.7).hits == 2


def test_less_than_half_an_overlap_is_no_match(truth):
    with pytest.raises(ValueError, match=r"0\.5 or more"):
        match(found_as(), truth, iou=0.3)


def test_labels_can_be_chosen(truth):
    assert match(found_as(*ALL), truth, labels=truth.nuclei).true == 0
