"""Shifts between images: the answers are made first, by exact Fourier shifts or by drawing the cells elsewhere."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
from scipy import ndimage

from inscoper_mm.analysis.prepared import Prepared
from inscoper_mm.analysis.translation import find_translation
from inscoper_mm.testing.simulated_pairs import Field, bound_px, drift_pairs, fixed_pattern, noisy

DRIFT = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "drift"
SIDE = 384


def _shifted(image, shift):
    return np.fft.ifftn(ndimage.fourier_shift(np.fft.fftn(image), shift)).real


def _noisy_pair(name, shift, snr, seed):
    """Content enters at the borders: the whole image is shifted, then its middle is cut out."""
    image = ndimage.gaussian_filter(getattr(skimage.data, name)().astype(float), 1.0)
    pair = [each[40:-40, 40:-40] for each in (image, _shifted(image, shift))]
    noise = pair[0].std() / snr
    random = np.random.default_rng(seed)
    return [each + noise * random.standard_normal(each.shape) for each in pair], noise


def _error(found, shift):
    return math.hypot(found.row_px - shift[0], found.col_px - shift[1])


@pytest.mark.parametrize(("snr", "times"), [(20, 1.2), (5, 1.2), (1, 1.5)])
def test_the_error_is_near_the_bound(snr, times):
    ratios = []
    for number, pair in enumerate(drift_pairs(every=4)):
        random = np.random.default_rng([snr, number])
        found = find_translation(
            noisy(pair.first, snr, random), noisy(pair.second, snr, random, of=pair.first)
        )
        assert found.trusted
        assert _error(found, pair.shift_px) < 1
        ratios.append(_error(found, pair.shift_px) / bound_px(pair.first, snr))
    assert np.median(ratios) < times


@pytest.mark.slow
@pytest.mark.parametrize(("snr", "times"), [(20, 1.2), (10, 1.2), (5, 1.2), (2, 1.5), (1, 1.5)])
def test_the_error_of_all_pairs_is_near_the_bound(snr, times):
    random = np.random.default_rng(1)
    ratios, refused = [], 0
    for pair in drift_pairs():
        found = find_translation(
            noisy(pair.first, snr, random), noisy(pair.second, snr, random, of=pair.first)
        )
        refused += not found.trusted
        assert _error(found, pair.shift_px) < 1, pair.name
        ratios.append(_error(found, pair.shift_px) / bound_px(pair.first, snr))
    assert np.median(ratios) < times
    assert refused <= (1 if snr >= 2 else 5)


def test_the_error_bar_is_that_of_the_errors():
    apart = []
    for seed in range(30):
        (first, second), _ = _noisy_pair("camera", (3.3, -7.1), 5, seed)
        found = find_translation(first, second)
        apart.append(_error(found, (3.3, -7.1)) / found.error_px)
    assert 0.7 < math.sqrt(np.mean(np.square(apart))) < 1.4


CASES = {
    "all move alike": ({}, False, 0.01),
    "a third moves by itself": ({"moving": 0.3, "moved_px": 6.0}, False, 0.01),
    "fixed pattern": ({}, True, 0.02),
    "bleached": ({"gain": 0.6}, False, 0.02),
    "everything at once": ({"moving": 0.3, "moved_px": 6.0, "gain": 0.8}, True, 0.05),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happens_to_living_cells(case):
    drawn, with_pattern, limit_px = CASES[case]
    errors = []
    for seed in range(6):
        shift = (1.7 * seed - 4.3, 17.4 - 5.9 * seed)
        random = np.random.default_rng([seed, 1])
        field, pattern = Field(seed, side=SIDE), fixed_pattern([seed, 7], SIDE) if with_pattern else 1.0
        first = noisy(field.draw() * pattern, 10, random)
        second = noisy(field.draw(shift, **drawn) * pattern, 10, random)
        found = find_translation(first, second)
        assert found.trusted
        assert found.gain == pytest.approx(drawn.get("gain", 1.0), rel=0.05)
        errors.append(_error(found, shift))
    assert np.median(errors) < limit_px
    assert max(errors) < 3 * limit_px


def test_without_the_vote_the_movers_pull_the_shift_with_them():
    field = Field(3, side=SIDE)
    random = np.random.default_rng(3)
    first, second = field.draw(), field.draw((4.0, -2.5), moving=0.3, moved_px=6.0)
    first, second = noisy(first, 30, random), noisy(second, 30, random)
    with_them = find_translation(first, second, independent=False)
    without = find_translation(first, second)
    assert _error(with_them, (4.0, -2.5)) > 10 * _error(without, (4.0, -2.5))
    assert without.agree is not None
    assert without.agree.min() < 0.1 < 0.8 < np.quantile(without.agree, 0.5)


def _unrelated(seed, count, snr, strength):
    random = np.random.default_rng([seed, 98])
    pattern = fixed_pattern([seed, 99], strength=strength) if strength else 1.0
    return [noisy(Field([seed, part], count).draw() * pattern, snr, random) for part in (1, 2)]


@pytest.mark.parametrize("snr", [2, 20])
def test_fields_that_have_nothing_in_common_but_the_pattern_are_not_trusted(snr):
    for seed in range(12):
        assert not find_translation(*_unrelated(seed, (120, 40, 12)[seed % 3], snr, 0.3)).trusted


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_wrong_move_in_a_thousand_fields_that_have_nothing_in_common_but_the_pattern():
    for seed in range(1000):
        pair = _unrelated(seed, (120, 40, 12)[seed // 4 % 3], (2, 5, 10, 20)[seed % 4], 0.3)
        assert not find_translation(*pair).trusted


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_one_cell_on_another_is_no_match_of_two_fields(count):
    """Where there are only a few cells, one fits onto another by chance: mirrored ones would fit as well."""
    wrong = sum(find_translation(*_unrelated(seed, count, 10, 0.0)).trusted for seed in range(15))
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_fields_of_a_few_cells_that_have_nothing_in_common_are_not_trusted(count):
    wrong = sum(find_translation(*_unrelated(seed, count, 10, 0.0)).trusted for seed in range(200))
    assert wrong <= 4


def _few_cells(count, seeds):
    """(wrong, refused): wrong is more than a pixel off and trusted."""
    wrong = refused = 0
    for seed in range(seeds):
        random, field = np.random.default_rng([seed, 97]), Field([seed, count], count)
        far_px = math.exp(random.uniform(math.log(0.3), math.log(40)))
        turn = random.uniform(0, 2 * math.pi)
        shift = far_px * math.sin(turn), far_px * math.cos(turn)
        found = find_translation(noisy(field.draw(), 10, random), noisy(field.draw(shift), 10, random))
        refused += not found.trusted
        wrong += found.trusted and _error(found, shift) > 1
    return wrong, refused


def test_two_cells_are_enough_or_refused():
    wrong, refused = _few_cells(2, 30)
    assert wrong == 0
    assert refused <= 3


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_a_few_cells_are_enough_or_refused(count):
    wrong, refused = _few_cells(count, 200)
    assert wrong <= 2
    assert count == 1 or refused <= 10


def test_an_object_that_has_left_is_not_looked_for_elsewhere():
    """A bright cell is followed; then only its dim neighbours are there, then nothing, then no light."""
    random = np.random.default_rng(2)
    neighbours, empty = Field(4, count=2).draw(), np.full((512, 512), Field.BACKGROUND)
    followed = 3 * (Field(5, count=1).draw() - Field.BACKGROUND) + neighbours
    for then in (neighbours, empty, 0 * empty):
        pair = [each + 0.05 * random.standard_normal(each.shape) for each in (followed, then)]
        assert not find_translation(*pair).trusted


def test_what_is_kept_of_a_reference_changes_nothing():
    field, random = Field(5), np.random.default_rng(3)
    reference = Prepared(noisy(field.draw(), 5, random))
    for shift in ((3.2, 1.1), (-12.4, 7.7)):
        image = noisy(field.draw(shift), 5, random)
        kept, anew = find_translation(reference, image), find_translation(reference.level(1), image)
        assert (kept.row_px, kept.col_px, kept.confidence) == (anew.row_px, anew.col_px, anew.confidence)


@pytest.mark.parametrize("blank", [np.zeros((64, 64)), np.random.default_rng(1).normal(100, 3, (64, 64))])
def test_an_empty_field_is_not_trusted(blank):
    other = np.random.default_rng(2).normal(100, 3, (64, 64)) if blank.any() else blank
    assert not find_translation(blank, other).trusted


@pytest.mark.parametrize("shape", [(32, 32), (33, 33), (32, 640), (70, 1025), (127, 129)])
@pytest.mark.parametrize("method", ["gradient", "phase_correlation"])
def test_images_of_any_shape(shape, method):
    random = np.random.default_rng(0)
    scene = ndimage.gaussian_filter(random.standard_normal((shape[0] + 9, shape[1] + 9)), 2.0)
    first, second = scene[: shape[0], : shape[1]], scene[3 : 3 + shape[0], 2 : 2 + shape[1]]
    found = find_translation(first, second, method=method)
    assert method == "phase_correlation" or _error(found, (-3, -2)) < 1e-3
    assert not find_translation(first, np.zeros(shape), method=method).trusted


def test_bad_images_are_refused():
    good = np.zeros((64, 64), np.uint16)
    with pytest.raises(ValueError, match="one shape"):
        find_translation(good, good[:, :40])
    with pytest.raises(ValueError, match="at least 32"):
        find_translation(good[:16, :16], good[:16, :16])
    with pytest.raises(ValueError, match="not finite"):
        find_translation(good, np.full((64, 64), np.nan))


def test_integers_do_not_wrap():
    field = Field(5)
    first, second = (
        (30_000 + 15_000 * field.draw(shift)).astype(np.uint16) for shift in ((0, 0), (2.0, 3.0))
    )
    assert _error(find_translation(first, second), (2.0, 3.0)) < 0.01


@pytest.mark.skipif(not DRIFT.is_dir(), reason="the real data are not there")
@pytest.mark.parametrize("name", ["exact_speckles", "exact_nanog_bf"])
def test_real_images_with_exact_shifts(name):
    stack = tifffile.imread(DRIFT / name / "stack.tif")
    with (DRIFT / name / "truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, image in zip(rows[1:], stack[1:], strict=True):
        found = find_translation(stack[0], image)
        assert found.trusted
        assert _error(found, (-float(row["stage_dy_px"]), -float(row["stage_dx_px"]))) < 0.05


@pytest.mark.parametrize("method", ["gradient", "phase_correlation"])
def test_whole_pixels_by_choice(method):
    (first, second), _ = _noisy_pair("camera", (3.3, -7.6), 20, 1)
    whole = find_translation(first, second, method=method, sub_pixel=False)
    assert (whole.row_px, whole.col_px) == (3.0, -8.0)
    fine = find_translation(first, second, method=method)
    assert fine.trusted
    assert _error(fine, (3.3, -7.6)) < (0.02 if method == "gradient" else 0.5)
