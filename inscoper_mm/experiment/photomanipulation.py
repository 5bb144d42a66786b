"""The section ``photomanipulation``: what scripts fire with, and how, unless they say otherwise."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from inscoper_mm.experiment.document import shown
from inscoper_mm.experiment.reader import Section, is_number

Fill = Literal["points", "raster", "contour"]
FILLS: tuple[Fill, ...] = ("points", "raster", "contour")
Per = Literal["point", "region"]

MOST_OVERLAP = 0.9
MOST_REPETITIONS = 100_000


@dataclass(frozen=True, slots=True)
class Photomanipulation:
    """The settings of ``fireOnDemand()``.

    Parameters
    ----------
    sub_device : str, optional
        What points the light: the id or alias of a galvo; None: the Core's galvo. A shutter or light lights the
        whole field.
    light : str, optional
        The shutter or light that is opened for a fire; None: the galvo has a light of its own.
    power_device : str, optional
        What sets the light's power.
    power : float, optional
        In the units of ``power_device``; None: as it is.
    mw_per_unit : float, optional
        Milliwatts at the specimen for each unit of power; with it doses are energies.
    duration_ms : float
        For each point, or for each whole region.
    per : {"point", "region"}
        What ``duration_ms`` is for; of a region it is shared out among its points.
    repetitions : int
        How often everything is fired.
    fill : {"points", "raster", "contour"}
        How an area is covered.
    spot_px, spot_um : float, optional
        Diameter of the spot, in pixels of the sensor without binning or on the specimen; None: as the calibration
        found it.
    overlap : float
        Of neighbouring spots, from 0 (just no gap) to 0.9.
    """

    sub_device: str | None = None
    light: str | None = None
    power_device: str | None = None
    power: float | None = None
    mw_per_unit: float | None = None
    duration_ms: float = 10.0
    per: Per = "point"
    repetitions: int = 1
    fill: Fill = "raster"
    spot_px: float | None = None
    spot_um: float | None = None
    overlap: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As in an experiment file, without what is left open."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def read_photomanipulation(section: Section) -> Photomanipulation | None:
    """The section ``photomanipulation``; None if the file has none."""
    if not section:
        return None
    default = Photomanipulation()
    settings = Photomanipulation(
        sub_device=section.text("sub_device"),
        light=section.text("light"),
        power_device=section.text("power_device"),
        power=_optional(section, "power", 0.0, above=False),
        mw_per_unit=_optional(section, "mw_per_unit"),
        duration_ms=section.number("duration_ms", default.duration_ms, 0.0, above=True),
        per=cast("Per", section.choice("per", ("point", "region"), default.per)),
        repetitions=section.integer("repetitions", default.repetitions, 1, MOST_REPETITIONS),
        fill=cast("Fill", section.choice("fill", FILLS, default.fill)),
        spot_px=_optional(section, "spot_px"),
        spot_um=_optional(section, "spot_um"),
        overlap=section.number("overlap", default.overlap, 0.0),
    )
    if settings.overlap > MOST_OVERLAP:
        section.refuse(
            "overlap", "is not possible.", got=f"{settings.overlap:g}", allowed=f"0 to {MOST_OVERLAP}"
        )
    if settings.spot_px is not None and settings.spot_um is not None:
        section.refuse("spot_um", "give 'spot_px' or 'spot_um', not both.")
    if settings.power is not None and settings.power_device is None:
        section.refuse("power", "needs 'power_device', the sub-device that sets it.")
    if settings.mw_per_unit is not None and settings.power_device is None:
        section.refuse("mw_per_unit", "needs 'power_device', whose units these are.")
    section.finish()
    return settings


def _optional(section: Section, key: str, low: float = 0.0, above: bool = True) -> float | None:
    value = section.value(key)
    if value is None:
        return None
    if not is_number(value) or not low <= value < math.inf or (above and value == low):
        allowed = f"a number above {low:g}" if above else f"a number of at least {low:g}"
        section.refuse(key, "is not a possible value.", got=shown(value), allowed=allowed)
        return None
    return float(value)
