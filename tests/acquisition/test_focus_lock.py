"""A hardware autofocus on the real Core: TAutofocus with TAFStage, and DAutoFocus with the Utilities' offset stage.

The demo autofocus lets go where the focus drive is moved, as many real ones do, and it can be switched off; it never
finds or fails to hold anything by itself. Where a test needs that, it replaces one method of the Core's instance.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Autofocused, Captured, Commanded, EventSkipped, ScriptFailed

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

PLACES = "stage_positions: [{x: 0, y: 0, z: 3, name: A}, {x: 100, y: 0, z: 8, name: B}]"
CHANNEL = "channels: [{group: Channel, config: DAPI, exposure: 1}]"


def acquisition(*more: str, loops: int = 2) -> str:
    lines = [CHANNEL, PLACES, f"time_plan: {{interval: 0, loops: {loops}}}", *more]
    return "acquisition:\n" + "\n".join(f"  {line}" for line in lines)


SINGLE = acquisition()
STACK = acquisition("z_plan: {range: 2, step: 1}")
CONTINUOUS = "autofocus: {mode: continuous, limit_s: 0.3}"
EVERY_IMAGE = """
def fetch_images(new_image: "images"):
    return [{}]
"""


@pytest.fixture(scope="module")
def _autofocus(_microscope: Microscope) -> Iterator[Microscope]:
    core, folder = _microscope.core, library_dir("mm_demo_config")
    core.loadSystemConfiguration(str(folder / "demo_autofocus.cfg"))
    yield _microscope
    core.loadSystemConfiguration(str(folder / "demo_galvo.cfg"))


@pytest.fixture
def microscope(_autofocus: Microscope) -> Iterator[Microscope]:
    """The demo microscope with an autofocus, switched off, and all drives at 0; takes the place of conftest's."""
    core = _autofocus.core
    core.setProperty("Camera", "FastImage", "1")
    core.setProperty("Camera", "PixelType", "16bit")
    core.setConfig("Channel", "DAPI")
    core.setProperty("Autofocus", "SetZDisablesContinuousFocus", "Yes")
    core.setAutoFocusDevice("Demo Autofocus")
    core.enableContinuousFocus(False)
    core.setAutoFocusDevice("Autofocus")
    core.enableContinuousFocus(False)
    for drive in ("Focus Drive", "Focus Offset", "Demo Focus Offset"):
        core.setPosition(drive, 0.0)
    _autofocus.move_stage(0.0, 0.0)
    methods = set(vars(core))
    yield _autofocus
    for name in set(vars(core)) - methods:
        delattr(core, name)


@pytest.fixture
def exposures(microscope: Microscope) -> list[dict[str, Any]]:
    """The state of the devices at each exposure, as the camera's call finds it."""
    core, seen = microscope.core, []
    snap = core.snap_image

    def noted() -> Any:
        seen.append(
            {
                "x": round(core.getXPosition()),
                "z": round(core.getPosition("Focus Drive"), 3),
                "offset": round(core.getPosition("Focus Offset"), 3),
                "held": core.isContinuousFocusLocked(),
            }
        )
        return snap()

    core.snap_image = noted
    return seen


Seen = list[dict[str, Any]]


def column(seen: Seen, *names: str) -> list[Any]:
    rows = [tuple(row[name] for name in names) for row in seen]
    return [row[0] for row in rows] if len(names) == 1 else rows


def when(kind: type, read: Callable[[], Any]) -> tuple[list[Any], Callable[[Any], None]]:
    """What ``read`` says whenever a record of that kind is published."""
    seen: list[Any] = []
    return seen, lambda record: seen.append(read()) if isinstance(record, kind) else None


def did(ran: Any) -> list[str]:
    return [record.did for record in ran.of(Autofocused)]


# -- continuous


def test_the_focus_is_held_and_the_planned_one_is_not_sent(
    lab: Lab, microscope: Microscope, exposures: Seen
) -> None:
    ran = lab(acquisition=SINGLE, more=CONTINUOUS)
    assert ran.result.exit_status == 0
    # It begins at the planned focus of A; at B, planned 5 um higher, the drive is the autofocus's own affair.
    assert column(exposures, "x", "z", "held") == [(0, 3, True), (100, 3, True)] * 2
    assert did(ran) == ["holds"]
    assert not microscope.core.isContinuousFocusEnabled()  # as it was before


