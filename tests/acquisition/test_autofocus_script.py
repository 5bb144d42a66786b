"""The library's autofocus on the real Core: the demo camera's own beads, drift, and a hardware autofocus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.acquisition.session import Session
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Captured, Corrected, Record

pytestmark = pytest.mark.demo


def run(
    microscope: Microscope,
    folder: Path,
    acquisition: str,
    mode: str,
    parameters: str = "",
    demo: str = "{backend: demo}",
    more: str = "",
) -> list[Record]:
    """What was recorded of a run of the autofocus, in a thread."""
    text = (
        f"name: focus\nmicroscope: {demo}\nacquisition: {acquisition}\n{more}\n"
        f"scripts:\n  - {{file: autofocus, policy: {{place: thread}}, provider_parameters: {{mode: {mode}}}, "
        f"parameters: {{mode: {mode}, {parameters}}}}}\n"
    )
    config = folder / "focus.yaml"
    config.write_text(text, encoding="utf-8")
    records: list[Record] = []
    result = Session(
        load_experiment(config), folder / "runs", lambda _, record: records.append(record), None, microscope
    ).run()
    assert result.exit_status == 0, [str(record) for record in records[-5:]]
    return records


def planned_heights(records: list[Record]) -> list[float]:
    """The real heights of the images of the plan, without those that the script added."""
    return [
        record.real_um["z"]
        for record in records
        if isinstance(record, Captured) and record.event.startswith("e")
    ]


@pytest.fixture
def beads(microscope: Microscope) -> Any:
    """The demo camera draws beads that are sharp at z = 0, without any specimen of ours."""
    core = microscope.core
    core.setProperty("Camera", "FastImage", "0")
    core.setProperty("Camera", "Mode", "Fluorescent Beads")
    yield microscope
    core.setProperty("Camera", "Mode", "Artificial Waves")
    core.setProperty("Camera", "FastImage", "1")


@pytest.mark.parametrize("start_um", [-30.0, -13.3, 0.4, 30.0])
def test_the_demo_cameras_beads_are_found_by_a_search(
    beads: Microscope, tmp_path: Path, start_um: float
) -> None:
    place = f"{{x: 0, y: 0, z: {start_um}}}"
    plan = f"{{channels: [DAPI], stage_positions: [{place}], time_plan: {{interval: 0, loops: 2}}}}"
    records = run(beads, tmp_path, plan, "search", "search_range_um: 40, most_exposures: 12")
    first, second = planned_heights(records)
    assert first == pytest.approx(start_um, abs=0.05)
    assert second == pytest.approx(0.0, abs=0.1)
    exposures = sum(isinstance(record, Captured) for record in records)
    assert exposures <= 9 + 6


@pytest.mark.parametrize("mode", ["stack", "streaming"])
def test_the_demo_cameras_beads_are_found_by_a_stack(beads: Microscope, tmp_path: Path, mode: str) -> None:
    plan = (
        "{channels: [DAPI], stage_positions: [{x: 0, y: 0, z: 27.7}], z_plan: {range: 72, step: 2}, "
        "time_plan: {interval: 0, loops: 1}}"
    )
    (corrected,) = [record for record in run(beads, tmp_path, plan, mode) if isinstance(record, Corrected)]
    assert corrected.asked_um["z"] == pytest.approx(-27.7, abs=0.1)


def test_positions_whose_slices_take_turns_are_all_focused(microscope: Microscope, tmp_path: Path) -> None:
    plan = (
        "{axis_order: tzpc, channels: [FITC], stage_positions: [{x: 0, y: 0, z: 3}, {x: 300, y: 0, z: -3}], "
        "z_plan: {range: 12, step: 2}, time_plan: {interval: 0, loops: 1}}"
    )
    records = run(microscope, tmp_path, plan, "streaming", demo="{backend: demo, specimen: {seed: 3}}")
    asked = {record.position: record.asked_um["z"] for record in records if isinstance(record, Corrected)}
    assert asked == {0: pytest.approx(-3, abs=0.3), 1: pytest.approx(3, abs=0.3)}


def test_a_mode_that_only_one_function_was_told_is_an_error(microscope: Microscope, tmp_path: Path) -> None:
    plan = "{channels: [FITC], stage_positions: [{x: 0, y: 0, z: 3}], time_plan: {interval: 0, loops: 2}}"
    config = tmp_path / "focus.yaml"
    config.write_text(
        f"name: focus\nmicroscope: {{backend: demo}}\nacquisition: {plan}\n"
        "scripts: [{file: autofocus, policy: {place: thread, error: abort}, parameters: {mode: search}}]\n",
        encoding="utf-8",
    )
    result = Session(load_experiment(config), tmp_path / "runs", None, None, microscope).run()
    assert result.state == "aborted"
    assert "write the same twice" in str(result.error)


DRIFT = "{backend: demo, specimen: {seed: 3, time: {per_image_s: 1}, drift: {z_um_per_s: 0.05}}}"
TIMES = "{channels: [FITC], stage_positions: [{x: 0, y: 0, z: 0}], time_plan: {interval: 0, loops: 12}}"


def test_a_drifting_focus_is_held_and_lost_without_the_script(microscope: Microscope, tmp_path: Path) -> None:
    """The focus rises by 0.05 um with each image, also with those of the searches."""
    records = run(microscope, tmp_path, TIMES, "search", demo=DRIFT)
    images = [record for record in records if isinstance(record, Captured)]
    off_um = [
        image.real_um["z"] - 0.05 * number
        for number, image in enumerate(images)
        if image.event.startswith("e")
    ]
    assert len(off_um) == 12
    # A quarter of a depth of field, and what it drifts while a search goes on.
    assert max(abs(off) for off in off_um) <= 0.5 + 0.05 * 8
    assert 0.05 * len(images) > 2

    (tmp_path / "off").mkdir()
    without = run(microscope, tmp_path / "off", TIMES, "search", "max_correction_um: 0", demo=DRIFT)
    lost_um = 0.05 * sum(isinstance(record, Captured) for record in without)
    assert planned_heights(without) == pytest.approx([0.0] * 12, abs=0.05)
    assert lost_um > 2


def test_transparent_cells_are_focused_where_they_are_least_seen(
    microscope: Microscope, tmp_path: Path
) -> None:
    demo = "{backend: demo, specimen: {seed: 4, focus_um: 1.3, brightfield: {channels: [FITC]}}}"
    plan = (
        "{channels: [{config: FITC, exposure: 10}], stage_positions: [{x: 0, y: 0, z: 0}], "
        "z_plan: {range: 12, step: 1}, time_plan: {interval: 0, loops: 1}}"
    )
    (corrected,) = [
        record
        for record in run(microscope, tmp_path, plan, "stack", "objects: phase", demo=demo)
        if isinstance(record, Corrected)
    ]
    assert corrected.asked_um["z"] == pytest.approx(1.3, abs=0.5)


@pytest.fixture
def held(microscope: Microscope) -> Any:
    """The demo microscope with a hardware autofocus whose offset is a drive of its own."""
    core, folder = microscope.core, library_dir("mm_demo_config")
    core.loadSystemConfiguration(str(folder / "demo_autofocus.cfg"))
    core.setProperty("Camera", "FastImage", "1")
    core.setProperty("Camera", "PixelType", "16bit")
    yield microscope
    core.loadSystemConfiguration(str(folder / "demo_galvo.cfg"))


def test_with_a_hardware_autofocus_the_correction_goes_to_its_offset(
    held: Microscope, tmp_path: Path
) -> None:
    """The focus that it holds is 3 um below the cells; after the first stack, its offset is up by that."""
    demo = "{backend: demo, specimen: {seed: 3, focus_um: 3}}"
    plan = (
        "{channels: [DAPI, {config: FITC, do_stack: false}], stage_positions: [{x: 0, y: 0, z: 0}], "
        "z_plan: {range: 12, step: 1}, time_plan: {interval: 0, loops: 2}}"
    )
    offsets: list[float] = []
    snap = held.core.snap_image

    def noted() -> Any:
        offsets.append(held.core.getPosition("Focus Offset"))
        return snap()

    held.core.snap_image = noted
    try:
        records = run(held, tmp_path, plan, "stack", demo=demo, more="autofocus: {limit_s: 0.5}")
    finally:
        del held.core.snap_image
    first, _ = (record for record in records if isinstance(record, Corrected))
    assert first.asked_um["z"] == pytest.approx(3.0, abs=0.2)
    # The single image after the stack is taken at the height that is held, moved by the offset.
    assert offsets[13] == pytest.approx(3.0, abs=0.2)
    assert offsets[0] == pytest.approx(0.0)
