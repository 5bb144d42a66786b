"""Whether a replay has decided as the run did: calls, answers, commands, states and results, in that order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from inscoper_mm.acquisition.replay_difference import Difference, first_difference
from inscoper_mm.acquisition.replay_files import compare_files
from inscoper_mm.acquisition.sameness import same
from inscoper_mm.images.index import Index
from inscoper_mm.output.folder import RunFolder
from inscoper_mm.output.journal import read_journal

_KINDS = ("calls", "answers", "commands", "states")


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
        count, differences = compare_files(run, replay, script, several)
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
