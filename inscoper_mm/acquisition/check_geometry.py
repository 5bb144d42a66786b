"""Whether pixels can be brought to the stage: calibrations, pixel size, orientation properties that nobody applies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.errors import Finding, InvalidInput, short_path
from inscoper_mm.experiment.calibration import (
    Calibration,
    Optics,
    PixelStageCalibration,
    fitting,
    load_calibrations,
)
from inscoper_mm.experiment.document import KeyPath
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.microscope.cfg import Config
from inscoper_mm.microscope.geometry import CORRECTED, TRANSPOSITIONS, WHAT, Linear, scale_of, trusted_affine

_CALIBRATIONS: KeyPath = ("microscope", "calibrations")
_CONFIG: KeyPath = ("microscope", "config")
# Methods that need the place of pixels on the stage; fireOnDemand() looks for its own calibration.
_METHODS = ("pixelToStage", "stageToPixel", "centerOn")
_MEASURE = "Measure it: inscoper-mm calibrate pixel-stage."


def calibrated(experiment: Experiment, facts: MicroscopeFacts, notes: Notes) -> MicroscopeFacts:
    """Note what is wrong with the calibration files; the facts with the pixel size of the one that will hold."""
    found: list[Calibration] = []
    for number, path in enumerate(experiment.microscope.calibrations):
        try:
            found += load_calibrations([path])
        except InvalidInput as error:
            for finding in error.findings:
                notes.place(finding, (*_CALIBRATIONS, number))
    pixel_stage = [each for each in found if isinstance(each, PixelStageCalibration)]
    if not facts.camera or not pixel_stage:
        return facts
    try:
        fits = fitting(pixel_stage, Optics(facts.camera, facts.objective, facts.preset), WHAT)
    except InvalidInput as error:
        for finding in error.findings:
            notes.place(replace(finding, file=None), _CALIBRATIONS)
        return facts
    if fits is None:
        return facts
    return replace(facts, pixel_size_um=scale_of(fits.affine_um) * facts.binning, calibrated=True)


def check_orientation(config: Config, facts: MicroscopeFacts, notes: Notes) -> None:
    """Warn of orientation properties that the configuration sets for the camera: the Core does not turn images."""
    set_here = [
        setting
        for setting in (*config.settings, *config.startup)
        if setting.device == facts.camera and setting.property in (*TRANSPOSITIONS, CORRECTED)
    ]
    last = {setting.property: setting for setting in set_here}
    on = [setting for setting in last.values() if setting.value not in ("0", "")]
    if not any(setting.property in TRANSPOSITIONS for setting in on):
        return
    names = ", ".join(setting.property for setting in on)
    if facts.calibrated:
        effect = "How pixels lie on the stage is known from the experiment's calibration."
    elif _trusted_at_start(config) is not None:
        effect = "How pixels lie on the stage is known from the affine of the pixel size preset."
    else:
        effect = "They are taken as the camera's orientation on the stage, since no affine was measured."
    notes.findings.append(
        Finding(
            f"{names} of the camera '{facts.camera}': Micro-Manager's Core does not turn or mirror images; scripts and "
            f"stored images have them as the camera sends them. {effect}",
            level="warning",
            file=short_path(config.path),
            line=on[0].line,
            cure=None if facts.calibrated else _MEASURE,
        )
    )


def _trusted_at_start(config: Config) -> Linear | None:
    preset = config.pixel_size_at_start()
    if preset is None or not preset.size_um or preset.affine is None:
        return None
    return trusted_affine(preset.affine, preset.size_um)


def check_script_geometry(
    name: str, used: Iterable[str], facts: MicroscopeFacts | None, notes: Notes, path: KeyPath
) -> None:
    """Warn of a script that asks for places of pixels where nothing is known about them."""
    wanted = [f"{method}()" for method in _METHODS if method in used]
    if facts is not None and wanted and facts.xy_stage != "" and facts.pixel_size_um is None:
        message = (
            f"{name} uses {', '.join(wanted)}, and {facts.config} gives no pixel size for the state after loading: "
            "calls will be refused."
        )
        notes.add("warning", path, message, cure=_MEASURE)
