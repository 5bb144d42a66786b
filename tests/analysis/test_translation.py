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

from inscoper_mm.analysis.translation import find_translation

DRIFT = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "drift"
SIDE = 384
MOTIFS = ("camera", "coins", "brick", "page")


def _shifted(image, shift):
    return np.fft.ifftn(ndimage.fourier_shift(np.fft.fftn(image), shift)).real


def _noisy_pair(name, shift, snr, seed):
    """Content enters at the borders: the whole image is shifted, then its middle is cut out."""
    image = ndimage.gaussian_filter(getattr(skimage.data, name)().astype(float), 1.0)
    pair = [each[40:-40, 40:-40] for each in (image, _shifted(image, shift))]
    noise = pair[0].std() / snr
    random = np.random.default_rng(seed)
    return [each + noise * random.standard_normal(each.shape) for each in pair], noise


def _bound_px(image, noise):
    """Cramer-Rao: what no estimator can beat, for noise in both images."""
    down, right = np.gradient(image)
    known = np.array([[(down**2).sum(), (down * right).sum()], [(down * right).sum(), (right**2).sum()]])
    return math.sqrt(np.trace(2 * noise**2 * np.linalg.inv(known)))


def _error(found, shift):
    return math.hypot(found.row_px - shift[0], found.col_px - shift[1])


@pytest.mark.parametrize(("snr", "times"), [(20, 1.2), (5, 1.2), (1, 1.5)])
def test_the_error_is_near_the_bound(snr, times):
    ratios = []
    for number, name in enumerate(MOTIFS):
        for far in (0.05, 0.5, 2.7, 15.7, 39.0):
            shift = far * math.sin(number + far), far * math.cos(number + far)
            (first, second), noise = _noisy_pair(name, shift, snr, seed=number)
            clean, _ = _noisy_pair(name, shift, 1e9, seed=number)
            found = find_translation(first, second)
            assert found.trusted
            ratios.append(_error(found, shift) / _bound_px(clean[0], noise))
    assert np.median(ratios) < times
    assert max(ratios) < 6  # none has failed


def test_the_error_bar_is_that_of_the_errors():
    apart = []
    for seed in range(30):
        (first, second), _ = _noisy_pair("camera", (3.3, -7.1), 5, seed)
        found = find_translation(first, second)
        apart.append(_error(found, (3.3, -7.1)) / found.error_px)
    assert 0.7 < math.sqrt(np.mean(np.square(apart))) < 1.4


class Cells:
    """Round-ish cells on a plane; ``draw`` shows them shifted, some of them on ways of their own."""

    def __init__(self, seed, count=120, border=60):
        random = np.random.default_rng(seed)
        self.places = random.uniform(-border, SIDE + border, (count, 2))
        self.radii = random.uniform(5, 9, (count, 2))
        self.turns = random.uniform(0, math.pi, count)
        self.lights = random.uniform(0.5, 1.5, count)
        self.ways = random.uniform(0, 2 * math.pi, count)

    def draw(self, shift=(0.0, 0.0), movers=0.0, moved_px=0.0, gain=1.0):
        image = np.full((SIDE, SIDE), 0.2)
        count = len(self.places)
        for number, ((row, col), radii) in enumerate(zip(self.places, self.radii, strict=True)):
            own = moved_px if number < movers * count else 0.0
            row += shift[0] + own * math.sin(self.ways[number])
            col += shift[1] + own * math.cos(self.ways[number])
            top, left = max(int(row) - 25, 0), max(int(col) - 25, 0)
            rows = np.arange(top, min(int(row) + 26, SIDE))[:, None] - row
            cols = np.arange(left, min(int(col) + 26, SIDE))[None, :] - col
            cos, sin = math.cos(self.turns[number]), math.sin(self.turns[number])
            depth = ((cols * cos + rows * sin) / radii[0]) ** 2 + ((rows * cos - cols * sin) / radii[1]) ** 2
            image[top : top + rows.shape[0], left : left + cols.shape[1]] += self.lights[number] * np.exp(
                -(depth**1.5)
            )
        return image * gain


