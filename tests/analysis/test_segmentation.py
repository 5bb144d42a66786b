"""Segmentation of synthetic fields with known cells."""

import numpy as np
import pytest
from skimage.measure import label as connected

from inscoper_mm.analysis.background import estimate_background
from inscoper_mm.analysis.diameter import estimate_diameter
from inscoper_mm.analysis.grey import as_grey, blur, noise_sigma
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import Brightfield, Specimen, SpecimenParameters, View


def f1(counts):
    hits, false, missed = counts
    return 2 * hits / (2 * hits + false + missed)


FIELDS = {
    "cells of 30 pixels": {"seed": 1},
    "crowded": {"seed": 2, "count": 100},
    "few": {"seed": 3, "count": 8},
    "one": {"seed": 4, "count": 1},
    "small": {"seed": 5, "count": 80, "diameter_px": 15, "blur_px": 1.0},
    "large": {"seed": 6, "count": 20, "diameter_px": 60, "peak": 120},
    "many touch": {"seed": 7, "count": 60, "touching": 0.6},
    "very uneven light": {"seed": 8, "fall_off": 0.7},
    "strong haze": {"seed": 9, "haze": 90, "peak": 90},
    "bright": {"seed": 10, "peak": 2000, "haze": 300},
    "not square": {"seed": 11, "shape": (300, 520), "count": 25},
}


@pytest.mark.parametrize("estimated", [False, True], ids=["diameter given", "diameter estimated"])
@pytest.mark.parametrize("case", FIELDS)
def test_finds_the_cells(field, matches, case, estimated):
    made = field(**FIELDS[case])
    diameter = None if estimated else FIELDS[case].get("diameter_px", 30.0)
    assert f1(matches(segment_cells(made.image, diameter), made.labels)) >= 0.9


@pytest.mark.parametrize("method", ["otsu", "li", "local", "manual"])
def test_every_threshold_finds_the_cells(field, matches, method):
    made = field(seed=12)
    labels = segment_cells(made.image, 30.0, method, manual_level=20.0)
    assert f1(matches(labels, made.labels)) >= 0.9


def test_the_manual_level_counts(field):
    image = field(seed=12).image
    low, high, too_high = (
        np.count_nonzero(segment_cells(image, 30.0, "manual", level)) for level in (10, 45, 500)
    )
    assert low > 1.2 * high > 0
    assert too_high == 0


def empty_images():
    random = np.random.default_rng(0)
    yield "constant", np.full((128, 128), 100, np.uint16)
    yield "black", np.zeros((128, 128), np.uint8)
    yield "saturated", np.full((128, 128), 65535, np.uint16)
    yield "shot noise", random.poisson(100, (512, 512)).astype(np.uint16)
    yield "strong noise", random.normal(1000, 200, (512, 512)).clip(0).astype(np.uint16)
    yield "ramp", random.poisson(np.add.outer(20 * np.arange(200), 40 * np.arange(300))).astype(np.uint16)
    yield "noise of a float camera", random.normal(0, 1, (256, 256))
    hot = random.poisson(100, (256, 256)).astype(np.uint16)
    hot[random.integers(0, 256, 20), random.integers(0, 256, 20)] = 60000
    yield "hot pixels", hot


EMPTY = dict(empty_images())


@pytest.mark.parametrize("diameter", [None, 12.0, 30.0])
@pytest.mark.parametrize("case", EMPTY)
def test_no_cell_gives_no_label(case, diameter):
    labels = segment_cells(EMPTY[case], diameter)
    assert labels.shape == EMPTY[case].shape
    assert labels.dtype == np.int32
    assert not labels.any()


@pytest.mark.parametrize("channel", ["DAPI", "FITC"])
@pytest.mark.parametrize("haze", [1.0, 4.0])
def test_a_hazy_field_without_cells_has_none(render, channel, haze):
    for seed in range(1, 7):
        image, _, _ = render(seed, channel, cells_per_mm2=0.0, haze=haze)
        assert not segment_cells(image).any()


def test_labels_are_numbered_and_in_one_piece(field):
    labels = segment_cells(field(seed=13, count=60).image)
    numbers = np.unique(labels)
    assert labels.dtype == np.int32
    assert numbers.tolist() == list(range(numbers.size))
    for number in numbers[1:]:
        assert connected(labels == number, connectivity=1).max() == 1
        assert connected(labels != number, connectivity=1).max() == 1  # no hole


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: image.astype(np.float64), id="float64"),
        pytest.param(lambda image: image.astype(np.int32), id="int32"),
        pytest.param(lambda image: image.astype(">u2"), id="big-endian"),
        pytest.param(lambda image: np.asfortranarray(image), id="Fortran order"),
        pytest.param(lambda image: np.repeat(image, 2, axis=1)[:, ::2], id="strided"),
    ],
)
def test_the_type_of_the_array_does_not_matter(field, matches, change):
    image = field(seed=14).image
    expected = segment_cells(image, 30.0)
    assert np.array_equal(segment_cells(change(image), 30.0), expected)


def test_the_image_is_not_changed(field):
    image = field(seed=14).image.copy()
    before = image.copy()
    image.flags.writeable = False
    segment_cells(image)
    assert np.array_equal(image, before)


def test_offset_and_gain_do_not_matter(field, matches):
    image = field(seed=15, peak=200).image
    expected = segment_cells(image, 30.0)
    changed = segment_cells((image * 8.0 + 3000).astype(np.uint16), 30.0)
    assert f1(matches(changed, expected)) == 1.0


