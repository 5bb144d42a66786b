"""What light takes away from the specimen, and what comes back."""

import math
from dataclasses import replace

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import Bleaching, Galvo, Specimen, SpecimenParameters, View

PLAIN = {"seed": 3, "haze": 0.0, "falloff": 0.0, "touching_fraction": 0.0, "cells_per_mm2": 100}
DAPI = View(0.0, 0.0, 0.0, "DAPI", 20, image=0)


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(clock):
    """A specimen of single cells without background, on the clock."""

    def make(spot_px=4.6, **bleaching):
        bleaching = Bleaching(**({"mobile_fraction": 0.0} | bleaching))
        parameters = SpecimenParameters(**PLAIN, bleaching=bleaching, galvo=Galvo(spot_px=spot_px))
        return Specimen(parameters, clock)

    return make


def one_cell(specimen, view=DAPI):
    """A whole cell far from all others."""
    return max((cell for cell in specimen.truth(view).cells if cell.whole), key=lambda cell: cell.gap_um)


def left_of(specimen, id, channel="DAPI"):
    view = View(0.0, 0.0, 0.0, channel, 20, image=0)
    (cell,) = [cell for cell in specimen.truth(view).cells if cell.id == id]
    return cell.remaining


@pytest.mark.parametrize(("per_ms", "dose_ms"), [(0.1, 20.0), (0.1, 5.0), (0.02, 30.0), (0.1, 0.0)], ids=str)
def test_a_dose_leaves_the_share_that_the_formula_says(make, per_ms, dose_ms):
    # So wide a spot lights the whole nucleus evenly.
    specimen = make(spot_px=400, per_ms=per_ms)
    cell = one_cell(specimen)
    before = specimen.light(DAPI)
    specimen.shine(DAPI, cell.nucleus_row_px, cell.nucleus_col_px, dose_ms)
    wanted = math.exp(-per_ms * dose_ms)
    assert left_of(specimen, cell.id) == pytest.approx(wanted, abs=0.005)
    row, col = round(cell.nucleus_row_px), round(cell.nucleus_col_px)
    after = specimen.light(DAPI)
    assert after[row, col] / before[row, col] == pytest.approx(wanted, abs=0.005)


def test_pieces_of_a_dose_take_as_much_as_the_whole(make):
    cell = one_cell(make())
    place = (cell.nucleus_row_px + 1, cell.nucleus_col_px)
    left = []
    for pieces in (1, 2, 8):
        specimen = make()
        for _ in range(pieces):
            specimen.shine(DAPI, *place, 16.0 / pieces)
        left.append(left_of(specimen, cell.id))
    assert left[0] < 0.95
    assert left == pytest.approx([left[0]] * 3, abs=1e-5)


def test_a_narrow_spot_bleaches_a_gaussian_around_its_middle(make):
    specimen = make(per_ms=0.1)
    cell = one_cell(specimen)
    row, col = round(cell.nucleus_row_px), round(cell.nucleus_col_px)
    near = View(cell.x_um, cell.y_um, 0.0, "FITC", 20, pixel_size_um=0.25, image=0)
    before = specimen.light(near)
    specimen.shine(DAPI, row, col, 10.0)
    left = specimen.light(near) / np.maximum(before, 1e-6)
    x_um, y_um = DAPI.to_stage(row, col)
    for away_um in (0.0, 1.0, 2.0):
        wanted = math.exp(-math.exp(-4 * math.log(2) * (away_um / 4.6) ** 2))
        r, c = near.to_pixel(x_um + away_um, y_um)
        # The image of a 0.45 um wide point softens the hole by as much.
        assert left[round(r), round(c)] == pytest.approx(wanted, abs=0.04)


def test_neighbours_keep_their_light(make):
    specimen = make()
    cell = one_cell(specimen)
    before = specimen.truth(DAPI)
    for dr in range(-6, 7, 3):
        for dc in range(-6, 7, 3):
            specimen.shine(DAPI, cell.nucleus_row_px + dr, cell.nucleus_col_px + dc, 20.0)
    after = {each.id: each.remaining for each in specimen.truth(DAPI).cells}
    assert len(after) == len(before.cells)
    assert after.pop(cell.id) < 0.3
    assert min(after.values()) == 1.0


@pytest.mark.parametrize("mobile_fraction", [1.0, 0.5])
def test_half_of_the_way_back_takes_one_half_time(make, clock, mobile_fraction):
    specimen = make(mobile_fraction=mobile_fraction, half_time_s=4.0)
    cell = one_cell(specimen)
    row, col = round(cell.nucleus_row_px), round(cell.nucleus_col_px)
    at_start = specimen.light(DAPI)[row, col]
    specimen.shine(DAPI, row, col, 20.0)
    seen = []
    for clock.now_s in (0.0, 4.0, 8.0, 400.0):
        seen.append(specimen.light(DAPI)[row, col] / at_start)
    right_after, once, twice, at_last = seen
    assert right_after < 0.4
    assert (once - right_after) / (at_last - right_after) == pytest.approx(0.5, abs=0.01)
    assert (twice - right_after) / (at_last - right_after) == pytest.approx(0.75, abs=0.01)
    mean = left_of(specimen, cell.id)
    wanted = mobile_fraction * mean + (1 - mobile_fraction) * right_after
    assert at_last == pytest.approx(wanted, abs=0.03)


