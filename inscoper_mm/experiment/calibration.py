"""Calibration files: what was measured once for a camera and an objective, and when it may be used.

A file holds one calibration. Runs name theirs in ``microscope: calibrations: [FILE, ...]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, TypeVar, cast

import yaml

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.experiment.document import read_document, shown
from inscoper_mm.experiment.reader import Section, is_number

GalvoModel = Literal["affine", "second_order"]
# Terms of the map of one coordinate.
COEFFICIENTS: Mapping[str, int] = {"affine": 3, "second_order": 6}
_BINNINGS = 64


@dataclass(frozen=True, slots=True)
class Optics:
    """What a calibration holds for: labels, "" where the microscope does not tell.

    ``objective`` is the label of the objective turret's position, ``preset`` the name of the pixel size preset that
    is in force.
    """

    camera: str
    objective: str = ""
    preset: str = ""

    def __str__(self) -> str:
        parts = [f"camera {self.camera}" if self.camera else "no camera"]
        parts += [f"objective {self.objective}"] if self.objective else []
        parts += [f"pixel size preset {self.preset}"] if self.preset else []
        return ", ".join(parts)

    def fits(self, other: Optics) -> bool:
        """Whether it is the same camera and objective; a label that one side does not know is not compared."""
        pairs = ((self.objective, other.objective), (self.preset, other.preset))
        return self.camera == other.camera and all(not own or not its or own == its for own, its in pairs)


@dataclass(frozen=True, slots=True)
class PixelStageCalibration:
    """How pixels lie on the stage.

    Parameters
    ----------
    optics : Optics
        What it was measured with.
    stage : str
        The label of the XY stage.
    affine_um : tuple of float
        (x per column, x per row, y per column, y per row) in um per pixel of an image without binning.
    binning : int
        The binning during the measurement.
    image_shape : tuple of int
        (Y, X) of the images.
    residual_px : float
        Root mean square of what the affine leaves unexplained, in pixels of the measured images.
    date : str
        ISO 8601.
    file : Path, optional
        Where it was read from; does not take part in comparisons.
    """

    KIND: ClassVar[str] = "pixel_stage"

    optics: Optics
    stage: str
    affine_um: tuple[float, float, float, float]
    binning: int
    image_shape: tuple[int, int]
    residual_px: float
    date: str
    file: Path | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class GalvoCalibration:
    """How the galvo's coordinates belong to pixels.

    Parameters
    ----------
    optics : Optics
        What it was measured with.
    galvo : str
        The label of the galvo.
    model : {"affine", "second_order"}
    coefficients : tuple of float
        Those of the galvo's x, then those of its y: 3 each (1, col, row) for ``affine``, 6 each (1, col, row, col^2,
        col row, row^2) for ``second_order``, with pixels of the whole sensor without binning.
    binning : int
        The binning during the measurement.
    image_shape : tuple of int
        (Y, X) of the images.
    residual_px : float
        Root mean square of the distance between spots asked for and found, in pixels of the measured images.
    date : str
        ISO 8601.
    spot_px : float
        Full width at half maximum of the spot, in pixels of the sensor without binning; 0: not known.
    file : Path, optional
        Where it was read from; does not take part in comparisons.
    """

    KIND: ClassVar[str] = "galvo"

    optics: Optics
    galvo: str
    model: GalvoModel
    coefficients: tuple[float, ...]
    binning: int
    image_shape: tuple[int, int]
    residual_px: float
    date: str
    spot_px: float = 0.0
    file: Path | None = field(default=None, compare=False)


Calibration = PixelStageCalibration | GalvoCalibration
_C = TypeVar("_C", PixelStageCalibration, GalvoCalibration)


def save_calibration(calibration: Calibration, path: Path, notes: Sequence[str] = ()) -> None:
    """Write a calibration file; ``notes`` become comments at its top."""
    values = asdict(calibration)
    values.pop("file")
    optics = values.pop("optics")
    values = {"kind": calibration.KIND, **optics, **values}
    for name in ("affine_um", "coefficients", "image_shape"):
        if name in values:
            values[name] = list(values[name])
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"# {note}\n" for note in notes) + text, encoding="utf-8")


def load_calibration(path: Path) -> Calibration:
    """Read a calibration file.

    Raises
    ------
    InvalidInput
        With file, line and field of everything that is wrong.
    """
    document = read_document(path)
    findings: list[Finding] = []
    top = Section(document, (), document.value, findings)
    if document.value is None:
        raise InvalidInput(Finding("the file is empty.", file=document.file))
    if not top.value("kind"):
        top.refuse("kind", "'kind' is missing: this is no calibration file.", allowed=", ".join(_READERS))
        raise InvalidInput(findings)
    kind = top.choice("kind", tuple(_READERS), "")
    if findings:
        raise InvalidInput(findings)
    calibration = _READERS[kind](top)
    top.finish()
    if findings:
        raise InvalidInput(findings)
    return replace(calibration, file=path)


def load_calibrations(paths: Iterable[Path]) -> tuple[Calibration, ...]:
    """Read calibration files.

    Raises
    ------
    InvalidInput
        With what is wrong in all of them.
    """
    found: list[Calibration] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            found.append(load_calibration(path))
        except InvalidInput as error:
            findings += error.findings
    if findings:
        raise InvalidInput(findings)
    return tuple(found)


def fitting(calibrations: Iterable[_C], optics: Optics, what: str) -> _C | None:
    """The calibration that holds for ``optics``: the last of those that fit; None if there are no calibrations.

    Parameters
    ----------
    calibrations : iterable
        All of one kind (and, for galvos, of one galvo).
    optics : Optics
        What is in use now.
    what : str
        What they are, for the error: "pixel-to-stage calibration".

    Raises
    ------
    InvalidInput
        If there are some, but only of another camera or objective.
    """
    offered = list(calibrations)
    fits = [calibration for calibration in offered if calibration.optics.fits(optics)]
    if fits:
        return fits[-1]
    if not offered:
        return None
    raise InvalidInput(
        Finding(
            f"no {what} fits the microscope as it stands.",
            file=str(offered[-1].file) if offered[-1].file else None,
            field="microscope.calibrations",
            got=str(optics),
            allowed="; ".join(str(calibration.optics) for calibration in offered),
            cure="Measure one for this objective (inscoper-mm calibrate), or take the file out of the experiment.",
        )
    )


# -- reading


def _pixel_stage(top: Section) -> PixelStageCalibration:
    affine = _numbers(top, "affine_um", 4)
    if len(affine) == 4 and not abs(affine[0] * affine[3] - affine[1] * affine[2]) > 1e-12:
        top.refuse("affine_um", "is not a map: it leads a whole line of pixels to one place.")
    return PixelStageCalibration(
        _optics(top),
        top.text("stage", required=True) or "",
        cast("tuple[float, float, float, float]", affine),
        *_common(top),
    )


def _galvo(top: Section) -> GalvoCalibration:
    model = cast("GalvoModel", top.choice("model", tuple(COEFFICIENTS), "affine"))
    return GalvoCalibration(
        _optics(top),
        top.text("galvo", required=True) or "",
        model,
        _numbers(top, "coefficients", 2 * COEFFICIENTS[model]),
        *_common(top),
        spot_px=top.number("spot_px", 0.0, 0.0),
    )


_READERS: Mapping[str, Callable[[Section], Calibration]] = {
    PixelStageCalibration.KIND: _pixel_stage,
    GalvoCalibration.KIND: _galvo,
}


def _optics(top: Section) -> Optics:
    # What the microscope did not tell is written as empty text.
    names = {key: top.value(key) or None for key in ("objective", "preset")}
    for key, value in names.items():
        if value is not None and not isinstance(value, str):
            top.refuse(key, "must be text.", got=shown(value), cure=f'Put it in quotes: "{value}".')
    return Optics(top.text("camera", required=True) or "", *(str(value or "") for value in names.values()))


def _common(top: Section) -> tuple[int, tuple[int, int], float, str]:
    shape = _numbers(top, "image_shape", 2)
    return (
        top.integer("binning", 1, 1, _BINNINGS),
        (int(shape[0]), int(shape[1])) if len(shape) == 2 else (0, 0),
        top.number("residual_px", 0.0, 0.0),
        top.text("date", "") or "",
    )


def _numbers(top: Section, key: str, count: int) -> tuple[float, ...]:
    value = top.value(key)
    if value is None:
        top.need(key)
        return ()
    given = value if isinstance(value, list) else []
    if len(given) != count or not all(is_number(each) and math.isfinite(each) for each in given):
        top.refuse(key, "is not possible.", got=shown(value), allowed=f"a list of {count} numbers")
        return ()
    return tuple(float(each) for each in given)
