"""The guard with rules from files, and devices as they are listed; no Core."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import LimitRefused
from inscoper_mm.experiment.site_file import read_site_file
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.dose import Dose
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.rules import NO_RULES, Rules
from inscoper_mm.microscope.settings import PresetSetting
from inscoper_mm.microscope.sub_devices import Constraints, Inventory, SubDevice

NUMBER = Constraints("number")
OBJECTIVES = ("10X air", "40X oil", "empty")
INVENTORY = Inventory(
    [
        SubDevice("XY.X", "stage", "XY", "x", NUMBER, axis="x_um"),
        SubDevice("XY.Y", "stage", "XY", "y", NUMBER, axis="y_um"),
        SubDevice("Z", "focus", "Z", "position", NUMBER, axis="z_um"),
        SubDevice("Z2", "focus", "Z2", "position", NUMBER),
        SubDevice("Turret", "state", "Turret", "state", Constraints("state", values=OBJECTIVES)),
        SubDevice("Cam.Exposure", "exposure", "Cam", "exposure", NUMBER),
        SubDevice("Cam.Gain", "gain", "Cam", "property", NUMBER, property="Gain"),
        SubDevice("Cam.Pixel Type [1]", "property", "Cam", "property", Constraints("text"), property="Pixel Type [1]"),
        SubDevice("Laser", "light", "Laser", "switch", Constraints("switch")),
        SubDevice("Laser.Volts", "power", "Laser", "property", NUMBER, property="Volts"),
        SubDevice(
            "Line.Volts", "signal", "Line", "property",
            Constraints("number", why_not="it moves Z, past its limits; set that instead"), property="Volts",
        ),
        SubDevice("Galvo", "galvo", "Galvo", "galvo", Constraints("numbers", names=("x", "y"))),
    ],
    {"Z.Position": "Z", "Turret.State": "Turret", "Turret.Label": "Turret"},
    aliases={"Blue laser": "Laser.Volts", "Revolver": "Turret"},
)  # fmt: skip
PRESETS = {
    ("Channel", "DAPI"): (PresetSetting("Turret", "Label", "10X air"),),
    ("Channel", "Deep"): (PresetSetting("Z", "Position", "500"),),
    ("Channel", "Here"): (PresetSetting("Z", "Position", "5"),),
    ("Channel", "Swap"): (PresetSetting("Core", "Focus", "Z2"),),
    ("Channel", "Round"): (PresetSetting("Line", "Volts", "3"),),
    ("Channel", "Strong"): (PresetSetting("Laser", "Volts", "9"),),
    ("Channel", "Loud"): (PresetSetting("Cam", "Gain", "90"),),
}
Make = Callable[..., Guard]


class Bench:
    """Where the devices are, which objective is in place, and the time."""

    def __init__(self) -> None:
        self.place = StagePosition(0.0, 0.0, 0.0)
        self.objective = "10X air"
        self.now = 0.0


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def guard(rules: Callable[[str, str], Rules], bench: Bench) -> Make:
    """A guard with the rules of files with these texts, each tightening those before."""

    def make(*texts: str) -> Guard:
        every = NO_RULES
        for number, text in enumerate(texts):
            every = every.tightened(rules(f"file{number}.yaml", text).bound_to(INVENTORY.aliases))
        return Guard(
            every,
            inventory=lambda: INVENTORY,
            position=lambda: bench.place,
            objectives=lambda: (bench.objective,),
            preset=lambda group, name: PRESETS[group, name],
            camera=lambda: "Cam",
            now=lambda: bench.now,
        )

    return make


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[str, str], Rules]:
    """The rules of one file with this name and text."""

    def make(name: str, text: str) -> Rules:
        file = tmp_path / name
        file.write_text(f"safety: {text}\n", encoding="utf-8")
        return Rules.of_safety(read_site_file(file).safety, name)

    return make


def go(guard: Guard, bench: Bench, **target: float) -> None:
    """A move, carried out."""
    place = guard.check("move", {f"{axis}_um": value for axis, value in target.items()})  # type: ignore[misc]
    guard.moved(place)
    now = {"x_um": bench.place.x_um, "y_um": bench.place.y_um, "z_um": bench.place.z_um} | dict(place)
    bench.place = StagePosition(**now)


# -- moves

MOVES: dict[str, tuple[str, dict[str, Any], str]] = {
    "envelope": (
        "{stage: {x_um: [-9, 9]}}",
        {"x_um": 10},
        r"stage x 10 um.*-9 to 9 um \(safety\.stage\.x_um in file0",
    ),
    "focus": ("{focus_um: [-9, 9]}", {"z_um": -9.1}, r"focus -9\.1 um.*\(safety\.focus_um in file0\.yaml\)"),
    "one metre by default": ("{}", {"x_um": 1.1e6}, r"default of safety\.stage\.x_um"),
    "a tenth for the focus": ("{}", {"z_um": -1.1e5}, r"default of safety\.focus_um"),
    "a number of 400 digits": ("{}", {"x_um": 10**400}, "finite"),
    "not a number": ("{}", {"x_um": np.float64("nan")}, "finite"),
    "an array": ("{}", {"x_um": np.array([1.0])}, "finite"),
    "step": (
        "{largest_step: {stage_um: 50}}",
        {"x_um": 30, "y_um": 41},
        r"step of the stage of 50\.8035 um.*at most 50 um \(safety\.largest_step\.stage_um in file0\.yaml\)",
    ),
    "focus step": (
        "{largest_step: {focus_um: 5}}",
        {"z_um": 5.1},
        r"step of the focus of 5\.1 um, from \(x 0, y 0, z 0\)",
    ),
    "objective": (
        "{largest_step: {focus_um: 50, per_objective: {10x AIR: {focus_um: 2}}}}",
        {"z_um": 3},
        r"at most 2 um \(safety\.largest_step\.per_objective\.10x AIR\.focus_um in file0",
    ),
    "zone": (
        "{exclusion_zones: [{name: clamp, x_um: [10, 20], y_um: [0, 5]}]}",
        {"x_um": 15, "y_um": 2},
        r"\(x 15, y 2, z 0\) lies in the exclusion zone 'clamp': x 10 to 20 um, y 0 to 5 um \(safety\.excl",
    ),
    "way through a zone": (
        "{exclusion_zones: [{name: clamp, x_um: [10, 20], y_um: [-5, 5]}]}",
        {"x_um": 30},
        r"leads through the exclusion zone 'clamp'.*The way begins at \(x 0, y 0, z 0\)",
    ),
    "travel": (
        "{travel_per_min: {stage_um: 50}}",
        {"x_um": 51},
        r"travelled 51 um within a minute\. Allowed: at most 50 um \(safety\.travel_per_min\.stage_um in file0",
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_are_refused_with_the_limit_and_its_file(guard: Make, name: str) -> None:
    text, target, words = MOVES[name]
    with pytest.raises(LimitRefused, match=words) as caught:
        guard(text).check("moveStage by tracker", target)  # type: ignore[arg-type]
    assert str(caught.value).startswith("moveStage by tracker: ")
    assert str(caught.value).endswith("Nothing was moved.")


def test_a_step_is_counted_between_targets_where_the_stage_is_near_them(guard: Make, bench: Bench) -> None:
    made = guard("{largest_step: {stage_um: 100}}")
    go(made, bench, x=100.0)
    bench.place = StagePosition(99.6, 0.2, 0.0)  # as an encoder reads it
    go(made, bench, x=200.0)
    bench.place = StagePosition(180.0, 0.0, 0.0)  # somebody has pushed it
    with pytest.raises(LimitRefused, match=r"step of the stage of 120 um, from \(x 180"):
        made.check("move", {"x_um": 300.0})


def test_the_objective_in_place_decides(guard: Make, bench: Bench) -> None:
    made = guard("{largest_step: {per_objective: {40X oil: {focus_um: 2, stage_um: 30}}}}")
    made.check("move", {"z_um": 50.0, "x_um": 500.0})
    bench.objective = "40X oil"
    with pytest.raises(LimitRefused, match="40X oil"):
        made.check("move", {"z_um": 50.0})


def test_travel_is_forgotten_after_a_minute(guard: Make, bench: Bench) -> None:
    made = guard("{travel_per_min: {stage_um: 100, focus_um: 3}}")
    go(made, bench, x=60.0)
    bench.now = 30.0
    go(made, bench, x=20.0)
    with pytest.raises(LimitRefused, match="travelled 120 um"):
        made.check("move", {"x_um": 0.0})
    made.check("what was refused did not travel", {"x_um": 20.0})
    go(made, bench, z=3.0)
    bench.now = 61.0
    go(made, bench, x=0.0)
    with pytest.raises(LimitRefused, match=r"focus would have travelled 6 um"):
        made.check("move", {"z_um": 0.0})


STEPS = "largest_step: {stage_um: 50, focus_um: 4, per_objective: {40X oil: {focus_um: 2}}}"
STOPS: dict[str, tuple[str, dict[str, float], list[dict[str, float]]]] = {
    "near": ("10X air", {"x": 30, "y": 40}, []),
    "the stage": ("10X air", {"x": 90, "y": 120}, [{"x": 30, "y": 40}, {"x": 60, "y": 80}]),
    "the focus": ("10X air", {"z": 8}, [{"z": 4}]),
    "the focus, with this objective": ("40X oil", {"z": 6}, [{"z": 2}, {"z": 4}]),
    "the stage far, the focus near": ("10X air", {"x": 100, "y": 0, "z": 3}, [{"x": 50, "y": 0}]),
    "first the stage": ("10X air", {"x": 30, "y": 0, "z": -8}, [{"x": 30, "y": 0}, {"z": -4}]),
}


@pytest.mark.parametrize("name", STOPS)
def test_where_a_longer_way_stops(guard: Make, bench: Bench, name: str) -> None:
    bench.objective, target, expected = STOPS[name]
    found = guard(f"{{{STEPS}}}").stops("move", _um(target))
    assert found == [pytest.approx(_um(stop)) for stop in expected]


def _um(target: dict[str, float]) -> dict[Any, float]:
    return {f"{axis}_um": value for axis, value in target.items()}


def test_no_stops_lead_through_a_zone_nor_are_there_hundreds(guard: Make) -> None:
    made = guard(f"{{{STEPS}, exclusion_zones: [{{name: clamp, x_um: [60, 70], y_um: [-5, 5]}}]}}")
    with pytest.raises(LimitRefused, match=r"\(x 150, y 0, z 0\) leads through the exclusion zone 'clamp'"):
        made.stops("move", _um({"x": 150, "y": 0}))
    with pytest.raises(LimitRefused, match=r"a step of the focus of 900 um.*at most 4 um"):
        made.stops("move", _um({"z": 900}))
    assert not guard("{exclusion_zones: [{x_um: [60, 70], y_um: [-5, 5]}]}").stops(
        "move", _um({"x": 50, "y": 9e5})
    )


def test_how_long_a_way_has_to_wait_for_the_end_of_the_minute(guard: Make, bench: Bench) -> None:
    made = guard("{travel_per_min: {stage_um: 100, focus_um: 3}}")
    go(made, bench, x=40.0)
    bench.now = 20.0
    go(made, bench, x=80.0)
    assert made.travel_wait_s({"x_um": 100.0}) == 0
    assert made.travel_wait_s({"x_um": 120.0}) == pytest.approx(40.0, abs=0.01)
    assert made.travel_wait_s({"x_um": 0.0}) == pytest.approx(60.0, abs=0.01)
    assert made.travel_wait_s({"x_um": 181.0}) == math.inf
    assert made.travel_wait_s({"z_um": 3.0}) == 0
    bench.now = 60.1
    go(made, bench, x=120.0)


def test_a_stage_that_stands_in_a_zone_may_leave_it(guard: Make, bench: Bench) -> None:
    made = guard("{exclusion_zones: [{x_um: [10, 20], y_um: [0, 5]}]}")
    bench.place = StagePosition(15.0, 2.0, 0.0)
    go(made, bench, x=0.0)
    with pytest.raises(LimitRefused, match=r"exclusion_zones\[0\]"):
        made.check("move", {"x_um": 15.0})


def test_a_place_for_later_is_held_against_envelope_and_zones_only(guard: Make) -> None:
    made = guard(
        "{stage: {x_um: [0, 1000]}, largest_step: {stage_um: 5}, exclusion_zones: [{x_um: [10, 20], y_um: [0, 5]}]}"
    )
    assert made.check_place("plan", {"x_um": 500, "y_um": 3}) == {"x_um": 500.0, "y_um": 3.0}
    for target in ({"x_um": 15, "y_um": 3}, {"x_um": 1001}):
        with pytest.raises(LimitRefused):
            made.check_place("plan", target)  # type: ignore[arg-type]


# -- settings

SETTINGS: dict[str, tuple[str, str, Any, str]] = {
    "range": (
        "{sub_devices: {Cam.Gain: [0, 4]}}",
        "Cam.Gain",
        5,
        r"'Cam\.Gain' 5 is outside.*0 to 4 \(safety\.sub_devices\.Cam\.Gain in",
    ),
    "range, as text": ("{sub_devices: {Cam.Gain: [0, 4]}}", "Cam.Gain", "5.0", "outside"),
    "range, no number": ("{sub_devices: {Cam.Gain: [0, 4]}}", "Cam.Gain", "nan", "outside"),
    "another drive": ("{sub_devices: {Z2: [-5, 5]}}", "Z2", 5.5, "'Z2' 5.5 is outside"),
    "by alias": ("{sub_devices: {Blue laser: [0, 2]}}", "Laser.Volts", 2.5, r"'Laser\.Volts' 2\.5 is outside"),
    "list": (
        "{sub_devices: {Turret: [10X air]}}",
        "Turret",
        "40X oil",
        r"'Turret' must not be set to '40X oil'\. Allowed: 10X air",
    ),
    "list, by number": ("{sub_devices: {Turret: [10X air]}}", "Turret", 1, "Allowed: 10X air"),
    "each of two numbers": ("{sub_devices: {Galvo: [1, 9]}}", "Galvo", [5, 9.5], "'Galvo' 9.5 is outside"),
    "forbidden": (
        "{forbidden_properties: ['cam.PIXEL*']}",
        "Cam.Pixel Type [1]",
        "a",
        r"'cam\.PIXEL\*' is forbidden \(safety\.forbidden_properties in file0",
    ),
    "forbidden, brackets": ("{forbidden_properties: ['Cam.Pixel Type [1]']}", "Cam.Pixel Type [1]", "a", "forbidden"),
    "forbidden by the Core's name": ("{forbidden_properties: [Turret.State]}", "Turret", 1, "forbidden"),
    "forbidden device": ("{forbidden_properties: [Cam]}", "Cam.Gain", 1, "forbidden"),
    "forbidden alias": ("{forbidden_properties: [Blue*]}", "Laser.Volts", 1, "forbidden"),
    "script's list": (
        "{allowed_sub_devices: {tracker: [XY.*, Z]}}",
        "Cam.Gain",
        1,
        r"'tracker' may not set 'Cam\.Gain'\. Allowed: XY\.\*, Z \(safety\.allowed_sub_devices\.tracker in",
    ),
    "list of every script": ("{allowed_sub_devices: {'*': []}}", "Cam.Gain", 1, "Allowed: nothing"),
    "power": (
        "{light: {largest_power: {Blue laser: 3}}}",
        "Laser.Volts",
        3.5,
        r"would be 3\.5\. Allowed: at most 3 \(safety\.light\.largest_power\.Blue laser in",
    ),
    "light left on": ("{light: {ms_total: 9}}", "Laser", True, "must not be left open"),
    "nothing": ("{}", "Cam.Gain", None, "finite number or text"),
    "infinite": ("{}", "Cam.Gain", math.inf, "finite number or text"),
    "nested": ("{}", "Galvo", [[1, 2]], "finite number or text"),
    "no such thing": ("{}", "Camera.Gain", 1, "no sub-device 'Camera.Gain'"),
    "focus by its property": ("{focus_um: [0, 5]}", "Z.Position", "6", "focus 6 um is outside"),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_refused_with_the_limit_and_its_file(guard: Make, name: str) -> None:
    text, sub_device, value, words = SETTINGS[name]
    with pytest.raises(LimitRefused, match=words):
        guard(text).check_setting("set by tracker", "tracker", sub_device, value)


ALLOWED: dict[str, tuple[str, str, Any]] = {
    "range": ("{sub_devices: {Cam.Gain: [0, 4]}}", "Cam.Gain", 4),
    "label": ("{sub_devices: {Turret: [10X air]}}", "Turret", "10X air"),
    "number of the label": ("{sub_devices: {Revolver: [10X air]}}", "Turret", 0),
    "list of numbers": ("{sub_devices: {Cam.Gain: [1, 2, 4]}}", "Cam.Gain", 2.0),
    "list of two numbers as text": ("{sub_devices: {Cam.Gain: ['1', '8']}}", "Cam.Gain", 8),
    "of the list": ("{allowed_sub_devices: {tracker: [cam.*]}}", "Cam.Gain", 1),
    "list of another script": ("{allowed_sub_devices: {focus: [Z]}}", "Cam.Gain", 1),
    "light off": ("{light: {ms_total: 9}}", "Laser", False),
    "light where none is limited": ("{}", "Laser", True),
    "text": ("{}", "Cam.Pixel Type [1]", "16bit"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_settings_inside_pass(guard: Make, name: str) -> None:
    text, sub_device, value = ALLOWED[name]
    guard(text).check_setting("set by tracker", "tracker", sub_device, value)


def test_a_script_moves_only_what_it_may(guard: Make) -> None:
    made = guard("{allowed_sub_devices: {tracker: [XY.?]}}")
    made.check("moveStage", {"x_um": 1, "y_um": 1}, "tracker")
    made.check("moveFocus", {"z_um": 1}, "autofocus")
    made.check("event", {"z_um": 1})
    for refused in (made.check, made.check_place):
        with pytest.raises(LimitRefused, match="'tracker' may not set 'Z'"):
            refused("moveFocus", {"z_um": 1}, "tracker")


PRESETS_REFUSED = {
    "Deep": ("{focus_um: [-50, 50]}", r"preset 'Deep' of 'Channel': focus 500 um is outside"),
    "Swap": ("{}", r"it sets Core\.Focus, past the limits"),
    "Round": ("{}", r"it sets Line\.Volts, past the limits"),
    "Strong": ("{light: {largest_power: {Laser.Volts: 3}}}", r"would be 9\. Allowed: at most 3"),
    "Loud": ("{sub_devices: {Cam.Gain: [0, 10]}}", "'Cam.Gain' '90' is outside"),
    "DAPI": ("{sub_devices: {Turret: [40X oil]}}", "must not be set to '10X air'"),
}


@pytest.mark.parametrize("name", PRESETS_REFUSED)
def test_presets_pass_the_same_rules(guard: Make, name: str) -> None:
    text, words = PRESETS_REFUSED[name]
    with pytest.raises(LimitRefused, match=words):
        guard(text).check_preset("setChannel by tracker", "tracker", "Channel", name)
    with pytest.raises(LimitRefused, match=words):
        guard(text).check_event("event e000001", {}, ("Channel", name))


def test_presets_inside_pass_and_count_as_their_group(guard: Make) -> None:
    guard("{focus_um: [-50, 50]}").check_preset("setChannel", "tracker", "Channel", "Here")
    guard("{allowed_sub_devices: {tracker: [Channel]}}").check_preset(
        "setChannel", "tracker", "Channel", "DAPI"
    )
    with pytest.raises(LimitRefused, match="'tracker' may not set 'Channel'"):
        guard("{allowed_sub_devices: {tracker: [Z]}}").check_preset(
            "setChannel", "tracker", "Channel", "DAPI"
        )


def test_an_event_passes_with_its_exposure(guard: Make) -> None:
    made = guard("{sub_devices: {Cam.Exposure: [1, 100]}}")
    assert made.check_event("event", {"x_um": 1}, ("Channel", "DAPI"), 50.0) == {"x_um": 1.0}
    with pytest.raises(LimitRefused, match=r"event: 'Cam\.Exposure' 101"):
        made.check_event("event", {"x_um": 1}, None, 101)
    with pytest.raises(LimitRefused):
        made.check_exposure("setExposure", "tracker", 0.5)


# -- light

DOSES: dict[str, tuple[str, Dose, Dose, Dose, str]] = {
    "one command": ("{light: {largest_duration_ms: 10}}", Dose(11), Dose(), Dose(), "would last 11 ms"),
    "a position": (
        "{light: {ms_per_position: 10}}",
        Dose(6),
        Dose(5),
        Dose(5),
        "position would have had 11 ms",
    ),
    "the run": ("{light: {ms_total: 10}}", Dose(6), Dose(0), Dose(5), "the run would have had 11 ms"),
    "energy at a position": (
        "{light: {mj_per_position: 2}}",
        Dose(1, None, 1500),
        Dose(1, None, 600),
        Dose(1, None, 600),
        r"2\.1 mJ\. Allowed: at most 2 mJ \(safety\.light\.mj_per_position in",
    ),
    "energy of the run": ("{light: {mj_total: 2}}", Dose(1, None, 2100), Dose(), Dose(), r"2\.1 mJ"),
    "energy not known": ("{light: {mj_total: 2}}", Dose(1), Dose(), Dose(), "mw_per_unit"),
    "no number": ("{light: {ms_total: 10}}", Dose(math.nan), Dose(), Dose(), "nan"),
}


@pytest.mark.parametrize("name", DOSES)
def test_doses_are_refused(guard: Make, name: str) -> None:
    text, dose, at_position, total, words = DOSES[name]
    with pytest.raises(LimitRefused, match=words) as caught:
        guard(text).check_dose("fireOnDemand by frap", dose, at_position, total)
    assert str(caught.value).endswith("Nothing was fired.")


def test_a_dose_up_to_the_limit_passes(guard: Make) -> None:
    made = guard("{light: {ms_per_position: 10, ms_total: 20, mj_total: 1, largest_power: {Blue laser: 3}}}")
    made.check_dose("fire", Dose(5, 15, 500), Dose(5, 15, 500), Dose(15, 15, 500), ("Laser.Volts", 3.0))
    with pytest.raises(LimitRefused, match=r"power of 'Laser\.Volts' would be 3\.1"):
        made.check_dose("fire", Dose(1, 3, 1), Dose(), Dose(), ("Laser.Volts", 3.1))


# -- several files

SITE = """{stage: {x_um: [-100, 100]}, largest_step: {stage_um: 50},
  sub_devices: {Cam.Gain: [0, 4], Turret: [10X air, empty]},
  allowed_sub_devices: {tracker: [XY.*, Z]}, forbidden_properties: [Cam.Pixel*],
  exclusion_zones: [{name: site, x_um: [60, 70], y_um: [-5, 5]}]}"""
OWN = """{stage: {x_um: [-500, 80]}, largest_step: {stage_um: 500},
  sub_devices: {Cam.Gain: [-9, 2], Turret: [10X air, 40X oil]},
  allowed_sub_devices: {tracker: [Z, Cam.*]}, exclusion_zones: [{name: own, x_um: [-20, -10], y_um: [-5, 5]}]}"""

TOGETHER: dict[str, tuple[Callable[[Guard], object], str]] = {
    "low end of the site": (lambda g: g.check("m", {"x_um": -101}), "-100 to 80 um .*file0.*file1"),
    "high end of the experiment": (lambda g: g.check("m", {"x_um": 81}), r"file1\.yaml"),
    "smallest step": (lambda g: g.check("m", {"x_um": 51}), r"at most 50 um .*file0\.yaml"),
    "site's zone": (lambda g: g.check_place("m", {"x_um": 65, "y_um": 0}), "'site'.*file0"),
    "own zone": (lambda g: g.check("m", {"x_um": -30}), "'own'"),
    "low end of the gain": (lambda g: g.check_setting("s", None, "Cam.Gain", -1), "0 to 2"),
    "high end of the gain": (lambda g: g.check_setting("s", None, "Cam.Gain", 3), "0 to 2"),
    "values of both only": (lambda g: g.check_setting("s", None, "Turret", "empty"), "Allowed: 10X air"),
    "lists of both": (lambda g: g.check_setting("s", "tracker", "Cam.Gain", 1), r"XY\.\*, Z .*file0"),
    "the other list": (lambda g: g.check("m", {"x_um": 1}, "tracker"), r"Z, Cam\.\* .*file1"),
    "forbidden by the site": (lambda g: g.check_setting("s", None, "Cam.Pixel Type [1]", "x"), "file0"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER)
def test_files_only_tighten(guard: Make, name: str) -> None:
    ask, words = TOGETHER[name]
    with pytest.raises(LimitRefused, match=words):
        ask(guard(SITE, OWN))


def test_what_a_file_allows_beyond_another_is_told(rules: Callable[[str, str], Rules]) -> None:
    site, own = rules("site.yaml", SITE), rules("own.yaml", OWN)
    told = {
        ".".join(path): (asked, allowed, source) for path, asked, allowed, source in own.asks_for_more(site)
    }
    assert told == {
        "stage.x_um": ("-500 to 80", "-100 to 100", "safety.stage.x_um in site.yaml"),
        "largest_step.stage_um": ("at most 500", "at most 50", "safety.largest_step.stage_um in site.yaml"),
        "sub_devices.Cam.Gain": ("-9 to 2", "0 to 4", "safety.sub_devices.Cam.Gain in site.yaml"),
        "sub_devices.Turret": ("40X oil", "10X air, empty", "safety.sub_devices.Turret in site.yaml"),
        "allowed_sub_devices.tracker": (
            "Cam.*",
            "XY.*, Z",
            "safety.allowed_sub_devices.tracker in site.yaml",
        ),
    }
    assert not list(site.asks_for_more(site))


def test_files_that_leave_nothing_together(rules: Callable[[str, str], Rules]) -> None:
    first = rules("a.yaml", "{focus_um: [0, 5], sub_devices: {Turret: [10X air]}}")
    both = first.tightened(rules("b.yaml", "{focus_um: [6, 9], sub_devices: {Turret: [empty]}}"))
    assert [path for path, _ in both.impossible()] == [("focus_um",), ("sub_devices", "Turret")]


def test_names_that_no_device_has_are_told(guard: Make) -> None:
    made = guard("{sub_devices: {Cam.Gian: [0, 1], Z2: [0, 1]}, light: {largest_power: {Laser.Volt: 1}}}")
    near = {name: near for name, _, near in made.unknown_names()}
    assert near == {"Cam.Gian": "Cam.Gain", "Laser.Volt": "Laser.Volts"}
