"""Tracks of whole runs on the virtual specimen: the Cell Tracking Challenge's measures, missing images, and kills."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tifffile

from inscoper_mm.acquisition.session import Session
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.output.ctc_export import export_ctc, write_ctc
from inscoper_mm.records import Captured, Record
from inscoper_mm.testing.ctc_scores import ctc_scores

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]
NAME = "cell_population_tracking"
needs_ctc = pytest.mark.skipif(find_spec("ctc_metrics") is None, reason="py-ctcmetrics is not installed")

# Two positions in turn, five minutes from one time point to the next: 6 um of drift, random steps, and jumps of 40 um
# every fourth time point.
HARD = {
    "seed": 7,
    "cells_per_mm2": 200,
    "set_affine": True,
    "time": {"per_image_s": 150},
    "motion": {"speed_um_per_min": 0.5, "persistence_min": 20},
    "division": {"cycle_h": 8, "mitosis_min": 30},
    "death": {"per_h": 0.01},
    "drift": {"x_um_per_s": 0.016, "y_um_per_s": -0.012, "random_um": [2, 2, 0]},
    "jumps": [{"after_images": n, "dx_um": 32 * (-1) ** n, "dy_um": -24} for n in (7, 16, 23, 32)],
    "write_truth": True,
}


@dataclass
class Tracked:
    """A finished run."""

    folder: Path
    status: int

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "tracks.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """The label images by the stem of their image."""
        files = sorted((self.folder / "results" / NAME / "segmentation").glob("*.tif"))
        return {path.stem: tifffile.imread(path) for path in files}

    def truth(self, stem: str) -> np.ndarray:
        """(Y, X): the number of the true cell at each pixel, the same in every image; without slivers at the border."""
        labels = tifffile.imread(self.folder / "truth" / f"{stem}_nuclei.tif")
        number = np.zeros(int(labels.max()) + 1, np.int64)
        for cell in self._cells:
            if cell["stem"] == stem and int(cell["label"]) < len(number):
                number[int(cell["label"])] = self._number(cell["id"])
        number[np.bincount(labels.ravel()) < SLIVER_PX] = 0
        return number[labels]

    def parents(self) -> dict[int, int]:
        return {
            self._number(cell["id"]): self._number(cell["parent"]) for cell in self._cells if cell["parent"]
        }

    def __post_init__(self) -> None:
        with (self.folder / "truth" / "cells.csv").open(encoding="utf-8", newline="") as file:
            self._cells = list(csv.DictReader(file))
        self._names: dict[str, int] = {}

    def _number(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names) + 1)

    def scores(self, folder: Path) -> list[dict[str, float]]:
        """TRA and its parts, position by position."""
        found = []
        for number, result in enumerate(export_ctc(self.folder, folder)):
            stems = [stem for stem in self.labels if f"_p{number:03d}_" in stem]
            truth = result.with_name(result.name.replace("RES", "GT"))
            write_ctc(truth / "TRA", map(self.truth, stems), self.parents(), kind="GT")
            found.append(ctc_scores(result, truth))
        return found

    def kept_share(self) -> float:
        """The share of the cells found in one image and the next one of their position that keep their track."""
        kept, before = [], dict[str, dict[int, int]]()
        for stem, labels in self.labels.items():
            position, truth, tracks = stem[5:9], self.truth(stem), {}
            for cell in np.unique(truth[truth > 0]).tolist():
                here = labels[truth == cell]
                track = int(np.bincount(here).argmax())
                if track and 2 * np.count_nonzero(here == track) > here.size:
                    tracks[cell] = track
            was = before.get(position, {})
            kept += [tracks[cell] == was[cell] for cell in tracks.keys() & was.keys()]
            before[position] = tracks
        return float(np.mean(kept))


SLIVER_PX = 20
Run = Callable[..., Tracked]


@pytest.fixture
def tracked(microscope: Microscope, tmp_path: Path) -> Run:
    """Runs the library's script: ``tracked(times, place=..., on_record=..., **parameters)``."""
    count = iter(range(100))

    def run(
        times: int = 12,
        place: str = "thread",
        config: str = NAME,
        specimen: dict[str, Any] | None = None,
        on_record: Callable[[Record], None] = lambda record: None,
        in_a_queue: bool = False,
        **parameters: Any,
    ) -> Tracked:
        overrides = {
            "microscope.specimen": specimen or HARD,
            "acquisition.time_plan": {"interval": 0, "loops": times},
            "scripts[0].policy": {
                "slow": "wait",
                "error": "skip" if place == "worker" else "abort",
                "place": place,
            },
            "device_error": {"retries": 0, "then": "skip_event"},
        }
        if in_a_queue:
            overrides["scripts[0].async"] = True
            overrides["scripts[0].policy"] = {"slow": {"queue": 4}, "error": "skip", "place": place}
        overrides |= {f"scripts[0].parameters.{name}": value for name, value in parameters.items()}
        experiment = load_experiment(
            library_dir("configs") / f"{config}.yaml",
            {key: json.dumps(value) for key, value in overrides.items()},
        )
        output = tmp_path / f"runs{next(count)}"
        session = Session(experiment, output, lambda elapsed_s, record: on_record(record), None, microscope)
        result = session.run()
        assert result.folder is not None and result.state == "completed", result.error
        return Tracked(result.folder, result.exit_status)

    return run


