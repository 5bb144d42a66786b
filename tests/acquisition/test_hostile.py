"""Whatever a script asks for, the Core never gets a command outside the limits.

The commands are recorded at the Core object's own methods, below everything that keeps the limits, and judged by rules
written down here a second time. With the guard replaced by one that allows all, the same run must be found out.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition import session
from inscoper_mm.acquisition.context import METHODS
from inscoper_mm.experiment.calibration import GalvoCalibration, Optics, save_calibration
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.records import Captured, Commanded, Logged, Planned, Record

pytestmark = pytest.mark.demo

X, Y, Z = (-400.0, 400.0), (-300.0, 300.0), (-20.0, 30.0)
# name: (x, y, z)
ZONES = {
    "clamp": ((100.0, 160.0), (-300.0, 50.0), (-math.inf, math.inf)),
    "wall": ((-200.0, -150.0), (-300.0, 300.0), (10.0, 30.0)),
}
STEP_UM, FOCUS_STEP_UM, FOCUS_STEP_10X_UM = 350.0, 25.0, 12.0
TRAVEL_UM, FOCUS_TRAVEL_UM = 40_000.0, 2_000.0
RANGES = {"Camera.Gain": (-2.0, 3.0), "Camera.Exposure": (0.0, 8.0), "Camera.ROI": (0.0, 512.0)}
LABELS = {"Objective": ("Nikon 10X S Fluor", "Nikon 20X Plan Fluor ELWD"), "LED": ("Closed", "385nm")}
GALVO = (2.0, 8.0)
LONGEST_FIRE_MS = 4.0
FORBIDDEN = r"(Camera\.(Pixel|Async|Trigger|Readout|BitDepth|CCD).*|LED\.Sequence|XY\.Velocity|Path(\..*)?)"
SAFETY = f"""\
safety:
  stage: {{x_um: {list(X)}, y_um: {list(Y)}}}
  focus_um: {list(Z)}
  exclusion_zones:
    - {{name: clamp, x_um: [100, 160], y_um: [-300, 50]}}
    - {{name: wall, x_um: [-200, -150], y_um: [-300, 300], focus_um: [10, 30]}}
  largest_step: {{stage_um: {STEP_UM}, focus_um: {FOCUS_STEP_UM}, per_objective: {{10X: {{focus_um: 12}}}}}}
  travel_per_min: {{stage_um: {TRAVEL_UM}, focus_um: {FOCUS_TRAVEL_UM}}}
  light: {{ms_per_position: 60, ms_total: 200, largest_duration_ms: {LONGEST_FIRE_MS}}}
  sub_devices:
    Camera.Gain: [-2, 3]
    Camera.Exposure: [0, 8]
    Camera.ROI: [0, 512]
    Objective: [Nikon 10X S Fluor, Nikon 20X Plan Fluor ELWD]
    LED: [Closed, 385nm]
    Galvo: {list(GALVO)}
  allowed_sub_devices: {{"*": [XY.?, Z, Camera*, Objective, LED*, Galvo, Channel, Core.*, White*, Path, XY.Vel*]}}
  forbidden_properties: [Camera.Pixel*, Camera.Async*, Camera.Trigger*, Camera.Readout*, Camera.BitDepth, Camera.CCD*,
    LED.Sequence, XY.Velocity, Path]
"""
ACQUISITION = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 80, y: 100, z: 5, name: B}, {x: -80, y: -100, z: -5, name: C}]
  time_plan: {interval: 0, loops: 4}
"""
GALVO_MAP = GalvoCalibration(
    Optics("Camera", "Nikon 10X S Fluor"),
    "Galvo",
    "affine",
    (-24.5 / 49.2, 1 / 49.2, 0, -19.5 / 49.7, 0, 1 / 49.7),
    1,
    (512, 512),
    0.3,
    "2026-11-22",
    4.6,
)

