"""Crops of single cells on disk: OME-TIFF pictures with their physical size, and a JSON file beside each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.images.index import Index
from inscoper_mm.images.jsonable import json_safe, json_text
from inscoper_mm.output.files import publish, unfinished, write_whole

_AXES_UM = ("x_um", "y_um", "z_um")


def crop_stem(index: Index, number: int) -> str:
    """The name of a crop's files without their endings."""
    return f"{index.stem}_cell{number:04d}"


def write_crops(
    folder: Path, info: FrameInfo, crops: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> None:
    """Write the crops of an image.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    info : FrameInfo
        The image that was new when the cells were found.
    crops : sequence of mapping
        Of the form ``crop``.
    about : mapping
        What each JSON file says first.

    Raises
    ------
    OSError
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, crop in zip(_numbers(crops), crops, strict=True):
        stem = crop_stem(info.index, number)
        path = folder / f"{stem}.tif"
        _write_picture(path, stem, info, crop)
        write_whole(
            folder / f"{stem}.json",
            json_text({**about, **_about_crop(info, crop), "image": path.name}) + "\n",
        )


def _write_picture(path: Path, name: str, info: FrameInfo, crop: Mapping[str, Any]) -> None:
    import tifffile

    pixels = np.asarray(crop["image"])
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8)
    elif pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    per_cm = 1e4 / info.pixel_size_um if info.pixel_size_um else 1.0
    tifffile.imwrite(
        unfinished(path),
        pixels,
        ome=True,
        photometric="minisblack",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER" if info.pixel_size_um else "NONE",
        metadata=_ome(name, info, pixels, crop),
    )
    publish(path)


def _ome(name: str, info: FrameInfo, pixels: npt.NDArray[Any], crop: Mapping[str, Any]) -> dict[str, Any]:
    """What the OME-XML says besides the shape."""
    channels = [str(channel) for channel in crop.get("channels") or [info.channel_name or "image"]]
    said: dict[str, Any] = {"axes": "CYX" if pixels.ndim == 3 else "YX", "Name": name}
    said["Channel"] = {"Name": channels}
    if info.pixel_size_um:
        for axis in "XY":
            said |= {f"PhysicalSize{axis}": info.pixel_size_um, f"PhysicalSize{axis}Unit": "µm"}
    place = _middle_um(info, crop["bbox"])
    if place:
        said["Plane"] = {
            key: [value] * len(channels)
            for axis, um in zip("XYZ", place, strict=False)
            if um is not None
            for key, value in ((f"Position{axis}", um), (f"Position{axis}Unit", "µm"))
        }
    return said


def _middle_um(info: FrameInfo, box: Sequence[int]) -> tuple[float | None, ...]:
    """The stage coordinates of the middle of a crop; empty where they are not known."""
    if info.pixel_to_stage_um is None:
        return ()
    a, b, tx, c, d, ty = info.pixel_to_stage_um
    row, col = (box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2
    return a * col + b * row + tx, c * col + d * row + ty, info.real.z_um


def _about_crop(info: FrameInfo, crop: Mapping[str, Any]) -> dict[str, Any]:
    measurements = crop.get("measurements", {})
    at = {name: getattr(info.real, name) for name in _AXES_UM}
    planned = {name: getattr(info.planned, name) for name in _AXES_UM}
    stage = {name: planned[name] if value is None else value for name, value in at.items()}
    said = {
        "label": json_safe(crop.get("label")),
        "bbox": json_safe(crop.get("bbox")),
        "measurements": json_safe(measurements),
        "pixel_size_um": info.pixel_size_um,
        "stage": stage,
        "channel_name": info.channel_name,
        "position_name": info.position_name,
        "elapsed_s": None if info.elapsed_ms is None else info.elapsed_ms / 1000,
    }
    if {"x_um", "y_um"} <= set(measurements):
        said["cell"] = {name: measurements[name] for name in ("x_um", "y_um")} | {"z_um": stage["z_um"]}
    return said | {
        key: json_safe(crop[key]) for key in ("channels", "indices", "contour", "about") if key in crop
    }


def _numbers(crops: Iterable[Mapping[str, Any]]) -> list[int]:
    """The labels, so that a crop is found in the label image; 1, 2, ... where these do not tell crops apart."""
    labels = [crop.get("label") for crop in crops]
    usable = all(isinstance(label, int | np.integer) and label > 0 for label in labels)
    if usable and len(set(labels)) == len(labels):
        return [int(label) for label in labels if label is not None]
    return list(range(1, len(labels) + 1))