def failing_snaps(microscope: Microscope, patch: pytest.MonkeyPatch, bad: set[int]) -> None:
    """The camera fails at the snaps of these numbers."""
    real, count = microscope.core.snap_image, iter(range(10**6))

    def snap() -> None:
        if next(count) in bad:
            raise RuntimeError("camera unplugged")
        real()

    patch.setattr(microscope.core, "snap_image", snap)


def test_a_run_with_missing_images_is_one_table_without_doubles(
    tracked: Run, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_snaps(microscope, monkeypatch, {5, 8})
    done = tracked(6)
    assert done.status == 3
    assert len(done.labels) == 12 - 2
    assert not list(done.folder.glob("results/**/tracks.csv"))
    keys = [(row["position"], row["time"], row["track_id"]) for row in done.rows]
    assert len(keys) == len(set(keys)) == sum(len(np.unique(labels)) - 1 for labels in done.labels.values())
    assert {row["position_name"] for row in done.rows} == {"A", "B"}
    owners = {}
    for row in done.rows:
        assert owners.setdefault(row["track_id"], row["position"]) == row["position"]
    assert done.kept_share() >= 0.97


@pytest.mark.slow
@needs_ctc
def test_the_challenges_measure_of_tracking_through_drift_and_jumps(tracked: Run, tmp_path: Path) -> None:
    with_it = tracked(24).scores(tmp_path / "on")
    without = tracked(24, compensate_drift=False).scores(tmp_path / "off")
    print(with_it, without, sep="\n")
    for on, off in zip(with_it, without, strict=True):
        assert on["TRA"] >= 0.99
        assert on["LNK"] >= 0.975
        # The same cells are found; what is lost are links.
        assert off["DET"] == on["DET"]
        assert off["LNK"] <= on["LNK"] - 0.1


@pytest.mark.slow
@needs_ctc
def test_stacks_are_tracked_as_well(tracked: Run, tmp_path: Path) -> None:
    specimen = HARD | {
        "time": {"per_image_s": 60},
        "jumps": [],
        "drift": {"x_um_per_s": 0.01, "z_um_per_s": 0.0005},
    }
    done = tracked(10, config=f"{NAME}_3d", specimen=specimen)
    # The truth is that of the middle slice; the labels of the stacks are seen from above.
    for path in done.folder.glob(f"results/{NAME}/segmentation_stack/*.tif"):
        path.unlink()
    for stem in list(done.labels):
        middle = stem.replace("z004", "z002")
        nuclei = done.folder / "truth" / f"{middle}_nuclei.tif"
        nuclei.replace(done.folder / "truth" / f"{stem}_nuclei.tif")
    done._cells = [
        cell | {"stem": cell["stem"].replace("z002", "z004")}
        for cell in done._cells
        if "z002" in cell["stem"]
    ]
    (scores,) = done.scores(tmp_path / "ctc")
    print(scores)
    assert scores["TRA"] >= 0.97
    heights = np.array([float(row["z_corrected_um"]) for row in done.rows])
    assert np.std(heights) < 0.5


@pytest.mark.slow
def test_after_its_process_was_killed_the_tracks_go_on(tracked: Run) -> None:
    """Killed when an image of the first position was taken: its call is lost, and nothing else is."""

    def kill(record: Record) -> None:
        if isinstance(record, Captured) and (record.index["time"], record.index["position"]) == (4, 0):
            for process in psutil.Process().children(recursive=True):
                if "worker_main" in " ".join(process.cmdline()):
                    process.kill()

    whole = tracked(8, place="worker")
    done = tracked(8, place="worker", on_record=kill)
    missing = whole.labels.keys() - done.labels.keys()
    assert missing <= {"t004_p000_c0_z000"}
    keys = [(row["position"], row["time"], row["track_id"]) for row in done.rows]
    assert len(keys) == len(set(keys))
    assert done.kept_share() >= 0.97
    # The position that was not hit has the very same tracks, under other numbers.
    pairs = set()
    for stem in done.labels:
        if "_p001_" in stem:
            pairs |= set(
                zip(whole.labels[stem].ravel().tolist(), done.labels[stem].ravel().tolist(), strict=True)
            )
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


@pytest.mark.slow
def test_while_the_acquisition_goes_on_the_tracks_are_the_same(tracked: Run) -> None:
    waited, queued = tracked(6), tracked(6, place="worker", in_a_queue=True)
    assert waited.labels.keys() == queued.labels.keys()
    for stem, labels in waited.labels.items():
        assert np.array_equal(labels, queued.labels[stem]), stem
    assert [row["track_id"] for row in waited.rows] == [row["track_id"] for row in queued.rows]


@pytest.mark.slow
@pytest.mark.cellpose
@pytest.mark.skipif(find_spec("cellpose") is None, reason="cellpose is not installed")
@needs_ctc
def test_with_cellpose(tracked: Run, tmp_path: Path) -> None:
    scores = tracked(12, place="worker", method="cellpose", gpu="no").scores(tmp_path / "ctc")
    print(scores)
    # The small network misses some of these small nuclei; those that it finds are linked as well.
    assert min(each["TRA"] for each in scores) >= 0.9