def test_sending_the_planned_focus_would_break_the_hold(
    lab: Lab, microscope: Microscope, exposures: Seen
) -> None:
    """The same run without ``autofocus``, on a microscope that holds the focus: what the run above avoids."""
    microscope.core.enableContinuousFocus(True)
    lab(acquisition=SINGLE)
    assert column(exposures, "z", "held") == [(3, False), (8, False)] * 2


def test_without_the_section_the_autofocus_is_not_asked_at_any_event(
    lab: Lab, microscope: Microscope
) -> None:
    core, snap = microscope.core, microscope.core.snap_image
    calls: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        method = getattr(core, name)
        return lambda *args: (calls.append(name), method(*args))[1]

    for name in ("isContinuousFocusEnabled", "isContinuousFocusLocked", "enableContinuousFocus", "fullFocus"):
        setattr(core, name, noted(name))
    core.snap_image = lambda: (calls.append("snap"), snap())[1]
    assert lab(acquisition=SINGLE).result.exit_status == 0
    first, last = calls.index("snap"), len(calls) - calls[::-1].index("snap")
    assert calls[first:last] == ["snap"] * 4
    assert not {"enableContinuousFocus", "fullFocus"} & set(calls)


CORRECTS = """
def follow(images: "images", context: "IIS_CONTEXT"):
    meta = images.metadata
    if not any(meta[axis + "Index"] for axis in ("time", "position", "channel", "focus")):
        context.correctPosition(dx_um=5, dz_um=2)
"""


@pytest.mark.parametrize(("per_um", "offset"), [(1, 2.0), (-0.5, -1.0)])
def test_a_correction_of_the_focus_goes_to_the_offset_drive(
    lab: Lab, exposures: Seen, microscope: Microscope, per_um: float, offset: float
) -> None:
    ran = lab(
        EVERY_IMAGE + CORRECTS,
        acquisition=SINGLE,
        more=f"autofocus: {{offset_per_um: {per_um}}}",
    )
    assert ran.result.exit_status == 0
    assert column(exposures, "x", "z", "held") == [
        (0, 3, True),
        (100, 3, True),
        (5, 3, True),
        (100, 3, True),
    ]
    assert column(exposures, "offset") == [0, 0, offset, 0]
    assert microscope.core.getPosition("Focus Offset") == 0  # at the end as it was


def test_the_offset_drive_has_limits_of_its_own(lab: Lab, exposures: Seen) -> None:
    channels = "channels: [DAPI, {config: FITC, z_offset: -1.5}]"
    ran = lab(
        acquisition=SINGLE.replace(CHANNEL, channels),
        more=f"{CONTINUOUS}\nsafety: {{sub_devices: {{Focus Offset: [-1, 1]}}}}",
    )
    words = "'Focus Offset' -1.5 is outside its limit. Allowed: -1 to 1 (safety.sub_devices.Focus Offset in "
    assert words in str(ran.result.error)
    assert set(column(exposures, "offset")) == {0}


def test_the_offset_of_a_channel_goes_to_the_offset_drive(lab: Lab, exposures: Seen) -> None:
    channels = "channels: [DAPI, {config: FITC, z_offset: -1.5}]"
    lab(acquisition=SINGLE.replace(CHANNEL, channels), more=CONTINUOUS)
    assert column(exposures, "z", "offset", "held") == [(3, 0, True), (3, -1.5, True)] * 4


def test_a_device_that_keeps_its_own_offset(lab: Lab, microscope: Microscope) -> None:
    """DAutoFocus, through the Utilities' offset stage, and without it through the autofocus device itself."""
    core = microscope.core
    for drive in (True, False):
        core.isContinuousFocusDrive = lambda label, drive=drive: drive and label == "Demo Focus Offset"
        seen, look = when(Captured, core.getAutoFocusOffset)
        ran = lab(
            EVERY_IMAGE + CORRECTS,
            acquisition=SINGLE,
            more="autofocus: {device: Demo Autofocus, offset_start: 10}",
            on_record=look,
        )
        assert ran.result.exit_status == 0
        assert seen == [10, 10, 12, 10]
        assert core.getAutoFocusDevice() == "Autofocus"
        core.setAutoFocusDevice("Demo Autofocus")
        assert core.getAutoFocusOffset() == 0
        core.setAutoFocusDevice("Autofocus")


