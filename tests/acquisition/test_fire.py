"""``fireOnDemand`` on the real demo devices: where the light falls, what is refused, and what is told."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.acquisition.calibrating_galvo import calibrate_galvo
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.analysis.spots import find_spot
from inscoper_mm.errors import CalibrationFailed
from inscoper_mm.experiment.calibration import GalvoCalibration, Optics, save_calibration
from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.images.ndtiff import open_dataset
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Captured, Commanded, Decided, Fired, Logged

pytestmark = pytest.mark.demo

OPTICS = Optics("Camera", "Nikon 10X S Fluor", "Res10x")
# As the demo galvo draws its spot: the places are cut to whole pixels, so half a pixel is taken off.
DEMO = GalvoCalibration(
    OPTICS,
    "Galvo",
    "affine",
    (-24.5 / 49.2, 1 / 49.2, 0, -19.5 / 49.7, 0, 1 / 49.7),
    1,
    (512, 512),
    0.3,
    "2026-11-22",
    4.6,
)
ONE_PLACE = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  time_plan: {interval: 0, loops: %d}
"""
ACQUISITION = ONE_PLACE % 3


@pytest.fixture
def noisy(microscope: Microscope) -> Iterator[Microscope]:
    """The demo camera in the mode in which it shows the galvo's spot."""
    core = microscope.core
    core.setProperty("Camera", "Mode", "Noise")
    core.setProperty("Camera", "FastImage", "0")
    yield microscope
    core.setProperty("Camera", "Mode", "Artificial Waves")
    core.setGalvoIlluminationState("Galvo", False)


@pytest.fixture
def calibrated(tmp_path: Path) -> Callable[..., str]:
    """The experiment's line for the microscope, with calibrations written to files."""

    def line(*calibrations: GalvoCalibration) -> str:
        files = []
        for number, calibration in enumerate(calibrations or (DEMO,)):
            file = tmp_path / f"galvo{number}.yaml"
            save_calibration(calibration, file)
            files.append(f"'{file.as_posix()}'")
        return f"{{backend: demo, calibrations: [{', '.join(files)}]}}"

    return line


