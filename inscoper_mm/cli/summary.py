"""What a run is told as when it is over, in plain words."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from inscoper_mm.acquisition.result import RunResult
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.errors import InvalidInput, short_path

_STATES = {
    "completed": "[green]Completed[/]",
    "stopped": "[yellow]Stopped[/]",
    "aborted": "[red]Aborted[/]",
    "failed": "[red]Failed[/]",
}
_MOST_ERRORS = 5
_MOST_NAMES = 6
_MOST_WARNINGS = 5


def tell(console: Console, result: RunResult, replayed: int = 0, notes: Sequence[str] = ()) -> None:
    """Print how the run ended, what it holds, what went wrong, ``notes`` (markup), and where everything is.

    ``replayed`` is the number of recorded images, if it was a replay.
    """
    if result.folder is None and isinstance(result.error, InvalidInput):
        console.print("[red]Not started.[/]", highlight=False)
        tell_findings(console, result.error.findings)
        return
    report = read_report(result.folder)
    counts = result.counts
    reason = report.get("reason")
    console.print(_state(result) + (f": {reason}" if reason else "."), highlight=False)
    if counts:
        console.print(_replayed(counts, replayed) if replayed else _images(counts), highlight=False)
        if report.get("scripts"):
            answers = "written as metadata of" if replayed else "written into"
            console.print(_calls(counts, answers), highlight=False)
            tell_warnings(console, report)
    if not replayed and (latency := latency_text(report)):
        console.print(latency, highlight=False)
    if left := end_text(report):
        console.print(left, markup=False, highlight=False)
    _tell_errors(console, report.get("errors", []))
    if result.error is not None:
        _tell_error(console, result)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True)
    if result.folder is not None:
        for picture in sorted(result.folder.glob("plate.png")) + sorted(result.folder.glob("*/plate.png")):
            console.print(f"The plate, well by well: {short_path(picture)}", markup=False, highlight=False)
        console.print(f"Everything is in {short_path(result.folder)}", markup=False, highlight=False)


def _state(result: RunResult) -> str:
    if result.state == "completed" and result.errors:
        return f"[yellow]Completed[/], with {result.errors} error{'s' if result.errors > 1 else ''}"
    return _STATES[result.state]


def read_report(folder: Path | None) -> dict[str, Any]:
    """``run.json`` of a run folder; empty where there is none."""
    if folder is None or not (folder / "run.json").is_file():
        return {}
    report: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return report


def tell_warnings(console: Console, report: Mapping[str, Any]) -> None:
    """When not to trust what the scripts found: of how many images, by phrase, each with its first text."""
    warnings = report.get("warnings") or {}
    if not warnings.get("calls"):
        return
    of = "images" if len(report.get("scripts", ())) == 1 else "answers"
    phrases = sorted(warnings["phrases"].items(), key=lambda item: -item[1]["count"])
    counted = ", ".join(f"{phrase} {about['count']}" for phrase, about in phrases)
    total = f"{warnings['calls']} of {report['counts']['processed']} {of}"
    console.print(f"[yellow]Warnings[/]: {total}: ", end="", highlight=False)
    console.print(f"{counted}.", markup=False, highlight=False)
    for _, about in phrases[:_MOST_WARNINGS]:
        console.print(f"  {about['frame']}: {about['text']}", markup=False, highlight=False)
    if len(phrases) > _MOST_WARNINGS:
        console.print(f"  ... and {len(phrases) - _MOST_WARNINGS} more in run.json", highlight=False)


def latency_text(report: Mapping[str, Any]) -> str:
    """One line about the loop's latency, or nothing."""
    settled = report.get("latency_ms", {}).get("settled", {})
    if not settled.get("n"):
        return ""
    return (
        f"From the end of an exposure to the settled decision: {settled['p50']:.1f} ms (median), "
        f"{settled['p95']:.1f} ms (95 %), {settled['max']:.1f} ms (longest)."
    )


def end_text(report: Mapping[str, Any]) -> str:
    """How the microscope was left, in a line or two, or nothing."""
    left = report.get("at_end")
    if not left:
        return ""
    unknown = [name for name in left["lights"] if name in left["failed"]]
    parts = [f"Not off: {', '.join(unknown)}." if unknown else "All lights are off."]
    if left["moved"]:
        parts.append(f"At the end the {' and the '.join(left['moved'])} went where the experiment says.")
    if changed := list(left["changed"]):
        more = f" and {len(changed) - _MOST_NAMES} more" if len(changed) > _MOST_NAMES else ""
        parts.append(f"Set back as before the run: {', '.join(changed[:_MOST_NAMES])}{more}.")
    return " ".join(parts)


def _images(counts: Mapping[str, int]) -> str:
    text = f"{counts['stored']} of {counts['planned']} images stored"
    told = {
        "added by scripts": counts["added"],
        "skipped by scripts": counts["skipped_script"],
        "not acquired": counts["skipped_plan"],
    }
    return "".join((text, *(f", {count} {what}" for what, count in told.items() if count), "."))


def _replayed(counts: Mapping[str, int], recorded: int) -> str:
    done = counts["captured"]
    missing = f"{done} of " if done < recorded else ""
    return f"{missing}{recorded} recorded image{'s' if recorded != 1 else ''} replayed."


def _calls(counts: Mapping[str, int], answers_are: str) -> str:
    parts = [f"{counts['processed']} processed", f"{counts['gated']} not wanted by the script"]
    if counts["dropped"]:
        parts.append(f"{counts['dropped']} dropped")
    if counts["failed"]:
        parts.append(f"[red]{counts['failed']} failed[/]")
    images = "image" if counts["injected"] == 1 else "images"
    answers = f"; answers {answers_are} {counts['injected']} {images}" if counts["injected"] else ""
    return f"Script calls: {', '.join(parts)}{answers}."


def _tell_errors(console: Console, errors: list[Mapping[str, Any]]) -> None:
    for error in errors[:_MOST_ERRORS]:
        place = ", ".join(str(error[key]) for key in ("device", "frame") if error.get(key))
        console.print("  [red]error[/] ", end="")
        message = str(error.get("message", ""))
        console.print(f"{place}: {message}" if place else message, markup=False, highlight=False)
    if len(errors) > _MOST_ERRORS:
        console.print(f"  ... and {len(errors) - _MOST_ERRORS} more in run.json", highlight=False)


def _tell_error(console: Console, result: RunResult) -> None:
    if result.folder is None:
        lines = traceback.format_exception_only(result.error)
        console.print("".join(lines).rstrip(), style="red", markup=False, highlight=False)
    else:
        console.print("The whole traceback is in log.txt of the run folder.", highlight=False)
