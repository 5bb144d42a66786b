"""Configuration files of real labs: every total against a plain count of the lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inscoper_mm.microscope.cfg import Config, read_config
from inscoper_mm.microscope.inventory_cfg import config_inventory
from inscoper_mm.microscope.sub_device_ids import make_id, split_id
from inscoper_mm.microscope.sub_devices import Inventory

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "mm" / "cfg"
REAL_FILES = sorted(REAL.glob("*/*.cfg"))

needs_files = pytest.mark.skipif(
    not REAL_FILES, reason="the collection of real configuration files is not here"
)
each_file = pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.stem)


@dataclass
class Counted:
    """A file's lines, split at the commas and sorted by their first word; nothing is understood."""

    lines: list[list[str]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> Counted:
        text = path.read_bytes().decode("latin-1").replace("\r", "")
        return cls([line.split(",") for line in text.split("\n") if line and line[0] != "#"])

    def words(self, *start: str) -> list[list[str]]:
        return [line for line in self.lines if line[: len(start)] == list(start)]

    @property
    def devices(self) -> set[str]:
        return {line[1] for line in self.words("Device")}

    @property
    def labelled(self) -> dict[str, set[str]]:
        """Device -> the labels of its states."""
        found: dict[str, dict[str, str]] = {}
        for _, device, state, label in self.words("Label"):
            found.setdefault(device, {})[state] = label
        return {device: set(labels.values()) for device, labels in found.items()}

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """The (device, property) pairs that any line names, of devices that are there."""
        found = {(line[1], line[2]) for line in self.words("Property")}
        found |= {(line[3], line[4]) for line in self.words("ConfigGroup") if len(line) > 4}
        found |= {(line[2], line[3]) for line in self.words("ConfigPixelSize")}
        return {pair for pair in found if pair[0] in self.devices}

    @property
    def early_pairs(self) -> set[tuple[str, str]]:
        """Those that only lines before the initialisation name."""
        border = self.lines.index(["Property", "Core", "Initialize", "1"])
        before = {(line[1], line[2]) for line in self.lines[:border] if line[0] == "Property"}
        return {pair for pair in before if pair in self.pairs} - Counted(
            self.lines[border:] + self.words("Device")
        ).pairs


def read(path: Path) -> tuple[Config, Inventory, Counted]:
    config = read_config(path)
    return config, config_inventory(config), Counted.of(path)


@needs_files
def test_all_files_are_here() -> None:
    assert len(REAL_FILES) == 23


@each_file
def test_devices_and_roles(path: Path) -> None:
    config, _, count = read(path)
    assert set(config.devices) == count.devices
    said = {line[2]: ",".join(line[3:]) for line in count.words("Property", "Core")}
    said |= {line[4]: line[5] for line in count.words("ConfigGroup", "System", "Startup", "Core")}
    assert config.roles == said


@each_file
def test_groups_and_channels(path: Path) -> None:
    config, _, count = read(path)
    groups = {line[1]: set() for line in count.words("ConfigGroup")}
    for line in count.words("ConfigGroup"):
        groups[line[1]] |= {line[2]} if len(line) > 2 and line[2] else set()
    assert {group: set(presets) for group, presets in config.groups.items()} == groups
    assert set(config.groups.get("Channel", {})) == groups.get("Channel", set())


@each_file
def test_pixel_sizes(path: Path) -> None:
    config, _, count = read(path)
    sizes = {line[1]: float(line[2]) for line in count.words("PixelSize_um")}
    assert {
        name: size.size_um for name, size in config.pixel_sizes.items() if size.size_um is not None
    } == sizes


@each_file
def test_every_property_of_a_line_has_one_id(path: Path) -> None:
    _, inventory, count = read(path)
    for device, name in count.pairs:
        found = inventory.resolve(make_id(device, name))
        assert found.device == device
        assert inventory.resolve(found.id) is found
    # State and Label of a device with labelled states are one thing; nothing else is counted twice or lost.
    apart = {(d, "State" if d in count.labelled and name == "Label" else name) for d, name in count.pairs}
    assert len({inventory.resolve(make_id(*pair)).id for pair in count.pairs}) == len(apart)


@each_file
def test_ids_lead_back_to_devices_of_the_file(path: Path) -> None:
    _, inventory, count = read(path)
    for each in inventory:
        assert split_id(each.id)[0] == each.device
        assert each.device in count.devices | {"Core"}
    assert inventory.open_devices == count.devices


@each_file
def test_states_have_the_labels_of_the_lines(path: Path) -> None:
    _, inventory, count = read(path)
    states = {each.device: set(each.constraints.values) for each in inventory if each.kind == "state"}
    assert {device: labels for device, labels in states.items() if labels} == {
        device: labels for device, labels in count.labelled.items() if device in count.devices
    }


@each_file
def test_what_is_set_before_the_devices_are_initialised_stays(path: Path) -> None:
    _, inventory, count = read(path)
    for pair in count.early_pairs:
        found = inventory.resolve(make_id(*pair))
        assert found.access != "property" or not found.constraints.settable, found.id


# File -> (kind, ids) that people would name, one for each kind of difficulty.
EXPECTED = {
    "OPM_mmgr": {
        "focus": ("MCL NanoDrive Z Stage", "ZStage:M:37", "ImageGalvoMirrorRange"),
        "stage": ("XYStage:XY:31.X", "XYStage:XY:31.Y"),
        "power": tuple(
            f"Coherent-Scientific Remote.Laser {each} - PowerSetpoint (%)"
            for each in ("405-100C", "488-150C", "OBIS LS 561-150", "637-140C", "730-30C")
        ),
        "state": ("Laser", "OPM-live-mode", "ImageCameraCrop"),
        "signal": ("ImageGalvoRange.Volts",),
    },
    "ht-main_Prime_Lasers": {
        "light": ("Laser: Obis 405nm", "Laser: Sapphire 488nm"),
        "focus": ("Analog Z-Stage",),
        "state": ("Arduino-Switch",),
        "shutter": ("Arduino-Shutter",),
        "signal": ("DAC0.Volts", "DAC1.Volts", "DAC2.Volts"),
    },
    "20250523-OPM": {
        "exposure": ("Camera-1.Exposure", "Camera-2.Exposure", "Multi Camera.Exposure"),
        "roi": ("Multi Camera.ROI",),
        "galvo": ("Scanner:AB:33",),
        "focus": ("ZStage:Z:32", "PiezoStage:P:34", "ZStage:F:35"),
    },
    "ASI": {
        "light": ("LED:L:37:1", "LED:L:37:2", "LED:L:37:3", "LED:L:37:4"),
        "power": ("LED:L:37:1.LED Intensity(%)",),
        "state": ("FilterSlider:S:32",),
    },
    "Zyla_and_Obis405": {"exposure": ('"Andor Zyla 4.2".Exposure',), "light": ("Coherent Obis 405",)},
    "MMConfig_andor": {
        "state": ("Dichroic", "Emission", "Excitation", "Objective"),
        "focus": ("X", "Y", "Z"),
    },
    "MMConfig_bitflow": {"exposure": ("BitFlowCamera.Exposure",), "state": ()},
}


@needs_files
@pytest.mark.parametrize("name", EXPECTED)
def test_what_people_would_name(name: str) -> None:
    (path,) = (each for each in REAL_FILES if each.stem == name)
    _, inventory, _ = read(path)
    assert {kind: inventory.ids(kind) for kind in EXPECTED[name]} == EXPECTED[name]


@needs_files
def test_the_run_moves_the_focus_drive_that_the_file_names() -> None:
    axes = {path.stem: [each.id for each in read(path)[1] if each.axis == "z_um"] for path in REAL_FILES}
    assert axes["OPM_mmgr"] == ["ZStage:M:37"]
    assert axes["ht-main_Prime_Lasers"] == ["Analog Z-Stage"]
    assert axes["MMConfig_QCam"] == []
