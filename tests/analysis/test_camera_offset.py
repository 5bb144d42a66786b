"""The camera's offset is told from the noise, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from inscoper_mm.analysis.camera_offset import estimate_offset, noise_of
from inscoper_mm.testing import simulated_shading
from inscoper_mm.testing.simulated_shading import CASES, OFFSET


def taken(gain: float, offset: float, read: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    electrons = random.poisson(300 * simulated_shading.light("smooth", 512)) + random.normal(
        0, read, (512, 512)
    )
    return np.rint(offset + gain * electrons)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.2])
@pytest.mark.parametrize("offset", [0.0, 100.0, 400.0])
def test_the_offset_is_found(gain: float, offset: float) -> None:
    fields = [noise_of(taken(gain, offset, 2.0, seed)) for seed in range(3)]
    estimate = estimate_offset(fields)
    assert estimate is not None
    # Grey values: a few percent of the light, which is 300 electrons.
    assert abs(estimate.value - offset) <= 0.06 * 300 * gain
    assert abs(estimate.value - offset) <= 4 * estimate.error


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cells_do_not_mislead_it(case: simulated_shading.Case) -> None:
    fields = [noise_of(field) for field in simulated_shading.fields(case, count=4, side=512)]
    estimate = estimate_offset(fields)
    assert estimate is not None
    assert abs(estimate.value - OFFSET) <= 25


@pytest.mark.parametrize(
    "image",
    [
        ndimage.gaussian_filter(np.random.default_rng(0).normal(500, 20, (512, 512)), 2),
        np.random.default_rng(0).normal(300 * simulated_shading.light("smooth", 512), 20),
        np.full((512, 512), 300.0),
        np.random.default_rng(0).poisson(300, (32, 32)).astype(float),
    ],
    ids=["even and smoothed", "noise that is not of photons", "no noise", "too small"],
)
def test_no_offset_where_the_noise_does_not_tell(image: np.ndarray) -> None:
    assert estimate_offset([noise_of(image)]) is None


def test_no_fields() -> None:
    assert estimate_offset([]) is None
