"""Findings for people, one line each."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from inscoper_mm.errors import Finding


def tell_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Print findings, errors in red."""
    colours = {"error": "red", "warning": "yellow", "info": "cyan"}
    for finding in findings:
        console.print(f"[{colours[finding.level]}]{finding.level}[/]: ", end="")
        # Not folded: a finding is one line for whoever searches or pastes it.
        console.print(str(finding), markup=False, highlight=False, soft_wrap=True)
