"""Assignments: as cheap as the textbook's dense solution, and bounded."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from inscoper_mm.analysis.assignment import assign

STEP = 10.0


def dense_cost(expected, found, price):
    """The least cost, by the full matrix with a dummy column for each row."""
    cost = cdist(expected, found) ** 2 / STEP**2 + price[:, None]
    full = np.hstack([np.where(cost < 1, cost, 1e6), np.where(np.eye(len(expected)) > 0, 1.0, 1e6)])
    rows, cols = linear_sum_assignment(full)
    return full[rows, cols].sum()


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("expected", "found"), [(60, 60), (80, 20), (20, 80), (1, 1), (300, 300)])
def test_as_cheap_as_the_dense_solution(dimensions, expected, found):
    rng = np.random.default_rng(expected + found)
    side = 14.0 * max(expected, found) ** (1 / dimensions)
    for _ in range(5):
        before, after = (rng.uniform(0, side, (count, dimensions)) for count in (expected, found))
        price = rng.choice([0.0, 0.15, 0.3], expected)
        pairs = assign(before, after, STEP, price)
        far = np.linalg.norm(before[pairs.rows] - after[pairs.cols], axis=1)
        cost = (far**2 / STEP**2 + price[pairs.rows]).sum() + expected - len(pairs.rows)
        assert cost == pytest.approx(dense_cost(before, after, price), abs=1e-6)
        assert len(set(pairs.rows.tolist())) == len(set(pairs.cols.tolist())) == len(pairs.rows)
        assert (far < STEP).all()
        assert pairs.crowded == 0


def test_no_places():
    none, some = np.zeros((0, 2)), np.zeros((4, 2))
    for before, after in ((none, some), (some, none), (none, none), (some, some + 100)):
        pairs = assign(before, after, STEP)
        assert len(pairs.rows) == len(pairs.cols) == 0


@pytest.mark.parametrize("spread", [0.0, 1e-9, 3.0])
def test_a_crowd_is_bounded(spread):
    """Thousands within one step of each other, even at one place: many pairs, none twice, no error."""
    rng = np.random.default_rng(0)
    before, after = (rng.normal(0, spread, (3000, 2)) if spread else np.zeros((3000, 2)) for _ in range(2))
    pairs = assign(before, after, STEP)
    assert pairs.crowded == 3000
    assert len(set(pairs.rows.tolist())) == len(set(pairs.cols.tolist())) == len(pairs.rows)
    assert len(pairs.rows) >= 1
