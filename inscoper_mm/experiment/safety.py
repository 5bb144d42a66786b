"""The section ``safety`` of an experiment, site or user file: what no plan, correction or command may exceed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from inscoper_mm.experiment.document import KeyPath, path_text, shown
from inscoper_mm.experiment.reader import Section, is_number

Span = tuple[float, float]
LIGHT_LIMITS = ("ms_per_position", "ms_total", "mj_per_position", "mj_total", "largest_duration_ms")


@dataclass(frozen=True, slots=True)
class ExclusionZone:
    """A box that the stage may neither enter nor cross; ``focus_um`` None: at no focus."""

    name: str
    x_um: Span
    y_um: Span
    focus_um: Span | None = None


@dataclass(frozen=True, slots=True)
class Distances:
    """A distance for the stage and one for the focus, in um; None: no limit."""

    stage_um: float | None = None
    focus_um: float | None = None


@dataclass(frozen=True, slots=True)
class LightLimits:
    """How much light scripts may fire; None: no limit.

    Parameters
    ----------
    ms_per_position, ms_total : float, optional
        Time with light, at one stage position and in the whole run.
    mj_per_position, mj_total : float, optional
        Energy in millijoule. What is fired with a power that is not known in milliwatts is then refused.
    largest_duration_ms : float, optional
        The longest single command.
    largest_power : mapping
        Sub-device that sets a power -> its largest value, in the device's own unit.
    """

    ms_per_position: float | None = None
    ms_total: float | None = None
    mj_per_position: float | None = None
    mj_total: float | None = None
    largest_duration_ms: float | None = None
    largest_power: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Safety:
    """The limits of one file.

    Parameters
    ----------
    x_um, y_um, focus_um : (lowest, highest), optional
        Where stage and focus may go; None: what the device itself reports.
    exclusion_zones : tuple of ExclusionZone
    largest_step : Distances
        The longest single move.
    step_per_objective : mapping
        The same while an objective is in place: label or preset of the objective -> distances.
    travel_per_min : Distances
        How far stage and focus may travel within a minute.
    light : LightLimits
    sub_devices : mapping
        Sub-device -> (lowest, highest), or the values that it may be set to.
    allowed_sub_devices : mapping
        Script -> sub-devices that it may set, with ``*`` and ``?``; a script that is not named may set all.
    forbidden_properties : tuple of str
        Sub-devices that nobody may set, with ``*`` and ``?``.
    """

    x_um: Span | None = None
    y_um: Span | None = None
    focus_um: Span | None = None
    exclusion_zones: tuple[ExclusionZone, ...] = ()
    largest_step: Distances = Distances()
    step_per_objective: Mapping[str, Distances] = field(default_factory=dict)
    travel_per_min: Distances = Distances()
    light: LightLimits = field(default_factory=LightLimits)
    sub_devices: Mapping[str, Span | tuple[str, ...]] = field(default_factory=dict)
    allowed_sub_devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    forbidden_properties: tuple[str, ...] = ()


def read_safety(section: Section) -> Safety:
    """The section ``safety``."""
    stage = section.section("stage")
    step = section.section("largest_step")
    objectives = step.section("per_objective")
    safety = Safety(
        stage.range("x_um"),
        stage.range("y_um"),
        section.range("focus_um"),
        tuple(_read_zone(section, path, value) for path, value in section.items("exclusion_zones")),
        _distances(step),
        {label: _distances(objectives.section(label), True) for label in objectives.keys},
        _distances(section.section("travel_per_min"), True),
        _read_light(section.section("light")),
        _read_sub_devices(section.section("sub_devices")),
        _read_allowed(section.section("allowed_sub_devices")),
        _texts(section, "forbidden_properties"),
    )
    for each in (stage, step, section):
        each.finish()
    return safety


def _read_zone(section: Section, path: KeyPath, value: Any) -> ExclusionZone:
    zone = Section(section.document, path, {} if value is None else value, section.findings)
    spans = {key: zone.range(key) for key in ("x_um", "y_um", "focus_um")}
    name = zone.text("name", path_text(path[-2:])) or ""
    for key in ("x_um", "y_um") if isinstance(value, dict) else ():
        if zone.value(key) is None:
            zone.need(key)
    zone.finish()
    nowhere = (0.0, 0.0)
    return ExclusionZone(name, spans["x_um"] or nowhere, spans["y_um"] or nowhere, spans["focus_um"])


def _distances(section: Section, finish: bool = False) -> Distances:
    distances = Distances(section.limit("stage_um"), section.limit("focus_um"))
    if finish:
        section.finish()
    return distances


def _read_light(section: Section) -> LightLimits:
    powers = section.section("largest_power")
    limits = LightLimits(
        largest_power={name: value for name in powers.keys if (value := powers.limit(name)) is not None},
        **{name: section.limit(name) for name in LIGHT_LIMITS},
    )
    section.finish()
    return limits


def _read_sub_devices(section: Section) -> dict[str, Span | tuple[str, ...]]:
    found: dict[str, Span | tuple[str, ...]] = {}
    for name in section.keys:
        value = section.value(name)
        allowed = "[lowest, highest], or a list of values"
        if not isinstance(value, list) or not value or any(isinstance(each, list | dict) for each in value):
            section.refuse(name, "is neither a range nor a list.", got=shown(value), allowed=allowed)
        elif len(value) == 2 and all(is_number(each) for each in value):
            # Two numbers are a range; two allowed values can be given as text.
            span = section.range(name, "[lowest, highest]")
            if span is not None:
                found[name] = span
        else:
            found[name] = tuple(as_text(each) for each in value)
    return found


def _read_allowed(section: Section) -> dict[str, tuple[str, ...]]:
    return {script: _texts(section, script) for script in section.keys}


def _texts(section: Section, key: str) -> tuple[str, ...]:
    found = []
    for path, value in section.items(key):
        if isinstance(value, str) and value.strip():
            found.append(value)
        else:
            message = "must be the name of a sub-device, for example Camera.Gain or Camera.*"
            section.findings.append(section.document.finding(path, message, got=shown(value)))
    return tuple(found)


def as_text(value: object) -> str:
    """A value as a property of a device would have it: numbers without a needless point, switches as 1 and 0."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def dump_safety(safety: Safety) -> dict[str, Any]:
    """The limits as the section's values; what is not limited is left out."""
    step = _given(asdict(safety.largest_step))
    step["per_objective"] = {label: _given(asdict(each)) for label, each in safety.step_per_objective.items()}
    return _given(
        {
            "stage": _given({key: _list(getattr(safety, key)) for key in ("x_um", "y_um")}),
            "focus_um": _list(safety.focus_um),
            "exclusion_zones": [_zone(zone) for zone in safety.exclusion_zones],
            "largest_step": _given(step),
            "travel_per_min": _given(asdict(safety.travel_per_min)),
            "light": _given(asdict(safety.light)),
            "sub_devices": {name: list(each) for name, each in safety.sub_devices.items()},
            "allowed_sub_devices": {name: list(each) for name, each in safety.allowed_sub_devices.items()},
            "forbidden_properties": list(safety.forbidden_properties),
        }
    )


def _zone(zone: ExclusionZone) -> dict[str, Any]:
    values = {"name": zone.name, "x_um": list(zone.x_um), "y_um": list(zone.y_um)}
    return values | ({"focus_um": list(zone.focus_um)} if zone.focus_um else {})


def _list(span: Span | None) -> list[float] | None:
    return list(span) if span is not None else None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None and value not in ({}, [])}
