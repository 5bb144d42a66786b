"""Channel, exposure, shutters, region and binning from a script, on the real demo microscope."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import open_dataset
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Captured, Commanded, ScriptFailed, Submitted

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

# The provider asks for the images of the first time point only.
SCRIPT = """\
def fetch_images(new_image: "images"):
    return [{{}}] if new_image.metadata["timeIndex"] == 0 else []


def process(images: "images", context: "IIS_CONTEXT"):
    {body}
"""
NO_CHANNEL = "acquisition:\n  time_plan: {interval: 0, loops: 3}\n"
CHANNEL = NO_CHANNEL + "  channels: [{group: Channel, config: DAPI, exposure: 2}]\n"
# What a script sets, and how it is read: (line, reader, value that it has then)
LIGHT: dict[str, tuple[str, Callable[[Any], Any], Any]] = {
    "channel": ("context.setChannel('Cy5')", lambda core: core.getCurrentConfig("Channel"), "Cy5"),
    "channel of another group": (
        "context.setChannel({'group': 'Channel-Multiband', 'config': 'FITC'})",
        lambda core: (core.getStateLabel("LED"), core.getShutterDevice()),
        ("470nm", "LED Shutter"),
    ),
    "exposure": ("context.setExposure(33)", lambda core: core.getExposure(), 33.0),
    "exposure, as a sub-device": (
        "context.set('Camera.Exposure', 33)",
        lambda core: core.getExposure(),
        33.0,
    ),
    "exposure of a channel": (
        "context.setChannel({'config': 'FITC', 'exposure': 44})",
        lambda core: (core.getCurrentConfig("Channel"), core.getExposure()),
        ("FITC", 44.0),
    ),
    "twice": (
        "context.setChannel('Cy5'); context.setExposure(5); context.setChannel({'config': 'FITC', 'exposure': 9})",
        lambda core: (core.getStateLabel("Emission"), core.getExposure()),
        ("Chroma-HQ535", 9.0),
    ),
}


@pytest.mark.parametrize("plan", [CHANNEL, NO_CHANNEL], ids=["channel planned", "no channel planned"])
@pytest.mark.parametrize("name", LIGHT)
def test_light_holds_until_the_next_event_which_has_the_plans(
    lab: Lab, microscope: Microscope, name: str, plan: str
) -> None:
    line, read, then = LIGHT[name]
    core = microscope.core
    core.setExposure(2.0)
    before = read(core)
    assert before != then
    during: list[Any] = []
    at_event: list[Any] = []

    def look(record: object) -> None:
        if isinstance(record, Commanded):
            during.append(read(core))
        elif isinstance(record, Captured):
            at_event.append(read(core))

    ran = lab(SCRIPT.format(body=line), acquisition=plan, on_record=look)
    assert ran.result.error is None
    assert not ran.of(ScriptFailed)
    assert during[-1] == then
    assert at_event == [before] * 3
    assert [tags["Exposure"] for tags in ran.stored().values()] == [2.0] * 3


def test_without_setting_back_the_next_event_has_the_scripts_light(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inscoper_mm.acquisition.one_off_light.OneOffLight.undo", lambda *arguments: None)
    microscope.core.setExposure(2.0)
    ran = lab(SCRIPT.format(body=LIGHT["exposure"][0]), acquisition=NO_CHANNEL)
    assert [tags["Exposure"] for tags in ran.stored().values()] == [2.0, 33.0, 33.0]


def test_a_z_offset_is_from_the_planned_focus_as_corrected(lab: Lab, microscope: Microscope) -> None:
    body = """context.correctPosition(dz_um=2)
    context.setChannel({'config': 'FITC', 'z_offset': 1.5})
    context.moveFocusBy(0.25)"""
    plan = CHANNEL + "  stage_positions: [{x: 0, y: 0, z: 10}]\n"
    ran = lab(SCRIPT.format(body=body), acquisition=plan)
    assert not ran.of(ScriptFailed)
    reached = {done.name: done.reached for done in ran.of(Commanded)}
    assert reached["setChannel"]["z_um"] == pytest.approx(13.5, abs=0.01)
    assert reached["moveFocusBy"]["z_um"] == pytest.approx(13.75, abs=0.01)
    # One-off: the next events go where the corrected plan says.
    assert [record.position_um["z_um"] for record in ran.of(Submitted)][1:] == [12.0, 12.0]


# name: (line, what the error says)
REFUSED = {
    "unknown channel": ("context.setChannel('DAPPI')", r"no channel 'DAPPI'.*Did you mean 'DAPI'"),
    "unknown group": (
        "context.setChannel({'group': 'Chanel', 'config': 'DAPI'})",
        r"no group 'Chanel'.*Did you mean 'Channel'",
    ),
    "unknown preset": (
        "context.setChannel({'group': 'Camera', 'config': 'LowRez'})",
        r"no preset 'LowRez' in 'Camera'.*Did you mean 'LowRes'",
    ),
    "unknown key": (
        "context.setChannel({'config': 'DAPI', 'exposur': 3})",
        r"no 'exposur'.*Did you mean 'exposure'",
    ),
    "no preset": ("context.setChannel({'exposure': 3})", r"needs the name of its preset"),
    "a number": ("context.setChannel(3)", r"must be the name of a channel"),
    "exposure too long": ("context.setExposure(10001)", r"10001 ms.*0 to 10000 ms \(device Camera\)"),
    "exposure of a channel too long": (
        "context.setChannel({'config': 'FITC', 'exposure': 1e9})",
        r"1e\+09 ms.*0 to 10000 ms",
    ),
    "z offset out of the limits": (
        "context.setChannel({'config': 'FITC', 'z_offset': 60})",
        r"focus 60 um.*-50 to 50 um",
    ),
    "forbidden by the safety rules": (
        "context.setChannel({'group': 'Camera', 'config': 'LowRes'})",
        r"forbidden",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_channel_changes_nothing(lab: Lab, microscope: Microscope, name: str) -> None:
    line, words = REFUSED[name]
    core = microscope.core
    before = [core.getCurrentConfig("Channel"), core.getExposure(), core.getPosition()]
    seen: list[Any] = []

    def look(record: object) -> None:
        if isinstance(record, ScriptFailed):
            seen.append([core.getCurrentConfig("Channel"), core.getExposure(), core.getPosition()])

    safety = "safety: {focus_um: [-50, 50], forbidden_properties: [Camera.Binning]}"
    ran = lab(SCRIPT.format(body=line), acquisition=NO_CHANNEL, more=safety, on_record=look)
    (failed,) = ran.of(ScriptFailed)
    assert re.search(words, failed.message, re.DOTALL), failed.message
    assert seen == [before]
    (audit,) = ran.of(Commanded)
    assert audit.decided == "refused"


def test_a_preset_that_only_one_other_group_has_needs_no_group(lab: Lab, microscope: Microscope) -> None:
    body = "context.log(context.setChannel('Camera-right')); assert context.get('Path') == 'State-2'"
    ran = lab(SCRIPT.format(body=body), acquisition=NO_CHANNEL)
    assert not ran.of(ScriptFailed)
    assert microscope.core.getStateLabel("Path") == "State-0"


# name: (autoshutter, shutter, whether it is open when the next image has been taken)
SHUTTERS = {
    "the Core closes its own after each image": (1, "White Light Shutter", False),
    "without autoshutter it stays open": (0, "White Light Shutter", True),
    "another one is left alone": (1, "LED Shutter", True),
}


@pytest.mark.parametrize("name", SHUTTERS)
def test_a_shutter_opened_by_hand_and_autoshutter(lab: Lab, microscope: Microscope, name: str) -> None:
    auto, shutter, is_open = SHUTTERS[name]
    core = microscope.core
    core.setShutterOpen(shutter, False)
    body = f"context.set('Core.AutoShutter', {auto}); context.set('{shutter}', True)"
    states: list[bool] = []

    def look(record: object) -> None:
        if isinstance(record, Commanded | Captured):
            states.append(bool(core.getShutterOpen(shutter)))

    ran = lab(SCRIPT.format(body=body), acquisition=CHANNEL, on_record=look)
    assert not ran.of(ScriptFailed)
    # Captured, AutoShutter set, opened; then two more images.
    assert states == [False, False, True, is_open, is_open]
    assert not core.getShutterOpen(shutter)
    assert core.getAutoShutter()


SHAPES = """\
def fetch_images(new_image: "images"):
    return [{"timeIndex": t} for t in range(new_image.metadata["timeIndex"] + 1)]


