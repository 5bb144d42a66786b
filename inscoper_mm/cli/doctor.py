"""``doctor``: is everything there that runs and scripts need?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from inscoper_mm.acquisition.result import EXIT_FAILED, EXIT_INVALID, EXIT_OK
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.environment import (
    environment_lines,
    known_requirements,
    look_at_environment,
    missing_requirements,
)
from inscoper_mm.errors import Finding, InvalidInput


def doctor_command(config: Path | None, required: Sequence[str], quick: bool, as_json: bool) -> int:
    """Look at the environment, and with ``config`` at its Micro-Manager and output folder; returns the exit status."""
    console = Console(soft_wrap=True, highlight=False)
    try:
        wanted = known_requirements(required)
        mm_dir, output = _folders(config)
    except InvalidInput as error:
        tell_findings(Console(stderr=True), error.findings)
        return EXIT_INVALID
    seen = look_at_environment(mm_dir, output, ask_frameworks=not quick)
    missing = missing_requirements(seen, wanted)
    findings = (*seen.findings, *missing)
    ok = not any(finding.level == "error" for finding in findings)
    if as_json:
        said = seen.to_dict() | {"findings": [finding.to_dict() for finding in findings], "ok": ok}
        console.print(json.dumps(said, indent=2), markup=False)
    else:
        for line in environment_lines(seen):
            console.print(line, markup=False)
        tell_findings(console, findings)
        console.print(_verdict(findings))
    return EXIT_OK if ok else EXIT_FAILED


def _folders(config: Path | None) -> tuple[Path | None, Path | None]:
    """The Micro-Manager folder and the output folder of an experiment."""
    if config is None:
        return None, None
    from inscoper_mm.experiment.load import load_experiment

    experiment = load_experiment(config)
    return experiment.microscope.mm_dir, Path(experiment.output.directory)


def _verdict(findings: Sequence[Finding]) -> str:
    errors = sum(finding.level == "error" for finding in findings)
    if errors:
        return f"{errors} thing{'s' if errors > 1 else ''} to put right before a run."
    warnings = sum(finding.level == "warning" for finding in findings)
    return f"Ready for runs{f', with {warnings} warning' if warnings else ''}{'s' if warnings > 1 else ''}."
