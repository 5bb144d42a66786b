"""What is known about a microscope before a run, from its configuration file or from the loaded devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inscoper_mm.acquisition.resources import groups_of
from inscoper_mm.errors import short_path
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.adapter_types import adapter_type
from inscoper_mm.microscope.cfg import Config, find_config
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.core_rules import preset_lines
from inscoper_mm.microscope.focus_lock import AutofocusFacts, autofocus_facts
from inscoper_mm.microscope.inventory import core_inventory
from inscoper_mm.microscope.inventory_cfg import config_inventory
from inscoper_mm.microscope.limits import Limits
from inscoper_mm.microscope.sequences import SequenceFacts, sequence_facts
from inscoper_mm.microscope.settings import PresetSetting
from inscoper_mm.microscope.sub_device_kinds import DeviceType
from inscoper_mm.microscope.sub_devices import Inventory

_DEMO_CAMERAS = (("DemoCamera", "DCam"),)
_DEMO_STAGES = (("DemoCamera", "DXYStage"),)
_DEMO_SENSOR_PX = "512"


@dataclass(frozen=True, slots=True)
class MicroscopeFacts:
    """What the check needs to know; None (or empty) is "not known".

    ``camera``, ``focus`` and ``xy_stage`` are device labels, ``""`` where there is certainly none. ``start`` is
    where stage and focus stand, ``image_shape`` is (Y, X), ``inventory`` has the sub-devices,
    and ``labels`` are those of all devices. ``all_known`` is False where the file has devices of unknown kinds.
    ``sequences`` is what focus drive and buffer can. ``objective`` and ``preset`` are what calibrations hold for;
    ``calibrated`` says that the pixel size is from one.
    """

    config: str
    loaded: bool = False
    camera: str | None = None
    focus: str | None = None
    xy_stage: str | None = None
    channel_group: str = ""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pixel_size_um: float | None = None
    image_shape: tuple[int, int] | None = None
    bytes_per_pixel: int | None = None
    components: int = 1
    exposure_ms: float | None = None
    start: StagePosition | None = None
    limits: Limits = field(default_factory=Limits)
    inventory: Inventory | None = None
    all_known: bool = True
    presets: Mapping[tuple[str, str], tuple[PresetSetting, ...]] = field(default_factory=dict)
    autofocus: AutofocusFacts | None = None
    labels: tuple[str, ...] = ()
    binning: int = 1
    objective: str = ""
    preset: str = ""
    calibrated: bool = False
    sequences: SequenceFacts | None = None

    @property
    def image_bytes(self) -> int | None:
        """The size of one image's pixels."""
        if self.image_shape is None or self.bytes_per_pixel is None:
            return None
        return self.image_shape[0] * self.image_shape[1] * self.bytes_per_pixel

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON values, without those that are not known."""
        names = ("config", "loaded", "camera", "focus", "xy_stage", "channel_group", "pixel_size_um")
        values = {name: getattr(self, name) for name in (*names, "bytes_per_pixel")}
        values["image_shape"] = list(self.image_shape) if self.image_shape else None
        return {name: value for name, value in values.items() if value is not None}


def facts_from_file(config: Config) -> MicroscopeFacts:
    """What the configuration file alone says.

    The Core takes the first camera and the first XY stage that it loads where the file names none; which those are
    cannot be seen in the file, except for the demo devices.
    """
    roles = config.roles
    cameras = config.devices_named(_DEMO_CAMERAS)
    camera = roles.get("Camera") or (cameras[0] if cameras else None)
    stages = config.devices_named(_DEMO_STAGES)
    sensor = _demo_sensor(config, camera) if camera in cameras else None
    return MicroscopeFacts(
        config=short_path(config.path),
        camera=camera or _none_or_unknown(config, "camera"),
        focus=roles.get("Focus", ""),
        xy_stage=roles.get("XYStage") or (stages[0] if stages else _none_or_unknown(config, "xy stage")),
        channel_group=roles.get("ChannelGroup", ""),
        groups={group: tuple(presets) for group, presets in config.groups.items()},
        pixel_size_um=_pixel_size_um(config, camera),
        image_shape=sensor[0] if sensor else None,
        bytes_per_pixel=sensor[1] if sensor else None,
        inventory=config_inventory(config),
        all_known=_all_known(config),
        presets=_presets_in_file(config),
        autofocus=_autofocus(config),
        labels=tuple(config.devices),
        binning=_binning(_start_settings(config, camera)),
        preset=preset.name if (preset := config.pixel_size_at_start()) else "",
    )


def _none_or_unknown(config: Config, kind: DeviceType) -> str | None:
    """``""`` if there is certainly no device of this kind, else None: an adapter's name may not tell."""
    return None if kind in _kinds(config) or not _all_known(config) else ""


