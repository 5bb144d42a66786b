"""Which scripts a replay runs, and with which values: those of the recorded run, or of the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import yaml

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of, short_path
from inscoper_mm.experiment.document import Document, parse_document, read_document
from inscoper_mm.experiment.load import experiment_of
from inscoper_mm.experiment.model import Experiment, ScriptConfig
from inscoper_mm.experiment.overrides import apply_overrides
from inscoper_mm.experiment.reader import Section
from inscoper_mm.experiment.sections import read_scripts, script_path
from inscoper_mm.images.recorded import IMAGES

EXPERIMENT = "experiment.yaml"
JOURNAL = "events.jsonl"
_KEYS = ("parameters", "provider_parameters", "policy", "async")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user asks for.

    Parameters
    ----------
    script : str, optional
        The name of a script of the recorded run, of the library, or the path of one.
    provider, process : str, optional
        Names of the script's functions.
    changes : mapping
        Key path below the script's entry -> YAML text, such as ``{"parameters.min_area_um2": "20"}``.
    """

    script: str | None = None
    provider: str | None = None
    process: str | None = None
    changes: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is replayed.

    Parameters
    ----------
    scripts : tuple of ScriptConfig
    experiment : Experiment, optional
        The recorded one, with these scripts.
    journal : Path, optional
        That of the recorded run.
    as_recorded : frozenset of str
        The scripts that the run had, too, by name: only these can be compared.
    several : bool
        Whether the run had several scripts, each with a folder of its own.
    """

    scripts: tuple[ScriptConfig, ...]
    experiment: Experiment | None = None
    journal: Path | None = None
    as_recorded: frozenset[str] = frozenset()
    several: bool = False


def run_folder_of(path: Path) -> Path | None:
    """The run folder that ``path`` is, or is the data set of; None if it is none."""
    for folder in (path, path.parent) if path.name == IMAGES else (path,):
        if (folder / EXPERIMENT).is_file():
            return folder
    return None


def choose_scripts(path: Path, choice: Choice) -> Chosen:
    """The scripts to replay on the data set at ``path``.

    Raises
    ------
    InvalidInput
        There is no such script, or a value is wrong.
    """
    folder = run_folder_of(path)
    if folder is None:
        return Chosen(_own_scripts(choice))
    document = read_document(folder / EXPERIMENT)
    entries = _entries(document)
    at = _recorded(entries, choice.script)
    several = len(entries) > 1
    journal = folder / JOURNAL
    known = journal if journal.is_file() else None
    if at is None and choice.script is not None:
        experiment = experiment_of(document, {}, folder / EXPERIMENT)
        scripts = _own_scripts(choice)
        return Chosen(scripts, replace(experiment, scripts=scripts), known, several=several)
    if not entries:
        message = "the recorded run had no script."
        raise InvalidInput(Finding(message, file=short_path(folder), cure="Name one with --script."))
    if at is None and len(entries) > 1 and (choice.changes or choice.provider or choice.process):
        names = one_of(_name(entry) for entry in entries)
        message = "the recorded run had several scripts: which one is to be changed?"
        raise InvalidInput(Finding(message, field="--script", allowed=names))
    one = at if at is not None else 0
    changes = {f"scripts[{one}].{key}": text for key, text in _changes(choice).items()}
    if at is not None and choice.script is not None and PurePath(choice.script).suffix == ".py":
        changes[f"scripts[{one}].file"] = _quoted(str(Path(choice.script).resolve()))
    experiment = experiment_of(document, changes, folder / EXPERIMENT)
    scripts = experiment.scripts if at is None else (experiment.scripts[at],)
    return Chosen(
        scripts,
        replace(experiment, scripts=scripts),
        known,
        frozenset(script.name for script in scripts),
        several,
    )


def _entries(document: Document) -> list[dict[str, Any]]:
    scripts = document.value.get("scripts") if isinstance(document.value, dict) else None
    return [entry for entry in scripts or () if isinstance(entry, dict)]


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("name") or PurePath(str(entry.get("file", ""))).stem)


def _recorded(entries: list[dict[str, Any]], script: str | None) -> int | None:
    """The recorded entry that ``script`` means, by its name or its file's; None: none, or all."""
    if script is None:
        return None
    stem = PurePath(script).name.removesuffix(".py")
    for wanted in (script, stem):
        for at, entry in enumerate(entries):
            if wanted in (_name(entry), PurePath(str(entry.get("file", ""))).stem):
                return at
    return None


def _own_scripts(choice: Choice) -> tuple[ScriptConfig, ...]:
    """A script with the user's values alone."""
    if choice.script is None:
        raise InvalidInput(
            Finding(
                "which script is to be replayed?",
                field="--script",
                cure="Name one of the library ('inscoper-mm scripts' lists them), or the path of one.",
            )
        )
    entry = {"file": script_path(choice.script, Path.cwd())}
    document = parse_document(yaml.safe_dump({"scripts": [entry]}), "--script", Path.cwd())
    apply_overrides(document, {f"scripts[0].{key}": text for key, text in _changes(choice).items()})
    findings: list[Finding] = []
    top = Section(document, (), document.value, findings)
    scripts = read_scripts(top)
    if findings:
        raise InvalidInput(findings)
    return scripts


def _changes(choice: Choice) -> dict[str, str]:
    changes: dict[str, str] = {}
    for key, text in (choice.changes or {}).items():
        if key.partition(".")[0] not in _KEYS:
            raise InvalidInput(
                Finding(
                    "a replay has no such value.",
                    field=f"--set {key}",
                    allowed=f"{', '.join(_KEYS)}; for example parameters.NAME",
                    suggestion=did_you_mean(key.partition(".")[0], _KEYS),
                )
            )
        changes[key] = text
    for key in ("provider", "process"):
        name = getattr(choice, key)
        if name is not None:
            changes[key] = _quoted(name)
    return changes


def _quoted(text: str) -> str:
    """``text`` as YAML."""
    return "'" + text.replace("'", "''") + "'"