def test_a_correction_that_no_offset_can_take_is_refused_clearly(
    lab: Lab, microscope: Microscope, exposures: Seen
) -> None:
    def fixed(value: float) -> None:
        raise RuntimeError("the offset cannot be set")

    microscope.core.isContinuousFocusDrive = lambda label: False
    microscope.core.setAutoFocusOffset = fixed
    ran = lab(EVERY_IMAGE + CORRECTS, acquisition=SINGLE, more=CONTINUOUS)
    (command,) = ran.of(Commanded)
    assert command.decided == "refused"
    assert "neither an offset drive nor an offset of its own can be set" in command.message
    assert column(exposures, "x", "held") == [(0, True), (100, True)] * 2  # not even the stage's part


def test_moving_the_drive_is_refused_while_the_focus_is_held(lab: Lab, exposures: Seen) -> None:
    script = EVERY_IMAGE + '\ndef f(images: "images", c: "IIS_CONTEXT"):\n    c.moveFocusBy(1)\n'
    ran = lab(script, acquisition=SINGLE, more=CONTINUOUS)
    assert {record.decided for record in ran.of(Commanded)} == {"refused"}
    assert "the autofocus 'Autofocus' holds the focus" in ran.of(ScriptFailed)[0].message
    assert column(exposures, "held") == [True] * 4


# -- stacks


def test_a_stack_suspends_the_hold_and_is_taken_around_it(
    lab: Lab, microscope: Microscope, exposures: Seen
) -> None:
    held, look = when(Captured, microscope.core.isContinuousFocusLocked)
    ran = lab(EVERY_IMAGE + CORRECTS, acquisition=STACK, more=CONTINUOUS, on_record=look)
    assert ran.result.exit_status == 0
    assert column(exposures, "held") == [False] * 12
    # At A the correction came after the first slice of the first stack: its other slices carry it on the drive.
    assert column(exposures, "z", "offset")[:6] == [(2, 0), (5, 0), (6, 0), (2, 0), (3, 0), (4, 0)]
    # The offset drive carries it in the next one, and the stack is taken around what is held then.
    assert column(exposures, "z", "offset")[6:] == [(2, 2), (3, 2), (4, 2), (2, 0), (3, 0), (4, 0)]
    assert did(ran)[:3] == ["holds", "suspended", "resumed"]
    assert did(ran).count("suspended") == did(ran).count("resumed") == 4
    assert held == [False, False, True] * 4  # held again before anybody waits for a script


def test_a_burst_suspends_the_hold_as_a_stack_does(lab: Lab, microscope: Microscope) -> None:
    # This focus drive runs sequences only with a camera of its own kind: it is told the positions, and stays.
    core, loaded, seen = microscope.core, [], []
    core.isStageSequenceable = core.is_stage_sequenceable = lambda drive: True
    core.getStageSequenceMaxLength = core.get_stage_sequence_max_length = lambda drive: 100
    core.load_stage_sequence = lambda drive, z_um: loaded.append([round(z, 3) for z in z_um])
    core.start_stage_sequence = lambda drive: seen.append(
        (round(core.getPosition(drive), 3), core.isContinuousFocusLocked())
    )
    core.stopStageSequence = lambda drive: None
    held, look = when(Captured, core.isContinuousFocusLocked)
    script = EVERY_IMAGE + '\ndef f(images: "images"):\n    return None\n'
    ran = lab(script, acquisition=STACK, more=CONTINUOUS + "\nbursts: z_stack", on_record=look)
    assert ran.result.exit_status == 0
    assert loaded == [[2, 3, 4]] * 4
    assert seen == [(2, False)] * 4
    assert did(ran).count("suspended") == did(ran).count("resumed") == 4
    assert held == [True] * 12


