"""Sub-devices from scripts: what they can do in a run, how long it holds, and wrong names told before the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition.check import check_experiment
from inscoper_mm.acquisition.check_microscope import facts_of
from inscoper_mm.errors import InvalidInput
from inscoper_mm.images.index import Index
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.live_devices import SubDevices
from inscoper_mm.records import Captured, Commanded, Logged

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

PLACES = ["thread", "worker"]
FETCH = """
def fetch_images(new_image: "images"):
    return [{}]
"""
FOUR = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}]
  time_plan: {interval: 0, loops: 4}
"""


def script(body: str, parameters: str = "") -> str:
    """A script whose processing function runs ``body`` for the first image, with ``seen`` as its answer."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return (
        f'{FETCH}\n\ndef act(images: "images", context: "IIS_CONTEXT"{parameters}):\n'
        f"    first = images.metadata['timeIndex'] == 0\n    seen = {{}}\n{lines}\n"
        f'    return {{"metadata": seen}}\n'
    )


def audit(ran: Any) -> list[Commanded]:
    return [record for record in ran.of(Commanded) if record.name == "set"]


# -- the commands


@pytest.mark.parametrize("place", PLACES)
def test_a_script_finds_reads_sets_and_checks(lab: Lab, microscope: Microscope, place: str) -> None:
    body = """
if first:
    seen["FOCUS"] = context.getSubDevices("focus")
    seen["ALL"] = len(context.getSubDevices())
    seen["TAKES"] = context.getConstraints("Emission")
    seen["BEFORE"] = context.get("Camera.Gain")
    seen["REACHED"] = [context.set("my gain", 4), context.set("LED", 2), context.set("LED", "550nm")]
    seen["AFTER"] = [context.get("Camera.Gain"), context.check("my gain"), context.check("Galvo")]
"""
    ran = lab(
        script(body), policy=f"{{place: {place}}}", acquisition=FOUR, more="aliases: {my gain: Camera.Gain}"
    )
    assert ran.result.error is None
    seen = ran.stored()[Index()]
    assert seen["FOCUS"] == ["Z"]
    assert seen["ALL"] == len(facts_of(microscope).inventory.ids())
    takes = seen["TAKES"]
    assert (takes["kind"], takes["type"], takes["settable"]) == ("state", "state", True)
    assert takes["values"][:2] == ["Chroma-HQ620", "Chroma-D460"]
    assert (seen["BEFORE"], seen["REACHED"]) == (0, [4, "470nm", "550nm"])
    assert seen["AFTER"] == [4, True, True]
    first, second, third = audit(ran)
    assert (first.asked, first.decided) == ({"id": "my gain", "value": 4, "wait": True}, "executed")
    assert (first.commanded, first.reached) == (
        {"id": "Camera.Gain", "value": 4},
        {"id": "Camera.Gain", "value": 4},
    )
    assert (second.commanded, third.reached) == (
        {"id": "LED", "value": "470nm"},
        {"id": "LED", "value": "550nm"},
    )
    assert first.asked_s <= first.turn_s <= first.done_s


REFUSED = {
    "unknown id": ("'Camera.Gian'", "3", "Did you mean 'Camera.Gain'"),
    "unknown device": ("'Laser9'", "True", "no sub-device 'Laser9'"),
    "no text": ("None", "3", "no sub-device None"),
    "outside": ("'Camera.Gain'", "9", "Allowed: a whole number from -5 to 8"),
    "not a number": ("'Camera.Gain'", "float('nan')", "finite"),
    "unknown label": ("'LED'", "'550'", "Did you mean '550nm'"),
    "only reported": ("'Camera.CameraID'", "'x'", "cannot be set"),
    "a role": ("'Core.Focus'", "''", "cannot be set"),
    "a region off the sensor": ("'Camera.ROI'", "[500, 0, 64, 64]", "within 512 x 512 px"),
}


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_what_is_refused_sets_nothing_and_is_in_the_audit(
    lab: Lab, microscope: Microscope, case: str
) -> None:
    name, value, words = REFUSED[case]
    before = {each: microscope.core.getProperty(*each) for each in (("Camera", "Gain"), ("LED", "State"))}
    body = f"""
if first:
    try:
        context.set({name}, {value})
    except Exception as error:
        seen["SAID"] = [type(error).__name__, str(error)]
