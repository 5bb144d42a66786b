"""TIFF stacks as recordings: OME-TIFF, ImageJ hyperstacks, and stacks whose axes the user names."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.errors import Finding, InvalidInput, StorageError, short_path
from inscoper_mm.images.frame import Frame
from inscoper_mm.images.index import Index
from inscoper_mm.images.numbering import number
from inscoper_mm.images.recording import Given, Recording, event_id
from inscoper_mm.images.tiff_facts import facts_of

ENDINGS = (".tif", ".tiff")
_AXES: Mapping[str, str] = {"T": "time", "P": "position", "C": "channel", "Z": "z"}
_PLANE = ("Y", "X")
_COLOUR = "S"
_LETTERS = (*_AXES, *_PLANE, _COLOUR)
_PART = re.compile(r"([A-Z])(\d*)")
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
    said = int((opened.imagej_metadata or {}).get("images", 1))
    if not planes or len(planes) < said:
        opened.close()
        many = f"it says that it has {said} images, and {len(planes)} can be read"
        message = f"the file is cut off: {many}." if planes else "the file has no image."
        raise InvalidInput(Finding(message, file=short_path(path)))
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
        except (OSError, EOFError, ValueError, IndexError) as error:
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
        letters, shape = _own_axes(path, series) if axes is None else _given_axes(path, series, axes)
        outer = [letter for letter in letters if letter in _AXES]
        self._inner = shape[len(outer) :]
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
            for place in np.ndindex(*shape[: len(outer)])
        ]

    def read(self, at: int) -> Any:
        """The plane number ``at``: (Y, X) or (Y, X, 3)."""
        series = self._series
        if series.dataoffset is not None:
            return self._read_at(series.dataoffset, at)
        page = series.pages[at]
        if page is None:
            raise ValueError("this image is missing in the file")
        pixels = page.asarray()
        if pixels.shape != self._inner:
            raise ValueError(f"it has the shape {pixels.shape} instead of {self._inner}")
        return pixels

    def _read_at(self, begin: int, at: int) -> Any:
        """Of images that are stored in one piece: also where the file names only the first page."""
        series = self._series
        dtype = np.dtype(series.dtype).newbyteorder(series.parent.byteorder)
        length = int(np.prod(self._inner)) * dtype.itemsize
        handle = series.parent.filehandle
        handle.seek(begin + at * length)
        data = handle.read(length)
        if len(data) < length:
            raise EOFError("the file ends before this image")
        return np.frombuffer(data, dtype).reshape(self._inner).astype(series.dtype)


def _own_axes(path: Path, series: Any) -> tuple[str, tuple[int, ...]]:
    """What each axis of a series is, as the file says it.

    Raises
    ------
    InvalidInput
        It does not.
    """
    letters, shape = str(series.axes), tuple(series.shape)
    if all(letter in _LETTERS for letter in letters):
        return letters, shape
    raise InvalidInput(
        Finding(
            f"the file does not say what its axes are (shape {shape}).",
            file=short_path(path),
            got=letters,
            allowed=_ALLOWED,
            cure=_cure(shape),
        )
    )


def _given_axes(path: Path, series: Any, axes: str) -> tuple[str, tuple[int, ...]]:
    """What each axis is, as the user says it: ``TZCYX``, or ``T5Z10YX`` for a file that has only one row of images.

    Raises
    ------
    InvalidInput
        The letters or sizes do not fit.
    """
    shape = tuple(series.shape)
    parts = _PART.findall(axes.upper())
    letters = "".join(letter for letter, _ in parts)
    if "".join(letter + digits for letter, digits in parts) != axes.upper() or not set(letters) <= set(
        _LETTERS
    ):
        raise InvalidInput(Finding("these are not axes.", field="--axes", got=axes, allowed=_ALLOWED))
    if len(set(letters)) < len(letters):
        raise InvalidInput(Finding("an axis is named twice.", field="--axes", got=axes, allowed=_ALLOWED))
    given = [int(digits) if digits else None for _, digits in parts]
    fitted = _fitted(letters, given, shape)
    if fitted is None:
        raise InvalidInput(
            Finding(
                f"these axes do not fit the file, which has the shape {shape}.",
                file=short_path(path),
                field="--axes",
                got=axes,
                cure=_cure(shape),
            )
        )
    return letters, fitted


def _fitted(letters: str, given: Sequence[int | None], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The sizes of the axes; None where they do not fit. One size that is not given follows from the others."""
    if len(letters) == len(shape):
        same = all(size in (None, own) for size, own in zip(given, shape, strict=True))
        return shape if same else None
    inner = 3 if letters.endswith("YXS") else 2
    outer, planes = list(given[:-inner]), int(np.prod(shape[:-inner]))
    if len(letters) < len(shape) or len(shape) < inner or outer.count(None) > 1:
        return None
    known = int(np.prod([size for size in outer if size is not None]))
    if None in outer and known:
        outer[outer.index(None)] = planes // known
    if int(np.prod([size or 0 for size in outer])) != planes:
        return None
    return (*(size or 0 for size in outer), *shape[-inner:])


def _cure(shape: Sequence[int]) -> str:
    """What the user could say."""
    colour = len(shape) > 3 and shape[-1] in (3, 4)
    inner = "YXS" if colour else "YX"
    outer = len(shape) - len(inner)
    examples = {1: f"T{inner}, Z{inner}, or T2Z{inner} for two stacks", 2: f"TC{inner}", 3: f"TZC{inner}"}
    return f"Name them, outermost first: --axes {examples.get(outer, 'TPZC' + inner)}."


__all__ = ["ENDINGS", "is_tiff", "open_tiff"]
