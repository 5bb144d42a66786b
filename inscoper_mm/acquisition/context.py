"""``IIS_CONTEXT`` on the live microscope: the seam between a script's calls and the commands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from inscoper_mm.acquisition.commands import corrections, devices, fire, geometry, light, moves, plan
from inscoper_mm.acquisition.commands.base import Commander
from inscoper_mm.acquisition.live import Live
from inscoper_mm.acquisition.questions import JOURNALED
from inscoper_mm.errors import CommandRefused, one_of
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index
from inscoper_mm.records import Logged


class ScriptCommands:
    """The commands of one call of one script; revoked when the call is over."""

    def __init__(
        self, live: Live, script: str, info: FrameInfo, frames: Callable[[Index], Frame] | None = None
    ) -> None:
        self._commander = Commander(live, script, info, frames)
        self._number = count()
        self.command_s = 0.0

    def revoke(self) -> None:
        """Refuse all later commands of this call."""
        self._commander.revoke()

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Execute the context method ``name`` (contract spelling) and return its result.

        Raises
        ------
        LimitRefused, CommandRefused
            With what is allowed; nothing was moved.
        """
        commander = self._commander
        if commander.revoked:
            raise CommandRefused(
                f"{name}: this call of {commander.script} is over; its commands are no longer executed."
            )
        method = METHODS.get(name)
        if method is None:
            raise CommandRefused(f"IIS_CONTEXT has no {name}() in this version. Allowed: {one_of(METHODS)}.")
        try:
            bound = inspect.signature(method).bind(commander, *args, **kwargs)
        except TypeError as error:
            raise CommandRefused(f"{name}: {error}") from error
        begin, number = commander.now(), next(self._number)
        try:
            if name in JOURNALED:
                return commander.live.questions.ask(commander, number, name, method, bound)
            return method(commander, *args, **kwargs)
        finally:
            self.command_s += commander.now() - begin

    def log(self, level: str, text: str) -> None:
        """A line of the script for the run's log."""
        commander = self._commander
        event = commander.info.event_id
        commander.live.stream.publish(Logged(text, level, commander.script, event))


def _contract_name(method: str) -> str:
    # A trailing underscore keeps clear of Python's own names: set_ is set.
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), method.rstrip("_"))


_MODULES = (moves, corrections, devices, fire, geometry, light, plan)
METHODS: Mapping[str, Callable[..., Any]] = {
    _contract_name(method.__name__): method for module in _MODULES for method in module.METHODS
}
