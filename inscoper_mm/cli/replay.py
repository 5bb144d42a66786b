"""``replay``: a script on recorded data, and whether it decides as the run did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from inscoper_mm.acquisition.replay import Replay
from inscoper_mm.acquisition.replay_compare import Comparison, compare
from inscoper_mm.acquisition.replay_scripts import Choice, Chosen, choose_scripts, run_folder_of
from inscoper_mm.acquisition.result import EXIT_FAILED, EXIT_INVALID, EXIT_OK, RunResult
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.cli.run import leave, overrides_of, visibly
from inscoper_mm.cli.summary import tell
from inscoper_mm.errors import Finding, InvalidInput, short_path
from inscoper_mm.images.recorded import open_recording
from inscoper_mm.images.recording import Given, Recording
from inscoper_mm.output.journal import read_journal
from inscoper_mm.records import Captured

_MOST_DIFFERENCES = 5


@dataclass(frozen=True, slots=True)
class Options:
    """What ``replay`` is asked for; ``compare`` None: where there is something to compare with."""

    script: str | None = None
    provider: str | None = None
    process: str | None = None
    changes: tuple[str, ...] = ()
    output: Path = field(default_factory=lambda: Path("runs"))
    compare: bool | None = None
    given: Given = field(default_factory=Given)


def replay_command(dataset: Path, options: Options) -> int:
    """Replay the data set; returns the exit status."""
    console = Console()
    try:
        changes = overrides_of(list(options.changes))
        recording = open_recording(dataset, options.given)
        chosen = choose_scripts(dataset, Choice(options.script, options.provider, options.process, changes))
        _refuse_comparison(chosen, options)
    except InvalidInput as error:
        tell_findings(console, error.findings)
        return EXIT_INVALID
    _tell_begin(console, dataset, recording, chosen)
    result = visibly(
        lambda on_record, stop: Replay(recording, chosen, options.output, on_record, stop), console, Captured
    )
    comparison = _comparison(dataset, chosen, result, options)
    notes = [*_commands(result.folder), *_decisions(comparison)]
    tell(console, result, replayed=len(recording.order), notes=notes)
    status = leave(result)
    differs = comparison is None or not comparison.same
    return EXIT_FAILED if status == EXIT_OK and options.compare and differs else status


def _refuse_comparison(chosen: Chosen, options: Options) -> None:
    """Raise InvalidInput where a comparison is asked for and there is nothing to compare with."""
    if not options.compare:
        return
    if chosen.journal is None:
        raise InvalidInput(Finding("only a run folder has decisions to compare with.", field="--compare"))
    if not chosen.as_recorded:
        message = "the run did not have this script: there is nothing to compare with."
        raise InvalidInput(Finding(message, field="--compare", got=options.script))


def _tell_begin(console: Console, dataset: Path, recording: Recording, chosen: Chosen) -> None:
    what = "run folder" if chosen.experiment is not None else recording.kind
    scripts = ", ".join(script.name for script in chosen.scripts)
    values = ", with the values of the run" if chosen.as_recorded else ""
    count = len(recording.order)
    console.print(
        f"Replaying {count} image{'s' if count > 1 else ''} of {short_path(dataset)} ({what}) with {scripts}{values}. "
        "Nothing moves: commands are only written down.",
        markup=False,
        highlight=False,
    )


def _commands(folder: Path | None) -> Iterator[str]:
    """What the scripts would have done."""
    names: Counter[str] = Counter()
    for line in read_journal(folder / "events.jsonl") if folder is not None else ():
        if line.get("type") == "commanded":
            names[line["name"] + (" refused" if line["decided"] in ("refused", "failed") else "")] += 1
    if names:
        told = ", ".join(f"{count} {name}" for name, count in names.items())
        yield f"Commands, written down and not executed: {told}."


# -- the comparison


def _comparison(dataset: Path, chosen: Chosen, result: RunResult, options: Options) -> Comparison | None:
    """The comparison with the run; None where there is nothing to compare, or nobody asks."""
    run = run_folder_of(dataset)
    if options.compare is False or run is None or chosen.journal is None or not chosen.as_recorded:
        return None
    if result.folder is None or result.state not in ("completed", "stopped"):
        return None
    return compare(run, result.folder, sorted(chosen.as_recorded), chosen.several)


def _decisions(comparison: Comparison | None) -> Iterator[str]:
    if comparison is None:
        return
    if comparison.same:
        yield f"[green]Same decisions as the run[/]: {_counted(comparison.compared)}."
        return
    count = len(comparison.differences)
    first = ", the first" if count > _MOST_DIFFERENCES else ""
    yield f"[yellow]Not the same decisions as the run[/]: {count} difference{'s' if count > 1 else ''}{first}:"
    for difference in comparison.differences[:_MOST_DIFFERENCES]:
        yield f"  {escape(str(difference))}"


def _counted(compared: Mapping[str, int]) -> str:
    """In words, without what the run had none of."""
    parts = [
        f"{count} {kind.removesuffix('s') if count == 1 else kind}"
        for kind, count in compared.items()
        if count
    ]
    return ", ".join(parts) or "it had none"
