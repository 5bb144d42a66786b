"""The check of an experiment: what it finds, where, and that it counts what a run would do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition.check import CheckReport, check_experiment
from inscoper_mm.acquisition.check_microscope import MicroscopeFacts, facts_from_file, facts_of
from inscoper_mm.errors import DeviceError, Finding, InvalidInput
from inscoper_mm.experiment.model import Experiment, MicroscopeConfig
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.cfg import find_config, read_config
from inscoper_mm.microscope.core import Microscope

SCRIPT = '''
DATA_PROCESSORS = ("focus",)


def fetch_images(new_image, channel_index: int = 0):
    """All slices of a complete stack of one channel."""
    print("asked")
    metadata = new_image.metadata
    if metadata["channelIndex"] != channel_index or metadata["focusIndex"] != metadata["focusSize"] - 1:
        return []
    return [{"focusIndex": number} for number in range(metadata["focusSize"])]


def measure(images: "images", min_area_um2: float = 40.0, channel: "channel" = None):
    """Nothing."""
'''
MICROSCOPE = "microscope: {backend: demo, config: galvo}\n"
# 2 times x 2 positions x (3 slices of DAPI + 1 image of FITC) = 16 images, 4 of them the last slice of a DAPI stack.
ACQUISITION = """\
acquisition:
  axis_order: tpcz
  channels: [{config: DAPI, exposure: 20}, {config: FITC, exposure: 40, do_stack: false}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 400, y: 0, z: 5, name: B}]
  z_plan: {range: 2, step: 1}
  time_plan: {interval: 2, loops: 2}
