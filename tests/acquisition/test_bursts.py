"""Bursts on the real Core: the same images as one by one, one turn, and whatever goes wrong is counted."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.acquisition.check import check_experiment
from inscoper_mm.acquisition.check_microscope import facts_of
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.errors import LimitRefused
from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import open_dataset
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.sequences import SequenceFacts, sequence_facts
from inscoper_mm.records import (
    Captured,
    Commanded,
    CorrectionApplied,
    Decided,
    DeviceFailed,
    EventSkipped,
    Record,
    StackIncomplete,
    Submitted,
)

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

STACKS = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 5}, {group: Channel, config: FITC, exposure: 2, z_offset: 1}]
  stage_positions: [{x: 0, y: 0, z: 10}, {x: 40, y: 0, z: 20}]
  z_plan: {range: 6, step: 1}
"""
THROUGH_FOCUS = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 20}]
  stage_positions: [{x: 0, y: 0, z: 0}, {x: 40, y: 0, z: 2}]
  z_plan: {range: 18, step: 3}
"""
SERIES = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 2}]
  stage_positions: [{x: 0, y: 0, z: 10}]
  z_plan: {range: 4, step: 1}
  time_plan: {interval: 0, loops: 3}
"""
BURSTS = "bursts: z_stack"
SPECIMEN = "{backend: demo, specimen: {seed: 1}}"
LAST_SLICE = """
def fetch_images(new: "images"):
    m = new.metadata
    return [{}] if m["focusIndex"] == m["focusSize"] - 1 else []
"""
EVERY = "def fetch_images(new: 'images'):\n    return [{}]\n"
BROKEN = EVERY + "def f(images: 'images'):\n    1 / 0\n"
ABORT = "{place: thread, error: abort}"


