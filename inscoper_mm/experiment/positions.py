"""Reads the position lists that Micro-Manager saves (``PositionList.pos``), version 2 and version 1.4."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inscoper_mm.errors import Finding, InvalidInput, short_path

if TYPE_CHECKING:
    import useq

# Device name -> its coordinates in micrometres: two for an XY stage, one for a focus drive.
_Devices = dict[str, tuple[float, ...]]


def read_position_list(path: Path) -> tuple[useq.Position, ...]:
    """The positions of a Micro-Manager position list, in its order.

    Raises
    ------
    InvalidInput
        The file cannot be read, is no position list, or moves devices that a position here does not have.
    """
    import useq

    file = short_path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        entries = list(_entries(data))
    except OSError as error:
        raise InvalidInput(Finding(f"the file cannot be read: {error.strerror}.", file=file)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        message = "the file is no Micro-Manager position list."
        raise InvalidInput(Finding(message, file=file, got=f"{type(error).__name__}: {error}")) from error
    positions, findings = [], []
    for number, (name, devices) in enumerate(entries):
        stages = [place for place in devices.values() if len(place) == 2]
        drives = [place for place in devices.values() if len(place) == 1]
        if len(stages) > 1 or len(drives) > 1:
            message = "the position moves more than one XY stage and one focus drive."
            findings.append(Finding(message, file=file, field=f"position {number}", got=", ".join(devices)))
            continue
        x_um, y_um = stages[0] if stages else (None, None)
        z_um = drives[0][0] if drives else None
        positions.append(useq.Position(x=x_um, y=y_um, z=z_um, name=name or None))
    if findings or not positions:
        raise InvalidInput(findings or [Finding("the position list is empty.", file=file)])
    return tuple(positions)


def _entries(data: Any) -> Iterator[tuple[str, _Devices]]:
    if "map" in data:
        for entry in data["map"]["StagePositions"]["array"]:
            yield str(entry["Label"]["scalar"]), dict(map(_version_2, entry["DevicePositions"]["array"]))
    else:
        for entry in data["POSITIONS"]:
            yield str(entry["LABEL"]), dict(map(_version_1, entry["DEVICES"]))


def _version_2(device: Mapping[str, Any]) -> tuple[str, tuple[float, ...]]:
    return device["Device"]["scalar"], tuple(float(value) for value in device["Position_um"]["array"])


def _version_1(device: Mapping[str, Any]) -> tuple[str, tuple[float, ...]]:
    # With one axis, the focus stands in X.
    keys = ("X", "Y") if device["AXES"] == 2 else ("X",)
    return device["DEVICE"], tuple(float(device[key]) for key in keys)
