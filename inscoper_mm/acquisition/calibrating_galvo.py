"""The calibration of a galvo on the microscope of an experiment, with its light."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime

from inscoper_mm.acquisition.calibrating import make_bench
from inscoper_mm.acquisition.firing import Firing
from inscoper_mm.experiment.calibration import GalvoCalibration
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.galvo_calibration import GalvoMeasurement, MeasuredGalvo, Wanted
from inscoper_mm.microscope.live_devices import SubDevices


def calibrate_galvo(
    experiment: Experiment,
    microscope: Microscope,
    tell: Callable[[str], None] = lambda line: None,
    grid: int = 7,
    model: Wanted = "auto",
) -> tuple[GalvoCalibration, MeasuredGalvo]:
    """Measure how the galvo's coordinates belong to pixels.

    Parameters
    ----------
    experiment : Experiment
        Its first channel gives the camera's light and exposure, its ``photomanipulation`` the galvo, the light and the
        power.
    microscope : Microscope
    tell : callable
        Gets a line for each step.
    grid : int
        As many points each way.
    model : {"affine", "second_order", "auto"}

    Raises
    ------
    CalibrationFailed, CommandRefused, LimitRefused
    """
    bench = make_bench(experiment, microscope, "calibrate galvo")
    firing = Firing(microscope, SubDevices(microscope, experiment.aliases), experiment.photomanipulation)
    pointer, light, power = firing.pointing()
    view = microscope.geometry.view()
    with light.lit(power) if light is not None else contextlib.nullcontext():
        measured = GalvoMeasurement(pointer, bench.snap, view, tell).measure(grid, model)
    calibration = GalvoCalibration(
        optics=microscope.geometry.optics,
        galvo=pointer.label,
        model=measured.fitted.model,
        coefficients=tuple(float(f"{value:.10g}") for value in measured.fitted.coefficients),
        binning=view.binning,
        image_shape=measured.image_shape,
        residual_px=round(measured.fitted.residual, 4),
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        spot_px=round(measured.spot_px, 3),
    )
    return calibration, measured
