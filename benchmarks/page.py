"""The page of figures: made of parts, each with its own date, machine and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

INTRODUCTION = """\
# Benchmarks

Made by `make bench`; how is told in `benchmarks/README.md`. Each part names the day, the machine and the versions it
was measured on, and can be measured again alone. Milliseconds of the analysis are those of one thread, the least of
the rounds; the contestants take turns in one process. A peer that was not installed has a row that says so.
"""


def with_part(page: str, part: str, section: str, order: Sequence[str]) -> str:
    """``page`` with ``section`` in the place of ``part``; the other parts stay as they are.

    Parameters
    ----------
    page : str
        The page as it is; empty for a new one.
    part : str
        The part's name.
    section : str
        Its text, with a heading of the second level.
    order : sequence of str
        The parts' order on the page. A part of the page that is not in it is dropped.
    """
    sections = {name: text for name in order if (text := _found(page, name)) is not None}
    sections[part] = section.strip()
    bodies = [f"{_open(name)}\n{sections[name]}\n{_close(name)}" for name in order if name in sections]
    return "\n\n".join([INTRODUCTION.rstrip(), *bodies]) + "\n"


def stamped(section: str, packages: Sequence[str]) -> str:
    """``section`` with what it was measured on below its heading."""
    heading, _, rest = section.strip().partition("\n")
    if not heading.startswith("## "):
        raise ValueError(
            f"A part of the page begins with a heading of the second level, not with {heading!r}."
        )
    return f"{heading}\n\nMeasured: {machine(packages)}\n\n{rest.strip()}"


def machine(packages: Sequence[str]) -> str:
    """The day, the machine and the versions of ``packages``, in words."""
    versions = ", ".join(f"{name} {_version(name)}" for name in dict.fromkeys(packages))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, {_processor()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}; {versions}."
    )


def _open(part: str) -> str:
    return f"<!-- part: {part} -->"


def _close(part: str) -> str:
    return f"<!-- end: {part} -->"


def _found(page: str, part: str) -> str | None:
    _, opened, rest = page.partition(f"{_open(part)}\n")
    text, closed, _ = rest.partition(f"\n{_close(part)}")
    return text if opened and closed else None


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"
