"""The section ``at_end``: read, written back, and refused with its line where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.at_end import AtEnd
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.load import parse_experiment

HEAD = "microscope: {backend: demo}\nacquisition: {channels: [{config: DAPI, exposure: 10}]}\n"

GOOD = {
    "left out": ("", AtEnd("stay", "stay")),
    "empty": ("at_end: {}", AtEnd("stay", "stay")),
    "return": ("at_end: {stage: return, focus: return}", AtEnd("return", "return")),
    "one of them": ("at_end: {focus: return}", AtEnd("stay", "return")),
    "places": ("at_end: {stage: {x_um: 1, y_um: -2.5}, focus: 0}", AtEnd((1.0, -2.5), 0.0)),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_read_is_written_back(name: str) -> None:
    text, expected = GOOD[name]
    experiment = parse_experiment(HEAD + text, Path())
    assert experiment.at_end == expected
    assert parse_experiment(dump_experiment(experiment), Path()).at_end == expected


BAD = {
    "a wrong word": ("{stage: retrun}", "at_end.stage", "Did you mean 'return'"),
    "a number for the stage": ("{stage: 3}", "at_end.stage", "{x_um: X, y_um: Y}"),
    "a list": ("{stage: [1, 2]}", "at_end.stage", "is not a possible place"),
    "half a place": ("{stage: {x_um: 3}}", "at_end.stage.y_um", "is missing"),
    "an unknown coordinate": ("{stage: {x_um: 3, y_um: 1, z_um: 2}}", "at_end.stage.z_um", "unknown key"),
    "text as coordinate": ("{stage: {x_um: far, y_um: 1}}", "at_end.stage.x_um", "must be a number"),
    "a word for the focus": ("{focus: up}", "at_end.focus", "is not a possible place"),
    "no number": ("{focus: .nan}", "at_end.focus", "is not a finite number"),
    "a truth": ("{focus: true}", "at_end.focus", "is not a possible place"),
    "an unknown key": ("{stag: stay}", "at_end.stag", "Did you mean 'stage'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_with_its_line(name: str) -> None:
    section, field, words = BAD[name]
    with pytest.raises(InvalidInput) as caught:
        parse_experiment(f"{HEAD}at_end: {section}\n", Path())
    (finding,) = caught.value.findings
    assert (finding.field, finding.line) == (field, 3)
    assert words in str(finding)
