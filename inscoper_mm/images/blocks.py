"""The files of an NDTiff 3.3 data set, byte by byte: images and index, each change of them all or nothing.

Notes
-----
ndstorage can write such files too, and reads ours (the tests hold us to it). Ours are written here because of
what has to survive a killed process: an image is in the file before the index names it; the file is a complete
TIFF after every image; tags are changed by writing the new ones at the end of the file and then turning one
pointer, which never lies across two memory pages, so that the process cannot die in the midst of it; nothing is
kept in buffers, and nothing is allocated in advance.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from inscoper_mm.images.frame import Pixels
from inscoper_mm.images.index import Index
from inscoper_mm.images.jsonable import json_text

INDEX_NAME = "NDTiff.index"
LARGEST_OFFSET = 0xFFFF_FFFF

_HEADER = struct.Struct("<2sHIIIIII")
_NDTIFF_MARK, _MAJOR, _MINOR, _SUMMARY_MARK = 483729, 3, 3, 2355492
_FIRST_LINK = 4
# The directory of an image: its number of entries, 13 of (tag, type, count, value), the next one's place, and two
# ratios.
_DIRECTORY = struct.Struct("<H" + "HHII" * 13 + "I" + "II" * 2)
_NEXT_LINK = 2 + 13 * 12
_RATIOS = _NEXT_LINK + 4
_TAGS_POINTER = 2 + 12 * 12 + 4
_SHORT, _LONG, _RATIO, _TEXT = 3, 4, 5, 2
_CENTIMETRE, _NO_UNIT = 3, 1
_PIXEL_TYPE = {1: 0, 2: 1}
_PAGE = 4096
# A divisor of the page larger than a directory: no directory lies across two pages.
_ALIGNMENT = 256
_INDEX_TAIL = struct.Struct("<8I")
# Longer than any index entry: axes of 4 numbers, a file name of at most 120 characters, 40 bytes of numbers.
_LONGEST_INDEX_ENTRY = 320


class Entry(NamedTuple):
    """Where one image lies: ``file``, byte offsets in it, and the offset of its tags' place in the index."""

    file: str
    pixels_at: int
    width: int
    height: int
    bytes_per_pixel: int
    tags_at: int
    tags_length: int
    pointer_at: int = 0
    index_at: int = 0


def write_all(handle: Any, data: bytes | memoryview) -> None:
    """Write all of ``data`` to an unbuffered file, which may take it in pieces."""
    rest = memoryview(data)
    while rest:
        rest = rest[handle.write(rest) :]


class ImageFile:
    """One TIFF file of the data set, open for writing; one thread at a time.

    Parameters
    ----------
    path : Path
        Made by ``create``; may also be an older file of the set, to change tags in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = path.open("r+b", buffering=0)
        self.end = self._handle.seek(0, os.SEEK_END)
        self._link_at = _FIRST_LINK

    @classmethod
    def create(cls, path: Path, summary: bytes) -> ImageFile:
        """A new file with a complete header: readers refuse a file without, so it appears with it."""
        header = _HEADER.pack(b"II", 42, 0, _NDTIFF_MARK, _MAJOR, _MINOR, _SUMMARY_MARK, len(summary))
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_bytes(header + summary)
        unfinished.replace(path)
        return cls(path)

    def append(self, pixels: Pixels, tags: bytes, pixel_size_um: float | None = None) -> Entry:
        """Write an image at the end of the file.

        Parameters
        ----------
        pixels : ndarray
            (Y, X), uint8 or uint16, C-contiguous.
        tags : bytes
            JSON.
        pixel_size_um : float, optional
            Becomes the resolution that TIFF readers show.

        Raises
        ------
        OSError
            The file is then as it was before.
        """
        height, width = pixels.shape
        start = _aligned(self.end, _ALIGNMENT)
        tags_at = start + _DIRECTORY.size
        pixels_at = _aligned(tags_at + len(tags), 16)
        entry = Entry(
            self.path.name,
            pixels_at,
            width,
            height,
            pixels.itemsize,
            tags_at,
            len(tags),
            start + _TAGS_POINTER,
        )
        head = _directory(entry, start, pixel_size_um) + tags
        try:
            self._handle.seek(start)
            write_all(self._handle, head.ljust(pixels_at - start))
            write_all(self._handle, _bytes_of(pixels))
            # Only now does the image before this one point to it: who reads meanwhile finds the end of the list.
            self._handle.seek(self._link_at)
            write_all(self._handle, struct.pack("<I", start))
        except OSError:
            self._cut()
            raise
        self._link_at, self.end = start + _NEXT_LINK, pixels_at + pixels.nbytes
        return entry

    def read_tags(self, entry: Entry) -> dict[str, Any]:
        """Tags of an image of this file."""
        return _read_tags(self._handle, entry)

    def replace_tags(self, entry: Entry, tags: bytes) -> Entry:
        """Write new ``tags`` for an image of this file, and turn the image's pointer to them.

        Raises
        ------
        OSError
            The image still has its old tags.
        """
        at = self.end
        try:
            self._handle.seek(at)
            write_all(self._handle, tags)
            self.end = at + len(tags)
            self._handle.seek(entry.pointer_at)
            write_all(self._handle, struct.pack("<II", len(tags), at))
        except OSError:
            self._cut()
            raise
        return entry._replace(tags_at=at, tags_length=len(tags))

    def _cut(self) -> None:
        self._handle.truncate(self.end)

    def close(self) -> None:
        """Close the file; it is complete at any time."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class IndexFile:
    """The index of a data set, open for writing; an image counts as stored from its entry on."""

    def __init__(self, folder: Path) -> None:
        self._handle = (folder / INDEX_NAME).open("xb", buffering=0)
        self._end = 0

    def append(self, index: Index, entry: Entry) -> Entry:
        """Name an image that is completely in its file."""
        axes = json.dumps(index.ndtiff).encode()
        name = entry.file.encode()
        rest = _PAGE - (self._end + 8 + len(axes) + len(name) + _INDEX_TAIL.size) % _PAGE
        if rest < _LONGEST_INDEX_ENTRY:
            axes = axes.ljust(
                len(axes) + rest
            )  # the next entry starts on a new page rather than lying across two
        numbers = _INDEX_TAIL.pack(
            entry.pixels_at,
            entry.width,
            entry.height,
            _PIXEL_TYPE[entry.bytes_per_pixel],
            0,
            entry.tags_at,
            entry.tags_length,
            0,
        )
        packed = struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name + numbers
        try:
            write_all(self._handle, packed)
        except OSError:
            self._handle.truncate(self._end)
            raise
        self._end += len(packed)
        return entry._replace(index_at=self._end - 12)

    def replace_tags(self, entry: Entry) -> None:
        """Tell where an image's tags are now."""
        self._handle.seek(entry.index_at)
        write_all(self._handle, struct.pack("<II", entry.tags_at, entry.tags_length))
        self._handle.seek(self._end)

    def close(self) -> None:
        """Close the index."""
        self._handle.close()


