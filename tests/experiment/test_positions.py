"""Position lists as Micro-Manager saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.experiment.positions import read_position_list


def device_2(name: str, *values: float) -> dict[str, Any]:
    return {
        "Device": {"type": "STRING", "scalar": name},
        "Position_um": {"type": "DOUBLE", "array": list(values)},
    }


def version_2(*entries: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    positions = [
        {
            "DefaultXYStage": {"type": "STRING", "scalar": "XY"},
            "DefaultZStage": {"type": "STRING", "scalar": "Z"},
            "DevicePositions": {"type": "PROPERTY_MAP", "array": devices},
            "GridCol": {"type": "INTEGER", "scalar": 0},
            "GridRow": {"type": "INTEGER", "scalar": 0},
            "Label": {"type": "STRING", "scalar": label},
            "Properties": {"type": "PROPERTY_MAP", "scalar": {}},
        }
        for label, devices in entries
    ]
    return {
        "encoding": "UTF-8",
        "format": "Micro-Manager Property Map",
        "major_version": 2,
        "minor_version": 0,
        "map": {"StagePositions": {"type": "PROPERTY_MAP", "array": positions}},
    }


def version_1(*entries: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    positions = [
        {
            "DEVICES": devices,
            "LABEL": label,
            "DEFAULT_XY_STAGE": "XY",
            "DEFAULT_Z_STAGE": "Z",
            "PROPERTIES": {},
        }
        for label, devices in entries
    ]
    return {"VERSION": 3, "ID": "Micro-Manager XY-position list", "POSITIONS": positions}


def device_1(name: str, *values: float) -> dict[str, Any]:
    x_um, y_um, z_um = (*values, 0.0, 0.0)[:3]
    return {"DEVICE": name, "AXES": len(values), "X": x_um, "Y": y_um, "Z": z_um}


LISTS = {
    "version 2": version_2(
        ("Pos0", [device_2("Z", 4.5), device_2("XY", 10.0, -20.0)]), ("left", [device_2("XY", 1.0, 2.0)])
    ),
    "version 1.4": version_1(
        ("Pos0", [device_1("Z", 4.5), device_1("XY", 10.0, -20.0)]), ("left", [device_1("XY", 1.0, 2.0)])
    ),
}


@pytest.mark.parametrize("data", LISTS.values(), ids=LISTS.keys())
def test_both_versions(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "PositionList.pos").write_text(json.dumps(data), encoding="utf-8")
    file = tmp_path / "experiment.yaml"
    file.write_text("microscope: {backend: demo}\nacquisition: {stage_positions: {file: PositionList.pos}}\n")
    positions = load_experiment(file).acquisition.stage_positions
    assert [(place.name, place.x, place.y, place.z) for place in positions] == [
        ("Pos0", 10.0, -20.0, 4.5),
        ("left", 1.0, 2.0, None),
    ]


BAD = {
    "two focus drives": (
        json.dumps(version_2(("a", [device_2("Z", 1.0), device_2("Piezo", 2.0)]))),
        "more than one",
    ),
    "empty": (json.dumps(version_2()), "is empty"),
    "other json": ("{}", "no Micro-Manager position list"),
    "a list": ("[1]", "no Micro-Manager position list"),
    "no json": ("x", "no Micro-Manager position list"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_no_position_list_is_refused(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "list.pos"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=says):
        read_position_list(file)


def test_a_missing_list_is_named_in_the_experiment_too(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("microscope: {backend: demo}\nacquisition:\n  stage_positions: {file: none.pos}\n")
    with pytest.raises(InvalidInput) as caught:
        load_experiment(file)
    fields = {(finding.field, finding.line) for finding in caught.value.findings}
    assert fields == {(None, None), ("acquisition.stage_positions.file", 3)}
