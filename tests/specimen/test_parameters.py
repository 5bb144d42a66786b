"""Reading the specimen's parameters from an experiment file."""

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import Jump, SpecimenParameters


@pytest.mark.parametrize("mapping", [None, {}], ids=["none", "empty"])
def test_nothing_gives_the_defaults(mapping):
    assert SpecimenParameters.from_mapping(mapping) == SpecimenParameters()


def test_reads_every_kind_of_value():
    got = SpecimenParameters.from_mapping(
        {"seed": 7, "focus_um": 3, "write_truth": True, "jumps": [{"after_images": 21, "dz_um": 6.0}]}
    )
    assert got == SpecimenParameters(
        seed=7, focus_um=3.0, write_truth=True, jumps=(Jump(after_images=21, dz_um=6.0),)
    )
    assert isinstance(got.focus_um, float)


@pytest.mark.parametrize(
    ("mapping", "field", "told"),
    [
        pytest.param({"sead": 1}, "microscope.specimen.sead", "Did you mean 'seed'?", id="unknown"),
        pytest.param({"seed": 1.5}, "microscope.specimen.seed", "whole number", id="not whole"),
        pytest.param(
            {"seed": True}, "microscope.specimen.seed", "whole number", id="a truth value is no number"
        ),
        pytest.param({"seed": -1}, "microscope.specimen.seed", "0 to", id="negative seed"),
        pytest.param({"falloff": 2}, "microscope.specimen.falloff", "0 to 0.95", id="too much"),
        pytest.param(
            {"cells_per_mm2": 5000}, "microscope.specimen.cells_per_mm2", "0 to 420", id="too dense"
        ),
        pytest.param({"focus_um": "top"}, "microscope.specimen.focus_um", "a number", id="text"),
        pytest.param({"focus_um": float("nan")}, "microscope.specimen.focus_um", "finite", id="not a number"),
        pytest.param({"write_truth": 1}, "microscope.specimen.write_truth", "true or false", id="flag"),
        pytest.param({"jumps": {"dz_um": 1}}, "microscope.specimen.jumps", "a list", id="jumps no list"),
        pytest.param({"jumps": [3]}, "microscope.specimen.jumps[0]", "mapping", id="jump no mapping"),
        pytest.param(
            {"jumps": [{"dz_um": 1}]},
            "microscope.specimen.jumps[0].after_images",
            "missing",
            id="jump without when",
        ),
        pytest.param(
            {"jumps": [{"after_images": 1, "dz-um": 1}]},
            "microscope.specimen.jumps[0].dz-um",
            "'dz_um'",
            id="jump axis",
        ),
        pytest.param([1], "microscope.specimen", "mapping", id="no mapping"),
    ],
)
def test_what_is_wrong_is_told(mapping, field, told):
    with pytest.raises(InvalidInput) as caught:
        SpecimenParameters.from_mapping(mapping, file="experiment.yaml")
    (finding,) = caught.value.findings
    assert (finding.field, finding.file) == (field, "experiment.yaml")
    assert told in str(finding)


def test_everything_that_is_wrong_is_told_at_once():
    with pytest.raises(InvalidInput) as caught:
        SpecimenParameters.from_mapping({"sead": 1, "falloff": -1, "jumps": 2})
    assert len(caught.value.findings) == 3
