"""Regions: what they become when they are moved and combined is known beforehand; drawn, they are what they were."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from inscoper_mm.analysis.regions import Region, region_at, region_of, regions_of_labels, united
from inscoper_mm.analysis.shapes import make_shape
from inscoper_mm.errors import InvalidInput

CIRCLE = region_of({"type": "circle", "points": [[50, 50]], "radius": 20})
SQUARE = region_of({"type": "rectangle", "points": [[10, 10], [30, 30]]})
BAR = region_of({"type": "rectangle", "points": [[20, 0], [24, 40]]})
LINE = region_of({"type": "line", "points": [[10, 10], [10, 30]]})

# name -> (region, its area, its bounds)
KNOWN: dict[str, tuple[Region, float, tuple[float, float, float, float]]] = {
    "shifted": (SQUARE.shifted(5, -3), 400, (15, 7, 35, 27)),
    "turned by a right angle": (
        region_of({"type": "rectangle", "points": [[40, 40], [80, 60]]}).rotated(90, (40, 40)),
        800,
        (20, 40, 40, 80),  # what was down is right, what was right is up: counter-clockwise, as it is seen
    ),
    "turned about its own centre": (SQUARE.rotated(90), 400, (10, 10, 30, 30)),
    "made larger": (SQUARE.scaled(2), 1600, (0, 0, 40, 40)),
    "made higher, from a corner": (SQUARE.scaled(2, 1, (10, 10)), 800, (10, 10, 50, 30)),
    "shrunk": (SQUARE.grown(-5), 100, (15, 15, 25, 25)),
    "shrunk to nothing and more": (SQUARE.grown(-11) | BAR, 160, (20, 0, 24, 40)),
    "a line with width": (LINE.grown(2), 80 + 4 * math.pi, (8, 8, 12, 32)),
    "union": (SQUARE | BAR, 400 + 160 - 80, (10, 0, 30, 40)),
    "intersection": (SQUARE & BAR, 80, (20, 10, 24, 30)),
    "difference": (SQUARE - BAR, 320, (10, 10, 30, 30)),
    "all of several": (united([SQUARE, BAR, SQUARE]), 480, (10, 0, 30, 40)),
    "a ring": (CIRCLE - CIRCLE.scaled(0.5), math.pi * 300, (30, 30, 70, 70)),
    "the part in the image": (SQUARE.shifted(-20, 0).clipped((100, 100)), 210, (-0.5, 10, 10, 30)),
    "by its size": (region_at("rectangle", (50, 60), 10, 4), 40, (45, 58, 55, 62)),
    "by its size, turned": (region_at("rectangle", (50, 60), 10, 4, 90), 40, (48, 55, 52, 65)),
    "an ellipse by its size": (region_at("ellipse", (50, 60), 20, 10), math.pi * 50, (40, 55, 60, 65)),
    "a line by its length": (region_at("line", (50, 60), 20), 0, (40, 60, 60, 60)),
}


@pytest.mark.parametrize("case", KNOWN)
def test_what_becomes_of_it(case: str) -> None:
    region, area, bounds = KNOWN[case]
    assert region.area_px == pytest.approx(area, rel=2e-3)
    assert region.bounds == pytest.approx(bounds, abs=0.03)


def test_what_was_not_changed_is_given_back_as_it_was_given() -> None:
    given = {"type": "polygon", "points": [[1.25, 2.5], [1.25, 20.123456789], [17.1, 3]], "unit": "px"}
    assert region_of(given).rois() == [given]
    circle = {"type": "circle", "points": [[9.7, 8.1]], "radius": 3.3}
    assert region_of(circle).rois() == [circle]


def test_moved_vertices_are_exact() -> None:
    (roi,) = (
        region_of({"type": "polygon", "points": [[1.25, 2.5], [1.25, 20.5], [17, 3]]}).shifted(1, 2).rois()
    )
    vertices = sorted(map(tuple, roi["points"]))
    assert vertices == [(2.25, 4.5), (2.25, 22.5), (18.0, 5.0)]


def test_pixels_are_those_whose_centre_is_inside() -> None:
    random = np.random.default_rng(0)
    rows, cols = np.mgrid[:60, :70]
    for _ in range(20):
        angle = np.sort(random.uniform(0, 2 * np.pi, 12))
        radius = random.uniform(5, 25, 12)
        points = np.stack([30 + radius * np.sin(angle), 35 + radius * np.cos(angle)], axis=1)
        region = region_of({"type": "polygon", "points": points})
        expected = shapely.contains_xy(region.geometry, rows, cols)
        assert np.array_equal(region.mask((60, 70)), expected)


def test_a_region_that_leaves_the_image_is_cut_off() -> None:
    whole = CIRCLE.shifted(60, 0).mask((160, 100))
    assert np.array_equal(CIRCLE.shifted(60, 0).mask((100, 100)), whole[:100])
    assert not CIRCLE.shifted(500, 0).mask((100, 100)).any()


@pytest.mark.parametrize("density", [0.2, 0.5, 0.9])
def test_a_mask_comes_back_pixel_by_pixel(density: float) -> None:
    random = np.random.default_rng(1)
    for _ in range(10):
        mask = random.random((14, 17)) < density
        region = region_of({"type": "mask", "points": mask})
        assert np.array_equal(region.mask(mask.shape), mask)
        # The contract's polygons have no holes: the pieces cover each pixel once, and no other.
        pieces = Region(region.geometry).rois()
        times = sum(region_of(roi).mask(mask.shape).astype(int) for roi in pieces)
        assert np.array_equal(times, mask)


def test_labels_come_back_pixel_by_pixel() -> None:
    random = np.random.default_rng(2)
    labels = np.kron(random.integers(0, 6, (8, 9)), np.ones((4, 4), int)) * 7
    regions = regions_of_labels(labels)
    assert set(regions) == set(np.unique(labels)) - {0}
    drawn = np.zeros_like(labels)
    for label, region in regions.items():
        drawn[region.mask(labels.shape)] = label
    assert np.array_equal(drawn, labels)


def test_the_deepest_place_is_farthest_from_the_edge() -> None:
    assert CIRCLE.deepest == pytest.approx((50, 50), abs=0.5)
    row, col = (SQUARE | BAR).deepest
    distance = shapely.boundary((SQUARE | BAR).geometry).distance(shapely.Point(row, col))
    assert distance == pytest.approx(10, abs=0.2)


def test_the_centre_of_a_ring_lies_on_it() -> None:
    ring = CIRCLE - CIRCLE.scaled(0.5)
    assert ring.geometry.intersects(shapely.Point(ring.centre))


def test_every_piece_of_a_ring_can_be_fired_at() -> None:
    shapes = [make_shape(roi) for roi in (CIRCLE - CIRCLE.scaled(0.5)).rois()]
    assert sum(shape.area for shape in shapes) == pytest.approx(math.pi * 300, rel=2e-3)


BAD: dict[str, tuple[Any, str]] = {
    "outside": (lambda: CIRCLE.shifted(40, 0).check_in_image((100, 100)), "outside the image"),
    "partly outside": (lambda: united([SQUARE, SQUARE.shifted(0, 80)]).check_in_image((100, 100)), "outside"),
    "empty": (lambda: (SQUARE & SQUARE.shifted(50, 0)).check_in_image((100, 100)), "nothing is left"),
    "micrometres": (lambda: region_of({"type": "point", "points": [1, 2], "unit": "um"}), "in pixels"),
    "crossing": (
        lambda: region_of({"type": "polygon", "points": [[0, 0], [9, 9], [0, 9], [9, 0]]}),
        "crosses itself",
    ),
    "unknown shape": (lambda: region_at("elipse", (5, 5), 3), "Did you mean 'ellipse'"),
    "no size": (lambda: region_at("circle", (5, 5), 0), "'radius'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_ones_are_refused(case: str) -> None:
    ask, message = BAD[case]
    with pytest.raises(InvalidInput, match=message):
        ask()


def test_in_the_image_is_in_the_image() -> None:
    for region in (CIRCLE, SQUARE - BAR, LINE, CIRCLE - CIRCLE.grown(-5)):
        region.check_in_image((100, 100))


def test_the_example_of_the_documentation_is_right() -> None:
    page = Path(__file__).parents[2] / "docs" / "scripts" / "roi_manipulation.md"
    (example,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    names: dict[str, Any] = {}
    exec(compile(example, page.name, "exec"), names)
    assert names["ring"].area_px == pytest.approx(math.pi * 144 * 0.75, rel=2e-3)
    assert np.array_equal(names["cells"][1].mask((100, 100)), names["mask"])
    assert names["cross"].bounds == pytest.approx((25, 35, 55, 65), abs=0.1)
    assert {roi["type"] for roi in names["rois"]} == {"polygon"}
