"""Microscopes without a stage, a focus drive, a camera ...: told by the check, and no surprise in the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition.check import CheckReport, check_experiment
from inscoper_mm.acquisition.check_microscope import facts_of
from inscoper_mm.errors import InvalidInput
from inscoper_mm.images.index import Index
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Commanded, ScriptFailed, SetBack

Lab = Any  # the fixture of conftest.py
Without = Callable[..., Microscope]

pytestmark = pytest.mark.demo

DEMO = library_dir("mm_demo_config") / "demo_galvo.cfg"
# What can be missing: the devices and groups that are left out of the demo configuration.
MISSING: dict[str, dict[str, tuple[str, ...]]] = {
    "XY stage": {"devices": ("XY",)},
    "focus drive": {"devices": ("Z",)},
    "galvo": {"devices": ("Galvo",)},
    "shutter": {"devices": ("White Light Shutter", "LED Shutter")},
    "galvo and shutter": {"devices": ("Galvo", "White Light Shutter", "LED Shutter")},
    "channel group": {"groups": ("Channel", "Channel-Multiband")},
    "groups": {"groups": ("Channel", "Channel-Multiband", "Camera", "Objective", "System", "LightPath")},
    "camera": {"devices": ("Camera",)},
    "autofocus": {"devices": ("Autofocus",)},
}
BARE = "acquisition:\n  time_plan: {interval: 0, loops: 2}\n"
SCRIPT = """\
def fetch_images(new_image: "images"):
    return [{{}}]


def process(images: "images", context: "IIS_CONTEXT"):
    context.log(images.metadata["xPosition_um"])
    {line}
