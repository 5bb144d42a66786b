"""What an image provider answered, as the indices of the images to fetch."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from typing import Any, Literal

from inscoper_mm.errors import InscoperError, did_you_mean, one_of
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.images.index import AXES, Index, Sizes
from inscoper_mm.scripting.plain import show
from inscoper_mm.scripting.vocabulary import AXIS_OF_KEY, INDEX_KEYS, SIZE_KEYS, request_of, size_along

Fate = Literal["stored", "pending", "never", "unknown"]
Reason = Literal["form", "unknown_key", "not_integer", "outside", "pending", "never", "unknown"]

_FORM = "a list of dicts of indices, such as [{}] for the new image, or [] to skip the processing"


class RequestError(InscoperError):
    """An image provider asked for something that it cannot get; ``reason`` says which rule was broken."""

    def __init__(self, message: str, reason: Reason = "form") -> None:
        self.reason: Reason = reason
        super().__init__(message)


def resolve_requests(
    answer: Any,
    new: FrameInfo,
    fate: Callable[[Index], Fate],
    sizes: Callable[[Index], Sizes] | None = None,
) -> tuple[Index, ...]:
    """The images that a provider wants, in its order.

    Parameters
    ----------
    answer
        What the provider returned: None or a list of mappings from ``timeIndex positionIndex channelIndex
        focusIndex`` to integers. What a mapping leaves out is copied from the new image.
    new : FrameInfo
        The new image.
    fate : callable
        What became of the image at an index. The new image itself is not asked about.
    sizes : callable, optional
        The sizes that hold for an index, where they differ from the new image's (another channel's stack).

    Returns
    -------
    tuple of Index
        Empty if the processing function is not wanted.

    Raises
    ------
    RequestError
    """
    if answer is None:
        return ()
    if not isinstance(answer, list | tuple):
        raise RequestError(f"The provider must return {_FORM}. Got: {show(answer)}.")
    return tuple(_resolve(number, request, new, fate, sizes) for number, request in enumerate(answer))


def _resolve(
    number: int,
    request: Any,
    new: FrameInfo,
    fate: Callable[[Index], Fate],
    sizes: Callable[[Index], Sizes] | None,
) -> Index:
    place = f"Request {number} of the provider"
    if not isinstance(request, Mapping):
        raise RequestError(f"{place} must be a dict of indices, such as {{}}. Got: {show(request)}.")
    values = {axis: getattr(new.index, axis) for axis in AXES}
    for key, value in request.items():
        values[_axis(place, key)] = _integer(place, key, value)
    index = Index(**values)
    _inside(place, index, new, sizes)
    if index != new.index:
        _refuse_fate(place, index, fate(index))
    return index


def _axis(place: str, key: Any) -> str:
    if key not in AXIS_OF_KEY:
        near = did_you_mean(key, AXIS_OF_KEY)
        hint = f" Did you mean '{near}'?" if near else ""
        message = f"{place} has the unknown key {key!r}. Allowed: {one_of(AXIS_OF_KEY)}.{hint}"
        raise RequestError(message, "unknown_key")
    return AXIS_OF_KEY[key]


def _integer(place: str, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise RequestError(f"{place}: {key} must be an integer. Got: {show(value)}.", "not_integer")
    return int(value)


def _inside(place: str, index: Index, new: FrameInfo, sizes: Callable[[Index], Sizes] | None) -> None:
    # Another channel's stack, and images that a script has added, have sizes of their own.
    own = sizes(index) if sizes else new.sizes
    for axis, key in INDEX_KEYS.items():
        value = getattr(index, axis)
        size = size_along(own, axis)
        if not 0 <= value < size:
            cure = (
                " Count back from the size: a negative index is not counted from the end."
                if value < 0
                else ""
            )
            raise RequestError(
                f"{place}: {key} is outside its size. Got: {value}. Allowed: 0 to {size - 1} "
                f"({SIZE_KEYS[axis]} is {size} for this image).{cure}",
                "outside",
            )


def _refuse_fate(place: str, index: Index, fate: Fate) -> None:
    if fate != "stored":
        raise RequestError(f"{place}: the image {request_of(index)} {_FATES[fate]}", fate)


_FATES: Mapping[str, str] = {
    "pending": "is not acquired yet. Return [] until it is.",
    "never": "was never acquired: its event was skipped or failed.",
    "unknown": "is not in the plan.",
}
