"""The cells of the plane: where they are and what they are like."""

import numpy as np
import pytest
from scipy import ndimage

from inscoper_mm.specimen import SpecimenParameters, View
from inscoper_mm.specimen.population import Population

AREA = (-800.0, -800.0, 800.0, 800.0)


def cells_in(population, left, top, right, bottom):
    near = population.cells_near(left, top, right, bottom)
    return [cell for cell in near if left <= cell.x_um < right and top <= cell.y_um < bottom]


@pytest.mark.parametrize(("density", "touching"), [(100, 0.2), (380, 0.2), (380, 0.0), (300, 0.4)], ids=str)
def test_density_and_touching_are_as_asked(density, touching):
    population = Population(SpecimenParameters(cells_per_mm2=density, touching_fraction=touching))
    cells = cells_in(population, *(2.5 * np.array(AREA)))
    per_mm2 = len(cells) / (4.0 * 4.0)
    in_pairs = np.mean([cell.id[-1] in "ab" for cell in cells])
    assert per_mm2 == pytest.approx(density, rel=0.06)
    assert in_pairs == pytest.approx(touching, abs=0.04)


def test_the_same_cells_in_whatever_order_places_are_visited():
    first, second = (Population(SpecimenParameters(seed=3)) for _ in range(2))
    second.cells_near(3000, 3000, 3500, 3500)
    second.cells_near(700, 700, 900, 900)
    assert cells_in(first, *AREA) == cells_in(second, *AREA)


def test_another_seed_gives_other_cells():
    first, second = (cells_in(Population(SpecimenParameters(seed=seed)), *AREA) for seed in (1, 2))
    assert {cell.x_um for cell in first}.isdisjoint(cell.x_um for cell in second)


@pytest.mark.parametrize("x_um", [-90000.0, -50.0, 90000.0])
def test_there_are_cells_everywhere(x_um):
    cells = cells_in(Population(SpecimenParameters()), x_um, 0, x_um + 500, 500)
    assert 70 < len(cells) < 120


def test_cells_vary():
    cells = cells_in(Population(SpecimenParameters()), *AREA)
    traits = {
        "diameter": ([cell.body.diameter_um for cell in cells], 1.4),
        "brightness": ([cell.brightness for cell in cells], 1.8),
        "dna": ([cell.dna for cell in cells], 1.7),
    }
    for name, (values, span) in traits.items():
        low, high = np.percentile(values, [5, 95])
        assert high / low > span, name
    eccentricity = np.array([cell.body.eccentricity for cell in cells])
    assert (eccentricity < 0.45).any() and (eccentricity > 0.8).any()


def test_a_fifth_of_the_cells_touch_in_the_picture(specimen_of):
    view = View(0, 0, 0, "FITC", 20, pixel_size_um=0.5, sensor=(3000, 3000))
    truth = specimen_of(seed=4).truth(view)
    grown = ndimage.maximum_filter(truth.labels, 3)
    shrunk = -ndimage.maximum_filter(np.where(truth.labels, -truth.labels, -(2**30)), 3)
    contact = (truth.labels > 0) & ((grown != truth.labels) | (shrunk != truth.labels))
    touching = set(np.unique(truth.labels[contact & (truth.labels > 0)]).tolist())
    whole = [cell for cell in truth.cells if cell.whole]
    assert np.mean([cell.label in touching for cell in whole]) == pytest.approx(0.2, abs=0.04)
    agree = np.mean([(cell.label in touching) == cell.touching for cell in whole])
    assert agree > 0.98


def test_nuclei_lie_inside_their_cells(specimen_of):
    truth = specimen_of().truth(View(0, 0, 0, "DAPI", 20, pixel_size_um=0.25, sensor=(1500, 1500)))
    inside = truth.nuclei[truth.nuclei > 0] == truth.labels[truth.nuclei > 0]
    assert inside.mean() > 0.995
    share = (truth.nuclei > 0).sum() / (truth.labels > 0).sum()
    assert 0.25 < share < 0.45