def parse_index(data: bytes) -> tuple[dict[Index, Entry], int]:
    """The images that an index names, and the length of its part that is whole.

    A process that was killed, or a full disk, may have left a piece of an entry at the end; it is not read.
    """
    entries: dict[Index, Entry] = {}
    at = 0
    while True:
        try:
            axes, after = _text(data, at)
            file, after = _text(data, after)
            numbers = _INDEX_TAIL.unpack_from(data, after)
        except (struct.error, ValueError):
            return entries, at
        entry = Entry(
            file=file,
            pixels_at=numbers[0],
            width=numbers[1],
            height=numbers[2],
            bytes_per_pixel=1 if numbers[3] == 0 else 2,
            tags_at=numbers[5],
            tags_length=numbers[6],
            index_at=after + 20,
        )
        entries[Index.from_ndtiff(json.loads(axes))] = entry
        at = after + _INDEX_TAIL.size


def read_entry(folder: Path, entry: Entry) -> tuple[Pixels, dict[str, Any]]:
    """Pixels (Y, X), read-only, and tags of one stored image; safe from any thread and beside the writer."""
    shape = (entry.height, entry.width)
    pixels: Pixels = np.empty(shape, np.uint8) if entry.bytes_per_pixel == 1 else np.empty(shape, np.uint16)
    with (folder / entry.file).open("rb", buffering=0) as handle:
        handle.seek(entry.pixels_at)
        _read_into(handle, _bytes_of(pixels))
        tags = _read_tags(handle, entry)
    pixels.flags.writeable = False
    return pixels, tags


def summary_bytes(summary: Mapping[str, Any]) -> bytes:
    """The summary metadata as each file of the data set begins with it."""
    return json_text(dict(summary)).encode()


def _read_tags(handle: Any, entry: Entry) -> dict[str, Any]:
    handle.seek(entry.tags_at)
    data = bytearray(entry.tags_length)
    _read_into(handle, memoryview(data))
    tags: dict[str, Any] = json.loads(data)
    return tags


def _read_into(handle: Any, target: memoryview) -> None:
    while target:
        count = handle.readinto(target)
        if not count:
            raise EOFError(f"{handle.name} ends before an image that its index names.")
        target = target[count:]


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", data, at)
    text = data[at + 4 : at + 4 + length]
    if not text or len(text) < length:
        raise ValueError("the index ends here")
    return text.decode(), at + 4 + length


def _bytes_of(pixels: Pixels) -> memoryview:
    return pixels.reshape(-1).view(np.uint8).data


def _aligned(offset: int, step: int) -> int:
    return -(-offset // step) * step


def _directory(entry: Entry, start: int, pixel_size_um: float | None) -> bytes:
    ratios_at = start + _RATIOS
    per_cm = (round(1e7 / pixel_size_um), 1000) if pixel_size_um and pixel_size_um > 1e-2 else (1, 1)
    unit = _CENTIMETRE if per_cm != (1, 1) else _NO_UNIT
    tags = (
        (256, _LONG, 1, entry.width),
        (257, _LONG, 1, entry.height),
        (258, _SHORT, 1, entry.bytes_per_pixel * 8),
        (259, _SHORT, 1, 1),  # not compressed
        (262, _SHORT, 1, 1),  # black is zero
        (273, _LONG, 1, entry.pixels_at),
        (277, _SHORT, 1, 1),  # samples per pixel
        (278, _LONG, 1, entry.height),
        (279, _LONG, 1, entry.width * entry.height * entry.bytes_per_pixel),
        (282, _RATIO, 1, ratios_at),
        (283, _RATIO, 1, ratios_at + 8),
        (296, _SHORT, 1, unit),
        (51123, _TEXT, entry.tags_length, entry.tags_at),
    )
    values = [value for tag in tags for value in tag]
    return _DIRECTORY.pack(len(tags), *values, 0, *per_cm, *per_cm)
