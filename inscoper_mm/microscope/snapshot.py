"""How a microscope was before a run: every setting that a run can change, so that it can be set back.

Taken from what the Core remembers of its devices, which asks them nothing and takes a millisecond. Only states (of
turrets and wheels) and the modes of cameras (properties with a list of values) are read: for a wheel set by its
label, and for modes that change one another, the Core remembers the old value.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.core_rules import preset_lines
from inscoper_mm.microscope.lights import lights_of, of_type
from inscoper_mm.microscope.sub_device_kinds import (
    DEVICE_TYPES,
    OWN_PROPERTIES,
    DeviceType,
    why_locked,
)

CORE = "Core"
# Which device has which part. "Initialize" loads devices and is never set.
_ROLES = (
    "Camera",
    "Shutter",
    "AutoShutter",
    "Focus",
    "XYStage",
    "AutoFocus",
    "Galvo",
    "SLM",
    "ImageProcessor",
    "ChannelGroup",
)
# It has the settings of its cameras, which are set back themselves.
_COMPOUND_CAMERA = "Multi Camera"

T = TypeVar("T")
Setting = tuple[str, str]
Region = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The settings of a microscope at one time.

    Attributes
    ----------
    properties : mapping
        (device, property) -> value as text, for those that can be set back.
    modes : frozenset
        Those of them that were read from the device, and have to be read again.
    exposures_ms, regions_px, galvos : mapping
        By device: what the Core has functions for. A region is (x, y, width, height).
    lights : mapping
        Id of each light or shutter -> its state in words.
    position : StagePosition
        Where stage and focus were.
    """

    properties: Mapping[Setting, str] = field(default_factory=dict)
    modes: frozenset[Setting] = frozenset()
    exposures_ms: Mapping[str, float] = field(default_factory=dict)
    regions_px: Mapping[str, Region] = field(default_factory=dict)
    galvos: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lights: Mapping[str, str] = field(default_factory=dict)
    position: StagePosition = field(default_factory=StagePosition)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that have something to be set back, the Core first, then the cameras."""
        labels = [label for label, _ in self.properties]
        return tuple(dict.fromkeys((CORE, *self.exposures_ms, *labels, *self.galvos)))


def take_snapshot(microscope: Microscope) -> Snapshot:
    """The present settings. What a device does not tell is left out, and will not be set back."""
    core = microscope.core
    cameras = _cameras(core)
    properties = dict(_properties(core))
    modes = dict(_modes(core, cameras, properties))
    return Snapshot(
        properties=properties | modes,
        modes=frozenset(modes),
        exposures_ms=_read(cameras, lambda label: float(core.getExposure(label))),
        regions_px=_read(cameras, lambda label: region_of(core, label)),
        galvos=_read(of_type(core, "galvo"), lambda label: galvo_at(core, label)),
        lights={light.id: _state(light.state) for light in lights_of(core)},
        position=microscope.position(),
    )


def region_of(core: Any, camera: str) -> Region:
    """(x, y, width, height) of what is read of the sensor, in binned pixels."""
    x, y, width, height = (int(each) for each in core.getROI(camera))
    return x, y, width, height


def galvo_at(core: Any, galvo: str) -> tuple[float, float]:
    """Where a galvo points."""
    x, y = (float(each) for each in core.getGalvoPosition(galvo))
    return x, y


def cached_properties(core: Any) -> dict[Setting, str]:
    """All properties that can be written, with the values that the Core remembers; asks no device."""
    state = core.getSystemStateCache()
    settings = (state.getSetting(number) for number in range(state.size()))
    return {
        (str(each.getDeviceLabel()), str(each.getPropertyName())): str(each.getPropertyValue())
        for each in settings
        if not each.getReadOnly()
    }


def same_value(one: str, other: str) -> bool:
    """Whether two texts of a property mean the same value: adapters write numbers in their own way."""
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-6, abs_tol=1e-9)
    except ValueError:
        return False


def settings_of(core: Any, group: str, preset: str) -> dict[Setting, str]:
    """What a preset sets."""
    return {(line.device, line.property): line.value for line in preset_lines(core, group, preset)}


# -- which properties


def _properties(core: Any) -> Iterator[tuple[Setting, str]]:
    of_presets = set(_of_presets(core))
    kinds: dict[str, DeviceType] = {}
    for (label, name), value in cached_properties(core).items():
        if label == CORE:
            if name in _ROLES:
                yield (label, name), value
            continue
        if label not in kinds:
            kinds[label] = DEVICE_TYPES.get(int(core.getDeviceType(label)), "generic")
        kind = kinds[label]
        changed_by_runs = _can_be_set_back(kind, name, (label, name) in of_presets)
        if changed_by_runs and not core.isPropertyPreInit(label, name):
            yield (label, name), value


def _modes(core: Any, cameras: list[str], properties: Mapping[Setting, str]) -> Iterator[tuple[Setting, str]]:
    """Not the numbers of cameras: a temperature that changes by itself must not become what the camera is to keep."""
    states = [(label, "State") for label in of_type(core, "state")]
    for key in properties:
        if key in states or (key[0] in cameras and core.getAllowedPropertyValues(*key)):
            with contextlib.suppress(RuntimeError):
                yield key, str(core.getProperty(*key))


def _can_be_set_back(kind: DeviceType, name: str, of_preset: bool) -> bool:
    """Whether a run may change the property, and setting it is no move and no action."""
    if kind == "state":
        return name == "State" or (name != "Label" and not why_locked(kind, name))
    if name in OWN_PROPERTIES.get(kind, ()):
        return False  # stages, shutters and exposures have their own ways back
    return of_preset or not why_locked(kind, name)


def _of_presets(core: Any) -> Iterator[Setting]:
    for group in map(str, core.getAvailableConfigGroups()):
        for preset in map(str, core.getAvailableConfigs(group)):
            yield from settings_of(core, group, preset)


def _cameras(core: Any) -> list[str]:
    return [label for label in of_type(core, "camera") if core.getDeviceName(label) != _COMPOUND_CAMERA]


def _read(labels: list[str], read: Callable[[str], T]) -> dict[str, T]:
    found = {}
    for label in labels:
        with contextlib.suppress(RuntimeError):
            found[label] = read(label)
    return found


def _state(read: Callable[[], str]) -> str:
    try:
        return read()
    except RuntimeError:
        return "unknown"
