"""Firing at one cell of the virtual specimen, from its detection to the images after: it bleaches, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from inscoper_mm.acquisition.calibrating_galvo import calibrate_galvo
from inscoper_mm.experiment.calibration import GalvoCalibration, load_calibration, save_calibration
from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.images.ndtiff import open_dataset
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Fired
from inscoper_mm.specimen import Specimen, SpecimenParameters, attach
from inscoper_mm.specimen.view import View

pytestmark = pytest.mark.demo

SEED = 3
DEMO_MAP = library_dir("mm_demo_config") / "demo_galvo_10x.yaml"
ACQUISITION = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 50}]
  stage_positions: [{x: 0, y: 0, z: 0}]
  time_plan: {interval: 0, loops: 6}
"""
# Fires after the second image at the nucleus that is nearest to the middle.
SCRIPT = """\
import numpy as np
from inscoper_mm.analysis.segmentation import segment_cells
from skimage.measure import regionprops

def fetch_images(new_image: "images"):
    return [{}] if new_image.metadata["timeIndex"] == 1 else []

def bleach(images: "images", context: "IIS_CONTEXT"):
    labels = segment_cells(images[0].array)
    middle = np.array(labels.shape) / 2
    cell = min(regionprops(labels), key=lambda cell: np.hypot(*(np.array(cell.centroid) - middle)))
    region = {"type": "mask", "points": labels == cell.label, "unit": "px"}
    FIRE
"""


@pytest.fixture
def lasers(microscope: Microscope) -> Iterator[Microscope]:
    """The demo devices with two lasers."""
    core = microscope.core
    core.loadSystemConfiguration(str(library_dir("mm_demo_config") / "demo_galvo_2cam_lasers.cfg"))
    core.setProperty("Camera", "FastImage", "1")
    yield microscope
    core.loadSystemConfiguration(str(library_dir("mm_demo_config") / "demo_galvo.cfg"))


def _images(ran: Any) -> list[np.ndarray]:
    data = open_dataset(ran.folder / "images")
    try:
        keys = sorted(data.get_image_coordinates_list(), key=lambda key: key["time"])
        return [np.array(data.read_image(**key), float) for key in keys]
    finally:
        data.close()


