"""Findings about values of an experiment file, collected with their lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inscoper_mm.errors import Finding, Level
from inscoper_mm.experiment.document import Document, Key


class Notes:
    """Collects findings.

    Parameters
    ----------
    document : Document
        Knows the lines.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.findings: list[Finding] = []

    def add(self, level: Level, path: tuple[Key, ...], message: str, **fields: Any) -> None:
        """Note a finding at ``path`` of the file."""
        self.findings.append(self.document.finding(path, message, level=level, **fields))

    def place(self, finding: Finding, path: tuple[Key, ...]) -> None:
        """Note a finding that was made without the experiment file; it gets the place ``path`` if it has none.

        Where it names a place of its own (a line of a script), that stays, and ``field`` leads to the file.
        """
        own = self.document.finding(path, "")
        if finding.file is None:
            finding = replace(finding, file=own.file, line=own.line)
        self.findings.append(replace(finding, field=own.field))
