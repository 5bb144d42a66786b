"""Whether a replay has decided as the run did: calls, answers, commands, states and results, in that order."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.acquisition.sameness import same, same_array
from inscoper_mm.images.index import Index
from inscoper_mm.output.files import safe_name
from inscoper_mm.output.folder import RunFolder
from inscoper_mm.output.journal import read_journal

_ABSENT = "nothing"
_LONGEST = 160
# Files of a script's own that hold data; pictures and texts may differ although nothing was decided differently.
_OWN_DATA = (".tif", ".tiff", ".csv", ".npy")
_KINDS = ("calls", "answers", "commands", "states")
_OURS = ("images", "results", "crops", "truth", "pictures", "photomanipulation")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as in the run; ``frame`` is empty for a file."""

    script: str
    frame: str
    what: str
    run: str
    replay: str

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.frame, self.script) if part)
        return f"{place}: {self.what}: {self.run} in the run, {self.replay} now"


@dataclass(slots=True)
class Comparison:
    """What was compared, and what differs.

    Attributes
    ----------
    compared : dict of str to int
        How many calls, answers, commands, states and results the run had.
    differences : list of Difference
        In the order of the run's images, then files.
    """

    compared: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


Things = dict[str, dict[str, list[Any]]]


@dataclass(slots=True)
class _Decisions:
    """What the journal and ``metadata.jsonl`` of a folder say of one script, by kind and event."""

    frames: dict[str, str] = field(default_factory=dict)
    things: Things = field(default_factory=lambda: {kind: {} for kind in _KINDS})

    def add(self, kind: str, event: str, thing: Any) -> None:
        self.things[kind].setdefault(event, []).append(thing)


def compare(run: Path, replay: Path, scripts: Collection[str], several: bool) -> Comparison:
    """Compare a replay with the run that it replayed.

    Parameters
    ----------
    run, replay : Path
        Run folders.
    scripts : collection of str
        Those to compare, by name.
    several : bool
        Whether each script has a folder of its own.

    Raises
    ------
    InvalidInput
        A journal cannot be read.
    """
    comparison = Comparison()
    for script in scripts:
        first, second = _read(run, script), _read(replay, script)
        for kind in _KINDS:
            comparison.compared[kind] = comparison.compared.get(kind, 0) + sum(
                map(len, first.things[kind].values())
            )
        comparison.differences += _in_order(script, first, second)
    for script in scripts:
        count, differences = _files(run, replay, script, several)
        comparison.compared["results"] = comparison.compared.get("results", 0) + count
        comparison.differences += differences
    return comparison


# -- decisions


def _read(folder: Path, script: str) -> _Decisions:
    found = _Decisions()
    paths = RunFolder(folder)
    for line in read_journal(paths.events):
        kind = str(line.get("type"))
        if kind == "captured":
            found.frames[line["event"]] = Index(**line["index"]).stem
        elif line.get("script") == script and kind in _TAKE:
            _TAKE[kind](found, line)
    answers = paths.results / "metadata.jsonl"
    if answers.is_file():
        for line in read_journal(answers):
            if line["script"] == script:
                found.add("answers", line["event"], line["values"])
    return found


def _decided(found: _Decisions, line: Mapping[str, Any]) -> None:
    call = {key: line.get(key) or [] for key in ("requests", "processors")}
    found.add("calls", line["event"], {"fate": line["fate"]} | call)


def _commanded(found: _Decisions, line: Mapping[str, Any]) -> None:
    done = line["decided"] in ("executed", "recorded")
    fate = "done" if done else line["decided"]
    found.add("commands", line["event"], {"name": line["name"], "asked": line["asked"], "fate": fate})


def _state(found: _Decisions, line: Mapping[str, Any]) -> None:
    found.add("states", line["event"], {"state": line["state"], "runState": line["run_state"]})


_TAKE: Mapping[str, Callable[[_Decisions, Mapping[str, Any]], None]] = {
    "decided": _decided,
    "commanded": _commanded,
    "state": _state,
}


def _in_order(script: str, run: _Decisions, replay: _Decisions) -> Iterator[Difference]:
    for event in dict.fromkeys([*run.frames, *replay.frames]):
        frame = run.frames.get(event) or replay.frames[event]
        for kind in _KINDS:
            ours, theirs = (each.things[kind].get(event, []) for each in (run, replay))
            for one, other in zip_longest(ours, theirs):
                if not same(one, other):
                    what, then, now = first_difference(_ONE[kind], one, other)
                    yield Difference(script, frame, what, then, now)


_ONE = {"calls": "the call", "answers": "metadata", "commands": "command", "states": "state"}


def first_difference(what: str, one: Any, other: Any) -> tuple[str, str, str]:
    """Where two values begin to differ, and what stands there."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            if key not in one or key not in other or not same(one[key], other[key]):
                return first_difference(f"{what}.{key}", one.get(key, _Absent), other.get(key, _Absent))
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (first, second) in enumerate(zip(one, other, strict=True)):
            if not same(first, second):
                return first_difference(f"{what}[{at}]", first, second)
    return what, _shown(one), _shown(other)


class _Absent:
    """Stands for what is not there."""


def _shown(value: Any) -> str:
    if value is None or value is _Absent:
        return _ABSENT
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


# -- files


def _files(run: Path, replay: Path, script: str, several: bool) -> tuple[int, list[Difference]]:
    names = _names(run, script, several)
    found: list[Difference] = []
    for name in sorted({*names, *_names(replay, script, several)}):
        one, other = run / name, replay / name
        if one.is_file() and other.is_file():
            difference = _READERS[one.suffix](one, other)
            if difference is not None:
                found.append(Difference(script, "", name, *difference))
        else:
            there, missing = ("a file", _ABSENT) if one.is_file() else (_ABSENT, "a file")
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
