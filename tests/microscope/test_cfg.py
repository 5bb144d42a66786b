"""Configuration files read without a Core: known answers, real files of real labs, and the Core itself as judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.model import MicroscopeConfig
from inscoper_mm.microscope.cfg import Config, demo_adapters, demo_configs, find_config, read_config

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "mm" / "cfg"
REAL_FILES = sorted(REAL.glob("*/*.cfg"))

BASE = """# A small microscope
Property,Core,Initialize,0
Device,Hub:1,DemoCamera,DHub
Device,Camera,DemoCamera,DCam
Device,Objective,DemoCamera,DObjective
Device,Focus drive,DemoCamera,DStage
Property,Camera,MaximumExposureMs,10000.0
Parent,Camera,Hub:1
Property,Core,Initialize,1
FocusDirection,Focus drive,-1
Property,Core,Camera,Camera
Property,Core,Focus,Focus drive
Label,Objective,0,  10x: dry
Label,Objective,1,40x
ConfigGroup,Channel,DAPI,Camera,Gain,1
ConfigGroup,Channel,DAPI,Core,Shutter,
ConfigGroup,Channel,No light,Camera,Gain,0
ConfigGroup,Empty
ConfigGroup,System,Startup,Objective,Label,40x
ConfigPixelSize,Res10,Objective,State,0
PixelSize_um,Res10,1.3
ConfigPixelSize,Res40,Objective,State,1
PixelSize_um,Res40,0.325
PixelSizeAffine,Res40,0.325,0.0,0.0,0.0,-0.325,0.0
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Config]:
    def read_text(text: str) -> Config:
        path = tmp_path / "scope.cfg"
        path.write_bytes(text.encode())
        return read_config(path)

    return read_text


def test_everything_that_a_file_says(read: Callable[[str], Config]) -> None:
    config = read(BASE)
    assert not config.findings
    assert {label: (each.library, each.name, each.line) for label, each in config.devices.items()} == {
        "Hub:1": ("DemoCamera", "DHub", 3),
        "Camera": ("DemoCamera", "DCam", 4),
        "Objective": ("DemoCamera", "DObjective", 5),
        "Focus drive": ("DemoCamera", "DStage", 6),
    }
    assert config.roles == {"Initialize": "1", "Camera": "Camera", "Focus": "Focus drive"}
    assert config.labels == {"Objective": {0: "  10x: dry", 1: "40x"}}
    assert {group: list(presets) for group, presets in config.groups.items()} == {
        "Channel": ["DAPI", "No light"],
        "Empty": [],
        "System": ["Startup"],
    }
    dapi = config.groups["Channel"]["DAPI"]
    assert [(each.device, each.property, each.value, each.line) for each in dapi.settings] == [
        ("Camera", "Gain", "1", 15),
        ("Core", "Shutter", "", 16),
    ]
    assert (config.focus_directions, config.parents) == ({"Focus drive": -1}, {"Camera": "Hub:1"})
    assert config.pixel_sizes["Res40"].affine == (0.325, 0.0, 0.0, 0.0, -0.325, 0.0)
    assert config.pixel_sizes["Res10"].affine is None


# The pixel size after loading: (lines added at the end, size in micrometres).
PIXEL_SIZES = {
    "label chosen at start": ("", 0.325),
    "start says nothing": ("ConfigGroup,System,Startup,Objective,State,7", None),
    "state chosen at start": ("ConfigGroup,System,Startup,Objective,State,0", 1.3),
    "label with blanks and colon": ("ConfigGroup,System,Startup,Objective,Label,  10x: dry", 1.3),
}


@pytest.mark.parametrize(("line", "size_um"), PIXEL_SIZES.values(), ids=PIXEL_SIZES.keys())
def test_the_pixel_size_that_holds_after_loading(
    line: str, size_um: float | None, read: Callable[[str], Config]
) -> None:
    preset = read(f"{BASE}{line}\n").pixel_size_at_start()
    assert (preset.size_um if preset else None) == size_um


