"""FRAP through real runs: find cells, fire at them, follow the recovery, fit it; the specimen knows the answer."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from inscoper_mm.acquisition.session import Session
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Fired, Record

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]

MOBILE, HALF_TIME_S = 0.7, 10.0
# Cells of this specimen have some 90 photo-electrons in a pixel.
SIGNAL_OF_200_PHOTONS = 2.2


@dataclass
class Done:
    """A finished run."""

    folder: Path
    records: list[Record]

    @property
    def answer(self) -> dict[str, Any]:
        (line,) = (self.folder / "results" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        return json.loads(line)["values"]

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "recovery.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def fires(self) -> list[Fired]:
        return [record for record in self.records if isinstance(record, Fired)]


@pytest.fixture
def frap(microscope: Microscope, tmp_path: Path) -> Callable[..., Done]:
    """Runs the example with some values changed."""

    def run(**changes: object) -> Done:
        overrides = {"scripts[0].policy": "{slow: wait, error: abort, place: thread}"}
        overrides |= {KEYS[name]: json.dumps(value) for name, value in changes.items()}
        experiment = load_experiment(library_dir("configs") / "roi_manipulation.yaml", overrides)
        records: list[Record] = []
        session = Session(
            experiment, tmp_path / "runs", lambda elapsed_s, record: records.append(record), None, microscope
        )
        result = session.run()
        assert result.folder is not None and result.state == "completed", result.error
        return Done(result.folder, records)

    return run


KEYS = {
    "cells": "scripts[0].parameters.most_cells",
    "fire": "scripts[0].parameters.fire",
    "fire_at": "scripts[0].parameters.fire_at",
    "part": "scripts[0].parameters.part",
    "size_um": "scripts[0].parameters.size_um",
    "images": "acquisition.time_plan.loops",
    "z_plan": "acquisition.z_plan",
    "noise": "microscope.specimen.camera.noise",
    "signal": "microscope.specimen.signal",
    "seed": "microscope.specimen.seed",
    "mobile": "microscope.specimen.bleaching.mobile_fraction",
    "half_time_s": "microscope.specimen.bleaching.half_time_s",
}


def errors(done: Done, mobile: float = MOBILE, half_time_s: float = HALF_TIME_S) -> tuple[Any, Any]:
    """Relative errors of the cells' mobile fractions and half-times."""
    assert not any(done.answer["REFUSED"]), done.answer["REFUSED"]
    return (
        np.array(done.answer["MOBILE_FRACTIONS"]) / mobile - 1,
        np.array(done.answer["HALF_TIMES_S"]) / half_time_s - 1,
    )


