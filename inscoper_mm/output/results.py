"""What scripts publish, on disk: one place per data processor, written beside the run, readable at once.

A file appears under its name when it is complete; tables and ``.jsonl`` files grow by whole lines.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import StorageError
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.images.jsonable import json_safe, json_text
from inscoper_mm.output.cell_table import CellTableFile
from inscoper_mm.output.crop_files import write_crops
from inscoper_mm.output.files import publish, safe_name, unfinished
from inscoper_mm.output.lines import LineFile
from inscoper_mm.output.tables import TableFile, rows_of

METADATA = "metadata"
_LABELS = frozenset({"segmentation", "motion_mask"})
_INTEGERS = (np.uint8, np.uint16, np.uint32, np.int8, np.int16, np.int32)
_IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Answer:
    script: str
    info: FrameInfo
    values: dict[str, Any]
    export_path: Path
    nbytes: int


class ResultsWriter:
    """Writes what scripts return, data processor by data processor, in a thread of its own.

    Parameters
    ----------
    folder : Path
        The run's ``results``.
    on_error : callable
        ``on_error(error)`` for each value that could not be written: a ``StorageError`` that names script, image
        and data processor, its cause the original. The next values are tried again.
    queue_bytes : int
        How much may wait to be written.
    """

    def __init__(
        self, folder: Path, on_error: Callable[[StorageError], None], queue_bytes: int = 512 << 20
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._on_error = on_error
        self._queue_bytes = queue_bytes
        self._metadata = LineFile(folder / "metadata.jsonl")
        self._lines: dict[Path, LineFile] = {}
        self._tables: dict[Path, TableFile] = {}
        self._cells: dict[Path, CellTableFile] = {}
        self._jobs: deque[_Answer] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._written = 0  # values, and batches of long tables: the work goes on
        self._thread = threading.Thread(target=self._run, name="inscoper-mm results writer")
        self._thread.start()

    # -- for any thread

    def inject(self, script: str, info: FrameInfo, values: Mapping[str, Any]) -> None:
        """Write injected ``values`` to ``metadata.jsonl``; they are on disk when this returns.

        Called before the same values go into the image: what does not fit there is only here.

        Raises
        ------
        OSError
            If they cannot be written.
        """
        self._metadata.write(json_text(_about(script, info) | {"values": values}) + "\n")

    def put(
        self,
        script: str,
        info: FrameInfo,
        values: Mapping[str, Any],
        export_path: Path,
        limit_s: float = 30.0,
    ) -> None:
        """Hand over what a call returned, ``{data processor: value}``; ``metadata`` is left to ``inject``.

        Waits up to ``limit_s`` while too much waits to be written.

        Raises
        ------
        StorageError
            If the limit passed, or the writer is closed.
        """
        values = {name: value for name, value in values.items() if name != METADATA and value is not None}
        if not values:
            return
        answer = _Answer(script, info, values, export_path, _nbytes(values))
        deadline = time.monotonic() + limit_s
        with self._changed:
            while not self._closing and self._waiting_bytes and not self._fits(answer):
                rest_s = deadline - time.monotonic()
                if rest_s <= 0:
                    raise StorageError(
                        f"{info.index}: the disk is too slow: {self._waiting_bytes >> 20} MiB of results wait to "
                        f"be written, and for {limit_s:g} s there was no room for those of '{script}'."
                    )
                self._changed.wait(rest_s)
            if self._closing:
                raise StorageError("The results are closed: they take no more values.")
            self._jobs.append(answer)
            self._waiting_bytes += answer.nbytes
            self._changed.notify_all()

    def close(self, limit_s: float = 60.0) -> None:
        """Write what waits, close the files and end the thread; may be called again.

        Raises
        ------
        StorageError
            If nothing is written for ``limit_s``.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        before = -1
        while self._thread.is_alive() and self._written != before:
            before = self._written
            self._thread.join(limit_s)
        if self._thread.is_alive():
            raise StorageError(f"The disk hangs: results were not written within {limit_s:g} s.")

    def _fits(self, answer: _Answer) -> bool:
        return self._waiting_bytes + answer.nbytes <= self._queue_bytes

    # -- in the writer's thread

    def _run(self) -> None:
        while (answer := self._next()) is not None:
            for processor, value in answer.values.items():
                self._guarded(answer, processor, value)
                self._count()
            with self._changed:
                self._waiting_bytes -= answer.nbytes
                self._changed.notify_all()
        files: list[LineFile | TableFile] = [self._metadata, *self._lines.values(), *self._tables.values()]
        for file in files:
            with contextlib.suppress(OSError):  # nothing is buffered
                file.close()
        for path, table in self._cells.items():
            self._finish(path, table)

    def _finish(self, path: Path, table: CellTableFile) -> None:
        try:
            table.close(self._count)
        except Exception as reason:  # noqa: BLE001  (a thread border: told; the CSV has everything)
            error = StorageError(
                f"The Parquet file of the cells in {path} could not be written: {type(reason).__name__}: {reason}"
            )
            error.__cause__ = reason
            self._on_error(error)

    def _count(self) -> None:
        self._written += 1

    def _next(self) -> _Answer | None:
        with self._changed:
            while not self._jobs:
                if self._closing or not threading.main_thread().is_alive():
                    return None
                self._changed.wait(_IDLE_S)
            return self._jobs.popleft()

    def _guarded(self, answer: _Answer, processor: str, value: Any) -> None:
        try:
            folder = self._folder / safe_name(answer.script, "script")
            folder.mkdir(exist_ok=True)
            _WRITERS.get(processor, ResultsWriter._write_any)(self, folder, processor, answer, value)
        except Exception as reason:  # noqa: BLE001  (a thread border: told, and the next value is tried)
            error = StorageError(
                f"'{processor}' of {answer.script} for {answer.info.index} could not be written: "
                f"{type(reason).__name__}: {reason}"
            )
            error.__cause__ = reason
            self._on_error(error)

    # -- one method per kind of value

    def _write_any(self, folder: Path, processor: str, answer: _Answer, value: Any) -> None:
        is_pixels = isinstance(value, np.ndarray) and value.ndim >= 2 and value.dtype.kind in "buif"
        writer = ResultsWriter._write_array if is_pixels else ResultsWriter._write_line
        writer(self, folder, processor, answer, value)

    def _write_array(self, folder: Path, processor: str, answer: _Answer, value: Any) -> None:
        array = np.asarray(value)
        if processor in _LABELS:
            array = smallest_integers(array)
        target = folder / safe_name(processor, "value") / f"{answer.info.index.stem}.tif"
        target.parent.mkdir(exist_ok=True)
        about = _about(answer.script, answer.info) | {"processor": processor}
        _write_tiff(target, array, answer.info.pixel_size_um, about)

    def _write_line(self, folder: Path, processor: str, answer: _Answer, value: Any) -> None:
        path = folder / f"{safe_name(processor, 'value')}.jsonl"
        if path not in self._lines:
            self._lines[path] = LineFile(path)
        self._lines[path].write(
            json_text(_about(answer.script, answer.info) | {"value": _plain(value)}) + "\n"
        )

    def _write_tracks(self, folder: Path, processor: str, answer: _Answer, value: Any) -> None:
        # Beside the script's own files, as crops and the table of cells are.
        self._append(answer.export_path / f"{processor}.csv", answer, rows_of(value))

    def _write_series(self, folder: Path, processor: str, answer: _Answer, value: Any) -> None:
        rows = []
        for name, item in value.items():
            number, unit = item if isinstance(item, list | tuple) else (item, "")
            rows.append({"name": str(name), "value": number, "unit": unit})
        elapsed = {"elapsed_s": _seconds(answer.info.elapsed_ms)}
        self._append(folder / f"{processor}.csv", answer, [elapsed | row for row in rows])

    def _append(self, path: Path, answer: _Answer, rows: list[dict[str, Any]]) -> None:
        if path not in self._tables:
            self._tables[path] = TableFile(path)
        about = {"event": answer.info.event_id, "frame": answer.info.index.stem}
        self._tables[path].append([about | row for row in rows])

    def _write_crops(self, folder: Path, processor: str, answer: _Answer, value: Any) -> None:
        write_crops(answer.export_path / "crops", answer.info, value, _about(answer.script, answer.info))

    def _write_cells(self, folder: Path, processor: str, answer: _Answer, value: Any) -> None:
        path = answer.export_path
        if path not in self._cells:
            self._cells[path] = CellTableFile(path)
        self._cells[path].append(answer.info, value)


