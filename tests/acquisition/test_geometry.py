"""Pixels and the stage in runs on the real Core: what a script sees away from the middle, it brings there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.calibration import Optics, PixelStageCalibration, save_calibration
from inscoper_mm.images.index import Index
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Commanded, ScriptFailed
from inscoper_mm.specimen.orientation import turned

pytestmark = pytest.mark.demo

ROTATIONS = {
    f"{rotation}{'_mirrored' if mirrored else ''}": (rotation, mirrored)
    for mirrored in (False, True)
    for rotation in (0, 90, 180, 270)
}
PIXEL_UM = 0.65
PLAN = """\
acquisition:
  axis_order: tpc
  channels: [{group: Channel, config: DAPI, exposure: 20}]
  stage_positions: [{x: 500, y: -300, z: 0}]
  time_plan: {interval: 0, loops: 2}
"""
# At the first image the script centres an object; the plan's next image would be where the plan says, so the script
# makes the move last with a correction. At the second it looks where the object is.
CENTERS = """
import numpy as np
from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.screening import screen_cells
from inscoper_mm.analysis.segmentation import segment_cells

def fetch_images(new_image: "images"):
    return [{}]

def center(images: "images", context: "IIS_CONTEXT"):
    image = images[0]
    labels = segment_cells(image.array)
    cells = measure_cells(labels, image.array)
    single = np.array([verdict.single for verdict in screen_cells(labels, cells)])
    places = np.column_stack([cells["centroid_row_px"], cells["centroid_col_px"]])
    away = np.hypot(*(places - np.array(image.shape) / 2).T)
    if image.metadata["timeIndex"] == 0:
        chosen = np.argmax(np.where(single, away, 0))
        before = context.getStagePosition()
        reached = context.centerOn(*places[chosen], CHOICE)
        context.correctPosition(reached[0] - before[0], reached[1] - before[1])
        return {"metadata": {"AWAY_PX": float(away[chosen])}}
    return {"metadata": {"OFF_PX": float(away.min())}}
"""


def specimen(rotation: float, mirrored: bool, set_affine: bool = True, pixel_um: float = PIXEL_UM) -> str:
    camera = f"{{rotation_deg: {rotation}, mirrored: {str(mirrored).lower()}, pixel_size_um: {pixel_um}}}"
    told = str(set_affine).lower()
    cells = (
        "seed: 4, touching_fraction: 0, falloff: 0"  # one level finds the same outline anywhere in the image
    )
    return f"{{backend: demo, specimen: {{{cells}, camera: {camera}, set_affine: {told}}}}}"


@pytest.fixture
def camera(microscope: Microscope) -> Iterator[Callable[..., None]]:
    """``camera(roi=..., binning=...)``; set back after the test."""
    core = microscope.core

    def set_to(roi: tuple[int, int, int, int] | None = None, binning: int = 1) -> None:
        core.clearROI()
        core.setProperty("Camera", "Binning", str(binning))
        if roi is not None:
            core.setROI(*roi)

    yield set_to
    set_to()


def injected(ran: Any) -> dict[int, dict[str, Any]]:
    assert not ran.of(ScriptFailed), ran.of(ScriptFailed)[0].message
    assert ran.result.error is None
    return {index.time: tags for index, tags in ran.stored().items()}


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize("region", [False, True], ids=["whole", "region"])
@pytest.mark.parametrize("name", ROTATIONS)
def test_what_a_script_centers_is_in_the_middle_of_the_next_image(
    lab: Any, camera: Callable[..., None], name: str, region: bool, binning: int
) -> None:
    side = 512 // binning
    # Not in the middle of the sensor, and not square.
    camera((side // 8, side // 4, side // 2, side * 5 // 8) if region else None, binning)
    tags = injected(
        lab(CENTERS.replace("CHOICE", "image"), acquisition=PLAN, microscope=specimen(*ROTATIONS[name]))
    )
    assert tags[0]["AWAY_PX"] > 40
    assert tags[1]["OFF_PX"] < 1


@pytest.mark.parametrize("name", [name for name in ROTATIONS if name != "0"])
def test_with_a_wrong_map_it_is_not(lab: Any, camera: Callable[..., None], name: str) -> None:
    """The control of the test above: the Core knows the right pixel size, but believes in an upright camera."""
    camera()
    wrong = specimen(*ROTATIONS[name], set_affine=False, pixel_um=1.0)
    tags = injected(lab(CENTERS.replace("CHOICE", "image"), acquisition=PLAN, microscope=wrong))
    assert tags[1]["OFF_PX"] > 2


def calibration(
    microscope: Microscope, rotation: float, mirrored: bool, **changes: Any
) -> PixelStageCalibration:
    """The true map of the specimen's camera."""
    optics = Optics("Camera", changes.get("objective", "Nikon 10X S Fluor"), changes.get("preset", "Res10x"))
    affine = turned(rotation, mirrored).affine_um(PIXEL_UM)
    return PixelStageCalibration(optics, "XY", affine, 1, (512, 512), 0.05, "2026-01-01T00:00:00+00:00")


