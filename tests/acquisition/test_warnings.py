"""When a script says that its answer should not be trusted: where that is told, from a run on the specimen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inscoper_mm.records import Warned

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

# Four images: in focus, three depths of field away, and two with the shutter closed.
MICROSCOPE = "{backend: demo, config: galvo, specimen: {seed: 1, shutter_fails_after: 2}}"
ACQUISITION = """\
acquisition:
  axis_order: tpcz
  channels: [{config: DAPI, exposure: 20}]
  stage_positions: [{x: 0, y: 0, z: 0, name: sharp}, {x: 600, y: 0, z: 6, name: blurred}]
  time_plan: {interval: 0, loops: 2}
scripts:
  - {file: single_cell_screening_no_ai, policy: {place: thread}}
"""
DARK = ["nothing found", "count changed"]
EXPECTED = {
    "t000_p000_c0_z000": [],
    "t000_p001_c0_z000": ["out of focus"],
    "t001_p000_c0_z000": DARK,
    "t001_p001_c0_z000": DARK,
}


def phrases(texts: list[str]) -> list[str]:
    return [text.partition(":")[0] for text in texts]


def test_what_should_not_be_trusted_is_told_everywhere(lab: Lab) -> None:
    ran = lab(acquisition=ACQUISITION, microscope=MICROSCOPE)
    assert ran.result.exit_status == 0  # a warning is no error
    metadata = {index.stem: tags for index, tags in ran.stored().items()}
    assert {frame: phrases(tags["WARNINGS"]) for frame, tags in metadata.items()} == EXPECTED
    assert metadata["t000_p001_c0_z000"]["NBR_OF_CELLS"] > 0  # told, and not left out
    warned = {record.event: list(record.warnings) for record in ran.of(Warned)}
    assert len(warned) == 3
    assert [phrases(texts) for texts in warned.values()] == [told for told in EXPECTED.values() if told]
    about = ran.report["warnings"]
    assert about["calls"] == 3
    counts = {phrase: (found["count"], found["frame"]) for phrase, found in about["phrases"].items()}
    assert counts == {
        "out of focus": (1, "t000_p001_c0_z000"),
        "nothing found": (2, "t001_p000_c0_z000"),
        "count changed": (2, "t001_p000_c0_z000"),
    }
    blurred = metadata["t000_p001_c0_z000"]["WARNINGS"][0]
    assert about["phrases"]["out of focus"]["text"] == blurred
    status = json.loads((ran.folder / "status.json").read_text(encoding="utf-8"))
    assert status["warnings"] == about
    log = (ran.folder / "log.txt").read_text(encoding="utf-8")
    assert [line for line in log.splitlines() if "WARNING" in line and blurred in line]