_WRITERS: dict[str, Callable[[ResultsWriter, Path, str, _Answer, Any], None]] = {
    "segmentation": ResultsWriter._write_array,
    "motion_mask": ResultsWriter._write_array,
    "image": ResultsWriter._write_array,
    "motion_difference": ResultsWriter._write_array,
    "background": ResultsWriter._write_array,
    "normalized": ResultsWriter._write_array,
    "crop": ResultsWriter._write_crops,
    "cells": ResultsWriter._write_cells,
    "tracks": ResultsWriter._write_tracks,
    "timeseries": ResultsWriter._write_series,
    "roi": ResultsWriter._write_line,
    "focus": ResultsWriter._write_line,
}


def smallest_integers(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels or a mask in the smallest integer type that keeps every value; other arrays as they are."""
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind not in "ui" or not labels.size:
        return labels
    low, high = int(labels.min()), int(labels.max())
    for kind in _INTEGERS:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return labels.astype(kind, copy=False)
    return labels


def _write_tiff(
    path: Path, array: npt.NDArray[Any], pixel_size_um: float | None, about: Mapping[str, Any] | None = None
) -> None:
    import tifffile

    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    per_cm = 1e4 / pixel_size_um if pixel_size_um else 1.0
    tifffile.imwrite(
        unfinished(path),
        array,
        photometric="minisblack",
        compression="zlib" if about is not None else None,
        compressionargs={"level": 1} if about is not None else None,
        description=json_text(about) if about is not None else None,
        metadata=None,
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER" if pixel_size_um else "NONE",
    )
    publish(path)


def _about(script: str, info: FrameInfo) -> dict[str, Any]:
    return {
        "event": info.event_id,
        "frame": info.index.stem,
        "index": info.index.to_dict(),
        "script": script,
    }


def _plain(value: Any) -> Any:
    # A DataFrame and its like: columns rather than their printed form.
    return json_safe(value.to_dict("list") if hasattr(value, "to_dict") else value)


def _nbytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, Mapping):
        return sum(map(_nbytes, value.values())) + 100
    if isinstance(value, list | tuple):
        return sum(map(_nbytes, value)) + 100
    return 32


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
