from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inscoper_mm.errors import LimitRefused
from inscoper_mm.microscope.limits import Limits, Range

LIMITS = Limits({"x_um": Range(-100, 100, "safety.stage.x_um in run.yaml"), "z_um": Range(0, 10, "device Z")})


@pytest.mark.parametrize("value", [-100, 0, 100, 99.5, np.float32(1.5), np.int16(7)])
def test_inside_comes_back_as_a_plain_number(value: object) -> None:
    (number,) = LIMITS.check("moveStage", {"x_um": value}).values()
    assert type(number) is float
    assert number == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            100.001,
            ["stage x 100.001 um", "-100 to 100 um", "safety.stage.x_um in run.yaml", "Nothing was moved"],
        ),
        (-1e9, ["stage x -1e+09 um"]),
        (math.nan, ["finite", "nan"]),
        (math.inf, ["finite", "inf"]),
        (-math.inf, ["finite"]),
        ("12", ["finite", "'12'"]),
        (None, ["finite", "None"]),
        (True, ["finite", "True"]),
        (1 + 2j, ["finite"]),
        ([1.0], ["finite"]),
    ],
)
def test_outside_is_refused_with_value_limit_and_source(value: object, words: list[str]) -> None:
    with pytest.raises(LimitRefused) as caught:
        LIMITS.check("moveStage by tracker", {"x_um": value})
    for word in ["moveStage by tracker", *words]:
        assert word in str(caught.value)


def test_an_axis_without_a_range_takes_any_finite_number_only() -> None:
    assert LIMITS.check("event", {"y_um": 1e12}) == {"y_um": 1e12}
    with pytest.raises(LimitRefused):
        LIMITS.check("event", {"y_um": math.nan})


def test_tightening_keeps_the_smaller_space_and_names_both_sources() -> None:
    both = LIMITS.tightened(Limits({"x_um": Range(-500, 50, "site.yaml"), "y_um": Range(0, 1, "site.yaml")}))
    assert (both.ranges["x_um"].low, both.ranges["x_um"].high) == (-100, 50)
    assert "run.yaml" in both.ranges["x_um"].source
    assert "site.yaml" in both.ranges["x_um"].source
    assert both.ranges["y_um"].high == 1
    assert both.ranges["z_um"] == LIMITS.ranges["z_um"]


@given(st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.booleans(), st.complex_numbers()))
def test_whatever_is_asked_only_numbers_inside_come_through(value: object) -> None:
    try:
        target = LIMITS.check("hostile", {"x_um": value})
    except LimitRefused:
        return
    assert -100 <= target["x_um"] <= 100
