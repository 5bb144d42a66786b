"""All sub-devices of the demo devices on the real Core: read, set, refused, and told by the file alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from inscoper_mm.errors import CommandRefused, DeviceError
from inscoper_mm.experiment.model import MicroscopeConfig
from inscoper_mm.microscope.cfg import find_config, read_config
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.inventory import core_inventory
from inscoper_mm.microscope.inventory_cfg import config_inventory
from inscoper_mm.microscope.live_devices import SubDevices
from inscoper_mm.microscope.sub_devices import Constraints, SubDevice

pymmcore = pytest.importorskip("pymmcore", reason="the demo extra is not installed")
pytestmark = pytest.mark.demo


def _loaded(config: str) -> Microscope:
    path, adapters = find_config(MicroscopeConfig(config=config))
    core = pymmcore.CMMCore()
    core.setDeviceAdapterSearchPaths([str(adapters)])
    core.loadSystemConfiguration(str(path))
    return Microscope(core, path)


@pytest.fixture(scope="module", params=["galvo_2cam_lasers", "galvo", "autofocus", "demo"])
def any_microscope(request: pytest.FixtureRequest) -> Iterator[Microscope]:
    microscope = _loaded(request.param)
    yield microscope
    microscope.core.unloadAllDevices()


@pytest.fixture(scope="module")
def microscope() -> Iterator[Microscope]:
    microscope = _loaded("galvo_2cam_lasers")
    yield microscope
    microscope.core.unloadAllDevices()


@pytest.fixture
def devices(microscope: Microscope) -> SubDevices:
    return SubDevices(microscope, {"Stage X": "XY.X", "Laser 405nm": "Laser405"})


# What the demo configuration with everything has, by kind; properties are counted below.
BY_KIND = {
    "stage": ("XY.X", "XY.Y"),
    "focus": ("Z",),
    "offset": ("Autofocus.Offset",),
    "state": ("Dichroic", "Emission", "Excitation", "Objective", "Path", "LED"),
    "shutter": ("White Light Shutter", "LED Shutter"),
    "light": ("Laser405", "Laser488"),
    "power": ("Laser405Power.Volts", "Laser488Power.Volts"),
    "signal": (),
    "galvo": ("Galvo",),
    "slm": (),
    "exposure": ("Camera.Exposure", "Camera2.Exposure", "Multi Cam.Exposure"),
    "binning": ("Camera.Binning", "Camera2.Binning", "Multi Cam.Binning"),
    "roi": ("Camera.ROI",),
    "gain": ("Camera.Gain", "Camera2.Gain"),
}


@pytest.mark.parametrize(("kind", "ids"), BY_KIND.items(), ids=BY_KIND.keys())
def test_the_sub_devices_of_a_kind(kind: str, ids: tuple[str, ...], devices: SubDevices) -> None:
    assert devices.ids(kind) == ids


def test_every_property_of_every_device_is_reached_by_one_id(any_microscope: Microscope) -> None:
    core, inventory = any_microscope.core, core_inventory(any_microscope.core)
    for label in core.getLoadedDevices():
        for name in core.getDevicePropertyNames(label):
            assert inventory.resolve(f"{label}.{name}").device == label
    properties = sum(len(core.getDevicePropertyNames(label)) for label in core.getLoadedDevices())
    as_property = [each for each in inventory if each.access == "property"]
    others = [core.getDeviceType(label) for label in core.getLoadedDevices()]
    # Another way to a main sub-device: State and Label of a state device, State of a shutter, Position, Exposure.
    merged = 2 * others.count(pymmcore.StateDevice) + sum(
        core.hasProperty(label, name)
        for kind, name in (
            (pymmcore.ShutterDevice, "State"),
            (pymmcore.StageDevice, "Position"),
            (pymmcore.CameraDevice, "Exposure"),
        )
        for label in core.getLoadedDevicesOfType(kind)
    )
    assert len(as_property) == properties - merged


def test_everything_can_be_read(any_microscope: Microscope) -> None:
    devices = SubDevices(any_microscope)
    for identity in devices.inventory.ids(settable=False):
        value = devices.get(identity)
        if value is None:  # the Core knows the offset of its own autofocus only
            assert devices.constraints(identity).why_not.endswith("its own autofocus only")
            continue
        assert isinstance(value, bool | int | float | str | list), identity
        assert devices.check(identity), identity


def test_everything_can_be_set_to_what_it_is_and_to_something_else(any_microscope: Microscope) -> None:
    devices = SubDevices(any_microscope)
    for identity in devices.ids():
        if identity.endswith("AsyncPropertyLeader"):
            continue  # the demo camera takes two seconds for it, and does nothing
        sub_device, before = devices.resolve(identity), devices.get(identity)
        other = _another(sub_device, before)
        for value in (before, other, before):
            reported = devices.set(identity, value)
            if sub_device.constraints.type not in ("text", "state"):
                assert reported == pytest.approx(value, abs=0.02), identity
            assert devices.check(identity), identity
        assert devices.get(identity) == pytest.approx(before, abs=0.02), identity


def _another(sub_device: SubDevice, value: Any) -> Any:
    """A value that ``sub_device`` takes, and has not, where it takes more than one."""
    takes = sub_device.constraints
    if sub_device.kind in ("roi", "galvo"):
        return [8, 16, 64, 32] if sub_device.kind == "roi" else [2.5, 3.5]
    if takes.values:
        return next((each for each in takes.values if each != value), value)
    if isinstance(value, str):
        return value
    # One more, or as much as there is room for.
    high = value + 1 if takes.maximum is None else min(value + 1, takes.maximum)
    other = high if high != value else takes.minimum
    return int(other) if takes.type == "integer" else float(other)


def test_nothing_takes_what_it_must_not(any_microscope: Microscope) -> None:
    devices = SubDevices(any_microscope)
    for identity in devices.inventory.ids(settable=False):
        before = devices.get(identity)
        for value in _illegal(devices.constraints(identity)):
            with pytest.raises(CommandRefused) as caught:
                devices.set(identity, value)
            assert str(caught.value).startswith(identity)
        assert devices.get(identity) == before, identity


def _illegal(takes: Constraints) -> list[Any]:
    values: list[Any] = [None, math.nan, -math.inf, object(), b"1", [[]]]
    if takes.type in ("number", "integer"):
        values += [True, "1", 10**400]
        values += [takes.minimum - 1] if takes.minimum is not None else []
        values += [takes.maximum * 2 + 1] if takes.maximum is not None else []
    if takes.type == "state":
        values += ["no such label", len(takes.values), True, 0.5]
    if takes.type == "switch":
        values += [2, "ajar"]
    if takes.type == "text":
        values += [3, "a\0b", *(["no such value"] if takes.values else [])]
    if takes.type == "numbers":
        values += [[1.0], "12", [math.nan] * len(takes.names), [-1e9] * len(takes.names)]
    return values if takes.settable else [*values, 0, "0", False]


def test_a_state_is_chosen_by_label_or_number(devices: SubDevices) -> None:
    assert devices.set("Objective", 3) == "Nikon 20X Plan Fluor ELWD"
    assert devices.set("Objective", "Nikon 10X S Fluor") == "Nikon 10X S Fluor"
    assert devices.get("Objective.State") == "Nikon 10X S Fluor"


def test_an_alias_is_as_good_as_the_id(devices: SubDevices, microscope: Microscope) -> None:
    assert devices.set("Laser 405nm", True) is True
    assert microscope.core.getShutterOpen("Laser405")
    assert devices.set("Laser405", "off") is False
    assert devices.set("Stage X", 5.0) == pytest.approx(5.0, abs=0.02)
    assert devices.set("XY.X", 0) == pytest.approx(0.0, abs=0.02)


def test_one_axis_leaves_the_other(devices: SubDevices) -> None:
    devices.set("XY.X", 30.0)
    devices.set("XY.Y", -20.0)
    assert (devices.get("XY.X"), devices.get("XY.Y")) == pytest.approx((30, -20), abs=0.03)
    devices.set("XY.X", 0.0)
    devices.set("XY.Y", 0.0)


def test_the_region_is_that_of_the_camera_that_the_core_has_now(
    microscope: Microscope, devices: SubDevices
) -> None:
    """A preset may have chosen another one since the inventory was made."""
    core = microscope.core
    devices.set("Camera.ROI", [10, 20, 64, 32])
    try:
        core.setCameraDevice("Camera2")
        assert devices.ids("roi") == ("Camera2.ROI",)
        with pytest.raises(CommandRefused, match=r"region of its own camera only, now Camera2"):
            devices.set("Camera.ROI", [0, 0, 512, 512])
        assert devices.get("Camera.ROI") == [10, 20, 64, 32]
        assert devices.set("Camera2.ROI", [8, 16, 32, 64]) == [8, 16, 32, 64]
        with pytest.raises(CommandRefused, match=r"within 512 x 512 px"):
            devices.set("Camera2.ROI", [500, 0, 64, 64])
        core.setCameraDevice("Camera")
        assert devices.set("Camera.ROI", [10, 10, 400, 400]) == [10, 10, 400, 400]
        assert devices.get("Camera2.ROI") == [8, 16, 32, 64]
    finally:
        for camera in ("Camera2", "Camera"):
            core.setCameraDevice(camera)
            core.clearROI()


@pytest.mark.parametrize(
    "region", [[0, 0, 1000, 1000], [500, 500, 100, 100], [0, 0, 0, 0], [513, 0, 1, 1]], ids=str
)
def test_a_region_off_the_sensor_is_refused_and_the_old_one_stays(
    region: list[int], devices: SubDevices
) -> None:
    devices.set("Camera.ROI", [10, 20, 64, 32])
    with pytest.raises(CommandRefused, match="within 512 x 512 px"):
        devices.set("Camera.ROI", region)
    assert devices.get("Camera.ROI") == [10, 20, 64, 32]
    assert devices.set("Camera.ROI", [0, 0, 512, 512]) == [0, 0, 512, 512]


def test_what_the_device_refuses_is_told(devices: SubDevices) -> None:
    with pytest.raises(DeviceError, match=r"Z could not be set to 301\.0.*out of range"):
        devices.set("Z", 301)
    assert devices.get("Z") == 0


def test_what_the_device_does_not_do_is_told(devices: SubDevices, microscope: Microscope) -> None:
    """The second camera takes no more than 10 s; told of a camera that says nothing about its range."""
    with pytest.raises(DeviceError, match=r"Multi Cam\.Exposure was set to 20000\.0 and reports"):
        devices.set("Multi Cam.Exposure", 20_000.0)
    assert not devices.check("Multi Cam.Exposure")
    devices.set("Multi Cam.Exposure", 10.0)
    assert devices.check("Multi Cam.Exposure")


def test_without_waiting_the_value_is_told_at_once_and_waited_for_later(
    devices: SubDevices, microscope: Microscope
) -> None:
    assert devices.set("XY.X", 2000.0, wait=False) == 2000.0
    assert not devices.check("XY.X")
    devices.settle()
    assert not microscope.core.deviceBusy("XY")
    assert devices.check("XY.X")
    assert devices.get("XY.X") == pytest.approx(2000, abs=0.05)
    devices.set("XY.X", 0.0)


def test_a_device_that_hangs_is_not_waited_for_when_the_run_is_ended(
    devices: SubDevices, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo LED is made busy for a minute."""
    monkeypatch.setattr(microscope, "give_up", lambda: True)
    microscope.core.setDeviceDelayMs("LED", 60_000.0)
    try:
        with pytest.raises(DeviceError, match="LED was stopped 0 s after a change began"):
            devices.set("LED", 2)
        assert not devices.check("LED")
    finally:
        microscope.core.setDeviceDelayMs("LED", 0.0)