def test_a_stack_that_fails_leaves_the_focus_held(lab: Lab, microscope: Microscope, exposures: Seen) -> None:
    core, move = microscope.core, microscope.core.set_position

    def stuck(*args: Any) -> Any:
        if args[-1] == pytest.approx(4.0):
            raise RuntimeError("the drive is stuck")
        return move(*args)

    core.set_position = stuck
    held, look = when(EventSkipped, core.isContinuousFocusLocked)
    policy = "\ndevice_error: {retries: 0, then: skip_event}"
    ran = lab(acquisition=STACK, more=CONTINUOUS + policy, on_record=look)
    assert ran.counts["stored"] == 8
    assert held == [True] * 4
    assert column(exposures, "z") == [2, 3] * 4


@pytest.mark.parametrize("before", [True, False])
def test_a_run_that_is_stopped_in_a_stack_leaves_all_as_it_was(
    lab: Lab, microscope: Microscope, exposures: Seen, before: bool
) -> None:
    microscope.core.enableContinuousFocus(before)
    microscope.core.setPosition("Focus Offset", 1.5)
    script = EVERY_IMAGE + '\ndef f(images: "images", c: "IIS_CONTEXT"):\n    c.stop("enough")\n'
    ran = lab(script, acquisition=STACK, more=CONTINUOUS + "\ncorrections: {focus: {gain: 1}}")
    assert ran.result.state == "stopped"
    assert column(exposures, "z", "offset") == [(2, 1.5)]
    assert microscope.position().z_um == 3  # where the focus was held, not at the last slice
    assert microscope.core.isContinuousFocusLocked() is before
    assert microscope.core.getPosition("Focus Offset") == 1.5


def test_stacks_that_are_taken_in_turn_are_each_around_what_is_held(lab: Lab, exposures: Seen) -> None:
    """Axis order z before c: the slices of two stacks alternate."""
    channels = "channels: [DAPI, {config: FITC, z_offset: 0.25}]"
    plan = acquisition("z_plan: {range: 2, step: 1}", "axis_order: tpzc", loops=1).replace(CHANNEL, channels)
    ran = lab(acquisition=plan, more=CONTINUOUS)
    assert ran.result.exit_status == 0
    assert column(exposures, "z", "held") == [(z, False) for z in (2, 2.25, 3, 3.25, 4, 4.25)] * 2
    assert did(ran)[-1] == "resumed"


def test_a_run_that_is_ended_at_once_leaves_all_as_it_was(
    lab: Lab, microscope: Microscope, exposures: Seen
) -> None:
    microscope.core.enableContinuousFocus(True)
    stop = StopSwitch()

    def end(record: Any) -> None:
        if len(exposures) == 2:
            stop.stop_now("Ctrl-C twice")

    ran = lab(acquisition=STACK, more=CONTINUOUS, stop=stop, on_record=end)
    assert ran.result.state == "stopped"
    assert microscope.position().z_um == 3
    assert microscope.core.isContinuousFocusLocked()


def test_an_objective_that_is_changed_ends_the_hold_for_a_while(lab: Lab, exposures: Seen) -> None:
    """The next event holds the focus again, from the planned one."""
    script = """
def f(images: "images", context: "IIS_CONTEXT"):
    if images.metadata["timeIndex"] == 0 and images.metadata["positionIndex"] == 1:
        context.acquire(objective="40X", channels=["DAPI"])
"""
    ran = lab(EVERY_IMAGE + script, acquisition=SINGLE, more=CONTINUOUS)
    assert ran.result.exit_status == 0
    assert column(exposures, "held") == [True] * 5
    assert did(ran).count("suspended") == 2  # to the other objective, and back


# -- lost


def bubble_at_b(microscope: Microscope) -> None:
    """The autofocus cannot hold the focus at B: nothing that the demo device does by itself."""
    core = microscope.core
    locked = core.isContinuousFocusLocked
    core.isContinuousFocusLocked = lambda: locked() and core.getXPosition() < 50


LOST = {
    "continue": ("completed", 4, [3, 8, 3, 8]),
    "skip_event": ("completed", 2, [3, 3]),
    "abort": ("aborted", 1, [3]),
}


