"""NDTiff data sets as recordings: those of this package's runs, and those of other programs."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.errors import Finding, InvalidInput, StorageError, short_path
from inscoper_mm.images.blocks import Entry
from inscoper_mm.images.frame import Frame
from inscoper_mm.images.index import Index
from inscoper_mm.images.mm_tags import info_of_tags
from inscoper_mm.images.ndtiff import (
    FULL_RESOLUTION,
    INDEX_NAME,
    open_dataset,
    open_older_dataset,
    parse_index,
    read_entry,
)
from inscoper_mm.images.numbering import number
from inscoper_mm.images.recording import Given, Recording, event_id
from inscoper_mm.images.tags import OURS, from_tags

_VERSION_AT = 12
ReadPlane = Callable[[Mapping[str, int | str]], tuple[Any, dict[str, Any]]]


def is_ndtiff(folder: Path) -> bool:
    """Whether ``folder`` is an NDTiff data set."""
    return any((place / INDEX_NAME).is_file() for place in (folder, folder / FULL_RESOLUTION))


def open_ndtiff(folder: Path, given: Given) -> Recording:
    """An NDTiff data set, also one that was cut off.

    Raises
    ------
    InvalidInput
        There is no image in it, or its version cannot be read.
    """
    images = folder / FULL_RESOLUTION if (folder / FULL_RESOLUTION / INDEX_NAME).is_file() else folder
    data = (images / INDEX_NAME).read_bytes()
    entries, whole = parse_index(data)
    if not entries:
        raise InvalidInput(Finding("the data set has no image.", file=short_path(folder)))
    notes = () if _ended(data, whole) else ("The index is cut off: images after that are not replayed.",)
    first = next(iter(entries.values()))
    if _is_ours(images, first):
        return _own(images, entries, given, notes)
    version = _version(images / first.file)
    if version[0] == 2:
        planes, read, opened = open_older_dataset(folder)
    elif version[0] >= 3:
        planes, read, opened = _newer(images)
    else:
        message = f"NDTiff version {version[0]} cannot be read."
        raise InvalidInput(Finding(message, file=short_path(folder), allowed="versions 2 and 3"))
    kind = f"NDTiff {version[0]}.{version[1]} data set" if version[0] > 2 else "NDTiff 2 data set"
    return _foreign(folder, kind, planes, read, given, notes, opened.close)


def _ended(data: bytes, whole: int) -> bool:
    """Whether the index ends where its last whole entry does; some writers end it with zeros."""
    return not data[whole:].strip(b"\0")


def _is_ours(folder: Path, entry: Entry) -> bool:
    try:
        return OURS in read_entry(folder, entry)[1]
    except (OSError, EOFError, ValueError):
        return False


def _own(folder: Path, entries: Mapping[Index, Entry], given: Given, notes: tuple[str, ...]) -> Recording:
    def read(index: Index) -> Frame:
        try:
            pixels, tags = read_entry(folder, entries[index])
        except (KeyError, OSError, EOFError, ValueError) as error:
            raise StorageError(f"{index} cannot be read: {error}") from error
        return Frame(given.completed(from_tags(tags)), pixels)

    return Recording(folder, "images of a run", tuple(entries), read, notes=notes, own=True)


def _version(file: Path) -> tuple[int, int]:
    try:
        with file.open("rb") as handle:
            handle.seek(_VERSION_AT)
            major, minor = struct.unpack("<II", handle.read(8))
    except (OSError, struct.error) as error:
        raise InvalidInput(
            Finding(f"an image file cannot be read: {error}.", file=short_path(file))
        ) from error
    return major, minor if minor < 100 else 0


def _newer(folder: Path) -> tuple[list[dict[str, int | str]], ReadPlane, Any]:
    opened = open_dataset(folder)

    def read(axes: Mapping[str, int | str]) -> tuple[Any, dict[str, Any]]:
        return opened.read_image(**axes), opened.read_metadata(**axes)

    return [dict(key) for key in opened.index], read, opened


def _foreign(
    path: Path,
    kind: str,
    planes: Sequence[Mapping[str, int | str]],
    read_plane: ReadPlane,
    given: Given,
    notes: tuple[str, ...],
    close: Callable[[], object],
) -> Recording:
    numbered = number(planes)
    row_of = {index: row for row, index in enumerate(numbered.order)}
    lock = threading.Lock()  # ndstorage's readers seek in one file

    def read(index: Index) -> Frame:
        try:
            row = row_of[index]
            with lock:
                pixels, tags = read_plane(planes[row])
        except (KeyError, OSError, EOFError, ValueError, struct.error) as error:
            raise StorageError(f"{index} cannot be read: {type(error).__name__}: {error}") from error
        info = info_of_tags(
            tags,
            event_id(row),
            index,
            numbered.sizes[index.position, index.channel],
            numbered.channels.get(index.channel),
            numbered.positions.get(index.position),
        )
        return Frame(given.completed(info), np.array(pixels))

    return Recording(path, kind, numbered.order, read, numbered.sizes, notes, close=close)
