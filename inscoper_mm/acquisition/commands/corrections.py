"""Persistent corrections: what all later events of some stage positions carry."""

from __future__ import annotations

from collections.abc import Sequence

from inscoper_mm.acquisition.commands.base import Commander, Target, numbers
from inscoper_mm.acquisition.corrections import Offset, corrected
from inscoper_mm.errors import CommandRefused, did_you_mean, one_of
from inscoper_mm.records import Corrected

Positions = str | int | Sequence[str | int]


def correct_position(
    commander: Commander,
    dx_um: float = 0.0,
    dy_um: float = 0.0,
    dz_um: float = 0.0,
    positions: Positions = "current",
) -> dict[str, float]:
    """Shift all later events of ``positions`` ("current", "all", an index or name, or a list of these).

    Returns the total correction of the current position, in micrometres.
    """
    live, info = commander.live, commander.info
    asked = {"dx_um": dx_um, "dy_um": dy_um, "dz_um": dz_um, "positions": positions}
    offset = Offset()
    places: list[int] | None = None

    def decide() -> Target:
        nonlocal offset, places
        numbers("correctPosition", dx_um=dx_um, dy_um=dy_um, dz_um=dz_um)
        offset = Offset(float(dx_um), float(dy_um), float(dz_um))
        places = _places(commander, positions)
        _check(commander, offset, places)
        return {"x_um": offset.x_um, "y_um": offset.y_um, "z_um": offset.z_um}

    def act(target: Target) -> Target:
        live.corrections.add(offset, places, commander.script, info.event_id)
        for place in places if places is not None else [None]:
            total = live.corrections.total(info.index.position if place is None else place)
            live.stream.publish(
                Corrected(commander.script, info.event_id, place, offset.to_dict(), total.to_dict())
            )
        return target

    commander.command("correctPosition", asked, decide, act, holds_from="the next event submitted")
    return live.corrections.total(info.index.position).to_dict()


def _places(commander: Commander, positions: Positions) -> list[int] | None:
    if isinstance(positions, str) and positions == "all":
        return None
    if isinstance(positions, str | int):
        positions = [positions]
    return [_place(commander, position) for position in positions]


def _place(commander: Commander, position: str | int) -> int:
    names, count = commander.live.position_names, len(commander.live.planned)
    if position == "current":
        return commander.info.index.position
    if isinstance(position, str) and position in names:
        return names[position]
    if isinstance(position, int) and not isinstance(position, bool) and 0 <= position < count:
        return position
    near = did_you_mean(position, ["current", "all", *names])
    raise CommandRefused(
        f"correctPosition: there is no stage position {position!r}. Allowed: 'current', 'all', an index below "
        f"{count}, a name ({one_of(names)}), or a list of these."
        + (f" Did you mean '{near}'?" if near else "")
    )


def _check(commander: Commander, offset: Offset, places: list[int] | None) -> None:
    """Refuse a correction that would lead a planned event out of the limits."""
    live = commander.live
    for place in live.planned if places is None else places:
        total = live.corrections.total(place) + offset
        for planned in live.planned[place]:
            what = f"correctPosition by {commander.script}, stage position {place} corrected by {total.to_dict()}"
            live.limits.check(what, corrected(planned, total))


METHODS = (correct_position,)