# The script knows what is dangerous, and nothing of the limits. It asks for every method that there is.
HOSTILE = """\
import math
import random
from fractions import Fraction

import numpy as np

COUNTS = {"asked": 0, "done": 0, "added": 0}
RNG = random.Random(SEED)
FAVOURITES = ["set"] * 3 + ["moveStage", "moveFocus", "moveStageBy", "moveFocusBy", "fireOnDemand"] + [MORE] * 9
JUNK = (
    math.nan, math.inf, -math.inf, 1e308, -1e12, 10**400, -(10**30), None, True, False, "", "1", "nan", "inf",
    "1e999", "all", "current", "A", b"1", [], [1.0], [[math.nan]], {"x": 1}, {"config": "Deep"}, "x" * 3000,
    {"group": "Way", "config": "Far"}, 1j, Fraction(1, 3), np.float32(7.5), np.float64("nan"), np.int64(9),
    np.array(3.0), np.array([1.0, 2.0]), np.bool_(True), "Deep", "Far", "DAPI", "FITC", (1, 2), -0.0, 5e-324,
)
QUIET = {"stop", "log", "setInterval", "skip"}
IDS = (
    "Z.Position", "XY", "XY.Position", "Core.Focus", "Core.XYStage", "Core.Initialize", "Core.TimeoutMs", "z", " Z",
    "Objective.State", "Objective.Label", "LED.State", "Camera.PixelType", "Path", "Path.State", "Core.Camera",
    "XY.TransposeMirrorX",
)


def number():
    near, far = RNG.uniform(-20, 35), RNG.uniform(-450, 450)
    return RNG.choice([0, 1, -1, near, near, far, far, RNG.uniform(0, 10), RNG.gauss(0, 1e4)])


def anything():
    return RNG.choice(JUNK) if RNG.random() < 0.2 else number()


def region():
    kind = RNG.choice(["point", "circle", "rectangle", "line", "mask", "?"])
    points = [[RNG.uniform(50, 520), RNG.uniform(50, 520)] for _ in range(RNG.choice([1, 2, 2, 3]))]
    return RNG.choice([{"type": kind, "points": points}, {"type": kind, "points": points, "unit": "um"}, anything()])


def setting(context, ids):
    name = RNG.choice(ids) if RNG.random() < 0.85 else RNG.choice(JUNK)
    try:
        values = context.getConstraints(name).get("values") or [number()]
    except Exception:
        values = [number()]
    value = RNG.choice(values) if RNG.random() < 0.6 else anything()
    if RNG.random() < 0.15:
        value = [anything() for _ in range(RNG.choice([1, 2, 2, 4]))]
    return (name, value), {}


def request(context, names, ids):
    name = RNG.choice(names + FAVOURITES)
    if name == "set":
        args, more = setting(context, ids)
    elif name == "fireOnDemand":
        args, more = (region(),), {"duration_ms": RNG.choice([0.1, 0.1, 0.2, 1, 50, anything()])}
        if RNG.random() < 0.2:
            more["subDevice"] = RNG.choice(["Galvo", "White Light Shutter", "Z", anything()])
        if RNG.random() < 0.2:
            more["wait"] = False
    elif name == "moveStage" and RNG.random() < 0.5:
        args, more = (RNG.uniform(-450, 450), RNG.uniform(-350, 350)), {}
    elif name == "setChannel" and RNG.random() < 0.7:
        names = ["DAPI", "FITC", "Deep", "Blind", "Bright", {"group": "Way", "config": "Far"}]
        args, more = (RNG.choice(names),), {}
    elif name == "setExposure" and RNG.random() < 0.6:
        args, more = (RNG.uniform(-1, 12),), {}
    elif name == "acquire":
        if COUNTS["added"] > 40:
            return "getFocus", (), {}
        far = (RNG.uniform(-450, 450), RNG.uniform(-350, 350), RNG.uniform(-25, 35))
        places = [far, far, (90, 90, 2), (-60, 20), (-60, 20, -3), "B", None, anything()]
        objectives = [None, None, "10X", "20X", "20X", "40X", anything()]
        args, more = (RNG.choice(places),), {"objective": RNG.choice(objectives)}
        timed = {"config": "FITC", "exposure": RNG.uniform(0, 12)}
        more["channels"] = RNG.choice([None, None, "DAPI", timed, timed, "Deep", anything()])
        more["zStack"] = RNG.choice([None] * 4 + [[-1, 1], {"range_um": 30, "step_um": 10}, anything()])
        more["after_s"] = RNG.choice([0] * 9 + [-1, math.nan])
    elif name == "moveFocus" and RNG.random() < 0.5:
        args, more = (RNG.uniform(-30, 40),), {}
    elif name in ("moveStageBy", "moveFocusBy", "correctPosition") and RNG.random() < 0.7:
        args, more = tuple(RNG.gauss(0, 15) for _ in range(1 if name == "moveFocusBy" else 2)), {}
    else:
        args, more = tuple(anything() for _ in range(RNG.choice([0, 1, 1, 2, 2, 3]))), {}
    return name, args, more


def fetch_images(new_image: "images"):
    return [{}]


def attack(images: "images", context: "IIS_CONTEXT"):
    names = [name for name in dir(context) if not name.startswith("_") and name not in QUIET]
    names = [name for name in names if callable(getattr(context, name))]
    ids = list(context.getSubDevices()) + list(IDS)
    for _ in range(EACH if not COUNTS["asked"] else 5):
        name, args, more = request(context, names, ids)
        COUNTS["asked"] += 1
        try:
            getattr(context, name)(*args, **more)
            COUNTS["done"] += 1
            COUNTS["added"] += name == "acquire"
        except Exception:
            pass
    return {"metadata": {"COUNTS": dict(COUNTS), "NAMES": names}}
"""