# A line after BASE: (text, level, what is said, suggestion). The levels were seen in MMCore 12.5.
BAD_LINES = {
    "misspelt": ("Propety,Core,Camera,Camera", "warning", "ignores this line", "Property"),
    "blank before": (" Property,Core,Camera,Camera", "warning", "ignores this line", "Property"),
    "lower case": ("label,Objective,1,a", "warning", "ignores this line", "Label"),
    "unknown": ("Foo,1,2", "warning", "ignores this line", None),
    "too many parts": ("Property,Core,Camera,Camera,x", "error", "wrong number of parts", None),
    "comma in a label": ("Label,Objective,1,a,b", "error", "wrong number of parts", None),
    "too few parts": ("Device,a,b", "error", "wrong number of parts", None),
    "preset without setting": ("ConfigGroup,G,P", "error", "wrong number of parts", None),
    "affine of five": ("PixelSizeAffine,Res10,1,0,0,1,0", "error", "wrong number of parts", None),
    "device twice": ("Device,Camera,DemoCamera,DCam", "error", "already defined in line 4", None),
    "property of nothing": ("Property,Camra,Gain,1", "error", "no device 'Camra'", "Camera"),
    "label of nothing": ("Label,Q,1,a", "error", "no device 'Q'", None),
    "role of nothing": ("Property,Core,Camera,Camra", "error", "no device 'Camra'", "Camera"),
    "comment at the end": ("Property,Core,Camera,Camera # 1", "error", "no device 'Camera # 1'", "Camera"),
    "pixel size of nothing": ("PixelSize_um,Res20,0.5", "error", "no pixel size preset 'Res20'", None),
    "pixel size word": ("PixelSize_um,Res10,abc", "warning", "not a number", None),
    "state word": ("Label,Objective,a,foo", "warning", "must be a number", None),
    "preset of nothing": ("ConfigGroup,G,P,Camra,Gain,1", "warning", "a device that is not there", "Camera"),
    "version 1": ("ImageSynchro,Camera", "error", "refused by a present Micro-Manager", None),
}


