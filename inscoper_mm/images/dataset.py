"""A data set being written: which file an image goes to, and which one an answer has to reach."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from inscoper_mm.images.blocks import LARGEST_OFFSET, Entry, ImageFile, IndexFile, summary_bytes
from inscoper_mm.images.frame import Frame
from inscoper_mm.images.jsonable import json_text
from inscoper_mm.images.tags import Merged, merge_answer, to_tags

_GREY = {1: "GRAY8", 2: "GRAY16"}
# In file names inside the index, where nothing but these is the same on every system.
_STRANGE_SIGNS = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 80
# What may come behind the last image of the largest file that TIFF allows: answers.
_ROOM_BEHIND = 64 << 20


class Answered(NamedTuple):
    """Where the image's tags are now, and what they say."""

    entry: Entry
    merged: Merged


class DataSet:
    """The files being written; used by one thread.

    Parameters
    ----------
    folder : Path
    name : str
        Begins the names of the image files.
    summary : mapping
    file_bytes : int
        A new file begins before this size is passed.
    """

    def __init__(self, folder: Path, name: str, summary: Mapping[str, Any], file_bytes: int) -> None:
        self.folder = folder
        self._name = _STRANGE_SIGNS.sub("_", name)[:_LONGEST_NAME]
        self._summary = summary_bytes(summary)
        self._file_bytes = min(file_bytes, LARGEST_OFFSET - _ROOM_BEHIND)
        self._files = 0
        self._file: ImageFile | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._index = IndexFile(folder)

    def store(self, frame: Frame) -> Entry:
        """Write an image, then its entry in the index."""
        pixels = frame.pixels if frame.pixels.flags.c_contiguous else frame.pixels.copy(order="C")
        height, width = pixels.shape
        size = {"Width": width, "Height": height, "PixelType": _GREY[pixels.itemsize]}
        tags = json_text(to_tags(frame.info, size)).encode()
        file = self._file_with_room(pixels.nbytes + len(tags))
        return self._index.append(frame.index, file.append(pixels, tags, frame.info.pixel_size_um))

    def answer(self, entry: Entry, script: str, values: Mapping[str, Any], most_bytes: int) -> Answered:
        """Put a script's values among an image's tags."""
        if self._file is not None and self._file.path.name == entry.file:
            return self._answer_in(self._file, entry, script, values, most_bytes)
        with ImageFile(self.folder / entry.file) as older:
            return self._answer_in(older, entry, script, values, most_bytes)

    def _answer_in(
        self, file: ImageFile, entry: Entry, script: str, values: Mapping[str, Any], most_bytes: int
    ) -> Answered:
        # Offsets in a TIFF have 32 bits, and no more fits behind them.
        room = most_bytes if file.end + 2 * most_bytes < LARGEST_OFFSET else 0
        merged = merge_answer(file.read_tags(entry), script, values, room)
        changed = file.replace_tags(entry, merged.text.encode())
        self._index.replace_tags(changed)
        return Answered(changed, merged)

    def _file_with_room(self, count: int) -> ImageFile:
        if self._file is not None and self._file.end + count > self._file_bytes:
            self._file.close()
            self._file = None
        if self._file is None:
            number = f"_{self._files}" if self._files else ""
            path = self.folder / f"{self._name}_NDTiffStack{number}.tif"
            self._file = ImageFile.create(path, self._summary)
            self._files += 1
        return self._file

    def close(self) -> None:
        """Close the files."""
        if self._file is not None:
            self._file.close()
        self._index.close()