"""
    ran = lab(script(body), acquisition=FOUR)
    kind, said = ran.stored()[Index()]["SAID"]
    assert kind == "CommandRefused"
    assert words in said
    (line,) = audit(ran)
    assert (line.decided, line.message, line.reached) == ("refused", said, None)
    assert {each: microscope.core.getProperty(*each) for each in before} == before
    assert list(microscope.core.getROI()) == [0, 0, 512, 512]


def test_a_list_of_numbers_goes_there_and_back(lab: Lab) -> None:
    ran = lab(
        script('seen["GALVO"] = [context.set("Galvo", [1, 2]), context.get("Galvo")]'), acquisition=FOUR
    )
    assert ran.stored()[Index()]["GALVO"] == [[1.0, 2.0], [1.0, 2.0]]


# -- the axes of the run go the way of moves


def test_an_axis_moves_one_off_and_the_plan_goes_on(lab: Lab) -> None:
    body = """
if first:
    seen["REACHED"] = [context.set("XY.X", 40.0), context.set("XY.Y", -30), context.set("Z", 7)]
    seen["THERE"] = [*context.getStagePosition(), context.getFocus()]
"""
    ran = lab(script(body), acquisition=FOUR)
    seen = ran.stored()[Index()]
    assert seen["REACHED"] == pytest.approx([40, -30, 7], abs=0.05)
    assert seen["THERE"] == pytest.approx([40, -30, 7], abs=0.05)
    places = [list(record.real_um.values()) for record in ran.of(Captured)]
    assert places == [pytest.approx([0, 0, 0], abs=0.05)] * 4
    assert [line.commanded for line in audit(ran)] == [
        {"x_um": 40.0, "y_um": pytest.approx(0, abs=0.05)},
        {"x_um": pytest.approx(40, abs=0.05), "y_um": -30.0},
        {"z_um": 7.0},
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("XY.X", 101.0, "safety.stage.x_um"),
        ("far", -101.0, "safety.stage.x_um"),
        ("Z", 51, "safety.focus_um"),
        ("Z.Position", 51, "safety.focus_um"),
        ("Z", "'high'", "finite number"),
        ("XY.Y", "float('inf')", "finite number"),
    ],
)
def test_an_axis_stays_within_the_limits_of_the_run(
    name: str, value: Any, words: str, lab: Lab, microscope: Microscope
) -> None:
    body = f"""
if first:
    try:
        context.set({name!r}, {value})
    except Exception as error:
        seen["SAID"] = [type(error).__name__, str(error)]
    seen["THERE"] = [*context.getStagePosition(), context.getFocus()]
    seen["TAKES"] = context.getConstraints({name!r})
"""
    more = "safety: {stage: {x_um: [-100, 100]}, focus_um: [-50, 50]}\naliases: {far: XY.X}"
    seen = lab(script(body), acquisition=FOUR, more=more).stored()[Index()]
    assert seen["SAID"][0] == "LimitRefused"
    assert words in seen["SAID"][1]
    assert seen["THERE"] == pytest.approx([0, 0, 0], abs=0.05)
    limits = {"XY.X": (-100, 100), "far": (-100, 100), "Z": (-50, 50), "Z.Position": (-50, 50)}
    if name in limits:
        assert (seen["TAKES"]["min"], seen["TAKES"]["max"]) == limits[name]


def test_two_scripts_that_move_one_axis_are_told_apart(lab: Lab) -> None:
    one = script('if first:\n    context.set("XY.X", 10)')
    two = script("if first:\n    context.moveStage(20, 0)")
    ran = lab(one, two, acquisition=FOUR)
    refused = [record for record in ran.of(Commanded) if record.decided == "refused"]
    assert len(refused) == 1
    assert "both move x" in str(refused[0].message)


# -- how long a setting holds


def test_an_exposure_holds_until_the_next_planned_event(lab: Lab, microscope: Microscope) -> None:
    ran = lab(
        script(
            "seen['MS'] = context.get('Camera.Exposure')\nif first:\n    context.set('Camera.Exposure', 5)"
        ),
        acquisition=FOUR,
    )
    assert [ran.stored()[Index(time)]["MS"] for time in range(4)] == [1.0, 1.0, 1.0, 1.0]
    assert [line.reached["value"] for line in audit(ran)] == [5.0]


def test_other_settings_stay_until_they_are_set_again(lab: Lab) -> None:
    body = """
seen["GAIN"] = context.get("Camera.Gain")
if images.metadata["timeIndex"] in (0, 2):
    context.set("Camera.Gain", 3 + images.metadata["timeIndex"])
"""
    ran = lab(script(body), acquisition=FOUR)
    assert [ran.stored()[Index(time)]["GAIN"] for time in range(4)] == [0, 3, 3, 5]


@pytest.mark.parametrize(
    ("name", "value", "shape"),
    [("Camera.Binning", 2, (256, 256)), ("Camera.ROI", [8, 16, 100, 60], (60, 100))],
)
def test_later_images_have_the_size_that_a_script_has_set(
    name: str, value: Any, shape: tuple[int, int], lab: Lab, microscope: Microscope
) -> None:
    body = f"""
