"""The state of the microscope that an image is rendered from."""

from __future__ import annotations

from typing import Any

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of
from inscoper_mm.specimen.parameters import ObjectiveShift, SpecimenParameters
from inscoper_mm.specimen.view import View

# The Core's number for devices with labelled states.
_STATE_DEVICE = 4
_NO_SHIFT = ObjectiveShift()


class CoreState:
    """Reads the state of the microscope, in some ten microseconds.

    Parameters
    ----------
    core : CMMCore
    parameters : SpecimenParameters
        What the Core does not know.

    Raises
    ------
    InvalidInput
        If they name a channel preset that there is none of.
    """

    def __init__(self, core: Any, parameters: SpecimenParameters) -> None:
        self._core = core
        self._parameters = parameters
        self._orientation = parameters.camera.orientation
        group = core.getChannelGroup()
        # Configurations often have a second group of channels, which the Core's role does not name.
        others = [
            name for name in core.getAvailableConfigGroups() if "channel" in name.lower() and name != group
        ]
        self._groups = ([group] if group else []) + others
        self._refuse_unknown_channels()
        self._turrets = [
            str(device)
            for device in core.getLoadedDevicesOfType(_STATE_DEVICE)
            if set(core.getStateLabels(device)) & set(parameters.objectives)
        ]
        self._sensor_known: dict[str, bool] = {}
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}

    def _refuse_unknown_channels(self) -> None:
        known = sorted(
            {str(preset) for group in self._groups for preset in self._core.getAvailableConfigs(group)}
        )
        named = {
            "brightfield.channels": self._parameters.brightfield.channels,
            "channel_focus_um": tuple(self._parameters.channel_focus_um),
        }
        findings = [
            Finding(
                f"The configuration has no channel preset '{name}'.",
                field=f"microscope.specimen.{key}",
                got=name,
                allowed=one_of(known),
                suggestion=did_you_mean(name, known),
            )
            for key, names in named.items()
            for name in names
            if name not in known
        ]
        if findings:
            raise InvalidInput(findings)

    def read(self, image: int | None) -> View:
        """What the camera would look at now, as image number ``image``."""
        core = self._core
        camera = core.getCameraDevice()
        binning = int(core.getPropertyFromCache(camera, "Binning")) if self._knows(camera, "Binning") else 1
        left, top, width, height = core.getROI()
        bytes_per_pixel = core.getBytesPerPixel()
        if bytes_per_pixel > 2 or core.getNumberOfComponents() > 1:
            raise InvalidInput(_wrong_pixels(camera))
        x_um, y_um = (core.getXPosition(), core.getYPosition()) if core.getXYStageDevice() else (0.0, 0.0)
        shift = self.shift()
        return View(
            x_um=x_um - shift.x_um,
            y_um=y_um - shift.y_um,
            z_um=(core.getPosition() if core.getFocusDevice() else 0.0) - shift.z_um,
            channel=self._channel(),
            exposure_ms=core.getExposure(),
            pixel_size_um=self._pixel_size_um(binning),
            binning=binning,
            sensor=self._sensor(camera, binning, left + width, top + height),
            roi=(left, top, width, height),
            bit_depth=core.getImageBitDepth(),
            bytes_per_pixel=bytes_per_pixel,
            image=image,
            orientation=self._orientation,
            lit=self._lit(),
        )

    def shift(self) -> ObjectiveShift:
        """How much further stage and focus stand for the objective in place."""
        for turret in self._turrets:
            found = self._parameters.objectives.get(str(self._core.getStateLabel(turret)))
            if found is not None:
                return found
        return _NO_SHIFT

    def _lit(self) -> bool:
        """Whether light falls on the specimen during an exposure that begins now."""
        core = self._core
        return bool(not core.getShutterDevice() or core.getAutoShutter() or core.getShutterOpen())

    def _pixel_size_um(self, binning: int) -> float:
        true_um = self._parameters.camera.pixel_size_um
        if true_um is not None:
            return true_um * binning
        return float(self._core.getPixelSizeUm(True) or self._parameters.pixel_size_um * binning)

    def _channel(self) -> str | None:
        for group in self._groups:
            preset = self._core.getCurrentConfigFromCache(group)
            if preset:
                return str(preset)
        return None

    def _sensor(self, camera: str, binning: int, right: int, bottom: int) -> tuple[int, int]:
        """(height, width) in binned pixels; of a camera that does not tell, what its regions have reached."""
        if self._knows(camera, "OnCameraCCDXSize"):
            width = int(self._core.getPropertyFromCache(camera, "OnCameraCCDXSize"))
            height = int(self._core.getPropertyFromCache(camera, "OnCameraCCDYSize"))
            return height // binning, width // binning
        height, width = self._seen.get((camera, binning), (0, 0))
        self._seen[camera, binning] = sensor = max(height, bottom), max(width, right)
        return sensor

    def _knows(self, camera: str, name: str) -> bool:
        key = f"{camera}/{name}"
        if key not in self._sensor_known:
            self._sensor_known[key] = bool(self._core.hasProperty(camera, name))
        return self._sensor_known[key]


def _wrong_pixels(camera: str) -> Finding:
    return Finding(
        f"The camera '{camera}' is set to a pixel type that the virtual specimen cannot be shown in.",
        field="microscope.specimen",
        allowed="grey images of 8 or 16 bits",
        cure="Set the camera's PixelType to 8bit or 16bit.",
    )
