from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inscoper_mm.microscope.zones import Point, Zone, legs

BOX = Zone("clamp", (10, 20), (0, 5))
LOW = Zone("wall", (10, 20), (0, 5), (50, 90))
NAN = math.nan

WAYS: dict[str, tuple[Zone, Point, Point, bool]] = {
    "far away": (BOX, (0, 0, 0), (5, 5, 0), False),
    "end inside": (BOX, (0, 0, 0), (15, 2, 0), True),
    "end on the face": (BOX, (0, 0, 0), (10, 2, 0), True),
    "just before the face": (BOX, (0, 0, 0), (9.999, 2, 0), False),
    "straight through": (BOX, (0, 2, 0), (30, 2, 0), True),
    "past the corner": (BOX, (0, 0, 0), (12, 12, 0), False),
    "cuts the corner": (BOX, (8, 4, 0), (12, 6, 0), True),
    "along y, beside": (BOX, (9, -10, 0), (9, 10, 0), False),
    "along y, through": (BOX, (12, -10, 0), (12, 10, 0), True),
    "stands outside": (BOX, (0, 0, 0), (0, 0, 0), False),
    "leaves": (BOX, (15, 2, 0), (30, 2, 0), False),
    "moves on inside": (BOX, (15, 2, 0), (16, 2, 0), True),
    "under it": (LOW, (0, 2, 49), (30, 2, 49), False),
    "at its height": (LOW, (0, 2, 50), (30, 2, 50), True),
    "focus down into it": (LOW, (15, 2, 0), (15, 2, 60), True),
    "focus beside it": (LOW, (0, 2, 0), (0, 2, 60), False),
    "focus unknown": (LOW, (0, 2, NAN), (30, 2, NAN), True),
    "stage unknown, end outside": (BOX, (NAN, NAN, 0), (30, 2, 0), False),
    "stage unknown, end inside": (BOX, (NAN, NAN, 0), (15, 2, 0), True),
    "no stage at all": (BOX, (NAN, NAN, 0), (NAN, NAN, 10), False),
}


@pytest.mark.parametrize("name", WAYS)
def test_ways(name: str) -> None:
    zone, start, end, blocked = WAYS[name]
    assert zone.blocks(start, end) is blocked


@given(*[st.tuples(*[st.floats(-30, 50)] * 3)] * 2)
def test_a_way_with_a_sampled_point_inside_is_blocked(start: Point, end: Point) -> None:
    places = np.linspace(start, end, 101)
    inside = [LOW.has(tuple(place)) for place in places]
    if any(inside) and not inside[0]:
        assert LOW.blocks(start, end)


def test_the_stage_goes_before_the_focus() -> None:
    assert legs((0, 0, 0), (5, 6, 7)) == (((0, 0, 0), (5, 6, 0)), ((5, 6, 0), (5, 6, 7)))
    assert legs((0, 0, 0), (0, 0, 7)) == (((0, 0, 0), (0, 0, 7)),)
    assert legs((1, 1, 1), (1, 1, 1)) == (((1, 1, 1), (1, 1, 1)),)
