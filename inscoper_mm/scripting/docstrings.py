"""What a docstring says about each parameter."""

from __future__ import annotations

import inspect
import re

_HEADING = re.compile(r"^\s*-{3,}\s*$")
_NAMES = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


def parameter_help(docstring: str | None) -> dict[str, str]:
    """The text of each parameter in a numpy-style docstring."""
    texts: dict[str, list[str]] = {}
    names: list[str] = []
    for line in _section((docstring and inspect.cleandoc(docstring)) or "", "Parameters"):
        match = _NAMES.match(line)
        if match:
            names = [name.strip(" *") for name in match.group(1).split(",")]
        elif line.strip():
            for name in names:
                texts.setdefault(name, []).append(line.strip())
    return {name: " ".join(parts) for name, parts in texts.items()}


def summary(docstring: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join(((docstring and inspect.cleandoc(docstring)) or "").split("\n\n")[0].split())


def _section(docstring: str, title: str) -> list[str]:
    lines = docstring.splitlines()
    headings = [n for n in range(1, len(lines)) if _HEADING.match(lines[n]) and lines[n - 1].strip()]
    for number, heading in enumerate(headings):
        if lines[heading - 1].strip() == title:
            end = headings[number + 1] - 1 if number + 1 < len(headings) else len(lines)
            return lines[heading + 1 : end]
    return []
