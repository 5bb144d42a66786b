"""Stacks of slides that have moved in all three directions, computed by wave optics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inscoper_mm.analysis.stack_shift import find_stack_shift
from inscoper_mm.testing.simulated_pairs import shifted_stacks


def _errors(photons, seeds, name="nuclei"):
    """Of each pair of stacks: (depths of field, pixels)."""
    errors = []
    for seed in seeds:
        pair = shifted_stacks(seed, photons, name)
        found = find_stack_shift(pair.first, pair.second, pair.heights_um, pair.heights_um)
        assert found.trusted, found.refused
        row, col = found.translation.row_px - pair.shift_px[0], found.translation.col_px - pair.shift_px[1]
        errors.append((abs(found.z_um - pair.z_um) / pair.depth_of_field_um, math.hypot(row, col)))
    return np.median(errors, axis=0)


@pytest.mark.parametrize(("photons", "limit_px"), [(200, 0.03), (20, 0.1)])
def test_height_and_place_are_found(photons, limit_px):
    depths, pixels = _errors(photons, range(3))
    assert depths < 0.02
    assert pixels < limit_px


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nuclei", "filaments", "puncta", "one_cell"])
@pytest.mark.parametrize(("photons", "limit_px"), [(200, 0.04), (20, 0.12)])
def test_height_and_place_are_found_in_many_slides(name, photons, limit_px):
    depths, pixels = _errors(photons, range(30), name)
    assert depths < 0.02
    assert pixels < limit_px


def test_a_stack_that_ends_before_the_focus_is_refused():
    pair = shifted_stacks(1, 200)
    below = [number for number, z in enumerate(pair.heights_um) if z < pair.z_um - pair.depth_of_field_um]
    found = find_stack_shift(
        pair.first, pair.second[below], pair.heights_um, [pair.heights_um[each] for each in below]
    )
    assert not found.trusted
    assert "the stack has no focus" in found.refused
    assert found.z_um is None


def test_another_slide_is_refused():
    one, other = shifted_stacks(1, 200), shifted_stacks(2, 200)
    found = find_stack_shift(one.first, other.first, one.heights_um, other.heights_um)
    assert not found.trusted
    assert "too little in common" in found.refused
