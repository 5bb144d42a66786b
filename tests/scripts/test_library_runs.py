"""Every example experiment, run by the command line on the real demo devices, and the seed's rows of the library."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import read_entry, read_index
from inscoper_mm.library import library_dir, library_scripts
from inscoper_mm.output.journal import read_journal
from inscoper_mm.scripting.describe import describe
from inscoper_mm.scripting.loader import load_script
from inscoper_mm.scripting.spec import ScriptSpec
from inscoper_mm.specimen import Specimen, SpecimenParameters

pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")
pytestmark = [pytest.mark.demo, pytest.mark.slow, pytest.mark.timeout(1200)]

CONFIGS = {path.name: path for path in sorted(library_dir("configs").glob("*.yaml"))}


@dataclass(frozen=True)
class Done:
    """A finished run."""

    folder: Path
    printed: str

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))

    @property
    def journal(self) -> list[dict[str, Any]]:
        return list(read_journal(self.folder / "events.jsonl"))

    @property
    def images(self) -> dict[Index, tuple[Any, dict[str, Any]]]:
        folder = self.folder / "images"
        return {index: read_entry(folder, entry) for index, entry in read_index(folder).items()}

    def answers(self) -> dict[Index, dict[str, Any]]:
        """What scripts injected, as it stands in the metadata of the images themselves."""
        lines = (self.folder / "results" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        images = self.images
        found = {}
        for line in map(json.loads, lines):
            index = Index(**line["index"])
            found[index] = {key: images[index][1][key] for key in line["values"]}
        return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Done]:
    """Runs a configuration once for all tests of this module."""
    done: dict[tuple[str, ...], Done] = {}

    def once(config: str, *changes: str) -> Done:
        key = (config, *changes)
        if key not in done:
            output = tmp_path_factory.mktemp("runs")
            sets = [part for change in changes for part in ("--set", change)]
            command = [
                sys.executable,
                "-m",
                "inscoper_mm.cli",
                "run",
                str(CONFIGS[config]),
                "-o",
                str(output),
                *sets,
            ]
            result = subprocess.run(command, capture_output=True, text=True, timeout=1000, check=False)
            assert result.returncode == 0, result.stdout + result.stderr
            (folder,) = output.iterdir()
            done[key] = Done(folder, result.stdout)
        return done[key]

    return once


# planned images, processed calls, images with answers
EXPECTED = {
    "autofocus.yaml": (150, 6, 0),
    "background_model.yaml": (32, 32, 0),
    "autofocus_search.yaml": None,
    "autofocus_streaming.yaml": (108, 102, 0),
    "cell_population_tracking.yaml": (48, 48, 48),
    "cell_population_tracking_3d.yaml": (60, 12, 12),
    "correlation_tracking_withZ.yaml": (210, 30, 0),
    "demo.yaml": (18, 18, 12),
    "input_types.yaml": None,
    "minimal.yaml": None,
    "plate_screen.yaml": (384, 384, 384),
    "roi_manipulation.yaml": (70, 70, 1),
    "scan_and_zoom.yaml": (62, 2, 2),
    "single_cell_screening.yaml": (8, 4, 4),
    "single_cell_screening_no_ai.yaml": (16, 8, 8),
    "test_python_env.yaml": (2, 1, 0),
    "time_lapse_demo_config.yaml": None,
    "two_scripts.yaml": (84, 12, 6),
}


def test_every_configuration_has_its_expectation() -> None:
    assert set(CONFIGS) == set(EXPECTED)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_configuration_runs_cleanly(run: Callable[..., Done], config: str) -> None:
    report = run(config).report
    counts = report["counts"]
    assert report["state"] == "completed"
    assert report["errors"] == []
    assert counts["planned"] == counts["captured"] == counts["stored"] > 0
    assert counts["processed"] > 0
    assert counts["failed"] == counts["dropped"] == counts["skipped_plan"] == 0
    if expected := EXPECTED[config]:
        assert (counts["planned"], counts["processed"], counts["injected"]) == expected


@pytest.mark.parametrize("config", CONFIGS)
def test_every_configuration_passes_its_check(config: str) -> None:
    command = [sys.executable, "-m", "inscoper_mm.cli", "check", str(CONFIGS[config]), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["ok"]
    assert all(script["processed"] > 0 for script in report["scripts"])


def test_screening_leaves_crops_answers_and_labels(run: Callable[..., Done]) -> None:
    done = run("single_cell_screening_no_ai.yaml")
    crops = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((done.folder / "crops").glob("*.json"))
    ]
    answers = done.answers()
    assert len(answers) == 8
    assert len(crops) == sum(answer["NBR_OF_CELLS"] for answer in answers.values()) > 100
    for answer in answers.values():
        assert len(answer["ROI_POINTS"]) == answer["NBR_OF_CELLS"]
        assert answer["AREA_UNIT"] == "um2"
        assert 10 < answer["MEDIAN_CELL_AREA"] < 500
    for index in answers:
        labels = tifffile.imread(
            done.folder / f"results/single_cell_screening_no_ai/segmentation/{index.stem}.tif"
        )
        assert labels.shape == (512, 512)
        assert len(np.unique(labels)) - 1 >= answers[index]["NBR_OF_CELLS"]


def test_a_crop_is_the_part_of_its_image_that_it_names(run: Callable[..., Done]) -> None:
    done = run("single_cell_screening_no_ai.yaml")
    images = done.images
    for path in sorted((done.folder / "crops").glob("*.json"))[:20]:
        crop = json.loads(path.read_text(encoding="utf-8"))
        row0, col0, row1, col1 = crop["bbox"]
        pixels, _ = images[Index(**crop["index"])]
        assert np.array_equal(tifffile.imread(path.with_suffix(".tif")), pixels[row0:row1, col0:col1])


def test_screening_finds_the_specimens_isolated_cells(run: Callable[..., Done]) -> None:
    done = run("single_cell_screening_no_ai.yaml", "microscope.specimen.write_truth=true")
    with (done.folder / "truth" / "cells.csv").open(encoding="utf-8", newline="") as file:
        truth = list(csv.DictReader(file))
    isolated = found = false = crops_in_all = 0
    for index in done.answers():
        nuclei = tifffile.imread(done.folder / "truth" / f"{index.stem}_nuclei.tif")
        wanted = {
            int(c["label"])
            for c in truth
            if c["stem"] == index.stem and c["isolated"] == c["whole"] == "True"
        }
        hit = set()
        crops = sorted((done.folder / "crops").glob(f"{index.stem}_*.json"))
        labels = tifffile.imread(
            done.folder / f"results/single_cell_screening_no_ai/segmentation/{index.stem}.tif"
        )
        for path in crops:
            cell = labels == json.loads(path.read_text(encoding="utf-8"))["label"]
            true = np.bincount(nuclei[cell]).argmax() if cell.any() else 0
            overlap = np.count_nonzero(cell & (nuclei == true)) / np.count_nonzero(cell | (nuclei == true))
            if true and overlap >= 0.5:
                hit.add(int(true))
            else:
                false += 1
        isolated += len(wanted)
        found += len(wanted & hit)
        crops_in_all += len(crops)
    assert isolated > 100
    assert found >= 0.90 * isolated
    assert false <= 0.05 * crops_in_all


def test_a_plate_of_96_wells_is_counted_within_3_percent_of_the_truth(run: Callable[..., Done]) -> None:
    """Cells of the specimen whose nucleus has its middle in one of the 384 fields."""
    done = run("plate_screen.yaml")
    about = load_experiment(CONFIGS["plate_screen.yaml"]).microscope.specimen
    specimen = Specimen(SpecimenParameters.from_mapping(about))
    truth, found = {}, {index: answer["CELLS_FOUND"] for index, answer in done.answers().items()}
    for line in done.journal:
        if line["type"] == "captured":
            x_um, y_um = line["real_um"]["x"], line["real_um"]["y"]
            near = specimen.cells_at(0, (x_um - 300, y_um - 300, x_um + 300, y_um + 300))
            truth[Index(**line["index"])] = sum(
                max(abs(cell.x_um + cell.nucleus_um[0] - x_um), abs(cell.y_um + cell.nucleus_um[1] - y_um))
                < 256
                for cell in near
            )
    assert found.keys() == truth.keys()
    assert len(found) == 384
    total = sum(truth.values())
    assert total > 13_000
    assert sum(found.values()) == pytest.approx(total, rel=0.03)
    with (done.folder / "plate.csv").open(encoding="utf-8", newline="") as file:
        wells = list(csv.DictReader(file))
    assert len(wells) == 96
    assert sum(int(well["cells_found"]) for well in wells) == sum(found.values())
    columns = np.reshape([float(well["cells_found_per_field"]) for well in wells], (8, 12)).mean(axis=0)
    assert (np.diff(columns) < 0).all()
    assert columns[-1] < 0.1
    assert (done.folder / "plate.png").stat().st_size > 50_000


def test_the_light_of_the_specimen_is_learned_and_taken_off(run: Callable[..., Done]) -> None:
    done = run("background_model.yaml")
    along = (np.arange(512) - 255.5) / 255.5
    falloff = 0.6
    truth = 1 - falloff * (along[:, None] ** 2 + along[None, :] ** 2) / 2

    def unevenness(light: Any) -> float:
        return float(np.std(light / light.mean()))

    learned = tifffile.imread(done.folder / "background.tif") - 100
    # Haze, half as strong as the light and another one in each field, is what the 16 fields do not agree on.
    assert unevenness(truth / learned) < 0.4 * unevenness(truth)
    for index, (raw, _) in done.images.items():
        if index.time == 1:
            even = tifffile.imread(done.folder / f"results/background_model/normalized/{index.stem}.tif")
            assert np.allclose(even, (raw - 100.0) / (learned / learned.mean()), rtol=1e-3, atol=0.1)


def true_focus(done: Done) -> dict[str, float]:
    with (done.folder / "truth" / "views.csv").open(encoding="utf-8", newline="") as file:
        return {row["stem"]: float(row["true_focus_um"]) for row in csv.DictReader(file)}


def stack_centres(done: Done) -> dict[tuple[int, int], float]:
    """The real centre of each stack by time and position."""
    z_um: dict[tuple[int, int], list[float]] = {}
    for line in done.journal:
        if line["type"] == "captured":
            z_um.setdefault((line["index"]["time"], line["index"]["position"]), []).append(
                line["real_um"]["z"]
            )
    return {key: float(np.mean(values)) for key, values in z_um.items()}


def test_autofocus_is_back_after_a_jump_of_five_depths_of_field(run: Callable[..., Done]) -> None:
    done = run("autofocus.yaml", "microscope.specimen.write_truth=true")
    focus, centres = true_focus(done), stack_centres(done)
    depth_um = 2.0
    jumped = focus["t002_p000_c0_z000"] - focus["t000_p000_c0_z000"]
    assert abs(jumped) == pytest.approx(5 * depth_um)
    for position in (0, 1):
        # One stack sees the jump, and the next one is back.
        assert abs(centres[1, position] - focus[f"t001_p{position:03d}_c0_z000"]) > 4 * depth_um
        assert abs(centres[2, position] - focus[f"t002_p{position:03d}_c0_z000"]) <= 0.25 * depth_um
    assert "best" in (done.folder / "log.txt").read_text(encoding="utf-8").lower()


def test_without_the_correction_the_stacks_stay_out_of_focus(run: Callable[..., Done]) -> None:
    done = run(
        "autofocus.yaml",
        "microscope.specimen.write_truth=true",
        "scripts[0].parameters.max_correction_um=0.01",
    )
    focus, centres = true_focus(done), stack_centres(done)
    for position in (0, 1):
        assert abs(centres[2, position] - focus[f"t002_p{position:03d}_c0_z000"]) > 4 * 2.0


def focus_errors(done: Done, channel: int) -> dict[tuple[int, int], float]:
    """By time and position of the planned single images of a channel: how far they were from their focus, in um."""
    focus = true_focus(done)
    return {
        (line["index"]["time"], line["index"]["position"]): line["real_um"]["z"]
        - focus[Index(**line["index"]).stem]
        for line in done.journal
        if line["type"] == "captured"
        and line["event"].startswith("e")
        and line["index"]["channel"] == channel
    }


def test_a_search_finds_the_focus_from_ten_depths_of_field_and_follows_its_drift(
    run: Callable[..., Done],
) -> None:
    """The focus drifts by 0.05 um with each image, those of the search itself included."""
    done = run("autofocus_search.yaml", "microscope.specimen.write_truth=true")
    errors = focus_errors(done, 0)
    assert {abs(errors[0, position]) > 19 for position in (0, 1)} == {True}
    later = [abs(error) for (time, _), error in errors.items() if time > 0]
    assert len(later) == 8
    # What is drifted while the other position is searched is not known yet: 0.8 um after the first time point's.
    assert max(later) <= 0.5 * 2.0
    counts = done.report["counts"]
    assert counts["added"] <= 2 * 10 + 8 * 5


def test_without_the_search_the_focus_is_lost(run: Callable[..., Done]) -> None:
    done = run(
        "autofocus_search.yaml",
        "microscope.specimen.write_truth=true",
        "scripts[0].parameters.max_correction_um=0.01",
    )
    assert min(abs(error) for error in focus_errors(done, 0).values()) > 19


def test_another_channel_is_in_focus_by_its_offset_while_the_focus_drifts(run: Callable[..., Done]) -> None:
    done = run("autofocus_streaming.yaml", "microscope.specimen.write_truth=true")
    errors = focus_errors(done, 1)
    assert len(errors) == 6
    # A stack lasts 17 images of 0.02 um: its middle is known 8 images, and the channel taken 9 images later.
    assert max(abs(error) for error in errors.values()) <= 0.1 * 2.0 + 0.02 * 9
    dapi_only = run(
        "autofocus_streaming.yaml",
        "microscope.specimen.write_truth=true",
        "scripts[0].parameters.channel_offset_um=0",
    )
    assert min(abs(error) for error in focus_errors(dapi_only, 1).values()) > 0.5 - 0.1
    off = run(
        "autofocus_streaming.yaml",
        "microscope.specimen.write_truth=true",
        "scripts[0].parameters.max_correction_um=0.01",
    )
    assert abs(focus_errors(off, 1)[5, 0]) > 2.0


def _sharpness(pixels: Any) -> float:
    """Variance of the slope, once noise is smoothed away."""
    smooth = ndimage.gaussian_filter(pixels.astype(float), 2.0)
    return float(np.var(np.diff(smooth, axis=0)) + np.var(np.diff(smooth, axis=1)))


def zoomed(done: Done) -> list[tuple[float, int]]:
    """Of each cell that was looked at with 40x: how far off centre it is in um, and which slice is the sharpest."""
    stacks: dict[int, dict[int, tuple[Any, dict[str, Any]]]] = {}
    for index, image in done.images.items():
        if index.position >= 2 and index.channel == 0:
            stacks.setdefault(index.position, {})[index.focus] = image
    found = []
    for stack in stacks.values():
        pixels, tags = stack[len(stack) // 2]
        assert tags["PixelSize_um"] == 0.25
        labels = segment_cells(pixels)
        table = measure_cells(labels, pixels)
        rows, cols = (np.array(table[f"centroid_{axis}_px"]) for axis in ("row", "col"))
        off_px = float(np.hypot(rows - 256, cols - 256).min()) if len(rows) else 999.0
        sharpness = [_sharpness(stack[focus][0]) for focus in sorted(stack)]
        found.append((0.25 * off_px, int(np.argmax(sharpness))))
    return found


def test_what_was_found_at_10x_is_in_the_middle_and_in_focus_at_40x(run: Callable[..., Done]) -> None:
    done = run("scan_and_zoom.yaml")
    cells = zoomed(done)
    assert len(cells) == 6
    assert max(off_um for off_um, _ in cells) < 1.5
    assert {slice_number for _, slice_number in cells} == {2}
    # The scan goes on where it was, with 10x.
    (last,) = [tags for index, (_, tags) in done.images.items() if index.position == 1]
    assert last["PixelSize_um"] == 1.0
    assert last["ZPosition_um"] == pytest.approx(0.0, abs=0.05)


def test_without_the_objectives_offsets_it_is_neither(run: Callable[..., Done]) -> None:
    done = run("scan_and_zoom.yaml", "microscope.objectives.40X={x_um: 0}")
    cells = zoomed(done)
    assert np.median([off_um for off_um, _ in cells]) > 5
    assert all(slice_number == 4 for _, slice_number in cells)


@dataclass(frozen=True)
class Row:
    """A row of the contract's script library."""

    config: str
    provider: str
    functions: tuple[str, ...]
    processors: tuple[str, ...]
    disk: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()


