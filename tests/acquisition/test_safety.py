"""Limits in a check and in a run: which file they come from, and that nothing is moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition.check import CheckReport, check_experiment
from inscoper_mm.acquisition.check_microscope import facts_of
from inscoper_mm.errors import Finding, InvalidInput, LimitRefused
from inscoper_mm.experiment import site_file
from inscoper_mm.microscope import motion
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Captured, Commanded, Logged, Record

HEAD = "microscope: {backend: demo, config: galvo}\n"
PLAN = """\
acquisition:
  axis_order: tpcz
  channels: [{config: DAPI, exposure: 20}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 400, y: 0, z: 5, name: B}, {x: 400, y: 300, z: 5, name: C}]
  z_plan: {range: 2, step: 1}
"""
ACQUISITION = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 100, y: 0, z: 0, name: B}]
"""
WAITS = "safety.travel_per_min allows no more"
Check = Callable[..., CheckReport]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes the text of the site file, or of the user's."""
    files = {"site": tmp_path / "site.yaml", "user": tmp_path / "user.yaml"}
    monkeypatch.delenv(site_file.SITE_VARIABLE, raising=False)
    monkeypatch.setattr(site_file, "site_paths", lambda: (files["site"],))
    monkeypatch.setattr(site_file, "user_path", lambda: files["user"])

    def write(text: str, which: str = "site") -> Path:
        files[which].write_text(text, encoding="utf-8")
        return files[which]

    return write


@pytest.fixture
def check(site: Callable[..., Path], tmp_path: Path) -> Check:
    """Checks a plan with this ``safety``."""

    def check_safety(safety: str = "{}", plan: str = PLAN, head: str = HEAD, **more: Any) -> CheckReport:
        path = tmp_path / "experiment.yaml"
        path.write_text(f"{head}{plan}safety: {safety}\n", encoding="utf-8")
        return check_experiment(path, output=tmp_path / "runs", **more)

    return check_safety


def _told(report: CheckReport) -> list[Finding]:
    """What is about limits."""
    quiet = ("is known only when the run starts", "names no XY stage", "its limits hold")
    return [each for each in report.findings if not any(words in each.message for words in quiet)]


# -- the plan against the limits: text of safety, level, field, line, words

