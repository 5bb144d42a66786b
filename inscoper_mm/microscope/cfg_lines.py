"""Reads the lines of a Micro-Manager configuration file, and says which of them Micro-Manager will not take.

What is refused and what is ignored was found out with MMCore 12: it refuses known commands with a wrong count
of parts and unknown devices, and silently ignores unknown commands, even a known one with a blank before it.
Whatever it refuses is read here all the same, so that old files can be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inscoper_mm.errors import Finding, did_you_mean, one_of
from inscoper_mm.microscope.cfg_model import Affine, Config, Device, PixelSize, Preset, Setting

# The parts that a command may have, itself included. A value left out at the end is an empty one.
_PARTS: Mapping[str, tuple[int, ...]] = {
    "Device": (4,),
    "Property": (3, 4),
    "Label": (4,),
    "ConfigGroup": (2, 5, 6),
    "ConfigPixelSize": (5,),
    "PixelSize_um": (3,),
    "PixelSizeAffine": (8,),
    "PixelSizeAngle_dxdz": (3,),
    "PixelSizeAngle_dydz": (3,),
    "PixelSizeOptimalZ_Um": (3,),
    "Parent": (3,),
    "Delay": (3,),
    "FocusDirection": (3,),
}
# Commands of Micro-Manager 1 that a present Core refuses whatever they say.
_OBSOLETE = ("Equipment", "ImageSynchro", "Config")
# Settings of the Core that name a device.
_ROLES = ("Camera", "Focus", "XYStage", "Shutter", "AutoFocus", "ImageProcessor", "SLM", "Galvo")


class ConfigReader:
    """Collects the lines of one file.

    Parameters
    ----------
    path : Path
    file : str
        The file's name in findings.
    """

    def __init__(self, path: Path, file: str) -> None:
        self.path = path
        self.file = file
        self.devices: dict[str, Device] = {}
        self.settings: list[Setting] = []
        self.groups: dict[str, dict[str, list[Setting]]] = {}
        self.pixel_settings: dict[str, list[Setting]] = {}
        self.sizes_um: dict[str, float] = {}
        self.affines: dict[str, Affine] = {}
        self.labels: dict[str, dict[int, str]] = {}
        self.focus_directions: dict[str, int] = {}
        self.parents: dict[str, str] = {}
        self.findings: list[Finding] = []
        self._line = 0
        self._commands: Mapping[str, Callable[[list[str]], None]] = {
            "Device": self._device,
            "Property": self._property,
            "Label": self._label,
            "ConfigGroup": self._group,
            "ConfigPixelSize": self._pixel_setting,
            "PixelSize_um": self._pixel_size,
            "PixelSizeAffine": self._affine,
            "Parent": self._parent,
            "FocusDirection": self._focus_direction,
        }

    def read(self, text: str) -> Config:
        """The configuration that ``text`` describes."""
        for number, line in enumerate(text.splitlines(), start=1):
            self._line = number
            # Blanks at the ends belong to labels and values.
            if line.strip() and not line.startswith("#"):
                self._read_line(line)
        return Config(
            path=self.path,
            devices=self.devices,
            settings=tuple(self.settings),
            groups={group: _presets(presets) for group, presets in self.groups.items()},
            pixel_sizes={name: self._pixel_preset(name) for name in self.pixel_settings},
            labels=self.labels,
            focus_directions=self.focus_directions,
            parents=self.parents,
            findings=tuple(self.findings),
        )

    def _read_line(self, line: str) -> None:
        command, *parts = line.split(",")
        # The Core drops empty parts at the end.
        while parts and not parts[-1] and len(parts) + 1 > min(_PARTS.get(command, (1,))):
            parts.pop()
        if command in _OBSOLETE:
            self._refuse(f"'{command}' is refused by a present Micro-Manager.", cure="Remove the line.")
        elif command not in _PARTS:
            self._ignored(command)
        elif len(parts) + 1 not in _PARTS[command]:
            allowed = " or ".join(str(count - 1) for count in _PARTS[command])
            self._refuse(
                f"'{command}' has a wrong number of parts.",
                got=f"{len(parts)} after '{command}'",
                allowed=allowed,
            )
        elif command in self._commands:
            self._commands[command](parts)

    def _ignored(self, command: str) -> None:
        near = command.strip() if command.strip() in _PARTS else did_you_mean(command, _PARTS)
        message = f"Micro-Manager ignores this line: it knows no command '{command}'."
        self._refuse(message, level="warning", suggestion=near)

    def _refuse(self, message: str, **fields: Any) -> None:
        self.findings.append(Finding(message, file=self.file, line=self._line, **fields))

    def _need(self, label: str) -> None:
        """The Core refuses a line whose device is not there."""
        if label not in self.devices and label != "Core":
            near = did_you_mean(label, self.devices)
            self._refuse(f"there is no device '{label}'.", allowed=one_of(self.devices), suggestion=near)

    def _device(self, parts: list[str]) -> None:
        label, library, name = parts
        if label in self.devices:
            first = self.devices[label].line
            self._refuse(f"the device '{label}' is already defined in line {first}.")
            return
        self.devices[label] = Device(label, library, name, self._line)

    def _property(self, parts: list[str]) -> None:
        device, name, value = (*parts, "")[:3]
        self._need(device)
        if device == "Core" and name in _ROLES and value:
            self._need(value)
        self.settings.append(Setting(device, name, value, self._line))

    def _label(self, parts: list[str]) -> None:
        device, state, label = parts
        self._need(device)
        if not state.strip().isdecimal():
            self._refuse("a state must be a number; Micro-Manager takes 0.", level="warning", got=state)
        self.labels.setdefault(device, {})[int(state) if state.strip().isdecimal() else 0] = label

    def _group(self, parts: list[str]) -> None:
        presets = self.groups.setdefault(parts[0], {})
        if len(parts) == 1:
            return
        _, preset, device, name, value = (*parts, "")[:5]
        if device not in self.devices and device != "Core":
            message = f"preset '{preset}' sets a device that is not there: '{device}'."
            near = did_you_mean(device, self.devices)
            self._refuse(message, level="warning", suggestion=near)
        presets.setdefault(preset, []).append(Setting(device, name, value, self._line))

    def _pixel_setting(self, parts: list[str]) -> None:
        name, device, prop, value = parts
        self.pixel_settings.setdefault(name, []).append(Setting(device, prop, value, self._line))

    def _pixel_size(self, parts: list[str]) -> None:
        numbers = self._numbers(parts)
        if numbers:
            self.sizes_um[parts[0]] = numbers[0]

    def _affine(self, parts: list[str]) -> None:
        numbers = self._numbers(parts)
        if len(numbers) == 6:
            self.affines[parts[0]] = (*numbers[:3], *numbers[3:])  # type: ignore[assignment]

    def _numbers(self, parts: list[str]) -> list[float]:
        """The numbers after the name of a pixel size preset that is already there."""
        name, *texts = parts
        if name not in self.pixel_settings:
            self._refuse(f"there is no pixel size preset '{name}'.", allowed=one_of(self.pixel_settings))
            return []
        try:
            return [float(text) for text in texts]
        except ValueError:
            self._refuse("is not a number; Micro-Manager takes 0.", level="warning", got=", ".join(texts))
            return []

    def _parent(self, parts: list[str]) -> None:
        self.parents[parts[0]] = parts[1]

    def _focus_direction(self, parts: list[str]) -> None:
        text = parts[1].strip()
        self.focus_directions[parts[0]] = int(text) if text.lstrip("+-").isdecimal() else 0

    def _pixel_preset(self, name: str) -> PixelSize:
        settings = tuple(self.pixel_settings[name])
        return PixelSize(
            name, settings, self.sizes_um.get(name), self.affines.get(name), line=settings[0].line
        )


def _presets(presets: Mapping[str, list[Setting]]) -> dict[str, Preset]:
    return {name: Preset(name, tuple(settings), settings[0].line) for name, settings in presets.items()}