"""
SCRIPTS = "scripts:\n  - {file: own.py}\n"


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., CheckReport]:
    """Checks YAML text, with a script ``own.py`` next to it."""

    def check_text(text: str, script: str = SCRIPT, **options: Any) -> CheckReport:
        (tmp_path / "own.py").write_text(script, encoding="utf-8")
        path = tmp_path / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return check_experiment(path, output=tmp_path / "runs", **options)

    return check_text


def told(report: CheckReport, *levels: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.level in levels]


def test_a_right_experiment_has_no_findings_and_its_counts(check: Callable[..., CheckReport]) -> None:
    report = check(MICROSCOPE + ACQUISITION + SCRIPTS)
    assert report.ok
    assert not report.findings
    plan, (script,) = report.facts["plan"], report.facts["scripts"]
    assert (plan["images"], plan["sizes"]) == (16, {"time": 2, "position": 2, "channel": 2, "focus": 3})
    assert (plan["positions"], plan["channels"]) == (["A", "B"], ["DAPI", "FITC"])
    # The second time point is due at 2 s; 2 x (3 x 20 + 40) ms follow.
    assert plan["duration_s"] == pytest.approx(2.2)
    assert 16 * 512 * 512 * 2 <= plan["bytes_needed"] <= 1.05 * 16 * 512 * 512 * 2
    assert (script["provider"], script["process"]) == ("fetch_images", "measure")
    assert (script["images"], script["asked"], script["processed"]) == (16, 16, 4)
    assert (script["place"], script["slow"]) == ("worker", "wait")


TIMES = {
    # Exposures of 0.1 s; (time plan, axis order, seconds, time points that are late)
    "in time": ("{interval: 2, loops: 3}", "tpc", 4.2, 0),
    "late": ("{interval: 0.1, loops: 3}", "tpc", 0.6, 2),
    "as fast as possible": ("{interval: 0, loops: 3}", "tpc", 0.6, 0),
    "late once": ("[{interval: 0.1, loops: 2}, {interval: 1, loops: 2}]", "tpc", 1.4, 1),
    "position by position": ("{interval: 2, loops: 3}", "ptc", 8.2, 0),
}


@pytest.mark.parametrize(("times", "order", "seconds", "late"), TIMES.values(), ids=TIMES.keys())
def test_the_duration(
    times: str, order: str, seconds: float, late: int, check: Callable[..., CheckReport]
) -> None:
    report = check(
        f"{MICROSCOPE}acquisition: {{axis_order: {order}, channels: [{{config: DAPI, exposure: 100}}], "
        f"stage_positions: [[0, 0], [9, 0]], time_plan: {times}}}\n"
    )
    plan = report.facts["plan"]
    assert (plan["duration_s"], plan["late_times"]) == (pytest.approx(seconds), late)


def test_the_report_is_json(check: Callable[..., CheckReport]) -> None:
    report = check(MICROSCOPE + ACQUISITION.replace("DAPI", "DPI") + SCRIPTS)
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["ok"] is False
    assert data["findings"] == [
        {
            "message": "group 'Channel' of " + report.facts["microscope"]["config"] + " has no preset 'DPI'.",
            "level": "error",
            "file": report.findings[0].file,
            "line": 4,
            "field": "acquisition.channels[0].config",
            "got": "DPI",
            "allowed": "FITC, Rhodamine, DAPI, Cy5",
            "suggestion": "DAPI",
        }
    ]
    assert data["scripts"][0]["processed"] == 4


def test_what_a_script_prints_is_kept_out_of_the_way(
    check: Callable[..., CheckReport], capsys: pytest.CaptureFixture[str]
) -> None:
    check(MICROSCOPE + ACQUISITION + SCRIPTS)
    assert capsys.readouterr() == ("", "")


@dataclass(frozen=True)
class Case:
    """Replace ``old`` by ``new`` in the right experiment: the only finding."""

    name: str
    old: str
    new: str
    level: str
    line: int
    field: str
    says: str
    meant: str | None = None


CASES = [
    Case(
        "config", "config: galvo", "config: glavo", "error", 1, "microscope.config", "no such config", "galvo"
    ),
    Case(
        "group",
        "config: FITC",
        "group: Chanel, config: FITC",
        "error",
        4,
        "acquisition.channels[1].group",
        "no group 'Chanel'",
        "Channel",
    ),
    Case(
        "other group",
        "config: FITC",
        "config: 40X",
        "error",
        4,
        "acquisition.channels[1].config",
        "no preset '40X'",
    ),
    Case("no exposure", "exposure: 20", "z_offset: 0", "info", 4, "acquisition.channels[0]", "camera's own"),
    Case("no z", ", z: 5", "", "info", 6, "acquisition.z_plan", "1 positions (B): they take the focus read"),
    Case(
        "x",
        "x: 400",
        "x: 6000",
        "error",
        5,
        "acquisition.stage_positions[1]",
        "'B': stage x 6000 um is outside",
    ),
    Case("z", "z: 5,", "z: 99.5,", "error", 6, "acquisition.z_plan", "'B': focus 100.5 um is outside"),
    Case(
        "late",
        "interval: 2",
        "interval: 0.1",
        "warning",
        7,
        "acquisition.time_plan",
        "1 time points cannot start",
    ),
    Case("script", "own.py", "autofcus", "error", 9, "scripts[0].file", "no such script", "autofocus"),
    Case(
        "provider",
        "own.py",
        "own.py, provider: fetch_image",
        "error",
        9,
        "scripts[0].provider",
        "no image provider",
        "fetch_images",
    ),
    Case(
        "process",
        "own.py",
        "own.py, process: mesure",
        "error",
        9,
        "scripts[0].process",
        "no processing function",
        "measure",
    ),
    Case("async", "own.py", "own.py, async: true", "error", 9, "scripts[0].async", "needs the twin"),
    Case(
        "parameter",
        "own.py",
        "own.py, parameters: {min_area: 3}",
        "error",
        9,
        "scripts[0].parameters.min_area",
        "no parameter",
        "min_area_um2",
    ),
    Case(
        "value",
        "own.py",
        "own.py, parameters: {min_area_um2: big}",
        "error",
        9,
        "scripts[0].parameters.min_area_um2",
        "must be a number",
    ),
    Case(
        "channel",
        "own.py",
        "own.py, parameters: {channel: DAP}",
        "error",
        9,
        "scripts[0].parameters.channel",
        "no such channel",
        "DAPI",
    ),
    Case(
        "provider value",
        "own.py",
        "own.py, provider_parameters: {channel_index: 1.5}",
        "error",
        9,
        "scripts[0].provider_parameters.channel_index",
        "integer",
    ),
    Case(
        "never",
        "own.py",
        "own.py, provider_parameters: {channel_index: 2}",
        "warning",
        9,
        "scripts[0]",
        "processing would never run: the provider declines all 16 images",
    ),
]
SAFETY = "safety: {stage: {x_um: [-5000, 5000]}, focus_um: [-100, 100]}\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_mistake_gives_one_finding_at_its_place(case: Case, check: Callable[..., CheckReport]) -> None:
    right = MICROSCOPE + ACQUISITION + SCRIPTS + SAFETY
    assert case.old in right
    report = check(right.replace(case.old, case.new, 1))
    extra = "is known only when the run starts"
    (finding,) = [each for each in report.findings if extra not in each.message]
    assert (finding.level, finding.field) == (case.level, case.field)
    assert (case.says in finding.message, finding.suggestion) == (True, case.meant)
    # A fault of the script itself names the line of the script.
    assert finding.line == case.line or str(finding.file).endswith("own.py")


def test_mistakes_of_the_file_alone_are_told_alone(check: Callable[..., CheckReport]) -> None:
    report = check("microscope: {backend: demo}\nacquisition: {chanels: []}\n")
    assert [(finding.line, finding.suggestion) for finding in report.findings] == [(2, "channels")]
    assert not report.facts


PROVIDERS = {
    "raises": (
        "    return [[{}]][new_image.metadata['timeIndex']]",
        ["the provider raises IndexError: list index out of range", "the provider fails for 8 of 16 images"],
        (2, "t001_p000_c0_z000"),
        8,
    ),
    "too early": (
        "    return [{'focusIndex': new_image.metadata['focusSize'] - 1}]",
        ["is not acquired yet", "the provider fails for 8 of 16 images"],
        (None, "t000_p000_c0_z000"),
        8,
    ),
    "unknown key": (
        "    return [{'zIndex': 0}]",
        ["unknown key 'zIndex'", "the provider fails for 16 of 16 images"],
        (None, "t000_p000_c0_z000"),
        0,
    ),
    "exits": (
        "    raise SystemExit(3)",
        ["the provider raises SystemExit: 3", "the provider fails for 16 of 16 images"],
        (2, "t000_p000_c0_z000"),
        0,
    ),
    "writes into the pixels": (
        "    new_image.array[0, 0] = 1",
        ["the provider raises ValueError: assignment destination is read-only", "fails for 16 of 16"],
        (2, "t000_p000_c0_z000"),
        0,
    ),
}


@pytest.mark.parametrize(("body", "says", "place", "processed"), PROVIDERS.values(), ids=PROVIDERS.keys())
def test_a_provider_that_fails_is_told_with_line_and_image(
    body: str,
    says: list[str],
    place: tuple[int | None, str],
    processed: int,
    check: Callable[..., CheckReport],
) -> None:
    script = f"def fetch_images(new_image):\n{body}\n\n\ndef measure(images: 'images'):\n    pass\n"
    report = check(MICROSCOPE + ACQUISITION + SCRIPTS, script)
    first, summary = told(report, "error")
    assert says[0] in first.message
    assert says[1] in summary.message
    assert (first.function, first.field, first.frame) == ("fetch_images", "scripts[0]", place[1])
    if place[0] is not None:
        assert (first.line, str(first.file).endswith("own.py")) == (place[0], True)
    assert report.facts["scripts"][0]["processed"] == processed


@pytest.mark.timeout(120)
def test_a_provider_that_takes_too_long_does_not_hold_the_check(check: Callable[..., CheckReport]) -> None:
    script = "import time\n\n\ndef fetch_images(new):\n    time.sleep(600)\n\n\ndef f(images: 'images'):\n    pass\n"
    report = check(MICROSCOPE + ACQUISITION + SCRIPTS, script, limit_s=0.2)
    (first,) = report.findings
    assert "answered for 0 of 16 images" in first.message
    assert first.frame == "t000_p000_c0_z000"


def test_one_script_under_its_own_key(check: Callable[..., CheckReport]) -> None:
    report = check(MICROSCOPE + ACQUISITION + "script: {file: own.py, parameters: {min_area: 3}}\n")
    assert [finding.field for finding in report.findings] == ["script.parameters.min_area"]


DISKS = {
    "room": (10**12, []),
    "nearly full": (9_000_000, [("warning", "nearly fill the disk: 9 MB are free")]),
    "full": (1_000_000, [("error", "do not fit on the disk: 1 MB are free")]),
}


@pytest.mark.parametrize(("free", "expected"), DISKS.values(), ids=DISKS.keys())
def test_disk_space(free: int, expected: list[tuple[str, str]], check: Callable[..., CheckReport]) -> None:
    report = check(MICROSCOPE + ACQUISITION, free_bytes=lambda folder: free)
    assert report.facts["plan"]["bytes_free"] == free
    assert [(finding.level, finding.field) for finding in report.findings] == [
        (level, "output.directory") for level, _ in expected
    ]
    assert all(says in finding.message for finding, (_, says) in zip(report.findings, expected, strict=True))


def test_a_file_in_the_place_of_the_output_folder(check: Callable[..., CheckReport], tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    (finding,) = check(MICROSCOPE + ACQUISITION).findings
    assert finding.message == "run folders cannot be made here."


PARTS = "Device,Camera,DemoCamera,DCam\nDevice,Z,DemoCamera,DStage\nDevice,XY,DemoCamera,DXYStage\n"
PARTS += "Device,Shutter,DemoCamera,DShutter\n"
GROUP = "ConfigGroup,Channel,DAPI,Camera,Gain,0\nConfigGroup,Channel,FITC,Camera,Gain,1\n"
ROLES = "Property,Core,Camera,Camera\nProperty,Core,Focus,Z\n"
SIZE = "ConfigPixelSize,Res,Camera,Binning,1\nPixelSize_um,Res,0.5\n"
START = "ConfigGroup,System,Startup,Camera,Binning,1\n"
CONFIGS = {
    "all there": (PARTS + ROLES + GROUP + SIZE + START, []),
    "no focus drive": (
        PARTS + GROUP + SIZE + START + "Property,Core,Camera,Camera\n",
        [("error", "acquisition.z_plan", "the plan sets the focus, but")],
    ),
    "no shutter": (
        (PARTS + ROLES + GROUP + SIZE + START).replace("Device,Shutter,DemoCamera,DShutter\n", ""),
        [("info", "microscope.config", "has no shutter")],
    ),
    "no pixel size": (
        PARTS + ROLES + GROUP,
        [("warning", "microscope.config", "areas will be in pixels")],
    ),
    "other camera and stage": (
        (PARTS + ROLES + GROUP + SIZE + START).replace("DCam\n", "Zyla\n").replace("DXYStage", "MyStage"),
        [("info", "acquisition.stage_positions", "names no XY stage")],
    ),
    "camera not named": (
        (PARTS + ROLES + GROUP + SIZE + START)
        .replace("DCam\n", "Zyla\n")
        .replace("Core,Camera,Camera", "Core,AutoShutter,1"),
        [("warning", "microscope.config", "names no camera")],
    ),
    "a line that the Core refuses": (
        PARTS + ROLES + GROUP + SIZE + START + "Property,Camra,Gain,1\n",
        [("error", None, "there is no device 'Camra'")],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CONFIGS.values(), ids=CONFIGS.keys())
def test_the_plan_against_other_configurations(
    text: str, expected: list[tuple[str, str | None, str]], check: Callable[..., CheckReport], tmp_path: Path
) -> None:
    (tmp_path / "scope.cfg").write_text(text)
    report = check("microscope: {backend: demo, config: scope.cfg}\n" + ACQUISITION + SCRIPTS)
    assert [(finding.level, finding.field) for finding in report.findings] == [
        (level, field) for level, field, _ in expected
    ]
    assert all(says in finding.message for finding, (*_, says) in zip(report.findings, expected, strict=True))


def test_the_specimen_is_checked_by_who_knows_it(check: Callable[..., CheckReport]) -> None:
    def refuse(parameters: object) -> None:
        assert parameters == {"jumps": [{"dz": 3}]}
        raise InvalidInput(
            Finding("'dz' is unknown.", field="microscope.specimen.jumps[0].dz", suggestion="dz_um")
        )

    text = "microscope: {backend: demo, config: galvo, specimen:\n  {jumps: [{dz: 3}]}}\n" + ACQUISITION
    (finding,) = check(text, check_specimen=refuse).findings
    assert (finding.line, finding.field) == (2, "microscope.specimen.jumps[0].dz")


def looked(**facts: Any) -> Callable[[Experiment], MicroscopeFacts]:
    """What loaded devices say: the demo's, changed by ``facts``."""
    known = {"camera": "Camera", "focus": "Z", "xy_stage": "XY", "groups": {"Channel": ("DAPI", "FITC")}}
    known |= {"pixel_size_um": 0.5, "image_shape": (512, 512), "bytes_per_pixel": 2, "exposure_ms": 7.0}
    known |= {"start": StagePosition(0.0, 0.0, 50.0)}
    return lambda experiment: MicroscopeFacts("scope.cfg", loaded=True, **(known | facts))


