"""pycromanager through our engine, on the real Core: nothing is lost and nothing waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from inscoper_mm.acquisition.engine import EngineStuck, PycroEngine, _lag_s
from inscoper_mm.errors import DeviceError, InvalidInput
from inscoper_mm.microscope.core import Microscope

pytestmark = pytest.mark.demo


@pytest.fixture
def engine(microscope: Microscope) -> Iterator[PycroEngine]:
    engine = PycroEngine(microscope.core, time.perf_counter, microscope.position)
    engine.start()
    yield engine
    engine.close()


def event(number: int, **keys: Any) -> dict[str, Any]:
    return {"axes": {"time": number, "position": 0, "channel": 0, "z": 0}, **keys}


def test_the_image_of_each_event_comes_with_real_positions(engine: PycroEngine) -> None:
    for number in range(5):
        execute(engine, event(number, x=10.0 * number, y=-5.0, z=float(number)), 30)
        image = engine.image()
        assert image.tags["Axes"]["time"] == number
        assert image.pixels.shape == (512, 512)
        assert image.exposed.position.x_um == pytest.approx(10.0 * number, abs=0.02)
        assert image.exposed.position.z_um == pytest.approx(number, abs=0.02)
        assert image.exposed.end_s <= image.arrived_s


def execute(engine: PycroEngine, event: dict[str, Any], limit_s: float) -> None:
    engine.submit(event)
    engine.wait(limit_s)


def burst(begin: int = 0, count: int = 5) -> list[dict[str, Any]]:
    return [event(0, z=2.0 + number) | {"axes": axes(begin + number)} for number in range(count)]


def axes(slice_number: int) -> dict[str, int]:
    return {"time": 0, "position": 0, "channel": 0, "z": slice_number}


@pytest.fixture
def sequenced(microscope: Microscope) -> Iterator[Microscope]:
    microscope.core.setProperty("Z", "UseSequences", "Yes")
    microscope.move_focus(2.0)
    yield microscope
    microscope.core.setProperty("Z", "UseSequences", "No")


def test_a_burst_is_one_sequence_with_its_images_in_order(
    engine: PycroEngine, sequenced: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[list[float]] = []
    load = sequenced.core.load_stage_sequence

    def noted(drive: str, z_um: Any) -> None:
        loaded.append(list(z_um))
        load(drive, z_um)

    monkeypatch.setattr(sequenced.core, "load_stage_sequence", noted)
    engine.submit(*burst())
    engine.wait(30)
    images = engine.images()
    assert loaded == [[2.0, 3.0, 4.0, 5.0, 6.0]]
    assert [image.tags["Axes"] for image in images] == [axes(number) for number in range(5)]
    ends = [image.exposed.end_s for image in images]
    assert ends == sorted(set(ends))
    assert all(0 <= image.arrived_s - image.exposed.end_s < 100 for image in images)


def test_a_burst_that_never_ends_is_aborted_and_the_engine_goes_on(
    engine: PycroEngine, sequenced: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sequenced.core, "start_sequence_acquisition", lambda *_: None)
        patch.setattr(sequenced.core, "is_sequence_running", lambda *_: True)
        engine.submit(*burst())
        with pytest.raises(DeviceError, match=r"did not end within 0\.3 s and was aborted"):
            engine.wait(0.3)
    assert engine.arrived() == []
    assert not engine.stuck
    execute(engine, event(1), 30)
    assert engine.image().tags["Axes"]["time"] == 1


def test_a_camera_that_stops_in_the_middle_leaves_what_it_has_delivered(
    engine: PycroEngine, sequenced: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = sequenced.core.start_sequence_acquisition
    monkeypatch.setattr(
        sequenced.core, "start_sequence_acquisition", lambda camera, _, *more: start(camera, 3, *more)
    )
    engine.submit(*burst())
    with pytest.raises(Exception, match="did not arrive"):
        engine.wait(30)
    assert [image.tags["Axes"]["z"] for image in engine.arrived()] == [0, 1, 2]


def test_a_burst_that_the_engine_takes_apart_has_failed(engine: PycroEngine, microscope: Microscope) -> None:
    engine.submit(*burst())  # the drive's sequences are switched off
    with pytest.raises(DeviceError, match="0 hardware sequences of a burst of 5"):
        engine.wait(30)


LAGS = {
    "a moment ago": (0.002, pytest.approx(0.002, abs=0.5)),
    "not told": (None, 0.0),
    "another time zone": (7200.0, 0.0),
    "in the future": (-3600.0, 0.0),
}


@pytest.mark.parametrize("name", LAGS)
def test_how_long_ago_the_core_got_an_image(name: str) -> None:
    ago_s, lag_s = LAGS[name]
    received = {} if ago_s is None else {"TimeReceivedByCore": str(datetime.now() - timedelta(seconds=ago_s))}
    assert _lag_s(received) == lag_s


@pytest.mark.parametrize("text", ["", "yesterday", "12345"])
def test_a_time_that_cannot_be_read_counts_as_none(text: str) -> None:
    assert _lag_s({"TimeReceivedByCore": text}) == 0.0


BAD = {
    "focus out of range": ({"z": 5000.0}, RuntimeError, r"Position out of range"),
    "unknown preset": ({"config_group": ["Channel", "Nope"]}, ValueError, "Nope"),
    "unknown group": ({"config_group": ["Canal", "DAPI"]}, ValueError, "Canal"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_error_of_a_single_event_is_the_cores_own(engine: PycroEngine, name: str) -> None:
    keys, kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        execute(engine, event(0, **keys), 30)
    execute(engine, event(1), 30)  # the engine goes on
    assert engine.image().tags["Axes"]["time"] == 1


@pytest.mark.parametrize("method", ["snap_image", "get_tagged_image"])
def test_a_camera_that_fails_raises_and_recovers(
    engine: PycroEngine, microscope: Microscope, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("camera unplugged")

    with monkeypatch.context() as patch:
        patch.setattr(microscope.core, method, fail)
        with pytest.raises(RuntimeError, match="camera unplugged"):
            execute(engine, event(0), 30)
    execute(engine, event(1), 30)
    assert engine.image().tags["Axes"]["time"] == 1


def test_reading_the_position_may_fail_without_losing_the_image(microscope: Microscope) -> None:
    def fail() -> Any:
        raise RuntimeError("stage does not answer")

    engine = PycroEngine(microscope.core, time.perf_counter, fail)
    engine.start()
    try:
        execute(engine, event(0), 30)
        image = engine.image()
        assert image.pixels.shape == (512, 512)
        assert "stage does not answer" in str(image.exposed.error)
    finally:
        engine.close()


def test_a_hanging_device_is_told_within_the_limit(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = PycroEngine(microscope.core, time.perf_counter, microscope.position)
    engine.start()
    release = threading.Event()
    snap = microscope.core.snap_image

    def hang() -> None:
        release.wait(600)
        snap()

    monkeypatch.setattr(microscope.core, "snap_image", hang)
    try:
        with pytest.raises(EngineStuck, match=r"0\.2 s"):
            execute(engine, event(0), 0.2)
        assert engine.stuck
    finally:
        release.set()
        engine.close()


def test_a_failing_constructor_leaves_no_thread(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())
    monkeypatch.setattr(microscope.core, "get_pixel_size_um", lambda: 1 / 0, raising=False)
    engine = PycroEngine(microscope.core, time.perf_counter, microscope.position)
    with pytest.raises(ZeroDivisionError):
        engine.start()
    monkeypatch.undo()
    end = time.monotonic() + 60
    while (left := set(threading.enumerate()) - before) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left


def test_a_colour_camera_is_refused_before_anything_starts(microscope: Microscope) -> None:
    before = threading.active_count()
    microscope.core.setProperty("Camera", "PixelType", "32bitRGB")
    engine = PycroEngine(microscope.core, time.perf_counter, microscope.position)
    with pytest.raises(InvalidInput, match=r"8 or 16 bit.*PixelType"):
        engine.start()
    assert threading.active_count() == before


def test_closing_ends_every_thread_of_the_acquisition(microscope: Microscope) -> None:
    engine = PycroEngine(microscope.core, time.perf_counter, microscope.position)
    engine.start()
    execute(engine, event(0), 30)
    engine.image()
    before = {thread.name for thread in threading.enumerate()}
    assert any("submit_events" in name for name in before)
    engine.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "submit_events" in name or "_process" in name or "saving" in name]