def test_two_touching_disks_are_two_cells():
    rows, cols = np.mgrid[:100, :140]
    disks = [np.hypot(rows - 50, cols - centre) <= 18 for centre in (52, 86)]
    image = np.random.default_rng(1).poisson(100 + 200 * (disks[0] | disks[1])).astype(np.uint16)
    labels = segment_cells(image, 36.0)
    assert labels.max() == 2
    assert labels[50, 45] != labels[50, 93]
    assert segment_cells(image, 36.0, split=False).max() == 1


def test_a_long_cell_is_one_cell():
    rows, cols = np.mgrid[:100, :140]
    ellipse = ((rows - 50) / 14) ** 2 + ((cols - 70) / 38) ** 2 <= 1
    image = np.random.default_rng(1).poisson(100 + 200 * ellipse).astype(np.uint16)
    labels = segment_cells(image, 40.0)
    assert labels.max() == 1
    assert np.count_nonzero(labels) == pytest.approx(np.count_nonzero(ellipse), rel=0.08)


def test_a_hole_is_filled():
    rows, cols = np.mgrid[:100, :100]
    distance = np.hypot(rows - 50, cols - 50)
    image = np.random.default_rng(1).poisson(100 + 300 * ((distance <= 20) & (distance > 5)))
    labels = segment_cells(image.astype(np.uint16), 40.0)
    assert labels.max() == 1
    assert labels[50, 50] == 1


def test_background_under_cells_is_that_around_them(field):
    made = field(seed=16, count=30, haze=60)
    grey = blur(as_grey(made.image, "test"), 1.5)
    background = estimate_background(grey, 30.0)
    outside = made.labels == 0
    assert abs(float(np.median((grey - background)[outside]))) < 1.0
    assert float(np.median((grey - background)[~outside])) > 15


@pytest.mark.parametrize("diameter_px", [12.0, 20.0, 35.0, 60.0])
def test_the_diameter_is_estimated(field, diameter_px):
    made = field(seed=17, count=25, diameter_px=diameter_px, touching=0.0, peak=150)
    grey = as_grey(made.image, "test")
    estimate = estimate_diameter(grey, noise_sigma(grey, whole_numbers=True))
    assert estimate is not None
    assert 0.6 < estimate / diameter_px < 1.5


def test_the_noise_is_measured_through_cells_and_light(field):
    quiet = field(seed=18, haze=0.01, peak=2, read_noise=8.0).image
    assert noise_sigma(as_grey(quiet, "test"), whole_numbers=True) == pytest.approx(8.0, rel=0.05)
    assert noise_sigma(np.zeros((20, 20), np.float32), whole_numbers=True) == pytest.approx(0.29)


def brightfield(seed, z_um, pixel_size_um=1.0, **parameters):
    """Transmitted light of the specimen, and its true bodies."""
    shown = Brightfield(channels=("BF",))
    specimen = Specimen(SpecimenParameters(seed=seed, brightfield=shown, **parameters))
    view = View(0.0, 0.0, z_um, "BF", 20.0, pixel_size_um=pixel_size_um, sensor=(500, 500))
    return specimen.render(view), specimen.truth(view).labels


@pytest.mark.parametrize("estimated", [False, True], ids=["diameter given", "diameter estimated"])
@pytest.mark.parametrize(
    ("z_um", "pixel_size_um"),
    [
        pytest.param(-3.0, 1.0, id="dark cells"),
        pytest.param(-6.0, 0.7, id="far out of focus"),
        pytest.param(0.0, 1.0, id="hardly visible, in focus"),
        pytest.param(2.0, 0.7, id="bright cells"),
        pytest.param(-3.0, 0.5, id="large cells"),
    ],
)
def test_cells_of_transmitted_light(matches, z_um, pixel_size_um, estimated):
    image, truth = brightfield(1, z_um, pixel_size_um)
    diameter = None if estimated else 19.0 / pixel_size_um
    assert f1(matches(segment_cells(image, diameter, objects="phase"), truth)) >= 0.85


def test_dark_cells_are_none_of_the_bright_ones(matches):
    image, truth = brightfield(2, -3.0)
    assert f1(matches(segment_cells(image, 19.0), truth)) < 0.5


@pytest.mark.parametrize("case", EMPTY)
def test_even_ground_has_no_cell_of_transmitted_light(case):
    assert not segment_cells(EMPTY[case], objects="phase").any()


def test_a_single_strong_cell_of_transmitted_light_is_found(matches):
    image, truth = brightfield(5, -3.0, cells_per_mm2=4.0)
    count = np.unique(truth).size - 1
    assert 1 <= count <= 3
    assert matches(segment_cells(image, 19.0, objects="phase"), truth) == (count, 0, 0)


def test_the_manual_level_of_transmitted_light_counts(matches):
    image, truth = brightfield(3, -3.0)
    found = segment_cells(image, 19.0, "manual", 3.0, objects="phase")
    assert f1(matches(found, truth)) >= 0.85
    assert not segment_cells(image, 19.0, "manual", 1e6, objects="phase").any()


@pytest.mark.parametrize(
    ("image", "named", "what"),
    [
        (np.zeros((10, 10, 3)), {}, "not a grey image"),
        (np.zeros((4, 100)), {}, "not a grey image"),
        (np.zeros((20, 20), complex), {}, "not a grey image"),
        (np.full((20, 20), np.nan), {}, "not finite"),
        (np.zeros((20, 20)), {"diameter_px": 0.0}, "not a cell diameter"),
        (np.zeros((20, 20)), {"diameter_px": float("nan")}, "not a cell diameter"),
        (np.zeros((20, 20)), {"threshold": "otzu"}, "Did you mean 'otsu'"),
        (np.zeros((20, 20)), {"objects": "phaes"}, "Did you mean 'phase'"),
    ],
)
def test_wrong_input_is_refused(image, named, what):
    with pytest.raises(InvalidInput, match=what):
        segment_cells(image, **named)
