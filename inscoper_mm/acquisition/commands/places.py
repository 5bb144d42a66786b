"""Stage positions as scripts name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inscoper_mm.acquisition.commands.base import Commander, numbers
from inscoper_mm.errors import CommandRefused, did_you_mean, one_of
from inscoper_mm.images.frame import StagePosition

_KEYS = ("x_um", "y_um", "z_um")


@dataclass(frozen=True, slots=True)
class Place:
    """Where added images are taken: before corrections, and (time, position) whose corrections hold there."""

    planned: StagePosition
    belongs_to: tuple[int, int]


def place_of(commander: Commander, position: Any) -> Place:
    """The place that a script means.

    Parameters
    ----------
    commander : Commander
    position
        None or "current" (where the image of this call was planned), the index or name of a planned position, or
        coordinates: ``{"x_um", "y_um", "z_um"}`` or (x, y) or (x, y, z), in which z may be left out.

    Raises
    ------
    CommandRefused, LimitRefused
    """
    info = commander.info
    here = StagePosition(info.planned.x_um, info.planned.y_um, info.home_um)
    if position is None or position == "current":
        return Place(here, info.corrected_as)
    if isinstance(position, Mapping):
        return _coordinates(commander, here, _named(position))
    if isinstance(position, Sequence) and not isinstance(position, str):
        if len(position) not in (2, 3):
            raise CommandRefused(
                f"acquire: coordinates are (x_um, y_um) or (x_um, y_um, z_um). Got: {position!r}. Nothing was added."
            )
        return _coordinates(commander, here, dict(zip(_KEYS, position, strict=False)))
    number = position_index(commander, "acquire", position)
    return Place(commander.live.schedule.site(number), (info.corrected_as[0], number))


def position_index(commander: Commander, name: str, position: Any) -> int:
    """The index of a planned position, given by index, name or "current".

    Raises
    ------
    CommandRefused
        Naming the method ``name``.
    """
    names, count = commander.live.position_names, len(commander.live.planned)
    if position == "current":
        return commander.info.corrected_as[1]
    if isinstance(position, str) and position in names:
        return names[position]
    if isinstance(position, int) and not isinstance(position, bool) and 0 <= position < count:
        return position
    near = did_you_mean(position, ["current", *names])
    raise CommandRefused(
        f"{name}: there is no stage position {position!r}. Allowed: 'current', an index below {count}, or a name "
        f"({one_of(names)})." + (f" Did you mean '{near}'?" if near else "") + " Nothing was changed."
    )


def _named(position: Mapping[str, Any]) -> dict[str, Any]:
    for key in position:
        if key not in _KEYS:
            near = did_you_mean(key, _KEYS)
            hint = f" Did you mean '{near}'?" if near else ""
            raise CommandRefused(
                f"acquire: a position has no {key!r}. Allowed: {one_of(_KEYS)}.{hint} Nothing was added."
            )
    return {key: value for key, value in position.items() if value is not None}


def _coordinates(commander: Commander, here: StagePosition, given: dict[str, Any]) -> Place:
    """Coordinates as the script sees them now: what later corrections add counts, what was added before does not."""
    numbers("acquire", **given)
    live, info = commander.live, commander.info
    time, place = info.corrected_as
    total = live.corrections.total(place, time)
    values: dict[str, float | None] = {}
    for key, offset in zip(_KEYS, (total.x_um, total.y_um, total.z_um), strict=True):
        if getattr(here, key) is None and key in given:
            device = "focus drive" if key == "z_um" else "XY stage"
            raise CommandRefused(f"acquire: the configuration has no {device} for {key}. Nothing was added.")
        values[key] = float(given[key]) - offset if key in given else getattr(here, key)
    return Place(StagePosition(**values), info.corrected_as)
