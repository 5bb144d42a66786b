"""Recorded images as a replay takes them: in the order of their acquisition, each read when it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inscoper_mm.images.frame import Frame, FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Recording:
    """A data set that can be replayed.

    Parameters
    ----------
    path : Path
    kind : str
        What it is, for people.
    order : sequence of Index
        Its images in the order of their acquisition.
    read : callable
        ``read(index)`` brings an image with everything that the data set says about it; any thread. Raises
        ``StorageError`` for an image that cannot be read.
    sizes : mapping
        (position, channel) -> the sizes that hold there. Images of this package's own runs say them themselves.
    notes : tuple of str
        What a user should know about the data set.
    own : bool
        Whether it was written by a run of this package.
    close : callable
    """

    path: Path
    kind: str
    order: Sequence[Index]
    read: Callable[[Index], Frame]
    sizes: Mapping[tuple[int, int], Sizes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    own: bool = False
    close: Callable[[], object] = _nothing


@dataclass(frozen=True, slots=True)
class Given:
    """What the user says about a data set that does not say it itself.

    Parameters
    ----------
    axes : str, optional
        The axes of a TIFF stack, outermost first, such as ``TZCYX``; with sizes, such as ``T5ZYX``, where the file
        has only one row of images.
    pixel_size_um : float, optional
    z_step_um : float, optional
        The distance of the slices of a stack; the first slice is at 0.
    interval_s : float, optional
        The time between time points.
    planned_as_real : bool
        Take the planned position for the real one where the devices' own was not recorded.
    """

    axes: str | None = None
    pixel_size_um: float | None = None
    z_step_um: float | None = None
    interval_s: float | None = None
    planned_as_real: bool = False

    def completed(self, info: FrameInfo) -> FrameInfo:
        """``info`` with what was given; a recorded value that was given, too, is replaced."""
        changes: dict[str, Any] = {}
        if self.pixel_size_um is not None:
            changes["pixel_size_um"] = self.pixel_size_um
        if self.interval_s is not None:
            changes["elapsed_ms"] = info.index.time * self.interval_s * 1e3
        real, planned = info.real, info.planned
        if self.planned_as_real:
            real = StagePosition(
                planned.x_um if real.x_um is None else real.x_um,
                planned.y_um if real.y_um is None else real.y_um,
                planned.z_um if real.z_um is None else real.z_um,
            )
        if self.z_step_um is not None:
            z_um = info.index.focus * self.z_step_um
            real, planned = replace(real, z_um=z_um), replace(planned, z_um=z_um)
        if (real, planned) != (info.real, info.planned):
            changes |= {"real": real, "planned": planned}
        return replace(info, **changes) if changes else info


def event_id(number: int) -> str:
    """The id of the image ``number``, counted from 0, of a data set that has no ids."""
    return f"e{number + 1:06d}"
