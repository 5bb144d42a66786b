"""Cells that crawl: how far, which ones, and not through each other."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from inscoper_mm.specimen import Bleaching, Motion, Specimen, SpecimenParameters, Time, View
from inscoper_mm.specimen.crawling import Walk
from inscoper_mm.specimen.culture import BLOCK_UM, Culture

FITC = View(0, 0, 0, "FITC", 20)
SOME = Motion(moving_fraction=0.3, speed_um_per_min=1.0, persistence_min=10.0)


@pytest.fixture(scope="module")
def culture_of():
    made = {}

    def make(**parameters):
        key = tuple(parameters.items())
        return made.setdefault(key, Culture(SpecimenParameters(**parameters)))

    return make


def places(culture, time_s, half_um=400.0):
    near = culture.cells_near(-half_um, -half_um, half_um, half_um, time_s)
    return {cell.id: np.array([cell.x_um, cell.y_um]) for cell in near}


def fuerth(motion, minutes):
    memory = motion.persistence_min
    return 2 * motion.speed_um_per_min**2 * memory * (minutes - memory * (1 - np.exp(-minutes / memory)))


@pytest.mark.parametrize("step_s", [15.0, 75.0, 1200.0])
def test_the_mean_squared_displacement_is_fuerths_whatever_the_step(step_s):
    motion = Motion(speed_um_per_min=0.7, persistence_min=12.0)
    walk, random = Walk(motion, step_s), np.random.default_rng(1)
    velocity = walk.velocities(random, 10_000)
    place = np.zeros_like(velocity)
    for number in range(1, int(3600 / step_s) + 1):
        moved, velocity = walk.step(random, velocity)
        place += moved
        if number in (1, 3, int(3600 / step_s)):
            squared = (place**2).sum(axis=1)
            assert squared.mean() == pytest.approx(fuerth(motion, number * step_s / 60), rel=0.04)
    assert np.sqrt((velocity**2).sum(axis=1).mean()) * 60 == pytest.approx(0.7, rel=0.03)


def test_a_sparse_population_follows_the_formula(culture_of):
    """Few enough cells that they hardly meet; those near a border of their block are left out."""
    motion = Motion(speed_um_per_min=0.8, persistence_min=5.0)
    culture = culture_of(cells_per_mm2=40, touching_fraction=0.0, motion=motion)
    before, squared = places(culture, 0.0, 2000), {}
    inner = [
        id for id, at in before.items() if (np.abs((at + BLOCK_UM / 2) % BLOCK_UM - BLOCK_UM / 2) < 400).all()
    ]
    assert len(inner) > 250
    for minutes in (1, 5, 30):
        after = places(culture, 60.0 * minutes, 2100)
        squared[minutes] = np.mean([((after[id] - before[id]) ** 2).sum() for id in inner])
        assert squared[minutes] == pytest.approx(fuerth(motion, minutes), rel=0.2)


def test_as_many_move_as_asked_and_the_others_never_do(culture_of):
    culture = culture_of(motion=SOME)
    cells = culture.cells_near(-400, -400, 400, 400, 0.0)
    still = {cell.id: (cell.x_um, cell.y_um) for cell in cells if not cell.moving}
    assert np.mean([cell.moving for cell in cells]) == pytest.approx(0.3, abs=0.07)
    plain = {
        cell.id: (cell.x_um, cell.y_um)
        for cell in Culture(SpecimenParameters()).cells_near(-400, -400, 400, 400, 0)
    }
    later = {cell.id: cell for cell in culture.cells_near(-400, -400, 400, 400, 7200.0)}
    for id, place in still.items():
        assert (later[id].x_um, later[id].y_um) == place == plain[id]
    moved = [
        np.hypot(later[c.id].x_um - c.x_um, later[c.id].y_um - c.y_um)
        for c in cells
        if c.moving and c.id in later
    ]
    assert np.median(moved) > 10.0


def test_cells_keep_off_each_other(hidden):
    """Hardly anything of a body lies under another one after hours of crawling, though they do meet."""
    specimen = Specimen(SpecimenParameters(touching_fraction=0.0, motion=replace(SOME, moving_fraction=1.0)))
    view = replace(FITC, image=0)
    gaps = []
    for time_s in (1800.0, 7200.0):
        truth = specimen.truth(view.at(time_s))
        assert len(truth.cells) > 80
        assert hidden(truth, 1.0).max() < 0.04
        gaps += [cell.gap_um for cell in truth.cells]
    assert (np.array(gaps) < 1.0).mean() > 0.03


def test_where_a_cell_is_does_not_depend_on_what_was_asked_before(culture_of):
    asked_a_lot = culture_of(motion=SOME)
    for time_s in (5000.0, 10.0, 333.3):
        asked_a_lot.cells_near(-900, -900, 900, 900, time_s)
    fresh = Culture(SpecimenParameters(motion=SOME))
    bounds = (-300, -300, 300, 300, 777.0)
    assert fresh.cells_near(*bounds) == asked_a_lot.cells_near(*bounds)


def test_cells_go_smoothly(culture_of):
    culture = culture_of(motion=SOME)
    track = [places(culture, time_s) for time_s in np.arange(0.0, 600.0, 5.0)]
    for before, after in pairwise(track):
        far = max(np.hypot(*(after[id] - before[id])) for id in before.keys() & after.keys())
        # Four times the mean speed, for 5 s.
        assert far < 4 * SOME.speed_um_per_min / 12


def test_crawling_cells_are_drawn_where_the_truth_says(centroid):
    parameters = SpecimenParameters(
        haze=0.0, falloff=0.0, cells_per_mm2=60, touching_fraction=0.0, time=Time(60.0), motion=Motion()
    )
    specimen = Specimen(parameters)
    errors = []
    for image in (0, 7, 40):
        for channel in ("FITC", "DAPI"):
            view = replace(FITC, channel=channel, image=image, pixel_size_um=0.65)
            for cell in specimen.truth(view).cells:
                if cell.whole and cell.gap_um > 12:
                    wanted = (cell.row_px, cell.col_px)
                    if channel == "DAPI":
                        wanted = (cell.nucleus_row_px, cell.nucleus_col_px)
                    found = centroid(specimen.light(view), *wanted, radius=19 / 0.65)
                    errors.append(np.subtract(found, wanted) * 0.65)
    assert len(errors) > 30
    assert np.abs(errors).max() < 1.5
    assert np.abs(np.mean(errors, axis=0)).max() < 4 * np.std(errors) / np.sqrt(len(errors))


def test_the_labels_of_the_moving_cells(specimen_of):
    truth = Specimen(SpecimenParameters(motion=SOME)).truth(replace(FITC, image=0, time_s=300.0))
    moving = {cell.label for cell in truth.cells if cell.moving}
    assert set(np.unique(truth.moving).tolist()) - {0} <= moving
    np.testing.assert_array_equal(truth.moving > 0, np.isin(truth.labels, list(moving)))
    assert not specimen_of().truth(replace(FITC, image=0)).moving.any()


def test_a_bleached_hole_goes_with_a_crawling_cell():
    parameters = SpecimenParameters(
        haze=0.0,
        falloff=0.0,
        cells_per_mm2=60,
        touching_fraction=0.0,
        motion=Motion(speed_um_per_min=2.0),
        bleaching=Bleaching(mobile_fraction=0.0),
    )
    specimen, whole = Specimen(parameters), Specimen(parameters)
    view = replace(FITC, image=0, pixel_size_um=0.5)
    cell = max(specimen.truth(view.at(0.0)).cells, key=lambda each: each.gap_um * each.whole)
    specimen.shine(view.at(1.0), cell.nucleus_row_px, cell.nucleus_col_px, 40.0)
    far = specimen.truth(view.at(600.0))
    (later,) = [each for each in far.cells if each.id == cell.id]
    assert np.hypot(later.x_um - cell.x_um, later.y_um - cell.y_um) > 3.0
    assert later.remaining < 0.97
    row, col = round(later.nucleus_row_px), round(later.nucleus_col_px)
    left = specimen.light(view.at(600.0))[row, col] / whole.light(view.at(600.0))[row, col]
    assert left < 0.3
