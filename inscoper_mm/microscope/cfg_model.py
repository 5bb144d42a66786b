"""What a Micro-Manager configuration file says, as values. No Core is needed to look at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inscoper_mm.errors import Finding

Affine = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the configuration: its label, and the adapter library and name that make it."""

    label: str
    library: str
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A property and its value. Labels and values are kept as they are, with leading blanks and colons."""

    device: str
    property: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of settings; ``line`` is that of its first."""

    name: str
    settings: tuple[Setting, ...]
    line: int


@dataclass(frozen=True, slots=True)
class PixelSize:
    """A pixel size preset: it holds when the microscope is in the state of its ``settings``.

    ``affine`` maps pixels to stage micrometres, row-major 2 x 3, as Micro-Manager writes it.
    """

    name: str
    settings: tuple[Setting, ...]
    size_um: float | None
    affine: Affine | None
    line: int


@dataclass(frozen=True, slots=True)
class Config:
    """A Micro-Manager configuration file.

    Attributes
    ----------
    path : Path
    devices : mapping
        Label -> device.
    settings : tuple of Setting
        All lines ``Property`` in order, those of the Core included.
    groups : mapping
        Group -> preset name -> preset.
    pixel_sizes : mapping
        Name -> pixel size preset.
    labels : mapping
        Device -> state -> label.
    focus_directions : mapping
        Device -> -1, 0 (unknown) or 1.
    parents : mapping
        Device -> hub.
    findings : tuple of Finding
        What Micro-Manager will refuse (errors) or ignore (warnings) in the file.
    """

    path: Path
    devices: Mapping[str, Device]
    settings: tuple[Setting, ...]
    groups: Mapping[str, Mapping[str, Preset]]
    pixel_sizes: Mapping[str, PixelSize]
    labels: Mapping[str, Mapping[int, str]]
    focus_directions: Mapping[str, int]
    parents: Mapping[str, str]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def startup(self) -> tuple[Setting, ...]:
        """The preset ``System/Startup``, which is applied when the file is loaded."""
        preset = self.groups.get("System", {}).get("Startup")
        return preset.settings if preset else ()

    @property
    def roles(self) -> dict[str, str]:
        """The Core's settings after loading: ``Camera``, ``Focus``, ``XYStage``, ``ChannelGroup`` ..."""
        every = (*self.settings, *self.startup)
        return {each.property: each.value for each in every if each.device == "Core"}

    def pixel_size_at_start(self) -> PixelSize | None:
        """The pixel size preset that holds after loading, as far as the file determines the state."""
        state = {
            (each.device, each.property): self._as_state(each) for each in (*self.settings, *self.startup)
        }
        state |= {(each.device, "State"): value for each in self.startup if (value := self._state_of(each))}
        for preset in self.pixel_sizes.values():
            if preset.settings and all(self._holds(each, state) for each in preset.settings):
                return preset
        return None

    def devices_named(self, kinds: Iterable[tuple[str, str]]) -> list[str]:
        """The labels of devices made by one of the (library, name) pairs ``kinds``."""
        wanted = set(kinds)
        return [device.label for device in self.devices.values() if (device.library, device.name) in wanted]

    def _holds(self, setting: Setting, state: Mapping[tuple[str, str], str]) -> bool:
        own = self._state_of(setting)
        if own is not None:
            return state.get((setting.device, "State")) == own
        return state.get((setting.device, setting.property)) == setting.value

    def _as_state(self, setting: Setting) -> str:
        return self._state_of(setting) or setting.value

    def _state_of(self, setting: Setting) -> str | None:
        """The number of the state that a ``Label`` or ``State`` setting chooses."""
        if setting.property == "State":
            return setting.value
        if setting.property != "Label":
            return None
        states = self.labels.get(setting.device, {})
        return next((str(state) for state, label in states.items() if label == setting.value), None)
