"""A screened plate, well by well: ``plate.csv``, and the numbers that ``plate.png`` shows."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.experiment.plates import PlateLayout, Well, well_name
from inscoper_mm.output.cell_table import read_cells
from inscoper_mm.output.files import write_whole

_COUNTS = {"cells_found": "CELLS_FOUND", "single_cells": "NBR_OF_CELLS"}
_INTENSITY = "mean_intensity"


@dataclass(slots=True)
class WellResult:
    """What is known about a well.

    ``fields`` is how many of its ``planned`` fields have an answer, ``counts`` the sums over them; ``median_area`` and
    ``median_intensity`` are those of its single cells, NaN without any. ``warnings`` counts each beginning of one.
    """

    planned: int = 0
    fields: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    median_area: float = np.nan
    median_intensity: float = np.nan
    warnings: Counter[str] = field(default_factory=Counter)

    def per_field(self, name: str) -> float:
        """A count for each field; NaN for a well without an answer."""
        return self.counts[name] / self.fields if self.fields else np.nan


@dataclass(slots=True)
class PlateResult:
    """A plate at one time point.

    ``area_unit`` and ``intensity`` say of what the medians are.
    """

    layout: PlateLayout
    time: int
    wells: dict[Well, WellResult]
    area_unit: str = "um2"
    intensity: str = _INTENSITY

    @property
    def fields(self) -> tuple[int, int]:
        """How many fields have an answer, and how many are planned."""
        return sum(well.fields for well in self.wells.values()), sum(w.planned for w in self.wells.values())


def scripts_with_cells(results: Path) -> list[str]:
    """The scripts whose answers in ``results`` count cells, in the order of their first answers."""
    return list(dict.fromkeys(line["script"] for line in _answers(results)))


def read_plate(layout: PlateLayout, results: Path, script: str, cells: Path) -> PlateResult | None:
    """What a script found in each well, at the last time point that has as many fields as any other.

    Parameters
    ----------
    layout : PlateLayout
    results : Path
        The run's ``results``.
    script : str
    cells : Path
        The folder with the script's table of cells.

    Returns
    -------
    PlateResult or None
        None without any answer in a well.
    """
    answers: dict[int, dict[int, dict[str, Any]]] = {}
    for line in _answers(results):
        index = line["index"]
        if line["script"] == script and index["position"] in layout.wells:
            answers.setdefault(index["time"], {})[index["position"]] = line["values"]
    if not answers:
        return None
    time = max(answers, key=lambda each: (len(answers[each]), each))
    plate = PlateResult(layout, time, {})
    for position, well in layout.wells.items():
        result = plate.wells.setdefault(well, WellResult())
        result.planned += 1
        values = answers[time].get(position)
        if values is not None:
            result.fields += 1
            result.counts.update({name: values.get(key) or 0 for name, key in _COUNTS.items()})
            result.warnings.update(str(text).partition(":")[0] for text in values.get("WARNINGS") or ())
            plate.area_unit = values.get("AREA_UNIT") or plate.area_unit
    _add_medians(plate, cells)
    return plate


def _answers(results: Path) -> Iterator[dict[str, Any]]:
    """The answers that count cells; the last line of a killed run may be cut off."""
    path = results / "metadata.jsonl"
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            if "NBR_OF_CELLS" in answer["values"]:
                yield answer


def _add_medians(plate: PlateResult, folder: Path) -> None:
    area = "area_um2" if plate.area_unit == "um2" else "area_px"
    names = _column_names(folder)
    intensity = next((name for name in names if name.startswith(_INTENSITY)), _INTENSITY)
    cells = read_cells(folder, ["time", "position", "kept", area, intensity])
    if not {"time", "position", "kept"} <= set(cells):
        return
    plate.intensity = intensity
    wanted = (cells["time"] == plate.time) & cells["kept"].astype(bool)
    for well, result in plate.wells.items():
        positions = [position for position, each in plate.layout.wells.items() if each == well]
        here = wanted & np.isin(cells["position"], positions)
        result.median_area = _median(cells, area, here)
        result.median_intensity = _median(cells, intensity, here)


def _median(cells: dict[str, npt.NDArray[Any]], name: str, chosen: npt.NDArray[np.bool_]) -> float:
    values = cells[name][chosen] if name in cells else np.empty(0)
    return float(np.median(values)) if len(values) else np.nan


def _column_names(folder: Path) -> list[str]:
    path = folder / "cells.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def write_plate_csv(path: Path, plate: PlateResult) -> None:
    """Write a row for each planned well.

    Raises
    ------
    OSError
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_row((0, 0), WellResult(), plate)), lineterminator="\n")
    writer.writeheader()
    for well in sorted(plate.wells):
        writer.writerow(_row(well, plate.wells[well], plate))
    write_whole(path, text.getvalue())


def _row(well: Well, result: WellResult, plate: PlateResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "well": well_name(well),
        "row": well[0],
        "column": well[1],
        "time": plate.time,
        "fields_planned": result.planned,
        "fields": result.fields,
    }
    for name in _COUNTS:
        row |= {name: result.counts[name], f"{name}_per_field": _cell(result.per_field(name))}
    return row | {
        f"median_area_{plate.area_unit}": _cell(result.median_area),
        f"median_{plate.intensity}": _cell(result.median_intensity),
        "warnings": "; ".join(f"{text} ({count})" for text, count in result.warnings.most_common()),
    }


def _cell(value: float) -> float | str:
    return "" if np.isnan(value) else round(value, 3)