def with_calibrations(microscope: str, *files: Path) -> str:
    names = ", ".join(f"'{file.as_posix()}'" for file in files)
    return microscope.replace("{backend: demo,", f"{{backend: demo, calibrations: [{names}],", 1)


def test_a_calibration_takes_the_place_of_what_the_core_believes(
    lab: Any, camera: Callable[..., None], microscope: Microscope, tmp_path: Path
) -> None:
    camera(binning=2)
    save_calibration(calibration(microscope, 91, True), tmp_path / "10x.yaml")
    save_calibration(
        calibration(microscope, 0, False, objective="40X", preset="Res40x"), tmp_path / "40x.yaml"
    )
    setting = with_calibrations(
        specimen(91, True, set_affine=False), tmp_path / "40x.yaml", tmp_path / "10x.yaml"
    )
    tags = injected(lab(CENTERS.replace("CHOICE", "image"), acquisition=PLAN, microscope=setting))
    assert tags[1]["OFF_PX"] < 1
    assert tags[1]["PixelSize_um"] == pytest.approx(2 * PIXEL_UM)
    a, b, _, c, d, _ = (float(number) for number in tags[1]["PixelSizeAffine"].split(";"))
    assert (a, b, c, d) == pytest.approx([2 * value for value in turned(91, True).affine_um(PIXEL_UM)])
    assert microscope.geometry.view().affine_um == (2.0, 0.0, 0.0, 2.0)  # forgotten after the run


def test_a_calibration_of_another_objective_is_refused_before_the_run(
    lab: Any, microscope: Microscope, tmp_path: Path
) -> None:
    foreign = calibration(microscope, 0, False, objective="Nikon 40X Plan Fluor ELWD", preset="Res40x")
    save_calibration(foreign, tmp_path / "40x.yaml")
    ran = lab(
        CENTERS, acquisition=PLAN, microscope=with_calibrations(specimen(0, False), tmp_path / "40x.yaml")
    )
    assert isinstance(ran.result.error, InvalidInput)
    assert ran.result.folder is None
    assert "Got: camera Camera, objective Nikon 10X S Fluor" in str(ran.result.error)
    assert "objective Nikon 40X Plan Fluor ELWD" in str(ran.result.error)
    assert "40x.yaml" in str(ran.result.error)


