"""What is remembered of followed cells: speeds, displacements, parents, gaps and the state on its way to the disk."""

from __future__ import annotations

import numpy as np
import pytest

from inscoper_mm.analysis.linking import LinkSettings
from inscoper_mm.analysis.population import LAG_IMAGES, Cells, Population, ensemble, follow

SETTINGS = LinkSettings(max_step=10.0, memory=2)
GRID = np.stack(np.meshgrid(np.arange(0, 400, 40.0), np.arange(0, 400, 40.0)), axis=-1).reshape(-1, 2)


def cells_at(places: np.ndarray, time_s: float) -> Cells:
    ones = np.ones(len(places))
    return Cells(places, time_s, 50 * ones, 100 * ones, 5000 * ones)


def walk(places: list[np.ndarray], seconds: float = 60.0, settings: LinkSettings = SETTINGS):
    """Follow the places, image after image; what was found of each."""
    population, found = Population.empty(places[0].shape[1]), []
    for number, each in enumerate(places):
        population, followed = follow(population, cells_at(each, number * seconds), settings)
        found.append(followed)
    return population, found


def test_a_drift_that_all_share_is_no_speed() -> None:
    _, found = walk([GRID, GRID + np.array([25.0, 7.0])])
    assert found[1].total_drift == pytest.approx([25.0, 7.0], abs=1e-6)
    assert found[1].speed == pytest.approx(np.zeros(len(GRID)), abs=1e-6)


def test_speeds_and_displacements_are_those_of_the_cells() -> None:
    """Half of the cells go right by 2 a minute, half left; there is no drift."""
    way = np.where(np.arange(len(GRID)) % 2 == 0, 2.0, -2.0)[:, None] * [1.0, 0.0]
    _, found = walk([GRID + number * way for number in range(LAG_IMAGES + 2)])
    last, cells = found[-1], cells_at(GRID, 0)
    assert last.speed * 60 == pytest.approx(np.full(len(GRID), 2.0), rel=1e-6)
    assert np.sqrt(last.lag_squared) == pytest.approx(np.full(len(GRID), 2.0 * LAG_IMAGES))
    assert np.sqrt(last.first_squared) == pytest.approx(np.full(len(GRID), 2.0 * (LAG_IMAGES + 1)))
    series = ensemble(last, cells, "µm", "µm²")
    assert series["mean_speed"] == [pytest.approx(2.0), "µm/min"]
    assert series["msd_10_images"] == [pytest.approx(400.0), "µm²"]
    assert series["mean_area"] == [50.0, "µm²"]
    assert series["cells"] == [100, ""]
    assert ensemble(found[0], cells, "µm", "µm²")["msd_since_first"] == [None, "µm²"]


def test_after_a_gap_the_speed_counts_the_whole_time() -> None:
    there = GRID + [3.0, 0.0] * (np.arange(len(GRID)) == 7)[:, None]
    without = np.delete(GRID, 7, axis=0)
    population, found = walk([GRID, without, there])
    assert found[2].track_id[7] == found[0].track_id[7]
    assert found[2].speed[7] * 60 == pytest.approx(1.5, abs=0.05)
    assert len(population.track_id) == len(GRID)


def test_what_is_lost_for_too_long_is_forgotten() -> None:
    without = np.delete(GRID, 7, axis=0)
    population, found = walk([GRID, without, without, without, GRID])
    assert found[4].track_id[7] not in found[0].track_id
    assert np.isnan(found[4].first_squared[7])
    assert len(population.track_id) == len(GRID)


def test_daughters_keep_their_parent_as_long_as_they_live() -> None:
    apart = np.array([[0.0, 4.0]])
    divided = [np.vstack([np.delete(GRID, 7, axis=0), GRID[7] - apart, GRID[7] + apart])] * 3
    half = np.concatenate([np.full(len(GRID) - 1, 50.0), [25.0, 25.0]])
    population, mother = follow(Population.empty(2), cells_at(GRID, 0), SETTINGS)
    for number, places in enumerate(divided, 1):
        cells = Cells(places, 60.0 * number, half, half, 100 * half)
        population, followed = follow(population, cells, SETTINGS)
        assert set(followed.parent_id[-2:]) == {mother.track_id[7]}
        assert not followed.parent_id[:-2].any()


def test_numbers_may_begin_anywhere() -> None:
    _, followed = follow(Population.empty(2).numbered_from(1001), cells_at(GRID, 0), SETTINGS)
    assert followed.track_id.tolist() == list(range(1001, 1101))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_from_the_disk_it_goes_on_as_if_nothing_had_been(dimensions: int, tmp_path) -> None:
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 300, (60, dimensions))
    film = [places + number * 2 + rng.normal(0, 1, places.shape) for number in range(6)]
    film[3] = film[3][5:]
    population, stored = Population.empty(dimensions), Population.empty(dimensions)
    for number, each in enumerate(film):
        population, followed = follow(population, cells_at(each, 60.0 * number), SETTINGS)
        np.savez(tmp_path / "state.npz", **stored.to_arrays())
        with np.load(tmp_path / "state.npz") as arrays:
            stored, again = follow(
                Population.from_arrays(dict(arrays)), cells_at(each, 60.0 * number), SETTINGS
            )
        assert np.array_equal(followed.track_id, again.track_id)
        assert np.array_equal(followed.speed, again.speed, equal_nan=True)


def test_memory_is_that_of_the_cells_and_not_of_the_images() -> None:
    size = {}
    for count in (12, 40):
        population, _ = walk([GRID] * count)
        size[count] = sum(array.nbytes for array in population.to_arrays().values())
    assert size[12] == size[40]


def test_no_cells_at_all() -> None:
    none = np.zeros((0, 2))
    _, found = walk([none, GRID, none, GRID])
    assert found[3].track_id.tolist() == found[1].track_id.tolist()
    assert ensemble(found[0], cells_at(none, 0), "px", "px²")["median_speed"] == [None, "px/min"]