def process(images: "images", context: "IIS_CONTEXT"):
    new = images[-1].metadata
    if new["timeIndex"] == 0:
        context.set("Camera.Binning", 2)
    elif new["timeIndex"] == 1:
        context.set("Camera.ROI", [16, 32, 100, 60])
    elif new["timeIndex"] == 2:
        context.set("Camera.Binning", 1)
        context.set("Camera.ROI", [0, 0, 512, 512])
        context.set("Camera.PixelType", "8bit")
    return {"metadata": {"SHAPES": [list(image.array.shape) for image in images],
                         "KINDS": [str(image.array.dtype) for image in images],
                         "BINNINGS": [image.metadata["binning"] for image in images],
                         "SIZES": [image.metadata["pixelSize_um"] for image in images],
                         "MEANS": [float(image.array.mean()) for image in images]}}
"""


@pytest.mark.parametrize("cache", [1 << 26, 1], ids=["cached", "from disk"])
@pytest.mark.parametrize("place", ["thread", "worker"])
def test_images_of_other_shapes_are_stored_and_reach_the_script(
    lab: Lab, microscope: Microscope, place: str, cache: int
) -> None:
    plan = CHANNEL.replace("loops: 3", "loops: 4")
    more = f"output: {{cache_bytes: {cache}}}"
    ran = lab(SHAPES, acquisition=plan, policy=f"{{place: {place}}}", more=more)
    assert ran.result.error is None
    assert not ran.of(ScriptFailed)
    data = open_dataset(ran.folder / "images")
    try:
        stored = [data.read_image(time=t, position=0, channel=0, z=0) for t in range(4)]
        last = data.read_metadata(time=3, position=0, channel=0, z=0)
        tags = [data.read_metadata(time=t, position=0, channel=0, z=0) for t in range(4)]
    finally:
        data.close()
    assert [image.shape for image in stored] == [(512, 512), (256, 256), (60, 100), (512, 512)]
    assert [image.dtype for image in stored] == [np.uint16, np.uint16, np.uint16, np.uint8]
    assert last["SHAPES"] == [[512, 512], [256, 256], [60, 100], [512, 512]]
    assert last["KINDS"] == ["uint16", "uint16", "uint16", "uint8"]
    assert last["BINNINGS"] == [1, 2, 2, 1]
    assert last["SIZES"] == [1.0, 2.0, 2.0, 1.0]
    assert last["MEANS"] == pytest.approx([image.mean() for image in stored])
    assert [(tag["Height"], tag["Width"]) for tag in tags] == [(512, 512), (256, 256), (60, 100), (512, 512)]
    assert ran.stored().keys() == {Index(t) for t in range(4)}
    assert list(microscope.core.getROI()) == [0, 0, 512, 512]
    assert microscope.core.getProperty("Camera", "PixelType") == "16bit"


def test_the_planned_exposure_is_that_of_the_camera_that_the_channel_chooses(
    lab: Lab, microscope: Microscope
) -> None:
    core = microscope.core
    core.loadSystemConfiguration(str(library_dir("mm_demo_config") / "demo_galvo_2cam_lasers.cfg"))
    try:
        for camera in ("Camera", "Camera2"):
            core.setProperty(camera, "FastImage", "1")
            core.setExposure(camera, 21.0)
            core.defineConfig("Cameras", camera, "Core", "Camera", camera)
        channels = (
            f"{{group: Cameras, config: {each}, exposure: {ms}}}"
            for each, ms in (("Camera", 3), ("Camera2", 5))
        )
        plan = f"{NO_CHANNEL}  channels: [{', '.join(channels)}]\n"
        ran = lab(acquisition=plan)
        assert ran.result.error is None
        seen = [(tags["Camera"], tags["Exposure"]) for tags in ran.stored().values()]
        assert seen == [("Camera", 3.0), ("Camera2", 5.0)] * 3
        assert core.getCameraDevice() == "Camera"
        assert core.getExposure("Camera") == core.getExposure("Camera2") == 21.0
    finally:
        core.loadSystemConfiguration(str(library_dir("mm_demo_config") / "demo_galvo.cfg"))