# The second image is asked for together with the first; by then the stage has moved.
EARLIER = """
KEPT = []

def fetch_images(new_image: "images"):
    return [{"timeIndex": 0}, {}] if new_image.metadata["timeIndex"] == 1 else [{}]

def look(images: "images", context: "IIS_CONTEXT"):
    KEPT.append(images[0])
    if images[0].metadata["timeIndex"] == 0 and len(images) == 1:
        context.correctPosition(30, -20)
        return
    old, new = images
    context.moveStageBy(5, 5)
    return {"metadata": {
        "OLD": context.pixelToStage(10, 20, old),
        "OLD_KEPT": context.pixelToStage(10, 20, image=KEPT[0]),
        "OLD_ALONE": context.pixelToStage(10, 20, images[:1]),
        "NEW": context.pixelToStage(10, 20),
        "NEW_GIVEN": context.pixelToStage(10, 20, new),
        "BACK": context.stageToPixel(*context.pixelToStage(10, 20, old), old),
        "MAP": old.metadata["pixelToStage_um"],
        "CENTERED": context.centerOn(10, 20, old),
    }}
"""


@pytest.mark.parametrize("place", ["thread", "worker"])
@pytest.mark.parametrize("memory", ["", "output: {cache_bytes: 0}"], ids=["memory", "disk"])
def test_an_earlier_image_counts_with_the_stage_position_of_its_own(
    lab: Any, camera: Callable[..., None], place: str, memory: str
) -> None:
    camera((64, 100, 200, 120))
    setting = specimen(90, True)
    ran = lab(EARLIER, acquisition=PLAN, microscope=setting, policy=f"{{place: {place}}}", more=memory)
    tags = injected(ran)
    said = tags[1]
    a, b, c, d = turned(90, True).affine_um(PIXEL_UM)
    drow, dcol = 10 + 100 - 256, 20 + 64 - 256
    for key, image in {"OLD": 0, "OLD_KEPT": 0, "OLD_ALONE": 0, "NEW": 1, "NEW_GIVEN": 1}.items():
        at = tags[image]["XPosition_um"], tags[image]["YPosition_um"]
        assert said[key] == pytest.approx((at[0] + a * dcol + b * drow, at[1] + c * dcol + d * drow)), key
    assert tags[1]["XPosition_um"] == pytest.approx(tags[0]["XPosition_um"] + 30, abs=0.05)
    assert said["BACK"] == pytest.approx((10, 20))
    assert said["MAP"][0] * 20 + said["MAP"][1] * 10 + said["MAP"][2] == pytest.approx(said["OLD"][0])
    assert said["MAP"][3] * 20 + said["MAP"][4] * 10 + said["MAP"][5] == pytest.approx(said["OLD"][1])
    drow, dcol = 10 - 60, 20 - 100
    target = tags[0]["XPosition_um"] + a * dcol + b * drow, tags[0]["YPosition_um"] + c * dcol + d * drow
    assert said["CENTERED"] == pytest.approx(target, abs=0.05)
    audit = next(record for record in ran.of(Commanded) if record.name == "centerOn")
    assert audit.asked["row"] == 10
    assert audit.asked["image"] == {"timeIndex": 0, "positionIndex": 0, "channelIndex": 0, "focusIndex": 0}
    assert audit.commanded == pytest.approx({"x_um": target[0], "y_um": target[1]})
    assert tags[0]["ROI"] == "64-100-200-120"