"""


def _left_out(fields: list[str], devices: tuple[str, ...], groups: tuple[str, ...]) -> bool:
    if fields[0] == "ConfigGroup":
        values = [*fields[3:4], *fields[5:6]]
        return fields[1] in groups or bool(set(values) & {*devices, *groups})
    if fields[:2] == ["Property", "Core"]:
        return fields[3] in devices
    return fields[0] != "ConfigGroup" and len(fields) > 1 and bool(set(fields[1:3]) & set(devices))


def write_without(path: Path, devices: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> Path:
    """The demo configuration without these devices and groups, and without the lines that name them."""
    lines = DEMO.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not _left_out(line.split(","), devices, groups)]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def without(microscope: Microscope, tmp_path: Path) -> Iterator[Without]:
    """Loads the demo configuration without something."""
    core = microscope.core

    def load(name: str) -> Microscope:
        path = write_without(tmp_path / "variant.cfg", **MISSING[name])
        core.loadSystemConfiguration(str(path))
        if core.getCameraDevice():
            core.setProperty("Camera", "FastImage", "1")
            core.setExposure(1.0)
        return Microscope(core, path)

    yield load
    core.loadSystemConfiguration(str(DEMO))


def checked(
    folder: Path, acquisition: str = BARE, line: str = "", more: str = "", loaded: Microscope | None = None
) -> CheckReport:
    """What ``check`` says about an experiment on ``variant.cfg``; with ``loaded`` it looks at the devices."""
    (folder / "script.py").write_text(SCRIPT.format(line=line), encoding="utf-8")
    text = f"microscope: {{backend: demo, config: variant.cfg}}\n{acquisition}\nscript: script.py\n{more}\n"
    (folder / "check.yaml").write_text(text, encoding="utf-8")
    look = None if loaded is None else lambda experiment: facts_of(loaded)
    return check_experiment(folder / "check.yaml", look=look)


def said(report: CheckReport, level: str) -> str:
    return "\n".join(str(finding) for finding in report.findings if finding.level == level)


# name: (what is missing, the line of the script, what the check warns of, what the command says in the run)
COMMANDS = {
    "getStagePosition": ("XY stage", "context.getStagePosition()", "no XY stage"),
    "moveStage": ("XY stage", "context.moveStage(1, 2)", "no XY stage"),
    "moveStageBy": ("XY stage", "context.moveStageBy(1, 2)", "no XY stage"),
    "centerOn": ("XY stage", "context.centerOn(1, 2)", "no XY stage"),
    "pixelToStage": ("XY stage", "context.pixelToStage(1, 2)", "no XY stage"),
    "stageToPixel": ("XY stage", "context.stageToPixel(1, 2)", "no XY stage"),
    "getFocus": ("focus drive", "context.getFocus()", "no focus drive"),
    "moveFocus": ("focus drive", "context.moveFocus(1)", "no focus drive"),
    "moveFocusBy": ("focus drive", "context.moveFocusBy(1)", "no focus drive"),
    "z offset": (
        "focus drive",
        "context.setChannel({'config': 'DAPI', 'z_offset': 1})",
        "",
        "needs a focus drive",
    ),
    "setChannel": ("groups", "context.setChannel('DAPI')", "no group of presets", "no channel 'DAPI'"),
    "fireOnDemand": (
        "galvo and shutter",
        "context.fireOnDemand({'type': 'point', 'points': [[9, 9]], 'unit': 'px'}, duration_ms=1)",
        "no galvo and no shutter",
        "no galvo",
    ),
}


@pytest.mark.parametrize("loaded", [False, True], ids=["file", "devices"])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_check_warns_of_a_command_without_its_device(
    without: Without, tmp_path: Path, name: str, loaded: bool
) -> None:
    missing, line, words, *_ = COMMANDS[name]
    microscope = without(missing)
    report = checked(tmp_path, line=line, loaded=microscope if loaded else None)
    assert report.ok, said(report, "error")
    warnings = said(report, "warning")
    if words:
        (warning,) = (each for each in report.findings if f"{name}() is used" in each.message)
        assert words in warning.message
        assert (Path(str(warning.file)).name, warning.line) == ("script.py", 7)
    else:
        assert "is used" not in warnings


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_says_what_is_missing_and_the_run_goes_on(lab: Lab, without: Without, name: str) -> None:
    missing, line, words, *others = COMMANDS[name]
    without(missing)
    ran = lab(SCRIPT.format(line=line), acquisition=BARE)
    assert ran.result.state == "completed"
    assert ran.counts["stored"] == 2
    failed = ran.of(ScriptFailed)
    assert [each.event for each in failed] == ["e000001", "e000002"]
    assert all((others[0] if others else words) in each.message for each in failed), failed[0].message
    assert all(each.decided == "refused" for each in ran.of(Commanded))


@pytest.mark.parametrize("name", [name for name in MISSING if name != "camera"])
def test_a_plan_without_the_device_runs(lab: Lab, without: Without, tmp_path: Path, name: str) -> None:
    microscope = without(name)
    for loaded in (None, microscope):
        report = checked(tmp_path, loaded=loaded)
        assert report.ok, said(report, "error")
    ran = lab(SCRIPT.format(line="pass"), acquisition=BARE)
    assert ran.result.error is None
    assert not ran.of(ScriptFailed)
    assert set(ran.stored()) == {Index(0), Index(1)}
    (back,) = ran.of(SetBack)
    assert not back.failed


# name: (what is missing, lines of the plan, what the check says)
PLANS = {
    "stage": ("XY stage", "  stage_positions: [{x: 5, y: 5}]", "no XY stage"),
    "grid": ("XY stage", "  grid_plan: {rows: 2, columns: 2, fov_width: 9, fov_height: 9}", "no XY stage"),
    "z stack": ("focus drive", "  z_plan: {range: 4, step: 2}", "no focus drive"),
    "z of a position": ("focus drive", "  stage_positions: [{x: 5, y: 5, z: 3}]", "no focus drive"),
    "channel": ("channel group", "  channels: [{config: DAPI}]", "no group 'Channel'"),
    "channel of a group": (
        "channel group",
        "  channels: [{group: Channel-Multiband, config: DAPI}]",
        "no group 'Channel-Multiband'",
    ),
    "camera": ("camera", "", "no camera"),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_needs_the_device_is_refused_before_the_first_image(
    lab: Lab, without: Without, tmp_path: Path, name: str
) -> None:
    missing, plan, words = PLANS[name]
    microscope = without(missing)
    acquisition = BARE + plan
    for loaded in (None, microscope):
        report = checked(tmp_path, acquisition, loaded=loaded)
        assert not report.ok
        assert words in said(report, "error")
    ran = lab(SCRIPT.format(line="pass"), acquisition=acquisition)
    assert isinstance(ran.result.error, InvalidInput)
    assert ran.result.folder is None, "nothing was started"


def test_a_parameter_that_names_a_channel_is_refused_where_there_is_none(
    without: Without, tmp_path: Path
) -> None:
    without("groups")
    source = 'def fetch_images(i: "images"):\n    return [{}]\ndef f(images: "images", light: "channel"):\n    pass\n'
    (tmp_path / "chooser.py").write_text(source, encoding="utf-8")
    more = "microscope: {backend: demo, config: variant.cfg}\n" + BARE
    more += "script: {file: chooser.py, parameters: {light: DAPI}}\n"
    (tmp_path / "c.yaml").write_text(more, encoding="utf-8")
    report = check_experiment(tmp_path / "c.yaml")
    assert "no group of presets" in said(report, "error")


@pytest.mark.parametrize("loaded", [False, True], ids=["file", "devices"])
def test_the_check_says_where_the_end_cannot_be_as_asked(
    without: Without, tmp_path: Path, loaded: bool
) -> None:
    microscope = without("XY stage")
    more = "at_end: {stage: return, focus: 301}\nsafety: {focus_um: [-200, 200]}"
    report = checked(tmp_path, more=more, loaded=microscope if loaded else None)
    assert report.facts["at_end"] == {"stage": "return", "focus": 301.0}
    assert "no XY stage: nothing goes anywhere" in said(report, "warning")
    assert "focus 301 um" in said(report, "error")


@pytest.mark.parametrize(("ms", "ok"), [(10_000, True), (10_001, False)])
def test_an_exposure_that_the_camera_does_not_take_is_told(
    microscope: Microscope, tmp_path: Path, ms: int, ok: bool
) -> None:
    write_without(tmp_path / "variant.cfg")
    acquisition = f"{BARE}  channels: [{{group: Channel, config: DAPI, exposure: {ms}}}]\n"
    report = checked(tmp_path, acquisition, loaded=microscope)
    assert report.ok is ok
    assert ok or "does not take this exposure. Got: 10001. Allowed: a number from 0 to 10000 ms" in said(
        report, "error"
    )
