"""Calibrations on the microscope of an experiment, with its light and within its limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from inscoper_mm.acquisition.limiting import guard_of, with_site
from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.calibration import PixelStageCalibration, load_calibrations
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import make_plan
from inscoper_mm.experiment.site_file import read_site_files
from inscoper_mm.microscope.bench import SETTLE_S, MicroscopeBench
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.live_devices import SubDevices
from inscoper_mm.microscope.stage_calibration import Measured, measure_pixel_stage


def use_calibrations(experiment: Experiment, microscope: Microscope) -> Callable[[], None]:
    """Let the experiment's pixel-to-stage calibrations hold; returns what ends that.

    Raises
    ------
    InvalidInput
        If a file is wrong, or if all of them are of another camera or objective.
    """
    calibrations = load_calibrations(experiment.microscope.calibrations)
    geometry = microscope.geometry
    geometry.use(each for each in calibrations if isinstance(each, PixelStageCalibration))
    try:
        geometry.refuse_foreign()
    except InvalidInput:
        geometry.use(())
        raise
    return partial(geometry.use, ())


def make_bench(
    experiment: Experiment, microscope: Microscope, what: str, settle_s: float = SETTLE_S
) -> MicroscopeBench:
    """A bench with the limits of a run, and the experiment's first channel and exposure set."""
    files = read_site_files()
    devices = SubDevices(microscope, with_site(experiment, files).aliases)
    bench = MicroscopeBench(microscope, guard_of(experiment, microscope, devices, files), what, settle_s)
    channel = make_plan(experiment, microscope.position()).channels[0]
    bench.light(channel.group, channel.name, channel.exposure_ms)
    return bench


def calibrate_pixel_stage(
    experiment: Experiment,
    microscope: Microscope,
    tell: Callable[[str], None] = lambda line: None,
    settle_s: float = SETTLE_S,
) -> tuple[PixelStageCalibration, Measured]:
    """Measure how pixels lie on the stage, where the stage stands; it returns there.

    Parameters
    ----------
    experiment : Experiment
        Gives the limits, and its first channel the light.
    microscope : Microscope
    tell : callable
        Gets a line for each step.
    settle_s : float
        Waited after each move.

    Raises
    ------
    CalibrationFailed, LimitRefused, CommandRefused
    """
    bench = make_bench(experiment, microscope, "calibrate pixel-stage", settle_s)
    view = microscope.geometry.view()
    measured = measure_pixel_stage(bench, view.pixel_size_um, tell)
    a, b, c, d = (round(value / view.binning, 9) + 0.0 for value in measured.affine_um)
    calibration = PixelStageCalibration(
        optics=microscope.geometry.optics,
        stage=microscope.xy_stage,
        affine_um=(a, b, c, d),
        binning=view.binning,
        image_shape=measured.image_shape,
        residual_px=round(measured.residual_px, 4),
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    return calibration, measured
