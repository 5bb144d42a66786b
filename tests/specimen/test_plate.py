"""Wells in which only a share of the cells is there."""

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import Plate, Specimen, SpecimenParameters, View

PLATE = Plate(a1_um=(1000, -500), spacing_um=2000, columns=(1, 0.5, 0), rows=(1, 0.4))


def test_a_place_belongs_to_the_nearest_well_and_shares_multiply():
    places = {
        (1000, -500): 1.0,
        (1990, -500): 1.0,
        (2010, -500): 0.5,
        (5000, -500): 0.0,
        (99000, -500): 0.0,  # the last share goes on
        (-99000, 99000): 1.0,
        (1000, -2500): 0.4,
        (3000, -2500): 0.2,
    }
    assert PLATE.shares(np.array(list(places), float)) == pytest.approx(list(places.values()))
    assert Plate(columns=(0.5,)).shares(np.zeros((2, 2))).tolist() == [0.5, 0.5]


def cells_of(specimen, x_um, y_um, half_um=900):
    cells = specimen.cells_at(0, (x_um - half_um, y_um - half_um, x_um + half_um, y_um + half_um))
    return {cell.id: (cell.x_um, cell.y_um, cell.brightness) for cell in cells}


def test_a_well_keeps_its_share_of_the_cells_as_they_are():
    bare, wells = (Specimen(SpecimenParameters(plate=plate)) for plate in (None, PLATE))
    for (x_um, y_um), share in {
        (1000, -500): 1,
        (3000, -500): 0.5,
        (5000, -500): 0,
        (3000, -2500): 0.2,
    }.items():
        every, left = cells_of(bare, x_um, y_um), cells_of(wells, x_um, y_um)
        assert left.items() <= every.items()
        assert len(left) == pytest.approx(share * len(every), rel=0.15)
    assert cells_of(wells, 1000, -500) == cells_of(bare, 1000, -500)


def test_touching_cells_stay_together():
    pairs = [
        name[:-1]
        for name in cells_of(Specimen(SpecimenParameters(plate=PLATE)), 3000, -500)
        if name[-1] in "ab"
    ]
    whole = [name for name in set(pairs) if pairs.count(name) == 2]
    assert len(whole) > 0.9 * len(set(pairs)) > 10  # one of a pair may lie outside of what was asked for


def test_without_shares_an_image_is_the_same_bit_by_bit():
    view = View(30.0, 40.0, 0.5, "FITC", 20.0, image=3)
    images = [Specimen(SpecimenParameters(plate=plate)).render(view) for plate in (None, Plate(), PLATE)]
    assert np.array_equal(images[0], images[1])
    empty = Specimen(SpecimenParameters(plate=Plate(columns=(0,))))
    assert not empty.truth(view).cells


@pytest.mark.parametrize("plate", [{"columns": [1.5]}, {"rows": ["a"]}, {"spacing_um": 0}, {"colums": [1]}])
def test_a_wrong_plate_is_told(plate):
    with pytest.raises(InvalidInput, match="plate"):
        SpecimenParameters.from_mapping({"plate": plate})
    good = SpecimenParameters.from_mapping({"plate": {"columns": [1, 0], "a1_um": [10, 20]}})
    assert good.plate == Plate(a1_um=(10, 20), columns=(1, 0))
