"""The end of a run: the real demo microscope is as it was before, lights off, however the run ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition import setting_back
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.setting_back import SettingBack
from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.at_end import AtEnd
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.objectives import Objectives
from inscoper_mm.microscope.snapshot import take_snapshot
from inscoper_mm.microscope.turn import Turn
from inscoper_mm.records import (
    Commanded,
    Logged,
    ScriptFailed,
    SetBack,
)
from inscoper_mm.stream import Clock, Stream

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
            # From another thread, as a signal handler does it; the run is at its first image.
            thread = threading.Thread(target=how, args=(switch,))
            thread.start()
            thread.join(30)

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
        "import time; time.sleep(100)",
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


@pytest.mark.parametrize("end", ["completes", "fails"])
def test_the_second_run_finds_the_microscope_as_the_first_did(lab: Lab, lasers: Microscope, end: str) -> None:
    before = state(lasers.core)
    policy = "{place: thread, error: abort}"
    for _ in range(2):
        ran = lab(
            script("raise ValueError" if end == "fails" else "pass"),
            acquisition=PLAN,
            more=RETURN,
            policy=policy,
        )
        assert isinstance(ran.result.error, ValueError if end == "fails" else type(None))
        assert state(lasers.core) == before
        # What was set back is what the script has changed: found as it had left it.
        changed = ran.of(SetBack)[0].changed
        assert changed["Laser405Power.Voltage"] == {"found": "5.0000", "set_to": "1.5000"}
        assert changed["Camera.ROI"] == {"found": [10, 20, 100, 80], "set_to": [8, 16, 256, 128]}


# name: (the section, where stage and focus are after a run that began at (40, -30, 5) and ended at (300, 200, 25))
PLACES: dict[str, tuple[str, tuple[float, float, float]]] = {
    "left out": ("", (300, 200, 25)),
    "stay": ("at_end: {stage: stay, focus: stay}", (300, 200, 25)),
    "return": ("at_end: {stage: return, focus: return}", (40, -30, 5)),
    "stage only": ("at_end: {stage: return}", (40, -30, 25)),
    "focus only": ("at_end: {focus: return}", (300, 200, 5)),
    "safe place": ("at_end: {stage: {x_um: 0, y_um: 900}, focus: -150}", (0, 900, -150)),
}
LAST = """
def fetch_images(new_image: "images"):
    return [{}]


def leave(images: "images", c: "IIS_CONTEXT"):
    c.moveStage(300, 200)
    c.moveFocus(25)
