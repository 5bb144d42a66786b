"""From the axes that foreign data sets have to the four indices that scripts rely on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inscoper_mm.images.index import Index, Sizes

Axes = Mapping[str, int | str]

# What programs call the axes, in small letters.
_NAMES = {
    "time": ("time", "t", "frame"),
    "position": ("position", "p"),
    "channel": ("channel", "c"),
    "focus": ("z", "slice", "focus"),
}
_AXIS_OF = {name: axis for axis, names in _NAMES.items() for name in names}


class _Place(NamedTuple):
    time: int
    position: int
    channel: int
    height: int


@dataclass(frozen=True, slots=True)
class Numbered:
    """The images of a data set with their indices.

    Parameters
    ----------
    order : tuple of Index
        One for each image, in the given order.
    sizes : mapping
        (position, channel) -> sizes.
    channels, positions : mapping of int to str
        Names that the axes themselves have.
    """

    order: tuple[Index, ...]
    sizes: Mapping[tuple[int, int], Sizes]
    channels: Mapping[int, str]
    positions: Mapping[int, str]


def number(planes: Sequence[Axes]) -> Numbered:
    """Give each image its indices.

    Numbers of time points and channels stay as they are, names are numbered as they come. A slice's index counts within
    its own stack. Every other axis that varies, the rows and columns of a grid for example, becomes part of the
    position, numbered in the order of acquisition.

    Parameters
    ----------
    planes : sequence of mappings
        The axes of each image (name -> number or name), in acquisition order.
    """
    columns = _columns(planes)
    count = len(planes)
    times = _numbers(columns.get("time", [0] * count))
    channels = _numbers(columns.get("channel", [0] * count))
    heights = _numbers(columns.get("focus", [0] * count))
    positions, position_names = _positions(planes, columns, count)
    channel_names = {
        at: value
        for at, value in zip(channels, columns.get("channel", ()), strict=False)
        if isinstance(value, str)
    }
    places = [_Place(*four) for four in zip(times, positions, channels, heights, strict=True)]
    return _numbered(places, channel_names, position_names)


def _numbered(
    places: Sequence[_Place], channels: Mapping[int, str], positions: Mapping[int, str]
) -> Numbered:
    stacks: dict[tuple[int, int], set[int]] = defaultdict(set)
    for place in places:
        stacks[place.position, place.channel].add(place.height)
    slots = {key: {height: at for at, height in enumerate(sorted(found))} for key, found in stacks.items()}
    order = tuple(
        Index(each.time, each.position, each.channel, slots[each.position, each.channel][each.height])
        for each in places
    )
    largest = [max((index[axis] for index in places), default=0) + 1 for axis in range(3)]
    sizes = {key: Sizes(largest[0], largest[1], largest[2], len(found)) for key, found in slots.items()}
    return Numbered(order, sizes, channels, positions)


def _columns(planes: Sequence[Axes]) -> dict[str, list[int | str]]:
    """The values of the four axes, under our names."""
    found: dict[str, list[int | str]] = {}
    for name in dict.fromkeys(name for plane in planes for name in plane):
        axis = _AXIS_OF.get(name.lower())
        if axis is not None and axis not in found:
            found[axis] = [plane.get(name, 0) for plane in planes]
    return found


def _numbers(values: Sequence[int | str]) -> list[int]:
    """Numbers as they are, from 0 where some are negative; names in the order in which they come."""
    if all(isinstance(value, int) for value in values):
        whole = [int(value) for value in values]
        lowest = min(0, *whole) if whole else 0
        return [value - lowest for value in whole]
    return _ranks(values)


def _ranks(values: Iterable[object]) -> list[int]:
    ranks: dict[object, int] = {}
    return [ranks.setdefault(value, len(ranks)) for value in values]


def _positions(
    planes: Sequence[Axes], columns: Mapping[str, Sequence[int | str]], count: int
) -> tuple[list[int], dict[int, str]]:
    own = columns.get("position", [0] * count)
    others = [
        name for name in dict.fromkeys(name for plane in planes for name in plane) if _varies(name, planes)
    ]
    if not others:
        numbers = _numbers(own)
        return numbers, {at: value for at, value in zip(numbers, own, strict=True) if isinstance(value, str)}
    tiles = [(at, *(plane.get(name, 0) for name in others)) for at, plane in zip(own, planes, strict=True)]
    ranks = _ranks(tiles)
    names = {}
    for rank, (at, *values) in zip(ranks, tiles, strict=True):
        parts = [f"{name} {value}" for name, value in zip(others, values, strict=True)]
        names[rank] = " ".join(([str(at)] if isinstance(at, str) else []) + parts)
    return ranks, names


def _varies(name: str, planes: Sequence[Axes]) -> bool:
    """Whether an axis that is none of the four has more than one value."""
    return name.lower() not in _AXIS_OF and len({plane.get(name, 0) for plane in planes}) > 1
