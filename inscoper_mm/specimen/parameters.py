"""The parameters of the virtual specimen, as an experiment file gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inscoper_mm.errors import InvalidInput
from inscoper_mm.specimen import changes, plate
from inscoper_mm.specimen.changes import Death, Division, Drift, Motion, Time
from inscoper_mm.specimen.orientation import Orientation, turned
from inscoper_mm.specimen.plate import Plate
from inscoper_mm.specimen.reader import Reader

_DENSEST_PER_MM2 = 420.0
# An affine and a second-order map.
_TERMS = (3, 6)


@dataclass(frozen=True, slots=True)
class Jump:
    """The specimen moves by itself, once, after ``after_images`` exposures."""

    after_images: int
    dx_um: float = 0.0
    dy_um: float = 0.0
    dz_um: float = 0.0


@dataclass(frozen=True, slots=True)
class Camera:
    """How the camera is mounted, and how large its pixels are in the specimen.

    Parameters
    ----------
    rotation_deg : float
        Direction on the stage, from +x towards +y, in which the columns of the image run. 0, 90, 180 and 270
        are exact.
    mirrored : bool
        Left and right of the image are exchanged, after the rotation.
    aspect : float
        Height of a pixel over its width, 0.5 to 2.
    shear_deg : float
        By how much rows and columns are not perpendicular, -30 to 30.
    pixel_size_um : float, optional
        Size of a pixel without binning, whatever the Core believes; the square root of its area where it is
        not square. Left out: that of the Core.
    noise : float
        Shot noise and read noise against those of a real camera; 0: none.
    """

    rotation_deg: float = 0.0
    mirrored: bool = False
    aspect: float = 1.0
    shear_deg: float = 0.0
    pixel_size_um: float | None = None
    noise: float = 1.0

    @property
    def orientation(self) -> Orientation:
        """The directions of the image's columns and rows on the stage."""
        return turned(self.rotation_deg, self.mirrored, self.aspect, self.shear_deg)


@dataclass(frozen=True, slots=True)
class Bleaching:
    """How light takes fluorescence away, and how it comes back.

    Parameters
    ----------
    per_ms : float
        Rate of bleaching in the middle of the galvo's spot at full power: after t ms ``exp(-per_ms * t)`` is left.
    mobile_fraction : float
        Share of the molecules that diffuse within their part of the cell, 0 to 1.
    half_time_s : float
        Time in which a bleached place comes half as near to the mean of its part of the cell.
    imaging_per_ms : float
        Rate of bleaching of all cells in the field while they are imaged, per ms of exposure.
    """

    per_ms: float = 0.1
    mobile_fraction: float = 0.7
    half_time_s: float = 10.0
    imaging_per_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Galvo:
    """Where the light of the galvo falls.

    Parameters
    ----------
    spot_px : float
        Full width at half maximum of the spot, in pixels of the sensor without binning.
    brightness_electrons : float
        Light of the spot in its middle, in images that show it.
    col, row : tuple of float
        The place on the sensor, in pixels without binning, at which the galvo's (x, y) is seen: the factors of 1, x
        and y, or of 1, x, y, x^2, x y and y^2. Left out: as the demo camera draws its galvo's spot.
    """

    spot_px: float = 4.6
    brightness_electrons: float = 650.0
    col: tuple[float, ...] = ()
    row: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Brightfield:
    """Channels of transmitted light, in which cells are thin, transparent objects.

    Parameters
    ----------
    channels : tuple of str
        Names of the presets that show transmitted light.
    phase_rad : float
        By how much a typical cell delays the light, in its middle. Such an object vanishes in focus.
    absorption : float
        Share of the light that a typical cell takes away there.
    electrons : float
        Light beside the cells, per pixel of 20 ms without binning in the centre of the field.
    """

    channels: tuple[str, ...] = ()
    phase_rad: float = 1.5
    absorption: float = 0.02
    electrons: float = 1200.0


@dataclass(frozen=True, slots=True)
class ObjectiveShift:
    """How much further stage and focus must stand with an objective, to see the same place centred and sharp."""

    x_um: float = 0.0
    y_um: float = 0.0
    z_um: float = 0.0