def test_without_noise_each_cell_is_within_5_percent(frap: Callable[..., Done]) -> None:
    done = frap(cells=3, noise=0, fire_at=2, images=36)
    (fired,) = done.fires
    assert fired.frame == "t002_p000_c0_z000" and len(fired.regions) == 3
    for error in errors(done):
        assert len(error) == 3 and np.abs(error).max() < 0.05
    # What was measured is all there, in the table and in the picture.
    assert len(done.rows) == 3 * 36
    (dark,) = [row for row in done.rows if row["image"] == "3" and row["cell"] == "1"]
    assert float(dark["since_fire_s"]) == 1.0 and float(dark["normalised"]) < 0.3
    assert [row["fitted"] for row in done.rows if int(row["image"]) <= 2] == [""] * 9
    areas = tifffile.imread(done.folder / "regions.tif")
    assert areas.shape == (3, 512, 512) and areas.max() == 3
    assert (done.folder / "recovery.png").stat().st_size > 20_000
    published = (done.folder / "results/roi_manipulation/roi.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(published) == 36


def test_without_firing_nothing_recovers(frap: Callable[..., Done]) -> None:
    done = frap(cells=3, fire=False, fire_at=2, images=14)
    assert not done.fires
    assert done.answer["MOBILE_FRACTIONS"] == [None] * 3
    assert all("nothing was bleached" in reason for reason in done.answer["REFUSED"])
    assert "nothing was bleached" in (done.folder / "log.txt").read_text(encoding="utf-8")


def test_of_a_stack_the_middle_slice_is_fired_at_once(frap: Callable[..., Done]) -> None:
    done = frap(cells=1, fire_at=1, images=12, noise=0, z_plan={"range": 2, "step": 1})
    assert [fired.frame for fired in done.fires] == ["t001_p000_c0_z001"]
    assert [row["image"] for row in done.rows] == [str(time) for time in range(12)]
    assert done.answer["MEAN"] is not None


CLOCK = """\
def fetch_images(new_image: "images"):
    return [{}] if new_image.metadata["timeIndex"] == 1 else []

def fire(images: "images", context: "IIS_CONTEXT"):
    done = context.fireOnDemand({"type": "point", "points": [[256, 256]]}, duration_ms=40)
    return {"metadata": {"END_MS": done["elapsedTime_ms"], "LASTED_S": done["end_s"] - done["begin_s"]}}
"""


def test_the_end_of_a_fire_is_told_by_the_clock_of_the_images(lab: Any) -> None:
    ran = lab(
        CLOCK,
        acquisition=(
            "acquisition: {channels: [{config: DAPI, exposure: 5}], stage_positions: [{x: 0, y: 0, z: 0}], "
            "time_plan: {interval: 0, loops: 3}}"
        ),
        microscope=f"{{backend: demo, calibrations: ['{_calibration()}']}}",
    )
    images = {index.time: tags for index, tags in ran.stored().items()}
    end_ms = images[1]["END_MS"]
    assert images[1]["ElapsedTime-ms"] + 40 <= end_ms <= images[2]["ElapsedTime-ms"] - 5
    assert images[1]["LASTED_S"] >= 0.04


@pytest.mark.slow
def test_a_recovery_that_is_not_followed_to_its_end_is_refused(frap: Callable[..., Done]) -> None:
    done = frap(cells=3, fire_at=2, images=30, half_time_s=60)
    assert all("no plateau" in reason for reason in done.answer["REFUSED"])


@pytest.mark.slow
@pytest.mark.parametrize("part", ["spot", "half", "rim"])
@pytest.mark.parametrize(("mobile", "half_time_s"), [(0.7, 10.0), (0.4, 6.0)])
def test_ten_cells_are_within_5_percent_without_noise_and_within_10_at_200_photons(
    frap: Callable[..., Done], part: str, mobile: float, half_time_s: float
) -> None:
    for most, changes in ((0.05, {"noise": 0}), (0.10, {"signal": SIGNAL_OF_200_PHOTONS})):
        size_um = 2 if part == "rim" else 6
        done = frap(part=part, size_um=size_um, mobile=mobile, half_time_s=half_time_s, **changes)
        for error in errors(done, mobile, half_time_s):
            assert len(error) == 10 and abs(error.mean()) < most
            print(
                f"{part} {mobile} {half_time_s} {changes}: {error.mean():+.4f}, worst {np.abs(error).max():.4f}"
            )


@pytest.mark.slow
def test_by_the_clock_it_is_the_same(
    microscope: Microscope, frap: Callable[..., Done], tmp_path: Path
) -> None:
    """The specimen recovers in real time, and the images' own times count."""
    text = (library_dir("configs") / "roi_manipulation.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("time: {per_image_s: 1}", ""),
        ("      seconds_per_image: 1\n", ""),
        ("half_time_s: 10", "half_time_s: 3"),
        ("interval: 0, loops: 70", "interval: 0.25, loops: 70"),
        ("most_cells: 10", "most_cells: 4"),
        ("duration_ms: 4", "duration_ms: 8"),
    ):
        assert old in text
        text = text.replace(old, new)
    file = library_dir("configs") / "roi_manipulation.yaml"
    copy = tmp_path / "clock.yaml"
    copy.write_text(text.replace("[demo_galvo_10x.yaml]", f"['{_calibration()}']"), encoding="utf-8")
    assert file.exists()
    result = Session(load_experiment(copy), tmp_path / "runs", lambda s, record: None, None, microscope).run()
    assert result.folder is not None
    for error in errors(Done(result.folder, []), half_time_s=3.0):
        assert abs(error.mean()) < 0.10


def _calibration() -> str:
    return (library_dir("mm_demo_config") / "demo_galvo_10x.yaml").as_posix()