@pytest.mark.parametrize(
    ("target", "there", "name"),
    [
        ({"x_um": 10.0, "y_um": 0.0}, {"x_um": 10.02, "y_um": -0.9}, None),
        ({"x_um": 10.0, "y_um": 0.0}, {"x_um": 10.0, "y_um": 1.1}, "XY.Y"),
        ({"x_um": 1e5, "y_um": 0.0}, {"x_um": 1e5 + 2, "y_um": 0.0}, "XY.X"),
        ({"z_um": 3.0}, {"z_um": 3.4}, None),
        ({"z_um": 3.0}, {"z_um": 0.0}, "Z"),
    ],
)
def test_a_move_that_does_not_arrive_is_told(
    target: Any, there: Any, name: str | None, devices: SubDevices
) -> None:
    if name is None:
        devices.confirm(target, there)
        return
    with pytest.raises(DeviceError, match=f"^{name} was moved to"):
        devices.confirm(target, there)


def test_check_sees_what_somebody_else_has_changed(devices: SubDevices, microscope: Microscope) -> None:
    devices.set("Camera.Gain", 3)
    assert devices.check("Camera.Gain")
    microscope.core.setProperty("Camera", "Gain", "1")
    assert not devices.check("Camera.Gain")
    devices.set("Camera.Gain", 0)