_SCREENING = Row(
    "",
    "fetch_images",
    ("detect_single_cells", "run_detect_single_cells_async"),
    ("segmentation", "crop"),
    ("crops/*.json", "crops/*.tif", "cells.csv", "cells.parquet"),
    ("NBR_OF_CELLS", "MEAN_CELL_AREA", "MEDIAN_CELL_AREA", "ROI_POINTS"),
)
ROWS = {
    "single_cell_screening": replace(_SCREENING, config="single_cell_screening.yaml"),
    "single_cell_screening_no_ai": replace(_SCREENING, config="single_cell_screening_no_ai.yaml"),
    "scan_and_zoom": Row(
        "scan_and_zoom.yaml",
        "fetch_images",
        ("scan_and_zoom",),
        ("segmentation", "roi"),
        metadata=("NBR_OF_CELLS", "TARGETS"),
    ),
    "demo": Row(
        "demo.yaml",
        "fetch_images",
        ("find_most_eccentric_cell",),
        ("segmentation", "crop"),
        ("background.tif", "crops/*.tif", "crops/*.json"),
        ("NBR_OF_CELLS",),
    ),
    "background_model": Row(
        "background_model.yaml",
        "fetch_images",
        ("correct_background",),
        ("background", "normalized"),
        ("background.tif", "results/background_model/normalized/t001_*.tif"),
    ),
    "autofocus": Row("autofocus.yaml", "fetch_images", ("auto_focus",), ("focus",)),
    "cell_population_tracking": Row(
        "cell_population_tracking.yaml",
        "fetch_images",
        ("cell_population_tracking", "run_cell_population_tracking_async"),
        ("segmentation", "tracks", "timeseries"),
        ("tracks.csv",),
        ("NBR_OF_CELLS", "WARNINGS"),
    ),
    "correlation_tracking_withZ": Row(
        "correlation_tracking_withZ.yaml",
        "fetch_images",
        ("correlation_tracking",),
        ("motion_difference", "motion_mask"),
        ("tracks.csv",),
    ),
    "roi_manipulation": Row(
        "roi_manipulation.yaml",
        "fetch_images",
        ("compute_roi",),
        ("image", "roi"),
        ("recovery.csv", "recovery.png"),
        ("MOBILE_FRACTIONS", "HALF_TIMES_S"),
    ),
    "input_types": Row("input_types.yaml", "fetch_images", (), ()),
    "test_python_env": Row("test_python_env.yaml", "fetch_images", ("test_versions",), ()),
}


def test_every_script_of_the_library_has_its_row() -> None:
    assert set(library_scripts()) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_script_keeps_its_row(run: Callable[..., Done], name: str) -> None:
    row = ROWS[name]
    script = load_script(ScriptSpec(name, library_scripts()[name]), values=False)
    about = describe(script)
    assert about["provider"]["name"] == row.provider
    assert {about["process"]["name"], about["twin"]} >= set(row.functions)
    done = run(row.config)
    decided = [line for line in done.journal if line["type"] == "decided" and line["fate"] == "done"]
    assert {processor for line in decided for processor in line["processors"]} >= set(row.processors)
    for pattern in row.disk:
        assert list(done.folder.glob(pattern)), pattern
    for answer in done.answers().values():
        assert set(answer) >= set(row.metadata)
