"""All cells of a run in one table: ``cells.csv``, which grows with the run, and ``cells.parquet`` at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.output.crop_files import crop_stem
from inscoper_mm.output.files import publish, unfinished
from inscoper_mm.output.tables import TableFile, rows_of

if TYPE_CHECKING:
    import pyarrow

NAME = "cells.csv"
# What every row says about its image, and of which type it is in the Parquet file.
_ABOUT_IMAGE = {
    "event": "U",
    "frame": "U",
    "time": "i",
    "position": "i",
    "channel": "i",
    "focus": "i",
    "position_name": "U",
    "channel_name": "U",
    "elapsed_s": "f",
}
_CROP = "crop"
_CROPPED = "cropped"


class CellTableFile:
    """The table of one script's cells.

    Parameters
    ----------
    folder : Path
        That of the script's own files.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._table = TableFile(self._path)
        # Column -> kinds of numpy types that were seen in it.
        self._kinds: dict[str, set[str]] = {name: {kind} for name, kind in _ABOUT_IMAGE.items()}

    def append(self, info: FrameInfo, cells: Mapping[str, Any]) -> None:
        """Add the cells of an image, in one write.

        Parameters
        ----------
        info : FrameInfo
        cells : mapping
            Columns of equal length; ``label`` and ``kept`` at least. Where ``cropped`` is true, the row gets the name
            of the cell's crop.

        Raises
        ------
        OSError
            The table is then as before.
        """
        columns = {name: np.asarray(column) for name, column in cells.items()}
        columns = {_CROP if name == _CROPPED else name: column for name, column in columns.items()}
        if _CROPPED in cells:
            stems = [crop_stem(info.index, int(label)) for label in columns["label"]]
            names = [f"{stem}.tif" if has else "" for stem, has in zip(stems, columns[_CROP], strict=True)]
            columns[_CROP] = np.array(names, dtype=object)
        about, rows = _about(info), rows_of(columns)
        if not rows:
            return
        self._table.append([about | row for row in rows])
        for name, column in columns.items():
            self._kinds.setdefault(name, set()).update(_kinds_in(column))

    def close(self, on_part: Callable[[], None] = lambda: None) -> None:
        """Close the table, and write all of it as Parquet beside it, which takes a while for millions of cells.

        Parameters
        ----------
        on_part : callable
            Told after each part that is written.

        Raises
        ------
        OSError
        """
        self._table.close()
        if self._table.files:
            write_parquet(self._table.files, self._path.with_suffix(".parquet"), self._kinds, on_part)


def read_cells(folder: Path, columns: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Columns of the cells in a folder, from the Parquet file or, of a run that has none, from the CSV files.

    Parameters
    ----------
    folder : Path
        With ``cells.parquet`` or ``cells.csv``.
    columns : sequence of str
        Those that the table lacks are left out.

    Returns
    -------
    dict of name to (N,) array
        Gaps are NaN, or None in columns of text. Empty where there is no table.
    """
    import pyarrow
    from pyarrow import csv, parquet

    whole = folder / Path(NAME).with_suffix(".parquet")
    if whole.is_file():
        wanted = [name for name in columns if name in parquet.read_schema(whole).names]
        tables = [parquet.read_table(whole, columns=wanted)]
    else:
        files = sorted(folder.glob(f"{Path(NAME).stem}*.csv"), key=lambda path: (len(path.name), path.name))
        tables = [csv.read_csv(pyarrow.BufferReader(_whole_lines(file))) for file in files]
    if not tables:
        return {}
    table = pyarrow.concat_tables(tables, promote_options="permissive")
    return {name: table[name].to_numpy() for name in columns if name in table.column_names}


def _whole_lines(file: Path) -> bytes:
    """What a file has but its last line, if that is cut off, as the last one of a killed run may be."""
    data = file.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def write_parquet(
    files: list[Path],
    target: Path,
    kinds: Mapping[str, set[str]],
    on_part: Callable[[], None] = lambda: None,
) -> None:
    """Write tables with one header each as one Parquet file, whose memory does not grow with them.

    Parameters
    ----------
    files : list of Path
        CSV files; a column that one of them lacks is empty for its rows.
    target : Path
    kinds : mapping
        Column -> the numpy kinds of its values; text is taken for what is not known.
    on_part : callable
        Told after each part that is written.

    Raises
    ------
    OSError
    """
    from pyarrow import parquet

    schema = _schema(files, kinds)
    with parquet.ParquetWriter(unfinished(target), schema) as writer:
        for file in files:
            for batch in _batches(file, schema):
                writer.write_batch(batch)
                on_part()
    publish(target)


def _batches(file: Path, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
    from pyarrow import csv

    convert = csv.ConvertOptions(
        column_types=schema,
        include_columns=schema.names,
        include_missing_columns=True,
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    parse = csv.ParseOptions(newlines_in_values=True)
    # A thread pool would take the cores from the run that may go on.
    with csv.open_csv(file, csv.ReadOptions(use_threads=False), parse, convert) as reader:
        yield from reader


def _schema(files: list[Path], kinds: Mapping[str, set[str]]) -> pyarrow.Schema:
    import csv

    import pyarrow

    names: dict[str, None] = {}
    for file in files:
        with file.open(encoding="utf-8", newline="") as handle:
            names |= dict.fromkeys(next(csv.reader(handle)))
    types = {"b": pyarrow.bool_(), "i": pyarrow.int64(), "f": pyarrow.float64(), "U": pyarrow.string()}
    return pyarrow.schema([(name, types[_common(kinds.get(name, {"U"}))]) for name in names])


def _common(kinds: set[str]) -> str:
    """The kind that holds values of all ``kinds``."""
    if len(kinds) <= 1:
        return next(iter(kinds), "U")
    return "f" if kinds <= {"i", "f"} else "U"


def _kinds_in(column: Any) -> set[str]:
    """The kinds of a column's values: b, i, f or U; those of an object array one by one, gaps left out."""
    if column.dtype.kind != "O":
        return (
            {{"u": "i"}.get(column.dtype.kind, column.dtype.kind)} if column.dtype.kind in "biufU" else {"U"}
        )
    return {
        kind
        for value in column
        if value is not None
        for kind in _kinds_in(np.asarray(value) if not isinstance(value, list | dict) else np.array(""))
    }


def _about(info: FrameInfo) -> dict[str, Any]:
    index = info.index
    values = (
        info.event_id,
        index.stem,
        *index.to_dict().values(),
        info.position_name,
        info.channel_name,
        None if info.elapsed_ms is None else info.elapsed_ms / 1000,
    )
    return dict(zip(_ABOUT_IMAGE, values, strict=True))
