"""A function of a script with its parameters and the user's values: ready to be called."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inscoper_mm.errors import Finding, did_you_mean, one_of
from inscoper_mm.scripting.kinds import NAMED_KINDS
from inscoper_mm.scripting.signature import Parameter, read_parameters
from inscoper_mm.scripting.source import Source, definition_file
from inscoper_mm.scripting.spec import Resources


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """An image provider or a processing function.

    ``values`` are the user's, converted, with the defaults filled in. ``findings`` is what is wrong with it.
    """

    name: str
    call: Callable[..., Any]
    source: Source
    parameters: tuple[Parameter, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def line(self) -> int | None:
        """The line where it is defined."""
        return self.source.line(self._own_name)

    @property
    def is_async(self) -> bool:
        """Whether it is an ``async def``."""
        return inspect.iscoroutinefunction(self.call)

    @property
    def doc(self) -> str:
        """Its docstring."""
        return inspect.getdoc(self.call) or ""

    @property
    def _own_name(self) -> str:
        # An imported function may have another name here.
        return str(getattr(inspect.unwrap(self.call), "__name__", self.name))

    def names(self, kind: str) -> tuple[str, ...]:
        """The parameters of a kind of the type table."""
        return tuple(parameter.name for parameter in self.parameters if parameter.kind == kind)

    def at(self, finding: Finding) -> Finding:
        """``finding`` with this function's file and line."""
        line = self.source.line(self._own_name, finding.parameter)
        return replace(finding, file=self.source.shown, line=line, function=self.name)

    def __call__(self, images: Any, context: Any = None) -> Any:
        """Call it with its values; an awaitable is waited for."""
        return run(self.call, *self._arguments({"images": images, "context": context}))

    def _arguments(self, injected: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        args, kwargs = [], {}
        for parameter in self.parameters:
            # A copy: a script that changes its list must find it unchanged at the next call.
            value = injected[parameter.kind] if parameter.injected else copy.copy(self.values[parameter.name])
            if parameter.positional_only:
                args.append(value)
            else:
                kwargs[parameter.name] = value
        return args, kwargs


def run(call: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function of a script, plain or ``async``, and return its result."""
    result = call(*args, **kwargs)
    if not inspect.isawaitable(result):
        return result
    import asyncio  # a tenth of a worker's start, and few scripts need it

    return asyncio.run(_wait_for(result))


async def _wait_for(result: Awaitable[Any]) -> Any:
    return await result


def read_function(name: str, call: Callable[..., Any], script: Source, provider: bool = False) -> Function:
    """``call`` with its parameters, and findings about its signature."""
    file = definition_file(call)
    source = script
    if file is not None and file.resolve() != script.file:
        try:
            source = Source.read(file)
        except (OSError, SyntaxError):  # made by exec, or in a frozen package: then without lines
            source = Source(file, script.tree.__class__(body=[], type_ignores=[]))
    parameters, findings = read_parameters(call, first_is_images=provider)
    function = Function(name, call, source, parameters)
    return replace(function, findings=tuple(function.at(finding) for finding in findings))


def with_values(
    function: Function, values: Mapping[str, Any], resources: Resources, section: str
) -> Function:
    """``function`` with the user's ``values``; findings about them name the key ``section.parameter``."""
    known = {parameter.name: parameter for parameter in function.parameters}
    findings = list(function.findings)
    broken = {finding.parameter for finding in findings}
    findings += [
        function.at(_unknown(name, known, section))
        for name in values
        if name not in known and name not in broken
    ]
    converted: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in values:
            value = parameter.validate(values[name], resources)
        elif parameter.injected:
            continue
        elif parameter.required:
            value = Finding("A value is missing.", parameter=name, allowed=parameter.allowed)
        elif parameter.kind in NAMED_KINDS and parameter.default is not None:
            value = parameter.validate(parameter.default, resources)
        else:
            value = parameter.default
        if isinstance(value, Finding):
            findings.append(function.at(replace(value, field=f"{section}.{name}")))
        converted[name] = value
    return replace(function, values=converted, findings=tuple(findings))


def _unknown(name: str, known: Mapping[str, Parameter], section: str) -> Finding:
    open_names = [parameter.name for parameter in known.values() if not parameter.injected]
    return Finding(
        f"The function has no parameter '{name}'.",
        field=f"{section}.{name}",
        allowed=one_of(open_names),
        suggestion=did_you_mean(name, open_names),
    )