def test_the_file_alone_tells_the_same(any_microscope: Microscope) -> None:
    """All that is more than a property, with its kind and device; of properties those that the file names."""
    told = config_inventory(read_config(any_microscope.config))
    loaded = core_inventory(any_microscope.core)

    def main(each: SubDevice) -> bool:
        return each.kind not in ("property", "gain", "binning")

    def facts(each: SubDevice) -> tuple[Any, ...]:
        labels = each.constraints.values if each.kind == "state" else ()
        return (each.kind, each.device, each.access, each.axis, labels, each.constraints.settable)

    # A file need not label all states, and a device without labels has its own.
    ours = {each.id: facts(each) for each in told if main(each)}
    theirs = {each.id: facts(each) for each in loaded if main(each)}
    assert ours == theirs
    for each in told:
        assert loaded.resolve(each.id).kind == each.kind, each.id
        assert loaded.resolve(each.id).constraints.settable == each.constraints.settable, each.id
    assert all(told.is_open(each.id) or told.find(each.id) for each in loaded)


def test_devices_that_move_the_focus_by_another_way_cannot_be_set() -> None:
    """An analog focus drive: neither its line nor a stage that it is part of leads past its limits."""
    core = pymmcore.CMMCore()
    core.setDeviceAdapterSearchPaths([str(find_config(MicroscopeConfig())[1])])
    core.loadDevice("Hub", "DemoCamera", "DHub")
    core.initializeDevice("Hub")
    for label, library, name in (
        ("Line", "DemoCamera", "D-DA"),
        ("Other line", "DemoCamera", "D-DA2"),
        ("Focus", "Utilities", "DA Z Stage"),
        ("Pair", "Utilities", "Multi Stage"),
        ("Heights", "Utilities", "Stage State Device"),
    ):
        core.loadDevice(label, library, name)
        if library == "DemoCamera":
            core.setParentLabel(label, "Hub")
        core.initializeDevice(label)
    core.setProperty("Focus", "DA Device", "Line")
    core.setProperty("Pair", "PhysicalStage-1", "Focus")
    core.setProperty("Heights", "PhysicalStage", "Focus")
    core.setFocusDevice("Focus")
    devices = SubDevices(Microscope(core, find_config(MicroscopeConfig())[0]))
    try:
        for identity, value in (
            ("Line.Volts", 3.0),
            ("Pair", 3.0),
            ("Heights", 1),
            ("Focus.DA Device", "Other line"),
        ):
            with pytest.raises(CommandRefused, match="cannot be set"):
                devices.set(identity, value)
        assert devices.set("Other line.Volts", 3.0) == 3.0
        assert devices.set("Focus", 10.0) == pytest.approx(10.0, abs=0.01)
        assert devices.get("Line.Volts") == pytest.approx(10 * 5 / 200, abs=0.01)
    finally:
        core.unloadAllDevices()
