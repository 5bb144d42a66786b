"""Regions: their areas and pixels are known beforehand; bad ones are refused with a reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from inscoper_mm.analysis.shapes import KINDS, make_shape
from inscoper_mm.errors import InvalidInput

MASK = np.zeros((40, 50), np.uint8)
MASK[10:20, 30:45] = 3

# name -> (region, its area, the number of its pixels)
AREAS: dict[str, tuple[dict[str, Any], float, int | None]] = {
    "a point": ({"type": "point", "points": [[3.2, 4.4]]}, 0.0, 1),
    "a point alone": ({"type": "point", "points": [3.2, 4.4]}, 0.0, 1),
    "two points": ({"type": "point", "points": [[3, 4], [9, 9]]}, 0.0, 2),
    "a line": ({"type": "line", "points": [[2, 2], [2, 11]]}, 0.0, 10),
    "a rectangle, two corners": ({"type": "rectangle", "points": [[20, 30], [10, 10]]}, 200.0, 11 * 21),
    "a rectangle, four corners": (
        {"type": "rectangle", "points": [[10, 10], [10, 30], [20, 30], [20, 10]]},
        200.0,
        11 * 21,
    ),
    "a rotated rectangle": (
        {"type": "rectangle", "points": [[0, 10], [10, 0], [30, 20], [20, 30]]},
        400.0,
        None,
    ),
    "a circle and radius": ({"type": "circle", "points": [[30, 30]], "radius": 12}, math.pi * 144, None),
    "a circle and rim": ({"type": "circle", "points": [[30, 30], [30, 42]]}, math.pi * 144, None),
    "an ellipse and radii": (
        {"type": "ellipse", "points": [[30, 40]], "radii": [10, 20]},
        math.pi * 200,
        None,
    ),
    "an ellipse in a box": ({"type": "ellipse", "points": [[20, 20], [40, 60]]}, math.pi * 200, None),
    "a triangle": ({"type": "polygon", "points": [[0, 0], [0, 40], [30, 0]]}, 600.0, None),
    "a closed triangle": ({"type": "polygon", "points": [[0, 0], [0, 40], [30, 0], [0, 0]]}, 600.0, None),
    "a C": (
        {
            "type": "polygon",
            "points": [[0, 0], [0, 30], [10, 30], [10, 10], [20, 10], [20, 30], [30, 30], [30, 0]],
        },
        700.0,
        None,
    ),
    "a mask": ({"type": "mask", "points": MASK}, 150.0, 150),
    "a mask as lists": ({"type": "mask", "points": MASK.tolist()}, 150.0, 150),
}


@pytest.mark.parametrize("case", AREAS)
def test_area_and_pixels(case: str) -> None:
    roi, area, count = AREAS[case]
    shape = make_shape(roi)
    mask, _ = shape.pixels()
    assert shape.area == pytest.approx(area, rel=1e-9)
    if count is None:
        # Pixels whose centre is inside: the area to within the half of the edge.
        assert mask.sum() == pytest.approx(area, abs=4 * math.sqrt(area))
    else:
        assert mask.sum() == count


def test_every_type_of_the_contract_is_there() -> None:
    from inscoper_mm.scripting.forms import ROI_TYPES

    assert set(KINDS) == set(ROI_TYPES)
    assert {roi["type"] for roi, _, _ in AREAS.values()} == set(ROI_TYPES)


def test_pixels_know_where_they_are() -> None:
    mask, first = make_shape({"type": "mask", "points": MASK}).pixels()
    assert first == (10, 30) and mask.shape == (10, 15) and mask.all()
    mask, first = make_shape({"type": "circle", "points": [[20, 30]], "radius": 5}).pixels()
    rows, cols = np.nonzero(mask)
    assert (rows.mean() + first[0], cols.mean() + first[1]) == pytest.approx((20, 30))


def test_a_region_between_pixels_has_the_nearest() -> None:
    mask, first = make_shape({"type": "circle", "points": [[7.6, 8.4]], "radius": 0.2}).pixels()
    assert mask.tolist() == [[True]] and first == (8, 8)


def test_a_moved_shape_keeps_its_area() -> None:
    shape = make_shape({"type": "polygon", "points": [[0, 0], [0, 40], [30, 0]]})
    moved = shape.mapped(lambda points: points[:, ::-1] * 2 + (100, 7))
    assert moved.area == pytest.approx(2400.0)
    assert moved.bounds == (100.0, 7.0, 180.0, 67.0)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown type": ({"type": "circel", "points": [[1, 1]]}, "Did you mean 'circle'"),
    "no type": ({"points": [[1, 1]]}, "no type of a region"),
    "no points": ({"type": "circle"}, "no 'points'"),
    "NaN": ({"type": "point", "points": [[1, math.nan]]}, "NaN"),
    "infinity": ({"type": "line", "points": [[1, 1], [2, math.inf]]}, "NaN or infinity"),
    "text": ({"type": "point", "points": "here"}, "list of pairs"),
    "triples": ({"type": "point", "points": [[1, 2, 3]]}, "list of pairs"),
    "no point at all": ({"type": "point", "points": []}, "list of pairs"),
    "half a line": ({"type": "line", "points": [[1, 1]]}, "number of points"),
    "a line of one place": ({"type": "line", "points": [[1, 1], [1, 1]]}, "the same"),
    "a flat rectangle": ({"type": "rectangle", "points": [[1, 1], [1, 9]]}, "no area"),
    "three corners": ({"type": "rectangle", "points": [[1, 1], [1, 9], [9, 9]]}, "2 or 4 corners"),
    "corners out of order": (
        {"type": "rectangle", "points": [[0, 0], [9, 9], [0, 9], [9, 0]]},
        "no rectangle",
    ),
    "no radius": ({"type": "circle", "points": [[1, 1]]}, "'radius'"),
    "radius 0": ({"type": "circle", "points": [[1, 1]], "radius": 0}, "'radius'"),
    "radius NaN": ({"type": "circle", "points": [[1, 1]], "radius": math.nan}, "'radius'"),
    "one radius of two": ({"type": "ellipse", "points": [[1, 1]], "radii": [3]}, "two lengths"),
    "a flat polygon": ({"type": "polygon", "points": [[0, 0], [5, 5], [10, 10]]}, "no area"),
    "a bow tie": ({"type": "polygon", "points": [[0, 0], [9, 9], [0, 9], [9, 0]]}, "crosses itself"),
    "a star": (
        {
            "type": "polygon",
            "points": [[9 * math.cos(a), 9 * math.sin(a)] for a in np.arange(5) * 4 * math.pi / 5],
        },
        "crosses itself",
    ),
    "a touching outline": (
        {"type": "polygon", "points": [[0, 0], [0, 10], [5, 5], [10, 10], [10, 0], [5, 5]]},
        "crosses itself",
    ),
    "an empty mask": ({"type": "mask", "points": np.zeros((9, 9))}, "empty"),
    "a mask of NaN": ({"type": "mask", "points": np.full((9, 9), np.nan)}, "finite"),
    "a flat mask": ({"type": "mask", "points": np.ones(9)}, "(Y, X)"),
    "a mask in um": ({"type": "mask", "points": np.ones((9, 9)), "unit": "um"}, "'px'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_regions_are_refused(case: str) -> None:
    roi, reason = BAD[case]
    with pytest.raises(InvalidInput) as error:
        make_shape(roi)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("roi", "inside"),
    [
        ({"type": "point", "points": [[0, 0]]}, True),
        ({"type": "point", "points": [[39.5, 49.5]]}, True),
        ({"type": "point", "points": [[40, 3]]}, False),
        ({"type": "circle", "points": [[20, 20]], "radius": 19.4}, True),
        ({"type": "circle", "points": [[20, 20]], "radius": 21}, False),
        ({"type": "mask", "points": MASK}, True),
        ({"type": "mask", "points": MASK[1:]}, False),
    ],
)
def test_regions_outside_the_image_are_refused(roi: dict[str, Any], inside: bool) -> None:
    shape = make_shape(roi)
    if inside:
        shape.check_in_field((40, 50))
        return
    with pytest.raises(InvalidInput, match=r"outside the image|image's size"):
        shape.check_in_field((40, 50))


def test_a_mask_cannot_be_moved() -> None:
    with pytest.raises(InvalidInput, match="mask"):
        make_shape({"type": "mask", "points": MASK}).mapped(lambda points: points)