DEVICES = {
    "as planned": ({}, []),
    "no stage": ({"xy_stage": "", "start": StagePosition(None, None, 1.0)}, ["moves the stage, but"]),
    "no focus": ({"focus": "", "start": StagePosition(0.0, 0.0, None)}, ["sets the focus, but"]),
    "no camera": ({"camera": ""}, ["has no camera"]),
    "colour": ({"components": 4, "bytes_per_pixel": 4}, ["colour cameras are not available yet"]),
    "32 bit": ({"bytes_per_pixel": 4}, ["8- or 16-bit"]),
}


@pytest.mark.parametrize(("facts", "says"), DEVICES.values(), ids=DEVICES.keys())
def test_the_plan_against_loaded_devices(
    facts: dict[str, Any], says: list[str], check: Callable[..., CheckReport]
) -> None:
    report = check(MICROSCOPE + ACQUISITION + SCRIPTS, look=looked(**facts))
    assert report.facts["microscope"]["loaded"] is True
    assert len(report.findings) == len(says)
    assert all(text in finding.message for text, finding in zip(says, report.findings, strict=True))


def test_a_known_start_is_held_against_the_limits(check: Callable[..., CheckReport]) -> None:
    text = MICROSCOPE + ACQUISITION.replace(", z: 5", "") + "safety: {focus_um: [-10, 50.5]}\n"
    report = check(text, look=looked())
    assert [(finding.level, finding.field) for finding in report.findings] == [
        ("info", "acquisition.z_plan"),
        ("error", "acquisition.z_plan"),
    ]
    assert "(now 50 um)" in report.findings[0].message
    assert "'B': focus 51 um is outside its limit" in report.findings[1].message


