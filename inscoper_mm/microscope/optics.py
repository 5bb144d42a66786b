"""Which camera and which objective the microscope uses: the names that calibrations hold for."""

from __future__ import annotations

import re
from typing import Any

from inscoper_mm.experiment.calibration import Optics

_OBJECTIVE = re.compile(r"objective|nosepiece|lens.?turret", re.IGNORECASE)
# The Core's number for devices with labelled states (MM::StateDevice).
_STATE_DEVICE = 4
_STATES = ("Label", "State")


class OpticsReader:
    """Reads camera, objective and pixel size preset from the Core's own memory, in some microseconds.

    Parameters
    ----------
    core : CMMCore
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        self._turret: str | None = None
        self._last: Optics | None = None

    def read(self) -> Optics:
        """Camera and objective as they are now."""
        core = self._core
        turret = self._turret
        if turret is None:
            turret = self._turret = find_objective_turret(core)
        objective = core.getPropertyFromCache(turret, "Label") if turret else ""
        values = (core.getCameraDevice(), objective, core.getCurrentPixelSizeConfig(True))
        last = self._last
        if last is None or (last.camera, last.objective, last.preset) != values:
            last = self._last = Optics(*(str(value) for value in values))
        return last


def find_objective_turret(core: Any) -> str:
    """The label of the device that changes objectives; empty where none can be told.

    It is the state device that the group "Objective" sets, else the one whose label speaks of objectives, else the one
    that the pixel size presets look at.
    """
    devices = [str(label) for label in core.getLoadedDevicesOfType(_STATE_DEVICE)]
    groups = [str(name) for name in core.getAvailableConfigGroups() if _OBJECTIVE.search(str(name))]
    set_by = [device for group in groups for device in _devices_of(core, group)]
    named = [device for device in devices if _OBJECTIVE.search(device)]
    candidates = [device for device in (*set_by, *named, *_devices_of_pixel_sizes(core)) if device in devices]
    return candidates[0] if candidates else ""


def _devices_of(core: Any, group: str) -> list[str]:
    presets = core.getAvailableConfigs(group)
    return _devices_in(core.getConfigData(group, presets[0])) if presets else []


def _devices_of_pixel_sizes(core: Any) -> list[str]:
    presets = core.getAvailablePixelSizeConfigs()
    return _devices_in(core.getPixelSizeConfigData(presets[0])) if presets else []


def _devices_in(settings: Any) -> list[str]:
    found = [settings.getSetting(number) for number in range(settings.size())]
    return [str(setting.getDeviceLabel()) for setting in found if setting.getPropertyName() in _STATES]
