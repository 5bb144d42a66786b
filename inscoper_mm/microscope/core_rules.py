"""What the guard asks of the loaded Core: the lines of a preset, and what the objective in place is called."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from inscoper_mm.microscope.settings import PresetSetting

_STATE_DEVICE = 4


def preset_lines(core: Any, group: str, name: str) -> tuple[PresetSetting, ...]:
    """The lines of a preset; empty where there is no such preset, which is told when it is applied."""
    if not core.isConfigDefined(group, name):
        return ()
    data = core.getConfigData(group, name)
    lines = (data.getSetting(number) for number in range(data.size()))
    return tuple(
        PresetSetting(str(line.getDeviceLabel()), str(line.getPropertyName()), str(line.getPropertyValue()))
        for line in lines
    )


class Objectives:
    """What of ``names`` holds now: labels of state devices, or presets of a group.

    Parameters
    ----------
    core : CMMCore
    names : iterable of str
        Labels or presets, as the experiment calls its objectives.
    """

    def __init__(self, core: Any, names: Iterable[str]) -> None:
        self._core = core
        self._wanted = {name.lower(): name for name in names}
        self._found: set[str] = set()
        devices = [str(each) for each in core.getLoadedDevices() if core.getDeviceType(each) == _STATE_DEVICE]
        groups = [str(each) for each in core.getAvailableConfigGroups()]
        self._devices = [each for each in devices if self._has(core.getStateLabels(each))]
        self._groups = [each for each in groups if self._has(core.getAvailableConfigs(each))]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names that no state device and no group has."""
        return tuple(name for lower, name in self._wanted.items() if lower not in self._found)

    def __call__(self) -> Collection[str]:
        """The labels and presets that hold now."""
        core = self._core
        labels = [str(core.getStateLabel(each)) for each in self._devices]
        return [*labels, *(str(core.getCurrentConfig(each)) for each in self._groups)]

    def _has(self, names: Iterable[str]) -> bool:
        mine = {str(name).lower() for name in names} & self._wanted.keys()
        self._found |= mine
        return bool(mine)
