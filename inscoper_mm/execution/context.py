"""``IIS_CONTEXT`` as a script holds it during one call, in a thread and in a worker alike."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.errors import CommandRefused, did_you_mean
from inscoper_mm.execution.host import CallState, Commands
from inscoper_mm.scripting.context import CONTEXT_METHODS, CONTEXT_NAMES, ContextMethod, ScriptContext
from inscoper_mm.scripting.image import image_indices
from inscoper_mm.scripting.plain import plain


class CallContext:
    """The context of one call. Its methods are those of :class:`~inscoper_mm.scripting.context.ScriptContext`.

    Parameters
    ----------
    commands : Commands
        Executes them.
    start : CallState
        What the call starts from; its states are changed in place.
    """

    def __init__(self, commands: Commands, start: CallState) -> None:
        self._commands = commands
        self._start = start
        self._begin = time.perf_counter()
        self._states = {"state": start.state, "runState": start.run_state}
        self._over = False

    def __dir__(self) -> list[str]:
        return list(CONTEXT_NAMES)

    def __getattr__(self, name: str) -> Any:
        near = did_you_mean(name, CONTEXT_NAMES)
        hint = f" Did you mean '{near}'?" if near else ""
        raise AttributeError(f"The context has no '{name}'.{hint}", name=name, obj=self)

    @property
    def state(self) -> dict[str, Any]:
        """What lasts between the calls for this position."""
        return self._states["state"]

    @state.setter
    def state(self, value: Mapping[str, Any]) -> None:
        self._states["state"] = dict(value)

    @property
    def runState(self) -> dict[str, Any]:
        """What lasts between all calls of this script."""
        return self._states["runState"]

    @runState.setter
    def runState(self, value: Mapping[str, Any]) -> None:
        self._states["runState"] = dict(value)

    @property
    def exportPath(self) -> Path:
        """The folder for this script's own files."""
        return self._start.export_path

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        # The offset makes the clocks of two processes one.
        return self._start.elapsed_s + time.perf_counter() - self._begin


def end_of_call(context: CallContext) -> None:
    """Refuse what a script that has kept the context asks for later."""
    context._over = True


def states_after(context: CallContext) -> tuple[dict[str, Any], dict[str, Any]]:
    """The states that a call leaves, as JSON values of their own.

    Raises
    ------
    NotPlain
        If a state has a value that JSON does not know.
    """
    return plain(context.state, "context.state"), plain(context.runState, "context.runState")


def _forward(method: ContextMethod) -> Callable[..., Any]:
    """The method of the context that has its work done by the run."""

    @functools.wraps(getattr(ScriptContext, method.name))
    def call(self: CallContext, *args: Any, **kwargs: Any) -> Any:
        try:
            method.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{method.name}(): {error}") from None
        if self._over:
            raise CommandRefused(f"{method.name}(): its call is over. Use the context that each call gets.")
        try:
            values = {name: _python_value(value) for name, value in kwargs.items()}
            places = tuple(_python_value(value) for value in args)
        except ValueError as error:
            raise CommandRefused(f"{method.name}: {error}") from None
        return self._commands.execute(method.name, places, values)

    return call


def _python_value(value: Any) -> Any:
    """numpy values and images as the run, its journal and its limits know them: numbers, lists, and indices."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return image_indices(value)


def _log(self: CallContext, message: object) -> None:
    self._commands.log("info", str(message))


for _method in CONTEXT_METHODS.values():
    setattr(CallContext, _method.name, _forward(_method))
CallContext.log = functools.wraps(ScriptContext.log)(_log)  # type: ignore[attr-defined]
