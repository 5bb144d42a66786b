"""Persistent corrections: what all later events of some stage positions carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inscoper_mm.acquisition.commands.base import Commander, numbers
from inscoper_mm.acquisition.corrections import Decision, Offset, corrected
from inscoper_mm.errors import CommandRefused, LimitRefused, did_you_mean, one_of
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.records import Corrected

Positions = str | int | Sequence[str | int]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What will be done: the correction after the rules, for these positions (None: all)."""

    decision: Decision
    places: tuple[int, ...] | None


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
    live = commander.live
    here_time, here = commander.info.corrected_as
    asked = {"dx_um": dx_um, "dy_um": dy_um, "dz_um": dz_um, "positions": positions}
    planned: _Plan | None = None

    def decide() -> dict[str, float]:
        nonlocal planned
        numbers("correctPosition", dx_um=dx_um, dy_um=dy_um, dz_um=dz_um)
        decision = live.corrections.decide(Offset(float(dx_um), float(dy_um), float(dz_um)))
        live.focus_lock.refuse_correction("correctPosition", decision.offset.z_um)
        planned = _Plan(decision, _places(commander, positions))
        _check(commander, planned)
        return decision.offset.to_dict()

    def act(target: dict[str, float]) -> dict[str, float]:
        assert planned is not None
        _apply(commander, planned)
        return live.corrections.total(here, here_time).to_dict()

    holds_from = _holds_from(commander, dx_um, dy_um, dz_um)
    return dict(commander.command("correctPosition", asked, decide, act, holds_from=holds_from))


def _holds_from(commander: Commander, dx_um: float, dy_um: float, dz_um: float) -> str | None:
    """For the audit; the record ``correction_applied`` names the event. None for what adds nothing."""
    try:
        numbers("correctPosition", dx_um=dx_um, dy_um=dy_um, dz_um=dz_um)
    except LimitRefused:
        return None
    asked = Offset(float(dx_um), float(dy_um), float(dz_um))
    return "the next event submitted" if commander.live.corrections.decide(asked).offset else None


def _apply(commander: Commander, planned: _Plan) -> None:
    live, info, decision = commander.live, commander.info, planned.decision
    time, here = info.corrected_as
    live.corrections.add(decision, planned.places, commander.script, info.event_id, time)
    for place in planned.places if planned.places is not None else [None]:
        total = live.corrections.total(here if place is None else place, time)
        live.stream.publish(
            Corrected(
                commander.script,
                info.event_id,
                place,
                decision.offset.to_dict(),
                total.to_dict(),
                decision.asked.to_dict(),
                "; ".join(decision.notes) or None,
            )
        )


def _places(commander: Commander, positions: Positions) -> tuple[int, ...] | None:
    if isinstance(positions, str) and positions == "all":
        return None
    if isinstance(positions, str | int) or not isinstance(positions, Sequence):
        positions = [positions]
    if not positions:
        raise CommandRefused(
            f"correctPosition: positions names none. Got: {positions!r}. {_allowed(commander)} Nothing was changed."
        )
    # Named twice, a position is corrected once.
    return tuple(dict.fromkeys(_place(commander, position) for position in positions))


def _place(commander: Commander, position: object) -> int:
    names, count = commander.live.position_names, len(commander.live.planned)
    if position == "current":
        return commander.info.corrected_as[1]
    if isinstance(position, str) and position in names:
        return names[position]
    if isinstance(position, int) and not isinstance(position, bool) and 0 <= position < count:
        return position
    near = did_you_mean(position, ["current", "all", *names])
    raise CommandRefused(
        f"correctPosition: there is no stage position {position!r}. {_allowed(commander)}"
        + (f" Did you mean '{near}'?" if near else "")
        + " Nothing was changed."
    )


def _allowed(commander: Commander) -> str:
    live = commander.live
    return (
        f"Allowed: 'current', 'all', an index below {len(live.planned)}, a name ({one_of(live.position_names)}), "
        "or a list of these."
    )


def _check(commander: Commander, planned: _Plan) -> None:
    """Refuse a correction that is too long in all, for which there is no device, or that leads out of the limits."""
    live, offset = commander.live, planned.decision.offset
    axes: list[Axis] = ["x_um", "y_um"] if offset.stage_um else []
    live.limits.check_axes(
        f"correctPosition by {commander.script}", commander.script, [*axes, "z_um"] if offset.z_um else axes
    )
    for place in live.planned if planned.places is None else planned.places:
        total = live.corrections.total(place, commander.info.corrected_as[0]) + offset
        what = f"correctPosition by {commander.script}, stage position {place}"
        live.corrections.check_total(what, total)
        for position in live.planned[place]:
            target = corrected(position, total)
            if (offset.stage_um and "x_um" not in target) or (offset.z_um and "z_um" not in target):
                missing = "XY stage" if "x_um" not in target else "focus drive"
                raise CommandRefused(f"{what}: the configuration has no {missing}. Nothing was changed.")
            live.limits.check_place(f"{what} corrected by {total.to_dict()}", target)


METHODS = (correct_position,)