def test_devices_that_cannot_be_loaded_are_a_finding(check: Callable[..., CheckReport]) -> None:
    def fail(experiment: Experiment) -> MicroscopeFacts:
        raise DeviceError("the stage is switched off")

    report = check(MICROSCOPE + ACQUISITION, look=fail)
    (finding,) = report.findings
    assert "the stage is switched off" in finding.message
    assert report.facts["plan"]["images"] == 16


@pytest.mark.demo
@pytest.mark.parametrize("name", ["demo", "galvo", "galvo_2cam_lasers"])
def test_the_file_says_what_the_loaded_demo_devices_say(name: str) -> None:
    import pymmcore

    path, adapters = find_config(MicroscopeConfig(config=name))
    core = pymmcore.CMMCore()
    core.setDeviceAdapterSearchPaths([str(adapters)])
    core.loadSystemConfiguration(str(path))
    loaded, said = facts_of(Microscope(core, path)), facts_from_file(read_config(path))
    core.unloadAllDevices()
    assert said.to_dict() == loaded.to_dict() | {"loaded": False}
    assert {group: set(names) for group, names in said.groups.items()} == {
        group: set(names) for group, names in loaded.groups.items()
    }
    assert said.image_bytes == loaded.image_bytes == 512 * 512 * 2


CORRECTING = SCRIPT.replace('"""Nothing."""', "context.correctPosition(dz_um=1)").replace(
    '(images: "images",', '(images: "images", context: "IIS_CONTEXT",'
)


@pytest.mark.parametrize(
    ("script", "slow", "warned"),
    [(CORRECTING, "{queue: 2}", True), (CORRECTING, "wait", False), (SCRIPT, "{queue: 2}", False)],
)
def test_corrections_without_waiting_are_warned_of(
    check: Callable[..., CheckReport], script: str, slow: str, warned: bool
) -> None:
    text = MICROSCOPE + ACQUISITION + f"scripts:\n  - {{file: own.py, policy: {{slow: {slow}}}}}\n"
    found = [finding for finding in check(text, script).findings if "a second time" in finding.message]
    assert [finding.level for finding in found] == (["warning"] if warned else [])
