"""What moves on its own between two images: cells are drawn where they are, and some of them elsewhere."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from inscoper_mm.analysis.motion import Motion, find_motion
from inscoper_mm.analysis.translation import find_translation
from inscoper_mm.specimen import Specimen, SpecimenParameters, View
from inscoper_mm.testing.simulated_pairs import Field, drift_pairs, noisy

SHIFT = (5.3, -3.8)


def _motion(first, second) -> Motion:
    return find_motion(first, second, find_translation(first, second))


def _fields(seed, snr, moving, moved_px, gain=0.8):
    random = np.random.default_rng([seed, 5])
    field = Field([seed, 3])
    second = field.draw(SHIFT, moving, moved_px, gain)
    return field, noisy(field.draw(), snr, random), noisy(second, snr, random)


def _same(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize(("moved_px", "snr"), [(1, 20), (2, 20), (2, 2), (6, 10), (6, 2), (12, 5)])
def test_the_mask_is_where_the_moving_cells_are(moved_px, snr):
    shares = []
    for seed in range(4):
        field, first, second = _fields(seed, snr, 0.3, moved_px)
        shares.append(_same(_motion(first, second).mask, field.moving_cells(SHIFT, 0.3, moved_px)))
    assert np.median(shares) >= 0.6


@pytest.mark.parametrize("snr", [20, 2])
def test_drift_and_bleaching_are_no_motion(snr):
    for seed in range(6):
        _, first, second = _fields(seed, snr, 0.0, 0.0, gain=0.6)
        assert not _motion(first, second).mask.any()


def test_pictures_that_drift_do_not_move():
    random = np.random.default_rng(3)
    for pair in drift_pairs(every=11):
        first, second = noisy(pair.first, 2, random), noisy(pair.second, 2, random, of=pair.first)
        assert not _motion(first, second).mask.any()


def test_the_difference_is_that_of_the_brightness_the_reference_would_have():
    """A cell that is new shows with its own brightness; all else is noise."""
    field = Field(2, count=40, side=256)
    first = 1000 * field.draw()
    second = 1000 * field.draw((7.25, -2.5), gain=0.5)
    rows, cols = np.mgrid[:256, :256]
    new = 400 * np.exp(-((((rows - 120) / 8.0) ** 2 + ((cols - 90) / 8.0) ** 2) ** 2))
    random = np.random.default_rng(4)
    first, second = (
        (each + random.normal(100, 3, each.shape)).astype(np.uint16) for each in (first, second + new)
    )
    motion = _motion(first, second)
    assert motion.difference.dtype == np.float32
    assert motion.difference.shape == second.shape
    assert motion.mask[120, 90]
    assert motion.difference[115:126, 85:96].mean() == pytest.approx(new[115:126, 85:96].mean(), rel=0.05)
    elsewhere = np.hypot(rows - 120, cols - 90) > 20
    elsewhere[:12], elsewhere[-12:], elsewhere[:, :12], elsewhere[:, -12:] = False, False, False, False
    noise = math.hypot(3, 0.5 * 3)
    assert motion.difference[elsewhere].std() < 1.1 * noise
    assert abs(motion.difference[elsewhere].mean()) < 0.1 * noise
    assert not motion.difference[:7].any()  # the reference does not reach there


def test_large_images_are_looked_at_binned_and_answered_in_full():
    field = Field(6, count=25, side=256)
    large = [
        cv2.resize(each, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
        for each in (field.draw(), field.draw((0, 0), 0.3, 1.5))
    ]
    random = np.random.default_rng(1)
    first, second = (noisy(each, 10, random) for each in large)
    mask = _motion(first, second).mask
    assert mask.shape == (1280, 1280)
    assert _same(mask, np.kron(field.moving_cells((0, 0), 0.3, 1.5), np.ones((5, 5), bool))) >= 0.6


def _specimen_pair(seed, channel, moving, haze=1.0):
    """Two images, 200 s apart, of cells that crawl, drift and bleach in haze; and where the crawling ones are then."""
    parameters = {
        "seed": seed,
        "haze": haze,
        "time": {"per_image_s": 10},
        "drift": {"x_um_per_s": 0.01, "y_um_per_s": -0.006},
        "motion": {"moving_fraction": moving, "speed_um_per_min": 1.0, "persistence_min": 10},
        "bleaching": {"imaging_per_ms": 2e-4},
    }
    specimen = Specimen(SpecimenParameters.from_mapping(parameters))
    first, second = (View(0, 0, 0, channel, 20.0, image=number) for number in (1, 21))
    truth = specimen.truth(second)
    seen = truth.moving > 0
    return (
        specimen.render(first),
        specimen.render(second),
        seen & (truth.nuclei > 0) if channel == "DAPI" else seen,
    )


@pytest.mark.parametrize("channel", ["DAPI", "FITC"])
def test_cells_that_crawl_in_haze_are_marked_and_no_haze(channel):
    shares = []
    for seed in range(3):
        first, second, crawling = _specimen_pair(seed, channel, 0.3)
        shares.append(_same(_motion(first, second).mask, crawling))
    assert np.median(shares) >= 0.6


@pytest.mark.parametrize("haze", [1.0, 3.0])
def test_a_specimen_that_only_drifts_and_bleaches_does_not_move(haze):
    for seed in range(2):
        first, second, _ = _specimen_pair(seed, "FITC", 0.0, haze)
        assert not _motion(first, second).mask.any()


def test_images_that_have_nothing_in_common_show_no_motion():
    first, second = Field(1).draw(), Field(2).draw()
    motion = _motion(first, second)
    assert not motion.mask.any()
    assert not motion.difference.any()
