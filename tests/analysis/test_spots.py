"""One spot of light in an image: put there at a known place, found within a fraction of a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from inscoper_mm.analysis.spots import find_spot


def _scene(
    row: float, col: float, fwhm_px: float, height: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rows, cols = np.mgrid[:200, :240]
    steady = 300 + 100 * np.sin(rows / 30) + 40 * np.cos(cols / 11)
    steady[50, 60] = steady[150, 30] = 4000  # hot pixels
    sigma = fwhm_px / 2.355
    spot = height * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2))
    return steady + spot + random.normal(0, 20, steady.shape), steady + random.normal(0, 8, steady.shape)


@pytest.mark.parametrize("fwhm_px", [3.0, 5.0, 12.0, 30.0])
@pytest.mark.parametrize(("row", "col"), [(100.0, 120.0), (90.4, 133.7), (52.2, 61.5)])
def test_found_within_a_fraction_of_a_pixel(row: float, col: float, fwhm_px: float) -> None:
    spot = find_spot(*_scene(row, col, fwhm_px, 800))
    assert spot is not None
    assert (spot.row, spot.col) == pytest.approx((row, col), abs=0.15)
    assert spot.fwhm_px == pytest.approx(fwhm_px, rel=0.15)


@pytest.mark.parametrize(
    ("row", "col", "height"),
    [(100, 120, 0.0), (100, 120, 15.0), (2, 120, 800.0), (100, 238, 800.0)],
    ids=["no spot", "in the noise", "cut at the top", "cut at the right"],
)
def test_no_spot_no_answer(row: float, col: float, height: float) -> None:
    assert find_spot(*_scene(row, col, 8.0, height)) is None
