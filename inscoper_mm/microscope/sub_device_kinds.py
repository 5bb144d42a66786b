"""What a device or a property is for, told from its type and its name: one table for every such decision.

Micro-Manager knows the type of a device, but not that a shutter is a laser, that a voltage is its power, or that a
property moves a stage. Names tell. A wrong guess changes the heading under which a sub-device is listed; what must
not be guessed wrong, the ways round the limits of stage and focus, is decided the careful way round: a property of a
stage can be set only if its name is known to be harmless.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from inscoper_mm.microscope.sub_devices import Kind

DeviceType = Literal[
    "camera",
    "shutter",
    "state",
    "stage",
    "xy stage",
    "serial",
    "generic",
    "autofocus",
    "core",
    "image processor",
    "signal",
    "magnifier",
    "slm",
    "hub",
    "galvo",
    "pump",
]
# The numbers are MMCore's own.
DEVICE_TYPES: Mapping[int, DeviceType] = {
    2: "camera",
    3: "shutter",
    4: "state",
    5: "stage",
    6: "xy stage",
    7: "serial",
    8: "generic",
    9: "autofocus",
    10: "core",
    11: "image processor",
    12: "signal",
    13: "magnifier",
    14: "slm",
    15: "hub",
    16: "galvo",
    17: "pump",
    18: "pump",
}

_LIGHT = re.compile(
    r"laser|(?<![a-z])led(?![a-z])|coolled|lamp|obis|sapphire|halogen|lumen|spectra|light|source",
    re.IGNORECASE,
)
_SHUTTER = re.compile(r"shutter", re.IGNORECASE)
_POWER = re.compile(r"power(?!\s*(on|off|mode|status|state))|intensity|brightness", re.IGNORECASE)
_GAIN = re.compile(r"gain", re.IGNORECASE)

# A signal line's output, under the names that adapters give it.
SIGNAL_PROPERTIES = ("Volts", "Voltage")
# Properties that are another way to what the Core has a function for, by type of device.
OWN_PROPERTIES: Mapping[DeviceType, tuple[str, ...]] = {
    "stage": ("Position",),
    "state": ("State", "Label"),
    "shutter": ("State",),
    "camera": ("Exposure",),
}

# What a stage may be told without moving it and without changing what a micrometre is.
_HARMLESS = re.compile(r"speed|veloc|accel|decel|ramp|settl|wait|UseSequences|UsesCallbacks", re.IGNORECASE)
# Of Micro-Manager's utilities: the properties that say which devices a device drives.
LINKS = re.compile(
    r"(\w )?DA Device|DADevice-\d+|DA for [XY]|PhysicalStage(-\w+)?|PhysicalAxis|Target (Device|Property)"
)
_CORE_SETTABLE = ("AutoShutter", "Shutter")
_ANY_TEXT = re.compile(r"(serial\s*)?command", re.IGNORECASE)
# Of the demo devices.
_NEVER: Mapping[tuple[DeviceType, str], str] = {
    ("camera", "SimulateCrash"): "it crashes the program",
    ("camera", "OnCameraCCDXSize"): "it is the size of the sensor",
    ("camera", "OnCameraCCDYSize"): "it is the size of the sensor",
    ("signal", "Trigger"): "the device refuses it",
    ("state", "Trigger"): "the device refuses it",
}
# Pixels that cannot be stored.
UNSTORABLE_PIXELS = re.compile(r"rgb|bgr|32|64|float", re.IGNORECASE)


def is_light_name(name: str) -> bool:
    """Whether ``name``, of a device or a property, is that of a light source."""
    return bool(_LIGHT.search(name))


def shutter_kind(label: str, adapter: str) -> Kind:
    """``light`` for a shutter device that is a light source, by its label or its adapter's name."""
    if _SHUTTER.search(label):
        return "shutter"
    return "light" if _LIGHT.search(label) or _LIGHT.search(adapter) else "shutter"


def is_offset_drive(adapter: str) -> bool:
    """Whether a stage stands for the offset of an autofocus, where the Core cannot be asked."""
    return adapter == "AutoFocus Stage" or adapter.startswith("TAFStage")


def signal_kind(label: str) -> Kind:
    """``power`` for a line that is called after a light source or after power, otherwise ``signal``."""
    return "power" if _LIGHT.search(label) or _POWER.search(label) else "signal"


def property_kind(device: DeviceType, name: str, numeric: bool) -> Kind:
    """The kind of a property."""
    if device == "camera":
        if name == "Binning":
            return "binning"
        return "gain" if _GAIN.search(name) else "property"
    return "power" if numeric and _POWER.search(name) else "property"


def why_locked(device: DeviceType, name: str) -> str:
    """Why a script may not set a property; empty if it may."""
    if device == "core" and name not in _CORE_SETTABLE:
        return "it says which device has which part, and a run relies on that"
    if device in ("stage", "xy stage") and not _HARMLESS.search(name):
        return "it could lead the stage past its limits"
    if device == "serial":
        return "it belongs to a port"
    if LINKS.fullmatch(name):
        return "which devices a device drives belongs to the configuration"
    if _ANY_TEXT.fullmatch(name):
        return "it sends any text to the device, past all limits"
    return _NEVER.get((device, name), "")