class Judge:
    """Records the Core's commands and judges each by the limits; a wrong one is kept, and does not reach a device."""

    def __init__(self, core: Any) -> None:
        self.core = core
        self.wrong: list[str] = []
        self.heard: dict[str, int] = {}
        self.place = [*core.getXYPosition(), core.getPosition()]
        self.travelled = {"stage": 0.0, "focus": 0.0}
        self.patched: list[str] = []

    def __enter__(self) -> Judge:
        moving = re.compile(
            r"(set|point|run|home|full|incremental|load|reset|enable|initialize|define|delete|unload|write)"
        )
        started = re.compile(r"start_?(xy_?)?(stage|property|exposure|slm|continuous).*", re.IGNORECASE)
        for name in dir(self.core):
            if moving.match(name) or started.fullmatch(name):
                setattr(self.core, name, self._heard(name, getattr(self.core, name)))
                self.patched.append(name)
        return self

    def __exit__(self, *args: object) -> None:
        for name in self.patched:
            delattr(self.core, name)

    def _heard(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        plain = name.replace("_", "").lower()

        def call(*args: Any) -> Any:
            self.heard[plain] = self.heard.get(plain, 0) + 1
            reason = self.judge(plain, args)
            if reason is not None:
                self.wrong.append(f"{name}{args}: {reason}")
                raise RuntimeError(f"the judge: {reason}")
            return method(*args)

        return call

    def judge(self, name: str, args: tuple[Any, ...]) -> str | None:
        if name in HARMLESS:
            return None
        rule = RULES.get(name)
        return rule(self, args) if rule is not None else "nobody may send this"

    # -- the rules, once more

    def stage(self, args: tuple[Any, ...]) -> str | None:
        x, y = args[-2:]
        return self.go([x, y, self.place[2]])

    def focus(self, args: tuple[Any, ...]) -> str | None:
        if len(args) == 2 and args[0] != "Z":
            return "another drive"
        return self.go([*self.place[:2], args[-1]])

    def go(self, end: list[float]) -> str | None:
        for value, (low, high) in zip(end, (X, Y, Z), strict=True):
            if not low <= value <= high:  # NaN is no place either
                return f"{value} is outside"
        start, dx, dy, dz = self.place, *(b - a for a, b in zip(self.place, end, strict=True))
        stage_um, focus_um = math.hypot(dx, dy), abs(dz)
        step = FOCUS_STEP_10X_UM if "10X" in self.core.getStateLabel("Objective") else FOCUS_STEP_UM
        if stage_um > STEP_UM + 1e-6 or focus_um > step + 1e-6:
            return f"a step of {stage_um} and {focus_um}"
        for name, box in ZONES.items():
            for part in range(401):
                at = [a + (b - a) * part / 400 for a, b in zip(start, end, strict=True)]
                # A hair inside, since the ways are sampled.
                if all(low + 1e-6 < v < high - 1e-6 for v, (low, high) in zip(at, box, strict=True)):
                    return f"into {name} at {at}"
        self.travelled["stage"] += stage_um
        self.travelled["focus"] += focus_um
        if self.travelled["stage"] > TRAVEL_UM or self.travelled["focus"] > FOCUS_TRAVEL_UM:
            return f"travelled {self.travelled}"
        self.place = end
        return None

    def property(self, args: tuple[Any, ...]) -> str | None:
        device, name, value = args
        full = f"{device}.{name}"
        if re.fullmatch(FORBIDDEN, full):
            return "forbidden"
        if device == "Core" and name not in ("Shutter", "AutoShutter"):
            return "a role of the Core"
        if full in ("Z.Position", "XY.TransposeMirrorX", "XY.TransposeMirrorY"):
            return "moves the stage"
        if full in RANGES and not RANGES[full][0] <= float(value) <= RANGES[full][1]:
            return "outside its range"
        if name in ("Label", "State") and device in LABELS:
            label = value if name == "Label" else self.core.getStateLabels(device)[int(value)]
            return None if label in LABELS[device] else "not one of the labels"
        return None

    def state(self, args: tuple[Any, ...]) -> str | None:
        device, value = args
        return self.property((device, "State" if isinstance(value, int) else "Label", value))

    def preset(self, args: tuple[Any, ...]) -> str | None:
        group, name = args
        if group != "Channel":
            return "not a group that scripts may set"
        data = self.core.getConfigData(group, name)
        lines = [data.getSetting(number) for number in range(data.size())]
        found = [
            self.property((line.getDeviceLabel(), line.getPropertyName(), line.getPropertyValue()))
            for line in lines
            if (line.getDeviceLabel(), line.getPropertyName()) != ("Core", "Shutter")
        ]
        return next((reason for reason in found if reason is not None), None)

    def exposure(self, args: tuple[Any, ...]) -> str | None:
        low, high = RANGES["Camera.Exposure"]
        return None if low <= args[-1] <= high else "outside its range"

    def region(self, args: tuple[Any, ...]) -> str | None:
        x, y, width, height = args[-4:]
        inside = x >= 0 and y >= 0 and width >= 1 and height >= 1 and max(x + width, y + height) <= 512
        return None if inside else "not on the sensor"

    def point(self, args: tuple[Any, ...]) -> str | None:
        return (
            None if all(GALVO[0] <= value <= GALVO[1] for value in args[1:3]) else "outside the galvo's range"
        )

    def fire(self, args: tuple[Any, ...]) -> str | None:
        return self.point(args) or (None if 0 < args[3] <= LONGEST_FIRE_MS * 1e3 else "too long")

    def spot(self, args: tuple[Any, ...]) -> str | None:
        return "light without end" if args[1] else None

    def offset(self, args: tuple[Any, ...]) -> str | None:
        return "nobody may set the autofocus"


RULES: Mapping[str, Callable[[Judge, tuple[Any, ...]], str | None]] = {
    "setxyposition": Judge.stage,
    "setposition": Judge.focus,
    "setproperty": Judge.property,
    "setconfig": Judge.preset,
    "setstate": Judge.state,
    "setstatelabel": Judge.state,
    "setexposure": Judge.exposure,
    "setroi": Judge.region,
    "setgalvoposition": Judge.point,
    "pointgalvoandfire": Judge.fire,
    "setgalvoilluminationstate": Judge.spot,
}
# They move nothing; the shutter is opened by the engine and for the time of a fire.
HARMLESS = {
    "setshutteropen",
    "setautoshutter",
    "setcircularbuffermemoryfootprint",
    "initializecircularbuffer",
}


class AllowAll(Guard):
    """No safety at all; for the test of the test."""

    def check(self, what: str, target_um: Mapping[Axis, Any], *args: Any, **more: Any) -> dict[Axis, float]:
        return {axis: float(value) for axis, value in target_um.items()}

    check_place = check_event = check  # type: ignore[assignment]

    def check_nothing(self, *args: Any, **more: Any) -> None:
        """Whatever is asked."""

    check_axes = check_use = check_setting = check_exposure = check_preset = check_nothing  # type: ignore[assignment]
    check_dose = check_power = check_way = check_nothing  # type: ignore[assignment]


@pytest.fixture
def dangerous(microscope: Microscope) -> Iterator[Microscope]:
    """Presets that would move the focus, or change what the focus drive is; afterwards everything is as it was."""
    core = microscope.core
    before = core.getSystemState()
    core.defineConfig("Channel", "Deep", "Z", "Position", "500")
    core.defineConfig("Channel", "Blind", "Core", "Focus", "")
    core.defineConfig("Channel", "Bright", "LED", "Label", "470nm")
    core.defineConfig("Way", "Far", "Z", "Position", "-300")
    # What is set back at the end is where it was: within the limits, too.
    core.setGalvoPosition("Galvo", 5.0, 5.0)
    yield microscope
    for name in ("Deep", "Blind", "Bright"):
        core.deleteConfig("Channel", name)
    core.deleteConfigGroup("Way")
    core.clearROI()
    settings = [before.getSetting(number) for number in range(before.size())]
    for line in settings:
        device, name = line.getDeviceLabel(), line.getPropertyName()
        fixed = (
            device == "Core" or core.isPropertyReadOnly(device, name) or core.isPropertyPreInit(device, name)
        )
        if not fixed and core.getProperty(device, name) != line.getPropertyValue():
            core.setProperty(device, name, line.getPropertyValue())
    core.setShutterDevice("White Light Shutter")


class Clock:
    """The time for the guard."""

    ahead_s = 0.0

    def now(self) -> float:
        return time.monotonic() + self.ahead_s


def _attacked(
    lab: Any, microscope: Microscope, folder: Path, seed: int, each: int, place: str, more: str = "set"
) -> tuple[Judge, Any]:
    file = folder / "galvo.yaml"
    save_calibration(GALVO_MAP, file)
    source = HOSTILE.replace("SEED", str(seed)).replace("EACH", str(each)).replace("MORE", repr(more))
    microscope.core.setConfig("Objective", "10X")
    microscope.move_stage(0.0, 0.0)
    microscope.move_focus(0.0)
    clock = Clock()
    with Judge(microscope.core) as judge, pytest.MonkeyPatch.context() as patch:
        guard_of = session.guard_of

        def guard_with_clock(*args: Any) -> Guard:
            guard = guard_of(*args)
            guard._motion._now = clock.now
            return guard

        def a_minute_later(record: Record) -> None:
            """Nobody has to wait for the end of the minute in which the script has travelled too far."""
            if isinstance(record, Logged) and "safety.travel_per_min allows no more" in record.message:
                clock.ahead_s += 60.0
                judge.travelled = dict.fromkeys(judge.travelled, 0.0)

        patch.setattr(session, "guard_of", guard_with_clock)
        ran = lab(
            source,
            policy=f"{{place: {place}, slow: wait, limit_s: 900}}",
            acquisition=ACQUISITION,
            microscope=f"{{backend: demo, calibrations: ['{file.as_posix()}']}}",
            more=SAFETY,
            on_record=a_minute_later,
        )
    return judge, ran


def _count(ran: Any) -> dict[str, int]:
    counts = [tags["COUNTS"] for tags in ran.stored().values() if "COUNTS" in tags]
    return max(counts, key=lambda count: count["asked"])


@pytest.mark.parametrize(
    ("place", "each"),
    [("thread", 10_000), ("worker", 1_000), pytest.param("worker", 10_000, marks=pytest.mark.slow)],
)
def test_the_core_gets_nothing_outside_the_limits(
    lab: Any, dangerous: Microscope, tmp_path: Path, place: str, each: int
) -> None:
    judge, ran = _attacked(lab, dangerous, tmp_path, 7, each, place)
    assert not judge.wrong
    counts = _count(ran)
    refused = [record for record in ran.of(Commanded) if record.decided == "refused"]
    assert counts["asked"] >= each
    # It tried, and much of it was allowed: else nothing would be shown.
    assert counts["done"] > counts["asked"] / 10
    assert len(refused) > counts["asked"] / 10
    assert judge.heard["setxyposition"] > 20
    assert judge.heard["setposition"] > 20
    assert judge.heard["setproperty"] > 20


def test_added_and_corrected_events_stay_inside(lab: Any, dangerous: Microscope, tmp_path: Path) -> None:
    """Few commands, so that the run goes on with the images that were asked for."""
    added = captured = 0
    for seed in range(6):
        judge, ran = _attacked(lab, dangerous, tmp_path, seed, 25, "thread", "acquire")
        assert not judge.wrong
        added += len([record for record in ran.of(Planned) if record.added_by])
        captured += len([record for record in ran.of(Captured) if record.index["position"] > 2])

    assert added > 20
    assert captured > 5


def test_without_the_guard_the_same_commands_are_found_out(
    lab: Any, dangerous: Microscope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard_of = session.guard_of

    def no_guard(*args: Any) -> Guard:
        guard_of(*args)
        return AllowAll()

    monkeypatch.setattr(session, "guard_of", no_guard)
    judge, _ = _attacked(lab, dangerous, tmp_path, 7, 600, "thread")
    kinds = {line.split("(")[0] for line in judge.wrong}
    assert {"setXYPosition", "setPosition", "setProperty", "setConfig", "setExposure"} <= kinds, kinds


def test_the_attack_covers_every_method(lab: Any, dangerous: Microscope, tmp_path: Path) -> None:
    _, ran = _attacked(lab, dangerous, tmp_path, 3, 1, "thread")
    names = next(tags["NAMES"] for tags in ran.stored().values() if "NAMES" in tags)
    assert set(METHODS) - set(names) == {"stop", "skip", "setInterval"}
