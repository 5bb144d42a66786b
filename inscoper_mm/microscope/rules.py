"""The safety rules of a run: every limit with the file and field that it comes from, from all files together.

Rules can only be tightened: ranges intersect, lists intersect, zones and forbidden properties add up, the smallest
distance holds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from inscoper_mm.experiment.safety import LIGHT_LIMITS, Distances, Safety, Span
from inscoper_mm.microscope.limits import Axis, Limits, Range
from inscoper_mm.microscope.zones import Zone

Path = tuple[str, ...]
# Where the experiment file has the range of an axis.
AXIS_PATHS: Mapping[Axis, Path] = {
    "x_um": ("stage", "x_um"),
    "y_um": ("stage", "y_um"),
    "z_um": ("focus_um",),
}
STEP: Path = ("largest_step",)
OBJECTIVES: Path = ("largest_step", "per_objective")
TRAVEL: Path = ("travel_per_min",)
LIGHT: Path = ("light",)
POWER: Path = ("light", "largest_power")
SUB_DEVICES: Path = ("sub_devices",)

_Key = TypeVar("_Key")
_Limit = TypeVar("_Limit")


@dataclass(frozen=True, slots=True)
class Choice:
    """The values that something may be set to."""

    values: tuple[str, ...]
    source: str

    def tightened(self, other: Choice) -> Choice:
        """The values that both allow."""
        both = tuple(value for value in self.values if value in other.values)
        return Choice(both, f"{self.source}; {other.source}")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Names with ``*`` (any text) and ``?`` (any character); capitals do not matter."""

    patterns: tuple[str, ...]
    source: str

    def first(self, names: Iterable[str]) -> str | None:
        """The first pattern that one of ``names`` matches."""
        names = tuple(names)
        for pattern in self.patterns:
            # Brackets and all else stand for themselves: they occur in labels.
            parts = ({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
            expression = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
            if any(expression.fullmatch(name) for name in names):
                return pattern
        return None

    def bound_to(self, aliases: Mapping[str, str]) -> Patterns:
        """With the targets of the aliases that they match; ids are matched, aliases are not."""
        targets = [target for alias, target in aliases.items() if self.first((alias,)) is not None]
        lower = {alias.lower() for alias in aliases}
        kept = [pattern for pattern in self.patterns if pattern.lower() not in lower]
        return Patterns((*kept, *targets), self.source)


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits by their path in the section ``safety``.

    Attributes
    ----------
    spans : mapping
        Path -> range: ``("largest_step", "stage_um")``, ``("sub_devices", "Laser405Power.Volts")`` ...
    choices : mapping
        Sub-device -> values.
    zones : tuple of Zone
    allowed : mapping
        Script (with ``*`` and ``?``, too) -> the lists that hold for it, each of another file.
    forbidden : tuple of Patterns
    """

    spans: Mapping[Path, Range] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    zones: tuple[Zone, ...] = ()
    allowed: Mapping[str, tuple[Patterns, ...]] = field(default_factory=dict)
    forbidden: tuple[Patterns, ...] = ()

    @classmethod
    def of_limits(cls, limits: Limits) -> Rules:
        """Rules that have only the ranges of stage and focus."""
        return cls({AXIS_PATHS[axis]: limit for axis, limit in limits.ranges.items()})

    @classmethod
    def of_safety(cls, safety: Safety, file: str) -> Rules:
        """The rules of one file."""
        ranges = {name: each for name, each in safety.sub_devices.items() if _is_span(each)}
        return cls(
            {path: Range(*span, _source(path, file)) for path, span in _spans(safety)},
            {
                name: Choice(tuple(str(each) for each in values), _source((*SUB_DEVICES, name), file))
                for name, values in safety.sub_devices.items()
                if name not in ranges
            },
            tuple(
                Zone(
                    zone.name,
                    zone.x_um,
                    zone.y_um,
                    zone.focus_um or (-math.inf, math.inf),
                    _source(("exclusion_zones",), file),
                )
                for zone in safety.exclusion_zones
            ),
            {
                script: (Patterns(names, _source(("allowed_sub_devices", script), file)),)
                for script, names in safety.allowed_sub_devices.items()
            },
            (Patterns(safety.forbidden_properties, _source(("forbidden_properties",), file)),)
            if safety.forbidden_properties
            else (),
        )

    def lists_for(self, script: str) -> tuple[Patterns, ...]:
        """The lists of what ``script`` may set; each of them has to allow it."""
        return tuple(
            each
            for name, lists in self.allowed.items()
            if Patterns((name,), "").first((script,)) is not None
            for each in lists
        )

    @property
    def sub_devices(self) -> Mapping[str, str]:
        """The sub-devices whose values are limited, and where each limit comes from."""
        ranges = {
            path[-1]: span.source for path, span in self.spans.items() if path[:-1] in (SUB_DEVICES, POWER)
        }
        return ranges | {name: choice.source for name, choice in self.choices.items()}

    @property
    def envelope(self) -> Limits:
        """The ranges of stage and focus."""
        return Limits({axis: self.spans[path] for axis, path in AXIS_PATHS.items() if path in self.spans})

    def tightened(self, other: Rules) -> Rules:
        """Both together."""
        return Rules(
            _merged(self.spans, other.spans, lambda a, b: b.tightened(a)),
            _merged(self.choices, other.choices, Choice.tightened),
            (*self.zones, *other.zones),
            _merged(self.allowed, other.allowed, lambda a, b: (*a, *b)),
            (*self.forbidden, *other.forbidden),
        )

    def with_ids(self, find: Callable[[str], str | None]) -> Rules:
        """With the ids that the names of sub-devices (aliases, for example) stand for; unknown names stay."""
        spans: dict[Path, Range] = {}
        for path, span in self.spans.items():
            if path[:-1] in (SUB_DEVICES, POWER):
                path = (*path[:-1], find(path[-1]) or path[-1])
            spans[path] = span.tightened(spans.get(path))
        choices: dict[str, Choice] = {}
        for name, choice in self.choices.items():
            name = find(name) or name
            choices[name] = choices[name].tightened(choice) if name in choices else choice
        return replace(self, spans=spans, choices=choices)

    def bound_to(self, aliases: Mapping[str, str]) -> Rules:
        """With what ``aliases`` mean, whatever a later file makes of these names.

        Otherwise an experiment could lead the limit of a site file to another device by giving its alias away.
        """
        bound = self.with_ids(aliases.get)
        return replace(
            bound,
            allowed={
                script: tuple(each.bound_to(aliases) for each in lists)
                for script, lists in self.allowed.items()
            },
            forbidden=tuple(each.bound_to(aliases) for each in self.forbidden),
        )

    def asks_for_more(self, before: Rules) -> Iterator[tuple[Path, str, str, str]]:
        """Where these rules allow what ``before`` does not: path, what they allow, what it allows, its source."""
        for path, span in self.spans.items():
            limit = before.spans.get(path)
            if limit is not None and (span.low < limit.low or span.high > limit.high):
                yield path, span.text, limit.text, limit.source
        for name, choice in self.choices.items():
            known = before.choices.get(name)
            more = [value for value in choice.values if known is not None and value not in known.values]
            if known is not None and more:
                yield (*SUB_DEVICES, name), ", ".join(more), ", ".join(known.values), known.source
        for script, lists in self.allowed.items():
            for other in before.allowed.get(script, ()):
                more = [each for mine in lists for each in mine.patterns if other.first((each,)) is None]
                if more:
                    path = ("allowed_sub_devices", script)
                    yield path, ", ".join(more), ", ".join(other.patterns) or "nothing", other.source

    def impossible(self) -> Iterator[tuple[Path, str]]:
        """The limits that leave nothing: path, and the sources."""
        for path, span in self.spans.items():
            if span.low > span.high:
                yield path, span.source
        for name, choice in self.choices.items():
            if not choice.values:
                yield (*SUB_DEVICES, name), choice.source


NO_RULES = Rules()


def path_text(path: Path) -> str:
    """The path as a field of the file."""
    return ".".join(("safety", *path))


def _source(path: Path, file: str) -> str:
    return f"{path_text(path)} in {file}"


def _is_span(value: Span | tuple[str, ...]) -> bool:
    return not isinstance(value[0], str)


def _spans(safety: Safety) -> Iterator[tuple[Path, Span]]:
    for axis, own in {"x_um": safety.x_um, "y_um": safety.y_um, "z_um": safety.focus_um}.items():
        if own is not None:
            yield AXIS_PATHS[axis], own  # type: ignore[index]
    distances: Mapping[Path, Distances] = {
        STEP: safety.largest_step,
        TRAVEL: safety.travel_per_min,
        **{(*OBJECTIVES, label): each for label, each in safety.step_per_objective.items()},
    }
    tops: dict[Path, float | None] = {}
    for path, each in distances.items():
        tops[*path, "stage_um"], tops[*path, "focus_um"] = each.stage_um, each.focus_um
    tops |= {(*LIGHT, name): getattr(safety.light, name) for name in LIGHT_LIMITS}
    tops |= {(*POWER, name): value for name, value in safety.light.largest_power.items()}
    for path, top in tops.items():
        if top is not None:
            yield path, (-math.inf, top)
    for name, values in safety.sub_devices.items():
        if _is_span(values):
            yield (*SUB_DEVICES, name), (float(values[0]), float(values[1]))


def _merged(
    first: Mapping[_Key, _Limit],
    second: Mapping[_Key, _Limit],
    both: Callable[[_Limit, _Limit], _Limit],
) -> dict[_Key, _Limit]:
    merged = dict(first)
    for key, limit in second.items():
        merged[key] = both(merged[key], limit) if key in merged else limit
    return merged
