"""What is seen in each channel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """How a channel shows the cells.

    ``nucleus``, ``body``, ``granules`` and ``marker`` are the weights of what is stained, ``electrons`` the
    signal of a typical cell and ``haze_electrons`` that of the background, per pixel of 20 ms without
    binning in the centre of the field. ``transmitted``: light that goes through the cells instead, whose weights are
    thicknesses.
    """

    nucleus: float = 0.0
    body: float = 0.0
    granules: float = 0.0
    marker: float = 0.0
    electrons: float = 110.0
    haze_electrons: float = 130.0
    transmitted: bool = False

    @property
    def shows_nuclei(self) -> bool:
        """Whether the nuclei are the objects of this channel, not the bodies."""
        return self.nucleus > self.body and not self.transmitted


# The first entry whose name is a part of the preset's name, in any case, counts.
LOOKS: dict[str, Look] = {
    "dapi": Look(nucleus=1.0, body=0.03),
    "hoechst": Look(nucleus=1.0, body=0.03),
    "fitc": Look(body=1.0, electrons=140, haze_electrons=290),
    "gfp": Look(body=1.0, electrons=140, haze_electrons=290),
    "rhodamine": Look(granules=1.0, body=0.25, haze_electrons=90.0),
    "cy5": Look(marker=1.0, haze_electrons=60.0),
}
TRANSMITTED = Look(body=0.8, granules=0.1, nucleus=0.25, transmitted=True)
_OTHER = Look(body=0.8, nucleus=0.2)


def look_of(channel: str | None) -> Look:
    """What a channel of this name shows; every unknown name, and no channel at all, shows the bodies."""
    name = (channel or "").lower()
    return next((look for key, look in LOOKS.items() if key in name), _OTHER)