REFUSED = {
    "a pixel that is not a number": ('context.centerOn(float("nan"), 3)', "row must be a finite number"),
    "text": ('context.pixelToStage("3", 3)', "row must be a finite number"),
    "several images": ("context.centerOn(3, 3, images)", "one image is wanted, not 2"),
    "an array": ("context.centerOn(3, 3, images[0].array)", "must be one of the images"),
    "an image that is not there": (
        'context.centerOn(3, 3, {**images[0].metadata, "timeIndex": 7})',
        "t007.* was not captured",
    ),
    "no indices": ("context.centerOn(3, 3, {})", "timeIndex"),
    "outside the limits": ("context.centerOn(3, 3)", r"stage x .*450 to 550.*safety\.stage\.x_um"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_calls_are_refused_and_move_nothing(lab: Any, camera: Callable[..., None], name: str) -> None:
    call, words = REFUSED[name]
    camera()
    script = f"""
def fetch_images(new_image: "images"):
    return [{{}}, {{}}]

def look(images: "images", context: "IIS_CONTEXT"):
    before = context.getStagePosition()
    try:
        {call}
    except Exception as error:
        assert context.getStagePosition() == before
        return {{"metadata": {{"SAID": f"{{type(error).__name__}}: {{error}}"}}}}
"""
    limits = "safety: {stage: {x_um: [450, 550], y_um: [-350, -250]}}"
    tags = injected(lab(script, acquisition=PLAN, microscope=specimen(0, False), more=limits))
    kind = "LimitRefused" if name == "outside the limits" else "CommandRefused"
    assert tags[0]["SAID"].startswith(kind)
    assert re.search(words, tags[0]["SAID"]), tags[0]["SAID"]


def test_without_a_pixel_size_the_cure_is_told(
    lab: Any, camera: Callable[..., None], microscope: Microscope
) -> None:
    camera()
    microscope.core.setProperty("Objective", "State", "5")
    script = """
def fetch_images(new_image: "images"):
    return [{}]

def look(images: "images", context: "IIS_CONTEXT"):
    assert images.metadata["pixelSize_um"] is None and images.metadata["pixelToStage_um"] is None
    context.centerOn(10, 10)
"""
    ran = lab(script, acquisition=PLAN, microscope="{backend: demo}")
    assert "calibrate pixel-stage" in ran.of(ScriptFailed)[0].message
    assert ran.of(Commanded)[0].decided == "refused"
    assert "PixelSizeAffine" not in ran.stored()[Index()]


def test_the_view_follows_every_change_of_the_core(
    camera: Callable[..., None], microscope: Microscope
) -> None:
    core, geometry = microscope.core, microscope.geometry
    camera()
    assert geometry.view().affine_um == (1.0, 0.0, 0.0, 1.0)
    core.setConfig("Objective", "40X")
    assert geometry.view().affine_um == (0.25, 0.0, 0.0, 0.25)
    assert geometry.optics == Optics("Camera", "Nikon 40X Plan Fluor ELWD", "Res40x")
    camera((20, 30, 100, 60), binning=2)
    view = geometry.view()
    assert (view.affine_um, view.binning, view.roi_px, view.sensor_px) == (
        (0.5, 0.0, 0.0, 0.5),
        2,
        (20, 30, 100, 60),
        (256, 256),
    )
    before = core.getPixelSizeAffineByID("Res40x")
    try:
        core.setPixelSizeAffine("Res40x", [0.0, -0.25, 0.0, 0.25, 0.0, 0.0])
        assert geometry.view().affine_um == (0.0, -0.5, 0.5, 0.0)
        assert geometry.view().source == "affine of pixel size preset Res40x"
    finally:
        core.setPixelSizeAffine("Res40x", list(before))
    assert geometry.view().affine_um == (0.5, 0.0, 0.0, 0.5)
    core.setProperty("Objective", "State", "5")
    assert geometry.view().affine_um is None
    assert "calibrate pixel-stage" in geometry.view().problem


def test_under_an_objective_without_calibration_nothing_is_made_up(
    camera: Callable[..., None], microscope: Microscope
) -> None:
    camera()
    geometry = microscope.geometry
    geometry.use([calibration(microscope, 91, True)])
    try:
        assert geometry.view().affine_um == pytest.approx(turned(91, True).affine_um(PIXEL_UM))
        microscope.core.setConfig("Objective", "40X")
        view = geometry.view()
        assert (view.affine_um, view.pixel_size_um) == (None, 0.25)
        assert "no pixel-to-stage calibration fits" in view.problem
        assert view.pixel_to_stage_um(microscope.position()) is None
    finally:
        geometry.use(())
    assert geometry.view().affine_um == (0.25, 0.0, 0.0, 0.25)