"""


@pytest.mark.parametrize("name", PLACES)
def test_stage_and_focus_go_where_they_were_asked(lab: Lab, microscope: Microscope, name: str) -> None:
    section, (x_um, y_um, z_um) = PLACES[name]
    microscope.move_stage(40.0, -30.0)
    microscope.move_focus(5.0)
    ran = lab(LAST, acquisition=PLAN, more=section)
    left = microscope.position()
    assert (left.x_um, left.y_um, left.z_um) == pytest.approx((x_um, y_um, z_um), abs=0.05)
    told = ran.of(SetBack)[0]
    assert told.position_um == pytest.approx({"x": x_um, "y": y_um, "z": z_um}, abs=0.05)
    assert not told.failed
    assert set(told.moved) == {
        *(["stage"] if (x_um, y_um) != (300, 200) else []),
        *(["focus"] if z_um != 25 else []),
    }


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("focus: 100.5", r"at_end\.focus.*focus 100\.5 um.*-100 to 100 um"),
        ("stage: {x_um: 5000, y_um: 0}", "stage x"),
    ],
)
def test_a_place_out_of_the_limits_is_refused_before_the_run(lab: Lab, section: str, words: str) -> None:
    safety = "safety: {stage: {x_um: [-1000, 1000]}, focus_um: [-100, 100]}"
    ran = lab(LAST, acquisition=PLAN, more=f"at_end: {{{section}}}\n{safety}")
    assert isinstance(ran.result.error, InvalidInput)
    assert re.search(words, str(ran.result.error))
    assert ran.result.folder is None


# name: (direction of the focus drive, where the run begins, the order of the moves at the end)
ORDERS = {
    "away from the sample: first": (1, -50.0, ["Z", "Objective", "XY"]),
    "towards the sample: last": (1, 50.0, ["Objective", "XY", "Z"]),
    "reversed drive, away": (-1, 50.0, ["Z", "Objective", "XY"]),
    "reversed drive, towards": (-1, -50.0, ["Objective", "XY", "Z"]),
    "nobody knows: larger is nearer": (0, 50.0, ["Objective", "XY", "Z"]),
}


@pytest.mark.parametrize("name", ORDERS)
def test_the_focus_is_never_nearer_to_the_sample_than_it_has_to_be(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    direction, begin_um, order = ORDERS[name]
    core = microscope.core
    core.setFocusDirection("Z", direction)
    microscope.move_focus(begin_um)
    moves: list[str] = []
    for method in ("setPosition", "setXYPosition", "setProperty"):
        real = getattr(core, method)

        def record(device: str, *values: Any, real: Callable[..., Any] = real) -> None:
            moves.append(device)
            real(device, *values)

        monkeypatch.setattr(core, method, record)
    plan = PLAN.replace("loops: 3", "loops: 1")
    body = LAST.replace("c.moveFocus(25)", "c.moveFocus(0)\n    c.set('Objective', 0)\n    c.log('END')")
    lab(body, acquisition=plan, more=RETURN, on_record=lambda record: _forget(record, moves))
    core.setFocusDirection("Z", 0)
    assert [move for move in moves if move in ("Z", "Objective", "XY")] == order


# name: (focus at the end, what the focus drive and the turret do at the end)
ESCAPES = {
    "stay: it is left where the objective was turned": ("stay", [-80.0, "Objective"]),
    "return: it comes back when the objective is turned": ("return", [-80.0, "Objective", 50.0]),
    "a place farther away": ("-90", [-80.0, -90.0, "Objective"]),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_an_objective_is_turned_back_at_the_height_for_it(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    focus, order = ESCAPES[name]
    core = microscope.core
    microscope.move_focus(50.0)
    moves: list[Any] = []
    real = core.setPosition
    monkeypatch.setattr(core, "setPosition", lambda drive, z_um: (moves.append(z_um), real(drive, z_um)))
    set_property = core.setProperty
    monkeypatch.setattr(core, "setProperty", lambda *line: (moves.append(line[0]), set_property(*line)))
    body = LAST.replace("c.moveFocus(25)", "c.set('Objective', 0)\n    c.log('END')")
    plan = PLAN.replace("loops: 3", "loops: 1").replace("z: 0, ", "")
    objectives = "{Nikon 10X S Fluor: {escape_z_um: -80}, Nikon 40X Plan Fluor ELWD: {z_um: 3}}"
    ran = lab(
        body,
        acquisition=plan,
        more=f"at_end: {{focus: {focus}}}",
        microscope=f"{{backend: demo, objectives: {objectives}}}",
        on_record=lambda record: _forget(record, moves),
    )
    assert not ran.of(SetBack)[0].failed
    assert core.getStateLabel("Objective") == "Nikon 10X S Fluor"
    assert [move for move in moves if move == "Objective" or isinstance(move, float)] == order


def _forget(record: object, moves: list[str]) -> None:
    """The moves of the run itself are not those of its end."""
    if isinstance(record, Logged) and record.message == "END":
        moves.clear()


def _wait_for_the_hanging() -> None:
    """What did not answer in time does so now, and must be over before the next test."""
    for thread in threading.enumerate():
        if thread.name.startswith("inscoper-mm end"):
            thread.join(60)


def test_a_device_that_hangs_costs_only_its_adapters_settings(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, released = microscope.core, threading.Event()
    before = take_snapshot(microscope)
    core.setShutterOpen("LED Shutter", True)
    core.setProperty("LED Shutter", "State Device", "LED")
    core.setAutoShutter(False)
    core.setProperty("Camera", "Gain", "3")
    real = core.setShutterOpen

    def hang(label: str, is_open: bool) -> None:
        if label == "White Light Shutter":
            released.wait(100)
        real(label, is_open)

    monkeypatch.setattr(core, "setShutterOpen", hang)
    records: list[Any] = []
    stream = Stream(Clock())
    stream.subscribe(lambda _, record: records.append(record))
    SettingBack(
        microscope, Objectives(microscope), before, AtEnd(), Guard(), Turn(), stream, step_limit_s=2.0
    ).run()
    released.set()
    _wait_for_the_hanging()
    monkeypatch.undo()
    told = next(record for record in records if isinstance(record, SetBack))
    assert "did not answer within 2 s" in told.failed["White Light Shutter"]
    assert "White Light Shutter does not answer" in told.failed["Camera"]
    # Another adapter's shutter, and the Core itself, do not wait for it.
    assert told.lights["LED Shutter"] == "closed"
    assert not core.getShutterOpen("LED Shutter")
    assert core.getAutoShutter()
    errors = [record for record in records if isinstance(record, Logged) and record.level == "error"]
    assert len(errors) == len(told.failed)
    core.setProperty("Camera", "Gain", "0")


def test_what_does_not_answer_at_once_is_closed_once_it_does(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, released, records = microscope.core, threading.Event(), []
    before = take_snapshot(microscope)
    core.setShutterOpen("White Light Shutter", True)
    real = core.setShutterOpen

    def busy(label: str, is_open: bool) -> None:
        released.wait(100)
        real(label, is_open)

    monkeypatch.setattr(core, "setShutterOpen", busy)
    stream = Stream(Clock())
    stream.subscribe(lambda _, record: records.append(record))
    back = SettingBack(
        microscope, Objectives(microscope), before, AtEnd(), Guard(), Turn(), stream, step_limit_s=2.0
    )
    back.lights_off()
    assert core.getShutterOpen("White Light Shutter")
    released.set()
    back.run()
    _wait_for_the_hanging()
    assert not core.getShutterOpen("White Light Shutter")
    told = next(record for record in records if isinstance(record, SetBack))
    assert told.lights["White Light Shutter"] == "closed"
    assert not told.failed


def test_ctrl_c_during_the_end_waits_until_everything_is_set_back(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = microscope.core
    before = take_snapshot(microscope)
    core.setExposure(55.0)
    core.setShutterOpen("LED Shutter", True)
    real = core.setShutterOpen

    def slow(label: str, is_open: bool) -> None:
        interrupt_main()
        time.sleep(0.1)
        real(label, is_open)

    monkeypatch.setattr(core, "setShutterOpen", slow)
    with pytest.raises(KeyboardInterrupt):
        SettingBack(
            microscope, Objectives(microscope), before, AtEnd(), Guard(), Turn(), Stream(Clock())
        ).run()
    assert core.getExposure() == before.exposures_ms["Camera"]
    assert not core.getShutterOpen("LED Shutter")


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C there")
def test_ctrl_c_again_and_again_ends_nothing_early() -> None:
    over = []

    def impatient() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)
        over.append(True)

    with pytest.raises(KeyboardInterrupt):
        setting_back._undisturbed(impatient)
    assert over


def test_a_command_that_hangs_does_not_keep_the_microscope_from_being_set_back(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inscoper_mm.acquisition.setting_back._TURN_LIMIT_S", 0.1)
    before = take_snapshot(microscope)
    microscope.set_exposure(55.0)
    turn = Turn()
    with turn.take("moveStage by tracker", 1.0):
        SettingBack(microscope, Objectives(microscope), before, AtEnd(), Guard(), turn, Stream(Clock())).run()
    assert microscope.exposure_ms() == before.exposures_ms["Camera"]


def test_lights_that_are_on_at_the_start_are_told_and_off_at_the_end(
    lab: Lab, microscope: Microscope
) -> None:
    microscope.core.setShutterOpen("White Light Shutter", True)
    ran = lab(acquisition=PLAN)
    assert any("Found open, or on: White Light Shutter." in each.message for each in ran.of(Logged))
    assert not microscope.core.getShutterOpen("White Light Shutter")
    assert ran.report["at_end"]["lights"] == {
        "White Light Shutter": "closed",
        "LED Shutter": "closed",
        "Galvo": "off",
    }


OWN = """
import json, sys
from pathlib import Path
from inscoper_mm.acquisition.session import run_experiment
from inscoper_mm.experiment.load import load_experiment

for _ in range(2):
    result = run_experiment(load_experiment(Path(sys.argv[1])), output=Path(sys.argv[2]))
    report = json.loads((result.folder / "run.json").read_text())
    print(json.dumps([result.state, report["at_end"]["lights"], report["at_end"]["failed"]]))
"""


def test_a_microscope_that_the_run_opened_is_set_back_before_it_is_unloaded(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(script(), encoding="utf-8")
    text = f"microscope: {{backend: demo, config: galvo_2cam_lasers}}\n{PLAN}script: script.py\n{RETURN}\n"
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", OWN, str(tmp_path / "own.yaml"), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    expected = ["completed", {**dict.fromkeys(SHUTTERS, "closed"), "Galvo": "off"}, {}]
    assert [json.loads(line) for line in ran.stdout.splitlines()] == [expected, expected]
