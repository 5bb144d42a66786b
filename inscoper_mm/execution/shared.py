"""Objects between two processes, large arrays in shared memory that both use again and again.

Each direction has an :class:`Outbox` and an :class:`Inbox`. The writer lends a block with each large array; the
reader's arrays lie in it, without a copy, and when the last of them is gone the block goes back with the reader's
next message. So an array that a script keeps is never overwritten.

The blocks are mapped files in memory (POSIX) or named mappings (Windows), not ``multiprocessing.shared_memory``:
until Python 3.13 that has a further process for the book-keeping, which removes a block when either side ends. The
reader removes a block's name as soon as it has it open, so that nothing is left behind when both sides are killed.
"""

from __future__ import annotations

import mmap
import os
import pickle
import secrets
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Below this the pipe is as quick as a block.
SMALLEST_BYTES = 64 * 1024
# A script that keeps more than this of its images gets copies from then on.
KEPT_LIMIT_BYTES = 256 * 1024 * 1024
_GRAIN_BYTES = 64 * 1024

_MEMORY_FOLDER = "/dev/shm"

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Ref:
    """Where a reader finds an array: block number, its name and size, the bytes used, and whether to copy them."""

    number: int
    name: str
    size: int
    used: int
    copy: bool


def _create(size: int) -> tuple[str, mmap.mmap]:
    """A new block; OSError or ValueError if there is no memory for it."""
    if sys.platform == "win32":
        name = f"inscoper-mm-{secrets.token_hex(16)}"
        return name, mmap.mmap(-1, size, tagname=name)
    folder = _MEMORY_FOLDER if os.access(_MEMORY_FOLDER, os.W_OK) else None
    handle, name = tempfile.mkstemp(prefix="inscoper-mm-", dir=folder)
    try:
        if hasattr(os, "posix_fallocate"):
            # A full /dev/shm is an error here; without this the first write would kill the process.
            os.posix_fallocate(handle, 0, size)
        else:
            os.truncate(handle, size)
        return name, mmap.mmap(handle, size)
    except OSError:
        _remove(name)
        raise
    finally:
        os.close(handle)


def _open(name: str, size: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, size, tagname=name, access=mmap.ACCESS_READ)
    with Path(name).open("rb") as file:
        block = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    _remove(name)
    return block


def _remove(name: str) -> None:
    if sys.platform != "win32":
        Path(name).unlink(missing_ok=True)


class _Block:
    """A block as its writer has it."""

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.name, self._map = _create(size)
        self.content: Bytes | None = np.frombuffer(self._map, np.uint8)

    def close(self) -> None:
        self.content = None
        self._map.close()
        _remove(self.name)


class Outbox:
    """The writer's side of one direction."""

    def __init__(self) -> None:
        self._free: list[_Block] = []
        self._lent: dict[int, _Block] = {}
        self._next = 0
        self._dropped: list[int] = []

    def pack(self, message: Any) -> tuple[bytes, list[Ref], list[int]]:
        """``message`` as bytes, the blocks lent with it, and the numbers of blocks that exist no more.

        Raises
        ------
        Exception
            Whatever pickling a foreign object raises.
        """
        copy = sum(block.size for block in self._lent.values()) > KEPT_LIMIT_BYTES
        refs: list[Ref] = []

        def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
            ref = self._lend(buffer, copy)
            if ref is not None:
                refs.append(ref)
            return ref is None

        try:
            data = pickle.dumps(message, protocol=5, buffer_callback=keep_in_band)
        except BaseException:
            self.take_back(ref.number for ref in refs)
            raise
        dropped, self._dropped = self._dropped, []
        return data, refs, dropped

    def take_back(self, numbers: Iterable[int]) -> None:
        """The reader uses these blocks no more."""
        for number in numbers:
            block = self._lent.pop(number, None)
            if block is not None:
                self._free.append(block)

    def close(self) -> None:
        """Free all blocks; a reader that has one open keeps its content."""
        for block in (*self._free, *self._lent.values()):
            block.close()
        self._free.clear()
        self._lent.clear()

    def _lend(self, buffer: pickle.PickleBuffer, copy: bool) -> Ref | None:
        raw = buffer.raw()
        block = self._block(raw.nbytes) if raw.nbytes >= SMALLEST_BYTES else None
        if block is None:
            return None
        assert block.content is not None
        # numpy lets other threads run while it copies.
        np.copyto(block.content[: raw.nbytes], np.frombuffer(raw, np.uint8))
        self._lent[block.number] = block
        return Ref(block.number, block.name, block.size, raw.nbytes, copy)

    def _block(self, used: int) -> _Block | None:
        for block in reversed(self._free):  # the last one used is still in the processor's cache
            if used <= block.size <= max(4 * used, _GRAIN_BYTES):
                self._free.remove(block)
                return block
        self._drop_one()
        self._next += 1
        try:
            return _Block(self._next, -(-used // _GRAIN_BYTES) * _GRAIN_BYTES)
        except (OSError, ValueError):
            return None  # no shared memory left: the pipe is slower, but it works

    def _drop_one(self) -> None:
        """A free block that did not fit is of the wrong size: images have changed theirs."""
        if self._free:
            block = self._free.pop(0)
            self._dropped.append(block.number)
            block.close()


class Inbox:
    """The reader's side of one direction."""

    def __init__(self) -> None:
        self._maps: dict[int, mmap.mmap] = {}
        self._leases: dict[int, weakref.ref[Bytes]] = {}
        self._done: deque[int] = deque()

    def unpack(self, data: bytes, refs: list[Ref], dropped: list[int]) -> Any:
        """The message; its large arrays are read-only and lie in the lent blocks."""
        for number in dropped:
            self._maps.pop(number, None)
        return pickle.loads(data, buffers=[self._buffer(ref) for ref in refs])

    def done(self) -> list[int]:
        """The blocks that are not used any more, to be told to the writer; each is told once."""
        numbers = []
        while self._done:
            numbers.append(self._done.popleft())
        return numbers

    def _buffer(self, ref: Ref) -> Bytes:
        block = self._maps.get(ref.number)
        if block is None:
            block = self._maps[ref.number] = _open(ref.name, ref.size)
        content = np.frombuffer(block, np.uint8, ref.used)
        if ref.copy:
            content = content.copy()
            content.flags.writeable = False
            self._done.append(ref.number)
            return content
        # Every array made of it refers to it, so it lives as long as the longest of them.
        self._leases[ref.number] = weakref.ref(content, lambda _: self._done.append(ref.number))
        return content
