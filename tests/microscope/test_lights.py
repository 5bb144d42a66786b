"""Which properties switch a light: names as real configurations have them."""

from __future__ import annotations

import pytest

from inscoper_mm.microscope.lights import off_value
from inscoper_mm.microscope.sub_device_kinds import DeviceType

# (type, device, property, its values, the value that switches off)
PROPERTIES: tuple[tuple[DeviceType, str, str, tuple[str, ...], str | None], ...] = (
    ("shutter", "Coherent-Scientific Remote", "Laser 488-150C - State", ("Off", "On"), "Off"),
    ("shutter", "HalogenLamp", "OnOff", ("0", "1"), "0"),
    ("generic", "Laser: Sapphire 488nm", "State", ("1", "0"), "0"),
    ("generic", "Spectra", "Cyan_Enable", ("0", "1"), "0"),
    ("generic", "LED light engine", "Enabled", ("No", "Yes"), "No"),
    ("hub", "MPB Laser 750", "Laser Emission", ("OFF", "ON"), "OFF"),
    ("generic", "Laser 405nm", "Modulation/Trigger", ("CW", "External"), None),
    ("generic", "Laser 405nm", "Minimum Laser Power", (), None),
    ("generic", "Laser 405nm", "Operating State", ("Standby", "Ready", "Off"), None),
    ("state", "Laser", "State", ("0", "1"), None),
    ("camera", "Prime light", "PP  5   ENABLED", ("No", "Yes"), None),
    ("generic", "Heater", "OnOff", ("Off", "On"), None),
    ("xy stage", "Light stage", "State", ("0", "1"), None),
)


@pytest.mark.parametrize("case", PROPERTIES, ids=lambda case: f"{case[1]}, {case[2]}")
def test_switches_of_lights_are_told_by_device_name_and_values(
    case: tuple[DeviceType, str, str, tuple[str, ...], str | None],
) -> None:
    kind, label, name, values, off = case
    assert off_value(kind, label, name, values) == off
