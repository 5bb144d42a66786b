"""The end of a run: the real demo microscope is as it was before, lights off, however the run ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.setting_back import SettingBack
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Commanded, ScriptFailed, SetBack

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

# name: (what a script does, how it is read)
CHANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "stage": ("c.moveStage(300, 200)", lambda core: [round(each) for each in core.getXYPosition()]),
    "focus": ("c.moveFocus(25)", lambda core: round(core.getPosition(), 1)),
    "exposure": ("c.setExposure(77)", lambda core: core.getExposure("Camera")),
    "channel": ("c.setChannel('Cy5')", lambda core: core.getStateLabel("Emission")),
    "group": (
        "c.setChannel({'group': 'Channel-Multiband', 'config': 'FITC'})",
        lambda core: core.getStateLabel("LED"),
    ),
    "binning": ("c.set('Camera.Binning', 2)", lambda core: core.getProperty("Camera", "Binning")),
    "pixel type": ("c.set('Camera.PixelType', '8bit')", lambda core: core.getProperty("Camera", "PixelType")),
    "region": ("c.set('Camera.ROI', [10, 20, 100, 80])", lambda core: list(core.getROI("Camera"))),
    "gain": ("c.set('Camera.Gain', 4)", lambda core: core.getProperty("Camera", "Gain")),
    "objective": (
        "c.set('Objective', 'Nikon 40X Plan Fluor ELWD')",
        lambda core: core.getStateLabel("Objective"),
    ),
    "light path": ("c.set('Path', 2)", lambda core: core.getState("Path")),
    "galvo": (
        "c.set('Galvo', [3, 4])",
        lambda core: [round(each, 3) for each in core.getGalvoPosition("Galvo")],
    ),
    "sequences": ("c.set('Z.UseSequences', 'Yes')", lambda core: core.getProperty("Z", "UseSequences")),
    "second camera": ("c.set('Camera2.Exposure', 55)", lambda core: core.getExposure("Camera2")),
    "second binning": ("c.set('Camera2.Binning', 4)", lambda core: core.getProperty("Camera2", "Binning")),
    "power": (
        "c.set('Laser405Power.Volts', 5)",
        lambda core: float(core.getProperty("Laser405Power", "Voltage")),
    ),
    "role of the shutter": ("c.set('Core.Shutter', 'LED Shutter')", lambda core: core.getShutterDevice()),
    "autoshutter": ("c.set('Core.AutoShutter', 0)", lambda core: core.getAutoShutter()),
    "laser": ("c.set('Laser405', True)", lambda core: core.getShutterOpen("Laser405")),
    "second laser": ("c.set('Laser488', True)", lambda core: core.getShutterOpen("Laser488")),
}
SHUTTERS = ("White Light Shutter", "LED Shutter", "Laser405", "Laser488")
PLAN = """\
acquisition:
  stage_positions: [{x: 0, y: 0, z: 0, name: A}]
  time_plan: {interval: 0, loops: 3}
"""
RETURN = "at_end: {stage: return, focus: return}"
CHANGE_ALL = "\n    ".join(line for line, _ in CHANGES.values())


def script(after: str = "pass") -> str:
    """Changes everything at the first image, and then does ``after``."""
    return f"""
def fetch_images(new_image: "images"):
    meta = new_image.metadata
    return [{{}}] if meta["timeIndex"] == 0 and meta["channelIndex"] == 0 else []


def change_all(images: "images", c: "IIS_CONTEXT"):
    {CHANGE_ALL}
    {after}
"""


def state(core: Any) -> dict[str, Any]:
    return {name: read(core) for name, (_, read) in CHANGES.items()}


@pytest.fixture
def lasers(microscope: Microscope) -> Iterator[Microscope]:
    """The demo microscope with lasers and a second camera, in a state that is not that after loading."""
    core = microscope.core
    core.loadSystemConfiguration(str(library_dir("mm_demo_config") / "demo_galvo_2cam_lasers.cfg"))
    core.setProperty("Camera", "FastImage", "1")
    core.setProperty("Camera", "PixelType", "16bit")
    core.setConfig("Channel", "Rhodamine")
    core.setExposure("Camera", 3.0)
    core.setExposure("Camera2", 21.0)
    core.setProperty("Laser405Power", "Voltage", "1.5")
    core.setROI("Camera", 8, 16, 256, 128)
    microscope.move_stage(40.0, -30.0)
    microscope.move_focus(5.0)
    yield microscope
    core.loadSystemConfiguration(str(library_dir("mm_demo_config") / "demo_galvo.cfg"))


def stop_after_all(how: Callable[[StopSwitch], None]) -> dict[str, Any]:
    switch = StopSwitch()

    def look(record: object) -> None:
        if isinstance(record, Commanded) and record.asked.get("id") == "Laser488":
            # From another thread, as a signal handler does it.
            threading.Thread(target=how, args=(switch,)).start()

    return {"stop": switch, "on_record": look}


# how a run ends: (state, what the script does last, arguments of the lab)
WAYS: dict[str, tuple[str, str, Callable[[], dict[str, Any]]]] = {
    "completed": ("completed", "pass", dict),
    "stopped by the script": ("stopped", "c.stop('enough')", dict),
    "the script fails": (
        "aborted",
        "raise ValueError('boom')",
        lambda: {"policy": "{place: thread, error: abort}"},
    ),
    "Ctrl-C": (
        "stopped",
        "pass",
        lambda: stop_after_all(lambda switch: switch.finish("user", "Ctrl-C")),
    ),
    "Ctrl-C twice": (
        "stopped",
        "import time; time.sleep(1)",
        lambda: stop_after_all(lambda switch: switch.stop_now("Ctrl-C twice")),
    ),
    "a device fails": (
        "aborted",
        "pass",
        lambda: {
            "acquisition": PLAN
            + "  channels: [{group: Channel, config: DAPI}, {group: Camera, config: LowRes}]\n"
        },
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_everything_is_as_before_however_the_run_ends(lab: Lab, lasers: Microscope, way: str) -> None:
    expected, last, arguments = WAYS[way]
    chosen = {"acquisition": PLAN, **arguments()}
    more = RETURN
    if way == "a device fails":
        # The camera refuses what the preset of the second channel sets.
        lasers.core.defineConfig("Camera", "LowRes", "Camera", "Binning", "3")
        more += "\ndevice_error: {retries: 0, then: abort}"
    before = state(lasers.core)
    ran = lab(script(last), more=more, **chosen)
    failed = [] if expected == "aborted" else ran.of(ScriptFailed)
    assert not failed, failed[0].details
    assert ran.result.state == expected
    assert any(done.asked.get("id") == "Laser488" for done in ran.of(Commanded))
    assert state(lasers.core) == before
    assert not any(lasers.core.getShutterOpen(shutter) for shutter in SHUTTERS)
    (told,) = ran.of(SetBack)
    assert not told.failed
    assert all(told.lights[shutter] == "closed" for shutter in SHUTTERS)
    assert ran.report["at_end"]["lights"]["Laser405"] == "closed"


def test_without_the_step_nothing_is_as_before(
    lab: Lab, lasers: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SettingBack, "run", lambda self: None)
    monkeypatch.setattr(SettingBack, "lights_off", lambda self: None)
    before = state(lasers.core)
    ran = lab(script("c.stop('enough')"), acquisition=PLAN, more=RETURN)
    assert ran.result.state == "stopped"
    after = state(lasers.core)
    assert {name for name in CHANGES if after[name] != before[name]} == set(CHANGES)
