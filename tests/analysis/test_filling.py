"""Filling a region with spots: every pixel is lit, and no spot is pointed outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from inscoper_mm.analysis.filling import MOST_POINTS, Fill, fill_points, uncovered
from inscoper_mm.analysis.shapes import make_shape
from inscoper_mm.errors import InvalidInput

_ROWS, _COLS = np.mgrid[:120, :120]
_RADIUS = np.hypot(_ROWS - 60, _COLS - 60)

REGIONS: dict[str, dict[str, Any]] = {
    "rectangle": {"type": "rectangle", "points": [[10, 10], [30, 50]]},
    "circle": {"type": "circle", "points": [[50.3, 60.1]], "radius": 12},
    "ellipse": {"type": "ellipse", "points": [[40, 50], [60, 90]]},
    "C": {
        "type": "polygon",
        "points": [[0, 0], [0, 30], [10, 30], [10, 10], [20, 10], [20, 30], [30, 30], [30, 0]],
    },
    "ring": {"type": "mask", "points": (_RADIUS < 40) & (_RADIUS > 28)},
    "two pieces": {"type": "mask", "points": (np.abs(_ROWS - 60) > 40) & (_RADIUS < 55)},
    "smaller than the spot": {"type": "circle", "points": [[20, 20]], "radius": 1.5},
    "smaller than a pixel": {"type": "circle", "points": [[20.4, 20.4]], "radius": 0.2},
}


@pytest.mark.parametrize("overlap", [0.0, 0.4])
@pytest.mark.parametrize("spot_px", [2.0, 6.0, 10.5])
@pytest.mark.parametrize("fill", ["raster", "contour"])
@pytest.mark.parametrize("region", REGIONS)
def test_every_pixel_is_lit_and_none_outside_is_aimed_at(
    region: str, fill: Fill, spot_px: float, overlap: float
) -> None:
    shape = make_shape(REGIONS[region])
    mask, first = shape.pixels()
    places = fill_points(shape, fill, spot_px, overlap) - first
    assert not uncovered(mask, places, spot_px / 2).any()
    to_pixel = np.abs(places[:, None] - np.argwhere(mask)[None]).max(axis=2).min(axis=1)
    assert to_pixel.max() <= 0.5 + 1e-9
    # The densest packing, and what the edge takes beyond it.
    each = 2.598 * (spot_px / 2 * (1 - overlap)) ** 2
    edge = mask.sum() - binary_erosion(mask).sum()
    assert len(places) <= 1.3 * mask.sum() / each + 2.5 * edge / spot_px / (1 - overlap) + 1


def test_a_point_left_out_is_noticed() -> None:
    shape = make_shape(REGIONS["circle"])
    mask, first = shape.pixels()
    places = fill_points(shape, "raster", 6.0) - first
    without = np.delete(places, len(places) // 2, axis=0)
    assert uncovered(mask, without, 3.0).any()


def test_rows_run_to_and_fro() -> None:
    places = fill_points(make_shape(REGIONS["rectangle"]), "raster", 6.0, 0.3)
    steps = np.hypot(*np.diff(places, axis=0).T)
    assert np.median(steps) == pytest.approx(np.sqrt(3) * 3 * 0.7)
    assert steps.max() < 15  # a line that began again at the left would jump over 40 px


def test_contours_go_inwards() -> None:
    places = fill_points(make_shape(REGIONS["circle"]), "contour", 6.0, 0.3)
    distance = np.hypot(*(places - (50.3, 60.1)).T)
    assert distance[:10].min() > 9 and distance[-1] < 3


@pytest.mark.parametrize(
    ("region", "place"),
    [("circle", (50.3, 60.1)), ("rectangle", (20, 30)), ("smaller than the spot", (20, 20))],
)
def test_points_aim_at_the_centre(region: str, place: tuple[float, float]) -> None:
    places = fill_points(make_shape(REGIONS[region]), "points", 6.0)
    assert places == pytest.approx(np.array([place]), abs=0.5)


def test_the_centre_of_a_ring_is_on_the_ring() -> None:
    row, col = fill_points(make_shape(REGIONS["ring"]), "points", 6.0)[0]
    assert 28 < _RADIUS[round(row), round(col)] < 40


def test_lines_are_followed_and_points_are_kept() -> None:
    line = make_shape({"type": "line", "points": [[0, 0], [0, 30], [40, 30]]})
    places = fill_points(line, "raster", 6.0, 0.2)
    steps = np.hypot(*np.diff(places, axis=0).T)
    assert places[0].tolist() == [0, 0] and places[-1].tolist() == [40, 30]
    assert steps.max() <= np.sqrt(3) * 3 * 0.8 + 1e-9
    assert fill_points(line, "points", 6.0).tolist() == [[0, 0], [0, 30], [40, 30]]
    two = make_shape({"type": "point", "points": [[3.5, 4], [9, 9]]})
    for fill in ("points", "raster", "contour"):
        assert fill_points(two, fill, 6.0).tolist() == [[3.5, 4], [9, 9]]


@pytest.mark.parametrize(
    ("spot_px", "overlap", "reason"),
    [
        (0.0, 0.0, "size of a spot"),
        (float("nan"), 0.0, "size of a spot"),
        (5.0, -0.1, "overlap"),
        (5.0, 1.0, "overlap"),
        (0.1, 0.0, f"at most {MOST_POINTS}"),
    ],
)
def test_impossible_spots_are_refused(spot_px: float, overlap: float, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        fill_points(make_shape(REGIONS["rectangle"]), "raster", spot_px, overlap)
