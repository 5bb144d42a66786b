"""A captured image with everything that is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.images.index import Index, Sizes

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class StagePosition:
    """Stage and focus positions in micrometres; None where there is no such device or plan."""

    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """What is known about one image, without its pixels.

    ``planned`` is what the plan asked for (without corrections), ``real`` what the devices reported at the exposure.
    ``exposure_end_s`` and ``arrived_s`` are seconds on the run's clock.

    Where the image's pixels lie: ``pixel_to_stage_um`` is ``(a, b, tx, c, d, ty)`` with ``x_um = a col + b row + tx``
    and ``y_um = c col + d row + ty``, or None, with the reason in ``geometry_problem``. ``roi_px`` is (x, y, width,
    height) of what was read of the sensor, ``sensor_px`` is (height, width) of the whole of it, both in image pixels.

    ``elapsed_ms``, ``binning`` and ``bit_depth`` are None, and ``camera`` is empty, only in replays of data that do not
    say.

    ``home_um`` is the planned focus of the stage position, without what a z-stack and the channel add.

    Of an image that a script has added: ``added_by`` is the script, ``label`` what it calls the image, ``belongs_to``
    the (time, position) whose corrections the image carries, ``objective`` the one that it was asked for with.
    """

    event_id: str
    index: Index
    sizes: Sizes
    channel_name: str | None = None
    position_name: str | None = None
    planned: StagePosition = StagePosition()
    real: StagePosition = StagePosition()
    exposure_ms: float | None = None
    pixel_size_um: float | None = None
    elapsed_ms: float | None = 0.0
    camera: str = ""
    binning: int | None = 1
    bit_depth: int | None = 16
    exposure_end_s: float = 0.0
    arrived_s: float = 0.0
    pixel_to_stage_um: tuple[float, float, float, float, float, float] | None = None
    roi_px: tuple[int, int, int, int] | None = None
    sensor_px: tuple[int, int] | None = None
    geometry_problem: str = ""
    home_um: float | None = None
    belongs_to: tuple[int, int] | None = None
    added_by: str | None = None
    label: str | None = None
    objective: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def corrected_as(self) -> tuple[int, int]:
        """(time, position) whose corrections the image carries."""
        return self.belongs_to or (self.index.time, self.index.position)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One captured image: ``pixels`` (Y, X), read-only, and its ``info``; colour (Y, X, 3) only in replays."""

    info: FrameInfo
    pixels: Pixels

    def __post_init__(self) -> None:
        self.pixels.flags.writeable = False

    @property
    def index(self) -> Index:
        """The image's indices."""
        return self.info.index