seen["SHAPE"] = list(images.array.shape)
if images.metadata["timeIndex"] == 1:
    context.set({name!r}, {value!r})
"""
    try:
        ran = lab(script(body), acquisition=FOUR)
    finally:
        microscope.core.setProperty("Camera", "Binning", "1")
        microscope.core.clearROI()
    assert ran.result.error is None
    shapes = [tuple(ran.stored()[Index(time)]["SHAPE"]) for time in range(4)]
    assert shapes == [(512, 512), (512, 512), shape, shape]


def test_the_next_event_waits_for_a_device_that_was_not_waited_for(lab: Lab, microscope: Microscope) -> None:
    """The demo LED is made busy for a second after each change."""
    body = """
if first:
    seen["AT_ONCE"] = [context.set("LED", 3, wait=False), context.check("LED")]
else:
    seen["LATER"] = context.check("LED")
"""
    core = microscope.core
    core.setDeviceDelayMs("LED", 1000.0)
    try:
        ran = lab(script(body), acquisition=FOUR)
    finally:
        core.setDeviceDelayMs("LED", 0.0)
    assert ran.stored()[Index()]["AT_ONCE"] == ["550nm", False]
    assert ran.stored()[Index(1)]["LATER"] is True


EACH_ONE = """
def fetch_images(new_image: "images"):
    return [{}]


def another(takes, value):
    if "values" in takes:
        return next((each for each in reversed(takes["values"]) if each != value), value)
    if takes["type"] == "numbers":
        return [1, 2, 30, 40][: len(takes["names"])]
    if takes["type"] == "text":
        return value
    return takes.get("max", value + 1)


def act(images: "images", context: "IIS_CONTEXT"):
    ids = [each for each in context.getSubDevices() if not each.endswith("AsyncPropertyLeader")]
    number = images.metadata["timeIndex"]
    if number >= len(ids) or ids[number] in ("XY.X", "XY.Y", "Z", "Autofocus.Offset"):
        return {"metadata": {"IDS": len(ids)}}
    id = ids[number]
    value = another(context.getConstraints(id), context.get(id))
    return {"metadata": {"IDS": len(ids), "SET": [id, value, context.set(id, value)]}}