def _pattern(seed, strength=0.3):
    """Fall-off of the light and dust: it stays where it is."""
    random = np.random.default_rng([seed, 7])
    row, col = np.mgrid[:SIDE, :SIDE]
    light = 1 - 2 * strength * ((row / SIDE - 0.5) ** 2 + (col / SIDE - 0.5) ** 2)
    for y, x, size in zip(*random.uniform(0, SIDE, (2, 15)), random.uniform(2, 6, 15), strict=True):
        light -= strength * np.exp(-((row - y) ** 2 + (col - x) ** 2) / 2 / size**2)
    return light


def _noise(image, snr, seed):
    return image + image.std() / snr * np.random.default_rng([seed, 1]).standard_normal(image.shape)


CASES = {
    "all move alike": ({}, False, 0.01),
    "a third moves by itself": ({"movers": 0.3, "moved_px": 6.0}, False, 0.01),
    "fixed pattern": ({}, True, 0.02),
    "bleached": ({"gain": 0.6}, False, 0.02),
    "everything at once": ({"movers": 0.3, "moved_px": 6.0, "gain": 0.8}, True, 0.05),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happens_to_living_cells(case):
    drawn, with_pattern, limit_px = CASES[case]
    errors = []
    for seed in range(6):
        shift = (1.7 * seed - 4.3, 17.4 - 5.9 * seed)
        cells, pattern = Cells(seed), _pattern(seed) if with_pattern else 1.0
        first = _noise(cells.draw() * pattern, 10, seed)
        second = _noise(cells.draw(shift, **drawn) * pattern, 10, seed + 100)
        found = find_translation(first, second)
        assert found.trusted
        assert found.gain == pytest.approx(drawn.get("gain", 1.0), rel=0.05)
        errors.append(_error(found, shift))
    assert np.median(errors) < limit_px
    assert max(errors) < 3 * limit_px


def test_without_the_vote_the_movers_pull_the_shift_with_them():
    cells = Cells(3)
    first, second = cells.draw(), cells.draw((4.0, -2.5), movers=0.3, moved_px=6.0)
    with_them = find_translation(first, second, independent=False)
    without = find_translation(first, second)
    assert _error(with_them, (4.0, -2.5)) > 10 * _error(without, (4.0, -2.5))
    assert without.agree is not None
    assert without.agree.min() < 0.1 < 0.8 < np.quantile(without.agree, 0.5)


@pytest.mark.parametrize("snr", [2, 20])
def test_fields_that_have_nothing_in_common_but_the_pattern_are_not_trusted(snr):
    for seed in range(12):
        pattern = _pattern(seed)
        count = (120, 40, 12)[seed % 3]
        first, second = (
            _noise(Cells(100 * seed + part, count).draw() * pattern, snr, seed + part) for part in (1, 2)
        )
        assert not find_translation(first, second).trusted


def test_one_cell_on_another_is_no_match_of_two_fields():
    """Where little of both overlaps, one cell of each may fit perfectly: that says nothing about the others."""
    for seed in range(12):
        first, second = (
            _noise(Cells(1000 + 2 * seed + part, 5, -40).draw(), 20, seed + part) for part in (0, 1)
        )
        assert not find_translation(first, second).trusted


def test_two_cells_are_enough_or_refused():
    wrong = 0
    for seed in range(40):
        cells = Cells(seed, count=2, border=-70)
        shift = (40 * math.sin(seed), 40 * math.cos(seed))
        found = find_translation(_noise(cells.draw(), 10, seed), _noise(cells.draw(shift), 10, seed + 1000))
        wrong += found.trusted and _error(found, shift) > 1
    assert wrong <= 4


@pytest.mark.parametrize("blank", [np.zeros((64, 64)), np.random.default_rng(1).normal(100, 3, (64, 64))])
def test_an_empty_field_is_not_trusted(blank):
    other = np.random.default_rng(2).normal(100, 3, (64, 64)) if blank.any() else blank
    assert not find_translation(blank, other).trusted


def test_bad_images_are_refused():
    good = np.zeros((64, 64), np.uint16)
    with pytest.raises(ValueError, match="one shape"):
        find_translation(good, good[:, :40])
    with pytest.raises(ValueError, match="at least 32"):
        find_translation(good[:16, :16], good[:16, :16])
    with pytest.raises(ValueError, match="not finite"):
        find_translation(good, np.full((64, 64), np.nan))


def test_integers_do_not_wrap():
    cells = Cells(5)
    first, second = (
        (30_000 + 20_000 * cells.draw(shift)).astype(np.uint16) for shift in ((0, 0), (2.0, 3.0))
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
