"""Changing the objective: to which, how safely, and where its image is sharp and centred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inscoper_mm.errors import CommandRefused, DeviceError, did_you_mean, one_of
from inscoper_mm.experiment.objectives import ObjectiveOffset
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.optics import find_objective_turret

NO_OFFSET = ObjectiveOffset()


class Objectives:
    """The objective turret.

    Parameters
    ----------
    microscope : Microscope
    offsets : mapping, optional
        Objective, as a label of the turret or a preset that chooses it -> where its image lies. Differences count.
    """

    def __init__(self, microscope: Microscope, offsets: Mapping[str, ObjectiveOffset] | None = None) -> None:
        self._microscope = microscope
        self._offsets = dict(offsets or {})
        self._turret: str | None = None
        self._plans: str | None = None
        self._return_to: str | None = None
        self._put = ""

    @property
    def turret(self) -> str:
        """The label of the turret; empty where there is none."""
        if self._turret is None:
            self._turret = find_objective_turret(self._microscope.core)
        return self._turret

    @property
    def now(self) -> str:
        """The label of the objective in place; empty where it is not known."""
        return str(self._microscope.core.getStateLabel(self.turret)) if self.turret else ""

    def begin(self) -> None:
        """The run begins: the objective that is in place is the one that the plan's coordinates mean."""
        self._plans = self.now

    def find(self, name: object) -> str:
        """The turret's label of an objective, named by its label, or by a preset that chooses it.

        Raises
        ------
        CommandRefused
            If there is no turret, or no such objective.
        """
        if not self.turret:
            raise CommandRefused(
                "The configuration has no objective turret that could be told. Nothing was changed."
            )
        labels = [str(label) for label in self._microscope.core.getStateLabels(self.turret)]
        presets = self._presets()
        if isinstance(name, str) and name in labels:
            return name
        if isinstance(name, str) and name in presets:
            return presets[name]
        near = did_you_mean(name, [*presets, *labels])
        hint = f" Did you mean '{near}'?" if near else ""
        raise CommandRefused(
            f"There is no objective {name!r}. Allowed: {one_of([*presets, *labels])}.{hint} Nothing was changed."
        )

    def _presets(self) -> dict[str, str]:
        """Preset -> label, of the groups that choose nothing but the objective."""
        core, found = self._microscope.core, {}
        for group in core.getAvailableConfigGroups():
            for preset in core.getAvailableConfigs(group):
                data = core.getConfigData(group, preset)
                lines = [data.getSetting(number) for number in range(data.size())]
                if len(lines) == 1 and lines[0].getDeviceLabel() == self.turret:
                    found[str(preset)] = self._label(lines[0])
        return found

    def _label(self, line: Any) -> str:
        value = str(line.getPropertyValue())
        if line.getPropertyName() != "State":
            return value
        return str(self._microscope.core.getStateLabels(self.turret)[int(value)])

    def shift(self, objective: str | None) -> ObjectiveOffset:
        """How much further stage and focus have to go with ``objective`` (a label) than the plan's coordinates say.

        None: not at all, since those mean the objective that was in place when the run began.
        """
        if objective is None or not self._offsets:
            return NO_OFFSET
        home = self.now if self._plans is None else self._plans
        if objective == home:
            return NO_OFFSET
        to, origin = self._own(objective), self._own(home)
        return ObjectiveOffset(to.x_um - origin.x_um, to.y_um - origin.y_um, to.z_um - origin.z_um)

    def _own(self, label: str) -> ObjectiveOffset:
        if label in self._offsets:
            return self._offsets[label]
        presets = self._presets()
        return next(
            (offset for name, offset in self._offsets.items() if presets.get(name) == label), NO_OFFSET
        )

    def escape_um(self, objective: str | None) -> float | None:
        """The height to go to before the turret turns to ``objective`` (None: back again); None: stay."""
        heights = [
            self._own(label).escape_z_um for label in (self.now, objective or self._return_to) if label
        ]
        asked = [height for height in heights if height is not None]
        return min(asked) if asked else None

    def turns_for(self, objective: str | None) -> bool:
        """Whether the turret has to turn for ``objective`` (None: back, if it was turned for an added image)."""
        if self._return_to is not None and self.now != self._put:
            self._return_to = None  # a script has chosen another one meanwhile: that stays
        wanted = objective or self._return_to
        return wanted is not None and self.now != wanted

    def use(self, objective: str | None) -> None:
        """Put ``objective`` (a label; None: the one before the added images) in place and wait until it is there.

        Raises
        ------
        DeviceError
            If the turret does not arrive.
        """
        wanted = objective or self._return_to
        if wanted is None:
            return
        microscope, before = self._microscope, self.now
        microscope.core.setStateLabel(self.turret, wanted)
        microscope.wait(self.turret)
        if self.now != wanted:
            raise DeviceError(f"{self.turret} was sent to '{wanted}' and is at '{self.now}'.")
        self._return_to = None if objective is None else self._return_to or before
        self._put = wanted
