"""Where an image stands in the plan: indices and sizes, as the script, the data set and the file names use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AXES = ("time", "position", "channel", "focus")

# NDTiff and pycromanager call the focus axis z; the other three names are the same.
_NDTIFF_AXES = {"time": "time", "position": "position", "channel": "channel", "focus": "z"}


@dataclass(frozen=True, slots=True, order=True)
class Index:
    """The four indices of an image, each from 0.

    ``focus`` counts within the image's own z-stack: an image of a channel that takes no stack has focus 0.
    """

    time: int = 0
    position: int = 0
    channel: int = 0
    focus: int = 0

    @property
    def ndtiff(self) -> dict[str, int]:
        """The axes of this image in the NDTiff data set."""
        return {_NDTIFF_AXES[axis]: getattr(self, axis) for axis in AXES}

    @classmethod
    def from_ndtiff(cls, axes: Mapping[str, int]) -> Index:
        """The index of an image from its axes in the NDTiff data set; a missing axis counts as 0."""
        return cls(**{axis: axes.get(name, 0) for axis, name in _NDTIFF_AXES.items()})

    def to_dict(self) -> dict[str, int]:
        """The indices by axis, as records have them."""
        return {axis: getattr(self, axis) for axis in AXES}

    @property
    def stem(self) -> str:
        """The index as used in file names, for example ``t000_p002_c0_z011``."""
        return f"t{self.time:03d}_p{self.position:03d}_c{self.channel}_z{self.focus:03d}"

    def __str__(self) -> str:
        return self.stem


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many images the plan has along each axis, as seen from one image (focus: its own stack)."""

    time: int = 1
    position: int = 1
    channel: int = 1
    focus: int = 1

    def to_dict(self) -> dict[str, int]:
        """The sizes by axis, as records have them."""
        return {axis: getattr(self, axis) for axis in AXES}
