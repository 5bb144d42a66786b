"""An image's tags: what is written next to its pixels, and read back.

The keys that NDTiff users know from Micro-Manager stay at the top (``Axes``, ``Exposure``, ``PixelSize_um``,
``XPosition_um_Intended`` ...), the values that scripts inject lie beside them, and everything of ours is under one
key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.jsonable import json_safe, json_text

OURS = "inscoper_mm"
SIDE_FILE = "results/metadata.jsonl"

Where = Literal["image", "side_file"]

# Fields of FrameInfo that are JSON values already and keep their names under our key.
_PLAIN = (
    "channel_name",
    "position_name",
    "exposure_ms",
    "pixel_size_um",
    "elapsed_ms",
    "camera",
    "binning",
    "bit_depth",
    "exposure_end_s",
    "arrived_s",
    "geometry_problem",
    "home_um",
    "added_by",
    "label",
    "objective",
)
# Lists in JSON; images of earlier runs have none of them.
_TUPLES = ("pixel_to_stage_um", "roi_px", "sensor_px", "belongs_to")


def to_tags(info: FrameInfo, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The tags of an image, JSON values only.

    Parameters
    ----------
    info : FrameInfo
    extra : mapping, optional
        More top-level tags, for example ``Width``; they win over the engine's.

    Returns
    -------
    dict
        ``from_tags`` makes ``info`` of it again.
    """
    engine: dict[str, Any] = json_safe(info.tags)
    # What the engine was told to reach includes corrections, which the plan does not: it stays.
    top = _intended(info) | engine | _known(info) | json_safe(extra or {})
    ours: dict[str, Any] = {
        "event": info.event_id,
        "index": info.index.to_dict(),
        "sizes": info.sizes.to_dict(),
        "planned_um": _to_um(info.planned),
        "real_um": _to_um(info.real),
    }
    ours |= {name: getattr(info, name) for name in (*_PLAIN, *_TUPLES)}
    ours["engine_keys"] = list(engine)
    changed = {key: value for key, value in engine.items() if top[key] != value or key == OURS}
    if changed:
        ours["engine_values"] = changed
    tags: dict[str, Any] = top | {OURS: json_safe(ours)}
    return tags


def from_tags(tags: Mapping[str, Any]) -> FrameInfo:
    """The image's info; ``tags`` may have gained injected values since ``to_tags``.

    Raises
    ------
    KeyError
        If the tags are not ours.
    """
    ours = tags[OURS]
    values: dict[str, Any] = {name: ours[name] for name in _PLAIN if name in ours}
    values |= {name: tuple(ours[name]) for name in _TUPLES if ours.get(name) is not None}
    changed = ours.get("engine_values", {})
    return FrameInfo(
        event_id=ours["event"],
        index=Index(**ours["index"]),
        sizes=Sizes(**ours["sizes"]),
        planned=_from_um(ours["planned_um"]),
        real=_from_um(ours["real_um"]),
        tags={key: changed.get(key, tags.get(key)) for key in ours["engine_keys"]},
        **values,
    )


@dataclass(frozen=True, slots=True)
class Merged:
    """Tags with a script's answer: the new ``text``, the names it has there, and ``where`` it went."""

    text: str
    keys: tuple[str, ...]
    where: Where


def merge_answer(tags: dict[str, Any], script: str, values: Mapping[str, Any], most_bytes: int) -> Merged:
    """Put a script's values among an image's tags.

    Parameters
    ----------
    tags : dict
        As read from the data set; changed in place.
    script : str
    values : mapping
        Each becomes a top-level tag of its name. A name that the image or another script has already used is
        kept under ``<script>.<name>``; the same script's earlier answer to this image is replaced.
    most_bytes : int
        Room for this answer as JSON. If it is larger, its smallest values are taken while they fit, and the tags
        say which names are in the side file only.
    """
    ours = tags.setdefault(OURS, {})
    answers = ours.setdefault("answers", {})
    for key in answers.pop(script, ()):
        tags.pop(key, None)
    only_beside = ours.pop("only_in_side_file", {})
    only_beside.pop(script, None)
    ours.pop("side_file", None)

    named = {(str(name) if name not in tags else f"{script}.{name}"): value for name, value in values.items()}
    keys = tuple(named)
    text = json_text(named)
    if len(text) > most_bytes:
        named, only_beside[script] = _smallest(named, most_bytes)
        text = json_text(named)
    answers[script] = list(named)
    if only_beside:
        ours |= {"side_file": SIDE_FILE, "only_in_side_file": only_beside}
    # The answer became text once, to know its size; it is spliced in, since large ones take milliseconds.
    base = json_text(tags)
    whole = f"{base[:-1]},{text[1:]}" if named else base
    return Merged(whole, keys, "side_file" if script in only_beside else "image")


def _smallest(values: Mapping[str, Any], most_bytes: int) -> tuple[dict[str, Any], list[str]]:
    size = {key: len(json_text({key: value})) for key, value in values.items()}
    kept: set[str] = set()
    for key in sorted(size, key=size.__getitem__):
        most_bytes -= size[key]
        if most_bytes < 0:
            break
        kept.add(key)
    return {k: v for k, v in values.items() if k in kept}, [k for k in values if k not in kept]


def _known(info: FrameInfo) -> dict[str, Any]:
    values: dict[str, Any] = {
        "Axes": info.index.ndtiff,
        "Channel": info.channel_name,
        "PositionName": info.position_name,
        "PixelSize_um": info.pixel_size_um,
        "PixelSizeAffine": _affine_text(info),
        "ROI": "-".join(str(side) for side in info.roi_px) if info.roi_px else None,
        "Exposure": info.exposure_ms,
        "ElapsedTime-ms": info.elapsed_ms,
        "Camera": info.camera or None,
        "Binning": info.binning,
        "BitDepth": info.bit_depth,
        "XPosition_um": info.real.x_um,
        "YPosition_um": info.real.y_um,
        "ZPosition_um": info.real.z_um,
    }
    return {key: json_safe(value) for key, value in values.items() if value is not None}


def _affine_text(info: FrameInfo) -> str | None:
    """The affine as Micro-Manager writes it: six numbers, the translation always 0."""
    six = info.pixel_to_stage_um
    return ";".join(str(value) for value in (six[0], six[1], 0.0, six[3], six[4], 0.0)) if six else None


def _intended(info: FrameInfo) -> dict[str, Any]:
    values = {f"{axis.upper()}Position_um_Intended": value for axis, value in _to_um(info.planned).items()}
    return {key: value for key, value in values.items() if value is not None}


def _to_um(position: StagePosition) -> dict[str, float | None]:
    return {"x": position.x_um, "y": position.y_um, "z": position.z_um}


def _from_um(values: Mapping[str, float | None]) -> StagePosition:
    return StagePosition(values["x"], values["y"], values["z"])