@pytest.mark.parametrize("policy", LOST)
def test_a_focus_that_cannot_be_held_has_a_policy(
    lab: Lab, microscope: Microscope, exposures: Seen, policy: str
) -> None:
    state, stored, heights = LOST[policy]
    bubble_at_b(microscope)
    ran = lab(acquisition=SINGLE, more=f"autofocus: {{lost: {policy}, retries: 1, limit_s: 0.05}}")
    assert (ran.result.state, ran.counts["stored"]) == (state, stored)
    assert column(exposures, "z") == heights  # without the autofocus: at the planned focus
    lost = [(line.attempt, line.action) for line in ran.of(Autofocused) if line.did == "lost"]
    assert lost == [(1, "retry"), (2, policy)] * (1 if policy == "abort" else 2)
    assert "does not hold the focus within 0.05 s" in ran.of(Autofocused)[-1].message if lost else ""
    log = (ran.folder / "log.txt").read_text(encoding="utf-8")
    assert f"Action: {policy}" in log
    assert not microscope.core.isContinuousFocusEnabled()


@pytest.mark.parametrize("policy", ["continue", "skip_event"])
def test_nobody_asks_again_at_each_slice(
    lab: Lab, microscope: Microscope, exposures: Seen, policy: str
) -> None:
    bubble_at_b(microscope)
    rules = f"autofocus: {{lost: {policy}, retries: 1, limit_s: 0.05}}"
    ran = lab(acquisition=acquisition("z_plan: {range: 2, step: 1}", loops=1), more=rules)
    assert did(ran).count("lost") == 2
    expected = [2, 3, 4, 7, 8, 9] if policy == "continue" else [2, 3, 4]
    assert column(exposures, "z") == expected
    assert ran.counts["skipped_plan"] == 6 - len(expected)


def test_a_device_that_reports_an_error_has_the_policy_too(lab: Lab, microscope: Microscope) -> None:
    """As many do where they are out of their range: the Core's call raises."""
    switch, failures = microscope.core.enableContinuousFocus, ["out of range", "no signal"]

    def fail_at_first(on: bool) -> None:
        if on and failures:
            raise RuntimeError(failures.pop(0))
        switch(on)

    microscope.core.enableContinuousFocus = fail_at_first
    ran = lab(acquisition=SINGLE, more=CONTINUOUS)
    assert did(ran) == ["lost", "lost", "holds"]
    assert "out of range" in ran.of(Autofocused)[0].message
    assert ran.of(Autofocused)[2].attempt == 3
    assert ran.counts["stored"] == 4


def test_a_hold_that_ends_between_two_images_is_taken_up_again(lab: Lab, exposures: Seen) -> None:
    """Somebody switches the autofocus off at its own panel."""
    script = """
def panel(images: "images"):
    from mmpycorex import Core
    Core().setProperty("Autofocus", "ContinuousFocus", "Off")
"""
    ran = lab(EVERY_IMAGE + script, acquisition=SINGLE, more=CONTINUOUS)
    assert ran.result.exit_status == 0
    assert column(exposures, "z", "held") == [(3, True)] * 4


def test_a_focus_that_is_lost_during_an_exposure_is_told(lab: Lab, microscope: Microscope) -> None:
    core, snap, images = microscope.core, microscope.core.snap_image, []

    def jolt() -> Any:
        images.append(snap())
        if len(images) == 2:
            core.setPosition("Focus Drive", 4.0)  # the demo autofocus lets go

    core.snap_image = jolt
    ran = lab(acquisition=SINGLE, more=CONTINUOUS)
    lost = [line for line in ran.of(Autofocused) if line.did == "lost"]
    assert [(line.event, line.message) for line in lost] == [
        ("e000002", "it was lost while the image was taken")
    ]
    assert did(ran) == ["holds", "lost", "holds"]
    assert ran.counts["stored"] == 4


# -- once: where the plan asks

SURFACE_AT_A, SURFACE_AT_B = 4.5, 7.0


