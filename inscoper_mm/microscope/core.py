"""The loaded microscope: Micro-Manager's Core with the few calls that the rest needs, each with a time limit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from inscoper_mm.errors import CommandRefused, DeviceError, Finding, InvalidInput, did_you_mean, one_of
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.core_rules import preset_lines
from inscoper_mm.microscope.geometry import Geometry, parse_binning
from inscoper_mm.microscope.limits import Axis, Limits, Range

# A move may take this long plus the time at a slow 100 um/s, but never longer than the last, before it has failed.
_MOVE_BASE_S = 10.0
_SLOWEST_UM_PER_S = 100.0
_LONGEST_MOVE_S = 120.0
_POLL_S = 0.0005


@dataclass(frozen=True, slots=True)
class Channel:
    """A preset of the Core's channel group."""

    group: str
    name: str


class Microscope:
    """The Core with its devices loaded.

    Parameters
    ----------
    core : CMMCore
        As made by ``mmpycorex``: both spellings of each method.
    config : Path
        The configuration file that was loaded.

    Attributes
    ----------
    give_up : callable
        Asked while a device moves; True stops the device and fails the move.
    geometry : Geometry
        How the camera looks at the stage.
    """

    def __init__(self, core: Any, config: Path) -> None:
        self.core = core
        self.config = config
        self.give_up: Callable[[], bool] = _never
        self.geometry = Geometry(core)
        self._cameras: dict[Channel, str | None] = {}

    @classmethod
    def open(cls, config: Path, mm_dir: Path) -> Microscope:
        """Load ``config`` with the device adapters of ``mm_dir``. This initialises devices; stages may move.

        Raises
        ------
        InvalidInput
            If the Core cannot load the configuration; the Core's own words are in the message.
        """
        import mmpycorex

        try:
            mmpycorex.create_core_instance(
                mm_app_path=str(mm_dir), config_file=str(config.resolve()), python_backend=True
            )
        except RuntimeError as error:
            raise InvalidInput(
                Finding(
                    f"Micro-Manager could not load the configuration: {error}",
                    file=str(config),
                    cure=f"Load it in Micro-Manager once, with the adapters in {mm_dir}.",
                )
            ) from error
        return cls(mmpycorex.Core(), config)

    def close(self) -> None:
        """Unload all devices and free the memory for images; the Core itself goes with the last reference to it."""
        import mmpycorex

        mmpycorex.terminate_core_instances()
        # Whoever still holds the Core, such as a thread that nobody can stop, does not keep its gigabyte for images.
        self.core.setCircularBufferMemoryFootprint(1)
        # mmpycorex gives the Core methods that hold it: a circle that Python cannot see in a foreign object, so that
        # each Core would stay, with its threads, until the process ends.
        own = vars(self.core)
        for name in [name for name, value in own.items() if getattr(value, "__self__", None) is self.core]:
            del own[name]

    # -- what is there

    @property
    def camera(self) -> str:
        """The label of the camera; empty if there is none."""
        return str(self.core.getCameraDevice())

    @property
    def xy_stage(self) -> str:
        """The label of the XY stage; empty if there is none."""
        return str(self.core.getXYStageDevice())

    @property
    def focus(self) -> str:
        """The label of the focus drive; empty if there is none."""
        return str(self.core.getFocusDevice())

    @property
    def binning(self) -> int:
        """The camera's binning, 1 where it has none."""
        camera = self.camera
        if not camera or not self.core.hasProperty(camera, "Binning"):
            return 1
        return parse_binning(self.core.getPropertyFromCache(camera, "Binning"))

    @property
    def image_bytes(self) -> int:
        """The bytes of one image with the present settings."""
        return int(self.core.getImageBufferSize())

    def device_limits(self) -> Limits:
        """The ranges that the stage and focus drives themselves report, where they do."""
        ranges: dict[Axis, Range] = {}
        for axis, device, name in (("z_um", self.focus, "Position"),):
            if device and self.core.hasProperty(device, name) and self.core.hasPropertyLimits(device, name):
                low = float(self.core.getPropertyLowerLimit(device, name))
                high = float(self.core.getPropertyUpperLimit(device, name))
                if high > low:
                    ranges[cast("Axis", axis)] = Range(low, high, f"device {device}")
        return Limits(ranges)

    # -- stage and focus

    def position(self) -> StagePosition:
        """Where stage and focus are now, as the devices report it."""
        x_um = y_um = z_um = None
        if self.xy_stage:
            x_um, y_um = (float(value) for value in self.core.getXYPosition())
        if self.focus:
            z_um = float(self.core.getPosition())
        return StagePosition(x_um, y_um, z_um)

    def move_stage(self, x_um: float, y_um: float) -> None:
        """Move the XY stage and wait until it stands. Limits are the caller's task."""
        stage = self._need(self.xy_stage, "an XY stage", "Core-XYStage")
        x_old, y_old = self.core.getXYPosition()
        self.core.setXYPosition(stage, x_um, y_um)
        self.wait(stage, max(abs(x_um - x_old), abs(y_um - y_old)))

    def move_focus(self, z_um: float) -> None:
        """Move the focus drive and wait until it stands. Limits are the caller's task."""
        drive = self._need(self.focus, "a focus drive", "Core-Focus")
        z_old = self.core.getPosition()
        self.core.setPosition(drive, z_um)
        self.wait(drive, abs(z_um - z_old))

    def _need(self, label: str, what: str, role: str) -> str:
        if not label:
            raise CommandRefused(f"The configuration has no {what.split(' ', 1)[1]} ({role} is not set).")
        return label

    def wait(self, device: str, distance_um: float = 0.0) -> None:
        """Wait until ``device`` is done; the longer the way, the longer it may take.

        Raises
        ------
        DeviceError
            It is not done in time, or the run is ended; the device was stopped.
        """
        limit_s = min(_MOVE_BASE_S + distance_um / _SLOWEST_UM_PER_S, _LONGEST_MOVE_S)
        begin = time.monotonic()
        while self.core.deviceBusy(device):
            moved_s = time.monotonic() - begin
            if moved_s > limit_s or self.give_up():
                self._stop(device)
                what = f"a move of {distance_um:g} um" if distance_um else "a change"
                raise DeviceError(
                    f"{device} was stopped {moved_s:.0f} s after {what} began: at most "
                    f"{limit_s:.0f} s are allowed, less where the run is ended."
                )
            time.sleep(_POLL_S)

    def _stop(self, device: str) -> None:
        # Not every device can be stopped; that it still moves is told anyway.
        with contextlib.suppress(RuntimeError):
            self.core.stop(device)

    # -- light and camera

    def channels(self) -> tuple[Channel, ...]:
        """The presets of the Core's channel group; empty where none is set."""
        group = str(self.core.getChannelGroup())
        if not group:
            return ()
        return tuple(Channel(group, str(name)) for name in self.core.getAvailableConfigs(group))

    def channel(self) -> str | None:
        """The present channel preset, or None if the devices match none."""
        group = str(self.core.getChannelGroup())
        return (str(self.core.getCurrentConfig(group)) or None) if group else None

    def find_channel(self, name: str, group: str | None = None) -> Channel:
        """The preset ``name`` of ``group``; without one, of the channel group, else of the only group that has it.

        Raises
        ------
        CommandRefused
            There is none, or several groups have it; with what there is.
        """
        groups = tuple(str(each) for each in self.core.getAvailableConfigGroups())
        if group is not None:
            if group not in groups:
                hint = _hint(group, groups)
                raise CommandRefused(f"There is no group '{group}'. Allowed: {one_of(groups)}.{hint}")
            return self._preset(name, group)
        own = str(self.core.getChannelGroup())
        having = [each for each in groups if name in self.core.getAvailableConfigs(each)]
        if own in having or len(having) == 1:
            return Channel(own if own in having else having[0], name)
        if having:
            cure = f"Name the group: {{'group': '{having[0]}', 'config': '{name}'}}."
            raise CommandRefused(f"Several groups have a preset '{name}': {one_of(having)}. {cure}")
        if own:
            return self._preset(name, own)
        raise CommandRefused(
            f"There is no channel '{name}': the configuration has no channel group (Core-ChannelGroup)."
        )

    def _preset(self, name: str, group: str) -> Channel:
        names = tuple(str(each) for each in self.core.getAvailableConfigs(group))
        if name not in names:
            where = (
                f"channel '{name}'"
                if group == self.core.getChannelGroup()
                else f"preset '{name}' in '{group}'"
            )
            raise CommandRefused(f"There is no {where}. Allowed: {one_of(names)}.{_hint(name, names)}")
        return Channel(group, name)

    def set_channel(self, channel: Channel) -> None:
        """Apply a preset and wait until its devices are done."""
        self.core.setConfig(channel.group, channel.name)
        self.core.waitForConfig(channel.group, channel.name)

    def exposure_ms(self) -> float:
        """The camera's exposure."""
        return float(self.core.getExposure())

    def exposure_range(self) -> Range | None:
        """The exposures that the camera takes, in ms, where it says so."""
        camera = self.camera
        if not camera or not self.core.hasPropertyLimits(camera, "Exposure"):
            return None
        low, high = (
            getattr(self.core, f"getProperty{end}Limit")(camera, "Exposure") for end in ("Lower", "Upper")
        )
        return Range(float(low), float(high), f"device {camera}") if high > low else None

    def set_exposure(self, exposure_ms: float, camera: str | None = None) -> None:
        """Set the exposure of ``camera`` (None: the Core's); skipped where it is that already: the call can be slow."""
        label = self.camera if camera is None else camera
        if self.core.getExposure(label) != exposure_ms:
            self.core.setExposure(label, exposure_ms)

    def camera_of(self, channel: Channel | None) -> str:
        """The label of the camera that is in use once ``channel`` is applied: a preset may choose one."""
        if channel is None:
            return self.camera
        if channel not in self._cameras:
            lines = preset_lines(self.core, channel.group, channel.name)
            chosen = [line.value for line in lines if (line.device, line.property) == ("Core", "Camera")]
            self._cameras[channel] = chosen[-1] if chosen else None
        return self._cameras[channel] or self.camera


def _hint(name: str, names: Sequence[str]) -> str:
    near = did_you_mean(name, names)
    return f" Did you mean '{near}'?" if near else ""


def _never() -> bool:
    return False
