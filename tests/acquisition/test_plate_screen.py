"""A plate is screened on the specimen: counts against the truth, the table of all cells, the picture of the plate."""

from __future__ import annotations

import csv
import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pyarrow import parquet

from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.cli.plate import plate_command
from inscoper_mm.output.cell_table import read_cells
from inscoper_mm.records import Captured, Decided, Logged, ScriptFailed
from inscoper_mm.specimen import Plate, Specimen, SpecimenParameters

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

WELLS = Plate(spacing_um=1600, columns=(1, 0.3, 0), rows=(1, 0.5))
MICROSCOPE = (
    "{backend: demo, config: galvo, "
    "specimen: {plate: {spacing_um: 1600, columns: [1, 0.3, 0], rows: [1, 0.5]}}}"
)
SCREEN = """\
acquisition:
  axis_order: pc
  channels: [{{config: DAPI, exposure: 20}}]
  stage_positions:
    plate: {{rows: 2, columns: 3, well_spacing: 1.6, well_size: 1.4}}
    a1_center_xy: [0, 0]
    selected_wells: {wells}
    well_points_plan: {{rows: 1, columns: 2, fov_width: 512, fov_height: 512}}
scripts:
  - file: single_cell_screening_no_ai
    parameters: {{crop_size_px: 40, crop_at_border: drop}}
    policy: {{place: thread}}
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def true_counts(ran: Any) -> dict[str, int]:
    """Cells of the specimen whose nucleus has its centre in a field, by the field's place in the plan."""
    specimen = Specimen(SpecimenParameters(plate=WELLS))
    counts = {}
    for record in ran.of(Captured):
        x_um, y_um = record.real_um["x"], record.real_um["y"]
        near = specimen.cells_at(0, (x_um - 300, y_um - 300, x_um + 300, y_um + 300))
        counts[record.event] = sum(
            abs(cell.x_um + cell.nucleus_um[0] - x_um) < 256
            and abs(cell.y_um + cell.nucleus_um[1] - y_um) < 256
            for cell in near
        )
    return counts


def test_a_small_plate_is_counted_drawn_and_tabulated(lab: Lab, capsys: Any) -> None:
    ran = lab(acquisition=SCREEN.format(wells="[A1-A3, B1]"), microscope=MICROSCOPE)
    assert ran.result.exit_status == 0
    folder = ran.folder
    truth = true_counts(ran)
    found = {record["event"]: record["values"] for record in answers(folder)}
    assert found.keys() == truth.keys()
    total = sum(truth.values())
    assert total > 350
    assert sum(values["CELLS_FOUND"] for values in found.values()) == pytest.approx(total, rel=0.03)
    for event, values in found.items():
        assert values["CELLS_FOUND"] == pytest.approx(truth[event], abs=6)

    wells = {row["well"]: row for row in rows_of(folder / "plate.csv")}
    assert list(wells) == ["A1", "A2", "A3", "B1"]
    assert [row["fields"] for row in wells.values()] == ["2"] * 4
    per_field = {name: float(row["cells_found_per_field"]) for name, row in wells.items()}
    assert per_field["A3"] == 0
    assert per_field["A2"] == pytest.approx(0.3 * per_field["A1"], rel=0.35)
    assert per_field["B1"] == pytest.approx(0.5 * per_field["A1"], rel=0.35)
    assert 80 < float(wells["A1"]["median_area_um2"]) < 130
    assert wells["A3"]["median_area_um2"] == ""
    assert (folder / "plate.png").read_bytes().startswith(b"\x89PNG")
    assert any("plate.png" in record.message for record in ran.of(Logged))

    (folder / "plate.png").unlink()
    assert plate_command(folder) == 0
    assert "plate.png" in capsys.readouterr().out
    assert (folder / "plate.png").exists()
    one_table_of_all_cells(folder, found)


