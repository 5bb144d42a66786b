"""What a linker knows of the frames before: some numbers for each track that is alive."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class LinkState:
    """What has to be known of the frames before: a row per track that is alive, and a few numbers.

    Parameters
    ----------
    track_id, unseen : (N,) int64
        The tracks, and for how many frames each has been lost.
    position, velocity : (N, D) float
        As last seen, in the coordinates of the last frame; velocities per second, without the drift.
    seen_s : (N,) float
        When it was last seen.
    area, intensity : (N,) float
        As last seen; NaN where unknown.
    drift : (D,) float
        Since the first frame.
    steps : (2,) float
        Sums that tell how steps go on.
    share : float
        The share of the cells that are usually found where they are expected; 0 before it is known.
    next_id, frames : int
        The id of the next new track, and how many frames have been seen.
    time_s : float
        Of the last frame.
    """

    track_id: Array
    position: Array
    velocity: Array
    unseen: Array
    seen_s: Array
    area: Array
    intensity: Array
    drift: Array
    steps: Array = field(default_factory=lambda: np.zeros(2))
    share: float = 0.0
    next_id: int = 1
    frames: int = 0
    time_s: float = -math.inf

    @staticmethod
    def empty(dimensions: int = 2) -> LinkState:
        """Before the first frame."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        places = np.zeros((0, dimensions))
        return LinkState(whole, places, places, whole, real, real, real, np.zeros(dimensions))

    def to_arrays(self) -> dict[str, Array]:
        """Everything, as arrays for ``numpy.savez``."""
        return {each.name: np.asarray(getattr(self, each.name)) for each in fields(self)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> LinkState:
        """What ``to_arrays`` gave."""
        values: dict[str, Any] = {each.name: np.array(arrays[each.name]) for each in fields(LinkState)}
        values |= {name: int(values[name]) for name in ("next_id", "frames")}
        values |= {name: float(values[name]) for name in ("share", "time_s")}
        return LinkState(**values)
