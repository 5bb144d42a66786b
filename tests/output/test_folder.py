"""Names in the run folder, and files that are whole or not there."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from inscoper_mm.output.files import safe_name, write_whole
from inscoper_mm.output.folder import RunFolder

NAMES = {
    "screening": "screening",
    "HeLa H2B-GFP": "HeLa H2B-GFP",
    "a/b\\c:d*e?f": "a_b_c_d_e_f",
    "../../etc/passwd": "etc_passwd",
    "tab\tnew\nline": "tab_new_line",
    "dots...": "dots",
    " blank ": "blank",
    "nul": "_nul",
    "COM1.txt": "_COM1.txt",
    "": "run",
    "...": "run",
    "Zellkörper µ": "Zellkörper µ",
    "x" * 200: "x" * 80,
}


@pytest.mark.parametrize("name", NAMES)
def test_safe_names(name: str) -> None:
    assert safe_name(name) == NAMES[name]
    assert safe_name(safe_name(name)) == safe_name(name)


def test_the_folder_has_its_time_and_a_number_where_that_is_taken(tmp_path: Path) -> None:
    utc = datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    folders = [RunFolder.create(tmp_path / "runs", "my: run", utc) for _ in range(3)]
    stem = "my_ run_20260102T030405Z"
    assert [folder.path.name for folder in folders] == [stem, f"{stem}_2", f"{stem}_3"]
    assert all(folder.results.is_dir() for folder in folders)


def test_the_names_in_it(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "run", datetime.now(UTC))
    paths = (
        folder.experiment,
        folder.run,
        folder.status,
        folder.events,
        folder.images,
        folder.results,
        folder.log,
    )
    assert [path.name for path in paths] == [
        "experiment.yaml",
        "run.json",
        "status.json",
        "events.jsonl",
        "images",
        "results",
        "log.txt",
    ]
    assert {path.parent for path in paths} == {folder.path}


def test_each_of_several_scripts_has_its_own_folder(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "run", datetime.now(UTC))
    assert folder.export_path("cells", several=False) == folder.path
    own = folder.export_path("cells: 2", several=True)
    assert own == folder.path / "cells_ 2"
    assert own.is_dir()
    assert folder.export_path("cells: 2", several=True) == own


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    texts = ["a" * 200_000, "b" * 100_000]
    write_whole(path, texts[0])
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text(encoding="utf-8"))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(100):
        write_whole(path, texts[turn % 2])
    stop.set()
    reader.join(10)
    assert seen <= set(texts)
    assert [file.name for file in tmp_path.iterdir()] == ["whole.json"]


def test_a_file_that_a_reader_holds_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to replace an open file; here the refusal is put in."""
    refusals = [PermissionError(13, "open in a reader")] * 2
    replace = Path.replace

    def refuse_twice(self: Path, target: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse_twice)
    write_whole(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "new"
    refusals.extend([PermissionError(13, "open in a reader")] * 3)
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "a.json", "newer", attempts=2)
    assert (tmp_path / "a.json").read_text() == "new"
