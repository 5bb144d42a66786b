"""A file that only grows, line by line; each line is with the operating system when ``write`` returns."""

from __future__ import annotations

import threading
from pathlib import Path

from inscoper_mm.images.blocks import write_all


class LineFile:
    """Appends whole lines; safe from any thread. What is written outlives a killed process.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = path.open("ab", buffering=0)
        self._end = self._handle.tell()
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written yet, by anybody."""
        return self._end == 0

    def write(self, text: str) -> None:
        """Append ``text``, which ends with a line feed.

        Raises
        ------
        OSError
            The file then ends with the last whole line.
        """
        data = text.encode("utf-8", errors="backslashreplace")
        with self._lock:
            try:
                write_all(self._handle, data)
            except OSError:
                self._handle.truncate(self._end)
                raise
            self._end += len(data)

    def close(self) -> None:
        """Close the file."""
        self._handle.close()
