"""Values of a script that name something connected: found where it is loaded, judged where the devices are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from inscoper_mm.errors import Finding
from inscoper_mm.scripting.kinds import KINDS, NAMED_KINDS, NO_RULES, Refused
from inscoper_mm.scripting.loader import Script
from inscoper_mm.scripting.spec import Resources


@dataclass(frozen=True, slots=True)
class Named:
    """A value of a parameter hinted "SubDeviceId" or "channel"; ``place`` has its file, line and field."""

    kind: str
    value: Any
    place: Finding


def named_values(script: Script) -> tuple[Named, ...]:
    """All of them, defaults included; plain values that can be sent to another process."""
    found = []
    for section, function in (("provider_parameters", script.provider), ("parameters", script.process)):
        for parameter in function.parameters:
            value = function.values.get(parameter.name)
            if parameter.kind in NAMED_KINDS and value is not None:
                field = f"{section}.{parameter.name}"
                place = function.at(Finding("", parameter=parameter.name, field=field))
                found.append(Named(parameter.kind, value, place))
    return tuple(found)


def wrong_names(named: Iterable[Named], resources: Resources) -> list[Finding]:
    """What is not there, with its place and "did you mean"."""
    findings = []
    for each in named:
        try:
            KINDS[each.kind].convert(each.value, NO_RULES, resources)
        except Refused as refused:
            place, got = each.place, refused.finding.got or repr(each.value)
            findings.append(
                replace(
                    refused.finding,
                    got=got,
                    file=place.file,
                    line=place.line,
                    function=place.function,
                    parameter=place.parameter,
                    field=place.field,
                )
            )
    return findings
