"""Tells the Core the true pixel size and affine of the specimen's camera, and takes it back."""

from __future__ import annotations

from typing import Any

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.specimen.parameters import SpecimenParameters


class PixelSizes:
    """The pixel-size presets of a Core, set to the truth until `restore`.

    Parameters
    ----------
    core : CMMCore
    parameters : SpecimenParameters

    Raises
    ------
    InvalidInput
        If the Core has no pixel-size preset.
    """

    def __init__(self, core: Any, parameters: SpecimenParameters) -> None:
        presets = core.getAvailablePixelSizeConfigs()
        if not presets:
            raise InvalidInput(_nowhere())
        self._core = core
        self._earlier = {
            preset: (core.getPixelSizeUmByID(preset), core.getPixelSizeAffineByID(preset))
            for preset in presets
        }
        camera = parameters.camera
        for preset, (size_um, _) in self._earlier.items():
            true_um = camera.pixel_size_um or size_um or parameters.pixel_size_um
            x_col, x_row, y_col, y_row = camera.orientation.affine_um(true_um)
            self._set(preset, true_um, (x_col, x_row, 0.0, y_col, y_row, 0.0))

    def restore(self) -> None:
        """Give every preset the size and affine back that it had."""
        for preset, (size_um, affine) in self._earlier.items():
            self._set(preset, size_um, affine)

    def _set(self, preset: str, size_um: float, affine: tuple[float, ...]) -> None:
        self._core.setPixelSizeUm(preset, size_um)
        self._core.setPixelSizeAffine(preset, list(affine))


def _nowhere() -> Finding:
    return Finding(
        "The configuration has no pixel-size preset that could be told the camera's affine.",
        field="microscope.specimen.set_affine",
        got="True",
        cure="Leave set_affine out, or use a configuration with pixel-size presets.",
    )