def test_recovery_brings_no_light_that_was_not_there(make, clock):
    specimen = make(mobile_fraction=0.7, half_time_s=4.0)
    cell = one_cell(specimen)
    specimen.shine(DAPI, cell.nucleus_row_px, cell.nucleus_col_px + 2, 20.0)
    left = []
    for clock.now_s in (0.0, 3.0, 12.0, 1000.0):
        left.append((left_of(specimen, cell.id, "FITC"), specimen.light(DAPI).sum()))
    assert left[0][0] < 0.98
    # The other channel, and all light of the field in this one.
    np.testing.assert_allclose([share for share, _ in left], left[0][0], rtol=0.01)
    np.testing.assert_allclose([total for _, total in left], left[0][1], rtol=0.002)


def test_what_is_left_in_the_truth_is_what_the_image_shows(make):
    specimen = make()
    cell = one_cell(specimen)
    before = specimen.light(DAPI)
    specimen.shine(DAPI, cell.nucleus_row_px + 2, cell.nucleus_col_px - 1, 20.0)
    after = specimen.light(DAPI)
    rows, cols = np.indices(before.shape)
    near = np.hypot(rows - cell.row_px, cols - cell.col_px) < 24
    assert after[near].sum() / before[near].sum() == pytest.approx(left_of(specimen, cell.id), abs=0.01)
    assert left_of(specimen, cell.id) < 0.9


def test_the_hole_goes_with_the_cell(make):
    specimen = make()
    cell = one_cell(specimen)
    specimen.shine(DAPI, cell.nucleus_row_px, cell.nucleus_col_px, 20.0)
    still = specimen.light(DAPI)
    specimen.jump(dx_um=9.0, dy_um=-5.0)
    moved = specimen.light(View(9.0, -5.0, 0.0, "DAPI", 20, image=99))
    np.testing.assert_allclose(moved, still, atol=0.01)


def test_what_was_seen_before_stays_as_it_was(make):
    specimen = make()
    cell = one_cell(specimen)
    view = DAPI.at(specimen.now_s())
    before = specimen.render(view)
    specimen.shine(DAPI, cell.nucleus_row_px, cell.nucleus_col_px, 20.0)
    later = DAPI.at(specimen.now_s())
    after = specimen.render(later)
    specimen.shine(DAPI, cell.nucleus_row_px, cell.nucleus_col_px, 20.0)
    np.testing.assert_array_equal(specimen.render(view), before)
    np.testing.assert_array_equal(specimen.render(later), after)
    assert (before != after).any()


def test_imaging_bleaches_all_cells_of_the_field(make):
    specimen = make(imaging_per_ms=0.0025)
    cell = one_cell(specimen)
    dark = DAPI.at(specimen.now_s())
    for _ in range(40):
        specimen.expose(DAPI)
    inside = [each for each in specimen.truth(DAPI).cells if each.whole]
    assert [each.remaining for each in inside] == pytest.approx([math.exp(-2.0)] * len(inside), abs=1e-4)
    away = View(3000.0, 0.0, 0.0, "DAPI", 20, image=0)
    assert {each.remaining for each in specimen.truth(away).cells} == {1.0}
    row, col = round(cell.nucleus_row_px), round(cell.nucleus_col_px)
    assert specimen.light(DAPI)[row, col] / Specimen(specimen.parameters).light(DAPI)[row, col] == (
        pytest.approx(math.exp(-2.0), abs=1e-3)
    )
    assert {each.remaining for each in specimen.truth(dark).cells} == {1.0}


def test_by_default_imaging_bleaches_nothing(make):
    specimen = make()
    before = specimen.render(DAPI)
    for _ in range(20):
        specimen.expose(DAPI)
    np.testing.assert_array_equal(specimen.render(DAPI), before)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(DAPI, id="whole"),
        pytest.param(
            View(0, 0, 0, "DAPI", 20, 2.0, 2, (256, 256), (40, 30, 120, 90), image=0), id="binned region"
        ),
    ],
)
def test_the_spot_is_seen_where_it_falls(specimen_of, view, centroid):
    specimen = specimen_of(seed=3, signal=0.0, haze=0.0, falloff=0.0)
    row, col = 102.0, 124.0
    image = specimen.render(replace(view, lights=((row, col, 1.0),))).astype(float) - 100
    wanted = row / view.binning - view.origin_px[0], col / view.binning - view.origin_px[1]
    assert centroid(image, *wanted, radius=8) == pytest.approx(wanted, abs=0.15)
    bright = image[round(wanted[0]), round(wanted[1])]
    assert bright == pytest.approx(2 * 650 * view.binning**2, rel=0.15)


@pytest.mark.parametrize("name", ["col", "row"])
def test_a_map_has_three_or_six_terms(name):
    for terms in ([1, 2, 3], [1, 2, 3, 4, 5, 6]):
        got = SpecimenParameters.from_mapping({"galvo": {name: terms}})
        assert getattr(got.galvo, name) == tuple(terms)
    with pytest.raises(InvalidInput, match="3 or 6 numbers"):
        SpecimenParameters.from_mapping({"galvo": {name: [1, 2]}})
