"""``prepare(**parameters)`` of a script: what it takes of the processing function's values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from inscoper_mm.errors import Finding, did_you_mean, one_of
from inscoper_mm.scripting.functions import Function
from inscoper_mm.scripting.source import Source
from inscoper_mm.scripting.vocabulary import PREPARE

Prepare = tuple[Callable[..., Any], Mapping[str, Any]]


def read_prepare(
    module: ModuleType, source: Source, process: Function, values: bool
) -> tuple[Prepare | None, list[Finding]]:
    """The script's ``prepare`` and the values to call it with, or None if it has none."""
    function = getattr(module, PREPARE, None)
    if not callable(function):
        return None, []
    known = {parameter.name for parameter in process.parameters if not parameter.injected}
    taken: set[str] = set()
    findings = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            taken |= known
        elif parameter.kind is parameter.VAR_POSITIONAL:
            continue
        elif parameter.name in known and parameter.kind is not parameter.POSITIONAL_ONLY:
            taken.add(parameter.name)
        elif parameter.default is parameter.empty:
            findings.append(_not_a_parameter(source, parameter.name, process, known))
    return (function, {name: process.values[name] for name in sorted(taken)} if values else {}), findings


def _not_a_parameter(source: Source, name: str, process: Function, known: set[str]) -> Finding:
    return Finding(
        f"{PREPARE}() is called with values of {process.name}(), which has no such parameter.",
        file=source.shown,
        line=source.line(PREPARE, name),
        function=PREPARE,
        parameter=name,
        allowed=one_of(sorted(known)),
        suggestion=did_you_mean(name, known),
        cure=f"Give it a default, or add it to {process.name}().",
    )
