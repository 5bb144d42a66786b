"""The words of the scripting contract: the one module that knows its camelCase keys and its hint names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import AXES, Index, Sizes

# Hints that are plain words: a script needs no import to use them.
IMAGES = "images"
CONTEXT = "IIS_CONTEXT"
SUB_DEVICE = "SubDeviceId"
CHANNEL = "channel"
HINT_WORDS = (IMAGES, CONTEXT, SUB_DEVICE, CHANNEL)

# A channel as a script gets it; the same names as in the experiment file.
CHANNEL_KEYS = ("group", "config", "exposure", "z_offset")

# What `getConstraints` says -> the field of `Constraints` that it comes from.
CONSTRAINT_KEYS: Mapping[str, str] = {
    "type": "type",
    "settable": "settable",
    "unit": "unit",
    "min": "minimum",
    "max": "maximum",
    "step": "step",
    "values": "values",
    "names": "names",
    "reason": "why_not",
    "focusDirection": "focus_direction",
}

DEFAULT_PROVIDER = "fetch_images"
PREPARE = "prepare"
DATA_PROCESSORS = "DATA_PROCESSORS"
METADATA = "metadata"
# The injected name under which scripts say when not to trust what they found.
WARNINGS = "WARNINGS"

# Axis of an Index -> key of a request and of the metadata.
INDEX_KEYS: Mapping[str, str] = {axis: f"{axis}Index" for axis in AXES}
SIZE_KEYS: Mapping[str, str] = {axis: f"{axis}Size" for axis in AXES}
AXIS_OF_KEY: Mapping[str, str] = {key: axis for axis, key in INDEX_KEYS.items()}


@dataclass(frozen=True, slots=True)
class Processor:
    """A data processor of the contract: its name and the form of its value."""

    name: str
    form: str
    text: str


PROCESSORS: Mapping[str, Processor] = {
    name: Processor(name, form, text)
    for names, form, text in (
        ("segmentation motion_mask", "labels", "labels or a mask (Y, X) of the image's size"),
        ("crop", "crops", 'a list of {"image", "bbox": [r0, c0, r1, c1], "label", "measurements": {...}}'),
        ("cells", "cells", "a mapping of columns of equal length, or a DataFrame, with label and kept"),
        ("tracks", "tracks", "a mapping of columns of equal length, or a DataFrame, with track_id and time"),
        ("timeseries", "series", "{name: number or [number, unit]}"),
        ("image motion_difference background normalized", "picture", "an array (Y, X)"),
        ("roi", "rois", 'a list of {"type", "points", "unit": "px" or "um"}'),
        ("focus", "focus", '{"z_um": [...], "score": [...], "best_z_um": number or None}'),
    )
    for name in names.split()
}


def twin_name(process: str) -> str:
    """The name of the asynchronous twin of the processing function ``process``."""
    return f"run_{process}_async"


def is_twin_name(name: str) -> bool:
    """Whether ``name`` is the name of a twin: never a processing function of its own."""
    return name.startswith("run_") and name.endswith("_async") and len(name) > len("run__async")


def request_of(index: Index) -> dict[str, int]:
    """``index`` as a provider's request."""
    return {key: getattr(index, axis) for axis, key in INDEX_KEYS.items()}


def index_of(values: Mapping[str, Any]) -> Index:
    """The indices among an image's metadata; ValueError where they are not all there."""
    found = {axis: values.get(key) for axis, key in INDEX_KEYS.items()}
    for axis, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"'{INDEX_KEYS[axis]}' must be a whole number. Got: {value!r}.")
    return Index(**{axis: int(value or 0) for axis, value in found.items()})


def size_along(sizes: Sizes, axis: str) -> int:
    """The number of images along ``axis``."""
    return int(getattr(sizes, axis))


def constraints_of(kind: str, constraints: object) -> dict[str, Any]:
    """What a script reads about a sub-device of ``kind``: plain values, without what says nothing."""
    said: dict[str, Any] = {"kind": kind}
    for key, name in CONSTRAINT_KEYS.items():
        value = getattr(constraints, name)
        if value not in (None, "", ()):
            said[key] = list(value) if isinstance(value, tuple) else value
    return said


def metadata_of(info: FrameInfo) -> dict[str, Any]:
    """What a script reads in ``Image.metadata``: a new dict of plain values.

    Positions without suffix are what the devices reported (None where there is no such device),
    ``...Planned_um`` what the plan asked for. ``pixelToStage_um`` is ``[a, b, tx, c, d, ty]``: the stage coordinate
    that is seen at a pixel is ``x = a col + b row + tx``, ``y = c col + d row + ty``, whatever the camera's
    orientation, region and binning; None where the pixel size is not known. An image that a script has added to the
    plan has ``addedBy``, the script, and ``label``, what that script calls it.
    """
    metadata: dict[str, Any] = request_of(info.index)
    metadata |= {key: size_along(info.sizes, axis) for axis, key in SIZE_KEYS.items()}
    metadata |= _places("Position_um", info.real) | _places("PositionPlanned_um", info.planned)
    if info.added_by is not None:
        metadata |= {"addedBy": info.added_by, "label": info.label}
    return metadata | {
        "channelName": info.channel_name,
        "positionName": info.position_name,
        "exposure_ms": info.exposure_ms,
        "pixelSize_um": info.pixel_size_um,
        "pixelToStage_um": list(info.pixel_to_stage_um) if info.pixel_to_stage_um else None,
        "elapsedTime_ms": info.elapsed_ms,
        "camera": info.camera or None,
        "binning": info.binning,
        "bitDepth": info.bit_depth,
    }


def _places(suffix: str, position: StagePosition) -> dict[str, float | None]:
    return {f"x{suffix}": position.x_um, f"y{suffix}": position.y_um, f"z{suffix}": position.z_um}