@pytest.fixture
def surface(microscope: Microscope) -> list[float]:
    """The autofocus finds the focus at 4.5 um at A, at 7 um at B; the demo device itself stays where it is."""
    core, looked_from = microscope.core, []

    def find() -> None:
        looked_from.append(core.getPosition("Focus Drive"))
        core.setPosition("Focus Drive", SURFACE_AT_A if core.getXPosition() < 50 else SURFACE_AT_B)

    core.fullFocus = find
    return looked_from


ASKED = {
    "by the section": (SINGLE, "autofocus: {mode: once}", [3, 8, 4.5, 7]),
    "by the plan": (acquisition("autofocus_plan: {axes: [p, t]}"), "", [3, 8, 4.5, 7]),
    # A, B, A, B: the position changes each time
    "for each position": (acquisition("autofocus_plan: {axes: [p]}"), "", [3, 8, 4.5, 7]),
    "for each time point": (acquisition("autofocus_plan: {axes: [t]}"), "", [3, 4.5]),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_focus_is_looked_for_where_the_plan_asks(
    lab: Lab, surface: list[float], exposures: Seen, name: str
) -> None:
    plan, section, looked_from = ASKED[name]
    ran = lab(acquisition=plan, more=section)
    assert ran.result.exit_status == 0
    # From the plan at first, later from where it was found last.
    assert surface == looked_from
    found_at_b = 7.0 if len(looked_from) == 4 else 8.0
    assert column(exposures, "z", "held") == [(4.5, False), (found_at_b, False)] * 2
    assert did(ran) == ["found"] * len(looked_from)


def test_stacks_channels_and_corrections_go_on_from_what_was_found(
    lab: Lab, surface: list[float], exposures: Seen
) -> None:
    plan = acquisition("z_plan: {range: 2, step: 1}", "autofocus_plan: {axes: [p, t]}")
    channels = "channels: [DAPI, {config: FITC, z_offset: 0.5, do_stack: false}]"
    ran = lab(EVERY_IMAGE + CORRECTS, acquisition=plan.replace(CHANNEL, channels))
    assert ran.result.exit_status == 0
    # 2 um were asked for after the first image; from then on they are above what was found.
    assert column(exposures, "z")[:4] == [3.5, 6.5, 7.5, 7.0]
    assert column(exposures, "z")[4:8] == [6, 7, 8, 7.5]
    assert column(exposures, "z")[8:12] == [5.5, 6.5, 7.5, 7.0]
    assert surface == [3, 8, 4.5, 7]  # the search begins where it found the focus last


@pytest.mark.parametrize("policy", LOST)
def test_a_focus_that_is_not_found_has_the_same_policy(
    lab: Lab, microscope: Microscope, surface: list[float], exposures: Seen, policy: str
) -> None:
    core, find = microscope.core, microscope.core.fullFocus

    def lost_at_b() -> None:
        if core.getXPosition() > 50:
            raise RuntimeError("no reflection")
        find()

    core.fullFocus = lost_at_b
    state, stored, _ = LOST[policy]
    plan = acquisition("autofocus_plan: {axes: [p]}")
    ran = lab(acquisition=plan, more=f"autofocus: {{mode: once, lost: {policy}, retries: 1}}")
    assert (ran.result.state, ran.counts["stored"]) == (state, stored)
    assert (
        column(exposures, "z")
        == {"continue": [4.5, 8, 4.5, 8], "skip_event": [4.5, 4.5], "abort": [4.5]}[policy]
    )
    assert "no reflection" in next(line.message for line in ran.of(Autofocused) if line.did == "lost")


def test_a_search_that_never_ends_is_given_up(lab: Lab, microscope: Microscope) -> None:
    over = threading.Event()
    microscope.core.fullFocus = lambda: over.wait(60)
    ran = lab(
        acquisition=acquisition(loops=1),
        more="autofocus: {mode: once, retries: 0, limit_s: 0.1, lost: skip_event}",
    )
    over.set()
    assert ran.counts["skipped_plan"] == 2
    assert "did not end its search within 0.1 s" in ran.of(EventSkipped)[0].reason


def test_the_drive_may_be_moved_where_the_focus_is_only_looked_for(lab: Lab, surface: list[float]) -> None:
    script = EVERY_IMAGE + '\ndef f(images: "images", c: "IIS_CONTEXT"):\n    c.moveFocusBy(1)\n'
    ran = lab(script, acquisition=SINGLE, more="autofocus: {mode: once}")
    assert {record.decided for record in ran.of(Commanded)} == {"executed"}


# -- limits and mistakes


def test_what_the_autofocus_finds_passes_the_limits(lab: Lab, surface: list[float], exposures: Seen) -> None:
    ran = lab(
        acquisition=SINGLE.replace("z: 8", "z: 6"),
        more="autofocus: {mode: once}\nsafety: {focus_um: [0, 6.5]}",
    )
    assert ran.result.state == "failed"
    assert "focus 7 um is outside its limit" in str(ran.result.error)
    assert "lab.yaml" in str(ran.result.error)
    assert column(exposures, "z") == [4.5]


def test_without_a_focus_drive_there_is_nothing_to_hold(lab: Lab, microscope: Microscope) -> None:
    microscope.core.setFocusDevice("")
    ran = lab(acquisition="acquisition: {stage_positions: [{x: 0, y: 0}]}", more=CONTINUOUS)
    microscope.core.setFocusDevice("Focus Drive")
    assert ran.result.exit_status == 2
    assert "there is no focus drive" in str(ran.result.error)


WRONG = {
    "device": (
        "{device: autofocs}",
        "autofocus.device",
        r"there is no autofocus device 'autofocs'.*mean 'Autofocus'",
    ),
    "drive": (
        "{offset_drive: Focus Ofset}",
        "autofocus.offset_drive",
        r"no drive 'Focus Ofset'.*mean 'Focus Offset'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_device_that_is_not_there_is_told_before_the_first_image(lab: Lab, name: str) -> None:
    section, field, words = WRONG[name]
    ran = lab(acquisition=SINGLE, more=f"autofocus: {section}")
    assert ran.result.exit_status == 2
    assert field in str(ran.result.error)
    assert re.search(words, str(ran.result.error))
    assert ran.result.folder is None


# -- the loop closed, on the specimen

SCREEN = """\
acquisition:
  axis_order: tpcz
  channels: [{config: DAPI, exposure: 10}]
  stage_positions: [{x: 0, y: 0, z: 3, name: A}]
  z_plan: {range: 12, step: 1}
  time_plan: {interval: 0, loops: 3}
"""


@pytest.mark.parametrize(("per_um", "ends_near_um"), [(2.0, 6.0), (-2.0, None)])
def test_a_script_that_focuses_by_images_converges_through_the_offset(
    lab: Lab, microscope: Microscope, exposures: Seen, per_um: float, ends_near_um: float | None
) -> None:
    """The cells are 3 um above what the autofocus holds by itself.

    Here the offset moves the focus drive by half a micrometre for each of its units, as the autofocus of a microscope
    would: the demo device does not. With the wrong sign in the experiment the stacks go the other way.
    """
    core, move = microscope.core, microscope.core.setPosition
    core.setProperty("Autofocus", "SetZDisablesContinuousFocus", "No")

    def follow(label: str, value: float) -> None:
        if label == "Focus Offset" and core.isContinuousFocusLocked():
            move("Focus Drive", core.getPosition("Focus Drive") + 0.5 * (value - core.getPosition(label)))
        move(label, value)

    core.setPosition = follow
    source = (library_dir("scripts") / "autofocus.py").read_text(encoding="utf-8")
    helper = library_dir("scripts").as_posix()
    ran = lab(
        f"import sys\nsys.path.insert(0, {helper!r})\n" + source,
        acquisition=SCREEN,
        microscope="{backend: demo, config: autofocus, specimen: {seed: 3, focus_um: 6, depth_of_field_um: 2}}",
        more=f"autofocus: {{mode: continuous, offset_per_um: {per_um}}}",
    )
    assert ran.result.exit_status == 0
    middles = column(exposures, "z")[6::13]
    assert middles[0] == 3
    if ends_near_um is None:
        assert middles[1] == pytest.approx(0, abs=0.3)
    else:
        assert middles[1:] == pytest.approx([ends_near_um] * 2, abs=0.3)
        assert column(exposures, "offset")[-1] == pytest.approx(6, abs=0.6)