FOUND: dict[str, tuple[str, str, str, int | None, tuple[str, ...]]] = {
    "place": (
        "{stage: {y_um: [-200, 200]}}",
        "error",
        "acquisition.stage_positions[2]",
        5,
        ("position 'C'", "stage y 300 um", "-200 to 200 um (safety.stage.y_um in "),
    ),
    "slice of a stack": (
        "{focus_um: [-5, 5.5]}",
        "error",
        "acquisition.z_plan",
        6,
        ("position 'B'", "focus 6 um", "safety.focus_um in "),
    ),
    "step": (
        "{largest_step: {stage_um: 399}}",
        "error",
        "acquisition.stage_positions[1]",
        5,
        ("position 'B'", "a step of the stage of 400 um", "at most 399 um (safety.largest_step.stage_um in "),
    ),
    "focus step": (
        "{largest_step: {focus_um: 2.5}}",
        "error",
        "acquisition.stage_positions[1]",
        5,
        ("position 'B'", "a step of the focus of 3 um", "at most 2.5 um"),
    ),
    "zone on the way": (
        "{exclusion_zones: [{name: clamp, x_um: [100, 120], y_um: [-5, 5]}]}",
        "error",
        "acquisition.stage_positions[1]",
        5,
        ("position 'B'", "leads through the exclusion zone 'clamp'", "safety.exclusion_zones in "),
    ),
    "zone at the end": (
        "{exclusion_zones: [{name: clamp, x_um: [390, 410], y_um: [-10, 10], focus_um: [6, 9]}]}",
        "error",
        "acquisition.stage_positions[1]",
        5,
        ("position 'B'", "(x 400, y 0, z 6) lies in"),
    ),
    "travel": (
        "{travel_per_min: {stage_um: 600}}",
        "warning",
        "acquisition",
        2,
        ("the stage may travel up to 700 um within a minute", "at most 600 um (safety.travel_per_min.stage_um in "),
    ),
    "exposure": (
        "{sub_devices: {Camera.Exposure: [0, 10]}}",
        "error",
        "acquisition.channels",
        4,
        ("'Camera.Exposure' 20.0 is outside", "0 to 10 (safety.sub_devices.Camera.Exposure in "),
    ),
    "preset": (
        "{sub_devices: {Dichroic: [Q505LP]}}",
        "error",
        "acquisition.channels",
        4,
        ("preset 'DAPI' of 'Channel'", "'Dichroic' must not be set to '400DCLP'", "Allowed: Q505LP"),
    ),
    "forbidden in a preset": (
        "{forbidden_properties: [Emission]}",
        "error",
        "acquisition.channels",
        4,
        ("'Emission' must not be set", "safety.forbidden_properties in "),
    ),
    "no such sub-device": (
        "{sub_devices: {Kamera.Exposure: [0, 10]}}",
        "error",
        "safety.sub_devices.Kamera.Exposure",
        7,
        ("has no sub-device 'Kamera.Exposure'",),
    ),
    "no such objective": (
        "{largest_step: {per_objective: {11X: {focus_um: 1}}}}",
        "warning",
        "safety.largest_step.per_objective.11X",
        7,
        ("no state device with the label '11X'",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_the_plan_is_held_against_every_limit(check: Check, name: str) -> None:
    text, level, field, line, words = FOUND[name]
    finding = _told(check(text))[0]
    assert (finding.level, finding.field, finding.line) == (level, field, line)
    for each in words:
        assert each in finding.message
    if "safety." in finding.message:
        assert "experiment.yaml" in finding.message


def test_a_plan_inside_the_limits_is_told_nothing(check: Check) -> None:
    text = """{stage: {x_um: [0, 400], y_um: [0, 300]}, focus_um: [-1, 6], largest_step: {stage_um: 400, focus_um: 4,
  per_objective: {10X: {focus_um: 1}}}, travel_per_min: {stage_um: 700}, sub_devices: {Camera.Exposure: [0, 20]},
  exclusion_zones: [{x_um: [100, 120], y_um: [1, 5]}], allowed_sub_devices: {tracker: [Z]}}"""
    assert not _told(check(text))


def test_the_way_from_where_the_stage_stands_counts_too(check: Check, microscope: Microscope) -> None:
    microscope.move_stage(-100.0, 0.0)
    report = check(
        "{largest_step: {stage_um: 450}}",
        PLAN.replace("{x: 0,", "{x: 390,"),
        look=lambda _: facts_of(microscope),
    )
    (finding,) = [each for each in _told(report) if each.level == "error"]
    assert "a step of the stage of 490" in finding.message
    assert finding.field == "acquisition.stage_positions[0]"


def test_waiting_between_time_points_is_counted_in_travel(check: Check) -> None:
    slow = PLAN.replace("  z_plan", "  time_plan: {interval: 90, loops: 3}\n  z_plan")
    quick = slow.replace("90", "10")
    # There and back again: 400 + 300 + 500 um a round, the way back at the beginning of the next.
    (finding,) = _told(check("{travel_per_min: {stage_um: 1200}}", quick))
    assert "up to 3100 um within a minute" in finding.message
    assert not _told(check("{travel_per_min: {stage_um: 1200}}", slow))


def test_many_findings_are_counted_and_not_listed(check: Check) -> None:
    places = ", ".join(f"{{x: {1000 * (n % 2)}, y: {n}, z: 0}}" for n in range(40))
    plan = PLAN.replace(
        "[{x: 0, y: 0, z: 0, name: A}, {x: 400, y: 0, z: 5, name: B}, {x: 400, y: 300, z: 5, name: C}]",
        f"[{places}]",
    )
    told = _told(check("{largest_step: {stage_um: 10}}", plan))
    assert len(told) == 11
    assert "more ways" in told[-1].message


# -- several files


def test_an_experiment_that_asks_for_more_is_warned_with_both_files(
    check: Check, site: Callable[..., Path]
) -> None:
    site("# the lab's\nsafety: {stage: {x_um: [-500, 500]}, largest_step: {focus_um: 10}}\n")
    site("\nsafety: {stage: {x_um: [-900, 450]}}\n", "user")
    user, own = _told(check("{stage: {x_um: [-5000, 5000]}, largest_step: {focus_um: 10}}"))
    assert (user.level, user.line, Path(str(user.file)).name) == ("warning", 2, "user.yaml")
    assert "allows -900 to 450, but only -500 to 500 is allowed by safety.stage.x_um in " in user.message
    assert "site.yaml" in user.message
    assert (own.level, own.field, own.line) == ("warning", "safety.stage.x_um", 7)
    assert "-500 to 450" in own.message
    assert "site.yaml" in own.message and "user.yaml" in own.message and "tighter" in own.message


def test_a_limit_of_the_site_is_named_as_such(check: Check, site: Callable[..., Path]) -> None:
    site("safety: {stage: {x_um: [-300, 300]}}\n")
    first, second = _told(check("{}"))
    assert "stage x 400 um" in first.message
    assert "safety.stage.x_um in " in first.message and "site.yaml" in first.message
    assert "experiment.yaml" not in first.message
    assert second.field == "acquisition.stage_positions[2]"


def test_files_that_leave_nothing_together_are_an_error(check: Check, site: Callable[..., Path]) -> None:
    site("safety: {focus_um: [100, 200]}\n")
    report = check("{focus_um: [-5, 10]}")
    messages = [each.message for each in report.findings if each.level == "error"]
    assert any("the limits leave nothing" in each and "site.yaml" in each for each in messages)


def test_a_limit_of_the_site_for_another_microscope_is_a_warning(
    check: Check, site: Callable[..., Path]
) -> None:
    site("safety: {sub_devices: {Laser405Power.Volts: [0, 5]}}\n")
    (finding,) = _told(check())
    assert finding.level == "warning"
    assert "no sub-device 'Laser405Power.Volts'" in finding.message and "site.yaml" in finding.message


def test_a_wrong_site_file_stops_check_and_run(
    check: Check, site: Callable[..., Path], lab: Any, microscope: Microscope
) -> None:
    site("safety: {focus: [0, 1]}\n")
    report = check()
    (finding,) = [each for each in report.findings if each.level == "error"]
    assert (finding.line, finding.field, finding.suggestion) == (1, "safety.focus", "focus_um")
    assert "site.yaml" in str(finding.file)
    ran = lab()
    assert isinstance(ran.result.error, InvalidInput)
    assert "site.yaml:1, safety.focus" in str(ran.result.error)
    assert not ran.of(Captured)


def test_aliases_of_the_site_can_be_used_in_limits_and_scripts(lab: Any, site: Callable[..., Path]) -> None:
    site("safety: {sub_devices: {Amplifier: [-2, 3]}}\naliases: {Amplifier: Camera.Gain}\n")
    ran = lab(_script("context.set('Amplifier', 3)"), _script("context.set('Camera.Gain', 4)"))
    assert [record.decided for record in ran.of(Commanded)] == ["executed", "refused"] * 6
    assert "site.yaml" in str(ran.of(Commanded)[1].message)
    assert any("site.yaml" in record.message and "limits" in record.message for record in ran.of(Logged))


def test_an_experiment_cannot_lead_a_limit_of_the_site_elsewhere(lab: Any, site: Callable[..., Path]) -> None:
    """By giving the site's alias to another device, or an allowed name to a forbidden one."""
    site(
        "safety: {sub_devices: {Amplifier: [-2, 3]}, forbidden_properties: [Cold*],\n"
        "  allowed_sub_devices: {'*': [Z*, Camera.*]}}\n"
        "aliases: {Amplifier: Camera.Gain, Cold plate: Camera.CCDTemperature}\n"
    )
    own = "aliases: {Amplifier: Camera.Offset, Cold plate: Camera.Gain, Z9: Path}"
    for line, words in {
        "context.set('Camera.Gain', 4)": "safety.sub_devices.Amplifier in ",
        "context.set('Camera.CCDTemperature', -20)": "safety.forbidden_properties in ",
        "context.set('Z9', 1)": "may not set 'Path'",
    }.items():
        ran = lab(_script(line), more=own)
        assert {record.decided for record in ran.of(Commanded)} == {"refused"}
        assert all(words in str(record.message) for record in ran.of(Commanded))


# -- a run


def _script(line: str) -> str:
    return (
        "def fetch_images(image: 'images'):\n    return [{}]\n\n"
        f"def act(images: 'images', context: 'IIS_CONTEXT'):\n    {line}\n"
    )


REFUSED = {
    "envelope": ("context.moveStage(300, 0)", "stage: {x_um: [-200, 200]}", "safety.stage.x_um in "),
    "zone": (
        "context.moveStage(0, 100)",
        "exclusion_zones: [{name: clamp, x_um: [-5, 50], y_um: [50, 60]}]",
        "exclusion zone 'clamp'",
    ),
    "correction into a zone": (
        "context.correctPosition(0, 55, positions='all')",
        "exclusion_zones: [{name: clamp, x_um: [-5, 150], y_um: [50, 60]}]",
        "lies in the exclusion zone 'clamp'",
    ),
    "largest step": ("context.moveStage(0, 160)", "largest_step: {stage_um: 150}", "safety.largest_step.stage_um in "),
    "objective's step": (
        "context.moveFocus(3)",
        "largest_step: {per_objective: {10X: {focus_um: 2}}}",
        "safety.largest_step.per_objective.10X.focus_um in ",
    ),
    "script's list": (
        "context.moveFocus(3)",
        "allowed_sub_devices: {script0: [XY.*]}",
        "'script0' may not set 'Z'. Allowed: XY.* (safety.allowed_sub_devices.script0 in ",
    ),
    "list, a correction": ("context.correctPosition(dz_um=1)", "allowed_sub_devices: {'*': [XY.*]}", "not set 'Z'"),
    "forbidden": ("context.set('Camera.Gain', 1)", "forbidden_properties: [camera.*]", "'camera.*' is forbidden"),
    "exposure": ("context.setExposure(50)", "sub_devices: {Camera.Exposure: [0, 20]}", "'Camera.Exposure' 50 is"),
    "channel": ("context.setChannel('FITC')", "sub_devices: {Dichroic: [400DCLP]}", "must not be set to 'Q505LP'"),
    "label": ("context.set('Objective', 0)", "sub_devices: {Objective: [Nikon 10X S Fluor]}", "Allowed: Nikon 10X"),
    "shutter": ("context.set('White Light Shutter', True)", "light: {ms_total: 5}", "must not be left open"),
}  # fmt: skip


@pytest.mark.demo
@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_command_moves_nothing_and_is_in_the_audit(
    lab: Any, site: Callable[..., Path], microscope: Microscope, name: str
) -> None:
    line, safety, words = REFUSED[name]
    ran = lab(_script(line), more=f"safety: {{{safety}}}")
    assert ran.counts["stored"] == 6
    commands = ran.of(Commanded)
    assert len(commands) == 6
    for record in commands:
        assert (record.decided, record.commanded, record.reached) == ("refused", None, None)
        assert words in str(record.message)
        assert "lab.yaml" in str(record.message)
    # Every image was taken where the plan says.
    places = [(round(each.real_um["x"]), round(each.real_um["y"])) for each in ran.of(Captured)]
    assert places == [(0, 0), (100, 0)] * 3


@pytest.mark.demo
def test_a_script_sees_a_clear_error(lab: Any, site: Callable[..., Path]) -> None:
    body = """\
try:
        context.moveStage(0, 160)
    except Exception as error:
        return {"metadata": {"KIND": type(error).__name__, "WORDS": str(error)}}"""
    for place in ("thread", "worker"):
        ran = lab(_script(body), more="safety: {largest_step: {stage_um: 150}}", policy=f"{{place: {place}}}")
        tags = next(iter(ran.stored().values()))
        assert tags["KIND"] == "LimitRefused"
        assert "at most 150 um (safety.largest_step.stage_um in " in tags["WORDS"]


@pytest.mark.demo
@pytest.mark.parametrize(
    ("safety", "words"),
    [
        ("largest_step: {stage_um: 99}", r"position 'B'.*a step of the stage of 100 um"),
        (
            "exclusion_zones: [{name: clamp, x_um: [40, 60], y_um: [-5, 5]}]",
            "leads through the exclusion zone 'clamp'",
        ),
        ("sub_devices: {Camera.Exposure: [2, 20]}", "the plan: 'Camera.Exposure' 1.0 is outside"),
        ("sub_devices: {Emission: [Chroma-HQ535]}", "the plan, preset 'DAPI' of 'Channel'"),
        ("largest_step: {per_objective: {11X: {focus_um: 2}}}", "label '11X'"),
        ("sub_devices: {Camera.Gian: [0, 1]}", "no sub-device 'Camera.Gian'.*Did you mean 'Camera.Gain'"),
    ],
)
def test_a_plan_outside_the_limits_is_refused_before_the_first_image(
    lab: Any, site: Callable[..., Path], safety: str, words: str
) -> None:
    ran = lab(more=f"safety: {{{safety}}}")
    assert not ran.of(Captured)
    assert isinstance(ran.result.error, InvalidInput)
    with pytest.raises(InvalidInput, match=words):
        raise ran.result.error


@pytest.mark.demo
def test_an_event_that_a_script_has_put_out_of_reach_ends_the_run(
    lab: Any, site: Callable[..., Path], microscope: Microscope
) -> None:
    """Behind a zone: nothing is moved, the event is refused by the same rule as a command."""
    zone = "{name: wall, x_um: [40, 60], y_um: [-20, 20]}"
    ran = lab(
        _script("[context.moveStage(*place) for place in ((0, 50), (50, 50), (50, 99))]"),
        more=f"safety: {{exclusion_zones: [{zone}], largest_step: {{stage_um: 120}}}}",
        acquisition=ACQUISITION.replace("x: 100, y: 0", "x: 50, y: -60").replace(
            "x: 0, y: 0", "x: 0, y: -60"
        ),
    )
    assert isinstance(ran.result.error, LimitRefused)
    assert "event e000002" in str(ran.result.error)
    assert "leads through the exclusion zone 'wall'" in str(ran.result.error)
    assert len(ran.of(Captured)) == 1
    assert microscope.position().y_um == pytest.approx(99, abs=0.1)


@pytest.mark.demo
def test_travel_counts_events_and_commands(
    lab: Any, site: Callable[..., Path], microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 um between A and B, five times; the script's 10 um, and the longer way from there, come on top."""

    def over(record: Record) -> None:
        """The minute is over as soon as somebody waits for its end."""
        if isinstance(record, Logged) and WAITS in record.message:
            monkeypatch.setattr(motion, "_WINDOW_S", 0.01)

    script = _script(
        "images.metadata['timeIndex'] + images.metadata['positionIndex'] or context.moveStage(0, 10)"
    )
    ran = lab(script, more="safety: {travel_per_min: {stage_um: 520}}")
    assert ran.result.error is None
    assert not _waits(ran)
    microscope.move_stage(0.0, 0.0)
    ran = lab(script, more="safety: {travel_per_min: {stage_um: 505}}", on_record=over)
    assert ran.result.error is None
    assert len(ran.of(Captured)) == 6
    (told,) = _waits(ran)
    assert told.startswith("event e000006 ")


def _waits(ran: Any) -> list[str]:
    return [each.message for each in ran.of(Logged) if WAITS in each.message]


@pytest.mark.demo
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("context.setChannel({'group': 'Lamp', 'config': 'On'})", "must not be left open"),
        ("context.acquire(channels=[{'group': 'Lamp', 'config': 'On'}])", "must not be left open"),
        ("context.set('Core.Shutter', 'LED Shutter')", "decides which light each image opens"),
        ("context.set('Core.AutoShutter', 0)", "decides which light each image opens"),
    ],
)
def test_where_light_is_limited_no_preset_opens_a_shutter(
    lab: Any, site: Callable[..., Path], microscope: Microscope, line: str, words: str
) -> None:
    core = microscope.core
    core.defineConfig("Lamp", "On", "White Light Shutter", "State", "1")
    try:
        ran = lab(_script(line), more="safety: {light: {ms_total: 5}}")
        # A script that answers every image with another one would never end.
        free = None if "acquire" in line else lab(_script(line))
    finally:
        core.deleteConfigGroup("Lamp")
    assert {record.decided for record in ran.of(Commanded)} == {"refused"}
    assert all(words in str(record.message) for record in ran.of(Commanded))
    if free is not None:
        assert {record.decided for record in free.of(Commanded)} == {"executed"}
