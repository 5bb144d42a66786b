"""The images that scripts may ask for: the latest in memory, within a bound, the others read back from disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from inscoper_mm.images.frame import Frame
from inscoper_mm.images.index import Index

# A frame's info with its tags, measured on images of the demo camera, rounded up.
_INFO_BYTES = 8192


class FrameCache:
    """Frames by index; the one that was longest unused leaves first. Safe from any thread.

    Parameters
    ----------
    max_bytes : int
        Bound of what is kept, pixels and infos.
    reader : callable
        ``reader(index)`` brings a frame that is not in memory, or raises.
    """

    def __init__(self, max_bytes: int, reader: Callable[[Index], Frame]) -> None:
        self._max_bytes = max_bytes
        self._reader = reader
        self._frames: OrderedDict[Index, Frame] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, frame: Frame) -> None:
        """Keep ``frame``; one that is larger than the bound is not kept."""
        with self._lock:
            self._forget(frame.index)
            self._frames[frame.index] = frame
            self._bytes += _size(frame)
            while self._bytes > self._max_bytes:
                self._forget(next(iter(self._frames)))

    def get(self, index: Index) -> Frame:
        """The frame at ``index``, from memory or through the reader.

        Raises
        ------
        Exception
            Whatever the reader raises.
        """
        with self._lock:
            frame = self._frames.get(index)
            if frame is not None:
                self._frames.move_to_end(index)
                return frame
        frame = self._reader(index)  # takes milliseconds: not under the lock
        self.add(frame)
        return frame

    @property
    def nbytes(self) -> int:
        """Bytes that are kept now."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, index: object) -> bool:
        return index in self._frames

    def _forget(self, index: Index) -> None:
        frame = self._frames.pop(index, None)
        if frame is not None:
            self._bytes -= _size(frame)


def _size(frame: Frame) -> int:
    return frame.pixels.nbytes + _INFO_BYTES
