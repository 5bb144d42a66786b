"""Micro-Manager's file sets as recordings: one TIFF for each image, and a ``metadata.txt`` for each stage position."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inscoper_mm.errors import Finding, InvalidInput, StorageError, short_path
from inscoper_mm.images.frame import Frame
from inscoper_mm.images.index import Index
from inscoper_mm.images.mm_tags import info_of_tags
from inscoper_mm.images.numbering import number
from inscoper_mm.images.recording import Given, Recording, event_id

METADATA = "metadata.txt"
# The names of the images: of version 2, and of version 1.4 (time, channel, slice).
_NEW_PART = re.compile(r"_(channel|position|time|z)(\d+)")
_OLD_NAME = re.compile(r"img_(\d+)_(.*)_(\d+)\.tiff?")
_OLD_AXES = {
    "time": ("FrameIndex", "Frame"),
    "position": ("PositionIndex",),
    "channel": ("ChannelIndex",),
    "z": ("SliceIndex", "Slice"),
}


@dataclass(frozen=True, slots=True)
class _Plane:
    file: Path
    axes: Mapping[str, int | str]
    tags: Mapping[str, Any]
    folder: int

    @property
    def elapsed_ms(self) -> float | None:
        value = self.tags.get("ElapsedTime-ms")
        return float(value) if isinstance(value, int | float) else None


def is_file_set(folder: Path) -> bool:
    """Whether ``folder`` is a file set, or has one for each stage position."""
    return bool(_position_folders(folder))


def open_file_set(folder: Path, given: Given) -> Recording:
    """A file set of Micro-Manager 1.4 or 2.0.

    Raises
    ------
    InvalidInput
        There is no image in it.
    """
    notes: list[str] = []
    planes = [
        plane
        for at, place in enumerate(_position_folders(folder))
        for plane in _planes(place, at, notes)
        if plane.file.is_file()
    ]
    if not planes:
        raise InvalidInput(Finding("the file set has no image.", file=short_path(folder)))
    planes = _in_order(planes, notes)
    numbered = number([plane.axes for plane in planes])
    row_of = {index: row for row, index in enumerate(numbered.order)}

    def read(index: Index) -> Frame:
        row = row_of[index]
        pixels, own_tags = _read(planes[row].file)
        info = info_of_tags(
            {**own_tags, **planes[row].tags},
            event_id(row),
            index,
            numbered.sizes[index.position, index.channel],
            numbered.channels.get(index.channel),
            numbered.positions.get(index.position),
        )
        return Frame(given.completed(info), pixels)

    return Recording(
        folder, "Micro-Manager file set", numbered.order, read, numbered.sizes, tuple(dict.fromkeys(notes))
    )


def _position_folders(folder: Path) -> list[Path]:
    if (folder / METADATA).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{METADATA}"))


def _planes(folder: Path, at: int, notes: list[str]) -> Iterator[_Plane]:
    """The images that ``metadata.txt`` names; where it was cut off, those whose names say what they are."""
    content = _content(folder / METADATA, notes)
    found = list(_named(content, folder, at))
    if found:
        yield from found
        return
    for file in sorted(folder.glob("img_*.tif*")):
        axes = _axes_of_name(file.name)
        if axes is not None:
            yield _Plane(file, axes, {}, at)


def _content(file: Path, notes: list[str]) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8", errors="replace")
    # While a set is being written, and after that was interrupted, the last brace is missing.
    for end in ("", "}"):
        try:
            content = json.loads(text.rstrip().removesuffix(",") + end)
        except ValueError:
            continue
        if end:
            notes.append(f"{METADATA} has no end: the acquisition may have been interrupted.")
        return content if isinstance(content, dict) else {}
    notes.append(f"{METADATA} cannot be read as far as its end: images are known by their names.")
    return {}


def _named(content: Mapping[str, Any], folder: Path, at: int) -> Iterator[_Plane]:
    for key, value in content.items():
        if not isinstance(value, dict):
            continue
        if key.startswith("Coords-"):
            name = key.removeprefix("Coords-")
            tags = content.get(f"Metadata-{name}", {})
            axes = {axis: place for axis, place in value.items() if isinstance(place, int | str)}
            yield _Plane(_file(folder, name), axes, tags if isinstance(tags, dict) else {}, at)
        elif key.startswith("FrameKey"):
            file = value.get("FileName") or value.get("Filename")
            if isinstance(file, str):
                yield _Plane(_file(folder, file), _old_axes(value), value, at)


def _file(folder: Path, name: str) -> Path:
    """Names have the position's folder before them in some versions."""
    return folder / re.split(r"[/\\]", name)[-1]


def _old_axes(tags: Mapping[str, Any]) -> dict[str, int | str]:
    axes: dict[str, int | str] = {}
    for axis, names in _OLD_AXES.items():
        found = next((tags[name] for name in names if isinstance(tags.get(name), int)), None)
        if found is not None:
            axes[axis] = found
    return axes


def _axes_of_name(name: str) -> dict[str, int | str] | None:
    new = {axis: int(digits) for axis, digits in _NEW_PART.findall(name)}
    if new:
        return {**new}
    old = _OLD_NAME.fullmatch(name)
    return {"time": int(old[1]), "channel": old[2], "z": int(old[3])} if old else None


def _in_order(planes: list[_Plane], notes: list[str]) -> list[_Plane]:
    """As acquired: by the times of the images, else time points first, then positions, channels and slices."""
    if len({plane.folder for plane in planes}) > 1 and not any("position" in plane.axes for plane in planes):
        planes = [replace(plane, axes={**plane.axes, "position": plane.file.parent.name}) for plane in planes]
    times = [plane.elapsed_ms for plane in planes]
    if all(time is not None for time in times) and len(set(times)) == len(times):
        return sorted(planes, key=lambda plane: plane.elapsed_ms or 0.0)
    if len(planes) > 1:
        notes.append(
            "The times of the images are not known: they come by time point, position, channel, slice."
        )

    def key(plane: _Plane) -> tuple[tuple[bool, int | str], ...]:
        values = [plane.axes.get(axis, 0) for axis in ("time", "position", "channel", "z")]
        return tuple((isinstance(value, str), value) for value in values)

    return sorted(planes, key=key)


def _read(file: Path) -> tuple[Any, dict[str, Any]]:
    """Pixels, and what Micro-Manager has written into the file itself."""
    import tifffile

    try:
        with tifffile.TiffFile(file) as opened:
            pixels = opened.pages[0].asarray()
            text = (opened.imagej_metadata or {}).get("Info", "")
            try:
                tags = json.loads(text) if text else {}
            except ValueError:
                tags = {}
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise StorageError(f"{short_path(file)} cannot be read: {error}") from error
    return pixels, tags if isinstance(tags, dict) else {}
