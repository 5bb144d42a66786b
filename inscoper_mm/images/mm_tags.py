"""What Micro-Manager writes about an image, in the versions that differ, as the image's info."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes

NO_GEOMETRY = "The recorded image does not say how its pixels lie on the stage."

# The names that different versions use; the first that is there counts.
_REAL = ("{}Position_um", "{}PositionUm")
_PLANNED = ("{}Position_um_Intended",)
_EXPOSURE = ("Exposure", "Exposure-ms")
_PIXEL_SIZE = ("PixelSize_um", "PixelSizeUm")
_ELAPSED = ("ElapsedTime-ms",)
_CAMERA = ("Camera", "Core-Camera")


def info_of_tags(
    tags: Mapping[str, Any],
    event: str,
    index: Index,
    sizes: Sizes,
    channel: str | None = None,
    position: str | None = None,
) -> FrameInfo:
    """The info of an image, with None for what its tags do not say.

    Parameters
    ----------
    tags : mapping
    event : str
        The id that it gets.
    index, sizes : Index, Sizes
    channel, position : str, optional
        Names from the data set's axes; they are more reliable than the tags.
    """
    pixel_size = _number(tags, _PIXEL_SIZE)
    binning = re.match(r"\s*(\d+)", _text(tags, ("Binning",)) or "")
    depth = _number(tags, ("BitDepth",))
    real, planned = _place(tags, _REAL), _place(tags, _PLANNED)
    return FrameInfo(
        event_id=event,
        index=index,
        sizes=sizes,
        channel_name=channel or _text(tags, ("Channel",)),
        position_name=position or _text(tags, ("PositionName",)),
        planned=planned,
        real=real,
        exposure_ms=_number(tags, _EXPOSURE),
        # 0 means that it was not known.
        pixel_size_um=pixel_size or None,
        elapsed_ms=_number(tags, _ELAPSED),
        camera=_text(tags, _CAMERA) or "",
        binning=int(binning[1]) if binning else None,
        bit_depth=int(depth) if depth else None,
        roi_px=_roi(tags.get("ROI")),
        geometry_problem=NO_GEOMETRY,
        home_um=planned.z_um,
        tags=tags,
    )


def _place(tags: Mapping[str, Any], names: tuple[str, ...]) -> StagePosition:
    return StagePosition(*(_number(tags, tuple(name.format(axis) for name in names)) for axis in "XYZ"))


def _value(tags: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of ``names``; Micro-Manager 2 wraps some values in a mapping."""
    for name in names:
        value = tags.get(name)
        if isinstance(value, Mapping):
            value = value.get("PropVal")
        if value is not None:
            return value
    return None


def _number(tags: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    try:
        number = float(_value(tags, names))
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(tags: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    value = _value(tags, names)
    return None if value is None else str(value).strip() or None


def _roi(value: Any) -> tuple[int, int, int, int] | None:
    """``x-y-width-height``."""
    found = re.fullmatch(r"(\d+)-(\d+)-(\d+)-(\d+)", value) if isinstance(value, str) else None
    if found is None:
        return None
    x, y, width, height = (int(side) for side in found.groups())
    return x, y, width, height
