"""TIFF stacks as recordings: OME-TIFF, ImageJ hyperstacks, and stacks whose axes the user names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.errors import Finding, InvalidInput, StorageError, short_path
from inscoper_mm.images.frame import Frame
from inscoper_mm.images.index import Index
from inscoper_mm.images.numbering import number
from inscoper_mm.images.recording import Given, Recording, event_id
from inscoper_mm.images.tiff_facts import Facts, facts_of

ENDINGS = (".tif", ".tiff")
_AXES: Mapping[str, str] = {"T": "time", "P": "position", "C": "channel", "Z": "z"}
_PLANE = ("Y", "X")
_COLOUR = "S"
_ALLOWED = "T (time), P (position), C (channel), Z (slice), Y, X, and S (colour)"


def is_tiff(path: Path) -> bool:
    """Whether ``path`` is a TIFF file by its name."""
    return path.suffix.lower() in ENDINGS


def open_tiff(path: Path, given: Given) -> Recording:
    """A TIFF file with one or more series of images; each further series is a further stage position.

    Raises
    ------
    InvalidInput
        It is no TIFF file, it does not say which axis is which, or its images are of a strange form.
    """
    import tifffile

    try:
        opened = tifffile.TiffFile(path)
        stacks = [_Stack(path, series, given.axes) for series in opened.series]
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise InvalidInput(Finding(f"the file cannot be read: {error}.", file=short_path(path))) from error
    except InvalidInput:
        opened.close()
        raise
    facts = facts_of(opened)
    planes = [
        {**axes, **({"position": at} if len(stacks) > 1 else {})}
        for at, stack in enumerate(stacks)
        for axes in stack.planes
    ]
    if not planes:
        opened.close()
        raise InvalidInput(Finding("the file has no image.", file=short_path(path)))
    places = [(stack, at) for stack in stacks for at in range(len(stack.planes))]
    order = sorted(range(len(planes)), key=lambda row: _as_acquired(planes[row]))
    numbered = number([planes[row] for row in order])
    row_of = {index: row for row, index in enumerate(numbered.order)}
    lock = threading.Lock()  # one file handle

    def read(index: Index) -> Frame:
        row = row_of[index]
        stack, at = places[order[row]]
        try:
            with lock:
                pixels = stack.read(at)
        except (OSError, ValueError, IndexError) as error:
            raise StorageError(f"{index} cannot be read: {error}") from error
        sizes = numbered.sizes[index.position, index.channel]
        return Frame(given.completed(facts.info(event_id(row), index, sizes)), pixels)

    notes = facts.notes
    return Recording(path, facts.kind, numbered.order, read, numbered.sizes, notes, close=opened.close)


def _as_acquired(plane: Mapping[str, int | str]) -> tuple[int, ...]:
    """Time points first, then positions, channels and slices: a stack does not say more."""
    return tuple(int(plane.get(axis, 0)) for axis in ("time", "position", "channel", "z"))


class _Stack:
    """One series of a TIFF file: the axes of its planes, and a reader."""

    def __init__(self, path: Path, series: Any, axes: str | None) -> None:
        self._series = series
        letters = _letters(path, series, axes)
        shape = tuple(series.shape)
        outer = [letter for letter in letters if letter in _AXES]
        sizes = [shape[letters.index(letter)] for letter in outer]
        self._outer = sizes
        self._inner = tuple(shape[len(outer) :])
        if letters[len(outer) :] not in ("YX", "YXS"):
            raise InvalidInput(
                Finding(
                    "the images of this file are not stored one after the other.",
                    file=short_path(path),
                    got=letters,
                    allowed="Y and X as the last axes, and S after them for colour",
                )
            )
        self.planes: list[dict[str, int | str]] = [
            {_AXES[letter]: int(at) for letter, at in zip(outer, place, strict=True)}
            for place in np.ndindex(*sizes)
        ]

    def read(self, at: int) -> Any:
        """The plane number ``at``: (Y, X) or (Y, X, 3)."""
        series = self._series
        if series.dataoffset is not None:
            # Stored in one piece: also where the file names only the first page.
            count = int(np.prod(self._inner))
            dtype = np.dtype(series.parent.byteorder + series.dtype.char)
            handle = series.parent.filehandle
            handle.seek(series.dataoffset + at * count * dtype.itemsize)
            data = handle.read(count * dtype.itemsize)
            if len(data) < count * dtype.itemsize:
                raise EOFError("the file ends before this image")
            return np.frombuffer(data, dtype).reshape(self._inner).astype(series.dtype)
        page = series.pages[at]
        if page is None:
            raise ValueError("this image is missing in the file")
        pixels = page.asarray()
        if pixels.shape != self._inner:
            raise ValueError(f"it has the shape {pixels.shape} instead of {self._inner}")
        return pixels


def _letters(path: Path, series: Any, axes: str | None) -> str:
    """What each axis of a series is.

    Raises
    ------
    InvalidInput
        The file does not say it, and the user's letters do not fit.
    """
    shape = tuple(series.shape)
    if axes is None:
        letters = str(series.axes)
        strange = [letter for letter in letters if letter not in (*_AXES, *_PLANE, _COLOUR)]
        if not strange:
            return letters
        raise InvalidInput(
            Finding(
                f"the file does not say what its axes are (shape {shape}).",
                file=short_path(path),
                got=letters,
                allowed=_ALLOWED,
                cure=f"Name them, outermost first: --axes {_example(shape)}",
            )
        )
    letters = axes.upper()
    wrong = [letter for letter in letters if letter not in (*_AXES, *_PLANE, _COLOUR)]
    if wrong or len(set(letters)) < len(letters):
        message = "these are not axes." if wrong else "an axis is named twice."
        raise InvalidInput(Finding(message, field="--axes", got=axes, allowed=_ALLOWED))
    if len(letters) != len(shape):
        raise InvalidInput(
            Finding(
                f"the file has {len(shape)} axes (shape {shape}), and {len(letters)} are named.",
                file=short_path(path),
                field="--axes",
                got=axes,
                cure=f"For example --axes {_example(shape)}",
            )
        )
    return letters


def _example(shape: Sequence[int]) -> str:
    colour = len(shape) > 3 and shape[-1] in (3, 4)
    outer = len(shape) - (3 if colour else 2)
    return {0: "", 1: "T", 2: "TC", 3: "TZC"}.get(outer, "TPZC") + ("YXS" if colour else "YX")


Reader = Callable[[int], Any]
__all__ = ["ENDINGS", "Facts", "is_tiff", "open_tiff"]
