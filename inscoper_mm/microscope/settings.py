"""Rules about settings: who may set what, and to which values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from inscoper_mm.errors import LimitRefused
from inscoper_mm.experiment.safety import as_text
from inscoper_mm.microscope.limits import Axis, Range, finite_number
from inscoper_mm.microscope.rules import LIGHT, POWER, SUB_DEVICES, Choice, Rules
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.microscope.sub_devices import Inventory, SubDevice

# Properties of the Core that say which device is the stage and which the focus: all limits hold for those.
_ROLES = frozenset({"Focus", "XYStage"})
_NOTHING = "Nothing was set."


@dataclass(frozen=True, slots=True)
class PresetSetting:
    """One line of a preset."""

    device: str
    property: str
    value: str


class Settings:
    """The rules for sub-devices, presets and the exposure.

    Parameters
    ----------
    rules : Rules
    inventory : callable
        The sub-devices; asked only where a rule needs it.
    preset : callable
        ``preset(group, name)`` gives the lines of a preset.
    camera : callable
        The label of the Core's camera.
    """

    def __init__(
        self,
        rules: Rules,
        inventory: Callable[[], Inventory],
        preset: Callable[[str, str], Sequence[PresetSetting]],
        camera: Callable[[], str],
    ) -> None:
        self._unresolved = rules
        self._ask_inventory = inventory
        self._ask_preset = preset
        self._camera = camera
        self._inventory: Inventory | None = None
        self._rules: Rules | None = None
        self._presets: dict[tuple[str, str], tuple[PresetSetting, ...]] = {}
        # No rule about settings at all: an exposure of the plan needs no inventory then.
        self.no_values = not rules.choices and not any(path[:1] == SUB_DEVICES for path in rules.spans)
        self._no_use = not rules.allowed and not rules.forbidden

    @property
    def inventory(self) -> Inventory:
        """The sub-devices."""
        if self._inventory is None:
            self._inventory = self._ask_inventory()
        return self._inventory

    @property
    def rules(self) -> Rules:
        """The rules with the ids of the sub-devices."""
        if self._rules is None:
            self._rules = self._unresolved.with_ids(self._id)
        return self._rules

    def _id(self, name: str) -> str | None:
        found = self.inventory.find(name)
        return found.id if found is not None else None

    def find(self, name: str) -> SubDevice | None:
        """The sub-device called ``name``."""
        return self.inventory.find(name)

    def axis(self, axis: Axis) -> SubDevice | None:
        """The sub-device that moves ``axis`` of the run."""
        return next((each for each in self.inventory if each.axis == axis), None)

    def exposure(self) -> SubDevice | None:
        """The exposure of the Core's camera."""
        camera = self._camera()
        return next(
            (each for each in self.inventory if each.kind == "exposure" and each.device == camera), None
        )

    # -- who may

    def check_use(
        self, who: str, script: str | None, sub_device: SubDevice, names: Iterable[str] = ()
    ) -> None:
        """Refuse what nobody may set, or what ``script`` may not."""
        if self._no_use:
            return
        known = (*names, *self.inventory.names(sub_device))
        self.check_names(who, script, sub_device.id, known, (*known, sub_device.device))

    def check_names(
        self, who: str, script: str | None, what: str, names: Sequence[str], all_names: Sequence[str] = ()
    ) -> None:
        """As `check_use`, for something with these names; ``all_names`` includes the device as a whole."""
        for patterns in self._unresolved.forbidden:
            pattern = patterns.first(all_names or names)
            if pattern is not None:
                raise LimitRefused(
                    f"{who}: '{what}' must not be set: '{pattern}' is forbidden ({patterns.source}). {_NOTHING}"
                )
        for patterns in self._unresolved.lists_for(script) if script is not None else ():
            if patterns.first(names) is None:
                allowed = ", ".join(patterns.patterns) or "nothing"
                raise LimitRefused(
                    f"{who}: '{script}' may not set '{what}'. Allowed: {allowed} ({patterns.source}). {_NOTHING}"
                )

    # -- to which values

    def check_value(self, who: str, sub_device: SubDevice, value: object) -> None:
        """Refuse a value that is none, or outside the rules for this sub-device."""
        _refuse_no_value(who, sub_device.id, value)
        if self.no_values:
            return
        span = self.rules.spans.get((*SUB_DEVICES, sub_device.id))
        choice = self.rules.choices.get(sub_device.id)
        for each in value if isinstance(value, list | tuple) else (value,):
            if span is not None:
                _check_span(who, sub_device.id, each, span)
            if choice is not None:
                _check_choice(who, sub_device, each, choice)

    # -- presets

    def watched(self, group: str, name: str) -> tuple[PresetSetting, ...]:
        """The lines of a preset that a rule may refuse; found once, and mostly none."""
        key = group, name
        if key not in self._presets:
            self._presets[key] = tuple(
                line for line in self._ask_preset(group, name) if self._is_watched(line)
            )
        return self._presets[key]

    def sub_device(self, line: PresetSetting) -> SubDevice | None:
        """What a line of a preset sets."""
        ids = make_id(line.device, line.property), make_id(line.device, "property", line.property)
        return self.inventory.find(ids[0]) or self.inventory.find(ids[1])

    def _is_watched(self, line: PresetSetting) -> bool:
        if is_role(line):
            return True
        found = self.sub_device(line)
        if found is None:
            return False
        ruled = found.id in self.rules.choices or any(
            (*path, found.id) in self.rules.spans for path in (SUB_DEVICES, POWER)
        )
        names = (*self.inventory.names(found), found.device)
        forbidden = any(each.first(names) is not None for each in self.rules.forbidden)
        light = found.access == "switch" and any(path[:1] == LIGHT for path in self.rules.spans)
        return ruled or forbidden or light or found.axis is not None or evades(found)

    def unknown(self) -> Iterator[tuple[str, str, str | None]]:
        """Names in the rules that no sub-device has: name, source, the nearest name."""
        inventory = self.inventory
        for name, source in self._unresolved.sub_devices.items():
            if inventory.find(name) is None and not inventory.is_open(name):
                yield name, source, inventory.near(name)


