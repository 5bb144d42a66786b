"""Values of a script that name something connected: found where it is loaded, judged where the devices are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from inscoper_mm.errors import Finding, did_you_mean
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


def unjudged_names(named: Iterable[Named], resources: Resources) -> list[Finding]:
    """The sub-devices that may be there, of devices whose properties are not all known: as infos."""
    known = resources.sub_devices
    return [
        _placed(
            Finding(
                "whether there is such a sub-device shows only when the devices are initialised.",
                level="info",
                suggestion=did_you_mean(each.value, known or ()),
                cure="'check --load' does that; stages may move.",
            ),
            each,
        )
        for each in named
        if each.kind == "sub_device" and known is not None and each.value not in known
    ]


def wrong_names(named: Iterable[Named], resources: Resources) -> list[Finding]:
    """What is not there, with its place and "did you mean"."""
    findings = []
    for each in named:
        try:
            KINDS[each.kind].convert(each.value, NO_RULES, resources)
        except Refused as refused:
            findings.append(_placed(refused.finding, each))
    return findings


def _placed(finding: Finding, named: Named) -> Finding:
    place = named.place
    return replace(
        finding,
        got=finding.got or repr(named.value),
        file=place.file,
        line=place.line,
        function=place.function,
        parameter=place.parameter,
        field=place.field,
    )
