"""What a script gets as ``images``."""

from __future__ import annotations

import numpy as np
import pytest

from inscoper_mm.scripting.image import Image, Images

PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4)


def image(number: int = 0) -> Image:
    return Image({"timeIndex": number}, PIXELS + number)


def test_pixels_are_equal_and_read_only() -> None:
    array = image().array
    assert np.array_equal(array, PIXELS)
    assert array.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_read_only_holds_for_the_script_not_for_the_owner_of_the_pixels() -> None:
    mine = PIXELS.copy()
    assert not Image({}, mine).array.flags.writeable
    assert mine.flags.writeable


def test_pixels_are_not_copied() -> None:
    mine = PIXELS.copy()
    assert np.shares_memory(Image({}, mine).array, mine)


def test_lazy_pixels_are_asked_for_once() -> None:
    asked = []

    def pixels() -> np.ndarray:
        asked.append(1)
        return PIXELS

    lazy = Image({}, pixels)
    assert asked == []
    assert lazy.shape == (3, 4)
    assert lazy.array is lazy.array
    assert asked == [1]


def test_a_sequence_of_one_forwards() -> None:
    one = Images([image(5)])
    assert one.metadata is one[0].metadata
    assert np.array_equal(one.array, PIXELS + 5)
    assert one.shape == (3, 4)
    assert one.dtype == np.uint16
    assert np.array_equal(np.asarray(one), PIXELS + 5)


def test_a_sequence_of_several_is_a_sequence() -> None:
    several = Images([image(0), image(1), image(2)])
    assert len(several) == 3
    assert [i.metadata["timeIndex"] for i in several] == [0, 1, 2]
    assert several[-1].metadata["timeIndex"] == 2
    assert isinstance(several[1:], Images)
    assert np.stack([i.array for i in several]).shape == (3, 3, 4)
    assert np.stack(several).shape == (3, 3, 4)


@pytest.mark.parametrize("what", ["array", "metadata", "shape", "dtype"])
def test_of_several_there_is_no_one_array_and_the_error_has_the_cure(what: str) -> None:
    with pytest.raises(ValueError, match=rf"2 images.*images\[0\]\.{what}.*np\.stack"):
        getattr(Images([image(), image()]), what)


def test_none_at_all_has_no_array_either() -> None:
    with pytest.raises(ValueError, match="0 images"):
        _ = Images([]).array


def test_asarray_does_not_copy_and_array_does() -> None:
    one = image()
    assert np.shares_memory(np.asarray(one), one.array)
    assert np.array(one).flags.writeable
    assert not np.shares_memory(np.array(one), one.array)


def test_asarray_with_dtype_converts() -> None:
    assert np.asarray(image(), dtype=float).dtype == np.float64
    assert np.array_equal(np.asarray(Images([image()]), dtype=float), PIXELS)


def test_copy_false_refuses_a_conversion() -> None:
    with pytest.raises(ValueError, match="without a copy"):
        image().__array__(np.float64, copy=False)
    assert image().__array__(np.uint16, copy=False).dtype == np.uint16
