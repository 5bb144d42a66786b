"""What scripts return, read back from disk."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from inscoper_mm.errors import StorageError
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.output import results as results_module
from inscoper_mm.output.results import ResultsWriter, smallest_integers
from inscoper_mm.output.tables import TableFile, rows_of

MakeInfo = Callable[..., FrameInfo]


class Bench:
    """Writes results of one script below a folder and reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: list[StorageError] = []
        self.writer = ResultsWriter(folder / "results", self.errors.append)

    def put(self, info: FrameInfo, **values: Any) -> None:
        self.writer.put("cells", info, values, self.folder)

    def close(self) -> None:
        self.writer.close(10.0)
        assert self.errors == []

    def path(self, name: str) -> Path:
        return self.folder / "results" / "cells" / name

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.path(name).read_text(encoding="utf-8").splitlines()]

    def rows(self, name: str) -> list[dict[str, str]]:
        with self.path(name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.writer.close(10.0)


rng = np.random.default_rng(5)
ARRAYS: dict[str, tuple[str, np.ndarray, Any]] = {
    "few labels": ("segmentation", rng.integers(0, 200, (20, 30)), np.uint8),
    "many labels": ("segmentation", rng.integers(0, 60_000, (20, 30)), np.uint16),
    "very many labels": ("segmentation", rng.integers(0, 2**31, (20, 30)), np.uint32),
    "negative labels": ("segmentation", rng.integers(-1, 100, (20, 30)), np.int8),
    "mask": ("motion_mask", rng.random((20, 30)) > 0.5, np.uint8),
    "image": ("image", rng.integers(0, 4096, (20, 30), dtype=np.uint16), np.uint16),
    "difference": ("motion_difference", rng.normal(size=(20, 30)), np.float64),
    "background": ("background", rng.random((20, 30)).astype(np.float32), np.float32),
    "normalized": ("normalized", rng.random((20, 30)).astype(np.float16), np.float32),
    "a script's own": ("my array", rng.random((3, 20, 30)).astype(np.float32), np.float32),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str, bench: Bench, make_info: MakeInfo) -> None:
    processor, array, dtype = ARRAYS[name]
    bench.put(make_info(1), **{processor: array})
    bench.close()
    path = bench.path(f"{processor}/t001_p000_c0_z000.tif")
    got = tifffile.imread(path)
    assert got.dtype == dtype
    assert np.array_equal(got, array)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        about = json.loads(page.description)
        assert page.compression.name == "ADOBE_DEFLATE"
        assert page.resolution[0] == pytest.approx(1e4 / 0.5)
    assert (about["event"], about["script"], about["processor"]) == ("e1", "cells", processor)


def test_labels_are_small_on_disk(bench: Bench, make_info: MakeInfo) -> None:
    labels = np.zeros((512, 512), np.int64)
    labels[100:200, 100:200] = 7
    bench.put(make_info(0), segmentation=labels)
    bench.close()
    assert bench.path("segmentation/t000_p000_c0_z000.tif").stat().st_size < 20_000


INTEGERS = {
    "uint8": ([0, 255], np.uint8),
    "uint16": ([0, 256], np.uint16),
    "int8": ([-128, 127], np.int8),
    "int16": ([-1, 128], np.int16),
    "int32": ([-40_000, 0], np.int32),
    "uint32": ([0, 2**32 - 1], np.uint32),
    "int64": ([-1, 2**40], np.int64),
    "bool": ([False, True], np.uint8),
    "float stays": ([0.5, 1.0], np.float64),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_smallest_integers(name: str) -> None:
    values, dtype = INTEGERS[name]
    array = np.array([values])
    small = smallest_integers(array)
    assert small.dtype == dtype
    assert np.array_equal(small, array)


def test_crops(bench: Bench, make_info: MakeInfo) -> None:
    image = rng.integers(0, 4096, (64, 64), dtype=np.uint16)
    crops = [
        {
            "image": image[3:20, 5:30],
            "bbox": (3, 5, 20, 30),
            "label": np.int32(4),
            "measurements": {"area_um2": 9.5},
        },
        {
            "image": image[30:40, 31:50],
            "bbox": [30, 31, 40, 50],
            "label": 11,
            "measurements": {"area_um2": np.nan},
        },
    ]
    bench.put(make_info(2), crop=crops)
    bench.close()
    folder = bench.folder / "crops"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"t002_p000_c0_z000_cell{label:04d}.{ending}" for label in (4, 11) for ending in ("json", "tif")
    ]
    for crop in crops:
        stem = f"t002_p000_c0_z000_cell{crop['label']:04d}"
        assert np.array_equal(tifffile.imread(folder / f"{stem}.tif"), crop["image"])
    assert json.loads((folder / "t002_p000_c0_z000_cell0004.json").read_text(encoding="utf-8")) == {
        "event": "e2",
        "frame": "t002_p000_c0_z000",
        "index": {"time": 2, "position": 0, "channel": 0, "focus": 0},
        "script": "cells",
        "label": 4,
        "bbox": [3, 5, 20, 30],
        "measurements": {"area_um2": 9.5},
        "pixel_size_um": 0.5,
        "stage": {"x_um": 101.5, "y_um": -5.25, "z_um": 7.0},
        "channel_name": "DAPI",
        "position_name": "A",
        "elapsed_s": 2.5,
        "image": "t002_p000_c0_z000_cell0004.tif",
    }
    other = json.loads((folder / "t002_p000_c0_z000_cell0011.json").read_text(encoding="utf-8"))
    assert other["measurements"] == {"area_um2": None}


# Labels of the crops, and the numbers in their names.
NUMBERS: dict[str, tuple[list[Any], list[int]]] = {
    "labels": ([3, 8], [3, 8]),
    "no labels": ([None, None], [1, 2]),
    "same label": ([3, 3], [1, 2]),
    "not a number": (["a", "b"], [1, 2]),
    "zero": ([0, 5], [1, 2]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_crop_names(name: str, bench: Bench, make_info: MakeInfo) -> None:
    labels, numbers = NUMBERS[name]
    crops = [
        {"image": np.full((4, 5), k, np.uint8), "bbox": [0, 0, 4, 5], "label": v}
        for k, v in enumerate(labels)
    ]
    bench.put(make_info(0), crop=crops)
    bench.close()
    found = {
        int(path.stem[-4:]): int(tifffile.imread(path)[0, 0])
        for path in (bench.folder / "crops").glob("*.tif")
    }
    assert found == {number: k for k, number in enumerate(numbers)}


def test_tracks_grow(bench: Bench, make_info: MakeInfo) -> None:
    bench.put(make_info(0), tracks={"track_id": [1, 2], "x_um": np.array([0.5, np.nan]), "time": 0})
    bench.put(make_info(1), tracks={"track_id": [1], "x_um": [0.75], "time": 1})
    bench.close()
    assert not bench.path("tracks.csv").exists()
    with (bench.folder / "tracks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"event": "e0", "frame": "t000_p000_c0_z000", "track_id": "1", "x_um": "0.5", "time": "0"},
        {"event": "e0", "frame": "t000_p000_c0_z000", "track_id": "2", "x_um": "", "time": "0"},
        {"event": "e1", "frame": "t001_p000_c0_z000", "track_id": "1", "x_um": "0.75", "time": "1"},
    ]


def test_timeseries(bench: Bench, make_info: MakeInfo) -> None:
    bench.put(make_info(0), timeseries={"cells": 3, "speed": [np.float32(1.5), "µm/s"]})
    bench.put(make_info(1), timeseries={"cells": np.int64(4), "speed": (None, "µm/s")})
    bench.close()
    rows = [
        (row["event"], row["elapsed_s"], row["name"], row["value"], row["unit"])
        for row in bench.rows("timeseries.csv")
    ]
    assert rows == [
        ("e0", "2.5", "cells", "3", ""),
        ("e0", "2.5", "speed", "1.5", "µm/s"),
        ("e1", "2.5", "cells", "4", ""),
        ("e1", "2.5", "speed", "", "µm/s"),
    ]


class Frameful:
    """Like a pandas DataFrame, as far as we need it."""

    def to_dict(self, orient: str) -> dict[str, list[Any]]:
        assert orient == "list"
        return {"track_id": [1, 2], "time": [0, 0]}


TABLES: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "columns": ({"a": [1, 2], "b": ["x", "y"]}, [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
    "scalar for all": ({"a": [1, 2], "b": 5}, [{"a": 1, "b": 5}, {"a": 2, "b": 5}]),
    "scalars only": ({"a": 1, "b": 5}, [{"a": 1, "b": 5}]),
    "arrays": ({"a": np.array([1.5, np.nan])}, [{"a": 1.5}, {"a": None}]),
    "rows": ([{"a": 1}, {"a": 2, "b": 3}], [{"a": 1}, {"a": 2, "b": 3}]),
    "frame": (Frameful(), [{"track_id": 1, "time": 0}, {"track_id": 2, "time": 0}]),
    "empty columns": ({"a": [], "b": []}, []),
    "empty": ({}, []),
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_of(name: str) -> None:
    table, rows = TABLES[name]
    assert rows_of(table) == rows


def test_columns_of_different_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="'a': 2, 'b': 1"):
        rows_of({"a": [1, 2], "b": [1]})


def test_a_table_keeps_its_columns(tmp_path: Path) -> None:
    table = TableFile(tmp_path / "t.csv")
    table.append([{"a": 1, "b": "x,y"}])
    table.append([{"a": 2}])
    table.append([])
    table.append([{"a": 3, "new": [1, 2]}])
    table.append([{"b": "z"}])
    table.close()
    assert (tmp_path / "t.csv").read_text() == 'a,b\n1,"x,y"\n2,\n'
    assert (tmp_path / "t_2.csv").read_text() == 'a,b,new\n3,,"[1,2]"\n,z,\n'


LINES: dict[str, Any] = {
    "roi": [{"type": "circle", "points": [[10.0, 12.5]], "unit": "px"}],
    "focus": {"z_um": [0.0, 1.0], "score": [0.5, 0.75], "best_z_um": None},
    "something new": {"a": [1, 2.5, None]},
}


@pytest.mark.parametrize("processor", LINES)
def test_lines(processor: str, bench: Bench, make_info: MakeInfo) -> None:
    for t in range(2):
        bench.put(make_info(t), **{processor: LINES[processor]})
    bench.close()
    lines = bench.lines(f"{processor}.jsonl")
    assert [(line["event"], line["script"]) for line in lines] == [("e0", "cells"), ("e1", "cells")]
    assert [line["value"] for line in lines] == [LINES[processor]] * 2


def test_injected_values_are_there_at_once(bench: Bench, make_info: MakeInfo) -> None:
    path = bench.folder / "results" / "metadata.jsonl"
    for t in range(3):
        bench.writer.inject("cells", make_info(t), {"N": np.int64(t), "MEAN": float("nan")})
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert len(lines) == t + 1
    assert lines[-1] == {
        "event": "e2",
        "frame": "t002_p000_c0_z000",
        "index": {"time": 2, "position": 0, "channel": 0, "focus": 0},
        "script": "cells",
        "values": {"N": 2, "MEAN": None},
    }


def test_metadata_and_empty_values_are_left_to_others(bench: Bench, make_info: MakeInfo) -> None:
    bench.put(make_info(0), metadata={"N": 3}, roi=None)
    bench.close()
    assert [path.name for path in (bench.folder / "results").iterdir()] == ["metadata.jsonl"]


# A value that cannot be what its data processor wants.
BAD: dict[str, Any] = {
    "segmentation": "no array",
    "crop": [{"bbox": [0, 0, 1, 1]}],
    "tracks": {"a": [1, 2], "b": [1]},
    "timeseries": 5,
}


@pytest.mark.parametrize("processor", BAD)
def test_a_bad_value_is_told_and_the_next_is_written(
    processor: str, bench: Bench, make_info: MakeInfo
) -> None:
    bench.put(make_info(0), **{processor: BAD[processor]}, roi=[])
    bench.writer.close(10.0)
    assert len(bench.errors) == 1
    assert f"'{processor}' of cells for t000_p000_c0_z000 could not be written" in str(bench.errors[0])
    assert bench.errors[0].__cause__ is not None
    assert bench.lines("roi.jsonl")[0]["value"] == []


def test_nothing_half_done_is_visible(
    bench: Bench, make_info: MakeInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before a file gets its name, no reader that looks for finished files can see it."""
    visible: list[list[Path]] = []
    publish = results_module.publish

    def look(path: Path, *rest: Any) -> None:
        visible.append([*bench.folder.rglob("*.tif"), *bench.folder.rglob("*.json")])
        publish(path, *rest)

    monkeypatch.setattr(results_module, "publish", look)
    bench.put(make_info(0), segmentation=np.ones((8, 8), int))
    bench.close()
    assert visible == [[]]
    assert len(list(bench.folder.rglob("*.tif"))) == 1
    assert list(bench.folder.rglob("*.part")) == []


def test_a_slow_disk_is_waited_for_with_a_limit(
    tmp_path: Path, make_info: MakeInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    publish = results_module.publish
    monkeypatch.setattr(results_module, "publish", lambda path: (go.wait(20), publish(path)))
    errors: list[StorageError] = []
    writer = ResultsWriter(tmp_path / "results", errors.append, queue_bytes=1000)
    for t in range(2):
        values = {"image": np.zeros((20, 20), np.uint8)}
        writer.put("cells", make_info(t), values, tmp_path, 1.0)
    with pytest.raises(StorageError, match="the disk is too slow"):
        writer.put("cells", make_info(2), {"image": np.zeros((20, 20), np.uint8)}, tmp_path, 0.05)
    go.set()
    writer.close(10.0)
    assert errors == []
    assert len(list((tmp_path / "results").rglob("*.tif"))) == 2
    with pytest.raises(StorageError, match="closed"):
        writer.put("cells", make_info(3), {"roi": []}, tmp_path)


@pytest.mark.parametrize("goes_on", [True, False])
def test_the_end_waits_as_long_as_something_is_written(tmp_path: Path, goes_on: bool) -> None:
    """A long table takes longer than the limit, which is for a disk that hangs."""
    writer = ResultsWriter(tmp_path / "results", lambda error: None)
    real, limits_s = writer._thread, []

    class Busy:
        def is_alive(self) -> bool:
            return len(limits_s) < 5

        def join(self, limit_s: float) -> None:
            limits_s.append(limit_s)
            if goes_on:
                writer._count()

    writer._thread = Busy()  # type: ignore[assignment]
    with nullcontext() if goes_on else pytest.raises(StorageError, match="hangs"):
        writer.close(60.0)
    real.join(60.0)
    assert limits_s == [60.0] * (5 if goes_on else 1)
