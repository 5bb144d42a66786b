"""What a failing script or device costs: never a stored image, and the original error reaches the caller."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from inscoper_mm.acquisition import runner
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.session import run_experiment
from inscoper_mm.images.index import Index
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import (
    Captured,
    Decided,
    DeviceFailed,
    EventSkipped,
    Record,
    ScriptFailed,
    ScriptReady,
    StackIncomplete,
)

Lab = Any  # the fixture of conftest.py

pytestmark = pytest.mark.demo

FOUR = """\
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}]
  time_plan: {interval: 0, loops: 4}
"""
STACKS = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0}]
  z_plan: {range: 4, step: 2}
  time_plan: {interval: 0, loops: 2}
"""


def script(body: str, where: str = "process") -> str:
    """A script that misbehaves at time point 1, in its provider or in its processing function."""
    lines = {"provider": "pass", "process": "pass"} | {where: body}
    return f"""
import os, sys, time
import numpy as np

def fetch_images(new_image: "images"):
    if new_image.metadata["timeIndex"] == 1:
        {lines["provider"]}
    return [{{}}]

def process(images: "images", context: "IIS_CONTEXT"):
    if images.metadata["timeIndex"] == 1:
        {lines["process"]}
    return {{"metadata": {{"OK": images.metadata["timeIndex"]}}}}
"""