def _shoot(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return (
        'def fetch_images(new_image: "images"):\n    return [{}]\n\n'
        f'def shoot(images: "images", context: "IIS_CONTEXT"):\n    t = images.metadata["timeIndex"]\n{lines}\n'
    )


def _images(folder: Path) -> list[np.ndarray]:
    data = open_dataset(folder / "images")
    try:
        keys = sorted(data.get_image_coordinates_list(), key=lambda key: key["time"])
        return [np.array(data.read_image(**key)) for key in keys]
    finally:
        data.close()


# -- where the light falls

FIFTY = _shoot(
    """\
import numpy as np
row, col = np.random.default_rng(t).uniform(28, 490, 2)
context.fireOnDemand({"type": "point", "points": [[row, col]]}, duration_ms=0.1)
return {"metadata": {"ASKED": [row, col]}}"""
)


def _misses(lab: Any, microscope_line: str) -> list[float]:
    """The distances between the places that were asked for and those of the spot in the next image."""
    ran = lab(FIFTY, acquisition=ONE_PLACE % 51, microscope=microscope_line)
    assert ran.result.error is None
    asked = [fired.regions[0]["points_px"][0] for fired in ran.of(Fired)]
    assert len(asked) == 51
    images = _images(ran.folder)
    misses = []
    for number, (row, col) in enumerate(asked[:50]):
        spot = find_spot(images[number + 1], images[0])
        assert spot is not None, f"no spot at {row}, {col}"
        misses.append(float(np.hypot(spot.row - row, spot.col - col)))
    return misses


def test_fifty_points_are_hit_after_calibrating(
    lab: Any, noisy: Microscope, calibrated: Callable[..., str]
) -> None:
    experiment = parse_experiment(f"microscope: {{backend: demo}}\n{ACQUISITION}", Path())
    calibration, measured = calibrate_galvo(experiment, noisy, grid=9)
    assert (calibration.optics, calibration.galvo, calibration.model) == (OPTICS, "Galvo", "affine")
    assert measured.found == measured.tried == 81
    # The demo galvo draws at whole pixels: 0.41 px on average is all that can be had.
    assert calibration.residual_px < 0.5
    misses = _misses(lab, calibrated(calibration))
    assert len(misses) == 50 and max(misses) <= 1.0


def test_with_a_wrong_calibration_they_are_missed(
    lab: Any, noisy: Microscope, calibrated: Callable[..., str]
) -> None:
    shifted = list(DEMO.coefficients)
    shifted[0] += 2 / 49.2  # two pixels along the columns
    misses = _misses(lab, calibrated(replace(DEMO, coefficients=tuple(shifted))))
    assert min(misses) > 1.0


@pytest.mark.parametrize("model", ["affine", "second_order"])
def test_a_calibration_can_be_asked_to_be_curved(noisy: Microscope, model: Any) -> None:
    experiment = parse_experiment(f"microscope: {{backend: demo}}\n{ACQUISITION}", Path())
    calibration, _ = calibrate_galvo(experiment, noisy, grid=5, model=model)
    assert calibration.model == model
    assert calibration.spot_px == pytest.approx(4.6, abs=0.5)


def test_a_region_of_the_camera_changes_nothing(noisy: Microscope) -> None:
    experiment = parse_experiment(f"microscope: {{backend: demo}}\n{ACQUISITION}", Path())
    noisy.core.setROI(100, 150, 300, 250)
    try:
        calibration, measured = calibrate_galvo(experiment, noisy, grid=6)
    finally:
        noisy.core.clearROI()
    assert measured.image_shape == (250, 300)
    # Coordinates of the whole sensor: the same map as without a region, within half a pixel.
    corners = np.array([[1, 100, 150], [1, 400, 400], [1, 250, 250]])
    found, true = (
        np.reshape(c, (2, 3)) @ corners.T * 49.5 for c in (calibration.coefficients, DEMO.coefficients)
    )
    assert np.abs(found - true).max() < 0.7


def test_without_a_spot_there_is_no_calibration(microscope: Microscope) -> None:
    microscope.core.setProperty("Camera", "Mode", "Artificial Waves")  # shows no spot
    experiment = parse_experiment(f"microscope: {{backend: demo}}\n{ACQUISITION}", Path())
    with pytest.raises(CalibrationFailed, match="not seen"):
        calibrate_galvo(experiment, microscope)


# -- what is told


def test_what_was_done_is_returned_recorded_and_written_down(
    lab: Any, noisy: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot(
            """\
if t == 2:
    return None
region = {"type": "circle", "points": [[200, 300]], "radius": 12}
done = context.fireOnDemand([region, {"type": "point", "points": [[60, 70]]}], duration_ms=0.5, repetitions=t + 1)
return {"metadata": {"DONE": done}}"""
        ),
        acquisition=ACQUISITION,
        microscope=calibrated(),
        more="photomanipulation: {fill: contour, spot_px: 8, overlap: 0.2}",
    )
    assert ran.result.error is None and ran.counts["processed"] == 3
    first, second = ran.of(Fired)
    done = next(iter(ran.stored().values()))["DONE"]
    points = len(first.regions[0]["points_px"])
    assert points > 10 and done["regions"] == list(first.regions)
    assert done["complete"] and done["waited"] and done["sub_device"] == "Galvo" and done["spot_px"] == 8.0
    assert [region["pulses"] for region in second.regions] == [2 * points, 2]
    assert first.dose["time_ms"] == pytest.approx((points + 1) * 0.5)
    assert second.dose_at_position["time_ms"] == pytest.approx(3 * (points + 1) * 0.5)
    executed = ran.of(Commanded)
    assert [command.decided for command in executed] == ["executed"] * 2
    assert executed[0].commanded["points"] == points + 1
    with (ran.folder / "photomanipulation" / "doses.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["event"], row["type"], row["points"]) for row in rows] == [
        ("e000001", "circle", str(points)), ("e000001", "point", "1"),
        ("e000002", "circle", str(points)), ("e000002", "point", "1"),
    ]  # fmt: skip
    assert float(rows[0]["area_um2"]) == pytest.approx(np.pi * 144, rel=1e-3)
    sums = json.loads((ran.folder / "photomanipulation" / "doses.json").read_text(encoding="utf-8"))
    assert sums["fires"] == 2 and sums["dose"]["time_ms"] == pytest.approx(3 * (points + 1) * 0.5)
    from PIL import Image

    with Image.open(ran.folder / "photomanipulation" / "p000_fired.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    zoom = pixels.shape[0] / 512
    blue = (pixels[..., 2] - pixels[..., 0]) > 40
    rows_px, cols_px = np.nonzero(blue[: int(400 * zoom)])
    around = np.hypot(rows_px / zoom - 200.5, cols_px / zoom - 300.5)
    beside = np.hypot(rows_px / zoom - 60.5, cols_px / zoom - 70.5)
    assert (around < 17).sum() > 300 and (beside < 5).sum() > 20
    assert ((around < 17) | (beside < 5)).mean() == 1.0


def test_a_run_that_fires_nothing_has_no_folder_for_it(lab: Any) -> None:
    ran = lab(_shoot("return None"), acquisition=ACQUISITION)
    assert not (ran.folder / "photomanipulation").exists()


def test_without_arguments_the_last_published_region_is_meant(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot(
            """\
roi = [{"type": "point", "points": [[100 + 10 * t, 200]], "unit": "px"}]
if t:
    context.fireOnDemand()
else:
    try:
        context.fireOnDemand()
    except Exception as error:
        print(f"refused: {error}")
return {"roi": roi}"""
        ),
        acquisition=ACQUISITION,
        microscope=calibrated(),
        more="photomanipulation: {duration_ms: 0.3, repetitions: 4}",
    )
    fired = ran.of(Fired)
    assert [each.regions[0]["points_px"] for each in fired] == [[[100.0, 200.0]], [[110.0, 200.0]]]
    # The pixels are those of the image for which they were published.
    assert [(each.event, each.frame) for each in fired] == [
        ("e000002", "t000_p000_c0_z000"), ("e000003", "t001_p000_c0_z000"),
    ]  # fmt: skip
    assert all(each.dose["time_ms"] == pytest.approx(1.2) for each in fired)
    assert any("has not published a 'roi' yet" in record.message for record in ran.of(Logged))


def test_regions_follow_the_stage(lab: Any, microscope: Microscope, calibrated: Callable[..., str]) -> None:
    ran = lab(
        _shoot(
            """\
if t == 0:
    x_um, y_um = context.pixelToStage(300, 310)
    context.moveStageBy(20, -10)
    context.fireOnDemand({"type": "point", "points": [[300, 310]]}, duration_ms=0.1)
    context.fireOnDemand({"type": "point", "points": [[x_um, y_um]], "unit": "um"}, duration_ms=0.1)"""
        ),
        acquisition=ACQUISITION,
        microscope=calibrated(),
    )
    in_px, in_um = ran.of(Fired)
    expected = [(290 - 24.5) / 49.2, (310 - 19.5) / 49.7]  # the stage went +20, -10 um at 1 um a pixel
    assert in_px.regions[0]["points_galvo"][0] == pytest.approx(expected, abs=0.003)
    assert in_um.regions[0]["points_galvo"] == in_px.regions[0]["points_galvo"]


def test_masks_come_through_from_a_worker(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot(
            """\
import numpy as np
if t == 0:
    mask = np.zeros(images.array.shape, bool)
    mask[100:110, 200:220] = True
    context.fireOnDemand({"type": "mask", "points": mask, "unit": "px"}, duration_ms=0.1)"""
        ),
        acquisition=ACQUISITION,
        microscope=calibrated(),
        policy="{place: worker, error: abort}",
    )
    assert ran.result.error is None
    (fired,) = ran.of(Fired)
    rows, cols = np.array(fired.regions[0]["points_px"]).T
    assert fired.regions[0]["area_px"] == 200
    assert rows.min() >= 99.5 and rows.max() <= 109.5 and cols.min() >= 199.5 and cols.max() <= 219.5
    (command,) = ran.of(Commanded)
    assert command.asked["roi"]["points"] == "(512, 512), 200 pixels"  # not a quarter of a million numbers


# -- waiting


def test_without_waiting_the_next_image_waits(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot(
            """\
if t == 0:
    point = {"type": "point", "points": [[100, 100]]}
    will = context.fireOnDemand(point, duration_ms=1500, wait=False)
    assert will["waited"] is False and will["complete"] is False and will["points"] == 1, will"""
        ),
        acquisition=ACQUISITION,
        microscope=calibrated(),
        policy="{place: thread, error: abort}",
    )
    assert ran.result.error is None
    (fired,) = ran.of(Fired)
    decided = next(record for record in ran.of(Decided) if record.event == "e000001")
    assert fired.complete and fired.end_s - fired.begin_s >= 1.5
    # The script was done while the light was on, and nothing was exposed before it was off.
    kinds = [type(record) for record in ran.records if isinstance(record, Decided | Fired | Captured)]
    assert kinds[:4] == [Captured, Decided, Fired, Captured]
    assert decided.fate == "done"
    (command,) = ran.of(Commanded)
    assert command.decided == "executed" and command.done_s >= fired.end_s


def test_a_fire_on_the_last_image_is_finished(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot(
            """\
if t == 2:
    context.fireOnDemand({"type": "point", "points": [[100, 100]]}, duration_ms=100, wait=False)"""
        ),
        acquisition=ACQUISITION,
        microscope=calibrated(),
    )
    (fired,) = ran.of(Fired)
    assert fired.complete and ran.result.error is None
    assert (ran.folder / "photomanipulation" / "p000_fired.png").exists()


def test_a_refusal_is_raised_without_waiting_too(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot("context.fireOnDemand({'type': 'point', 'points': [[900, 9]]}, wait=False)"),
        acquisition=ACQUISITION,
        microscope=calibrated(),
    )
    assert ran.counts["failed"] == 3 and not ran.of(Fired)
    assert {command.decided for command in ran.of(Commanded)} == {"refused"}


def test_firing_is_not_the_script_s_time(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str]
) -> None:
    # On a busy machine what is left to the script itself may be more than the first limit.
    for limit_s in (1, 4, 16):
        ran = lab(
            _shoot(f"if t == 0:\n    context.fireOnDemand({POINT}, duration_ms={1500 * limit_s})"),
            acquisition=ACQUISITION,
            microscope=calibrated(),
            policy=f"{{place: worker, error: abort, limit_s: {limit_s}}}",
        )
        if ran.result.error is None:
            break
    (fired,) = ran.of(Fired)
    assert ran.result.error is None and fired.complete and ran.counts["processed"] == 3


def test_a_run_that_is_stopped_at_once_stops_firing(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = StopSwitch()
    fire = microscope.core.pointGalvoAndFire

    def fire_and_stop(*pulse: Any) -> None:
        fire(*pulse)
        threading.Timer(0.1, stop.stop_now, ("test",)).start()

    monkeypatch.setattr(microscope.core, "pointGalvoAndFire", fire_and_stop)

    ran = lab(
        _shoot(f"if t == 0:\n    context.fireOnDemand({POINT}, duration_ms=60e3, wait=False)"),
        acquisition=ACQUISITION,
        microscope=calibrated(),
        stop=stop,
    )
    (fired,) = ran.of(Fired)
    assert not fired.complete and 0 < fired.dose["time_ms"] < 60e3
    assert ran.result.state == "stopped"


# -- what is refused

POINT = "{'type': 'point', 'points': [[100, 100]]}"
REFUSED: dict[str, tuple[str, dict[str, str], str]] = {
    "a pixel outside": ("{'type': 'point', 'points': [[600, 3]]}", {}, "outside the image"),
    "a place outside": (
        "{'type': 'point', 'points': [[900, 0]], 'unit': 'um'}",
        {},
        "outside the range of 'Galvo'",
    ),
    "a crossed polygon": (
        "{'type': 'polygon', 'points': [[0, 0], [9, 9], [0, 9], [9, 0]]}",
        {},
        "crosses itself",
    ),
    "text": ("'nucleus'", {}, "must be a region"),
    "a number": ("5", {}, "must be a region"),
    "NaN ms": (f"{POINT}, duration_ms=float('nan')", {}, "duration_ms must be"),
    "text for ms": (f"{POINT}, duration_ms='long'", {}, "duration_ms must be"),
    "a minute too long": (f"{POINT}, duration_ms=360e3", {}, "Allowed: 300 s"),
    "no repetition": (f"{POINT}, repetitions=0", {}, "repetitions must be"),
    "infinite power": (f"{POINT}, power=float('inf')", {}, "power must be"),
    "a power of nothing": (f"{POINT}, power=3", {}, "names no 'power_device'"),
    "an unknown sub-device": (f"{POINT}, subDevice='Galvoo'", {}, "Did you mean 'Galvo'"),
    "a stage": (f"{POINT}, subDevice='XY.X'", {}, "cannot fire"),
    "too long": (
        POINT,
        {"more": "safety: {light: {largest_duration_ms: 5}}"},
        "one command would last 10 ms. Allowed: at most 5 ms (safety.light.largest_duration_ms in",
    ),
    "too much light": (POINT, {"more": "safety: {light: {ms_total: 9}}"}, "safety.light.ms_total"),
    "a forbidden galvo": (
        POINT,
        {"more": "safety: {forbidden_properties: ['Galvo*']}"},
        "'Galvo*' is forbidden",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_must_not_be_fired_is_refused(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str], case: str
) -> None:
    arguments, more, reason = REFUSED[case]
    ran = lab(
        _shoot(f"if t == 0:\n    context.fireOnDemand({arguments})"),
        acquisition=ACQUISITION,
        microscope=calibrated(),
        **more,
    )
    (command,) = ran.of(Commanded)
    assert command.decided == "refused" and not ran.of(Fired)
    assert reason in str(command.message) and "fireOnDemand by script0: " in str(command.message)
    assert "Nothing was" in str(command.message) or "Did you mean" in str(command.message)
    assert ran.counts["processed"] == 2


@pytest.mark.parametrize(
    ("calibrations", "reason"),
    [
        ((replace(DEMO, optics=Optics("Camera", "Nikon 40X Plan Fluor ELWD", "Res40x")),), "40X"),
        ((replace(DEMO, optics=Optics("Camera2", "Nikon 10X S Fluor", "Res10x")),), "Camera2"),
        ((replace(DEMO, galvo="Galvo2"),), "calibrations of Galvo2 only"),
    ],
    ids=["another objective", "another camera", "another galvo"],
)
def test_a_foreign_calibration_is_refused(
    lab: Any,
    microscope: Microscope,
    calibrated: Callable[..., str],
    calibrations: tuple[GalvoCalibration, ...],
    reason: str,
) -> None:
    ran = lab(
        _shoot(f"if t == 0:\n    context.fireOnDemand({POINT})"),
        acquisition=ACQUISITION,
        microscope=calibrated(*calibrations),
    )
    (command,) = ran.of(Commanded)
    assert command.decided == "refused" and reason in str(command.message) and not ran.of(Fired)


def test_a_calibration_counts_only_while_its_objective_is_in_place(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot(
            f"""\
if t == 0:
    context.set("Objective", "Nikon 40X Plan Fluor ELWD")
    try:
        context.fireOnDemand({POINT})
    finally:
        context.set("Objective", "Nikon 10X S Fluor")
        context.fireOnDemand({POINT})"""
        ),
        acquisition=ACQUISITION,
        microscope=calibrated(),
    )
    fires = [command.decided for command in ran.of(Commanded) if command.name == "fireOnDemand"]
    assert fires == ["refused", "executed"] and len(ran.of(Fired)) == 1


def test_without_a_calibration_it_says_how_to_make_one(lab: Any, microscope: Microscope) -> None:
    ran = lab(_shoot(f"if t == 0:\n    context.fireOnDemand({POINT})"), acquisition=ACQUISITION)
    (command,) = ran.of(Commanded)
    assert "inscoper-mm calibrate galvo" in str(command.message) and not ran.of(Fired)


def test_limits_of_light_hold_over_all_fires(
    lab: Any, microscope: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot(f"context.fireOnDemand({POINT}, duration_ms=4)"),
        acquisition=ACQUISITION,
        microscope=calibrated(),
        more="safety: {light: {ms_per_position: 9}}",
    )
    assert [command.decided for command in ran.of(Commanded)] == ["executed", "executed", "refused"]
    assert "this position would have had 12 ms" in str(ran.of(Commanded)[-1].message)


# -- lights


@pytest.fixture
def lasers(microscope: Microscope) -> Iterator[Microscope]:
    """The demo devices with two lasers."""
    core = microscope.core
    core.loadSystemConfiguration(str(library_dir("mm_demo_config") / "demo_galvo_2cam_lasers.cfg"))
    core.setProperty("Camera", "FastImage", "1")
    yield microscope
    core.loadSystemConfiguration(str(library_dir("mm_demo_config") / "demo_galvo.cfg"))


LASER = (
    "photomanipulation: {light: Laser405, power_device: Laser405Power.Volts, power: 4, mw_per_unit: 0.5, "
    "duration_ms: 2, fill: points}"
)


def test_the_laser_is_on_while_firing_and_as_before_afterwards(
    lab: Any, lasers: Microscope, calibrated: Callable[..., str]
) -> None:
    core = lasers.core
    core.setProperty("Laser405Power", "Voltage", 1.0)
    seen: list[tuple[bool, float]] = []
    real = core.pointGalvoAndFire

    def watched(*args: Any) -> None:
        seen.append((core.getShutterOpen("Laser405"), float(core.getProperty("Laser405Power", "Voltage"))))
        real(*args)

    core.pointGalvoAndFire = watched
    try:
        ran = lab(
            _shoot(f"context.fireOnDemand({POINT}, power=[None, 6, None][t])"),
            acquisition=ACQUISITION,
            microscope=calibrated().replace("backend: demo", "backend: demo, config: galvo_2cam_lasers"),
            more=LASER,
        )
    finally:
        del core.pointGalvoAndFire
    assert ran.result.error is None
    assert seen == [(True, 4.0), (True, 6.0), (True, 4.0)]
    assert not core.getShutterOpen("Laser405")
    assert float(core.getProperty("Laser405Power", "Voltage")) == 1.0
    fired = ran.of(Fired)
    assert [(each.light, each.power, each.power_mw) for each in fired][:2] == [
        ("Laser405", 4.0, 2.0), ("Laser405", 6.0, 3.0),
    ]  # fmt: skip
    assert [each.dose["energy_uj"] for each in fired] == pytest.approx([4.0, 6.0, 4.0])
    assert fired[-1].dose_at_position["energy_uj"] == pytest.approx(14.0)


def test_the_whole_field_is_lit_through_a_shutter(
    lab: Any, lasers: Microscope, calibrated: Callable[..., str]
) -> None:
    ran = lab(
        _shoot("context.fireOnDemand(subDevice='Laser488', duration_ms=3, repetitions=2)"),
        acquisition=ACQUISITION,
        microscope="{backend: demo, config: galvo_2cam_lasers}",
    )
    fired = ran.of(Fired)
    assert len(fired) == 3 and all(each.sub_device == "Laser488" and each.complete for each in fired)
    assert all(each.regions[0]["type"] == "whole field" and each.dose["time_ms"] >= 6 for each in fired)
    assert not lasers.core.getShutterOpen("Laser488")


def test_another_light_can_be_pointed(lab: Any, lasers: Microscope, calibrated: Callable[..., str]) -> None:
    ran = lab(
        _shoot(
            f"""\
if t == 0:
    context.fireOnDemand({POINT}, subDevice="Laser488")
if t == 1:
    context.fireOnDemand({POINT}, subDevice="Laser488", power=2)"""
        ),
        acquisition=ACQUISITION,
        microscope=calibrated().replace("backend: demo", "backend: demo, config: galvo_2cam_lasers"),
        more=LASER,
    )
    (fired,) = ran.of(Fired)
    # The power and its device belong to the other laser.
    assert (fired.sub_device, fired.light, fired.power) == ("Galvo", "Laser488", None)
    refused = ran.of(Commanded)[-1]
    assert refused.decided == "refused" and "no 'power_device' for this light" in str(refused.message)


def test_the_experiment_may_mean_the_whole_field(lab: Any, microscope: Microscope) -> None:
    ran = lab(
        _shoot("if t == 0:\n    context.fireOnDemand()"),
        acquisition=ACQUISITION,
        more="photomanipulation: {sub_device: White Light Shutter, duration_ms: 4}",
    )
    (fired,) = ran.of(Fired)
    assert (fired.sub_device, fired.light, fired.fill) == ("White Light Shutter", "White Light Shutter", None)
    assert fired.dose["time_ms"] >= 4
    assert not microscope.core.getShutterOpen("White Light Shutter")


def test_the_light_is_off_after_a_failure(
    lab: Any, lasers: Microscope, calibrated: Callable[..., str]
) -> None:
    core = lasers.core
    core.setProperty("Laser405Power", "Voltage", 1.0)

    def broken(*args: Any) -> None:
        raise RuntimeError("the galvo does not answer")

    core.pointGalvoAndFire = broken
    try:
        ran = lab(
            _shoot(f"if t == 0:\n    context.fireOnDemand({POINT})"),
            acquisition=ACQUISITION,
            microscope=calibrated().replace("backend: demo", "backend: demo, config: galvo_2cam_lasers"),
            more=LASER,
        )
    finally:
        del core.pointGalvoAndFire
    assert not core.getShutterOpen("Laser405")
    assert float(core.getProperty("Laser405Power", "Voltage")) == 1.0
    (command,) = ran.of(Commanded)
    assert command.decided == "failed" and "does not answer" in str(command.message)
    (fired,) = ran.of(Fired)
    assert not fired.complete and fired.regions[0]["pulses"] == 0


def test_energy_and_power_are_limited(lab: Any, lasers: Microscope, calibrated: Callable[..., str]) -> None:
    line = calibrated().replace("backend: demo", "backend: demo, config: galvo_2cam_lasers")
    for limit in ("mj_total: 0.0039", "largest_power: {Laser405Power.Volts: 3}"):
        ran = lab(
            _shoot(f"if t == 0:\n    context.fireOnDemand({POINT})"),
            acquisition=ACQUISITION,
            microscope=line,
            more=f"{LASER}\nsafety: {{light: {{{limit}}}}}",
        )
        (command,) = ran.of(Commanded)
        assert command.decided == "refused" and limit.split(":")[0] in str(command.message)
