"""The page on the run folder: its code runs, and it leaves nothing out."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm import records
from inscoper_mm.images.ndtiff import read_entry, read_index
from inscoper_mm.images.tags import OURS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "run-folder.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
# Each has to be installed for the blocks that import it; the others always run.
OPTIONAL = ("napari", "pandas")


def names_in(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_code_runs(number: int, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in OPTIONAL:
        if f"import {package}" in BLOCKS[number]:
            pytest.importorskip(package)
    monkeypatch.chdir(run_folder.parents[1])
    space: dict[str, Any] = {}
    for block in [*BLOCKS[:2], BLOCKS[number]]:  # the first two say which run, and import what later ones use
        exec(compile(block, PAGE.name, "exec"), space)
    for name in ("viewer", "data"):
        with contextlib.suppress(KeyError):
            space[name].close()


def test_most_blocks_need_nothing_optional() -> None:
    assert len(BLOCKS) >= 6
    needing = [block for block in BLOCKS if any(f"import {package}" in block for package in OPTIONAL)]
    assert len(needing) <= 2


KINDS = [
    value
    for value in vars(records).values()
    if isinstance(value, type) and issubclass(value, records.Record) and value is not records.Record
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_journal_s_table_has_every_field(kind: type[records.Record]) -> None:
    row = re.search(rf"^\| `{kind.kind}` \|(.*)\|(.*)\|$", TEXT, re.MULTILINE)
    assert row is not None
    assert names_in(row.group(2)) == {field.name for field in fields(kind)}


def section(title: str) -> str:
    return TEXT.split(f"## `{title}`")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", ["run.json", "status.json"])
def test_every_field_is_described(name: str, run_folder: Path) -> None:
    content = json.loads((run_folder / name).read_text(encoding="utf-8"))
    described = names_in(section(name))
    assert set(content) - described == set()
    if name == "run.json":
        assert set(content["counts"]) | set(content["latency_ms"]) | set(content["lateness"]) <= described


def test_every_tag_is_described(run_folder: Path) -> None:
    entries = read_index(run_folder / "images")
    tags = read_entry(run_folder / "images", next(iter(entries.values())))[1]
    described = names_in(section("images/"))
    injected = {"NBR_OF_CELLS", "MEAN_CELL_AREA"}
    # X stands for Y and Z in the page.
    assert {tag for tag in tags if not re.match("[YZ]Position", tag)} - described == injected
    assert tags[OURS]["answers"] == {"cells": ["NBR_OF_CELLS", "MEAN_CELL_AREA"]}


def test_every_file_is_described(run_folder: Path) -> None:
    tree = TEXT.split("```")[1]
    for path in run_folder.iterdir():
        assert path.name in tree
    found = {path.name for path in (run_folder / "results" / "cells").iterdir()}
    assert found == {"segmentation", "timeseries.csv", "focus.jsonl"}
    crop = json.loads(next((run_folder / "crops").glob("*.json")).read_text(encoding="utf-8"))
    assert set(crop) <= names_in(section("results/"))


def test_a_fresh_run_can_be_read_as_the_page_says(run_folder: Path) -> None:
    log = (run_folder / "log.txt").read_text(encoding="utf-8")
    assert "Run 'screening' starts: 3 images planned, cells." in log
    assert log.endswith("The run is completed.\n")
    assert run_folder.name == "screening_20260102T030405Z"
