"""Following a drifting specimen: the loop closed and open, the specimen knowing where the target is."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from inscoper_mm.acquisition.session import Session
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Captured, Corrected, Logged, Record, Warned
from inscoper_mm.specimen import Specimen, SpecimenParameters

pytestmark = [pytest.mark.demo, pytest.mark.timeout(1200)]

SLICES = 7
DEPTH_OF_FIELD_UM = 2.0  # the specimen's; a pixel is 1 um
ORIENTATIONS = [(degrees, mirrored) for degrees in (0, 90, 180, 270) for mirrored in (False, True)]
IDS = [f"{degrees}{'m' if mirrored else ''}" for degrees, mirrored in ORIENTATIONS]

# From one time point to the next, of SLICES images and as many seconds: 0.8 px and 0.1 of a depth of field, or 0.07 px
# and 0.2 of it.
STEADY = {"x_um_per_s": 0.64 / SLICES, "y_um_per_s": -0.48 / SLICES, "z_um_per_s": 0.2 / SLICES}
SLOW = {"x_um_per_s": 0.07 / SLICES, "y_um_per_s": 0.0, "z_um_per_s": -0.4 / SLICES}
RANDOM = {"random_um": [5.6, 5.6, 0.4], "every_images": SLICES}
CELLS = {"motion": {"moving_fraction": 0.3, "speed_um_per_min": 6.0, "persistence_min": 1}}
BLEACHING = {"bleaching": {"imaging_per_ms": 2e-5}}


@dataclass
class Done:
    """A finished run, and the specimen's truth about it."""

    folder: Path
    records: list[Record]
    specimen: Specimen

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "tracks.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def corrections(self) -> list[Corrected]:
        return [record for record in self.records if isinstance(record, Corrected)]

    @property
    def log(self) -> str:
        return "\n".join(record.message for record in self.records if isinstance(record, Logged))

    @property
    def warnings(self) -> list[str]:
        return [text for record in self.records if isinstance(record, Warned) for text in record.warnings]

    @property
    def captured(self) -> list[dict[str, float]]:
        """Where stage and focus were at the middle slice of each time point."""
        places = [record.real_um for record in self.records if isinstance(record, Captured)]
        return places[SLICES // 2 :: SLICES]

    @property
    def moved_um(self) -> np.ndarray:
        """(T, 3): how far the specimen had moved by itself, since the first time point."""
        numbers = range(SLICES // 2, SLICES * len(self.captured), SLICES)
        moved = np.array([self.specimen.displacement_um(image=number) for number in numbers])
        return moved - [*moved[0, :2], 0]

    @property
    def away_px(self) -> np.ndarray:
        """(T,): how far the target is from its place in the image."""
        stage = np.array([[place["x"], place["y"]] for place in self.captured])
        return np.hypot(*(stage - stage[0] - self.moved_um[:, :2]).T)

    @property
    def defocus(self) -> np.ndarray:
        """(T,): how far the middle slice is from the focus, in depths of field."""
        heights = np.array([place["z"] for place in self.captured])
        return np.abs(heights - self.specimen.focus_um - self.moved_um[:, 2]) / DEPTH_OF_FIELD_UM


Track = Callable[..., Done]


@pytest.fixture
def track(microscope: Microscope, tmp_path: Path) -> Track:
    """Runs the library's script on a drifting specimen, in the middle 256 x 256 pixels of the camera."""
    core = microscope.core
    core.setROI(128, 128, 256, 256)

    def run(times: int = 20, place: str = "thread", on: bool = True, **specimen: Any) -> Done:
        parameters = specimen.pop("parameters", {})
        on_record = specimen.pop("on_record", lambda record: None)
        truth = {"seed": 5, "set_affine": True, "time": {"per_image_s": 1.0}, **specimen}
        script = {"correct_xy": on, "correct_z": on, **parameters}
        overrides = {
            "microscope.specimen": truth,
            "acquisition.channels": [{"config": "DAPI", "exposure": 20}],
            "corrections.focus.largest_total_um": 95,
            "acquisition.z_plan": {"range": SLICES - 1, "step": 1},
            "acquisition.time_plan": {"interval": 0, "loops": times},
            "scripts[0].parameters": script,
            "scripts[0].policy": {
                "slow": "wait",
                "error": "skip" if place == "worker" else "abort",
                "place": place,
            },
        }
        experiment = load_experiment(
            library_dir("configs") / "correlation_tracking_withZ.yaml",
            {key: json.dumps(value) for key, value in overrides.items()},
        )
        records: list[Record] = []

        def take(elapsed_s: float, record: Record) -> None:
            records.append(record)
            on_record(record)

        session = Session(experiment, tmp_path / "runs", take, None, microscope)
        result = session.run()
        assert result.folder is not None and result.state == "completed", result.error
        return Done(result.folder, records, Specimen(SpecimenParameters.from_mapping(truth)))

    yield run
    core.clearROI()


def camera(orientation: tuple[int, bool]) -> dict[str, Any]:
    return {"rotation_deg": orientation[0], "mirrored": orientation[1]}


# -- steady drift, cells on the move, bleaching


@pytest.mark.parametrize("orientation", [(0, False), (90, True)], ids=["0", "90m"])
def test_a_drifting_target_stays_in_its_place(track: Track, orientation: tuple[int, bool]) -> None:
    done = track(12, camera=camera(orientation), drift=STEADY, **CELLS, **BLEACHING)
    assert (done.away_px < 1.0).all(), done.away_px
    assert (done.defocus < 0.25).all(), done.defocus
    assert not any(row["refused"] for row in done.rows[1:])
    assert all(row["dz_um"] for row in done.rows)


def test_without_correction_it_leaves(track: Track) -> None:
    done = track(8, on=False, drift=STEADY, **CELLS, **BLEACHING)
    assert done.away_px == pytest.approx(0.8 * np.arange(8), abs=0.01)
    assert not done.corrections
    # It is measured all the same.
    seen = [math.hypot(float(row["shift_row_px"]), float(row["shift_col_px"])) for row in done.rows[1:]]
    assert seen == pytest.approx(list(done.away_px[1:]), abs=0.25)  # the slices of a stack drift, too


@pytest.mark.slow
@pytest.mark.parametrize(
    ("orientation", "drift"),
    [*((orientation, STEADY) for orientation in ORIENTATIONS), ((0, False), SLOW), ((270, True), SLOW)],
    ids=[*(f"{name}-steady" for name in IDS), "0-slow", "270m-slow"],
)
def test_200_time_points(track: Track, orientation: tuple[int, bool], drift: dict[str, float]) -> None:
    done = track(200, camera=camera(orientation), drift=drift, **CELLS, **BLEACHING)
    print(f"{done.away_px.max():.3f} px, {done.defocus.max():.3f} depths of field at most")
    assert np.mean(done.away_px < 1.0) >= 0.99
    assert np.mean(done.defocus < 0.25) >= 0.99


@pytest.mark.slow
def test_200_time_points_without_correction(track: Track) -> None:
    done = track(200, on=False, drift=STEADY, **CELLS, **BLEACHING)
    assert done.away_px[-1] > 128  # half of the field's width
    assert done.defocus[-1] > 10


# -- jumps and random steps


@pytest.mark.parametrize("jump", [(4.0, -3.0), (-12.0, 16.0)], ids=["5 px", "20 px"])
def test_after_a_jump_it_is_back_with_the_next_image(track: Track, jump: tuple[float, float]) -> None:
    jumps = [{"after_images": 4 * SLICES, "dx_um": jump[0], "dy_um": jump[1]}]
    done = track(8, drift={"x_um_per_s": 0.02}, jumps=jumps, **CELLS)
    assert done.away_px[4] == pytest.approx(math.hypot(*jump), abs=0.5)
    assert (np.delete(done.away_px, 4) < 1.0).all(), done.away_px


@pytest.mark.slow
@pytest.mark.parametrize("orientation", [(90, False), (180, True)], ids=["90", "180m"])
def test_random_steps_leave_no_more_than_the_last_one(track: Track, orientation: tuple[int, bool]) -> None:
    done = track(200, camera=camera(orientation), drift=RANDOM, **CELLS, **BLEACHING)
    steps = np.hypot(*np.diff(done.moved_um[:, :2], axis=0).T)
    left = done.away_px[1:] - steps
    print(f"steps up to {steps.max():.2f} px; at most {left.max():.3f} px more are left")
    assert (left <= 0.3).all(), left.max()
    off = track(200, on=False, camera=camera(orientation), drift=RANDOM, **CELLS, **BLEACHING)
    assert off.away_px.max() > 40


def test_a_few_random_steps(track: Track) -> None:
    done = track(10, drift=RANDOM, **CELLS)
    steps = np.hypot(*np.diff(done.moved_um[:, :2], axis=0).T)
    assert steps.max() > 3
    assert (done.away_px[1:] <= steps + 0.3).all()


# -- what must never move anything


def test_a_shutter_that_stays_closed_moves_nothing(track: Track) -> None:
    done = track(8, drift={"x_um_per_s": 0.02}, shutter_fails_after=4 * SLICES)
    dark = done.rows[4:]
    assert all("too little in common" in row["refused"] for row in dark), dark
    assert all(row["dx_um"] == "" and row["dz_um"] == "" for row in dark)
    assert any(text.startswith("no focus: ") for text in done.warnings)


def test_an_empty_field_moves_nothing(track: Track) -> None:
    done = track(6, cells_per_mm2=0, haze=0, drift=STEADY)
    assert not done.corrections
    assert all(row["refused"] for row in done.rows)


def test_a_target_that_has_left_moves_nothing(track: Track) -> None:
    done = track(8, jumps=[{"after_images": 4 * SLICES, "dx_um": 900, "dy_um": 700}])
    assert all(row["dx_um"] == "" for row in done.rows[4:])
    assert all("too little in common" in row["refused"] for row in done.rows[4:])
    assert [text.partition(":")[0] for text in done.warnings].count("not followed") == 4


def test_a_first_image_that_nothing_is_like_is_replaced(track: Track) -> None:
    """As when the lamp was off: the second and the third image are alike, the fourth is followed."""
    done = track(7, drift={"x_um_per_s": 0.05}, jumps=[{"after_images": SLICES, "dx_um": 900}])
    assert all("too little in common" in row["refused"] for row in done.rows[1:3])
    assert all(row["dx_um"] for row in done.rows[3:])
    assert any(text.startswith("new target: nothing was like the first image") for text in done.warnings)


def test_one_bad_image_after_a_good_first_one_changes_nothing(track: Track) -> None:
    """The second image shows another place; the third shows the first target again, 15 px aside."""
    jumps = [{"after_images": SLICES, "dx_um": 900}, {"after_images": 2 * SLICES, "dx_um": -891, "dy_um": 12}]
    done = track(6, jumps=jumps)
    assert done.away_px[2] == pytest.approx(15, abs=0.1)
    assert (done.away_px[3:] < 1.0).all(), done.away_px
    assert "WARNING" not in done.log


# -- the choices


@pytest.mark.parametrize(
    ("parameters", "within_px"),
    [
        ({"reference": "first"}, 0.3),
        ({"reference": "previous"}, 0.6),
        ({"method": "phase_correlation"}, 1.0),
        ({"sub_pixel": False}, 1.0),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_every_way_to_measure_follows(track: Track, parameters: dict[str, Any], within_px: float) -> None:
    done = track(8, drift={"random_um": [3, 3, 0], "every_images": SLICES}, parameters=parameters)
    steps = np.hypot(*np.diff(done.moved_um[:, :2], axis=0).T)
    assert steps.max() > 2
    assert (done.away_px[1:] <= steps + within_px).all(), done.away_px[1:] - steps


def test_a_target_too_far_away_is_refused(track: Track) -> None:
    jumps = [{"after_images": 3 * SLICES, "dx_um": 12, "dy_um": 0}]
    done = track(5, jumps=jumps, parameters={"max_shift_um": 8})
    assert "more than the allowed 8 px" in done.rows[3]["refused"]
    assert done.away_px[-1] == pytest.approx(12, abs=0.5)


def test_the_motion_mask_has_the_cells_that_move(track: Track) -> None:
    import tifffile

    still = track(4, drift=STEADY)
    moving = track(
        4, drift=STEADY, motion={"moving_fraction": 0.3, "speed_um_per_min": 40, "persistence_min": 5}
    )

    def masks(done: Done) -> list[Any]:
        files = sorted((done.folder / "results").glob("**/motion_mask/*.tif"))
        return [tifffile.imread(file) > 0 for file in files]

    assert len(masks(still)) == len(masks(moving)) == 3
    assert not any(mask.any() for mask in masks(still))
    assert all(0.005 < mask.mean() < 0.2 for mask in masks(moving))


@pytest.mark.slow
@pytest.mark.parametrize("at_slice", [1, SLICES - 1], ids=["between calls", "in a call"])
def test_after_its_process_was_killed_the_target_is_the_same(track: Track, at_slice: int) -> None:
    """Killed one image after a jump was seen: the correction holds already and must not be made twice."""

    def kill(record: Record) -> None:
        if isinstance(record, Captured) and (record.index["time"], record.index["focus"]) == (5, at_slice):
            for process in psutil.Process().children(recursive=True):
                if "worker_main" in " ".join(process.cmdline()):
                    process.kill()

    jumps = [{"after_images": 4 * SLICES, "dx_um": -12, "dy_um": 16}]
    done = track(10, place="worker", drift={"x_um_per_s": 0.02}, jumps=jumps, on_record=kill)
    assert "goes on with the reference that it had" in done.log
    assert done.away_px[4] == pytest.approx(20, abs=0.5)
    assert (np.delete(done.away_px, 4) < 1.0).all(), done.away_px
    assert len(done.rows) >= 9
