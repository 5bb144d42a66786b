"""Frames whose pixels follow from their index, and a writer that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.images.frame import Frame, FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.ndtiff import ImageWriter

# As pycromanager 1.0.2 delivers them.
ENGINE_TAGS = {
    "Camera": "Camera",
    "Height": 512,
    "Width": 512,
    "PixelType": None,
    "CameraChannelIndex": 0,
    "PixelSize_um": 0.65,
    "ElapsedTime-ms": 3.25,
    "Time": "2026-01-02 03:04:05 -",
    "Axes": {"time": 9},
    "XPosition_um_Intended": 101.5,
    "Exposure": 10.0,
}

MakeFrame = Callable[..., Frame]


def pixels_at(index: Index, shape: tuple[int, int] = (48, 64), dtype: Any = np.uint16) -> np.ndarray:
    """Pixels that no other index has."""
    seed = hash((index.time, index.position, index.channel, index.focus)) % (1 << 32)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.fixture
def make_frame() -> MakeFrame:
    """``make_frame(time, position, channel, focus, shape=, dtype=, **info)``."""

    def make(*index: int, shape: tuple[int, int] = (48, 64), dtype: Any = np.uint16, **more: Any) -> Frame:
        at = Index(*index)
        values = {
            "sizes": Sizes(10, 2, 1, 3),
            "channel_name": "DAPI",
            "position_name": "A",
            "planned": StagePosition(100.0, -5.0, None),
            "real": StagePosition(101.5, -5.25, 3.0),
            "exposure_ms": 10.0,
            "pixel_size_um": 0.65,
            "elapsed_ms": 1234.5,
            "camera": "Camera",
            "binning": 2,
            "bit_depth": 12,
            "exposure_end_s": 1.25,
            "arrived_s": 1.5,
            "tags": dict(ENGINE_TAGS),
        }
        info = FrameInfo(f"e{at.stem}", at, **(values | more))
        return Frame(info, pixels_at(at, shape, dtype))

    return make


@dataclass
class Told:
    """What a writer has told."""

    stored: list[tuple[Index, str]] = field(default_factory=list)
    answered: list[tuple[Index, str, tuple[str, ...], str]] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)


@dataclass
class Opened:
    """A writer and what it tells."""

    writer: ImageWriter
    told: Told


OpenWriter = Callable[..., Opened]


@pytest.fixture
def open_writer(tmp_path: Path) -> Iterator[OpenWriter]:
    """``open_writer(**options)`` on ``tmp_path / "images"``; closed at the end of the test."""
    opened: list[ImageWriter] = []

    def make(**options: Any) -> Opened:
        told = Told()
        settings: dict[str, Any] = {
            "on_stored": lambda info, file: told.stored.append((info.index, file)),
            "on_answered": lambda info, *rest: told.answered.append((info.index, *rest)),
            "on_error": told.errors.append,
        }
        settings |= options
        name = settings.pop("name", "run")
        writer = ImageWriter(tmp_path / "images", name, {"UserData": {"a": 1}}, **settings)
        opened.append(writer)
        return Opened(writer, told)

    yield make
    for writer in opened:
        writer.close(10.0)