# name: (body, place, where, kind of fault)
FAULTS = {
    "raises in a thread": ("raise ZeroDivisionError('boom')", "thread", "process", "raised"),
    "raises in a worker": ("raise ZeroDivisionError('boom')", "worker", "process", "raised"),
    "exits": ("sys.exit(7)", "thread", "process", "raised"),
    "exits the worker": ("os._exit(7)", "worker", "process", "died"),
    "sleeps in a worker": ("time.sleep(600)", "worker", "process", "timeout"),
    "returns a bare value": ("return 12", "thread", "process", "rubbish"),
    "returns NaN": ("return {'metadata': {'X': float('nan')}}", "worker", "process", "rubbish"),
    "returns labels of a wrong shape": (
        "return {'segmentation': np.zeros((3, 3), int)}",
        "worker",
        "process",
        "rubbish",
    ),
    "provider raises": ("raise ZeroDivisionError('boom')", "worker", "provider", "raised"),
    "provider sleeps": ("time.sleep(600)", "worker", "provider", "timeout"),
    "provider exits the worker": ("os._exit(7)", "worker", "provider", "died"),
    "provider returns rubbish": ("return 'all'", "thread", "provider", "rubbish"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_failing_call_is_skipped_and_the_rest_goes_on(
    lab: Lab, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, place, where, kind = FAULTS[name]
    limit_s = 3 if kind == "timeout" else 60
    monkeypatch.setattr(runner, "PROVIDER_LIMIT_S", limit_s)
    policy = f"{{place: {place}, error: skip, limit_s: {limit_s}}}"
    ran = lab(script(body, where), policy=policy, acquisition=FOUR)
    assert ran.result.state == "completed"
    assert ran.result.exit_status == 3
    stored = ran.stored()
    assert [stored[Index(time)].get("OK") for time in range(4)] == [0, None, 2, 3]
    (failed,) = ran.of(ScriptFailed)
    assert (failed.fault, failed.event, failed.action) == (kind, "e000002", "skip")
    (error,) = ran.report["errors"]
    assert error["script"] == "script0"
    assert error["frame"] == "t001_p000_c0_z000"
    # A worker that was killed or died is started anew, and only then.
    assert len(ran.of(ScriptReady)) == (2 if kind in ("died", "timeout") else 1)


@pytest.mark.parametrize("place", ["thread", "worker"])
def test_disable_goes_on_without_the_script(lab: Lab, place: str) -> None:
    ran = lab(
        script("raise ZeroDivisionError('boom')"),
        policy=f"{{place: {place}, error: disable}}",
        acquisition=FOUR,
    )
    assert ran.result.exit_status == 3
    assert [tags.get("OK") for tags in ran.stored().values()] == [0, None, None, None]
    assert ran.counts["stored"] == 4


def test_a_thread_that_passes_its_limit_is_switched_off(lab: Lab) -> None:
    ran = lab(script("time.sleep(600)"), policy="{place: thread, error: skip, limit_s: 1}", acquisition=FOUR)
    assert ran.counts["stored"] == 4
    (failed,) = ran.of(ScriptFailed)
    assert (failed.fault, failed.action) == ("timeout", "disable")


@pytest.mark.parametrize("queue", ["", ", slow: {queue: 2}"])
@pytest.mark.parametrize("place", ["thread", "worker"])
def test_abort_ends_the_run_with_the_scripts_own_error(lab: Lab, place: str, queue: str) -> None:
    ran = lab(
        script("raise ZeroDivisionError('boom')"),
        policy=f"{{place: {place}, error: abort{queue}}}",
        acquisition=FOUR,
    )
    assert isinstance(ran.result.error, ZeroDivisionError)
    assert "script0" in "".join(ran.result.error.__notes__)
    assert ran.result.state == ran.report["state"] == "aborted"
    assert ran.result.exit_status == 1
    # Whatever was captured is stored, and readable.
    assert ran.counts["stored"] == ran.counts["captured"] == len(ran.stored()) >= 2
    assert "boom" in (ran.folder / "log.txt").read_text(encoding="utf-8")
    if not queue:
        assert ran.counts["skipped_plan"] == 2


def test_a_queued_script_that_aborts_does_not_wait_for_the_next_time_point(lab: Lab) -> None:
    ran = lab(
        script("raise ZeroDivisionError('boom')").replace("== 1", "== 0"),
        policy="{place: thread, error: abort, slow: {queue: 2}}",
        acquisition=FOUR.replace("interval: 0", "interval: 3600"),
    )
    assert isinstance(ran.result.error, ZeroDivisionError)
    assert (ran.result.state, ran.counts["stored"]) == ("aborted", 1)


def test_a_call_that_the_end_of_the_run_kills_is_no_fault_of_its_script(lab: Lab) -> None:
    slow = EVERY + "\nimport time\ndef f(images: 'images'):\n    time.sleep(600)\n"
    ran = lab(
        slow,
        script("raise ZeroDivisionError('boom')"),
        policy="{place: worker, error: abort, slow: {queue: 2}}",
        acquisition=FOUR,
    )
    assert isinstance(ran.result.error, ZeroDivisionError)
    assert ran.report["state"] == "aborted"
    assert {error["script"] for error in ran.report["errors"]} == {"script1"}
    assert ran.counts["dropped"] >= 1


def test_an_endless_move_can_be_ended(lab: Lab) -> None:
    stop = StopSwitch()

    def on_record(record: Record) -> None:
        if isinstance(record, Captured):
            threading.Timer(1.0, stop.finish, ("user", "Ctrl-C")).start()
            threading.Timer(1.5, stop.stop_now, ("Ctrl-C twice",)).start()

    ran = lab(
        EVERY + "\ndef f(images: 'images', c: 'IIS_CONTEXT'):\n    c.moveStage(9e5, 0)\n",
        policy="{place: worker}",
        acquisition=FOUR,
        stop=stop,
        on_record=on_record,
    )
    assert (ran.result.state, ran.result.exit_status) == ("stopped", 130)
    assert ran.counts["stored"] == 1


def test_a_position_that_cannot_be_read_costs_no_image(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = microscope.core.getXYPosition, iter(range(1000))

    def read() -> Any:
        if next(reads) in (3, 4):
            raise RuntimeError("stage does not answer")
        return real()

    monkeypatch.setattr(microscope.core, "getXYPosition", read)
    ran = lab(acquisition=FOUR, more="device_error: {retries: 3, wait_s: 0.01}")
    assert ran.result.state == "completed"
    assert ran.counts["stored"] == 4


def test_a_wrong_script_is_invalid_input_and_leaves_no_folder(lab: Lab) -> None:
    ran = lab("def fetch_images(new_image: 'images'):\n    return []\n", acquisition=FOUR)
    assert ran.result.exit_status == 2
    assert ran.result.folder is None
    assert "script0.py" in str(ran.result.error)


def test_a_script_that_hangs_cannot_hold_up_a_second_ctrl_c(lab: Lab) -> None:
    stop = StopSwitch()

    def on_record(record: Record) -> None:
        if isinstance(record, Captured):
            stop.finish("user", "Ctrl-C")
            threading.Timer(0.3, stop.stop_now, ("Ctrl-C twice",)).start()

    ran = lab(
        EVERY + "\nimport time\ndef f(images: 'images'):\n    time.sleep(600)\n",
        policy="{place: worker}",
        acquisition=FOUR,
        stop=stop,
        on_record=on_record,
    )
    assert ran.result.state == "stopped"
    assert ran.result.exit_status == 130
    assert ran.counts["stored"] == 1
    assert list(ran.stored()) == [Index(0)]


def test_one_ctrl_c_finishes_the_event_and_its_decision(lab: Lab) -> None:
    stop = StopSwitch()

    def on_record(record: Record) -> None:
        if isinstance(record, Captured) and record.index["time"] == 1:
            stop.finish("user", "Ctrl-C")

    ran = lab(script("pass"), acquisition=FOUR, stop=stop, on_record=on_record)
    assert (ran.result.state, ran.result.exit_status) == ("stopped", 130)
    assert [record.fate for record in ran.of(Decided)] == ["done", "done"]
    assert (ran.counts["stored"], ran.counts["injected"], ran.counts["skipped_plan"]) == (2, 2, 2)


EVERY = "def fetch_images(new_image: 'images'):\n    return [{}]\n"


# -- devices


def failing_snap(microscope: Microscope, monkeypatch: pytest.MonkeyPatch, bad: range) -> None:
    """The camera fails at the snaps whose numbers are in ``bad``."""
    real, count = microscope.core.snap_image, iter(range(10**6))

    def snap() -> None:
        if next(count) in bad:
            raise RuntimeError("camera unplugged")
        real()

    monkeypatch.setattr(microscope.core, "snap_image", snap)


def test_a_device_error_is_retried(lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_snap(microscope, monkeypatch, range(1, 3))
    ran = lab(script("pass"), acquisition=FOUR, more="device_error: {retries: 3, wait_s: 0.01}")
    assert ran.result.state == "completed"
    assert ran.result.exit_status == 3
    assert ran.counts["stored"] == 4
    assert [(record.attempt, record.action) for record in ran.of(DeviceFailed)] == [
        (1, "retry"),
        (2, "retry"),
    ]
    assert "camera unplugged" in ran.report["errors"][0]["message"]


def test_an_event_that_fails_for_good_is_skipped_and_told(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_snap(microscope, monkeypatch, range(2, 4))
    ran = lab(
        """
        def fetch_images(new_image: "images"):
            meta = new_image.metadata
            return [{"focusIndex": z} for z in range(3)] if meta["focusIndex"] == 2 else []

        def process(images: "images"):
            return {"metadata": {"N": len(images)}}
        """,
        acquisition=STACKS,
        more="device_error: {retries: 1, wait_s: 0.01, then: skip_event}",
    )
    assert ran.result.state == "completed"
    assert ran.result.exit_status == 3
    assert (ran.counts["stored"], ran.counts["skipped_plan"], ran.counts["processed"]) == (5, 1, 1)
    assert [record.event for record in ran.of(EventSkipped)] == ["e000003"]
    assert [record.event for record in ran.of(StackIncomplete)] == ["e000003"]
    assert Index(0, 0, 0, 2) not in ran.stored()


def test_a_hole_in_a_stack_is_told_apart_from_an_image_to_come(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_snap(microscope, monkeypatch, range(1, 2))
    ran = lab(
        """
        def fetch_images(new_image: "images"):
            meta = new_image.metadata
            return [{"focusIndex": z} for z in range(3)] if meta["focusIndex"] == 2 else []

        def process(images: "images"):
            return None
        """,
        acquisition=STACKS,
        more="device_error: {retries: 0, then: skip_event}",
    )
    messages = [record.message for record in ran.of(ScriptFailed)]
    assert len(messages) == 1
    assert "never acquired" in messages[0]


def test_abort_raises_the_devices_own_error_with_everything_stored(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_snap(microscope, monkeypatch, range(2, 100))
    ran = lab(script("pass"), acquisition=FOUR, more="device_error: {retries: 1, wait_s: 0.01}")
    assert isinstance(ran.result.error, RuntimeError)
    assert "camera unplugged" in str(ran.result.error)
    assert "e000003" in "".join(ran.result.error.__notes__)
    assert ran.result.state == "aborted"
    assert ran.result.exit_status == 1
    assert (ran.counts["stored"], ran.counts["skipped_plan"]) == (2, 2)
    assert len(ran.stored()) == 2


def test_an_error_names_the_device_that_the_core_blames(lab: Lab) -> None:
    ran = lab(acquisition=FOUR.replace("z: 0", "z: 1000"), more="device_error: {retries: 0}")
    (error,) = [error for error in ran.report["errors"] if error["kind"] == "device"]
    assert error["device"] == "Z"
    assert error["frame"] == "t000_p000_c0_z000"
    assert "out of range" in error["message"]


def test_the_last_event_may_fail_too(
    lab: Lab, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_snap(microscope, monkeypatch, range(3, 100))
    ran = lab(acquisition=FOUR, more="device_error: {retries: 0}")
    assert "camera unplugged" in str(ran.result.error)
    assert ran.counts["stored"] == 3


def test_run_experiment_raises_the_original_and_ends_every_thread(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from inscoper_mm.experiment.load import load_experiment

    failing_snap(microscope, monkeypatch, range(100))
    config = tmp_path / "e.yaml"
    config.write_text(
        f"name: e\nmicroscope: {{backend: demo}}\n{FOUR}\ndevice_error: {{retries: 0}}", encoding="utf-8"
    )
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="camera unplugged"):
        run_experiment(load_experiment(config), output=tmp_path, microscope=microscope)
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("inscoper-mm")]
    assert not ours
    assert threading.active_count() <= before + 2  # pycromanager's two executors stay for the next run


def test_a_full_disk_ends_the_run_with_its_own_error(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from inscoper_mm.images.blocks import ImageFile

    real, count = ImageFile.append, iter(range(100))

    def append(self: ImageFile, *args: Any) -> Any:
        if next(count) == 2:
            raise OSError(28, "No space left on device")
        return real(self, *args)

    monkeypatch.setattr(ImageFile, "append", append)
    ran = lab(acquisition=FOUR.replace("loops: 4", "loops: 40"))
    assert isinstance(ran.result.error, OSError)
    assert ran.result.error.errno == 28
    assert (ran.result.state, ran.result.exit_status) == ("failed", 1)
    assert len(ran.stored()) == ran.counts["stored"] == 2
    assert ran.counts["captured"] < 40
