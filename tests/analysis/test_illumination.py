"""Images under even light, and projections of fields."""

from __future__ import annotations

import numpy as np
import pytest

from inscoper_mm.analysis.illumination import Light, flatten, flatten_as_taken, project_light
from inscoper_mm.errors import InvalidInput


@pytest.fixture
def light() -> Light:
    row, col = np.mgrid[:40, :60] / 50
    return Light.from_background(
        (100 + 50 * np.exp(-((row - 0.3) ** 2) - (col - 0.5) ** 2)).astype(np.float32), 100.0
    )


def test_the_light_is_taken_off(light: Light) -> None:
    truth = np.random.default_rng(0).uniform(0, 3000, light.flat.shape)
    taken = (light.offset + light.flat * truth).astype(np.float32)
    np.testing.assert_allclose(flatten(taken, light), truth, rtol=1e-4, atol=1e-2)
    assert flatten(np.rint(taken).astype(np.uint16), light).dtype == np.float32


def test_the_image_itself_stays_as_it_is(light: Light) -> None:
    taken = np.full(light.flat.shape, 500, np.float32)
    flatten(taken, light)
    assert (taken == 500).all()


def test_an_empty_field_becomes_even(light: Light) -> None:
    np.testing.assert_allclose(flatten(light.background, light), light.level, rtol=1e-4)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_nothing_is_clipped(light: Light, kind: type) -> None:
    """Also where the brightest value of the camera lies in the darkest corner, and where there is nothing at all."""
    top = min(np.iinfo(kind).max, 10**6)
    taken = np.full(light.flat.shape, top, kind)
    taken[::2] = 0
    even = flatten_as_taken(taken, light)
    assert even.dtype == kind
    assert even.min() >= 0
    exact = light.offset + (taken.astype(float) - light.offset) * light.flat.min() / light.flat
    np.testing.assert_allclose(even, exact, atol=0.51, rtol=1e-5)
    assert even.max() == top


def test_images_of_one_light_can_be_compared(light: Light) -> None:
    """The same specimen twice as bright is twice as bright, not scaled to its own range."""
    taken = [(100 + light.flat * level).astype(np.uint16) for level in (1000, 2000)]
    dim, bright = (flatten_as_taken(image, light).astype(float) - 100 for image in taken)
    np.testing.assert_allclose(bright, 2 * dim, rtol=0.01)


def test_another_size_is_refused(light: Light) -> None:
    with pytest.raises(InvalidInput, match="another size"):
        flatten(np.zeros((40, 61)), light)


@pytest.mark.parametrize(
    ("how", "values", "expected"),
    [
        ("median", [1, 2, 30], 2),
        ("mean", [1, 2, 30], 11),
        ("low_quantile", [1, 2, 3, 4, 30], 2),
    ],
)
def test_projections(how: str, values: list[int], expected: float) -> None:
    fields = np.stack([np.full((70, 30), 100 + value, np.uint16) for value in values])
    light = project_light(fields, how, 100.0)  # type: ignore[arg-type]
    assert light.level == pytest.approx(expected)
    np.testing.assert_allclose(light.flat, 1, rtol=1e-6)


def test_a_smoothed_projection_has_less_noise() -> None:
    fields = np.random.default_rng(0).poisson(400, (5, 90, 90)).astype(np.uint16)
    rough, smooth = (project_light(fields, "median", 0.0, sigma).flat.std() for sigma in (0, 8))
    assert smooth < 0.2 * rough


def test_no_background_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not brighter"):
        Light.from_background(np.full((20, 20), 90, np.float32), 100.0)
