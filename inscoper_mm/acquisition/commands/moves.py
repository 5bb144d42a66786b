"""Stage and focus: where they are, and one-off moves. The next planned event goes where the plan says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from inscoper_mm.acquisition.commands.base import Commander, Target, numbers
from inscoper_mm.errors import CommandRefused


def get_stage_position(commander: Commander) -> tuple[float, float]:
    """(x_um, y_um) as the stage reports it."""
    position = commander.live.microscope.position()
    if position.x_um is None or position.y_um is None:
        raise CommandRefused("getStagePosition: the configuration has no XY stage (Core-XYStage is not set).")
    return position.x_um, position.y_um


def get_focus(commander: Commander) -> float:
    """z_um as the focus drive reports it."""
    position = commander.live.microscope.position()
    if position.z_um is None:
        raise CommandRefused("getFocus: the configuration has no focus drive (Core-Focus is not set).")
    return position.z_um


def move_stage(commander: Commander, x_um: float, y_um: float) -> tuple[float, float]:
    """Move the stage to an absolute position; returns what was reached."""
    return stage_to(commander, "moveStage", {"x_um": x_um, "y_um": y_um}, lambda: (x_um, y_um))


def move_stage_by(commander: Commander, dx_um: float, dy_um: float) -> tuple[float, float]:
    """Move the stage by a distance; returns what was reached."""

    def target() -> tuple[Any, Any]:
        numbers("moveStageBy", dx_um=dx_um, dy_um=dy_um)
        x_um, y_um = get_stage_position(commander)
        return x_um + dx_um, y_um + dy_um

    return stage_to(commander, "moveStageBy", {"dx_um": dx_um, "dy_um": dy_um}, target)


def move_focus(commander: Commander, z_um: float) -> float:
    """Move the focus drive to an absolute position; returns what was reached."""
    return focus_to(commander, "moveFocus", {"z_um": z_um}, lambda: z_um)


def move_focus_by(commander: Commander, dz_um: float) -> float:
    """Move the focus drive by a distance; returns what was reached."""

    def target() -> Any:
        numbers("moveFocusBy", dz_um=dz_um)
        return get_focus(commander) + dz_um

    return focus_to(commander, "moveFocusBy", {"dz_um": dz_um}, target)


def stage_to(
    commander: Commander, name: str, asked: Mapping[str, Any], where: Callable[[], tuple[Any, Any]]
) -> tuple[float, float]:
    """Carry out the one-off stage move ``name`` to what ``where`` says once the turn has come."""
    live = commander.live

    def decide() -> Target:
        x_um, y_um = where()
        return live.limits.check(
            f"{name} by {commander.script}", {"x_um": x_um, "y_um": y_um}, commander.script
        )

    def act(target: Target) -> Target:
        live.one_off.claim(commander.script, target)
        live.limits.moved(target)
        live.microscope.move_stage(target["x_um"], target["y_um"])
        x_um, y_um = get_stage_position(commander)
        live.devices.confirm(target, {"x_um": x_um, "y_um": y_um})
        return {"x_um": x_um, "y_um": y_um}

    reached = commander.command(name, asked, decide, act)
    return reached["x_um"], reached["y_um"]


def focus_to(commander: Commander, name: str, asked: Mapping[str, Any], where: Callable[[], Any]) -> float:
    """Carry out the one-off focus move ``name`` to what ``where`` says once the turn has come."""
    live = commander.live

    def decide() -> Target:
        live.focus_lock.refuse_move(name)
        return live.limits.check(f"{name} by {commander.script}", {"z_um": where()}, commander.script)

    def act(target: Target) -> Target:
        live.one_off.claim(commander.script, target)
        live.limits.moved(target)
        live.microscope.move_focus(target["z_um"])
        z_um = get_focus(commander)
        live.devices.confirm(target, {"z_um": z_um})
        return {"z_um": z_um}

    return float(commander.command(name, asked, decide, act)["z_um"])


METHODS = (get_stage_position, move_stage, move_stage_by, get_focus, move_focus, move_focus_by)
