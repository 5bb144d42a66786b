"""Shifts between images: made first, found again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from inscoper_mm.analysis.registration import find_shift

SHAPE = (300, 400)
Pair = Callable[..., tuple[npt.NDArray[Any], npt.NDArray[Any]]]


@pytest.fixture(scope="module")
def pair() -> Pair:
    """``pair(drow, dcol)``: two images of which the second shows what the first does, moved; uneven light stays."""
    generator = np.random.default_rng(3)
    scene = np.zeros((900, 1000))
    scene.ravel()[generator.choice(scene.size, 3000, replace=False)] = generator.uniform(2000, 9000, 3000)
    spectrum = np.fft.fft2(gaussian_filter(scene, 3))
    rows, cols = np.ogrid[:300, :400]
    light = 1 - 0.5 * (((rows - 150) / 150) ** 2 + ((cols - 200) / 200) ** 2) / 2

    def image(drow: float, dcol: float) -> npt.NDArray[np.uint16]:
        turn = np.fft.fftfreq(900)[:, None] * drow + np.fft.fftfreq(1000)[None, :] * dcol
        moved = np.fft.ifft2(spectrum * np.exp(-2j * np.pi * turn)).real
        grey = moved[300:600, 300:700] * light + 100
        return generator.poisson(np.clip(grey, 0, None)).astype(np.uint16)

    return lambda drow, dcol: (image(0, 0), image(drow, dcol))


@pytest.mark.parametrize(
    ("shift", "near"),
    [
        ((0.0, 0.0), (0, 0)),
        ((3.3, -7.8), (0, 0)),
        ((-41.25, 30.5), (0, 0)),
        ((110.4, -150.7), (100, -140)),
        ((-120.0, 160.0), (-120.4, 160.4)),
    ],
)
def test_a_shift_is_found_to_a_fraction_of_a_pixel(pair: Pair, shift: tuple[float, float], near: Any) -> None:
    found = find_shift(*pair(*shift), near)
    assert (found.drow_px, found.dcol_px) == pytest.approx(shift, abs=0.1)
    assert found.score > 0.7


def test_what_does_not_belong_together_says_so(pair: Pair) -> None:
    generator = np.random.default_rng(5)
    noise = [generator.normal(500, 30, SHAPE) for _ in range(2)]
    assert abs(find_shift(*noise).score) < 0.2
    assert find_shift(pair(0, 0)[0], np.full(SHAPE, 7)).score == 0
    assert find_shift(np.full(SHAPE, 7), np.full(SHAPE, 7)).score == 0
    assert find_shift(*pair(0, 0), near=(290, 0)).score == 0  # no overlap is left
