"""The light is found under cells, whatever its shape, and only as far as the fields agree on it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from inscoper_mm.analysis.light_model import common_light, tiles_of
from inscoper_mm.errors import InvalidInput
from inscoper_mm.testing import simulated_shading
from inscoper_mm.testing.simulated_shading import CASES, OFFSET, Case, error_percent

SIDE = 384


@cache
def small_fields(case: Case) -> list[np.ndarray]:
    return list(simulated_shading.fields(case, count=8, side=SIDE))


def found(fields: list[np.ndarray], offset: float = OFFSET) -> np.ndarray:
    return common_light([tiles_of(field) for field in fields], fields[0].shape, offset).flat


def drawn(flat: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    return (random.poisson(flat * level) + OFFSET).astype(np.uint16)


# Percent of the light, root mean square: 8 small fields. The dust is as large as in a large field.
SMALL = {"smooth": (0.15, 0.15, 1.0), "hard": (0.8, 1.0, 2.0)}


@pytest.mark.parametrize(
    ("case", "limit"),
    [(case, SMALL[case.light][number % 3]) for number, case in enumerate(CASES)],
    ids=str,
)
def test_the_light_is_found_under_the_cells(case: Case, limit: float) -> None:
    assert error_percent(found(small_fields(case)), case.light)[0] <= limit


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("case", "limit"),
    # A third of what BaSiC reaches on smooth light, 1.1 of it on hard light.
    list(zip(CASES, (0.50 / 3, 0.50 / 3, 0.60 / 3, 1.1 * 0.92, 1.1 * 0.94, 1.1 * 1.10), strict=True)),
    ids=str,
)
def test_twenty_large_fields(case: Case, limit: float) -> None:
    assert error_percent(found(list(simulated_shading.fields(case))), case.light)[0] <= limit


def test_levels_of_the_fields_do_not_matter() -> None:
    fields = small_fields(CASES[0])
    brighter = [((field - OFFSET) * (1 + number) + OFFSET) for number, field in enumerate(fields)]
    assert np.allclose(found(brighter), found(fields), rtol=0.01)


def test_the_level_is_that_of_an_empty_field() -> None:
    random = np.random.default_rng(0)
    flat = simulated_shading.light("smooth", SIDE)
    light = common_light([tiles_of(drawn(flat, 300, random)) for _ in range(3)], flat.shape, OFFSET)
    assert light.level == pytest.approx(300, rel=0.01)
    np.testing.assert_allclose(light.background, OFFSET + 300 * flat, rtol=0.02)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_fields_will_do(count: int) -> None:
    fields = small_fields(Case("smooth", 0.05))[:count]
    assert error_percent(found(fields), "smooth")[0] <= (6.0 if count < 4 else 0.5)


def test_a_wrong_offset_shows() -> None:
    """So that the offset is worth to be known."""
    fields = small_fields(CASES[0])
    assert error_percent(found(fields, 0.0), "smooth")[0] > 20 * error_percent(found(fields), "smooth")[0]


def test_what_the_fields_do_not_agree_on_is_no_light() -> None:
    """Broad haze, another one in each field: the mean of it is not taken for light."""
    random = np.random.default_rng(3)
    haze = [ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), 50, mode="wrap") for _ in range(6)]
    fields = [drawn(np.exp(0.4 * field / field.std()), 300, random) for field in haze]
    mean = np.mean([tiles_of(field) for field in fields], axis=0) - OFFSET
    assert np.std(found(fields)) < 0.5 * np.std(mean / mean.mean())


def test_masked_cells_are_left_out() -> None:
    """What is a little brighter at one place in all fields is light, unless a mask says otherwise."""
    random = np.random.default_rng(1)
    flat = simulated_shading.light("smooth", SIDE)
    cell = np.zeros(flat.shape, bool)
    cell[100:148, 200:248] = True
    fields = [drawn(flat * np.where(cell, 1.06, 1), 300, random) for _ in range(6)]
    assert (found(fields) / flat)[cell].mean() > 1.04
    masked = common_light([tiles_of(field, cell) for field in fields], flat.shape, OFFSET).flat
    np.testing.assert_allclose((masked / flat)[cell], 1, atol=0.01)


def test_a_field_that_is_masked_altogether_does_no_harm() -> None:
    fields = small_fields(CASES[0])[:5]
    tiles = [tiles_of(field) for field in fields]
    tiles.append(tiles_of(fields[0] + 500, np.ones(fields[0].shape)))
    assert error_percent(common_light(tiles, fields[0].shape, OFFSET).flat, "smooth")[0] < 0.2


def test_bright_cells_that_never_move_are_no_light() -> None:
    random = np.random.default_rng(1)
    flat = simulated_shading.light("smooth", SIDE)
    still = 1 + simulated_shading.cells(random, 0.05, SIDE)
    assert error_percent(found([drawn(flat * still, 300, random) for _ in range(4)]), "smooth")[0] < 1.0


@pytest.mark.parametrize("shape", [(64, 64), (200, 333), (333, 200), (97, 1500)])
def test_images_of_any_shape(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    flat = 1 + 0.3 * np.linspace(-1, 1, shape[1])[None, :] + 0 * np.linspace(-1, 1, shape[0])[:, None]
    light = found([drawn(flat, 500, random) for _ in range(5)])
    assert light.shape == shape
    assert light.dtype == np.float32
    np.testing.assert_allclose(light, flat, rtol=0.03)


@pytest.mark.parametrize(
    ("fields", "offset", "text"),
    [
        ([], 0.0, "no field"),
        ([np.full((64, 64), 100.0)], 100.0, "not brighter"),
        ([np.ones((64, 64))], 5.0, "not brighter"),
    ],
)
def test_no_light_is_refused(fields: list[np.ndarray], offset: float, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        common_light([tiles_of(field) for field in fields], (64, 64), offset)
