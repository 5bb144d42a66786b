"""What a TIFF file says about its images: OME-XML, ImageJ's metadata, or nothing."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.mm_tags import NO_GEOMETRY

# One of these in micrometres; other units are not taken for micrometres.
_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "\\u00B5m": 1.0, "nm": 1e-3, "mm": 1e3}
_MS = {"s": 1e3, "sec": 1e3, "ms": 1.0, "min": 6e4, "h": 3.6e6}


@dataclass(frozen=True, slots=True)
class _Plane:
    elapsed_ms: float | None = None
    exposure_ms: float | None = None
    place: StagePosition = field(default_factory=StagePosition)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the images of a file.

    ``planes`` has by (position, time, channel, slice) what is known about single images; ``z_step_um`` and
    ``interval_ms`` are distances as planned.
    """

    kind: str
    channels: Mapping[tuple[int, int], str] = field(default_factory=dict)
    positions: Mapping[int, str] = field(default_factory=dict)
    pixel_size_um: Mapping[int, float] = field(default_factory=dict)
    planes: Mapping[tuple[int, int, int, int], _Plane] = field(default_factory=dict)
    z_step_um: float | None = None
    interval_ms: float | None = None
    notes: tuple[str, ...] = ()

    def info(self, event: str, index: Index, sizes: Sizes) -> FrameInfo:
        """The info of the image at ``index``."""
        place = index.position if index.position in self.pixel_size_um else 0
        plane = self.planes.get((index.position, index.time, index.channel, index.focus), _Plane())
        planned_z = None if self.z_step_um is None else index.focus * self.z_step_um
        elapsed_ms = plane.elapsed_ms
        if elapsed_ms is None and self.interval_ms is not None:
            elapsed_ms = index.time * self.interval_ms
        return FrameInfo(
            event_id=event,
            index=index,
            sizes=sizes,
            channel_name=self.channels.get((index.position, index.channel)),
            position_name=self.positions.get(index.position),
            planned=StagePosition(None, None, planned_z),
            real=plane.place,
            exposure_ms=plane.exposure_ms,
            pixel_size_um=self.pixel_size_um.get(place),
            elapsed_ms=elapsed_ms,
            binning=None,
            bit_depth=None,
            geometry_problem=NO_GEOMETRY,
        )


def facts_of(opened: Any) -> Facts:
    """What an open ``tifffile.TiffFile`` says."""
    if opened.is_ome and opened.ome_metadata:
        return _ome(opened.ome_metadata)
    if opened.is_imagej:
        return _imagej(opened)
    return Facts("TIFF stack")


def _imagej(opened: Any) -> Facts:
    said = opened.imagej_metadata or {}
    scale = _UM.get(str(said.get("unit", "")).strip())
    size = _resolution_um(opened.pages[0], scale)
    interval_s = _positive(said.get("finterval"))
    step = _positive(said.get("spacing"))
    step_um = step * scale if step is not None and scale is not None else None
    notes = () if step_um is None else ("The file knows the distance of its slices, not their heights.",)
    return Facts(
        "ImageJ stack",
        pixel_size_um={} if size is None else {0: size},
        z_step_um=step_um,
        interval_ms=None if interval_s is None else interval_s * 1e3,
        notes=notes,
    )


def _resolution_um(page: Any, scale: float | None) -> float | None:
    """The side of a pixel, where ImageJ's resolution is in a unit of length."""
    tag = page.tags.get("XResolution")
    if tag is None or scale is None:
        return None
    pixels, units = tag.value
    return _positive(units / pixels * scale) if pixels else None


def _ome(text: str) -> Facts:
    root = ElementTree.fromstring(text)
    channels: dict[tuple[int, int], str] = {}
    positions: dict[int, str] = {}
    sizes: dict[int, float] = {}
    planes: dict[tuple[int, int, int, int], _Plane] = {}
    step_um: float | None = None
    for at, image in enumerate(_children(root, "Image")):
        pixels = next(_children(image, "Pixels"), None)
        if pixels is None:
            continue
        for number, channel in enumerate(_children(pixels, "Channel")):
            if channel.get("Name"):
                channels[at, number] = str(channel.get("Name"))
        size = _length(pixels, "PhysicalSizeX")
        if size is not None:
            sizes[at] = size
        step_um = step_um or _length(pixels, "PhysicalSizeZ")
        label = next(_children(image, "StageLabel"), None)
        name = (label.get("Name") if label is not None else None) or image.get("Name")
        if name:
            positions[at] = name
        for plane in _children(pixels, "Plane"):
            place = [int(plane.get(f"The{axis}", 0)) for axis in "TCZ"]
            planes[at, place[0], place[1], place[2]] = _plane(plane)
    return Facts("OME-TIFF", channels, positions, sizes, planes, step_um)


def _plane(plane: ElementTree.Element) -> _Plane:
    exposure, delta = (_scaled(plane, name, _MS, "s") for name in ("ExposureTime", "DeltaT"))
    place = StagePosition(*(_length(plane, f"Position{axis}", signed=True) for axis in "XYZ"))
    return _Plane(delta, exposure, place)


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """The children called ``name``, in any version of the schema."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _length(element: ElementTree.Element, name: str, signed: bool = False) -> float | None:
    value = _scaled(element, name, _UM, "µm")
    return value if signed or value is None else _positive(value)


def _scaled(
    element: ElementTree.Element, name: str, units: Mapping[str, float], default: str
) -> float | None:
    """An attribute with its unit; None in a unit that is not known, such as OME's "reference frame"."""
    text, factor = element.get(name), units.get(element.get(f"{name}Unit", default))
    try:
        value = float(text) if text is not None and factor is not None else math.nan
    except ValueError:
        return None
    return value * (factor or 1.0) if math.isfinite(value) else None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
