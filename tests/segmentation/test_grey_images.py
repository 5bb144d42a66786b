"""What is made of the images that scripts give, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.segmentation.grey_images import grey_copies, refuse_diameter


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 64, 64), "not one grey image"),
        ((64, 64, 3), "not one grey image"),
        ((1, 64, 64), "not one grey image"),
        ((64,), "not one grey image"),
        ((), "not one grey image"),
        ((1, 1), "too small"),
        ((15, 64), "too small"),
        ((0, 64), "too small"),
    ],
)
def test_shapes_that_are_taken_for_something_else_are_refused(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as error:
        grey_copies([np.zeros((16, 16)), np.zeros(shape, np.uint16)], "segment")
    assert "images[1]" in str(error.value)


@pytest.mark.parametrize("value", ["text", 1j, None])
def test_values_that_are_no_grey_values_are_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="not grey values"):
        grey_copies([np.full((16, 16), value)], "segment")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_become_the_least_one(bad: float) -> None:
    image = np.arange(400, dtype=float).reshape(20, 20) + 7
    image[3, 4] = bad
    (copy,) = grey_copies([image], "segment")
    assert copy[3, 4] == 7
    copy[3, 4] = image[3, 4]
    np.testing.assert_array_equal(copy, image)


def test_an_image_without_any_finite_value_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no pixel is a finite number"):
        grey_copies([np.full((20, 20), np.nan)], "segment")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", ">u2", "int32", "float32", "float64"])
def test_a_copy_is_made_of_every_type(dtype: str) -> None:
    image = np.eye(20).astype(dtype)
    before = image.copy()
    image.flags.writeable = False
    (copy,) = grey_copies([image], "segment")
    np.testing.assert_array_equal(copy, np.eye(20))
    copy[:] = 5
    assert copy.dtype == np.float32
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("level", [0, 1, 65535])
def test_an_image_without_contrast_is_dark(level: int) -> None:
    (copy,) = grey_copies([np.full((20, 20), level)], "segment")
    assert not copy.any()


@pytest.mark.parametrize("diameter", [None, 4, 4.0, 17.5, 100])
def test_diameters_that_can_be_are_taken(diameter: float | None) -> None:
    refuse_diameter(diameter, (100, 120), "segment")


@pytest.mark.parametrize("diameter", [0, -5, 1, 3.9, 101, 500, float("nan"), float("inf")])
def test_diameters_that_would_take_minutes_or_nothing_are_refused(diameter: float) -> None:
    with pytest.raises(InvalidInput, match="diameter"):
        refuse_diameter(diameter, (100, 120), "segment")
