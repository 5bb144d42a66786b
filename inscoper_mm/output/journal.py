"""The journal: every record of a run as one line of JSON, on disk at once.

It is the audit of a run, and what a resumed run starts from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inscoper_mm.errors import Finding, InvalidInput, short_path
from inscoper_mm.images.jsonable import json_text
from inscoper_mm.output.lines import LineFile
from inscoper_mm.records import Record


class Journal:
    """Subscriber that writes ``{"t": seconds, "type": ..., ...}`` per record.

    Parameters
    ----------
    path : Path
        ``events.jsonl``; lines are added to what is there.
    """

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path)

    def __call__(self, elapsed_s: float, record: Record) -> None:
        """Write one record.

        Raises
        ------
        OSError
            If it is not on disk.
        """
        self._lines.write(json_text({"t": round(elapsed_s, 6)} | record.to_dict()) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal, also of one that is being written or whose last line was cut off.

    Raises
    ------
    InvalidInput
        If any other line is not a record.
    """
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                yield json.loads(line)
            except ValueError:
                if not line.endswith(b"\n"):
                    return
                raise InvalidInput(
                    Finding("This line is not a record of a run.", file=short_path(path), line=number)
                ) from None
