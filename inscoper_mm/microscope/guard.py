"""The guard: the one thing that planned, corrected and added events and the commands of scripts all have to pass.

It refuses, and moves nothing. Every refusal names what was asked, what is allowed, and the file and field that the
limit comes from.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from inscoper_mm.errors import LimitRefused
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.dose import Dose
from inscoper_mm.microscope.limits import Axis, Range, finite_number
from inscoper_mm.microscope.motion import Motion
from inscoper_mm.microscope.rules import AXIS_PATHS, LIGHT, NO_RULES, POWER, Path, Rules
from inscoper_mm.microscope.settings import PresetSetting, Settings, evades, is_role
from inscoper_mm.microscope.sub_devices import Inventory, SubDevice

_UJ_PER_MJ = 1e3
# No stage of a microscope reaches a metre, and no focus drive a tenth of that: a number beyond is a mistake.
_FARTHEST_UM: Mapping[Axis, float] = {"x_um": 1e6, "y_um": 1e6, "z_um": 1e5}
# What of the Core's says which shutter opens for an image, and whether.
_LIGHT_ROLES = ("Core.Shutter", "Core.AutoShutter")
_NOWHERE = StagePosition()


class Guard:
    """All safety rules of a run. Thread-safe; quick where there is no rule.

    Parameters
    ----------
    rules : Rules
        With the ranges that the devices report.
    inventory : callable, optional
        The sub-devices; asked only where a rule needs it.
    position : callable, optional
        Where stage and focus are; asked only where a rule needs it.
    objectives : callable, optional
        What the objective in place is called.
    preset : callable, optional
        ``preset(group, name)`` gives the lines of a preset.
    camera : callable, optional
        The label of the Core's camera.
    now : callable, optional
        A clock in seconds.
    """

    def __init__(
        self,
        rules: Rules = NO_RULES,
        *,
        inventory: Callable[[], Inventory] = lambda: Inventory(()),
        position: Callable[[], StagePosition] = lambda: _NOWHERE,
        objectives: Callable[[], Collection[str]] = tuple,
        preset: Callable[[str, str], Sequence[PresetSetting]] = lambda group, name: (),
        camera: Callable[[], str] = str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        farthest = {
            AXIS_PATHS[axis]: Range(-most, most, f"the default of safety.{'.'.join(AXIS_PATHS[axis])}")
            for axis, most in _FARTHEST_UM.items()
        }
        self.rules = Rules(farthest | dict(rules.spans)).tightened(
            Rules({}, rules.choices, rules.zones, rules.allowed, rules.forbidden)
        )
        self._envelope = self.rules.envelope
        self._motion = Motion(self.rules, position, objectives, now)
        self._settings = Settings(self.rules, inventory, preset, camera)
        self._limits_power = any(path[:-1] == POWER for path in self.rules.spans)

    @property
    def ranges(self) -> Mapping[Axis, Range]:
        """The allowed range of each axis."""
        return self._envelope.ranges

    # -- moves

    def check(
        self,
        what: str,
        target_um: Mapping[Axis, object],
        script: str | None = None,
        here: StagePosition | None = None,
    ) -> dict[Axis, float]:
        """The target as plain numbers, if a move there from where the devices are now is allowed.

        Parameters
        ----------
        what : str
            Who asks, for the error: ``"moveStage by autofocus"`` or ``"event e000012"``.
        target_um : mapping of axis to position
            Absolute positions in um.
        script : str, optional
            Whose command it is.
        here : StagePosition, optional
            Where the devices are, if it was just read.

        Raises
        ------
        LimitRefused
            Nothing was moved.
        """
        target = self._envelope.check(what, target_um)
        if script is not None:
            self.check_axes(what, script, target)
        if not self._motion.idle:
            self._motion.check(what, target, here)
        return target

    def check_place(
        self, what: str, target_um: Mapping[Axis, object], script: str | None = None
    ) -> dict[Axis, float]:
        """As `check`, for a place that will be gone to later: the way there is checked when it is taken."""
        target = self._envelope.check(what, target_um)
        if script is not None:
            self.check_axes(what, script, target)
        self._motion.check_end(what, target)
        return target

    @property
    def watches_ways(self) -> bool:
        """Whether a rule is about the way of a move, not only about its end."""
        return not self._motion.idle

    def check_way(self, what: str, start: StagePosition, end: StagePosition) -> None:
        """Refuse a way whatever the devices do now, its steps and zones: for a plan."""
        self._motion.check_way(what, start, end)

    def stops(self, what: str, target_um: Mapping[Axis, float]) -> list[dict[Axis, float]]:
        """Where to stand in between on the way to a target, so that no step is too long; empty where none is.

        Raises
        ------
        LimitRefused
            A zone is in the way.
        """
        return [] if self._motion.idle else self._motion.stops(what, target_um)

    def travel_wait_s(self, target_um: Mapping[Axis, float]) -> float:
        """How long the way to a target is too long for what may be travelled in a minute; infinite: for ever."""
        return 0.0 if self._motion.idle else self._motion.travel_wait_s(target_um)

    def check_axes(self, what: str, script: str, axes: Collection[Axis]) -> None:
        """Refuse a script that may not move ``axes``."""
        if not self.rules.allowed and not self.rules.forbidden:
            return
        for axis in axes:
            sub_device = self._settings.axis(axis)
            if sub_device is not None:
                self._settings.check_use(what, script, sub_device)

    def moved(self, target_um: Mapping[Axis, float]) -> None:
        """Note that the devices are now sent to a target that has passed `check`."""
        if not self._motion.idle:
            self._motion.moved(target_um)

    def check_event(
        self,
        what: str,
        target_um: Mapping[Axis, object],
        preset: tuple[str, str] | None = None,
        exposure_ms: float | None = None,
        here: StagePosition | None = None,
    ) -> dict[Axis, float]:
        """As `check`, for an event: its channel and exposure included."""
        self.check_light(what, preset, exposure_ms)
        return self.check(what, target_um, here=here)

    def check_light(self, what: str, preset: tuple[str, str] | None, exposure_ms: float | None) -> None:
        """Refuse the channel or the exposure of an event."""
        if preset is not None:
            led_um = self.check_preset(what, None, *preset)
            if led_um:
                self.moved(led_um)
        if exposure_ms is not None and not self._settings.no_values:
            self.check_exposure(what, None, exposure_ms)

    # -- settings

    def check_use(self, who: str, script: str | None, sub_device_id: str) -> None:
        """Refuse a sub-device that nobody may set, or that ``script`` may not; any value."""
        sub_device = self._settings.find(sub_device_id)
        if sub_device is None:
            raise LimitRefused(f"{who}: there is no sub-device '{sub_device_id}'. Nothing was set.")
        self._settings.check_use(who, script, sub_device)

    def check_setting(self, who: str, script: str | None, sub_device_id: str, value: object) -> None:
        """Refuse to set a sub-device, or to set it to ``value``.

        Parameters
        ----------
        who : str
            For the error.
        script : str or None
            Whose command it is.
        sub_device_id : str
            Its id, an alias, or the Core's name of the property.
        value : object
            A number, text, True or False, or a list of numbers.

        Raises
        ------
        LimitRefused
            Nothing was set.
        """
        sub_device = self._settings.find(sub_device_id)
        if sub_device is None:
            raise LimitRefused(f"{who}: there is no sub-device '{sub_device_id}'. Nothing was set.")
        self._settings.check_use(who, script, sub_device)
        self._check_value(who, sub_device, value)
        self._check_light_switch(who, sub_device, value)

    def _check_light_switch(self, who: str, sub_device: SubDevice, value: object) -> None:
        """A light that is left on has no dose that could be limited."""
        limit = next((span for path, span in self.rules.spans.items() if path[:1] == LIGHT), None)
        if limit is not None and sub_device.id in _LIGHT_ROLES:
            raise LimitRefused(
                f"{who}: '{sub_device.id}' decides which light each image opens, and light is limited "
                f"({limit.source}). Nothing was set."
            )
        if limit is not None and sub_device.access == "switch" and value not in (False, 0, "0"):
            raise LimitRefused(
                f"{who}: '{sub_device.id}' must not be left open: light is limited ({limit.source}). "
                "fireOnDemand() opens it for a time. Nothing was set."
            )

    def check_exposure(self, who: str, script: str | None, exposure_ms: object) -> None:
        """Refuse an exposure of the Core's camera."""
        sub_device = self._settings.exposure()
        if sub_device is not None:
            if script is not None:
                self._settings.check_use(who, script, sub_device)
            self._check_value(who, sub_device, exposure_ms)

    def check_preset(self, who: str, script: str | None, group: str, name: str) -> dict[Axis, float]:
        """Refuse a preset that would set what must not be set, or lead stage or focus out of their limits.

        For a script's list of allowed sub-devices, a preset counts as what its group is called. Returns where it leads
        stage and focus.
        """
        target: dict[Axis, float] = {}
        if script is not None:
            self._settings.check_names(who, script, group, (group, f"{group}.{name}"))
        for line in self._settings.watched(group, name):
            what = f"{who}, preset '{name}' of '{group}'"
            sub_device = self._settings.sub_device(line)
            if is_role(line) or (sub_device is not None and evades(sub_device)):
                raise LimitRefused(
                    f"{what}: it sets {line.device}.{line.property}, past the limits of stage and focus. "
                    "Nothing was set."
                )
            if sub_device is not None:
                self._settings.check_use(what, None, sub_device)
                target |= self._check_value(what, sub_device, line.value)
                if script is not None:
                    self._check_light_switch(what, sub_device, line.value)
        return target

    def _check_value(self, who: str, sub_device: SubDevice, value: object) -> dict[Axis, float]:
        self._settings.check_value(who, sub_device, value)
        if self._limits_power and (*POWER, sub_device.id) in self._settings.rules.spans:
            self.check_power(who, sub_device.id, value, "Nothing was set.")
        return {} if sub_device.axis is None else self.check(who, {sub_device.axis: _plain(value)})

    def unknown_names(self) -> Sequence[tuple[str, str, str | None]]:
        """Sub-devices in the rules that the microscope does not have: name, source of the rule, the nearest name."""
        return tuple(self._settings.unknown())

    # -- light

    def check_dose(
        self,
        who: str,
        dose: Dose,
        at_position: Dose,
        total: Dose,
        power: tuple[str, float] | None = None,
    ) -> None:
        """Refuse light that would be too much.

        Parameters
        ----------
        who : str
            For the error.
        dose : Dose
            What is asked for.
        at_position, total : Dose
            What the stage position, and all of them, have had so far.
        power : (sub-device, value), optional
            What sets the power, and to which value.

        Raises
        ------
        LimitRefused
            Nothing was fired.
        """
        self._check_light(who, "largest_duration_ms", "one command would last", dose.time_ms, "ms")
        for field, before, where in (
            ("per_position", at_position, "this position would have had"),
            ("total", total, "the run would have had"),
        ):
            ms_field = f"ms_{field}"
            self._check_light(who, ms_field, where, before.time_ms + dose.time_ms, "ms")
            self._check_energy(who, f"mj_{field}", where, before, dose)
        if power is not None:
            self.check_power(who, *power)

    def check_power(
        self, who: str, sub_device_id: str, value: object, nothing: str = "Nothing was fired."
    ) -> None:
        """Refuse a power, in the unit of what sets it, above its limit."""
        found = self._settings.find(sub_device_id)
        number = finite_number(_plain(value))
        self._refuse_above(
            who,
            (*POWER, found.id if found is not None else sub_device_id),
            f"the power of '{sub_device_id}' would be",
            math.nan if number is None else number,
            "",
            nothing,
        )

    def _check_energy(self, who: str, field: str, where: str, before: Dose, dose: Dose) -> None:
        limit = self.rules.spans.get((*LIGHT, field))
        if limit is None:
            return
        if dose.energy_uj is None:
            raise LimitRefused(
                f"{who}: energy is limited to {limit.high:g} mJ ({limit.source}), and the power in milliwatts is not "
                "known. Give photomanipulation.mw_per_unit and a power. Nothing was fired."
            )
        energy_mj = ((before.energy_uj or 0.0) + dose.energy_uj) / _UJ_PER_MJ
        self._check_light(who, field, where, energy_mj, "mJ")

    def _check_light(self, who: str, field: str, where: str, value: float, unit: str) -> None:
        self._refuse_above(who, (*LIGHT, field), where, value, unit)

    def _refuse_above(
        self, who: str, path: Path, where: str, value: float, unit: str, nothing: str = "Nothing was fired."
    ) -> None:
        limit = (self._settings.rules if path[:-1] == POWER else self.rules).spans.get(path)
        # Not "value > high": that would let NaN pass.
        if limit is not None and not value <= limit.high:
            raise LimitRefused(
                f"{who}: {where} {value:g} {unit}".rstrip()
                + f". Allowed: {limit.text} {unit}".rstrip()
                + f" ({limit.source}). {nothing}"
            )


def _plain(value: object) -> object:
    """The text of a property as a number, where it is one."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
