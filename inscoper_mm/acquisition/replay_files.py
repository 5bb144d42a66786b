"""Whether the files of a replay hold what those of the run hold."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.acquisition.replay_difference import ABSENT, Difference, first_difference
from inscoper_mm.acquisition.sameness import same, same_array
from inscoper_mm.output.files import safe_name
from inscoper_mm.output.journal import read_journal

# Files of a script's own that hold data; pictures and texts may differ although nothing was decided differently.
_OWN_DATA = (".tif", ".tiff", ".csv", ".npy")
_OURS = ("images", "results", "crops", "truth", "pictures", "photomanipulation")


def compare_files(run: Path, replay: Path, script: str, several: bool) -> tuple[int, list[Difference]]:
    """How many files ``script`` has published or written in the run, and which differ.

    Parameters
    ----------
    run, replay : Path
        Run folders.
    script : str
    several : bool
        Whether the script has a folder of its own.
    """
    names = _names(run, script, several)
    found: list[Difference] = []
    for name in sorted({*names, *_names(replay, script, several)}):
        one, other = run / name, replay / name
        if one.is_file() and other.is_file():
            difference = _READERS[one.suffix](one, other)
            if difference is not None:
                found.append(Difference(script, "", name, *difference))
        else:
            there, missing = ("a file", ABSENT) if one.is_file() else (ABSENT, "a file")
            found.append(Difference(script, "", name, there, missing))
    return len(names), found


def _names(folder: Path, script: str, several: bool) -> list[str]:
    """The files that ``script`` has published or written, relative to the run folder."""
    own = folder / safe_name(script, "script") if several else folder
    published = [folder / "results" / safe_name(script, "script"), own / "crops"]
    paths = [path for place in published for path in place.rglob("*") if path.suffix in _READERS]
    if own.is_dir():
        paths += [path for path in _own_files(own, folder) if path.suffix in _OWN_DATA]
    return sorted({path.relative_to(folder).as_posix() for path in paths if path.is_file()})


def _own_files(own: Path, folder: Path) -> Iterator[Path]:
    for path in own.iterdir():
        if path.is_file():
            yield path
        elif not (own == folder and path.name in _OURS) and path.name != "crops":
            yield from path.rglob("*")


Told = tuple[str, str] | None


def _tiff(one: Path, other: Path) -> Told:
    import tifffile

    return _arrays(tifffile.imread(one), tifffile.imread(other))


def _npy(one: Path, other: Path) -> Told:
    return _arrays(np.load(one), np.load(other))


def _arrays(one: Any, other: Any) -> Told:
    if same_array(one, other):
        return None
    if one.shape != other.shape:
        return f"{one.dtype} {one.shape}", f"{other.dtype} {other.shape}"
    count = int(np.count_nonzero(one != other))
    return "an image", f"{count} of {one.size} pixels differ"


def _table(one: Path, other: Path) -> Told:
    return _values(_rows(one), _rows(other))


def _rows(path: Path) -> list[Any]:
    with path.open(encoding="utf-8", newline="") as handle:
        return [[_number(cell) for cell in row] for row in csv.reader(handle)]


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _lines(one: Path, other: Path) -> Told:
    return _values(list(read_journal(one)), list(read_journal(other)))


def _json(one: Path, other: Path) -> Told:
    return _values(*(json.loads(path.read_text(encoding="utf-8")) for path in (one, other)))


def _values(one: Any, other: Any) -> Told:
    if same(one, other):
        return None
    if isinstance(one, list) and isinstance(other, list) and len(one) != len(other):
        return f"{len(one)} lines", f"{len(other)} lines"
    what, then, now = first_difference("", one, other)
    return f"{what} {then}".strip(), f"{what} {now}".strip()


_READERS: Mapping[str, Callable[[Path, Path], Told]] = {
    ".tif": _tiff,
    ".tiff": _tiff,
    ".csv": _table,
    ".jsonl": _lines,
    ".json": _json,
    ".npy": _npy,
}
