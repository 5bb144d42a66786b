"""``IIS_CONTEXT`` on the live microscope: what a script may do, each command under the turn and inside the limits."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from inscoper_mm.acquisition.corrections import Offset, corrected
from inscoper_mm.acquisition.live import Live
from inscoper_mm.errors import CommandRefused, LimitRefused, did_you_mean, one_of
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.microscope.limits import Axis, Limits
from inscoper_mm.records import Commanded, Corrected, Logged

# Longer than any event may take: a command that waits this long waits for something that hangs.
COMMAND_LIMIT_S = 120.0

Target = dict[Axis, float]


class ScriptCommands:
    """The commands of one call of one script; revoked when the call is over."""

    def __init__(self, live: Live, script: str, info: FrameInfo) -> None:
        self._live = live
        self._script = script
        self._info = info
        self._revoked = threading.Event()
        self.command_s = 0.0

    def revoke(self) -> None:
        """Refuse all later commands of this call."""
        self._revoked.set()

    # -- the seam to the execution layer

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Execute the context method ``name`` (contract spelling) and return its result.

        Raises
        ------
        LimitRefused, CommandRefused
            With what is allowed; nothing was moved.
        """
        if self._revoked.is_set():
            raise CommandRefused(
                f"{name}: this call of {self._script} is over; its commands are no longer executed."
            )
        method = _METHODS.get(name)
        if method is None:
            raise CommandRefused(f"IIS_CONTEXT has no {name}() in this version. Allowed: {one_of(_METHODS)}.")
        try:
            inspect.signature(method).bind(self, *args, **kwargs)
        except TypeError as error:
            raise CommandRefused(f"{name}: {error}") from error
        begin = self._live.stream.clock.now()
        try:
            return method(self, *args, **kwargs)
        finally:
            self.command_s += self._live.stream.clock.now() - begin

    def log(self, level: str, text: str) -> None:
        """A line of the script for the run's log."""
        self._live.stream.publish(Logged(text, level, self._script, self._info.event_id))

    # -- reading

    def get_stage_position(self) -> tuple[float, float]:
        """(x_um, y_um) as the stage reports it."""
        position = self._live.microscope.position()
        if position.x_um is None or position.y_um is None:
            raise CommandRefused(
                "getStagePosition: the configuration has no XY stage (Core-XYStage is not set)."
            )
        return position.x_um, position.y_um

    def get_focus(self) -> float:
        """z_um as the focus drive reports it."""
        position = self._live.microscope.position()
        if position.z_um is None:
            raise CommandRefused("getFocus: the configuration has no focus drive (Core-Focus is not set).")
        return position.z_um

    def get_channels(self) -> list[str]:
        """The names of the presets of the channel group."""
        return [channel.name for channel in self._live.microscope.channels()]

    def get_channel(self) -> str | None:
        """The present channel preset."""
        return self._live.microscope.channel()

    def get_exposure(self) -> float:
        """The camera's exposure in ms."""
        return self._live.microscope.exposure_ms()

    # -- one-off moves: the next planned event goes where the plan says

    def move_stage(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Move the stage to an absolute position; returns what was reached."""
        return self._move_stage("moveStage", {"x_um": x_um, "y_um": y_um}, lambda: (x_um, y_um))

    def move_stage_by(self, dx_um: float, dy_um: float) -> tuple[float, float]:
        """Move the stage by a distance; returns what was reached."""

        def target() -> tuple[Any, Any]:
            _numbers("moveStageBy", dx_um=dx_um, dy_um=dy_um)
            x_um, y_um = self.get_stage_position()
            return x_um + dx_um, y_um + dy_um

        return self._move_stage("moveStageBy", {"dx_um": dx_um, "dy_um": dy_um}, target)

    def move_focus(self, z_um: float) -> float:
        """Move the focus drive to an absolute position; returns what was reached."""
        return self._move_focus("moveFocus", {"z_um": z_um}, lambda: z_um)

    def move_focus_by(self, dz_um: float) -> float:
        """Move the focus drive by a distance; returns what was reached."""

        def target() -> Any:
            _numbers("moveFocusBy", dz_um=dz_um)
            return self.get_focus() + dz_um

        return self._move_focus("moveFocusBy", {"dz_um": dz_um}, target)

    def _move_stage(
        self, name: str, asked: Mapping[str, Any], where: Callable[[], tuple[Any, Any]]
    ) -> tuple[float, float]:
        def decide() -> Target:
            x_um, y_um = where()
            return self._live.limits.check(f"{name} by {self._script}", {"x_um": x_um, "y_um": y_um})

        def act(target: Target) -> Target:
            self._live.one_off.claim(self._script, target)
            self._live.microscope.move_stage(target["x_um"], target["y_um"])
            x_um, y_um = self.get_stage_position()
            return {"x_um": x_um, "y_um": y_um}

        reached = self._command(name, asked, decide, act)
        return reached["x_um"], reached["y_um"]

    def _move_focus(self, name: str, asked: Mapping[str, Any], where: Callable[[], Any]) -> float:
        def decide() -> Target:
            return self._live.limits.check(f"{name} by {self._script}", {"z_um": where()})

        def act(target: Target) -> Target:
            self._live.one_off.claim(self._script, target)
            self._live.microscope.move_focus(target["z_um"])
            return {"z_um": self.get_focus()}

        return float(self._command(name, asked, decide, act)["z_um"])

    # -- persistent corrections

    def correct_position(
        self,
        dx_um: float = 0.0,
        dy_um: float = 0.0,
        dz_um: float = 0.0,
        positions: str | int | Sequence[str | int] = "current",
    ) -> dict[str, float]:
        """Shift all later events of ``positions`` ("current", "all", an index or name, or a list of these).

        Returns the total correction of the current position, in micrometres.
        """
        asked = {"dx_um": dx_um, "dy_um": dy_um, "dz_um": dz_um, "positions": positions}
        offset = Offset()
        places: list[int] | None = None

        def decide() -> Target:
            nonlocal offset, places
            _numbers("correctPosition", dx_um=dx_um, dy_um=dy_um, dz_um=dz_um)
            offset = Offset(float(dx_um), float(dy_um), float(dz_um))
            places = self._places(positions)
            self._check_corrected(offset, places)
            return {"x_um": offset.x_um, "y_um": offset.y_um, "z_um": offset.z_um}

        def act(target: Target) -> Target:
            self._live.corrections.add(offset, places, self._script, self._info.event_id)
            for place in places if places is not None else [None]:
                total = self._live.corrections.total(self._info.index.position if place is None else place)
                self._live.stream.publish(
                    Corrected(self._script, self._info.event_id, place, offset.to_dict(), total.to_dict())
                )
            return target

        self._command("correctPosition", asked, decide, act, holds_from="the next event submitted")
        return self._live.corrections.total(self._info.index.position).to_dict()

    def _places(self, positions: str | int | Sequence[str | int]) -> list[int] | None:
        if isinstance(positions, str) and positions == "all":
            return None
        if isinstance(positions, str | int):
            positions = [positions]
        return [self._place(position) for position in positions]

    def _place(self, position: str | int) -> int:
        names, count = self._live.position_names, len(self._live.planned)
        if position == "current":
            return self._info.index.position
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

    def _check_corrected(self, offset: Offset, places: list[int] | None) -> None:
        """Refuse a correction that would lead a planned event out of the limits."""
        for place in self._live.planned if places is None else places:
            total = self._live.corrections.total(place) + offset
            for planned in self._live.planned[place]:
                target = corrected(planned, total)
                self._live.limits.check(
                    f"correctPosition by {self._script}, stage position {place} corrected by {total.to_dict()}",
                    target,
                )

    # -- light and camera

    def set_channel(self, channel: str | Mapping[str, Any]) -> str:
        """Apply a channel preset until the next planned event."""
        name = (
            str(channel.get("config", channel.get("name"))) if isinstance(channel, Mapping) else str(channel)
        )

        def act(_: Any) -> dict[str, Any]:
            self._live.microscope.set_channel(name)
            return {"channel": name}

        self._command("setChannel", {"channel": name}, lambda: {"channel": name}, act)
        return name

    def set_exposure(self, ms: float) -> float:
        """Set the exposure until the next planned event; returns what the camera made of it."""

        def decide() -> dict[str, Any]:
            _numbers("setExposure", ms=ms)
            if ms < 0:
                raise LimitRefused(
                    f"setExposure: an exposure cannot be negative. Got: {ms} ms. Nothing was set."
                )
            return {"ms": float(ms)}

        def act(target: dict[str, Any]) -> dict[str, Any]:
            self._live.microscope.set_exposure(target["ms"])
            return {"ms": self._live.microscope.exposure_ms()}

        return float(self._command("setExposure", {"ms": ms}, decide, act)["ms"])

    # -- the run

    def stop(self, reason: str = "") -> None:
        """End the run after this event; what was captured is stored and all decisions are taken."""

        def act(target: dict[str, Any]) -> dict[str, Any]:
            self._live.stop.finish("script", f"{self._script}: {reason}" if reason else self._script)
            return target

        # No turn: it touches no hardware, and it must work while the engine hangs.
        self._record("stop", {"reason": reason}, lambda: {"reason": str(reason)}, act, self._now())

    # -- one way for all commands

    def _now(self) -> float:
        return self._live.stream.clock.now()

    def _command(
        self,
        name: str,
        asked: Mapping[str, Any],
        decide: Callable[[], Any],
        act: Callable[[Any], Any],
        holds_from: str | None = None,
    ) -> Any:
        asked_s = self._now()
        with self._live.turn.take(f"{name} by {self._script}", COMMAND_LIMIT_S):
            if self._revoked.is_set():
                raise CommandRefused(f"{name}: this call of {self._script} is over. Nothing was moved.")
            return self._record(name, asked, decide, act, asked_s, holds_from)

    def _record(
        self,
        name: str,
        asked: Mapping[str, Any],
        decide: Callable[[], Any],
        act: Callable[[Any], Any],
        asked_s: float,
        holds_from: str | None = None,
    ) -> Any:
        audit = Commanded(
            self._script,
            self._info.event_id,
            name,
            dict(asked),
            "executed",
            asked_s=asked_s,
            turn_s=self._now(),
            holds_from=holds_from,
        )
        target: Any = None
        try:
            target = decide()
            reached = act(target)
        except Exception as error:
            if isinstance(error, LimitRefused | CommandRefused):
                audit = replace(audit, decided="refused", holds_from=None)
            else:
                audit = replace(audit, decided="failed", commanded=target, holds_from=None)
            self._live.stream.publish(replace(audit, done_s=self._now(), message=str(error)))
            raise
        self._live.stream.publish(replace(audit, commanded=target, reached=reached, done_s=self._now()))
        return reached


def _numbers(name: str, **values: object) -> None:
    """Refuse what cannot be added to a position; whether the sum is allowed is asked later."""
    for parameter, value in values.items():
        Limits().check(f"{name}({parameter})", {"x_um": value})


def _contract_name(method: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), method)


_METHODS: dict[str, Callable[..., Any]] = {
    _contract_name(method.__name__): method
    for method in (
        ScriptCommands.get_stage_position,
        ScriptCommands.move_stage,
        ScriptCommands.move_stage_by,
        ScriptCommands.get_focus,
        ScriptCommands.move_focus,
        ScriptCommands.move_focus_by,
        ScriptCommands.correct_position,
        ScriptCommands.get_channels,
        ScriptCommands.get_channel,
        ScriptCommands.set_channel,
        ScriptCommands.get_exposure,
        ScriptCommands.set_exposure,
        ScriptCommands.stop,
    )
}