def _kinds(config: Config) -> set[DeviceType]:
    return {adapter_type(each.library, each.name) for each in config.devices.values()}


def _all_known(config: Config) -> bool:
    return "generic" not in _kinds(config)


def _autofocus(config: Config) -> AutofocusFacts | None:
    """The Core's autofocus device, if the file names one: of the others, it does not say what they are."""
    role = config.roles.get("AutoFocus")
    return AutofocusFacts((role,), role) if role else None


def _presets_in_file(config: Config) -> dict[tuple[str, str], tuple[PresetSetting, ...]]:
    return {
        (group, name): tuple(
            PresetSetting(line.device, line.property, line.value) for line in preset.settings
        )
        for group, presets in config.groups.items()
        for name, preset in presets.items()
    }


def _start_settings(config: Config, device: str | None) -> dict[str, str]:
    """The properties of ``device`` that the file sets."""
    every = (*config.settings, *config.startup)
    return {each.property: each.value for each in every if each.device == device}


def _binning(settings: Mapping[str, str]) -> int:
    text = settings.get("Binning", "1").split("x")[0].strip()
    return int(text) if text.isdecimal() and int(text) else 1


def _pixel_size_um(config: Config, camera: str | None) -> float | None:
    preset = config.pixel_size_at_start()
    if preset is None or not preset.size_um:
        return None
    return preset.size_um * _binning(_start_settings(config, camera))


def _demo_sensor(config: Config, camera: str | None) -> tuple[tuple[int, int], int]:
    """Image shape and bytes per pixel of the demo camera."""
    settings = _start_settings(config, camera)
    binning = _binning(settings)
    sizes = [int(settings.get(f"OnCameraCCD{axis}Size", _DEMO_SENSOR_PX)) // binning for axis in "YX"]
    deep = settings.get("BitDepth", "8") != "8" or settings.get("PixelType", "8bit") != "8bit"
    return (sizes[0], sizes[1]), 2 if deep else 1


def facts_of_devices(experiment: Experiment) -> MicroscopeFacts:
    """Initialise the devices of ``experiment``, look, and let them go again. Stages may move.

    Raises
    ------
    InvalidInput
        The configuration is not there, or the Core cannot load it.
    """
    config, mm_dir = find_config(experiment.microscope)
    microscope = Microscope.open(config, mm_dir)
    try:
        return facts_of(microscope)
    finally:
        microscope.close()


def facts_of(microscope: Microscope) -> MicroscopeFacts:
    """What the loaded devices say."""
    core, camera = microscope.core, microscope.camera
    return MicroscopeFacts(
        config=short_path(microscope.config),
        loaded=True,
        camera=camera,
        focus=microscope.focus,
        xy_stage=microscope.xy_stage,
        channel_group=str(core.getChannelGroup()),
        groups=groups_of(core),
        pixel_size_um=float(core.getPixelSizeUm()) or None,
        image_shape=(int(core.getImageHeight()), int(core.getImageWidth())) if camera else None,
        bytes_per_pixel=int(core.getBytesPerPixel()) if camera else None,
        components=int(core.getNumberOfComponents()) if camera else 1,
        exposure_ms=microscope.exposure_ms() if camera else None,
        start=microscope.position(),
        limits=microscope.device_limits(),
        inventory=core_inventory(core),
        presets={
            (group, name): preset_lines(core, group, name)
            for group, names in groups_of(core).items()
            for name in names
        },
        autofocus=autofocus_facts(microscope),
        binning=microscope.binning,
        objective=microscope.geometry.optics.objective,
        preset=microscope.geometry.optics.preset,
        sequences=sequence_facts(microscope),
    )
