"""Sub-devices as values: which there are, how they are found, and what they take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inscoper_mm.errors import CommandRefused
from inscoper_mm.microscope.device_values import reached, wanted
from inscoper_mm.microscope.inventory_build import DeviceFacts, PropertyFacts, Roles, build_inventory
from inscoper_mm.microscope.sub_device_ids import make_id, split_id
from inscoper_mm.microscope.sub_devices import Constraints, Inventory, SubDevice

READ_ONLY = PropertyFacts(read_only=True)
SWITCH = PropertyFacts("integer", values=("0", "1"))
NUMBER = PropertyFacts("number")

DEVICES = (
    DeviceFacts("XY", "xy stage", properties={"Velocity": NUMBER, "TransposeMirrorX": SWITCH, "X": NUMBER}),
    DeviceFacts(
        "Z",
        "stage",
        properties={"Position": PropertyFacts("number", minimum=-50, maximum=50)},
        focus_direction=-1,
    ),
    DeviceFacts(" Piezo: 1.5", "stage", properties={"SerialCommand": PropertyFacts()}),
    DeviceFacts(
        "Objective", "state", properties={"State": NUMBER, "Label": PropertyFacts()}, labels=("10x", "40x")
    ),
    DeviceFacts("Laser 488", "shutter", properties={"State": SWITCH, "Power (mW)": NUMBER}),
    DeviceFacts("LED Shutter", "shutter"),
    DeviceFacts("488 power", "signal", properties={"Voltage": PropertyFacts("number", minimum=0, maximum=5)}),
    DeviceFacts("DAC1", "signal", properties={"Volts": NUMBER}),
    DeviceFacts(
        "Cam",
        "camera",
        properties={
            "Exposure": PropertyFacts("number", minimum=1, maximum=1000),
            "Binning": PropertyFacts("integer", values=("4", "1", "2")),
            "EMGain": PropertyFacts("integer", minimum=0, maximum=300),
            "PixelType": PropertyFacts(values=("8bit", "16bit", "32bitRGB")),
            "Temperature": READ_ONLY,
            "ROI": PropertyFacts(),
        },
    ),
    DeviceFacts("Galvo", "galvo", spans=((0.0, 10.0), (-5.0, 8.0))),
    DeviceFacts("SLM", "slm"),
    DeviceFacts("AF", "autofocus"),
    DeviceFacts(
        "Hub", "hub", properties={"SerialCommand": PropertyFacts(), "Port": PropertyFacts(pre_init=True)}
    ),
    DeviceFacts("COM3", "serial", properties={"BaudRate": PropertyFacts()}),
    DeviceFacts("Core", "core", properties={"Focus": PropertyFacts(), "AutoShutter": SWITCH}),
)
ROLES = Roles("Cam", "Z", "XY", "AF")


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    aliases = {"Stage X": "XY.X", "Blue": "488 power.Volts"}
    return build_inventory(DEVICES, ROLES).with_aliases(aliases)


# Id -> (kind, settable).
THERE = {
    "XY.X": ("stage", True),
    "XY.Y": ("stage", True),
    "XY.property.X": ("property", False),
    "XY.Velocity": ("property", True),
    "XY.TransposeMirrorX": ("property", False),
    "Z": ("focus", True),
    '" Piezo: 1.5"': ("focus", True),
    '" Piezo: 1.5".SerialCommand': ("property", False),
    "Objective": ("state", True),
    "Laser 488": ("light", True),
    "Laser 488.Power (mW)": ("power", True),
    "LED Shutter": ("shutter", True),
    "488 power.Volts": ("power", True),
    "DAC1.Volts": ("signal", True),
    "Cam.Exposure": ("exposure", True),
    "Cam.ROI": ("roi", True),
    "Cam.Binning": ("binning", True),
    "Cam.EMGain": ("gain", True),
    "Cam.PixelType": ("property", True),
    "Cam.Temperature": ("property", False),
    "Cam.property.ROI": ("property", True),
    "Galvo": ("galvo", True),
    "SLM": ("slm", False),
    "AF.Offset": ("offset", True),
    "Hub.SerialCommand": ("property", False),
    "Hub.Port": ("property", False),
    "COM3.BaudRate": ("property", False),
    "Core.Focus": ("property", False),
    "Core.AutoShutter": ("property", True),
}


def test_every_device_has_its_sub_devices(inventory: Inventory) -> None:
    assert {each.id: (each.kind, each.constraints.settable) for each in inventory} == THERE
    assert inventory.ids() == tuple(id for id, (_, settable) in THERE.items() if settable)
    assert inventory.ids("focus") == ("Z", '" Piezo: 1.5"')
    assert inventory.ids("slm") == ()
    assert inventory.ids("slm", settable=False) == ("SLM",)


def test_only_the_stage_and_focus_of_the_run_are_its_axes(inventory: Inventory) -> None:
    axes = {each.id: each.axis for each in inventory if each.axis}
    assert axes == {"XY.X": "x_um", "XY.Y": "y_um", "Z": "z_um"}


def test_what_is_taken_comes_from_the_device(inventory: Inventory) -> None:
    focus = inventory.resolve("Z").constraints
    assert (focus.minimum, focus.maximum, focus.unit, focus.focus_direction) == (-50, 50, "um", -1)
    assert inventory.resolve("Cam.Binning").constraints.values == (1, 2, 4)
    assert inventory.resolve("Cam.PixelType").constraints.values == ("8bit", "16bit")
    galvo = inventory.resolve("Galvo").constraints
    assert (galvo.minimum, galvo.maximum) == (0.0, 8.0)  # what both axes reach
    exposure = inventory.resolve("Cam.Exposure").constraints
    assert (exposure.minimum, exposure.maximum, exposure.unit) == (1, 1000, "ms")


# Every way to write a sub-device -> its id.
FOUND = {
    "id": ("XY.X", "XY.X"),
    "alias": ("Stage X", "XY.X"),
    "property of a stage is the axis": ("Z.Position", "Z"),
    "label": ("Objective.Label", "Objective"),
    "state": ("Objective.State", "Objective"),
    "the line by its own property": ("488 power.Voltage", "488 power.Volts"),
    "a shutter's state": ("Laser 488.State", "Laser 488"),
    "without quotation marks": (" Piezo: 1.5", '" Piezo: 1.5"'),
}


@pytest.mark.parametrize(("name", "identity"), FOUND.values(), ids=FOUND.keys())
def test_a_sub_device_is_found(name: str, identity: str, inventory: Inventory) -> None:
    assert inventory.resolve(name).id == identity


NOT_FOUND = [
    ("XY.Velo", "XY.Velocity"),
    ("Stge X", "Stage X"),
    ("objectve", "Objective"),
    ("qqq", None),
    (None, None),
    (3, None),
]


@pytest.mark.parametrize(("name", "meant"), NOT_FOUND)
def test_a_name_that_is_not_there(name: Any, meant: str | None, inventory: Inventory) -> None:
    with pytest.raises(CommandRefused, match="no sub-device") as caught:
        inventory.resolve(name)
    assert ("Did you mean" in str(caught.value)) == (meant is not None)
    assert meant is None or f"Did you mean '{meant}'?" in str(caught.value)


def test_a_kind_that_is_not_there(inventory: Inventory) -> None:
    with pytest.raises(CommandRefused, match="Did you mean 'focus'"):
        inventory.ids("focsu")


def link(*targets: str) -> dict[str, PropertyFacts]:
    return {f"PhysicalStage-{number}": PropertyFacts(value=each) for number, each in enumerate(targets)}


# Devices beside a focus drive called F -> those that cannot be set, since they move it.
WAYS_ROUND = {
    "none": ([DeviceFacts("F", "stage"), DeviceFacts("DA", "signal", properties={"Volts": NUMBER})], set()),
    "the line of an analog stage": (
        [
            DeviceFacts("F", "stage", properties={"DA Device": PropertyFacts(value="DA")}),
            DeviceFacts("DA", "signal", properties={"Volts": NUMBER}),
            DeviceFacts("Other", "signal", properties={"Volts": NUMBER}),
        ],
        {"DA.Volts"},
    ),
    "a stage made of several": (
        [
            DeviceFacts("F", "stage"),
            DeviceFacts("G", "stage"),
            DeviceFacts("Both", "stage", properties=link("F", "G")),
        ],
        {"Both"},
    ),
    "a part of the focus drive": (
        [
            DeviceFacts("F", "stage", properties=link("A", "B")),
            DeviceFacts("A", "stage"),
            DeviceFacts("B", "stage"),
        ],
        {"A", "B"},
    ),
    "positions as states": (
        [
            DeviceFacts("F", "stage"),
            DeviceFacts("S", "state", properties={"PhysicalStage": PropertyFacts(value="F")}),
        ],
        {"S"},
    ),
    "a shutter that sets a property": (
        [
            DeviceFacts("F", "stage"),
            DeviceFacts(
                "S", "shutter", properties={"Target Device": PropertyFacts(value="F"), "Open Value": NUMBER}
            ),
        ],
        {"S", "S.Open Value"},
    ),
    "another line's user": (
        [
            DeviceFacts("F", "stage", properties={"DA Device": PropertyFacts(value="DA")}),
            DeviceFacts("DA", "signal", properties={"Volts": NUMBER}),
            DeviceFacts("T", "state", properties={"DADevice-0": PropertyFacts(value="DA")}),
        ],
        {"DA.Volts", "T"},
    ),
    "round in a circle": (
        [DeviceFacts("F", "stage", properties=link("A")), DeviceFacts("A", "stage", properties=link("F"))],
        {"A"},
    ),
}


@pytest.mark.parametrize(("devices", "locked"), WAYS_ROUND.values(), ids=WAYS_ROUND.keys())
def test_no_way_round_the_limits_of_the_focus_drive(devices: list[DeviceFacts], locked: set[str]) -> None:
    found = build_inventory(devices, Roles(focus="F"))
    moving = {each.id for each in found if "it moves F" in each.constraints.why_not}
    assert moving == locked
    links = {each.id for each in found if "belongs to the configuration" in each.constraints.why_not}
    assert all(not found.resolve(each).constraints.settable for each in links)


LABELS = st.text(st.sampled_from('XY.:" a'), min_size=1, max_size=4)
TYPES = ("xy stage", "stage", "state", "shutter", "signal", "camera", "autofocus", "galvo", "generic")
NAMES = st.sets(
    st.sampled_from(["X", "Y", "Offset", "ROI", "Volts", "Voltage", "State", "a.b", "property"]) | LABELS
)


@given(st.dictionaries(LABELS, st.tuples(st.sampled_from(TYPES), NAMES), max_size=6))
def test_no_two_sub_devices_share_an_id_whatever_the_labels(
    microscope: dict[str, tuple[Any, set[str]]],
) -> None:
    """Every axis, switch ... and every property can be reached, and by its own id only."""
    devices = [
        DeviceFacts(label, kind, properties=dict.fromkeys(names, NUMBER), spans=((0, 1), (0, 1)))
        for label, (kind, names) in microscope.items()
    ]
    found = build_inventory(devices, Roles())
    mains = {"xy stage": 2, "camera": 2, "generic": 0}
    one_way_more = {
        "state": {"State", "Label"},
        "shutter": {"State"},
        "stage": {"Position"},
        "camera": {"Exposure"},
    }
    expected = sum(
        # A line without a property for its voltage is none; with one, that is its main sub-device.
        len(names) if kind == "signal" else mains.get(kind, 1) + len(names - one_way_more.get(kind, set()))
        for kind, names in microscope.values()
    )
    assert len(found) == expected
    assert all(found.resolve(each.id) is each for each in found)
    assert all(split_id(each.id)[0] == each.device for each in found)
    for label, (_, names) in microscope.items():
        reached_by = [found.find(make_id(label, name)) for name in names]
        assert all(each is not None and each.device == label for each in reached_by)


# -- values


def made(**fields: Any) -> SubDevice:
    return SubDevice("D", "property", "D", "property", Constraints(**fields))


RANGE = made(type="number", minimum=0.0, maximum=10.0, relative_tolerance=0.005)
WHOLE = made(type="integer", minimum=-5, maximum=8)
LISTED = made(type="integer", values=(1, 2, 4))
WORDS = made(type="text", values=("Noise", "Waves"))
FREE = made(type="text")
ON_OFF = made(type="switch")
STATES = made(type="state", values=("Closed", "385nm", "10", "twice", "twice", ""))
UNKNOWN_STATES = made(type="state")
POINT = made(type="numbers", names=("x", "y"), minimum=0.0, maximum=10.0)
REGION = made(type="numbers", names=("x", "y", "w", "h"), minimum=0.0, step=1.0)
FIXED = made(type="number", why_not="the device only reports it")

TAKEN = {
    "number": (RANGE, 3, 3.0),
    "both ends": (RANGE, 10.0, 10.0),
    "numpy number": (RANGE, np.float32(2.5), 2.5),
    "whole": (WHOLE, -5, -5),
    "whole as a float": (WHOLE, 3.0, 3),
    "whole of numpy": (WHOLE, np.int16(3), 3),
    "listed": (LISTED, 4, 4),
    "word": (WORDS, "Noise", "Noise"),
    "any text": (FREE, "a b,c", "a b,c"),
    "open": (ON_OFF, True, True),
    "one": (ON_OFF, 1, True),
    "closed as a word": (ON_OFF, "Closed", False),
    "label": (STATES, "385nm", "385nm"),
    "number of a state": (STATES, 1, "385nm"),
    "label that is a number": (STATES, "10", "10"),
    "state without a label of its own": (STATES, 3, 3),
    "state without label": (STATES, 5, 5),
    "state of an unknown number": (UNKNOWN_STATES, 7, 7),
    "point": (POINT, [0, 10.0], [0.0, 10.0]),
    "point as an array": (POINT, np.array([1, 2]), [1.0, 2.0]),
    "region": (REGION, (8, 16, 32, 64), [8, 16, 32, 64]),
}


@pytest.mark.parametrize(("sub_device", "value", "sent"), TAKEN.values(), ids=TAKEN.keys())
def test_a_value_that_is_taken(sub_device: SubDevice, value: Any, sent: Any) -> None:
    target = wanted(sub_device, value)
    assert target == sent
    assert type(target) is type(sent)


REFUSED = {
    "below": (RANGE, -0.001, "outside the range"),
    "above": (RANGE, 10.001, "outside the range"),
    "nan": (RANGE, math.nan, "finite"),
    "infinite": (RANGE, -math.inf, "finite"),
    "endless": (RANGE, 10**400, "finite"),
    "truth": (RANGE, True, "must be a number"),
    "truth of numpy": (RANGE, np.True_, "must be a number"),
    "text for a number": (RANGE, "3", "must be a number"),
    "nothing": (RANGE, None, "must be a number"),
    "array": (RANGE, np.array([1.0]), "must be a number"),
    "broken whole": (WHOLE, 2.5, "whole number"),
    "too large for the device": (made(type="integer"), 2**31, "whole number"),
    "not listed": (LISTED, 3, "not one of those"),
    "unknown word": (WORDS, "Nois", "Did you mean 'Noise'"),
    "number for a word": (WORDS, 3, "must be text"),
    "a text with an end in it": (FREE, "a\0b", "printable"),
    "endless text": (FREE, "a" * 1001, "at most 1000"),
    "two for a switch": (ON_OFF, 2, "True or False"),
    "half open": (ON_OFF, 0.5, "True or False"),
    "unknown state": (STATES, "385", "Did you mean '385nm'"),
    "state beyond": (STATES, 6, "6 states"),
    "label without its quotation marks": (STATES, 10, "write '10'"),
    "negative state": (STATES, -1, "states"),
    "truth for a state": (STATES, True, "label or by its number"),
    "ambiguous label": (STATES, "twice", "no state"),
    "empty label": (STATES, "", "no state"),
    "point of three": (POINT, [1, 2, 3], "list of 2"),
    "point as text": (POINT, "12", "list of 2"),
    "point outside": (POINT, [1, 11], "outside the range"),
    "point with nan": (POINT, [1, math.nan], "finite"),
    "region of halves": (REGION, [0, 0, 2.5, 2], "whole number"),
    "negative region": (REGION, [-1, 0, 2, 2], "outside the range"),
    "what only reports": (FIXED, 3, "cannot be set: the device only reports it"),
}


@pytest.mark.parametrize(("sub_device", "value", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_value_that_is_refused(sub_device: SubDevice, value: Any, why: str) -> None:
    with pytest.raises(CommandRefused) as caught:
        wanted(sub_device, value)
    said = str(caught.value)
    assert said.startswith("D")
    assert why in said
    assert repr(value) in said
    assert said.endswith("Nothing was set.")


@pytest.mark.parametrize(
    ("sub_device", "asked", "value", "same"),
    [
        (RANGE, 10.0, 10.04, True),
        (RANGE, 10.0, 10.06, False),
        (RANGE, 10.0, "10", False),
        (LISTED, 4, 4, True),
        (LISTED, 4, 2, False),
        (STATES, "385nm", "385nm", True),
        (STATES, "385nm", "Closed", False),
        (REGION, [0, 0, 8, 8], [0, 0, 8, 8], True),
        (REGION, [0, 0, 8, 8], [0, 0, 9, 8], False),
        (FREE, "START", "STARTED", True),
        (made(type="number", tolerance=1.0), 1e5, 1e5 + 2, False),
    ],
)
def test_whether_it_was_reached(sub_device: SubDevice, asked: Any, value: Any, same: bool) -> None:
    assert reached(sub_device, asked, value) is same
