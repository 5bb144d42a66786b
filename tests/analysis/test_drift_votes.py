"""The drift that cells vote for: found where it is clear, refused where chance could have made it."""

import numpy as np
import pytest

from inscoper_mm.analysis.drift_votes import Drift, find_drift

STEP = 12.0


def field(rng, count, dimensions=2, spacing=40.0):
    return rng.uniform(0, spacing * count ** (1 / dimensions), (count, dimensions))


def jump(rng, dimensions, length=45.0):
    way = rng.normal(size=dimensions)
    return length * way / np.linalg.norm(way)


def moved(rng, places, by, staying=0.8, step=2.0):
    """The places moved, a part of them replaced by cells elsewhere."""
    same = rng.random(len(places)) < staying
    new = rng.uniform(places.min(axis=0), places.max(axis=0), (int((~same).sum()), places.shape[1]))
    return np.vstack([places[same] + rng.normal(0, step, places[same].shape), new]) + by


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("count", [50, 300])
def test_jumps_are_found(dimensions, count):
    rng = np.random.default_rng(count + dimensions)
    for _ in range(10):
        places, by = field(rng, count, dimensions), jump(rng, dimensions)
        drift = find_drift(places, moved(rng, places, by), STEP)
        assert np.linalg.norm(drift.by - by) < 2
        assert drift.source == "cells"
        assert drift.share > 0.6


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 12, 20, 100])
def test_no_jump_is_made_up(count):
    """Of cells that stay, and of a field that shows other cells."""
    rng = np.random.default_rng(count)
    for _ in range(40):
        places = field(rng, count)
        for found in (places + rng.normal(0, 2, places.shape), field(rng, count)):
            assert np.linalg.norm(find_drift(places, found, STEP).by) <= STEP


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_a_jump_of_few_cells_needs_the_image(count):
    rng = np.random.default_rng(count)
    places, by = field(rng, count, spacing=80.0), np.array([50.0, -30.0])
    found = places + by + rng.normal(0, 4, places.shape)
    alone = find_drift(places, found, STEP)
    assert np.linalg.norm(alone.by) <= STEP
    told = find_drift(places, found, STEP, image_drift=Drift(by + 0.5, source="image"))
    assert np.linalg.norm(told.by - by) < 5
    assert told.source == "image"
    assert not told.disagree


@pytest.mark.parametrize("count", [2, 4, 8, 30, 200])
def test_an_image_that_the_cells_contradict_is_refused(count):
    """A jump that the image made up: the cells are where they were."""
    rng = np.random.default_rng(count)
    places = field(rng, count, spacing=80.0)
    drift = find_drift(
        places, places + rng.normal(0, 1, places.shape), STEP, image_drift=Drift(np.array([60.0, 40.0]))
    )
    assert np.linalg.norm(drift.by) < 2
    assert drift.disagree


@pytest.mark.parametrize("told", [(45.0, 27.0), (0.0, 0.0)])
def test_many_cells_outvote_the_image(told):
    rng = np.random.default_rng(3)
    places, by = field(rng, 200), np.array([-40.0, 15.0])
    drift = find_drift(places, moved(rng, places, by), STEP, image_drift=Drift(np.array(told)))
    assert np.linalg.norm(drift.by - by) < 2
    assert drift.disagree


def test_cells_and_image_that_agree():
    rng = np.random.default_rng(4)
    places, by = field(rng, 100), np.array([-40.0, 15.0])
    drift = find_drift(places, moved(rng, places, by), STEP, image_drift=Drift(by + 0.3))
    assert np.linalg.norm(drift.by - by) < 1
    assert not drift.disagree


@pytest.mark.parametrize(("count", "taken"), [(6, False), (300, True)])
def test_small_movements(count, taken):
    """The mean of few cells that move on their own is no drift."""
    rng = np.random.default_rng(5)
    places = field(rng, count)
    drift = find_drift(places, places + np.array([0.5, 0.0]) + rng.normal(0, 1.5, places.shape), STEP)
    assert (drift.source == "cells") == taken
    assert np.linalg.norm(drift.by - ([0.5, 0.0] if taken else [0.0, 0.0])) < 0.4


def test_few_cells_that_all_move_alike():
    rng = np.random.default_rng(6)
    places = field(rng, 8, spacing=60.0)
    drift = find_drift(places, places + np.array([6.0, 3.0]) + rng.normal(0, 0.3, places.shape), STEP)
    assert np.linalg.norm(drift.by - [6.0, 3.0]) < 0.4


def test_cells_in_rows_and_columns_do_not_jump_by_a_row():
    """Rows fit rows after a jump of one, but not as well as the cells fit themselves."""
    rng = np.random.default_rng(7)
    places = np.stack(np.meshgrid(*[np.arange(12) * 30.0] * 2), axis=-1).reshape(-1, 2)
    found = places + rng.normal(0, 4, places.shape)
    kept = rng.random(len(found)) < 0.9
    assert np.linalg.norm(find_drift(places, found[kept], STEP).by) < 2


def test_a_clump_that_grows_is_no_jump():
    """Cells of one colony, all others gone: its middle moves, its cells do not."""
    rng = np.random.default_rng(8)
    clump = rng.normal(0, 60, (150, 2))
    found = clump[clump[:, 0] > -20] + rng.normal(0, 1, (int((clump[:, 0] > -20).sum()), 2))
    assert np.linalg.norm(find_drift(clump, found, STEP).by) < 2


def test_no_cells_leave_it_to_the_image():
    none, some = np.zeros((0, 2)), np.zeros((3, 2))
    for expected, found in ((none, some), (some, none)):
        assert find_drift(expected, found, STEP).source == "none"
        drift = find_drift(expected, found, STEP, image_drift=Drift(np.array([3.0, 4.0])))
        assert (drift.source, drift.by.tolist()) == ("image", [3.0, 4.0])


def test_no_jump_beyond_the_limit():
    rng = np.random.default_rng(9)
    places, by = field(rng, 200), np.array([80.0, 0.0])
    found = moved(rng, places, by)
    assert np.linalg.norm(find_drift(places, found, STEP).by - by) < 2
    assert np.linalg.norm(find_drift(places, found, STEP, max_drift=60.0).by) <= STEP
