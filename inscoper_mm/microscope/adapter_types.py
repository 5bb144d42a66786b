"""The type of a device, told from its adapter's name where no Core can be asked.

The demo devices and Micro-Manager's utilities are known by name; for others the name is read as people would read it.
A device that no rule knows is ``generic``: then only its properties are sub-devices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from inscoper_mm.microscope.sub_device_kinds import DeviceType

_KNOWN: Mapping[str, Mapping[str, DeviceType]] = {
    "DemoCamera": {
        "DCam": "camera",
        "DWheel": "state",
        "DStateDevice": "state",
        "DObjective": "state",
        "DLightPath": "state",
        "DStage": "stage",
        "DXYStage": "xy stage",
        "DAutoFocus": "autofocus",
        "DShutter": "shutter",
        "D-DA": "signal",
        "D-DA2": "signal",
        "DOptovar": "magnifier",
        "DGalvo": "galvo",
        "DPressurePump": "pump",
        "DVolumetricPump": "pump",
        "TransposeProcessor": "image processor",
        "ImageFlipX": "image processor",
        "ImageFlipY": "image processor",
        "MedianFilter": "image processor",
        "DHub": "hub",
    },
    "Utilities": {
        "Multi Shutter": "shutter",
        "Multi Camera": "camera",
        "Multi Stage": "stage",
        "Combo XY Stage": "xy stage",
        "Single Axis Stage": "stage",
        "DA Shutter": "shutter",
        "DA Monochromator": "shutter",
        "DA Z Stage": "stage",
        "DA XY Stage": "xy stage",
        "DA TTL State Device": "state",
        "DA Galvo": "galvo",
        "Multi DA State Device": "state",
        "AutoFocus Stage": "stage",
        "State Device Shutter": "shutter",
        "Property Shutter": "shutter",
        "Serial port DTR Shutter": "shutter",
        "Stage State Device": "state",
    },
    "SequenceTester": {
        "THub": "hub",
        "TCamera": "camera",
        "TShutter": "shutter",
        "TXYStage": "xy stage",
        "TZStage": "stage",
        "TAFStage": "stage",
        "TAutofocus": "autofocus",
        "TSwitcher": "state",
    },
    "CoherentScientificRemote": {"Coherent-Scientific Remote": "shutter"},
}

# The first that is found in the adapter's name counts.
_RULES: tuple[tuple[str, DeviceType], ...] = (
    (r"hub\b|controller\b", "hub"),
    (r"xy ?stage", "xy stage"),
    (r"crisp|auto-?focus|stabilization|\bpfs\b|definite ?focus", "autofocus"),
    (r"z ?-?stage|z-?drive|piezo|^focus$", "stage"),
    (r"shutter", "shutter"),
    (r"scanner|galvo", "galvo"),
    (r"\bdac?-?\d*\b", "signal"),
    (r"wheel|turret|objective|reflector|sideport|baseport|slider|switch|ttl", "state"),
    (r"camera|cam\b|ixon|cascade", "camera"),
    (r"laser|obis|sapphire|\bled\b", "shutter"),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _RULES)


def adapter_type(library: str, adapter: str) -> DeviceType:
    """The type of the device ``adapter`` of ``library``; ``generic`` where the names do not tell."""
    if library == "SerialManager":
        return "serial"
    names = _KNOWN.get(library, {})
    # The sequence tester numbers its devices.
    known = names.get(adapter) or names.get(re.sub(r"-\d+$", "", adapter))
    if known is not None:
        return known
    return next((kind for pattern, kind in _COMPILED if pattern.search(adapter)), "generic")
