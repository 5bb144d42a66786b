"""Light on the real demo devices: points, shutters and powers, and everything as before when something fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import CommandRefused, DeviceError, LimitRefused
from inscoper_mm.experiment.model import MicroscopeConfig
from inscoper_mm.microscope.cfg import find_config
from inscoper_mm.microscope.firing import Fire, Shots, fire_at, flash
from inscoper_mm.microscope.galvo import Galvo
from inscoper_mm.microscope.light_source import LightSource

pymmcore = pytest.importorskip("pymmcore", reason="the demo extra is not installed")
pytestmark = pytest.mark.demo

NEVER: Callable[[], bool] = lambda: False  # noqa: E731


class Watched:
    """The Core, with the names and arguments of all calls; ``failing`` names calls that fail."""

    def __init__(self, core: Any) -> None:
        self.core = core
        self.calls: list[tuple[Any, ...]] = []
        self.failing: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            self.calls.append((name, *args))
            if name in self.failing:
                raise RuntimeError(f"{name} failed")
            return getattr(self.core, name)(*args)

        return call

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


class Voltage:
    """The power of a laser, on a DA line; ``failing`` values cannot be set."""

    id = "Laser405Power.Volts"

    def __init__(self, core: Any) -> None:
        self.core = core
        self.failing: set[float] = set()

    def get(self) -> float:
        return float(self.core.getProperty("Laser405Power", "Voltage"))

    def set(self, value: float) -> None:
        if value in self.failing:
            raise DeviceError("the power cannot be set")
        self.core.setProperty("Laser405Power", "Voltage", value)


@pytest.fixture(scope="module")
def _core() -> Iterator[Any]:
    path, adapters = find_config(MicroscopeConfig(config="galvo_2cam_lasers"))
    core = pymmcore.CMMCore()
    core.setDeviceAdapterSearchPaths([str(adapters)])
    core.loadSystemConfiguration(str(path))
    yield core
    core.unloadAllDevices()


@pytest.fixture
def core(_core: Any) -> Watched:
    _core.setShutterOpen("Laser405", False)
    _core.setProperty("Laser405Power", "Voltage", 1.0)
    return Watched(_core)


@pytest.fixture
def voltage(core: Watched) -> Voltage:
    return Voltage(core)


def _shots(*places: tuple[float, float], duration_ms: float = 0.2, repetitions: int = 1) -> Shots:
    return Shots(np.array(places), np.full(len(places), duration_ms), repetitions)


def _state(core: Watched) -> tuple[bool, float]:
    return bool(core.core.getShutterOpen("Laser405")), float(
        core.core.getProperty("Laser405Power", "Voltage")
    )


# -- points


def test_every_point_is_fired_in_order_as_often_as_asked(core: Watched) -> None:
    fire = Fire()
    fire_at(Galvo(core), _shots((1, 2), (3, 4.5), repetitions=2), fire, give_up=NEVER)
    assert core.named("pointGalvoAndFire") == [("Galvo", 1.0, 2.0, 200.0), ("Galvo", 3.0, 4.5, 200.0)] * 2
    assert fire.complete and fire.pulses == [2, 2] and fire.light_ms == pytest.approx([0.4, 0.4])
    assert fire.end_s - fire.begin_s >= 4 * 0.2e-3
    assert core.named("setGalvoIlluminationState") == [("Galvo", False)]  # before; pulses end by themselves


@pytest.mark.parametrize(
    "place",
    [(10.1, 5.0), (5.0, -0.1), (float("nan"), 5.0), (5.0, float("inf"))],
    ids=["x", "y", "NaN", "inf"],
)
def test_out_of_reach_nothing_is_fired(core: Watched, place: tuple[float, float]) -> None:
    with pytest.raises(LimitRefused, match=r"Point 1 of 2 .* Allowed: x 0 to 10, y 0 to 10"):
        fire_at(Galvo(core), _shots((1, 2), place), Fire(), give_up=NEVER)
    assert not core.named("pointGalvoAndFire") and not core.named("setGalvoPosition")


def test_a_long_pulse_can_be_ended(core: Watched) -> None:
    fire = Fire()
    answers = iter([False, False, True])
    fire_at(
        Galvo(core), _shots((1, 2), (3, 4), duration_ms=60_000), fire, give_up=lambda: next(answers, True)
    )
    assert not fire.complete and fire.pulses == [0, 0]
    assert 0 < fire.light_ms[0] < 60_000 and fire.light_ms[1] == 0
    assert core.named("setGalvoIlluminationState")[-1] == ("Galvo", False)


def test_what_was_fired_before_a_failure_is_told(core: Watched) -> None:
    galvo, fire, count = Galvo(core), Fire(), itertools.count()

    def give_up() -> bool:
        if next(count) == 3:
            core.failing.add("pointGalvoAndFire")
        return False

    light = LightSource(core, "Laser405")
    with pytest.raises(RuntimeError, match="pointGalvoAndFire failed"):
        fire_at(galvo, _shots((1, 1), (2, 2), (3, 3), duration_ms=0.5), fire, light.lit, give_up=give_up)
    assert not fire.complete and fire.pulses[0] == 1 and fire.pulses[2] == 0 and fire.end_s > 0
    assert _state(core) == (False, 1.0)
    assert core.named("setGalvoIlluminationState")[-1] == ("Galvo", False)


@pytest.mark.parametrize("label", ["Laser405", "Nothing"])
def test_what_is_no_galvo_cannot_point(core: Watched, label: str) -> None:
    with pytest.raises(CommandRefused, match="no galvo"):
        Galvo(core, label)


# -- light


@pytest.mark.parametrize("was_open", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_shutter_and_power_are_as_before(
    core: Watched, voltage: Voltage, was_open: bool, fails: bool
) -> None:
    core.core.setShutterOpen("Laser405", was_open)
    light = LightSource(core, "Laser405", voltage)
    try:
        with light.lit(4.0):
            assert _state(core) == (True, 4.0)
            if fails:
                raise KeyError("inside")
    except KeyError:
        pass
    assert _state(core) == (was_open, 1.0)


def test_the_power_changes_in_the_dark(core: Watched, voltage: Voltage) -> None:
    core.core.setShutterOpen("Laser405", True)
    with LightSource(core, "Laser405", voltage).lit(4.0):
        pass
    switched = [call for call in core.calls if call[0] in ("setShutterOpen", "setProperty")]
    assert [call[0] for call in switched] == [
        "setShutterOpen", "setProperty", "setShutterOpen", "setShutterOpen", "setProperty",
    ]  # fmt: skip
    assert [call[-1] for call in switched][:3] == [False, 4.0, True]


def test_a_power_that_cannot_be_set_gives_no_light(core: Watched, voltage: Voltage) -> None:
    voltage.failing = {4.0}
    with pytest.raises(DeviceError, match="cannot be set"), LightSource(core, "Laser405", voltage).lit(4.0):
        pytest.fail("there is light")
    assert _state(core) == (False, 1.0)


def test_the_shutter_closes_although_the_power_cannot_be_set_back(core: Watched, voltage: Voltage) -> None:
    with pytest.raises(DeviceError, match="cannot be set"), LightSource(core, "Laser405", voltage).lit(4.0):
        voltage.failing = {1.0}
    assert _state(core) == (False, 4.0)


def test_the_power_is_set_back_although_the_shutter_fails(core: Watched, voltage: Voltage) -> None:
    with pytest.raises(RuntimeError, match="setShutterOpen"), LightSource(core, "Laser405", voltage).lit(4.0):
        core.failing.add("setShutterOpen")
    assert _state(core)[1] == 1.0


def test_a_power_without_a_device_is_refused(core: Watched) -> None:
    with pytest.raises(CommandRefused, match="cannot be set"), LightSource(core, "Laser405").lit(2.0):
        pytest.fail("there is light")
    assert not core.named("setShutterOpen")


@pytest.mark.parametrize("label", ["Galvo", "Nothing"])
def test_what_is_no_shutter_cannot_light(core: Watched, label: str) -> None:
    with pytest.raises(CommandRefused, match="no shutter"):
        LightSource(core, label)


def test_the_whole_field_is_lit_as_often_as_asked(core: Watched, voltage: Voltage) -> None:
    fire = Fire()
    flash(LightSource(core, "Laser405", voltage).lit, 2.0, 3, fire, 5.0, give_up=NEVER)
    opened = [is_open for _, is_open in core.named("setShutterOpen") if is_open]
    assert fire.complete and fire.pulses == [3] and len(opened) == 3
    assert fire.light_ms[0] >= 6.0
    assert _state(core) == (False, 1.0)