def answers(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "results" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def one_table_of_all_cells(folder: Path, found: dict[str, Any]) -> None:
    """Every cell of the run once, kept or with its reasons, in both files; every crop with its row."""
    rows = rows_of(folder / "cells.csv")
    table = parquet.read_table(folder / "cells.parquet")
    assert table.num_rows == len(rows) == len({(row["frame"], row["label"]) for row in rows})
    assert table.column_names == list(rows[0])
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["kept"], types["label"], types["area_um2"], types["reasons"]) == (
        *("bool", "int64", "double"),
        "string",
    )
    assert table["area_um2"].to_pylist() == [float(row["area_um2"]) for row in rows]
    kept = [row for row in rows if row["kept"] == "True"]
    assert len(kept) == sum(values["NBR_OF_CELLS"] for values in found.values())
    assert all(bool(row["reasons"]) == (row["kept"] == "False") for row in rows)
    assert {row["reasons"].split()[0] for row in rows if row["reasons"]} >= {"cut", "neighbour"}
    counted = sum(row["counted"] == "True" for row in rows)
    assert counted == sum(values["CELLS_FOUND"] for values in found.values())
    crops = {path.name for path in (folder / "crops").glob("*.tif")}
    assert crops == {row["crop"] for row in kept} - {""}
    # Crops that would reach beyond the image are dropped; the cells stay in the table.
    assert len(kept) > len(crops) > 0.7 * len(kept)
    assert {tifffile.imread(folder / "crops" / name).shape for name in sorted(crops)[:20]} == {(40, 40)}


def test_a_stopped_screen_has_its_table_and_shows_the_wells_that_it_has(lab: Lab) -> None:
    stop = StopSwitch()
    seen = itertools.count()

    def stop_after_three(record: Any) -> None:
        if isinstance(record, Decided) and next(seen) == 2:
            stop.finish("user", "enough")

    ran = lab(
        acquisition=SCREEN.format(wells="[A2, B2]"),
        microscope=MICROSCOPE,
        stop=stop,
        on_record=stop_after_three,
    )
    assert ran.result.state == "stopped"
    wells = {row["well"]: row["fields"] for row in rows_of(ran.folder / "plate.csv")}
    assert wells["A2"] == "2"
    assert int(wells["B2"]) < 2
    cells = read_cells(ran.folder, ["frame", "label"])
    assert len(cells["label"]) == len(rows_of(ran.folder / "cells.csv")) > 0


TWICE = """
import os
from pathlib import Path
import numpy as np

def fetch_images(new_image: "images"):
    return [{}]

def process(images: "images", context: "IIS_CONTEXT"):
    time = images.metadata["timeIndex"]
    if time == 1 or (time == 2 and not (Path(context.exportPath) / "once").exists()):
        (Path(context.exportPath) / "once").touch()
        os._exit(1)
    return {"cells": {"label": [1, 2], "kept": [True, False], "reasons": ["", "cut"], "area": [1.5, np.nan]}}
"""
FOUR = """\
acquisition:
  channels: [{config: DAPI, exposure: 1}]
  time_plan: {interval: 0, loops: 4}
"""


def test_after_its_process_has_died_no_cell_is_there_twice(lab: Lab) -> None:
    ran = lab(TWICE, policy="{place: worker, error: skip}", acquisition=FOUR)
    died = {record.event for record in ran.of(ScriptFailed)}
    assert died
    rows = rows_of(ran.folder / "cells.csv")
    by_event: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_event[row["event"]].append(row["label"])
    assert set(by_event) == {record.event for record in ran.of(Captured)} - died
    assert set(map(tuple, by_event.values())) == {("1", "2")}
    cells = read_cells(ran.folder, ["kept", "area", "time"])
    assert cells["kept"].tolist() == [True, False] * len(by_event)
    assert np.array_equal(np.isnan(cells["area"].astype(float)), ~cells["kept"])


def test_a_run_without_wells_is_told_so(lab: Lab, capsys: Any) -> None:
    ran = lab(TWICE.replace("os._exit(1)", "pass"), acquisition=FOUR)
    assert plate_command(ran.folder) == 2
    assert "not wells" in capsys.readouterr().out
    assert plate_command(ran.folder / "images") == 2
