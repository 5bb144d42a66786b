"""The example experiments are right, and their scripts would run as often as they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from inscoper_mm.acquisition.check import check_experiment
from inscoper_mm.library import library_dir
from inscoper_mm.specimen import SpecimenParameters

# Experiment -> its images, and how often each of its scripts would process.
CONFIGS = {
    # 3 times x 2 positions x 25 slices; one call for each stack
    "autofocus": (150, {"autofocus": 6}),
    # 2 times x 16 positions
    "background_model": (32, {"background_model": 32}),
    "autofocus_search": (10, {"autofocus": 10}),
    "autofocus_streaming": (108, {"autofocus": 102}),
    # 24 times x 2 positions
    "cell_population_tracking": (48, {"cell_population_tracking": 48}),
    # 12 stacks of 5 slices
    "cell_population_tracking_3d": (60, {"cell_population_tracking": 12}),
    # 30 stacks of 7 slices
    "correlation_tracking_withZ": (210, {"correlation_tracking_withZ": 30}),
    # 2 times x 6 positions; what it adds is not known before.
    "demo": (12, {"demo": 12}),
    # 4 times, every other one asked for
    "input_types": (4, {"input_types": 2}),
    "minimal": (3, {"single_cell_screening_no_ai": 3}),
    # 96 wells x 4 fields
    "plate_screen": (384, {"single_cell_screening_no_ai": 384}),
    "roi_manipulation": (70, {"roi_manipulation": 70}),
    # The scan; what it adds is not known before.
    "scan_and_zoom": (2, {"scan_and_zoom": 2}),
    # 4 positions x 2 channels, screened together
    "single_cell_screening": (8, {"single_cell_screening": 4}),
    # 2 times x 4 positions x 2 channels, of which one is screened
    "single_cell_screening_no_ai": (16, {"single_cell_screening_no_ai": 8}),
    # The first image only.
    "test_python_env": (2, {"test_python_env": 1}),
    # 6 times DAPI, 3 times Rhodamine
    "time_lapse_demo_config": (9, {"single_cell_screening_no_ai": 6}),
    # 3 times x 2 positions x (13 slices + 1 image)
    "two_scripts": (84, {"autofocus": 6, "single_cell_screening_no_ai": 6}),
}


def test_every_example_has_its_row() -> None:
    assert {path.stem for path in library_dir("configs").glob("*.yaml")} == set(CONFIGS)


@pytest.mark.parametrize(("name", "images", "processed"), [(name, *row) for name, row in CONFIGS.items()])
def test_an_example_is_right(name: str, images: int, processed: dict[str, int], tmp_path: Path) -> None:
    report = check_experiment(
        library_dir("configs") / f"{name}.yaml",
        output=tmp_path,
        check_specimen=SpecimenParameters.from_mapping,
    )
    assert not [finding for finding in report.findings if finding.level != "info"]
    assert report.facts["plan"]["images"] == images
    assert {script["name"]: script["processed"] for script in report.facts["scripts"]} == processed
    # An example explains itself.
    text = (library_dir("configs") / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert report.facts["experiment"]["name"] == name
