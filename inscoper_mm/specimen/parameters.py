"""The parameters of the virtual specimen, as an experiment file gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, TypeVar, cast

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

_Values = TypeVar("_Values", "Jump", "SpecimenParameters")
_DENSEST_PER_MM2 = 420.0


@dataclass(frozen=True, slots=True)
class Jump:
    """The specimen moves by itself, once, after ``after_images`` exposures."""

    after_images: int
    dx_um: float = 0.0
    dy_um: float = 0.0
    dz_um: float = 0.0


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
    jumps : tuple of Jump
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
    jumps: tuple[Jump, ...] = ()
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
        reader = _Reader(file)
        parameters = reader.read(cls, mapping or {}, "microscope.specimen")
        if reader.findings or parameters is None:
            raise InvalidInput(reader.findings)
        return parameters


# Lowest and highest allowed value of each number.
_LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "cells_per_mm2": (0, _DENSEST_PER_MM2),
    "touching_fraction": (0, 0.5),
    "depth_of_field_um": (0.05, 1000),
    "signal": (0, 1000),
    "haze": (0, 1000),
    "falloff": (0, 0.95),
    "pixel_size_um": (0.01, 100),
    "after_images": (0, 10**9),
}


class _Reader:
    """Reads mappings into frozen values and collects what is wrong."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.findings: list[Finding] = []

    def read(self, kind: type[_Values], mapping: object, place: str) -> _Values | None:
        """``mapping`` as a ``kind``, or None where something is wrong with it."""
        if not isinstance(mapping, Mapping):
            self._reject(place, "must be a mapping of names to values.", mapping)
            return None
        known: dict[str, Field[Any]] = {field.name: field for field in fields(kind)}
        before = len(self.findings)
        for name in mapping:
            if name not in known:
                self._unknown(place, str(name), list(known))
        values = {
            name: self._value(field, mapping[name], f"{place}.{name}")
            for name, field in known.items()
            if name in mapping
        }
        for name, field in known.items():
            if name not in mapping and field.default is MISSING:
                self._reject(f"{place}.{name}", "is missing.", None)
        return kind(**values) if len(self.findings) == before else None

    def _value(self, field: Field[Any], value: object, place: str) -> Any:
        if field.name == "jumps":
            return self._jumps(value, place)
        kind = str(field.type)
        if kind == "bool":
            if not isinstance(value, bool):
                self._reject(place, "must be true or false.", value)
            return value
        whole = kind == "int"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            self._reject(place, "must be a whole number." if whole else "must be a number.", value)
            return value
        low, high = _LIMITS.get(field.name, (-math.inf, math.inf))
        number = cast(float, value)
        if not (math.isfinite(number) and low <= number <= high):
            allowed = f"{low:g} to {high:g}" if math.isfinite(low) else "a finite number"
            self._reject(place, "is outside its limits.", value, allowed)
        return int(number) if whole else float(number)

    def _jumps(self, value: object, place: str) -> tuple[Jump, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            self._reject(place, "must be a list of jumps.", value, "[{after_images: 21, dz_um: 6.0}]")
            return ()
        jumps = [self.read(Jump, item, f"{place}[{number}]") for number, item in enumerate(value)]
        return tuple(jump for jump in jumps if jump is not None)

    def _unknown(self, place: str, name: str, known: list[str]) -> None:
        self.findings.append(
            Finding(
                f"'{name}' is not a parameter of the specimen.",
                file=self.file,
                field=f"{place}.{name}",
                allowed=one_of(known),
                suggestion=did_you_mean(name, known),
            )
        )

    def _reject(self, place: str, message: str, got: object, allowed: str | None = None) -> None:
        shown = None if got is None else repr(got)
        self.findings.append(
            Finding(f"The value {message}", file=self.file, field=place, got=shown, allowed=allowed)
        )
