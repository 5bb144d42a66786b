"""The planned events: known answers, the indices and sizes that scripts rely on, and useq as an independent judge."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.experiment.plan import Plan, make_plan
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.images.index import Index, Sizes

START = StagePosition(7.0, -3.0, 100.0)


def plan_of(acquisition: str, start: StagePosition | None = START) -> Plan:
    text = f"microscope: {{backend: demo}}\nacquisition: {{{acquisition}}}\n"
    return make_plan(parse_experiment(text, Path.cwd()), start)


def test_two_positions_two_channels_and_a_stack() -> None:
    plan = plan_of(
        "axis_order: tpcz, time_plan: {interval: 2, loops: 2}, z_plan: {range: 2, step: 1},"
        "stage_positions: [{x: 1, y: 2, name: A}, {x: 5, z: 50}],"
        "channels: [{config: DAPI, exposure: 20}, {config: FITC, do_stack: false, z_offset: 0.5}]"
    )
    rows = [
        (
            event.id,
            str(event.index),
            event.x_um,
            event.y_um,
            event.z_um,
            event.position_name,
            event.channel,
            event.due_s,
        )
        for event in plan
    ]
    assert rows == [
        ("e000001", "t000_p000_c0_z000", 1, 2, 99, "A", "DAPI", 0),
        ("e000002", "t000_p000_c0_z001", 1, 2, 100, "A", "DAPI", 0),
        ("e000003", "t000_p000_c0_z002", 1, 2, 101, "A", "DAPI", 0),
        ("e000004", "t000_p000_c1_z000", 1, 2, 100.5, "A", "FITC", 0),
        ("e000005", "t000_p001_c0_z000", 5, -3, 49, "Pos001", "DAPI", 0),
        ("e000006", "t000_p001_c0_z001", 5, -3, 50, "Pos001", "DAPI", 0),
        ("e000007", "t000_p001_c0_z002", 5, -3, 51, "Pos001", "DAPI", 0),
        ("e000008", "t000_p001_c1_z000", 5, -3, 50.5, "Pos001", "FITC", 0),
        ("e000009", "t001_p000_c0_z000", 1, 2, 99, "A", "DAPI", 2),
        ("e000010", "t001_p000_c0_z001", 1, 2, 100, "A", "DAPI", 2),
        ("e000011", "t001_p000_c0_z002", 1, 2, 101, "A", "DAPI", 2),
        ("e000012", "t001_p000_c1_z000", 1, 2, 100.5, "A", "FITC", 2),
        ("e000013", "t001_p001_c0_z000", 5, -3, 49, "Pos001", "DAPI", 2),
        ("e000014", "t001_p001_c0_z001", 5, -3, 50, "Pos001", "DAPI", 2),
        ("e000015", "t001_p001_c0_z002", 5, -3, 51, "Pos001", "DAPI", 2),
        ("e000016", "t001_p001_c1_z000", 5, -3, 50.5, "Pos001", "FITC", 2),
    ]
    assert {event.sizes for event in plan if event.channel == "DAPI"} == {Sizes(2, 2, 2, 3)}
    assert {event.sizes for event in plan if event.channel == "FITC"} == {Sizes(2, 2, 2, 1)}
    assert [event.exposure_ms for event in plan[:4]] == [20, 20, 20, None]
    assert [event.stack_end for event in plan[:4]] == [False, False, True, True]
    assert [event.stack_key for event in plan[2:5]] == [(0, 0, 0), (0, 0, 1), (0, 1, 0)]


# What each image of a position without z takes: (acquisition, focus read at the start, planned focus).
FOCUS = {
    "no z at all": ("", 100.0, [100.0]),
    "stack around the start": ("z_plan: {range: 2, step: 1}", 100.0, [99.0, 100.0, 101.0]),
    "stack from a list": ("z_plan: {relative: [5, -1]}", 100.0, [105.0, 99.0]),
    "downwards": ("z_plan: {range: 2, step: 1, go_up: false}", 100.0, [101.0, 100.0, 99.0]),
    "absolute stack": ("z_plan: {top: 2, bottom: 0, step: 1}", 100.0, [0.0, 1.0, 2.0]),
    "offset": ("channels: [{config: A, z_offset: 3}]", 100.0, [103.0]),
    "absolute with offset": ("z_plan: {absolute: [1]}, channels: [{config: A, z_offset: 3}]", 100.0, [4.0]),
    "position with z": ("stage_positions: [{z: -9}], z_plan: {relative: [1]}", 100.0, [-8.0]),
    "z is 0": ("stage_positions: [{x: 0, y: 0, z: 0}]", 100.0, [0.0]),
    "start is 0": ("z_plan: {relative: [1]}", 0.0, [1.0]),
    "middle of an even stack": (
        "channels: [{config: A, do_stack: false}], z_plan: {relative: [0, 1, 2, 3]}",
        100.0,
        [102.0],
    ),
    "no focus drive": ("channels: [A]", None, [None]),
}


@pytest.mark.parametrize(("acquisition", "start_um", "z_um"), FOCUS.values(), ids=FOCUS.keys())
def test_focus_positions(acquisition: str, start_um: float | None, z_um: list[float | None]) -> None:
    plan = plan_of(acquisition, StagePosition(0.0, 0.0, start_um))
    assert [event.z_um for event in plan] == z_um


GRID = "rows: 2, columns: 2, fov_width: 100, fov_height: 50"
SITES = {
    "no position": ("", [("Pos000", 7, -3)]),
    "grid around the start": (
        f"grid_plan: {{{GRID}}}",
        [
            ("Pos000_0000", -43, 22),
            ("Pos000_0001", 57, 22),
            ("Pos000_0002", 57, -28),
            ("Pos000_0003", -43, -28),
        ],
    ),
    "grid at each position": (
        f"stage_positions: [{{x: 0, y: 0, name: A}}, {{x: 1000, y: 0, name: B}}], grid_plan: {{{GRID}}}",
        [
            *[("A_0000", -50, 25), ("A_0001", 50, 25), ("A_0002", 50, -25), ("A_0003", -50, -25)],
            *[("B_0000", 950, 25), ("B_0001", 1050, 25), ("B_0002", 1050, -25), ("B_0003", 950, -25)],
        ],
    ),
    "grid at one position": (
        f"stage_positions: [{{x: 0, y: 0, name: A}}, {{x: 1000, y: 0, name: B, sequence: {{grid_plan: {{{GRID}}}}}}}]",
        [("A", 0, 0), ("B_0000", 950, 25), ("B_0001", 1050, 25), ("B_0002", 1050, -25), ("B_0003", 950, -25)],
    ),
    "grid from edges": (
        "grid_plan: {top: 100, bottom: 0, left: 0, right: 200, fov_width: 100, fov_height: 100}",
        [("Pos000_0000", 50, 50), ("Pos000_0001", 150, 50)],
    ),
    "well plate": (
        "stage_positions: {plate: 96-well, a1_center_xy: [10, 20], selected_wells: [[0, 1], [0, 2]]}",
        [("A1", 10, 20), ("B3", 18010, -8980)],
    ),
    "wells by name": (
        "stage_positions: {plate: 96-well, a1_center_xy: [10, 20], selected_wells: [B3, A2-A1]}",
        [("B3", 18010, -8980), ("A2", 9010, 20), ("A1", 10, 20)],
    ),
}


@pytest.mark.parametrize(("acquisition", "expected"), SITES.values(), ids=SITES.keys())
def test_fields_of_view_are_flattened_into_positions(
    acquisition: str, expected: list[tuple[str, float, float]]
) -> None:
    plan = plan_of(acquisition)
    places = [(event.position_name, event.x_um, event.y_um) for event in plan]
    assert [name for name, *_ in places] == [name for name, *_ in expected]
    for (_, x_um, y_um), (_, true_x_um, true_y_um) in zip(places, expected, strict=True):
        assert (x_um, y_um) == (pytest.approx(true_x_um), pytest.approx(true_y_um))
    assert [event.index.position for event in plan] == list(range(len(expected)))
    assert {event.sizes.position for event in plan} == {len(expected)}


@pytest.mark.parametrize("order", ["".join(order) for order in itertools.permutations("tpcz")])
def test_useq_gives_the_same_events_in_the_same_order(order: str) -> None:
    plan = plan_of(
        f"axis_order: {order}, time_plan: [{{interval: 1, loops: 3}}, {{interval: 5, loops: 2}}],"
        "stage_positions: [{x: 1, y: 2, z: 3}, {x: 4, y: 5, z: 6}], z_plan: {above: 3, below: 1, step: 1},"
        "channels: [{config: A}, {config: B, do_stack: false}, {config: C, acquire_every: 2, z_offset: 1, exposure: 9}]"
    )
    text = plan_text(order)
    sequence = parse_experiment(text, Path.cwd()).acquisition
    judged = [
        (event.x_pos, event.y_pos, event.z_pos, event.channel.config, event.exposure, event.min_start_time)
        for event in sequence.iter_events()
    ]
    assert [
        (event.x_um, event.y_um, event.z_um, event.channel, event.exposure_ms, event.due_s) for event in plan
    ] == judged
    # Each index is there once, and each stack is counted from 0 without a gap.
    assert len({event.index for event in plan}) == len(plan)
    stacks: dict[Any, set[int]] = {}
    for event in plan:
        stacks.setdefault((event.stack_key, event.sizes.focus), set()).add(event.index.focus)
    assert all(slices == set(range(size)) for (_, size), slices in stacks.items())


def plan_text(order: str) -> str:
    return (
        f"microscope: {{}}\nacquisition: {{axis_order: {order}, "
        "time_plan: [{interval: 1, loops: 3}, {interval: 5, loops: 2}],"
        "stage_positions: [{x: 1, y: 2, z: 3}, {x: 4, y: 5, z: 6}], z_plan: {above: 3, below: 1, step: 1},"
        "channels: [{config: A}, {config: B, do_stack: false}, "
        "{config: C, acquire_every: 2, z_offset: 1, exposure: 9}]}\n"
    )


@pytest.mark.parametrize("order", ["tpcz", "tpzc", "ptcz", "zctp"])
def test_exactly_one_image_ends_each_stack(order: str) -> None:
    plan = make_plan(parse_experiment(plan_text(order), Path.cwd()), START)
    ends = [event.stack_key for event in plan if event.stack_end]
    assert sorted(ends) == sorted({event.stack_key for event in plan})
    gate = [event for event in plan if event.index.focus == event.sizes.focus - 1]
    assert [event.stack_key for event in gate] == ends


MISSING = {
    "stack without focus": ("z_plan: {range: 2, step: 1}", StagePosition(0, 0, None), "acquisition.z_plan"),
    "position without focus": ("stage_positions: [{z: 0}]", StagePosition(0, 0, None), "acquisition"),
    "offset without focus": (
        "channels: [{config: A, z_offset: 1}]",
        StagePosition(0, 0, None),
        "acquisition",
    ),
    "absolute without focus": ("z_plan: {absolute: [1]}", StagePosition(0, 0, None), "acquisition.z_plan"),
    "position without stage": (
        "stage_positions: [{x: 0}]",
        StagePosition(None, None, 0),
        "acquisition.stage_positions",
    ),
    "grid without stage": (
        f"grid_plan: {{{GRID}}}",
        StagePosition(None, None, 0),
        "acquisition.stage_positions",
    ),
}


@pytest.mark.parametrize(("acquisition", "start", "field"), MISSING.values(), ids=MISSING.keys())
def test_a_plan_for_a_device_that_is_not_there_is_refused(
    acquisition: str, start: StagePosition, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_of(acquisition, start)
    assert [finding.field for finding in caught.value.findings] == [field]


def test_while_the_start_is_not_known_only_the_given_coordinates_are() -> None:
    plan = plan_of("stage_positions: [{x: 1}, {x: 2, y: 3, z: 4}], z_plan: {relative: [1]}", None)
    assert [(event.x_um, event.y_um, event.z_um) for event in plan] == [(1, None, None), (2, 3, 5)]
    assert [site.name for site in plan.sites_without_z] == ["Pos000"]


def test_events_are_found_by_number_slice_and_id() -> None:
    plan = plan_of("time_plan: {interval: 0, loops: 12}")
    assert plan[-1] == plan[11] == plan.event("e000012")
    assert [event.index for event in plan[3:5]] == [Index(time=3), Index(time=4)]
    for wrong in ("e000000", "e000013", "12", "exyz", ""):
        with pytest.raises(KeyError):
            plan.event(wrong)
    with pytest.raises(IndexError):
        plan[12]


def test_a_plan_of_many_images_takes_little_memory() -> None:
    tracemalloc.start()
    plan = plan_of("time_plan: {interval: 1, loops: 100000}, z_plan: {relative: [1, 2, 3]}")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(plan) == 300_000
    assert kept < 20e6
    assert plan[299_999].id == "e300000"
