"""``calibrate``: measure what a run needs to know about the microscope, and write it to a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from rich.console import Console

from inscoper_mm.acquisition.result import EXIT_FAILED, EXIT_INVALID, EXIT_OK
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.cli.run import load
from inscoper_mm.errors import Finding, InscoperError, InvalidInput, short_path
from inscoper_mm.experiment.calibration import (
    Calibration,
    GalvoCalibration,
    PixelStageCalibration,
    load_calibration,
    save_calibration,
)
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.microscope.galvo_calibration import Wanted
from inscoper_mm.microscope.geometry import orientation
from inscoper_mm.microscope.stage_calibration import Measured


def pixel_stage_command(config: Path, output: Path | None, changes: list[str]) -> int:
    """Measure how pixels lie on the stage; returns the exit status."""
    from inscoper_mm.acquisition.calibrating import calibrate_pixel_stage
    from inscoper_mm.cli.bench import opened

    console = Console(highlight=False)
    try:
        experiment = load(config, changes)
        refuse_output(output)
        console.print(
            "Initialising the devices; then the stage moves, and returns to where it stands.", style="yellow"
        )
        with opened(experiment) as microscope:
            believed_um = microscope.geometry.view().pixel_size_um
            calibration, measured = calibrate_pixel_stage(
                experiment, microscope, lambda line: console.print(line, style="dim", markup=False)
            )
        file = output or default_file(experiment, calibration)
        refuse_output(file)
        save_calibration(calibration, file, _notes(calibration))
    except InvalidInput as error:
        tell_findings(console, error.findings)
        return EXIT_INVALID
    except InscoperError as error:
        console.print("[red]Not calibrated.[/] ", end="")
        for line in (str(error), *getattr(error, "__notes__", ())):
            console.print(line, markup=False, soft_wrap=True)
        return EXIT_FAILED
    _tell(console, calibration, measured, believed_um)
    tell_use(console, file)
    return EXIT_OK


def galvo_command(config: Path, output: Path | None, changes: list[str], grid: int, model: str) -> int:
    """Measure how the galvo's coordinates belong to pixels; returns the exit status."""
    from inscoper_mm.acquisition.calibrating_galvo import calibrate_galvo
    from inscoper_mm.cli.bench import opened

    console = Console(highlight=False)
    try:
        experiment = load(config, changes)
        refuse_output(output)
        console.print("Initialising the devices; then the galvo fires all over the field.", style="yellow")
        with opened(experiment) as microscope:
            calibration, measured = calibrate_galvo(
                experiment,
                microscope,
                lambda line: console.print(line, style="dim", markup=False),
                grid,
                cast("Wanted", model),
            )
        file = output or default_file(experiment, calibration)
        refuse_output(file)
        save_calibration(calibration, file, _galvo_notes(calibration))
    except InvalidInput as error:
        tell_findings(console, error.findings)
        return EXIT_INVALID
    except InscoperError as error:
        console.print("[red]Not calibrated.[/] ", end="")
        console.print(str(error), markup=False, soft_wrap=True)
        return EXIT_FAILED
    lines = [
        f"{calibration.optics}, galvo {calibration.galvo}",
        f"model       {calibration.model}",
        f"residual    {calibration.residual_px:.2f} px (largest {measured.fitted.largest:.2f} px) over "
        f"{int(measured.fitted.kept.sum())} of {measured.tried} points",
        f"spot        {calibration.spot_px:.1f} px wide at half its height",
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    tell_use(console, file)
    return EXIT_OK


def _galvo_notes(calibration: GalvoCalibration) -> list[str]:
    terms = "1, col, row" if calibration.model == "affine" else "1, col, row, col^2, col row, row^2"
    return [
        "Where the galvo has to point for a pixel, measured by inscoper-mm calibrate galvo.",
        f"coefficients: those of the galvo's x, then of its y, for {terms};",
        "col and row in pixels of the whole sensor without binning.",
    ]


def refuse_output(file: Path | None) -> None:
    """Refuse to replace a file that is no calibration file.

    Raises
    ------
    InvalidInput
    """
    if file is None or not file.exists():
        return
    try:
        load_calibration(file)
    except InvalidInput as error:
        raise InvalidInput(
            Finding(
                "this file is there already and is no calibration file: it is not replaced.",
                file=short_path(file),
                cure="Choose another name with --output.",
            )
        ) from error


def default_file(experiment: Experiment, calibration: Calibration) -> Path:
    """The calibration's file next to the experiment, named after what it holds for."""
    optics = calibration.optics
    name = (
        re.sub(r"[^\w.-]+", "_", optics.preset or optics.objective or optics.camera).strip("_.") or "camera"
    )
    folder = experiment.source.parent if experiment.source else Path()
    return folder / f"{calibration.KIND}_{name}.yaml"


def tell_use(console: Console, file: Path) -> None:
    """Say what to put into the experiment."""
    console.print(f"Written to {short_path(file)}. In the experiment:", markup=False, soft_wrap=True)
    console.print(f"  microscope:\n    calibrations: [{file.name}]", markup=False, soft_wrap=True)
    console.print("(a path relative to the experiment file)", style="dim")


def _notes(calibration: PixelStageCalibration) -> list[str]:
    a, b, c, d = calibration.affine_um
    preset = calibration.optics.preset or "PRESET"
    return [
        "How pixels lie on the stage, measured by inscoper-mm calibrate pixel-stage.",
        "affine_um: x per column, x per row, y per column, y per row, in um per pixel without binning.",
        f"As a line of a Micro-Manager configuration: PixelSizeAffine,{preset},{a:.7g},{b:.7g},0.0,{c:.7g},{d:.7g},0.0",
    ]


def _tell(
    console: Console, calibration: PixelStageCalibration, measured: Measured, believed_um: float | None
) -> None:
    words = orientation(measured.affine_um)
    binned = f" at binning {calibration.binning}" if calibration.binning > 1 else ""
    mirrored = "mirrored" if words["mirrored"] else "not mirrored"
    lines = [
        f"{calibration.optics}",
        f"pixel size  {words['pixel_size_um']:.5g} um{binned} (columns {words['scale_x_um']:.5g}, rows "
        f"{words['scale_y_um']:.5g})",
        f"rotation    {words['rotation_deg']:.2f} degrees, {mirrored}",
        f"shear       {words['shear_deg']:.2f} degrees",
        f"residual    {measured.residual_px:.2f} px over {len(measured.moves)} of {measured.tried} moves; back at the "
        f"start within {measured.drift_px:.2f} px",
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    size_um = words["pixel_size_um"]
    if believed_um and abs(size_um / believed_um - 1) > 0.02:
        console.print(
            f"The configuration says {believed_um:g} um a pixel; the measurement takes its place.",
            style="yellow",
        )
