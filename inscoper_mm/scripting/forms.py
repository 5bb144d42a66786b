"""The forms of the data processors' values: each is checked and brought into its plain form."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import did_you_mean, one_of
from inscoper_mm.scripting.plain import NotPlain, plain, show

Shape = tuple[int, ...]
Form = Callable[[Any, str, Collection[Shape]], Any]

ROI_TYPES = ("point", "line", "rectangle", "circle", "ellipse", "polygon", "mask")
ROI_UNITS = ("px", "um")
# What a crop may say besides its picture, box, label and measurements; any JSON value.
_ABOUT_A_CROP = ("channels", "contour", "indices", "about")


class WrongForm(ValueError):
    """A value does not have the form of its data processor."""


def labels(value: Any, place: str, shapes: Collection[Shape]) -> npt.NDArray[Any]:
    """Labels or a mask (Y, X), integer or bool, of the size of an image of the call."""
    array = _array(value, place)
    if array.dtype.kind not in "iub":
        raise WrongForm(f"{place} must be of integers or bool. Got: {array.dtype}. Use .astype(np.int32).")
    plane = {tuple(shape[:2]) for shape in shapes}
    if array.ndim != 2 or (plane and array.shape not in plane):
        raise WrongForm(
            f"{place} must be (Y, X) of the image's size. Got: {array.shape}. Allowed: {one_of(plane)}."
        )
    return array


def picture(value: Any, place: str, shapes: Collection[Shape]) -> npt.NDArray[Any]:
    """A picture (Y, X) of numbers."""
    array = _array(value, place)
    if array.dtype.kind not in "iubf" or array.ndim != 2:
        raise WrongForm(f"{place} must be an array (Y, X) of numbers. Got: {show(array)}.")
    return array


def crops(value: Any, place: str, shapes: Collection[Shape]) -> list[dict[str, Any]]:
    """A list of crops: image, bounding box, label, measurements."""
    return [_crop(item, f"{place}[{n}]") for n, item in enumerate(_items(value, place))]


def _crop(value: Any, place: str) -> dict[str, Any]:
    _keys(value, place, ("image", "bbox"), ("label", "measurements", *_ABOUT_A_CROP))
    box = _integers(value["bbox"], f"{place}['bbox']", 4)
    if box[0] >= box[2] or box[1] >= box[3]:
        raise WrongForm(f"{place}['bbox'] must be [r0, c0, r1, c1] with r0 < r1 and c0 < c1. Got: {box}.")
    crop = dict(value) | {"image": _pictures(value, place), "bbox": box}
    if value.get("label") is not None:
        crop["label"] = _integers([value["label"]], f"{place}['label']", 1)[0]
    measurements = value.get("measurements", {})
    if not isinstance(measurements, Mapping):
        raise WrongForm(f"{place}['measurements'] must be a dict. Got: {show(measurements)}.")
    # A cell may be too small for one of its measures; that is no reason to lose the others.
    crop["measurements"] = plain(measurements, f"{place}['measurements']", nan_is_none=True)
    for key in _ABOUT_A_CROP:
        if key in value:
            crop[key] = plain(value[key], f"{place}['{key}']", nan_is_none=True)
    return crop


def _pictures(value: Mapping[str, Any], place: str) -> npt.NDArray[Any]:
    """The picture of a crop, or those of all its channels."""
    image, channels = value["image"], value.get("channels")
    if not (isinstance(image, np.ndarray) and image.ndim == 3):
        return picture(image, f"{place}['image']", ())
    if not isinstance(channels, list | tuple) or len(channels) != len(image):
        raise WrongForm(
            f"{place}['image'] of several channels needs their names, {place}['channels']. "
            f"Got: {show(image)}, {show(channels)}."
        )
    return np.stack([picture(each, f"{place}['image']", ()) for each in image])


def cells(value: Any, place: str, shapes: Collection[Shape]) -> dict[str, npt.NDArray[Any]]:
    """Columns of equal length, a row for each cell of the image, from a mapping or a DataFrame."""
    return _columns(value, place, ("label", "kept"))


def tracks(value: Any, place: str, shapes: Collection[Shape]) -> dict[str, npt.NDArray[Any]]:
    """Columns of equal length, from a mapping or a DataFrame."""
    return _columns(value, place, ("track_id", "time"))


def _columns(value: Any, place: str, needed: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        value = {name: value[name] for name in value.columns}
    _keys(value, place, needed, None)
    columns = {str(name): np.asarray(column) for name, column in value.items()}
    lengths = {name: len(column) if column.ndim == 1 else -1 for name, column in columns.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        raise WrongForm(f"The columns of {place} must be one-dimensional and equally long. Got: {lengths}.")
    return columns


def series(value: Any, place: str, shapes: Collection[Shape]) -> dict[str, Any]:
    """Numbers by name, each alone or with its unit; None and NaN are gaps."""
    _keys(value, place, (), None)
    return {str(name): _point(item, f"{place}[{name!r}]") for name, item in value.items()}


def _point(value: Any, place: str) -> Any:
    pair = value if isinstance(value, list | tuple) else None
    if pair is not None and not (len(pair) == 2 and isinstance(pair[1], str)):
        raise WrongForm(f"{place} must be a number or [number, unit]. Got: {show(value)}.")
    number = plain(pair[0] if pair is not None else value, place, nan_is_none=True)
    if isinstance(number, bool) or not isinstance(number, int | float | None):
        raise WrongForm(f"{place} must be a number or [number, unit]. Got: {show(value)}.")
    return [number, pair[1]] if pair is not None else number


def rois(value: Any, place: str, shapes: Collection[Shape]) -> list[dict[str, Any]]:
    """A list of regions: type, points, unit."""
    return [_roi(item, f"{place}[{n}]") for n, item in enumerate(_items(value, place))]


def _roi(value: Any, place: str) -> dict[str, Any]:
    _keys(value, place, ("type", "points"), None)
    roi = dict(value) | {
        "type": _word(value["type"], f"{place}['type']", ROI_TYPES),
        "unit": _word(value.get("unit", "px"), f"{place}['unit']", ROI_UNITS),
    }
    if roi["type"] == "mask":
        return roi | {"points": picture(value["points"], f"{place}['points']", ())}
    points = np.asarray(value["points"])
    if points.dtype.kind not in "iuf" or points.ndim != 2 or points.shape[1:] != (2,):
        raise WrongForm(
            f"{place}['points'] must be a list of pairs: (row, col) in px, (x, y) in um. Got: {points!r}."
        )
    return roi | {"points": plain(points, f"{place}['points']")}


def focus(value: Any, place: str, shapes: Collection[Shape]) -> dict[str, Any]:
    """A focus curve: heights, scores, and the best height or None."""
    _keys(value, place, ("z_um", "score", "best_z_um"), None)
    curve = {key: _numbers(value[key], f"{place}[{key!r}]") for key in ("z_um", "score")}
    if len(curve["z_um"]) != len(curve["score"]):
        raise WrongForm(
            f"{place} must have as many scores as heights. Got: { {k: len(v) for k, v in curve.items()} }."
        )
    best = value["best_z_um"]
    if best is not None:
        best = _numbers([best], f"{place}['best_z_um']")[0]
    return dict(value) | curve | {"best_z_um": best}


FORMS: Mapping[str, Form] = {
    "labels": labels,
    "picture": picture,
    "crops": crops,
    "cells": cells,
    "tracks": tracks,
    "series": series,
    "rois": rois,
    "focus": focus,
}


def _array(value: Any, place: str) -> npt.NDArray[Any]:
    if not isinstance(value, np.ndarray):
        raise WrongForm(f"{place} must be an array (Y, X). Got: {show(value)}.")
    return np.ascontiguousarray(value) if value.ndim else value


def _items(value: Any, place: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise WrongForm(f"{place} must be a list of dicts. Got: {show(value)}.")
    return value


def _keys(value: Any, place: str, needed: tuple[str, ...], more: tuple[str, ...] | None) -> None:
    """Refuse what is no mapping, lacks a key, or (``more`` given) has another."""
    if not isinstance(value, Mapping):
        raise WrongForm(f"{place} must be a dict. Got: {show(value)}.")
    missing = [key for key in needed if key not in value]
    if missing:
        near = did_you_mean(missing[0], [key for key in value if key not in needed])
        hint = f" '{near}' looks like it." if near else ""
        raise WrongForm(f"{place} needs '{missing[0]}'. Got: {one_of(value)}.{hint}")
    for key in value:
        if not isinstance(key, str):
            raise WrongForm(f"{place} has a key that is no text. Got: {show(key)}.")
        if more is not None and key not in (*needed, *more):
            near = did_you_mean(key, (*needed, *more))
            hint = f" Did you mean '{near}'?" if near else ""
            raise WrongForm(
                f"{place} has the unknown key '{key}'. Allowed: {one_of((*needed, *more))}.{hint}"
            )


def _word(value: Any, place: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        near = did_you_mean(value, allowed)
        hint = f" Did you mean '{near}'?" if near else ""
        raise WrongForm(f"{place} is unknown. Got: {show(value)}. Allowed: {one_of(allowed)}.{hint}")
    return str(value)


def _integers(value: Any, place: str, count: int) -> list[int]:
    items = list(value) if isinstance(value, list | tuple | np.ndarray) else []
    whole = [item for item in items if not isinstance(item, bool) and isinstance(item, numbers.Integral)]
    if len(items) != count or len(whole) != count:
        raise WrongForm(f"{place} must be {count} integer{'s' if count > 1 else ''}. Got: {show(value)}.")
    return [int(item) for item in whole]


def _numbers(value: Any, place: str) -> list[float]:
    array = np.asarray(value)
    if array.ndim != 1 or (array.dtype.kind not in "iuf" and array.size):
        raise WrongForm(f"{place} must be a list of numbers. Got: {show(value)}.")
    try:
        return [float(item) for item in plain(array, place)]
    except NotPlain as error:
        raise WrongForm(str(error)) from None
