"""Tables that only grow: CSV files with one header, appended a call at a time, readable at any moment."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inscoper_mm.images.jsonable import json_safe, json_text
from inscoper_mm.output.lines import LineFile


class TableFile:
    """A growing table.

    Parameters
    ----------
    path : Path
        Made with the first rows, whose columns it keeps. Rows with a column that it lacks begin a further file
        (``<stem>_2.csv``); rows that lack one of its columns leave it empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.files: list[Path] = []
        self._columns: list[str] = []
        self._lines: LineFile | None = None

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add ``rows`` in one write, so that readers find all of them or none.

        Raises
        ------
        OSError
            The table is then as before.
        """
        if not rows:
            return
        text = io.StringIO()
        lines = self._lines
        if lines is None or any(key not in self._columns for row in rows for key in row):
            lines = self._next_file([*self._columns, *_names(rows)])
        writer = csv.DictWriter(text, self._columns, restval="", lineterminator="\n")
        if lines.is_empty:
            writer.writeheader()
        for row in rows:
            writer.writerow({key: _cell(value) for key, value in row.items()})
        lines.write(text.getvalue())

    def close(self) -> None:
        """Close the file."""
        if self._lines is not None:
            self._lines.close()

    def _next_file(self, columns: Iterable[str]) -> LineFile:
        self.close()
        number = f"_{len(self.files) + 1}" if self.files else ""
        self._columns = list(dict.fromkeys(columns))
        self._lines = LineFile(self._path.with_stem(self._path.stem + number))
        self.files.append(self._lines.path)
        return self._lines


def rows_of(table: Any) -> list[dict[str, Any]]:
    """The rows of a DataFrame, a mapping of columns (a scalar holds for every row), or a list of mappings.

    Raises
    ------
    ValueError
        If columns differ in length.
    """
    if isinstance(table, list | tuple):
        return [dict(row) for row in table]
    if not isinstance(table, Mapping):
        table = table.to_dict("list")
    columns = {str(name): json_safe(values) for name, values in table.items()}
    lengths = {name: len(values) for name, values in columns.items() if isinstance(values, list)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The columns of a table differ in length: {lengths}.")
    count = next(iter(lengths.values()), 1 if columns else 0)
    return [
        {name: values[row] if isinstance(values, list) else values for name, values in columns.items()}
        for row in range(count)
    ]


def _names(rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    return (name for row in rows for name in row)


def _cell(value: Any) -> Any:
    value = json_safe(value)
    return json_text(value) if isinstance(value, list | dict) else value
