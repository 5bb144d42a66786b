"""The sub-devices of a microscope as far as its configuration file tells them, without a Core.

A file names the devices, their labels and some of their properties. So every main sub-device is known, but not every
property: a name such as ``Camera.Gain`` may exist although no line of the file has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inscoper_mm.microscope.adapter_types import adapter_type
from inscoper_mm.microscope.cfg_model import Config, Setting
from inscoper_mm.microscope.inventory_build import DeviceFacts, PropertyFacts, Roles, build_inventory
from inscoper_mm.microscope.sub_device_kinds import DeviceType, is_offset_drive
from inscoper_mm.microscope.sub_devices import Inventory

_TYPE_OF_ROLE: Mapping[str, DeviceType] = {
    "Camera": "camera",
    "Focus": "stage",
    "XYStage": "xy stage",
    "Shutter": "shutter",
    "AutoFocus": "autofocus",
    "SLM": "slm",
    "Galvo": "galvo",
}
_CORE_PROPERTIES = (
    *_TYPE_OF_ROLE,
    "AutoShutter",
    "ChannelGroup",
    "ImageProcessor",
    "Initialize",
    "TimeoutMs",
)


def config_inventory(config: Config) -> Inventory:
    """What can be set on the devices of a configuration file, as far as the file tells."""
    types = _types(config)
    properties = _properties(config)
    devices = [
        DeviceFacts(
            label=label,
            type=types[label],
            adapter=device.name,
            properties=properties.get(label, {}),
            labels=tuple(text for _, text in sorted(config.labels.get(label, {}).items())),
            focus_direction=config.focus_directions.get(label, 0),
            offset_drive=is_offset_drive(device.name),
            complete=False,
        )
        for label, device in config.devices.items()
    ]
    core = DeviceFacts("Core", "core", properties=dict.fromkeys(_CORE_PROPERTIES, PropertyFacts()))
    return build_inventory([*devices, core], _roles(config, types))


def _types(config: Config) -> dict[str, DeviceType]:
    """What each device is: by its adapter, and better by what the file does with it."""
    types = {label: adapter_type(each.library, each.name) for label, each in config.devices.items()}
    seen: dict[str, DeviceType] = dict.fromkeys(config.parents.values(), "hub")
    seen |= dict.fromkeys(config.labels, "state")
    seen |= dict.fromkeys(config.focus_directions, "stage")
    for each in _settings(config):
        if each.device == "Core" and each.property in _TYPE_OF_ROLE:
            seen[each.value] = _TYPE_OF_ROLE[each.property]
    return types | {label: kind for label, kind in seen.items() if label in types}


def _roles(config: Config, types: Mapping[str, DeviceType]) -> Roles:
    """The devices of the Core; where the file does not say, it takes the first that it loads."""
    given = config.roles

    def role(name: str) -> str:
        wanted = _TYPE_OF_ROLE[name]
        return given.get(name) or next((label for label, kind in types.items() if kind == wanted), "")

    return Roles(role("Camera"), given.get("Focus", ""), role("XYStage"), role("AutoFocus"))


def _settings(config: Config) -> Iterator[Setting]:
    yield from config.settings
    for presets in config.groups.values():
        for preset in presets.values():
            yield from preset.settings
    for size in config.pixel_sizes.values():
        yield from size.settings


def _properties(config: Config) -> dict[str, dict[str, PropertyFacts]]:
    """The properties that the file names, by device. Those only set before the devices are initialised stay so."""
    initialised = max((each.line for each in config.settings if _initialises(each)), default=0)
    before = {id(each) for each in config.settings if each.line < initialised}
    at_start = {(each.device, each.property): each.value for each in (*config.settings, *config.startup)}
    found: dict[str, dict[str, PropertyFacts]] = {}
    for each in _settings(config):
        known = found.setdefault(each.device, {})
        early = id(each) in before and known.get(each.property, PropertyFacts(pre_init=True)).pre_init
        value = at_start.get((each.device, each.property))
        known[each.property] = PropertyFacts(
            "number" if _is_number(each.value) else "text", pre_init=early, value=value
        )
    return found


def _initialises(setting: Setting) -> bool:
    return (setting.device, setting.property, setting.value) == ("Core", "Initialize", "1")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