def is_role(line: PresetSetting) -> bool:
    """Whether the line changes which device is the stage or the focus drive."""
    return line.device == "Core" and line.property in _ROLES


def evades(sub_device: SubDevice) -> bool:
    """Whether setting it could lead stage or focus past their limits, by the words of the inventory."""
    return sub_device.device != "Core" and "past" in sub_device.constraints.why_not


def _refuse_no_value(who: str, what: str, value: object) -> None:
    for each in value if isinstance(value, list | tuple) else (value,):
        if isinstance(each, str | bool) or finite_number(each) is not None:
            continue
        raise LimitRefused(f"{who}: '{what}' takes a finite number or text. Got: {value!r:.100}. {_NOTHING}")


def _check_span(who: str, what: str, value: object, span: Range) -> None:
    number = _as_number(value)
    if number is None or number not in span:
        raise LimitRefused(
            f"{who}: '{what}' {value!r:.100} is outside its limit. Allowed: {span.text} ({span.source}). {_NOTHING}"
        )


def _check_choice(who: str, sub_device: SubDevice, value: object, choice: Choice) -> None:
    labels = sub_device.constraints.values if sub_device.constraints.type == "state" else ()
    names = {as_text(value)}
    if labels and isinstance(value, int) and 0 <= value < len(labels):
        names.add(str(labels[value]))
    elif value in labels:
        names.add(str(labels.index(value)))
    number = _as_number(value)
    if names & set(choice.values) or (
        number is not None and number in [_as_number(each) for each in choice.values]
    ):
        return
    raise LimitRefused(
        f"{who}: '{sub_device.id}' must not be set to {value!r:.100}. Allowed: {', '.join(choice.values)} "
        f"({choice.source}). {_NOTHING}"
    )


def _as_number(value: object) -> float | None:
    """The number that a property's value means; switches are 0 and 1."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
        return number if math.isfinite(number) else None
    return finite_number(value)
