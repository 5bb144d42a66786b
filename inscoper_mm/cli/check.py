"""``check``: everything that can be wrong with an experiment, told before anything moves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from inscoper_mm.acquisition.check import CheckReport, check_experiment
from inscoper_mm.acquisition.check_microscope import facts_of_devices
from inscoper_mm.acquisition.result import EXIT_INVALID, EXIT_OK
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.cli.run import overrides_of
from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import SpecimenParameters


def check_command(config: Path, changes: list[str], load: bool, as_json: bool) -> int:
    """Check the experiment file; returns the exit status."""
    console = Console()
    if load and not as_json:
        console.print(
            "Initialising the devices of the configuration now: stages may move.",
            style="yellow",
            highlight=False,
        )
    try:
        report = check_experiment(
            config,
            overrides_of(changes),
            look=facts_of_devices if load else None,
            check_specimen=SpecimenParameters.from_mapping,
        )
    except InvalidInput as error:
        report = CheckReport(error.findings)
    if as_json:
        console.print_json(json.dumps(report.to_dict()))
    else:
        _tell(console, report)
    return EXIT_OK if report.ok else EXIT_INVALID


def _tell(console: Console, report: CheckReport) -> None:
    tell_findings(console, list(report.findings))
    for line in _facts(report.facts):
        console.print(line, markup=False, highlight=False)
    if report.ok:
        console.print("[green]Ready to run.[/]", highlight=False)
    else:
        errors = sum(finding.level == "error" for finding in report.findings)
        console.print(
            f"[red]{errors} error{'s' if errors > 1 else ''}[/]: not ready to run.", highlight=False
        )


def _facts(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    plan = facts.get("plan")
    if plan:
        lines.append(
            f"{plan['images']} images, about {_duration(plan['duration_s'])}; "
            f"{_bytes(plan['bytes_needed'])} needed on disk, {_bytes(plan['bytes_free'])} free."
        )
    for script in facts.get("scripts", ()):
        if script.get("processed") is not None:
            lines.append(
                f"{script['name']}: processing would run {script['processed']} of {script['images']} times."
            )
    if at_end := facts.get("at_end"):
        places = ", ".join(f"{name} {_place(wanted)}" for name, wanted in at_end.items())
        lines.append(f"At the end: lights off, settings as before the run, {places}.")
    return lines


def _place(wanted: Any) -> str:
    if isinstance(wanted, Mapping):
        return f"to ({wanted['x_um']:g}, {wanted['y_um']:g}) um"
    words = {"stay": "stays", "return": "returns"}
    return words.get(wanted) or f"to {wanted:g} um"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _bytes(count: float | None) -> str:
    if count is None:
        return "an unknown amount"
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
