"""The commands of a script on the real demo devices: what is executed, refused and written down."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
import useq

from inscoper_mm.acquisition.context import ScriptCommands
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.corrections import Corrections
from inscoper_mm.acquisition.fates import Fates
from inscoper_mm.acquisition.live import Live
from inscoper_mm.acquisition.schedule import Schedule
from inscoper_mm.errors import CommandRefused, LimitRefused
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.limits import Limits, Range
from inscoper_mm.microscope.live_devices import SubDevices
from inscoper_mm.microscope.objectives import Objectives
from inscoper_mm.microscope.rules import Rules
from inscoper_mm.microscope.turn import Turn
from inscoper_mm.records import (
    Commanded,
    Corrected,
    Logged,
    Record,
)
from inscoper_mm.stream import Clock, Stream

pytestmark = pytest.mark.demo

ENVELOPE = Limits(
    {
        "x_um": Range(-500, 500, "safety.stage.x_um in test.yaml"),
        "y_um": Range(-500, 500, "safety.stage.y_um in test.yaml"),
        "z_um": Range(-50, 50, "safety.focus_um in test.yaml"),
    }
)
LIMITS = Guard(Rules.of_limits(ENVELOPE))
PLANNED = {0: (StagePosition(0, 0, 0), StagePosition(0, 0, 40)), 1: (StagePosition(400, 0, 0),)}
Maker = Callable[..., ScriptCommands]


@pytest.fixture
def records() -> list[Record]:
    return []


@pytest.fixture
def live(microscope: Microscope, records: list[Record]) -> Live:
    stream = Stream(Clock())
    stream.subscribe(lambda _, record: records.append(record))
    devices = SubDevices(microscope)
    names = {"A": 0, "B": 1}
    plan = Plan(useq.MDASequence(stage_positions=[(0, 0, 0), (400, 0, 0)]))
    return Live(
        microscope=microscope,
        turn=Turn(),
        limits=LIMITS,
        corrections=Corrections(),
        planned=PLANNED,
        position_names=names,
        stream=stream,
        stop=StopSwitch(),
        devices=devices,
        objectives=Objectives(microscope),
        schedule=Schedule(plan),
        fates=Fates(event.index for event in plan),
    )


@pytest.fixture
def commands(live: Live) -> Maker:
    def make(script: str = "tracker", position: int = 0) -> ScriptCommands:
        info = FrameInfo("e000003", Index(position=position), Sizes(position=2))
        return ScriptCommands(live, script, info)

    return make


def audit(records: list[Record]) -> list[Commanded]:
    return [record for record in records if isinstance(record, Commanded)]


def test_moves_reach_the_devices_and_the_audit(
    commands: Maker, microscope: Microscope, records: list[Record]
) -> None:
    tracker = commands()
    assert tracker.execute("moveStage", (100.0, -50.0), {}) == pytest.approx((100.0, -50.0), abs=0.02)
    assert tracker.execute("moveStageBy", (), {"dx_um": -10.0, "dy_um": 5.0}) == pytest.approx(
        (90, -45), abs=0.02
    )
    assert tracker.execute("moveFocus", (7.5,), {}) == pytest.approx(7.5, abs=0.01)
    assert tracker.execute("moveFocusBy", (-2.5,), {}) == pytest.approx(5.0, abs=0.01)
    reached = microscope.position()
    assert (reached.x_um, reached.y_um, reached.z_um) == pytest.approx((90, -45, 5), abs=0.03)
    assert tracker.execute("getStagePosition", (), {}) == pytest.approx((90, -45), abs=0.02)
    assert tracker.execute("getFocus", (), {}) == pytest.approx(5, abs=0.01)
    written = audit(records)
    assert [line.name for line in written] == ["moveStage", "moveStageBy", "moveFocus", "moveFocusBy"]
    by = written[1]
    assert by.decided == "executed"
    assert by.asked == {"dx_um": -10.0, "dy_um": 5.0}
    assert by.commanded == pytest.approx({"x_um": 90.0, "y_um": -45.0}, abs=0.02)
    assert by.reached == pytest.approx({"x_um": 90.0, "y_um": -45.0}, abs=0.03)
    assert by.asked_s <= by.turn_s <= by.done_s


REFUSED: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "stage too far": (
        "moveStage",
        (500.5, 0.0),
        r"stage x 500\.5 um.*-500 to 500 um.*test\.yaml.*Nothing was moved",
    ),
    "focus too far": ("moveFocus", (-51,), r"focus -51 um.*-50 to 50 um"),
    "relative too far": ("moveFocusBy", (60.0,), r"focus 60 um"),
    "not a number": ("moveStage", (math.nan, 0.0), "finite"),
    "infinite": ("moveFocusBy", (math.inf,), "finite"),
    "text": ("moveStage", ("1", "2"), "finite.*Nothing was moved"),
    "a distance as text": ("moveStageBy", ("1", 2), "finite.*Nothing was moved"),
    "nothing": ("moveFocus", (None,), "finite"),
    "correction that leads a later slice out": ("correctPosition", (0, 0, 11.0), r"focus 51 um"),
    "correction not a number": ("correctPosition", (math.nan,), "finite.*Nothing was changed"),
    "interval as text": ("setInterval", ("1",), "finite.*'1'.*Nothing was changed"),
    "a time as text": ("skip", ("all", None, "x"), "until_s must be a finite.*Nothing was changed"),
    "a delay as text": (
        "acquire",
        (None, None, None, None, "x"),
        "after_s must be a finite.*Nothing was added",
    ),
    "negative exposure": ("setExposure", (-1.0,), "negative"),
    "exposure not a number": ("setExposure", (math.nan,), "finite.*Nothing was set"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_outside_is_refused_and_moves_nothing(
    commands: Maker, microscope: Microscope, records: list[Record], live: Live, name: str
) -> None:
    command, args, words = REFUSED[name]
    before = microscope.position(), microscope.exposure_ms()
    with pytest.raises(LimitRefused, match=words):
        commands().execute(command, args, {})
    assert (microscope.position(), microscope.exposure_ms()) == before
    assert not live.corrections.total(0)
    (line,) = audit(records)
    assert (line.name, line.decided, line.commanded) == (command, "refused", None)
    assert line.message


@pytest.mark.parametrize(
    ("command", "args", "words"),
    [
        ("moveStage", (1.0,), "y_um"),
        ("moveStage", (1.0, 2.0, 3.0), "positional"),
        ("fireOnDemnd", (), "no fireOnDemnd"),
        ("setChannel", ("DAPPI",), r"no channel 'DAPPI'.*Did you mean 'DAPI'"),
        ("correctPosition", (1, 0, 0, "Current"), r"no stage position 'Current'.*Did you mean 'current'"),
        ("correctPosition", (1, 0, 0, 2), r"no stage position 2"),
        ("correctPosition", (1, 0, 0, [0, -1]), r"no stage position -1"),
        ("correctPosition", (1, 0, 0, []), r"positions names none.*Allowed: 'current'.*Nothing was changed"),
    ],
)
def test_wrong_calls_say_what_is_allowed(
    commands: Maker, command: str, args: tuple[Any, ...], words: str
) -> None:
    with pytest.raises(CommandRefused, match=words):
        commands().execute(command, args, {})


def test_corrections_add_up_for_the_positions_they_name(
    commands: Maker, live: Live, microscope: Microscope, records: list[Record]
) -> None:
    before = microscope.position()
    commands().execute("correctPosition", (1.0, 0.0, 2.0), {})
    commands("focus").execute("correctPosition", (), {"dz_um": -0.5, "positions": "all"})
    commands(position=1).execute("correctPosition", (0.0, 3.0), {"positions": ["A", 1]})
    assert live.corrections.total(0).to_dict() == {"x": 1.0, "y": 3.0, "z": 1.5}
    assert live.corrections.total(1).to_dict() == {"x": 0.0, "y": 3.0, "z": -0.5}
    assert microscope.position() == before  # a correction is for later events, it is no move
    told = [record for record in records if isinstance(record, Corrected)]
    assert [line.position for line in told] == [0, None, 0, 1]
    assert [waiting.script for waiting in live.corrections.take_waiting(1)] == ["focus", "tracker"]
    assert live.corrections.take_waiting(1) == []
    assert [waiting.position for waiting in live.corrections.take_waiting(0)] == [0, 0]


def test_two_scripts_cannot_both_move_before_the_same_event(commands: Maker, live: Live) -> None:
    first, second = commands("tracker"), commands("autofocus")
    first.execute("moveStage", (10.0, 0.0), {})
    first.execute("moveStage", (12.0, 0.0), {})  # its own move it may change
    second.execute("moveFocus", (3.0,), {})  # another axis
    with pytest.raises(CommandRefused, match=r"autofocus and tracker both move x"):
        second.execute("moveStageBy", (1.0, 0.0), {})
    live.one_off.forget()
    second.execute("moveStageBy", (1.0, 0.0), {})


def test_a_refused_move_claims_nothing(commands: Maker) -> None:
    with pytest.raises(LimitRefused):
        commands("tracker").execute("moveStage", (9999.0, 0.0), {})
    commands("autofocus").execute("moveStage", (5.0, 0.0), {})


def test_light_and_camera(commands: Maker, microscope: Microscope) -> None:
    tracker = commands()
    assert set(tracker.execute("getChannels", (), {})) == {"DAPI", "FITC", "Rhodamine", "Cy5"}
    assert tracker.execute("setChannel", ("FITC",), {}) == "FITC"
    assert tracker.execute("getChannel", (), {}) == microscope.channel() == "FITC"
    assert tracker.execute("setExposure", (12.5,), {}) == tracker.execute("getExposure", (), {}) == 12.5


def test_a_command_waits_for_the_turn(commands: Maker, live: Live, microscope: Microscope) -> None:
    thread = threading.Thread(target=lambda: commands().execute("moveFocus", (4.0,), {}))
    with live.turn.take("event e000004", 1.0):
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert microscope.position().z_um == pytest.approx(0.0, abs=0.01)
    thread.join(60)
    assert microscope.position().z_um == pytest.approx(4.0, abs=0.01)


def test_after_its_call_a_script_commands_nothing(commands: Maker, microscope: Microscope) -> None:
    tracker = commands()
    tracker.revoke()
    with pytest.raises(CommandRefused, match="call of tracker is over"):
        tracker.execute("moveFocus", (4.0,), {})
    assert microscope.position().z_um == pytest.approx(0.0, abs=0.01)


def test_stop_and_log(commands: Maker, live: Live, records: list[Record]) -> None:
    tracker = commands()
    tracker.log("info", "seen 12 cells")
    tracker.execute("stop", ("enough cells",), {})
    assert live.stop.asked
    assert not live.stop.now
    assert live.stop.by == "script"
    assert "enough cells" in live.stop.reason
    assert Logged("seen 12 cells", "info", "tracker", "e000003") in records
