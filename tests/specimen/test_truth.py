"""The truth agrees with what is rendered, and with itself."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from inscoper_mm.specimen import Jump, Specimen, SpecimenParameters, TruthWriter, View, match

FITC = View(0, 0, 0, "FITC", 20)
PLAIN = {"haze": 0.0, "falloff": 0.0}


@pytest.mark.parametrize("channel", ["DAPI", "FITC"])
@pytest.mark.parametrize("pixel_um", [0.5, 1.0])
def test_labels_cover_what_is_rendered(specimen_of, channel, pixel_um):
    """Half of each cell's own brightness, found in the sharp light, is where its label is."""
    specimen = specimen_of(**PLAIN)
    view = replace(FITC, channel=channel, pixel_size_um=pixel_um)
    truth, light = specimen.truth(view), specimen.light(view)
    level = np.zeros(int(truth.visible.max()) + 1)
    present = np.unique(truth.visible)[1:]
    level[present] = 0.5 * ndimage.median(light, truth.visible, present)
    near = ndimage.distance_transform_edt(truth.visible == 0, return_indices=True)[1]
    owner = truth.visible[tuple(near)]
    found = np.where(light > level[owner], owner, 0)
    assert match(found, truth, iou=0.75).recall > 0.97


@pytest.mark.parametrize("pixel_um", [0.25, 1.0])
def test_areas_and_centres_are_those_of_the_labels(specimen_of, pixel_um):
    view = replace(FITC, pixel_size_um=pixel_um)
    truth = specimen_of(touching_fraction=0.0).truth(view)
    cells = [cell for cell in truth.cells if cell.whole]
    labels = [cell.label for cell in cells]
    pixels = ndimage.sum_labels(np.ones(view.shape), truth.labels, labels)
    centres = ndimage.center_of_mass(truth.labels > 0, truth.labels, labels)
    np.testing.assert_allclose(pixels * pixel_um**2, [cell.area_um2 for cell in cells], rtol=0.05)
    np.testing.assert_allclose(centres, [(cell.row_px, cell.col_px) for cell in cells], atol=0.2)
    for cell in cells[:5]:
        assert view.to_pixel(cell.x_um, cell.y_um) == pytest.approx((cell.row_px, cell.col_px))


def test_eccentricity_is_that_of_the_label(specimen_of):
    truth = specimen_of(touching_fraction=0.0).truth(replace(FITC, pixel_size_um=0.25, sensor=(1600, 1600)))
    errors = []
    for cell in (each for each in truth.cells if each.whole):
        y, x = np.nonzero(truth.labels == cell.label)
        small, large = np.linalg.eigvalsh(np.cov(x, y))
        errors.append(np.sqrt(1 - small / large) - cell.eccentricity)
    # The waves on the outline change it a little.
    assert np.abs(np.median(errors)) < 0.03
    assert np.std(errors) < 0.1


def test_isolated_means_half_a_diameter_of_room(specimen_of):
    """Measured in a fine label image, by the distance to the nearest other label."""
    truth = specimen_of().truth(replace(FITC, pixel_size_um=0.5, sensor=(1200, 1200)))
    checked = 0
    for cell in truth.cells:
        margin = 60
        inside = margin < cell.row_px < 1200 - margin and margin < cell.col_px < 1200 - margin
        if not inside:
            continue
        # Wide enough for every gap that is asked for here.
        rows, cols = (slice(max(0, round(at) - 110), round(at) + 111) for at in (cell.row_px, cell.col_px))
        near = truth.labels[rows, cols]
        others = (near > 0) & (near != cell.label)
        away = ndimage.distance_transform_edt(~others) if others.any() else np.full(near.shape, np.inf)
        gap_um = 0.5 * (away[near == cell.label].min() - 1)
        diameter_um = 2 * np.sqrt(cell.area_um2 / np.pi)
        if abs(gap_um - diameter_um / 2) > 0.8:
            assert cell.isolated == (gap_um > diameter_um / 2)
            checked += 1
    assert checked > 40
    assert 0.3 < np.mean([cell.isolated for cell in truth.cells]) < 0.9


def test_neighbours_outside_the_field_count(specimen_of):
    """What is isolated does not depend on where the field ends."""
    specimen = specimen_of()
    wide = {cell.id: cell for cell in specimen.truth(replace(FITC, sensor=(700, 700))).cells}
    for cell in specimen.truth(replace(FITC, sensor=(150, 150))).cells:
        assert cell.isolated == wide[cell.id].isolated
        assert cell.gap_um == wide[cell.id].gap_um


def test_whole_means_off_the_border(specimen_of):
    truth = specimen_of().truth(FITC)
    border = np.ones(FITC.shape, bool)
    border[1:-1, 1:-1] = False
    cut = set(np.unique(truth.labels[border]).tolist()) - {0}
    whole = {cell.label for cell in truth.cells if cell.whole}
    assert whole.isdisjoint({cell.label for cell in truth.cells if not cell.whole})
    # An outline may end within the outermost pixel.
    assert len(whole & cut) <= 2
    assert len(truth.cells) - len(whole) >= 10


def test_a_cell_keeps_its_name_wherever_it_is_seen(specimen_of):
    specimen = specimen_of()
    here = {cell.id: cell for cell in specimen.truth(FITC).cells}
    there = {cell.id: cell for cell in specimen.truth(replace(FITC, x_um=200.0, pixel_size_um=0.5)).cells}
    common = here.keys() & there.keys()
    assert len(common) > 10
    for name in common:
        assert (here[name].x_um, here[name].area_um2) == (there[name].x_um, there[name].area_um2)


def test_the_truth_follows_a_jump():
    specimen = Specimen(SpecimenParameters(jumps=(Jump(after_images=1, dx_um=10.0, dy_um=-5.0),)))
    before = {cell.id: cell for cell in specimen.truth(replace(FITC, image=0)).cells}
    after = {cell.id: cell for cell in specimen.truth(replace(FITC, image=1)).cells}
    for name in before.keys() & after.keys():
        assert after[name].x_um - before[name].x_um == pytest.approx(10.0)
        assert after[name].row_px - before[name].row_px == pytest.approx(-5.0)


def test_a_field_without_cells():
    truth = Specimen(SpecimenParameters(cells_per_mm2=0)).truth(FITC)
    assert truth.cells == ()
    assert not truth.labels.any()


def test_the_truth_is_written_next_to_a_run(tmp_path):
    specimen = Specimen(SpecimenParameters(jumps=(Jump(after_images=1, dz_um=6.0),)))
    writer = TruthWriter(tmp_path / "truth")
    views = [replace(FITC, image=number, x_um=100.0 * number) for number in range(2)]
    for number, view in enumerate(views):
        writer.write(f"t00{number}", view, specimen)
    truth = specimen.truth(views[1])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "truth" / "t001_labels.tif"), truth.labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "truth" / "t001_nuclei.tif"), truth.nuclei)
    with (tmp_path / "truth" / "cells.csv").open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["stem"] == "t001"]
    assert [(line["id"], float(line["x_um"]), line["isolated"]) for line in lines] == [
        (cell.id, pytest.approx(cell.x_um, abs=1e-3), str(cell.isolated)) for cell in truth.cells
    ]
    with (tmp_path / "truth" / "views.csv").open(newline="", encoding="utf-8") as file:
        assert [float(line["true_focus_um"]) for line in csv.DictReader(file)] == [0.0, 6.0]
