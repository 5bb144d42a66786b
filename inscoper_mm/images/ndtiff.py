"""The data set of a run: the one thread that writes it, and reading it back; also of a run that was killed.

Values that scripts inject are written into the metadata of the image they belong to, when they come; see ``tags``
for their names and ``blocks`` for what is on disk when.
"""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.errors import StorageError
from inscoper_mm.images.blocks import (
    INDEX_NAME,
    Entry,
    parse_index,
    read_entry,
)
from inscoper_mm.images.dataset import DataSet
from inscoper_mm.images.frame import Frame, FrameInfo, Pixels
from inscoper_mm.images.index import Index
from inscoper_mm.images.tags import Where, from_tags, to_tags

# Where stitched and older data sets have their images.
FULL_RESOLUTION = "Full resolution"
# How often an idle writer looks whether the program it works for is still there.
_IDLE_S = 1.0
# An image is written this much after it came.
_HEAD_START_S = 0.002


@dataclass(frozen=True, slots=True)
class _Answer:
    info: FrameInfo
    script: str
    values: dict[str, Any]


class ImageWriter:
    """Stores images and answers, in the order they are given, in a thread of its own.

    Parameters
    ----------
    folder : Path
        Becomes an NDTiff data set; must not hold one yet.
    name : str
        Begins the names of the image files.
    summary : mapping
        Metadata of the whole data set.
    on_stored : callable
        ``on_stored(info, file)`` when an image is on disk and in the index: from here on, the end of the
        process, however it comes, cannot lose it.
    on_answered : callable
        ``on_answered(info, script, keys, where)`` when a script's values are in the image's tags, under
        ``keys``; ``where`` is ``"side_file"`` if one or more did not fit there.
    on_error : callable
        Called once with the original exception when writing fails. Nothing is written after that.
    answer_bytes : int
        Room for one script's answer in one image, as JSON. 0: answers are not written into images.
    file_bytes : int
        A new file of the data set begins before this size is passed.
    queue_bytes : int
        How much may wait to be written.

    Notes
    -----
    The callbacks run in the writer's thread; what they raise ends the writer as a failed disk does.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        summary: Mapping[str, Any],
        *,
        on_stored: Callable[[FrameInfo, str], None],
        on_answered: Callable[[FrameInfo, str, tuple[str, ...], Where], None],
        on_error: Callable[[BaseException], None],
        answer_bytes: int = 1 << 20,
        file_bytes: int = 1 << 30,
        queue_bytes: int = 512 << 20,
    ) -> None:
        self.folder = folder
        self._on_stored, self._on_answered, self._on_error = on_stored, on_answered, on_error
        self._answer_bytes, self._queue_bytes = answer_bytes, queue_bytes
        if (folder / INDEX_NAME).exists():
            raise StorageError(f"{folder} holds a data set already; it is not overwritten.")
        self._data = DataSet(folder, name, summary, file_bytes)
        self._jobs: deque[tuple[float, Frame | _Answer]] = deque()
        self._waiting_bytes = 0
        self._pending: dict[Index, Frame] = {}
        self._entries: dict[Index, Entry] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="inscoper-mm image writer")
        self._thread.start()

    # -- for any thread

    def put(self, frame: Frame, limit_s: float) -> None:
        """Hand over an image; returns at once, or waits up to ``limit_s`` while too much waits to be written.

        Raises
        ------
        StorageError
            If the image cannot be stored, the writer is closed, or the limit passed.
        Exception
            The original error, if the writer has failed.
        """
        _refuse_pixels(frame)
        deadline = time.monotonic() + limit_s
        with self._changed:
            while self._may_take() and self._waiting_bytes and not self._fits(frame):
                rest_s = deadline - time.monotonic()
                if rest_s <= 0:
                    raise StorageError(
                        f"{frame.index}: the disk is too slow: {self._waiting_bytes >> 20} MiB of images wait to "
                        f"be written, and for {limit_s:g} s there was no room for one more."
                    )
                self._changed.wait(rest_s)
            if frame.index in self._pending or frame.index in self._entries:
                raise StorageError(f"{frame.index} is stored already; an image is never overwritten.")
            self._pending[frame.index] = frame
            self._waiting_bytes += frame.pixels.nbytes
            self._add(frame)

    def answer(self, info: FrameInfo, script: str, values: Mapping[str, Any]) -> None:
        """Hand over what a script injects into an image that was given to ``put`` before; returns at once.

        Raises
        ------
        StorageError
            If the image was never given, or the writer is closed.
        Exception
            The original error, if the writer has failed.
        """
        with self._changed:
            self._may_take()
            if info.index not in self._pending and info.index not in self._entries:
                raise StorageError(f"{info.index}: '{script}' answers for an image that was not stored.")
            self._add(_Answer(info, script, dict(values)))

    def read(self, index: Index) -> tuple[Pixels, dict[str, Any]]:
        """Pixels (Y, X), read-only, and tags of an image that was given to ``put``, written or not yet.

        Raises
        ------
        StorageError
            If there is no such image.
        """
        with self._changed:
            frame, entry = self._pending.get(index), self._entries.get(index)
        if frame is not None:
            return frame.pixels, to_tags(frame.info)
        if entry is None:
            raise StorageError(f"{index} is not in the data set {self.folder}.")
        return read_entry(self.folder, entry)

    def read_frame(self, index: Index) -> Frame:
        """As ``read``, as the frame that was given to ``put``."""
        pixels, tags = self.read(index)
        return Frame(from_tags(tags), pixels)

    @property
    def stored(self) -> int:
        """How many images are on disk."""
        return len(self._entries)

    @property
    def waiting(self) -> int:
        """How many images are not on disk yet; after a failure: how many never came there."""
        return len(self._pending)

    def close(self, limit_s: float = 60.0) -> None:
        """Write what waits, close the files and end the thread; raises no error of the writer.

        Raises
        ------
        StorageError
            If that takes longer than ``limit_s``: the disk hangs.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(limit_s)
        if self._thread.is_alive():
            raise StorageError(
                f"The disk hangs: {self.waiting} images were not written within {limit_s:g} s."
            )

    def _may_take(self) -> bool:
        if self._error is not None:
            raise self._error
        if self._closing:
            raise StorageError("The data set is closed: it takes no more images and no more answers.")
        return True

    def _fits(self, frame: Frame) -> bool:
        return self._waiting_bytes + frame.pixels.nbytes <= self._queue_bytes

    def _add(self, job: Frame | _Answer) -> None:
        self._jobs.append((time.monotonic() + _HEAD_START_S, job))
        self._changed.notify_all()

    # -- in the writer's thread

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                if isinstance(job, Frame):
                    self._store(job)
                else:
                    self._write_answer(job)
            self._data.close()
        except BaseException as error:  # noqa: BLE001  (a thread border: kept, told, and raised again by put)
            self._fail(error)

    def _next(self) -> Frame | _Answer | None:
        with self._changed:
            while not self._jobs:
                # Without its program nobody closes the writer, which must not keep the process alive then.
                if self._closing or not threading.main_thread().is_alive():
                    return None
                self._changed.wait(_IDLE_S)
            # The loop and the script first: what they do next is waited for, and there is one interpreter lock.
            while not self._closing and (left_s := self._jobs[0][0] - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return self._jobs.popleft()[1]

    def _store(self, frame: Frame) -> None:
        entry = self._data.store(frame)
        with self._changed:
            self._entries[frame.index] = entry
            del self._pending[frame.index]
            self._waiting_bytes -= frame.pixels.nbytes
            self._changed.notify_all()
        self._on_stored(frame.info, entry.file)

    def _write_answer(self, job: _Answer) -> None:
        index = job.info.index
        answered = self._data.answer(self._entries[index], job.script, job.values, self._answer_bytes)
        with self._changed:
            self._entries[index] = answered.entry
        self._on_answered(job.info, job.script, answered.merged.keys, answered.merged.where)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._jobs.clear()
            self._changed.notify_all()
        try:
            self._on_error(error)
        finally:
            with contextlib.suppress(OSError):  # the files are complete at any time; the first error is told
                self._data.close()


def _refuse_pixels(frame: Frame) -> None:
    pixels = frame.pixels
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 2 or not pixels.size:
        raise StorageError(
            f"{frame.index}: only grey images (Y, X) of type uint8 or uint16 can be stored. "
            f"Got: {pixels.dtype} of shape {pixels.shape}."
        )


def read_index(folder: Path) -> dict[Index, Entry]:
    """Which images a data set holds, and where; also of a run that is being written or was killed.

    Raises
    ------
    StorageError
        If there is no data set in ``folder``.
    """
    return parse_index(_index_bytes(folder))[0]


def open_dataset(folder: Path) -> Any:
    """The data set as ``ndstorage.Dataset`` opens it, without its printing; also of a run that was killed.

    Returns
    -------
    ndstorage.NDTiffDataset
        To be closed by the caller.

    Raises
    ------
    StorageError
        If there is no data set in ``folder``.
    """
    import ndstorage.ndtiff_dataset
    import ndstorage.ndtiff_index

    data = _index_bytes(folder)
    _quiet(ndstorage.ndtiff_dataset, ndstorage.ndtiff_index)
    return ndstorage.NDTiffDataset(str(folder), file_io=_cut_to(data[: parse_index(data)[1]]))


def open_older_dataset(folder: Path) -> tuple[list[dict[str, int | str]], Callable[..., Any], Any]:
    """A data set of NDTiff version 2, as ndstorage reads it.

    Parameters
    ----------
    folder : Path
        The folder that has ``Full resolution``.

    Returns
    -------
    tuple
        The axes of each image in the order of the index, ``read(axes)`` which gives pixels and tags, and the object
        to close.

    Raises
    ------
    StorageError
        If there is no data set of this version in ``folder``.
    """
    from ndstorage.old_format_version_readers import nd_tiff_v2

    data = _index_bytes(folder / FULL_RESOLUTION)
    _quiet(nd_tiff_v2)
    opened = nd_tiff_v2.NDTiff_v2_0(
        str(folder), full_res_only=True, file_io=_cut_to(data[: parse_index(data)[1]])
    )
    level = opened.res_levels[0]

    def read(axes: Mapping[str, int | str]) -> tuple[Any, dict[str, Any]]:
        return level.read_image(axes), level.read_metadata(axes)

    return [dict(key) for key in level.index], read, opened


def _cut_to(index: bytes) -> Any:
    """Files as ndstorage opens them, with ``index`` in place of what may have been cut off in an entry."""
    from ndstorage.file_io import NDTiffFileIO

    def open_whole(path: str, mode: str = "rb") -> Any:
        return io.BytesIO(index) if path.endswith(INDEX_NAME) else Path(path).open(mode)

    return NDTiffFileIO(open_function=open_whole)


def _quiet(*modules: Any) -> None:
    """ndstorage tells its progress on standard output, which belongs to the program that calls us."""
    for module in modules:
        module.print = _print_nothing


def _index_bytes(folder: Path) -> bytes:
    try:
        return (folder / INDEX_NAME).read_bytes()
    except FileNotFoundError:
        raise StorageError(f"There is no NDTiff data set in {folder} (no {INDEX_NAME}).") from None


def _print_nothing(*args: object, **options: object) -> None:
    return


__all__ = [
    "FULL_RESOLUTION",
    "INDEX_NAME",
    "Entry",
    "ImageWriter",
    "open_dataset",
    "open_older_dataset",
    "parse_index",
    "read_entry",
    "read_index",
]