@pytest.mark.parametrize(("line", "level", "says", "meant"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_line_that_micro_manager_refuses_or_ignores(
    line: str, level: str, says: str, meant: str | None, read: Callable[[str], Config]
) -> None:
    (finding,) = read(f"{BASE}{line}\n").findings
    assert (finding.level, finding.line, finding.suggestion) == (level, 25, meant)
    assert says in finding.message


@pytest.mark.parametrize(
    ("data", "label"),
    [(BASE.replace("\n", "\r\n").encode(), "40x"), (BASE.replace("40x", "40×").encode("cp1252"), "40×")],
    ids=["CR LF", "Windows code page"],
)
def test_line_ends_and_code_pages(data: bytes, label: str, tmp_path: Path) -> None:
    path = tmp_path / "scope.cfg"
    path.write_bytes(data)
    config = read_config(path)
    assert not config.findings
    assert config.labels["Objective"][1] == label


def counted(path: Path) -> Counter[str]:
    """The commands of a file, counted by the plainest means."""
    text = path.read_bytes().decode("latin-1").replace("\r", "")
    return Counter(line.split(",")[0] for line in text.split("\n") if line and line[0] != "#")


@pytest.mark.skipif(not REAL_FILES, reason="the collection of real configuration files is not here")
def test_all_real_files_are_read_whole() -> None:
    assert len(REAL_FILES) == 23
    for path in REAL_FILES:
        config, count = read_config(path), counted(path)
        assert len(config.devices) == count["Device"], path
        assert len(config.settings) == count["Property"], path
        assert sum(len(states) for states in config.labels.values()) == count["Label"], path
        presets = [preset for group in config.groups.values() for preset in group.values()]
        assert sum(len(preset.settings) for preset in presets) == count["ConfigGroup"], path
        assert sum(len(size.settings) for size in config.pixel_sizes.values()) == count["ConfigPixelSize"], (
            path
        )
        assert (
            sum(size.size_um is not None for size in config.pixel_sizes.values()) == count["PixelSize_um"]
        ), path
        assert (
            sum(size.affine is not None for size in config.pixel_sizes.values()) == count["PixelSizeAffine"]
        ), path
        assert (len(config.parents), len(config.focus_directions)) == (
            count["Parent"],
            count["FocusDirection"],
        ), path


@pytest.mark.skipif(not REAL_FILES, reason="the collection of real configuration files is not here")
def test_what_is_wrong_with_real_files_is_said_with_the_line() -> None:
    said = {path.name: read_config(path).findings for path in REAL_FILES}
    assert {
        name for name, findings in said.items() if any("Propety" in each.message for each in findings)
    } == {
        "OPM_mmgr.cfg",
        "OPM_alignment_config.cfg",
        "OPM_20250312.cfg",
    }
    ham = [(each.line, each.suggestion) for each in said["MMConfig_ham.cfg"]]
    assert ham == [(24, "Sideport"), (25, "Sideport"), (26, "Sideport"), (70, None), (71, None)]
    assert not said["ASI.cfg"]


@pytest.fixture(params=["demo", "galvo", "galvo_2cam_lasers"])
def demo_core(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Config]]:
    import pymmcore

    path, adapters = find_config(MicroscopeConfig(config=request.param))
    core = pymmcore.CMMCore()
    core.setDeviceAdapterSearchPaths([str(adapters)])
    core.loadSystemConfiguration(str(path))
    yield core, read_config(path)
    core.unloadAllDevices()


@pytest.mark.demo
def test_the_core_says_the_same_of_the_demo_configurations(demo_core: tuple[Any, Config]) -> None:
    core, config = demo_core
    assert not config.findings
    assert set(config.devices) == set(core.getLoadedDevices()) - {"Core"}
    assert {group: set(presets) for group, presets in config.groups.items()} == {
        group: set(core.getAvailableConfigs(group)) for group in core.getAvailableConfigGroups()
    }
    assert set(config.pixel_sizes) == set(core.getAvailablePixelSizeConfigs())
    size = config.pixel_size_at_start()
    assert size is not None
    assert (size.name, size.size_um) == (core.getCurrentPixelSizeConfig(), core.getPixelSizeUm())
    for device, states in config.labels.items():
        assert list(core.getStateLabels(device)) == [states[state] for state in sorted(states)]
    roles = config.roles
    assert (roles["Camera"], roles["Focus"]) == (core.getCameraDevice(), core.getFocusDevice())
    assert roles["ChannelGroup"] == core.getChannelGroup()


FOUND = {
    "name": ("galvo", "demo_galvo.cfg"),
    "file name": ("demo_galvo.cfg", "demo_galvo.cfg"),
    "name with prefix": ("demo_galvo_2cam_lasers", "demo_galvo_2cam_lasers.cfg"),
    "the adapters' own": ("demo", "MMConfig_demo.cfg"),
    "the adapters' own by file name": ("MMConfig_demo.cfg", "MMConfig_demo.cfg"),
}


@pytest.mark.parametrize(("name", "file"), FOUND.values(), ids=FOUND.keys())
def test_demo_configurations_are_found_by_name(name: str, file: str) -> None:
    path, adapters = find_config(MicroscopeConfig(config=name))
    assert path.name == file
    assert path.is_file()
    assert adapters == demo_adapters()


def test_an_own_configuration_is_found_by_path(tmp_path: Path) -> None:
    (tmp_path / "MMConfig_own.cfg").write_text(BASE)
    for config in ("MMConfig_own.cfg", str(tmp_path / "MMConfig_own.cfg")):
        found = find_config(MicroscopeConfig("python", config, tmp_path))
        assert found == (tmp_path / "MMConfig_own.cfg", tmp_path)


MISSING = {
    "near a name": (MicroscopeConfig(config="glavo"), "galvo"),
    "near nothing": (MicroscopeConfig(config="zzz"), None),
    "a path": (MicroscopeConfig(config="/nowhere/galvo"), "galvo"),
}


@pytest.mark.parametrize(("microscope", "meant"), MISSING.values(), ids=MISSING.keys())
def test_a_configuration_that_is_not_there(microscope: MicroscopeConfig, meant: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_config(microscope)
    (finding,) = caught.value.findings
    assert (finding.field, finding.suggestion) == ("microscope.config", meant)
    assert all(name in str(finding.allowed) for name in demo_configs())


def test_a_missing_installation_and_a_misspelt_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "MMConfig_own.cfg").write_text(BASE)
    with pytest.raises(InvalidInput, match="no such Micro-Manager folder"):
        find_config(MicroscopeConfig("python", "MMConfig_own.cfg", tmp_path / "none"))
    with pytest.raises(InvalidInput, match=r"Did you mean 'MMConfig_own\.cfg'"):
        find_config(MicroscopeConfig("python", "MMConfig_onw.cfg", tmp_path))