"""


def test_a_run_lives_through_a_change_of_everything(lab: Lab, microscope: Microscope) -> None:
    """One thing after another is set to another value, and stays so; every image is taken, and stored."""
    devices = SubDevices(microscope)
    before = {each: devices.get(each) for each in devices.inventory.ids(settable=False)}
    acquisition = FOUR.replace("loops: 4", "loops: 75")
    ran = lab(EACH_ONE, acquisition=acquisition)
    assert ran.result.error is None
    assert (ran.counts["stored"], ran.counts["failed"]) == (75, 0)
    stored = ran.stored()
    told = [metadata["SET"] for metadata in stored.values() if "SET" in metadata]
    assert 50 < len(told) == stored[Index()]["IDS"] - 4 <= 71
    assert [each for each in told if each[1] != each[2]] == []
    changed = {
        each: (value, devices.get(each)) for each, value in before.items() if devices.get(each) != value
    }
    # The stage settles on steps of its own.
    assert set(changed) <= {"XY.X", "XY.Y"}


# -- wrong names are told before the run

TAKES = ', device: "SubDeviceId" = "Stage X", where: "channel" = "DAPI"'


@pytest.mark.parametrize("place", PLACES)
def test_a_name_reaches_the_script_as_the_id(lab: Lab, place: str) -> None:
    ran = lab(
        script('seen["GOT"] = [device, where["config"], where["group"]]', TAKES),
        policy=f"{{place: {place}}}",
        acquisition=FOUR,
        more="aliases: {Stage X: XY.X, Light: LED}",
        entry=", parameters: {where: FITC}",
    )
    assert ran.result.error is None
    assert ran.stored()[Index()]["GOT"] == ["XY.X", "FITC", "Channel"]


WRONG = {
    "sub-device": ("parameters: {device: Camera.Gian}", "device", "Camera.Gain"),
    "alias": ("parameters: {device: Ligth}", "device", "Light"),
    "channel": ("parameters: {where: DAPPI}", "where", "DAPI"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("entry", "parameter", "meant"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_name_ends_the_run_before_it_begins(
    lab: Lab, place: str, entry: str, parameter: str, meant: str
) -> None:
    ran = lab(
        script("pass", TAKES),
        policy=f"{{place: {place}}}",
        acquisition=FOUR,
        more="aliases: {Stage X: XY.X, Light: LED}",
        entry=f", {entry}",
    )
    assert isinstance(ran.result.error, InvalidInput)
    (finding,) = ran.result.error.findings
    assert (finding.parameter, finding.suggestion) == (parameter, meant)
    assert ran.result.folder is None


def test_a_default_that_is_not_there_is_told(lab: Lab) -> None:
    ran = lab(script("pass", TAKES), acquisition=FOUR)
    assert isinstance(ran.result.error, InvalidInput)
    assert [finding.parameter for finding in ran.result.error.findings] == ["device"]


ALIASES = {
    "nowhere": ("aliases: {Stage X: XY.XX}", "XY.X", "no sub-device"),
    "hides an id": ("aliases: {LED: Camera.Gain}", None, "already"),
    "hides another way to write it": ("aliases: {LED.State: Camera.Gain}", None, "already"),
    "alias of an alias": ("aliases: {A: LED, B: A}", None, "no sub-device"),
}


@pytest.mark.parametrize(("line", "meant", "words"), ALIASES.values(), ids=ALIASES.keys())
def test_a_wrong_alias_is_told_by_check_and_by_the_run(
    line: str, meant: str | None, words: str, lab: Lab, microscope: Microscope, tmp_path: Path
) -> None:
    ran = lab(acquisition=FOUR, more=line)
    assert isinstance(ran.result.error, InvalidInput)
    (finding,) = ran.result.error.findings
    assert words in finding.message
    assert ran.result.folder is None
    by_devices = check_experiment(tmp_path / "lab.yaml", look=lambda _: facts_of(microscope))
    (found,) = [each for each in by_devices.findings if each.level == "error"]
    assert (found.line, found.suggestion) == (8, meant)
    assert found.field is not None and found.field.startswith("aliases.")


def test_the_labs_own_names_are_for_all_its_microscopes(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of the site file that do not fit this microscope do no harm, and cannot hide an id."""
    site = tmp_path / "site.yaml"
    site.write_text(
        "aliases: {Turret: Objective, Piezo: 'PiezoStage:P:34', LED: Camera.Gain}", encoding="utf-8"
    )
    monkeypatch.setenv("INSCOPER_MM_SITE", str(site))
    body = """
seen["GOT"] = [device, context.get("Turret"), context.get("LED")]
try:
    context.get("Piezo")
except Exception as error:
    seen["SAID"] = str(error)
"""
    ran = lab(
        script(body, ', device: "SubDeviceId" = None'),
        acquisition=FOUR,
        more="aliases: {Wheel: Emission}",
        entry=", parameters: {device: Turret}",
    )
    assert ran.result.error is None
    seen = ran.stored()[Index()]
    assert seen["GOT"] == ["Objective", "Nikon 10X S Fluor", "Closed"]
    assert "no sub-device 'Piezo'" in seen["SAID"]
    assert not [each for each in check_experiment(tmp_path / "lab.yaml").findings if each.level == "error"]


def test_the_file_alone_tells_what_it_can(lab: Lab, tmp_path: Path) -> None:
    """A property that no line names may exist; a device that no line names does not."""
    lab(acquisition=FOUR, more="aliases: {Hub: DHub.Anything, Nothing: Lasr405, Gain: Camera.Gain}")
    found = check_experiment(tmp_path / "lab.yaml").findings
    assert [(each.field, each.level) for each in found] == [
        ("aliases.Hub", "info"),
        ("aliases.Nothing", "error"),
        ("aliases.Gain", "info"),
    ]


def test_a_value_that_the_file_alone_cannot_judge_is_told_as_such(
    lab: Lab, tmp_path: Path, microscope: Microscope
) -> None:
    lab(
        script("pass", TAKES),
        acquisition=FOUR,
        more="aliases: {Stage X: XY.X}",
        entry=", parameters: {device: Camera.Gian}",
    )
    (found,) = check_experiment(tmp_path / "lab.yaml").findings
    assert (found.level, found.got, found.parameter) == ("info", "'Camera.Gian'", "device")
    assert str(found.cure).startswith("'check --load'")
    by_devices = check_experiment(tmp_path / "lab.yaml", look=lambda _: facts_of(microscope)).findings
    (found,) = [each for each in by_devices if each.level == "error"]
    assert (found.parameter, found.suggestion) == ("device", "Camera.Gain")


def test_nothing_is_logged_as_wrong_in_a_right_run(lab: Lab) -> None:
    ran = lab(script('context.set("LED", 1)'), acquisition=FOUR)
    assert not [record for record in ran.of(Logged) if record.level in ("warning", "error")]
