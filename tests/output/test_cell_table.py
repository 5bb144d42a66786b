"""All cells of a run in one table: the CSV that grows, and the Parquet file of its end."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.output.cell_table import CellTableFile, read_cells

MakeInfo = Callable[..., FrameInfo]


def cells(count: int, **more: object) -> dict[str, object]:
    numbers = np.arange(1, count + 1)
    return {
        "label": numbers,
        "kept": numbers % 2 == 1,
        "cropped": numbers == 1,
        "reasons": np.array(["" if n % 2 else "area 3 px, less than 4; cut" for n in numbers], object),
        "area_um2": np.where(numbers == 2, np.nan, 1.5 * numbers),
        **more,
    }


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_says_where_its_cell_is_from(tmp_path: Path, make_info: MakeInfo) -> None:
    table = CellTableFile(tmp_path)
    table.append(make_info(3), cells(2))
    first, second = rows(tmp_path / "cells.csv")
    assert first["event"] == "e3"
    assert (first["frame"], first["time"], first["position"]) == ("t003_p000_c0_z000", "3", "0")
    assert (first["label"], first["kept"], first["crop"]) == ("1", "True", "t003_p000_c0_z000_cell0001.tif")
    assert (second["kept"], second["crop"], second["area_um2"]) == ("False", "", "")
    assert second["reasons"] == "area 3 px, less than 4; cut"
    assert not (tmp_path / "cells.parquet").exists()
    table.close()


def test_parquet_has_the_same_rows_with_proper_types(tmp_path: Path, make_info: MakeInfo) -> None:
    table = CellTableFile(tmp_path)
    for time in range(5):
        # A position that is called like a number is text all the same.
        table.append(replace(make_info(time), position_name="7"), cells(time))
    table.close()
    found = parquet.read_table(tmp_path / "cells.parquet")
    assert found.column_names == list(rows(tmp_path / "cells.csv")[0])
    types = {field.name: str(field.type) for field in found.schema}
    assert types["position_name"] == types["reasons"] == types["frame"] == "string"
    assert types["label"] == types["time"] == "int64"
    assert (types["kept"], types["area_um2"], types["elapsed_s"]) == ("bool", "double", "double")
    assert found["time"].to_pylist() == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]
    assert found["area_um2"].to_pylist() == [1.5, 1.5, None, 1.5, None, 4.5, 1.5, None, 4.5, 6.0]
    assert not list(tmp_path.glob(".*"))


def test_columns_that_come_later_are_in_the_parquet_file_too(tmp_path: Path, make_info: MakeInfo) -> None:
    table = CellTableFile(tmp_path)
    table.append(make_info(0), cells(1))
    table.append(make_info(1), cells(1, mean_intensity_FITC=[7]))
    table.append(make_info(2), cells(1, mean_intensity_FITC=[7.5]))
    table.close()
    assert {path.name for path in tmp_path.iterdir()} == {"cells.csv", "cells_2.csv", "cells.parquet"}
    found = parquet.read_table(tmp_path / "cells.parquet")
    assert found["mean_intensity_FITC"].to_pylist() == [None, 7.0, 7.5]


KINDS = {
    "whole numbers": ([[1], [2]], "int64", [1, 2]),
    "then fractions": ([[1], [2.5]], "double", [1.0, 2.5]),
    "then text": ([[1], ["b"]], "string", ["1", "b"]),
    "gaps": ([[None], [True]], "bool", [None, True]),
    "a list": ([[[1, 2]], [[3]]], "string", ["[1,2]", "[3]"]),
    "nothing": ([[None], [None]], "string", [None, None]),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_column_has_the_type_that_holds_all_its_values(
    name: str, tmp_path: Path, make_info: MakeInfo
) -> None:
    values, kind, expected = KINDS[name]
    table = CellTableFile(tmp_path)
    for time, value in enumerate(values):
        column = np.empty(1, object)
        column[:] = value
        table.append(make_info(time), cells(1, mine=column))
    table.close()
    found = parquet.read_table(tmp_path / "cells.parquet")
    assert str(found.schema.field("mine").type) == kind
    assert found["mine"].to_pylist() == expected


def test_without_cells_there_is_no_table(tmp_path: Path, make_info: MakeInfo) -> None:
    table = CellTableFile(tmp_path)
    table.append(make_info(0), cells(0))
    table.close()
    assert list(tmp_path.iterdir()) == []
    assert read_cells(tmp_path, ["label"]) == {}


def test_the_table_of_a_killed_run_is_read_from_its_whole_lines(tmp_path: Path, make_info: MakeInfo) -> None:
    table = CellTableFile(tmp_path)
    table.append(make_info(0), cells(3))
    table.close()
    (tmp_path / "cells.parquet").unlink()
    path = tmp_path / "cells.csv"
    path.write_bytes(path.read_bytes()[:-25])
    found = read_cells(tmp_path, ["label", "kept", "area_um2", "no such column"])
    assert found["label"].tolist() == [1, 2]
    assert found["kept"].tolist() == [True, False]
    assert np.array_equal(found["area_um2"], [1.5, np.nan], equal_nan=True)