@dataclass(frozen=True, slots=True)
class SpecimenParameters:
    """What the virtual specimen is like.

    Parameters
    ----------
    seed : int
        Same seed and same exposures: same images.
    cells_per_mm2 : float
        380 gives 100 cells in 512 x 512 pixels of 1 um.
    touching_fraction : float
        Share of the cells that touch another one.
    focus_um : float
        Focus position at which the cells are sharp.
    depth_of_field_um : float
        Distance from focus at which the blur is plainly seen; see `Specimen`.
    signal : float
        Brightness of the cells against the default, at the same background.
    haze : float
        Out-of-focus background against the default.
    falloff : float
        Share of the light that is lost from the centre to the corners of the sensor.
    pixel_size_um : float
        For configurations that define no pixel size: that of an image without binning.
    camera : Camera
        How the camera looks at the stage.
    set_affine : bool
        Tell the Core: every pixel-size preset gets the true pixel size and affine while the specimen is
        attached, and has its own back afterwards. False: the Core keeps its own, right or wrong.
    bleaching : Bleaching
    galvo : Galvo
    brightfield : Brightfield
    channel_focus_um : mapping of str to float
        Name of a channel preset -> how much higher the focus drive must stand with it; 0 for others.
    objectives : mapping of str to ObjectiveShift
        Label of an objective in its turret -> where its image really lies; others have no shift.
    plate : Plate, optional
        Wells of fewer cells. Left out: the same everywhere.
    jumps : tuple of Jump
    time : Time
    drift : Drift
    motion : Motion, optional
        Left out: no cell moves.
    division : Division, optional
        Left out: no cell grows and divides.
    death : Death, optional
        Left out: no cell dies.
    shutter_fails_after : int, optional
        From the image of this number on, the shutter stays closed.
    write_truth : bool
        Write labels and a table of the true cells next to the images of a run.
    """

    seed: int = 1
    cells_per_mm2: float = 380.0
    touching_fraction: float = 0.2
    focus_um: float = 0.0
    depth_of_field_um: float = 2.0
    signal: float = 1.0
    haze: float = 1.0
    falloff: float = 0.4
    pixel_size_um: float = 1.0
    camera: Camera = Camera()
    set_affine: bool = False
    brightfield: Brightfield = Brightfield()
    channel_focus_um: Mapping[str, float] = field(default_factory=dict)
    objectives: Mapping[str, ObjectiveShift] = field(default_factory=dict)
    bleaching: Bleaching = Bleaching()
    galvo: Galvo = Galvo()
    plate: Plate | None = None
    jumps: tuple[Jump, ...] = ()
    time: Time = field(default_factory=Time)
    drift: Drift = field(default_factory=Drift)
    motion: Motion | None = None
    division: Division | None = None
    death: Death | None = None
    shutter_fails_after: int | None = None
    write_truth: bool = False

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any] | None, file: str | None = None) -> SpecimenParameters:
        """The parameters that an experiment file's ``microscope: specimen:`` gives.

        Parameters
        ----------
        mapping : mapping or None
            Names of parameters and their values; None or empty: the defaults.
        file : str, optional
            The file, for the errors.

        Raises
        ------
        InvalidInput
            With a finding for each unknown name and each value that is not allowed.
        """
        reader = Reader(file, _LIMITS)
        parameters = reader.read(cls, {} if mapping is None else mapping, "microscope.specimen")
        if parameters is not None:
            for name in ("col", "row"):
                terms = getattr(parameters.galvo, name)
                if terms and len(terms) not in _TERMS:
                    reader.reject(
                        f"microscope.specimen.galvo.{name}", "must be a list of 3 or 6 numbers.", terms
                    )
        if reader.findings or parameters is None:
            raise InvalidInput(reader.findings)
        return parameters


# Lowest and highest allowed value of each number.
_LIMITS: dict[str, tuple[float, float]] = (
    {
        "seed": (0, 2**32 - 1),
        "cells_per_mm2": (0, _DENSEST_PER_MM2),
        "touching_fraction": (0, 0.5),
        "depth_of_field_um": (0.05, 1000),
        "signal": (0, 1000),
        "haze": (0, 1000),
        "falloff": (0, 0.95),
        "pixel_size_um": (0.01, 100),
        "after_images": (0, 10**9),
        "rotation_deg": (-360, 360),
        "aspect": (0.5, 2),
        "shear_deg": (-30, 30),
        "per_ms": (0, 1e6),
        "mobile_fraction": (0, 1),
        "half_time_s": (1e-3, 1e9),
        "imaging_per_ms": (0, 1e3),
        "spot_px": (0.5, 500),
        "brightness_electrons": (0, 1e6),
        "noise": (0, 100),
        "phase_rad": (-10, 10),
        "absorption": (-1, 1),
        "electrons": (0, 1e6),
        "shutter_fails_after": (0, 10**9),
    }
    | changes.LIMITS
    | plate.LIMITS
)
