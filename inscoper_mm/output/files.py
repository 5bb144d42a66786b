"""Writing files that others read at the same time: whole or not at all, also where a reader has them open."""

from __future__ import annotations

import re
import time
from pathlib import Path

_PAUSE_S = 0.05
# Device names that Windows takes for files of any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')


def unfinished(path: Path) -> Path:
    """Where ``path`` is written before it gets its name; no pattern for finished files matches it."""
    return path.with_name(f".{path.name}.part")


def publish(path: Path, attempts: int = 20) -> None:
    """Give the file at ``unfinished(path)`` its final name, over an older one.

    Raises
    ------
    PermissionError
        On Windows, if a reader holds the older file open for all ``attempts``, 50 ms apart.
    """
    for attempt in range(1, attempts + 1):
        try:
            unfinished(path).replace(path)
            return
        except PermissionError:
            if attempt == attempts:
                raise
            time.sleep(_PAUSE_S)


def write_whole(path: Path, text: str, attempts: int = 20) -> None:
    """Write ``text`` (UTF-8) to ``path``, which readers find old or new, never in between."""
    unfinished(path).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    publish(path, attempts)


def safe_name(name: str, instead: str = "run") -> str:
    """``name`` as a file name on every system: no separators, colons, trailing dots; at most 80 characters."""
    text = _FORBIDDEN.sub("_", name).strip(" ._")[:80].rstrip(" .")
    if not text:
        return instead
    return f"_{text}" if _RESERVED.fullmatch(text) else text
