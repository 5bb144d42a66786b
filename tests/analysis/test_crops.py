"""Crops: where they are cut, and that they are copies."""

import numpy as np
import pytest

from inscoper_mm.analysis.crops import crop_box, cut_out
from inscoper_mm.errors import InvalidInput

CASES = {
    "the box itself": ((10, 20, 30, 50), {}, (10, 20, 30, 50)),
    "a margin": ((10, 20, 30, 50), {"padding_px": 5}, (5, 15, 35, 55)),
    "a margin over the border": ((2, 3, 98, 119), {"padding_px": 5}, (0, 0, 100, 120)),
    "a square in the middle": ((40, 50, 50, 70), {"size_px": 32}, (29, 44, 61, 76)),
    "a square moved inside": ((0, 110, 8, 120), {"size_px": 32}, (0, 88, 32, 120)),
    "a square smaller than the cell": ((10, 20, 50, 60), {"size_px": 20}, (20, 30, 40, 50)),
    "a square larger than the image": ((10, 20, 50, 60), {"size_px": 110}, (0, 0, 100, 110)),
    "a size makes the margin idle": ((40, 50, 50, 70), {"size_px": 32, "padding_px": 9}, (29, 44, 61, 76)),
}


@pytest.mark.parametrize("case", CASES)
def test_where_a_crop_is_cut(case):
    box, named, expected = CASES[case]
    assert crop_box(box, (100, 120), **named) == expected


@pytest.mark.parametrize("named", [{"padding_px": -1}, {"size_px": 0}])
def test_sizes_that_make_no_sense_are_refused(named):
    with pytest.raises(InvalidInput, match=next(iter(named))):
        crop_box((1, 2, 3, 4), (100, 120), **named)


def test_a_crop_is_a_copy():
    image = np.arange(12_000, dtype=np.uint16).reshape(100, 120)
    crop = cut_out(image, (5, 15, 35, 55))
    assert np.array_equal(crop, image[5:35, 15:55])
    assert not np.shares_memory(crop, image)