@pytest.fixture
def sequences(microscope: Microscope, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each hardware sequence of the camera was started with."""
    counts: list[int] = []
    real = microscope.core.start_sequence_acquisition

    def start(camera: str, count: int, *more: Any) -> None:
        counts.append(count)
        real(camera, count, *more)

    monkeypatch.setattr(microscope.core, "start_sequence_acquisition", start)
    return counts


def pixels(ran: Any) -> dict[Index, np.ndarray]:
    data = open_dataset(ran.folder / "images")
    try:
        return {
            Index(key["time"], key["position"], key["channel"], key["z"]): np.array(data.read_image(**key))
            for key in data.get_image_coordinates_list()
        }
    finally:
        data.close()


def score(image: np.ndarray) -> float:
    """Focus score: sharp edges have steep slopes."""
    return float((np.diff(image[::2, ::2].astype(float), axis=0) ** 2).mean())


@pytest.mark.parametrize("asks_at", [0, 6], ids=["the first slice", "the last slice"])
def test_a_script_may_ask_for_every_slice_of_a_burst(asks_at: int, lab: Lab, sequences: list[int]) -> None:
    provider = f"""
def fetch_images(new: "images"):
    m = new.metadata
    return [{{"focusIndex": at}} for at in range(m["focusSize"])] if m["focusIndex"] == {asks_at} else []
"""
    work = "def f(images: 'images'):\n    return {'metadata': {'Z': [i.metadata['zPosition_um'] for i in images]}}\n"
    ran = lab(provider + work, acquisition=THROUGH_FOCUS, more=BURSTS)
    assert sequences == [7, 7]
    assert ran.result.exit_status == 0
    answers = [json.loads(line)["values"]["Z"] for line in (ran.folder / "results/metadata.jsonl").open()]
    assert [len(heights) for heights in answers] == [7, 7]
    assert np.diff(answers).tolist() == [[3.0] * 6] * 2


def test_a_burst_gives_the_images_of_single_events(lab: Lab, sequences: list[int]) -> None:
    single = lab(acquisition=THROUGH_FOCUS, microscope=SPECIMEN)
    assert sequences == []
    burst = lab(acquisition=THROUGH_FOCUS, microscope=SPECIMEN, more=BURSTS)
    assert sequences == [7, 7]
    assert burst.result.state == "completed"
    one, other = pixels(single), pixels(burst)
    assert list(one) == list(other)
    assert len(one) == 14
    for index, image in one.items():
        # The same specimen at the same place; the noise and a few nanometres of the stage differ.
        assert other[index].mean() == pytest.approx(image.mean(), rel=0.01)
        assert score(other[index]) == pytest.approx(score(image), rel=0.03)
    curve = [score(other[Index(0, 0, 0, number)]) for number in range(7)]
    assert max(curve) > 1.3 * min(curve)  # a stack that stands still would be flat


def test_what_the_metadata_of_a_burst_tell(lab: Lab) -> None:
    ran = lab(acquisition=STACKS, more=BURSTS)
    stored = ran.stored()
    assert len(stored) == ran.counts["stored"] == ran.counts["captured"] == 28
    for index, tags in stored.items():
        z_um = (10, 20)[index.position] + index.focus - 3 + index.channel
        assert tags["ZPosition_um"] == pytest.approx(z_um)
        assert tags["XPosition_um"] == pytest.approx((0, 40)[index.position], abs=0.05)
        assert tags["Exposure"] == pytest.approx((5, 2)[index.channel])
        assert tags["Axes"]["z"] == index.focus
    ends = [(record.exposure_end_s, record.arrived_s) for record in ran.of(Captured)]
    assert ends == sorted(ends)
    assert all(0 <= arrived - end < 5 for end, arrived in ends)
    assert len({end for end, _ in ends}) == 28


def test_a_burst_is_one_event_in_the_audit(lab: Lab) -> None:
    ran = lab(acquisition=SERIES, more=BURSTS)
    submitted = ran.of(Submitted)
    assert [record.burst for record in submitted] == ["e000001"] * 5 + ["e000006"] * 5 + ["e000011"] * 5
    assert [record.position_um["z_um"] for record in submitted] == [8, 9, 10, 11, 12] * 3


def test_every_slice_carries_the_corrections_from_the_next_burst_on(lab: Lab) -> None:
    script = LAST_SLICE + (
        "def f(images: 'images', c: 'IIS_CONTEXT'):\n"
        "    if images.metadata['timeIndex'] == 0:\n        c.correctPosition(3, 0, 2)\n"
    )
    ran = lab(script, acquisition=SERIES, more=BURSTS)
    places = [(record.position_um["x_um"], record.position_um["z_um"]) for record in ran.of(Submitted)]
    assert places == [(0, z) for z in (8, 9, 10, 11, 12)] + [(3, z) for z in (10, 11, 12, 13, 14)] * 2
    assert [record.event for record in ran.of(CorrectionApplied)] == ["e000006"]
    stored = ran.stored()
    assert stored[Index(2, 0, 0, 4)]["XPosition_um"] == pytest.approx(3, abs=0.05)
    assert stored[Index(2, 0, 0, 4)]["ZPosition_um"] == pytest.approx(14)


def test_every_image_is_offered_in_order_after_its_burst(lab: Lab) -> None:
    ran = lab(EVERY + "def f(images: 'images'):\n    return None\n", acquisition=SERIES, more=BURSTS)
    order = [(record.kind, record.event) for record in ran.records if isinstance(record, Captured | Decided)]
    events = [f"e{number:06d}" for number in range(1, 16)]
    wanted = []
    for begin in (0, 5, 10):
        burst = events[begin : begin + 5]
        wanted += [("captured", event) for event in burst] + [("decided", event) for event in burst]
    assert order == wanted


def test_a_command_of_a_worker_waits_for_the_end_of_a_burst(lab: Lab, microscope: Microscope) -> None:
    running: list[bool] = []
    real = microscope.move_stage

    def move(x_um: float, y_um: float) -> None:
        running.append(bool(microscope.core.isSequenceRunning()))
        real(x_um, y_um)

    microscope.move_stage = move  # type: ignore[method-assign]
    script = EVERY + (
        "def f(images: 'images', c: 'IIS_CONTEXT'):\n"
        "    for n in range(4):\n        c.moveStage(float(n), 0)\n"
    )
    try:
        ran = lab(
            script,
            acquisition=SERIES.replace("exposure: 2", "exposure: 20"),
            policy="{place: worker, slow: {queue: 20}}",
            more=BURSTS,
        )
    finally:
        del microscope.move_stage
    assert ran.result.state == "completed", ran.result.error
    assert len(ran.of(Commanded)) == 60
    assert len(running) >= 60
    assert not any(running)
    # No image was taken anywhere else than planned.
    assert all(abs(tags["XPosition_um"]) < 0.05 for tags in ran.stored().values())


def test_the_drive_is_left_as_it_was(lab: Lab, microscope: Microscope) -> None:
    assert microscope.core.getProperty("Z", "UseSequences") == "No"
    lab(acquisition=SERIES, more=BURSTS)
    assert microscope.core.getProperty("Z", "UseSequences") == "No"
    ran = lab(BROKEN, acquisition=SERIES, more=BURSTS, policy=ABORT)
    assert isinstance(ran.result.error, ZeroDivisionError)
    assert microscope.core.getProperty("Z", "UseSequences") == "No"


def test_a_script_that_ends_the_run_keeps_the_whole_burst(lab: Lab) -> None:
    stop = EVERY + "def f(images: 'images', c: 'IIS_CONTEXT'):\n    c.stop('enough')\n"
    for script in (stop, BROKEN):
        ran = lab(script, acquisition=SERIES, more=BURSTS, policy=ABORT)
        assert (ran.counts["stored"], len(ran.stored())) == (5, 5)
        assert [record.event for record in ran.of(EventSkipped)] == [f"e{n:06d}" for n in range(6, 16)]


# -- what goes wrong


def failing(microscope: Microscope, patch: pytest.MonkeyPatch, name: str, bad: Callable[[int], bool]) -> None:
    """The Core's method ``name`` fails in the bursts whose numbers are ``bad``."""
    core = microscope.core
    real, begin = getattr(core, name), core.prepare_sequence_acquisition
    burst = [-1]

    def prepare(*args: Any) -> None:
        burst[0] += 1
        begin(*args)

    def fail(*args: Any) -> Any:
        if bad(burst[0]):
            raise RuntimeError("camera unplugged")
        return real(*args)

    patch.setattr(core, "prepare_sequence_acquisition", prepare)
    patch.setattr(core, name, fail)


METHODS = [
    "start_sequence_acquisition",
    "load_stage_sequence",
    "start_stage_sequence",
    "pop_next_tagged_image",
]


@pytest.mark.parametrize("method", METHODS)
def test_a_failed_burst_is_tried_again_as_a_whole(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    failing(microscope, monkeypatch, method, lambda burst: burst == 1)
    ran = lab(acquisition=SERIES, more=BURSTS + "\ndevice_error: {retries: 2, wait_s: 0.01}")
    assert ran.result.state == "completed", ran.result.error
    (failed,) = ran.of(DeviceFailed)
    assert (failed.event, failed.attempt, failed.action) == ("e000006", 1, "retry")
    assert "camera unplugged" in failed.message
    assert (ran.counts["stored"], ran.counts["captured"]) == (15, 15)
    assert [record.attempt for record in ran.of(Submitted)].count(2) == 5


@pytest.mark.parametrize("method", METHODS)
def test_a_burst_that_is_given_up_leaves_counted_holes(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    failing(microscope, monkeypatch, method, lambda burst: burst == 1)
    ran = lab(acquisition=SERIES, more=BURSTS + "\ndevice_error: {retries: 0, then: skip_event}")
    assert ran.result.state == "completed", ran.result.error
    assert [record.event for record in ran.of(EventSkipped)] == [f"e{n:06d}" for n in range(6, 11)]
    assert (ran.counts["stored"], len(ran.stored())) == (10, 10)


def test_the_images_of_a_partial_burst_are_kept(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, taken = microscope.core, iter(range(10**6))
    real = core.pop_next_tagged_image
    images: list[int] = []

    def pop() -> Any:
        if len(images) in (8, 9):  # the fourth image of the second burst, until the burst is given up
            if core.getRemainingImageCount():
                next(taken)
            if len(images) == 8:
                raise RuntimeError("camera unplugged")
        image = real()
        images.append(1)
        return image

    monkeypatch.setattr(core, "pop_next_tagged_image", pop)
    ran = lab(
        EVERY + "def f(images: 'images'):\n    return {'metadata': {'OK': 1}}\n",
        acquisition=SERIES.replace("loops: 3", "loops: 2"),
        more=BURSTS + "\ndevice_error: {retries: 0, then: skip_event}",
    )
    assert [record.event for record in ran.of(EventSkipped)] == ["e000009", "e000010"]
    assert [record.event for record in ran.of(StackIncomplete)] == ["e000010"]
    stored = ran.stored()
    assert len(stored) == ran.counts["stored"] == 8
    assert all(tags["OK"] == 1 for tags in stored.values())


def test_abort_raises_the_devices_own_error(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(microscope, monkeypatch, "start_sequence_acquisition", lambda burst: burst >= 1)
    ran = lab(acquisition=SERIES, more=BURSTS + "\ndevice_error: {retries: 1, wait_s: 0.01}")
    assert "camera unplugged" in str(ran.result.error)
    assert ran.result.state == "aborted"
    assert (ran.counts["stored"], ran.counts["skipped_plan"]) == (5, 10)
    assert not microscope.core.isSequenceRunning()


def test_a_stop_at_once_ends_a_burst(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, images = StopSwitch(), []
    core, real = microscope.core, microscope.core.pop_next_tagged_image

    def pop() -> Any:
        images.append(real())
        if len(images) == 2:
            threading.Thread(target=stop.stop_now, args=("Ctrl-C twice",)).start()
        return images[-1]

    monkeypatch.setattr(core, "pop_next_tagged_image", pop)
    ran = lab(
        acquisition=SERIES.replace("exposure: 2", "exposure: 200").replace("range: 4", "range: 100"),
        more=BURSTS,
        stop=stop,
    )
    assert (ran.result.state, ran.result.exit_status) == ("stopped", 130)
    assert 1 <= ran.counts["stored"] < 101
    assert ran.counts["stored"] + ran.counts["skipped_plan"] == 303
    assert not microscope.core.isSequenceRunning()
    assert microscope.core.getProperty("Z", "UseSequences") == "No"


def test_one_ctrl_c_finishes_the_burst(lab: Lab) -> None:
    stop = StopSwitch()

    def on_record(record: Record) -> None:
        if isinstance(record, Submitted):
            stop.finish("user", "Ctrl-C")

    ran = lab(acquisition=SERIES, more=BURSTS, stop=stop, on_record=on_record)
    assert (ran.counts["stored"], ran.counts["skipped_plan"]) == (5, 10)


def test_each_slice_passes_the_limits(
    lab: Lab, sequences: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def check(self: Guard, what: str, target_um: Mapping[Any, Any], *more: Any, **named: Any) -> Any:
        seen.append(target_um["z_um"])
        if len(seen) == 9:
            raise LimitRefused(f"{what}: no.")
        return real(self, what, target_um, *more, **named)

    real = Guard.check_event
    monkeypatch.setattr(Guard, "check_event", check)
    ran = lab(acquisition=SERIES, more=BURSTS)
    assert seen == [8, 9, 10, 11, 12, 8, 9, 10, 11]
    assert sequences == [5]  # nothing of the second burst was taken
    assert "e000009" in str(ran.result.error)
    assert (ran.counts["stored"], ran.counts["skipped_plan"]) == (5, 10)


def test_stacks_that_scripts_add_are_bursts_too(lab: Lab, sequences: list[int]) -> None:
    script = EVERY + (
        "def f(images: 'images', c: 'IIS_CONTEXT'):\n"
        "    m = images.metadata\n"
        "    if m['timeIndex'] == m['positionIndex'] == 0:\n"
        "        c.acquire((5.0, 0.0), 'FITC', zStack={'range_um': 4, 'step_um': 2})\n"
    )
    ran = lab(script, more=BURSTS)
    assert ran.result.state == "completed", ran.result.error
    assert sequences == [3]
    assert (ran.counts["stored"], ran.counts["added"]) == (9, 3)


def test_a_stack_that_is_not_the_innermost_axis_is_taken_image_by_image(
    lab: Lab, sequences: list[int]
) -> None:
    ran = lab(acquisition=STACKS.replace("tpcz", "tpzc"), more=BURSTS)
    assert ran.counts["stored"] == 28
    assert sequences == []


def test_a_drive_that_cannot_is_refused_at_the_start(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microscope.core, "isStageSequenceable", lambda *_: False)
    ran = lab(acquisition=SERIES, more=BURSTS)
    assert ran.result.exit_status == 2
    assert ran.result.folder is None
    assert "bursts: none" in str(ran.result.error)


def test_a_burst_larger_than_the_buffer_is_refused_at_the_start(lab: Lab, microscope: Microscope) -> None:
    core = microscope.core
    before = core.getCircularBufferMemoryFootprint()
    core.setCircularBufferMemoryFootprint(2)  # MB: four images
    try:
        ran = lab(acquisition=SERIES, more=BURSTS)
    finally:
        core.setCircularBufferMemoryFootprint(before)
    assert ran.result.exit_status == 2
    assert "room for 4" in str(ran.result.error)


def test_the_truth_of_a_burst_is_that_of_each_slice(lab: Lab) -> None:
    specimen = "{backend: demo, specimen: {seed: 1, write_truth: true}}"
    ran = lab(acquisition=SERIES, microscope=specimen, more=BURSTS)
    with (ran.folder / "truth" / "views.csv").open(encoding="utf-8") as file:
        views = list(csv.DictReader(file))
    assert [float(view["z_um"]) for view in views] == [8, 9, 10, 11, 12] * 3
    assert [int(view["image"]) for view in views] == list(range(15))


# -- what check tells

# name: (the acquisition, the focus drive's and the buffer's room when loaded, level, what is told)
CHECKS = {
    "fits": (SERIES, SequenceFacts(2000, 2048), None, ""),
    "no sequences": (SERIES, SequenceFacts(0, 2048), "error", "cannot run a sequence"),
    "too many slices": (SERIES, SequenceFacts(4, 2048), "error", "of the focus drive Z 4"),
    "too large for the buffer": (SERIES, SequenceFacts(2000, 4), "error", "room for 4"),
    "from the file": (SERIES, None, "info", "is not in the file"),
    "from the file, too large": (SERIES.replace("step: 1", "step: 0.001"), None, "error", "room for 2048"),
    "not innermost": (SERIES.replace("tpcz", "tpzc"), SequenceFacts(2000, 2048), None, ""),
    "channels inside": (STACKS.replace("tpcz", "tpzc"), SequenceFacts(2000, 2048), "warning", "end with z"),
    "no stack": (
        SERIES.replace("  z_plan: {range: 4, step: 1}\n", ""),
        SequenceFacts(0, 0),
        "info",
        "no z-st",
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_what_check_tells(tmp_path: Path, microscope: Microscope, name: str) -> None:
    acquisition, known, level, words = CHECKS[name]
    file = tmp_path / "e.yaml"
    file.write_text(f"name: e\nmicroscope: {{backend: demo}}\n{acquisition}{BURSTS}\n", encoding="utf-8")
    look = None if known is None else lambda experiment: replace(facts_of(microscope), sequences=known)
    report = check_experiment(file, look=look)
    told = [finding for finding in report.findings if finding.field == "bursts"]
    assert [finding.level for finding in told if finding.level == level or level is None] == [level] * bool(
        level
    )
    assert words in " ".join(str(finding) for finding in told)
    for finding in told:
        assert finding.line is not None


def test_check_asks_the_loaded_drive_and_leaves_it_as_it_was(microscope: Microscope) -> None:
    facts = sequence_facts(microscope)
    assert (facts.slices, facts.room) == (2000, 2048)
    assert microscope.core.getProperty("Z", "UseSequences") == "No"
