"""Wells of a plate: their names, and which fields lie in which."""

from __future__ import annotations

import pytest

from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.experiment.plates import PlateLayout, plate_of, well_name, well_of, wells_named

NAMES = {"A1": (0, 0), "B07": (1, 6), "H12": (7, 11), "P24": (15, 23), "AA1": (26, 0), "AF48": (31, 47)}


@pytest.mark.parametrize("name", NAMES)
def test_a_field_is_named_after_its_well(name: str) -> None:
    assert well_of(name) == well_of(f"{name}_0003") == NAMES[name]
    assert well_of(well_name(NAMES[name])) == NAMES[name]


@pytest.mark.parametrize("name", ["A", "Pos000", "A0", "a1", "A1x", "1A", "A1-B2"])
def test_other_names_are_no_wells(name: str) -> None:
    assert well_of(name) is None


def test_wells_are_selected_by_name() -> None:
    assert wells_named("all", 2, 3) == [(row, column) for row in range(2) for column in range(3)]
    assert wells_named(["B1", "A1-B2"], 8, 12) == [(1, 0), (0, 0), (0, 1), (1, 0), (1, 1)]
    assert wells_named(["A3-A1"], 8, 12) == [(0, 2), (0, 1), (0, 0)]
    for wrong in (["A13"], ["A1-"], ["A1-B2-C3"], "A1", [], [3]):
        with pytest.raises(ValueError, match=r".*"):
            wells_named(wrong, 8, 12)


def layout(positions: str, by_name: bool = False) -> PlateLayout | None:
    text = f"microscope: {{backend: demo}}\nacquisition: {{stage_positions: {positions}}}\n"
    return plate_of(parse_experiment(text, __import__("pathlib").Path()).acquisition, by_name)


PLATE = (
    "{plate: 24-well, a1_center_xy: [0, 0], selected_wells: [A1, B2], "
    "well_points_plan: {rows: 1, columns: 2, fov_width: 10, fov_height: 10}}"
)


def test_the_fields_of_a_plate_lie_in_their_wells() -> None:
    assert layout(PLATE) == PlateLayout(4, 6, {0: (0, 0), 1: (0, 0), 2: (1, 1), 3: (1, 1)})


def test_positions_named_after_wells_are_a_plate_where_that_is_asked_for() -> None:
    named = "[{x: 0, y: 0, name: A1}, {x: 9, y: 0, name: C5}]"
    assert layout(named) is None
    assert layout(named, by_name=True) == PlateLayout(4, 6, {0: (0, 0), 1: (2, 4)})
    assert layout("[{x: 0, y: 0, name: A1}, {x: 9, y: 0, name: here}]", by_name=True) is None