def _masks(nuclei: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels (row, col) inside one nucleus, and those around it that belong to none."""
    rows, cols = np.nonzero(nuclei == label)
    top, left = max(rows.min() - 14, 0), max(cols.min() - 14, 0)
    box = nuclei[top : rows.max() + 15, left : cols.max() + 15]
    own, anything = box == label, binary_dilation(box > 0, iterations=3)
    inside, around = binary_erosion(own), binary_dilation(own, iterations=9) & ~anything
    corner = np.array([[top], [left]])
    return np.argwhere(inside).T + corner, np.argwhere(around).T + corner


def _brightness(images: list[np.ndarray], nuclei: np.ndarray, labels: list[int]) -> np.ndarray:
    """The light of each nucleus above its surroundings: (image, label)."""
    found = []
    for label in labels:
        inside, around = _masks(nuclei, label)
        found.append([image[tuple(inside)].mean() - np.median(image[tuple(around)]) for image in images])
    return np.array(found).T


def _run(
    lab: Any,
    fire: str,
    calibration: Path = DEMO_MAP,
    config: str = "galvo",
    more: str = "",
    **specimen: Any,
) -> tuple[Any, np.ndarray, np.ndarray]:
    """The run, the places (row, col) of all whole nuclei, and what is left of each relative to the far ones."""
    given = {"seed": SEED, "signal": 4.0} | specimen
    line = f"backend: demo, config: {config}, specimen: {json.dumps(given)}"
    line = f"{{{line}, calibrations: ['{calibration.as_posix()}']}}"
    ran = lab(SCRIPT.replace("FIRE", fire), acquisition=ACQUISITION, microscope=line, more=more)
    assert ran.result.error is None and ran.counts["processed"] == 1, ran.report["errors"]
    parameters = SpecimenParameters.from_mapping(given)
    view = View(0.0, 0.0, 0.0, "DAPI", 50.0, orientation=parameters.camera.orientation)
    truth = Specimen(parameters).truth(view)
    cells = [cell for cell in truth.cells if cell.whole and (truth.nuclei == cell.label).sum() > 60]
    light = _brightness(_images(ran), truth.nuclei, [cell.label for cell in cells])
    places = np.array([(cell.nucleus_row_px, cell.nucleus_col_px) for cell in cells])
    left = light[2:].mean(axis=0) / light[:2].mean(axis=0)
    far = np.hypot(*(places - 256).T) > 150
    assert far.sum() > 20
    return ran, places, left / np.median(left[far])


def _target(ran: Any, places: np.ndarray) -> int:
    """The cell that was fired at."""
    (fired,) = ran.of(Fired)
    assert fired.complete
    return int(np.hypot(*(places - np.mean(fired.regions[0]["points_px"], axis=0)).T).argmin())


def _only_the_target_bleaches(ran: Any, places: np.ndarray, left: np.ndarray) -> None:
    target = _target(ran, places)
    distance = np.hypot(*(places - places[target]).T)
    neighbours = (distance > 0) & (distance < 80)
    assert neighbours.sum() >= 3
    assert left[target] < 0.2
    assert left[neighbours].min() >= 0.98
    assert np.delete(left, target).min() >= 0.97


def test_the_cell_that_is_fired_at_bleaches_and_no_other(lab: Any, microscope: Microscope) -> None:
    _only_the_target_bleaches(*_run(lab, "context.fireOnDemand(region, duration_ms=20)"))


def test_without_firing_nothing_bleaches(lab: Any, microscope: Microscope) -> None:
    ran, _, left = _run(lab, "return None")
    assert not ran.of(Fired)
    assert left.min() > 0.97


def test_with_a_wrong_calibration_another_place_bleaches(
    lab: Any, microscope: Microscope, tmp_path: Path
) -> None:
    calibration = load_calibration(DEMO_MAP)
    assert isinstance(calibration, GalvoCalibration)
    shifted = list(calibration.coefficients)
    shifted[0] += 12 / 49.2  # a nucleus is some 11 px wide
    save_calibration(replace(calibration, coefficients=tuple(shifted)), tmp_path / "shifted.yaml")
    ran, places, left = _run(
        lab, "context.fireOnDemand(region, duration_ms=20)", calibration=tmp_path / "shifted.yaml"
    )
    assert left[_target(ran, places)] > 0.6


def test_half_the_power_is_half_the_dose(lab: Any, lasers: Microscope) -> None:
    logs = []
    for volts in (10, 5):
        ran, places, left = _run(
            lab,
            f"context.fireOnDemand(region, power={volts})",
            config="galvo_2cam_lasers",
            more="photomanipulation: {light: Laser405, power_device: Laser405Power.Volts, duration_ms: 3}",
        )
        target = _target(ran, places)
        assert np.delete(left, target).min() >= 0.97
        logs.append(np.log(left[target]))
    assert logs[0] < -0.3 and logs[0] / logs[1] == pytest.approx(2.0, rel=0.15)


# A turned, mirrored camera, and a galvo with other axes than the camera's, behind optics that distort.
TURNED = {
    "camera": {"rotation_deg": 120, "mirrored": True},
    "galvo": {
        "col": [470.0, -3.0, -44.0, 0.25, 0.1, 0.0],
        "row": [40.0, 43.0, 2.0, 0.0, 0.1, -0.2],
    },
}


def test_a_curved_map_of_a_turned_camera_is_measured_and_hits(
    lab: Any, microscope: Microscope, tmp_path: Path
) -> None:
    experiment = parse_experiment(f"microscope: {{backend: demo}}\n{ACQUISITION}", tmp_path)
    parameters = SpecimenParameters.from_mapping({"seed": SEED, "signal": 0.2} | TURNED)
    with attach(microscope.core, Specimen(parameters)):
        calibration, measured = calibrate_galvo(experiment, microscope, grid=7)
    assert calibration.model == "second_order" and calibration.residual_px < 0.2
    assert calibration.spot_px == pytest.approx(parameters.galvo.spot_px, rel=0.1)
    assert measured.found == measured.tried >= 30
    save_calibration(calibration, tmp_path / "turned.yaml")
    _only_the_target_bleaches(
        *_run(
            lab,
            "context.fireOnDemand(region, duration_ms=20)",
            calibration=tmp_path / "turned.yaml",
            **TURNED,
        )
    )
