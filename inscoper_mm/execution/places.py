"""The places where scripts run, by their names in the experiment file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inscoper_mm.errors import Finding, InvalidInput, one_of
from inscoper_mm.execution.host import HostLog, ScriptHost
from inscoper_mm.scripting.spec import ScriptSpec


def _worker(spec: ScriptSpec, log: HostLog | None) -> ScriptHost:
    from inscoper_mm.execution.worker import WorkerHost

    return WorkerHost(spec, log)


def _thread(spec: ScriptSpec, log: HostLog | None) -> ScriptHost:
    from inscoper_mm.execution.thread import ThreadHost

    return ThreadHost(spec, log)


PLACES: dict[str, Callable[[ScriptSpec, HostLog | None], Any]] = {"worker": _worker, "thread": _thread}


def make_host(spec: ScriptSpec, place: str, log: HostLog | None = None) -> ScriptHost:
    """A host for ``spec`` that is not started yet.

    Parameters
    ----------
    spec : ScriptSpec
    place : {"worker", "thread"}
    log : callable, optional
        ``log(level, text, event_id)`` takes what the script prints while it is loaded and in its provider.
    """
    if place not in PLACES:
        raise InvalidInput(
            Finding("There is no such place.", field="place", got=place, allowed=one_of(PLACES))
        )
    host: ScriptHost = PLACES[place](spec, log)
    return host
