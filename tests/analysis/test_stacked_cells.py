"""Cells of stacks whose places are known: balls in fog, one above the other, and slices out of focus."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.analysis.stacked_cells import heights, join_slices, seen_from_above

SHAPE = (16, 128, 128)
RADIUS_PX, STEP_PX = 8.0, 2.0  # the distance of two slices in pixels


def balls(centres: list[tuple[float, float, float]], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A stack of bright balls with noise, and the true labels; centres are slice, row, column."""
    slices, rows, cols = np.indices(SHAPE)
    labels = np.zeros(SHAPE, int)
    for number, (z, row, col) in enumerate(centres, 1):
        away = ((slices - z) * STEP_PX) ** 2 + (rows - row) ** 2 + (cols - col) ** 2
        labels[away < RADIUS_PX**2] = number
    light = 1000 * ndimage.gaussian_filter((labels > 0).astype(float), (0.7, 1.5, 1.5)) + 200
    return np.random.default_rng(seed).poisson(light).astype(np.uint16), labels


def joined(stack: np.ndarray) -> np.ndarray:
    return join_slices([segment_cells(each) for each in stack], stack)


def overlap(found: np.ndarray, true: np.ndarray) -> list[float]:
    """Of each true cell, the largest intersection over union with a found one."""
    best = []
    for number in range(1, true.max() + 1):
        label = np.bincount(found[true == number]).argmax()
        both = (found == label) & (true == number)
        best.append(both.sum() / ((found == label) | (true == number)).sum() if label else 0.0)
    return best


APART = [(4.0, 30.0, 30.0), (8.5, 30.0, 90.0), (11.0, 90.0, 40.0), (7.0, 80.0, 100.0)]


def test_each_ball_is_one_cell_with_its_height() -> None:
    stack, true = balls(APART)
    found = joined(stack)
    assert sorted(np.unique(found)) == [0, 1, 2, 3, 4]
    assert min(overlap(found, true)) > 0.5
    # The balls' own order is not that of the labels.
    z = heights(found, stack)
    by_cell = {int(np.bincount(found[true == n]).argmax()): centre[0] for n, centre in enumerate(APART, 1)}
    assert [by_cell[label] for label in range(1, 5)] == pytest.approx(list(z), abs=1.0)


def test_two_that_touch_side_by_side_stay_two() -> None:
    stack, true = balls([(7.0, 60.0, 50.0), (7.0, 60.0, 66.0)])
    found = joined(stack)
    assert found.max() == 2
    assert min(overlap(found, true)) > 0.5


def test_one_above_the_other_are_two() -> None:
    stack, true = balls([(3.5, 60.0, 60.0), (12.0, 62.0, 61.0)])
    found = joined(stack)
    assert found.max() == 2
    assert min(overlap(found, true)) > 0.5
    assert sorted(heights(found, stack)) == pytest.approx([3.5, 12.0], abs=1.0)


def test_what_is_out_of_focus_is_cut_between_the_cells_that_it_covers() -> None:
    """Two cells that cannot be told apart in all slices but one."""
    sharp = np.zeros((64, 64), np.int32)
    sharp[20:40, 10:28], sharp[20:40, 34:52] = 1, 2
    blurred = np.zeros((64, 64), np.int32)
    blurred[17:43, 7:55] = 1
    light = np.stack([100 + 300 * (sharp > 0), 100 + 150 * (blurred > 0), 100 + 90 * (blurred > 0)])
    found = join_slices([sharp, blurred, blurred], light)
    assert found.max() == 2
    for each in found[1:]:
        left, right = np.nonzero(each == 1)[1], np.nonzero(each == 2)[1]
        assert left.max() < 32 and right.min() >= 29
        assert np.count_nonzero(each) == np.count_nonzero(blurred)


def test_light_from_somewhere_else_is_no_cell() -> None:
    cells = np.zeros((64, 64), np.int32)
    cells[10:20, 10:20], cells[30:40, 30:40] = 1, 2
    ghost = np.zeros((64, 64), np.int32)
    ghost[45:60, 5:20] = 1
    light = np.stack([100 + 400 * (cells > 0), 100 + 20 * (ghost > 0)])
    assert np.array_equal(np.unique(join_slices([cells, ghost], light)), [0, 1, 2])


def test_an_empty_stack_and_a_single_slice() -> None:
    empty = join_slices([np.zeros((20, 20), int)] * 3, np.ones((3, 20, 20)))
    assert not empty.any()
    assert heights(empty, np.ones((3, 20, 20))).size == 0
    one = np.zeros((1, 20, 20), int)
    one[0, 5:10, 5:10] = 7
    light = np.where(one > 0, 50.0, 1.0)
    assert np.array_equal(join_slices([one[0]], light)[0] == 1, one[0] == 7)
    assert heights(one, light) == pytest.approx([0.0])


def test_from_above_the_brighter_cell_is_seen() -> None:
    labels, light = np.zeros((2, 6, 6), int), np.ones((2, 6, 6))
    labels[0, :4, :4], labels[1, 2:, 2:] = 1, 2
    light[0, :4, :4], light[1, 2:, 2:] = 10, 5
    seen = seen_from_above(labels, light)
    assert (seen[:4, :4] == 1).all() and (seen[4:, 2:] == 2).all() and seen[5, 0] == 0
