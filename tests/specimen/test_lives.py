"""Cells that grow, divide and die: cycles, areas, lineage, and what is seen of it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import Bleaching, Death, Division, Motion, Specimen, SpecimenParameters, View
from inscoper_mm.specimen.culture import Culture
from inscoper_mm.specimen.lives import Lives, state_of
from inscoper_mm.specimen.population import Population

HOUR_S = 3600.0
AREA = (-800.0, -800.0, 800.0, 800.0)
NEAR = (-250.0, -250.0, 250.0, 250.0)
DIVISION = Division(cycle_h=12.0, spread=0.15, mitosis_min=30.0)
FITC = View(0, 0, 0, "FITC", 20, pixel_size_um=0.65, image=0)
GROWING = SpecimenParameters(
    cells_per_mm2=120, touching_fraction=0.0, haze=0.0, falloff=0.0, division=DIVISION
)


def founders(**parameters):
    population = Population(SpecimenParameters(touching_fraction=0.0, **parameters))
    return population.cells_near(*AREA)


@pytest.fixture(scope="module")
def culture():
    return Culture(GROWING)


@pytest.fixture(scope="module")
def birth(culture):
    """(mother, two daughters, time) of the first birth in the middle of the field."""
    for time_s in np.arange(0.0, 12 * HOUR_S, 90.0):
        cells = culture.cells_near(*NEAR, time_s)
        born = [cell for cell in cells if cell.parent]
        if len(born) > 1:
            daughters = [cell for cell in born if cell.parent == born[0].parent]
            (mother,) = [
                each for each in culture.cells_near(*NEAR, time_s - 90.0) if each.id == born[0].parent
            ]
            return mother, daughters, time_s
    raise AssertionError("no cell was born")


def test_cycles_have_the_mean_and_the_spread_that_were_asked_for():
    lives = Lives(1, DIVISION, None, 10.0)
    mothers = [lives.founder(cell) for cell in founders(cells_per_mm2=200)]
    born = [daughter for mother in mothers for daughter in lives.daughters(mother, 0.0, 0.0)]
    cycles_h = np.array([(life.divides_s - life.born_s) / HOUR_S for life in born])
    assert len(cycles_h) > 800
    assert cycles_h.mean() == pytest.approx(12.0, rel=4 * 0.15 / math.sqrt(len(cycles_h)))
    assert cycles_h.std() / cycles_h.mean() == pytest.approx(0.15, rel=0.1)


def test_the_founders_are_in_the_middle_of_their_cycles():
    lives = Lives(1, DIVISION, None, 10.0)
    found = [lives.founder(cell) for cell in founders(cells_per_mm2=200)]
    assert all(life.born_s <= 0 < life.divides_s for life in found)
    # At the beginning each looks as in a specimen without division.
    for life in found[:50]:
        body = lives.cell(life, 0.0).body
        if lives.cell(life, 0.0).shape[0] == "growing":
            assert body.area_um2 == pytest.approx(life.cell.body.area_um2, rel=0.02)
            assert body.eccentricity == pytest.approx(life.cell.body.eccentricity)
    # None divides when it is larger than the largest cell of the population, waves apart.
    assert max(2 * life.area_um2 for life in found) < math.pi * 13.0**2 * 1.06


@pytest.mark.parametrize("hours", [12.0, 24.0])
def test_the_culture_doubles_in_each_cycle(culture, hours):
    before, after = (len(culture.cells_near(-400, -400, 400, 400, at)) for at in (0.0, hours * HOUR_S))
    assert after / before == pytest.approx(2 ** (hours / 12.0), rel=0.17)


def test_the_daughters_share_the_area_and_the_place_of_their_mother(birth):
    mother, daughters, _ = birth
    assert len(daughters) == 2
    areas = [cell.body.area_um2 for cell in daughters]
    assert sum(areas) == pytest.approx(mother.body.area_um2, rel=0.02)
    assert 0.8 < areas[0] / areas[1] < 1.25
    middle = [
        np.average([getattr(cell, axis) for cell in daughters], weights=areas) for axis in ("x_um", "y_um")
    ]
    assert middle == pytest.approx([mother.x_um, mother.y_um], abs=0.5)
    apart = math.hypot(daughters[0].x_um - daughters[1].x_um, daughters[0].y_um - daughters[1].y_um)
    assert apart == pytest.approx(sum(math.sqrt(area / math.pi) for area in areas), rel=0.06)


def test_a_cell_doubles_its_area_and_rounds_up_before_it_divides():
    lives = Lives(1, DIVISION, None, 10.0)
    mother = lives.founder(founders(cells_per_mm2=50)[3])
    life, _ = lives.daughters(mother, 0.0, 0.0)
    at = {
        name: lives.cell(life, time_s)
        for name, time_s in {
            "born": life.born_s,
            "spread": life.born_s + 1801.0,
            "middle": (life.born_s + life.divides_s) / 2,
            "round": life.divides_s - 900.0,
            "end": life.divides_s - 1.0,
        }.items()
    }
    areas = {name: cell.body.area_um2 / life.area_um2 for name, cell in at.items()}
    assert areas["born"] == pytest.approx(1.0, abs=0.01)
    assert areas["middle"] == pytest.approx(1.5, abs=0.02)
    assert areas["end"] == pytest.approx(2.0, abs=0.01)
    assert at["born"].body.eccentricity == at["round"].body.eccentricity == 0.0
    assert at["spread"].body.eccentricity == pytest.approx(life.cell.body.eccentricity)
    # At last it is as long as its daughters are together.
    assert 2 * at["end"].body.reach_um == pytest.approx(
        2 * math.sqrt(2) * math.sqrt(at["end"].body.area_um2 / math.pi), rel=0.09
    )
    assert [state_of(cell) for cell in at.values()] == ["alive", "alive", "alive", "dividing", "dividing"]
    # The chromosomes condense: less area, as much light.
    before = at["middle"].nucleus.area_um2 * at["middle"].dna / areas["middle"]
    assert (
        at["round"].nucleus.area_um2
        < 0.75 * life.cell.nucleus.area_um2 / life.cell.body.area_um2 * at["round"].body.area_um2
    )
    assert at["round"].nucleus.area_um2 * at["round"].dna / areas["round"] == pytest.approx(before, rel=0.02)


def test_no_area_is_lost_or_won_at_any_time_of_a_division(birth, culture):
    mother, daughters, time_s = birth
    names = {mother.id, *(cell.id for cell in daughters)}
    total = [
        sum(cell.body.area_um2 for cell in culture.cells_near(*NEAR, time_s + after_s) if cell.id in names)
        for after_s in range(-1800, 1800, 90)
    ]
    growth = np.diff(total) / total[0]
    # Twice the area in 12 h is 0.2 % in 90 s.
    assert np.abs(growth).max() < 0.012
    assert total[-1] / total[0] == pytest.approx(1 + 1 / 12, abs=0.06)


def test_as_many_die_as_the_rate_says():
    lives = Lives(1, None, Death(per_h=0.05, fade_min=60.0), 10.0)
    dies_h = np.array([lives.founder(cell).dies_s for cell in founders(cells_per_mm2=300)]) / HOUR_S
    assert len(dies_h) > 700
    for hours in (2.0, 10.0, 30.0):
        wanted = math.exp(-0.05 * hours)
        error = math.sqrt(wanted * (1 - wanted) / len(dies_h))
        assert (dies_h > hours).mean() == pytest.approx(wanted, abs=3.5 * error)


def test_a_dying_cell_rounds_up_fades_and_is_gone():
    parameters = replace(GROWING, division=None, death=Death(per_h=0.2, fade_min=60.0))
    specimen = Specimen(parameters)
    before = {cell.id: cell for cell in specimen.truth(FITC.at(0.0)).cells if cell.whole and cell.gap_um > 20}
    lives = Lives(1, None, parameters.death, 10.0)
    cells = {cell.id: cell for cell in Population(parameters).cells_near(*NEAR)}
    dies_s = {id: lives.founder(cells[id]).dies_s for id in before}
    id, end_s = min(dies_s.items(), key=lambda each: each[1])
    row, col = round(before[id].row_px), round(before[id].col_px)

    def seen(time_s):
        light = specimen.light(FITC.at(time_s))[row - 25 : row + 26, col - 25 : col + 26].sum()
        return light, [cell for cell in specimen.truth(FITC.at(time_s)).cells if cell.id == id]

    alive, (cell,) = seen(end_s - 1.0)
    assert cell.state == "alive"
    half, (cell,) = seen(end_s + 1799.0)
    assert cell.state == "dying"
    assert cell.eccentricity < 0.35 * before[id].eccentricity + 0.2
    assert cell.area_um2 == pytest.approx(0.62 * before[id].area_um2, rel=0.05)
    # It has shrunk, and has all of its light yet.
    assert half == pytest.approx(alive, rel=0.06)
    late, _ = seen(end_s + 3000.0)
    assert 0.2 < late / alive < 0.5
    gone, cells_left = seen(end_s + 3601.0)
    assert (gone, cells_left) == (pytest.approx(0.0, abs=1e-3), [])


def test_the_truth_tells_mothers_and_states():
    specimen = Specimen(replace(GROWING, motion=Motion(moving_fraction=0.5, speed_um_per_min=0.2)))
    truth = specimen.truth(FITC.at(15 * HOUR_S))
    born = [cell for cell in truth.cells if cell.parent]
    assert len(born) > 0.7 * len(truth.cells)
    assert all(cell.id.startswith(f"{cell.parent}.") for cell in born)
    # Daughters of one mother both crawl, or neither.
    crawls = {}
    for cell in born:
        crawls.setdefault(cell.parent, set()).add(cell.moving)
    assert all(len(each) == 1 for each in crawls.values())
    assert {cell.state for cell in truth.cells} <= {"alive", "dividing"}


def test_a_growing_culture_does_not_pile_up(hidden):
    """Cells that grow into each other part again: of all areas, nearly all can be seen."""
    truth = Specimen(GROWING).truth(FITC.at(30 * HOUR_S))
    share = hidden(truth, FITC.pixel_size_um)
    assert len(share) > 30
    assert share.mean() < 0.05


def test_where_and_what_cells_are_does_not_depend_on_what_was_asked_before(culture):
    asked_a_lot = culture.cells_near(*NEAR, 20 * HOUR_S)
    fresh = Culture(GROWING).cells_near(*NEAR, 20 * HOUR_S)
    assert [(c.id, c.x_um, c.y_um, c.body, c.shape) for c in fresh] == [
        (c.id, c.x_um, c.y_um, c.body, c.shape) for c in asked_a_lot
    ]


def test_daughters_have_what_light_has_left_of_their_mother(birth):
    mother, daughters, time_s = birth
    parameters = replace(GROWING, bleaching=Bleaching(imaging_per_ms=0.05))
    specimen, dark = Specimen(parameters), Specimen(parameters)
    view = replace(FITC, x_um=mother.x_um, y_um=mother.y_um, image=0)
    specimen.expose(view.at(time_s - 600.0))
    truth = {cell.id: cell for cell in specimen.truth(view.at(time_s + 60.0)).cells}
    for cell in daughters:
        assert truth[cell.id].remaining == pytest.approx(math.exp(-1.0))
    row, col = view.to_pixel(daughters[0].x_um, daughters[0].y_um)
    place = (round(row), round(col))
    bleached, whole = (each.light(view.at(time_s + 60.0))[place] for each in (specimen, dark))
    assert bleached / whole == pytest.approx(math.exp(-1.0), rel=0.01)


@pytest.mark.parametrize(
    ("mapping", "field", "told"),
    [
        pytest.param({"division": {"cycle": 3}}, "division.cycle", "'cycle_h'", id="division"),
        pytest.param({"division": {"cycle_h": 0}}, "division.cycle_h", "0.1 to", id="no time"),
        pytest.param({"death": {"per_h": -1}}, "death.per_h", "0 to", id="death"),
        pytest.param({"death": 3}, "death", "mapping", id="no mapping"),
    ],
)
def test_what_is_wrong_is_told(mapping, field, told):
    with pytest.raises(InvalidInput) as caught:
        SpecimenParameters.from_mapping(mapping)
    (finding,) = caught.value.findings
    assert finding.field == f"microscope.specimen.{field}"
    assert told in str(finding)
