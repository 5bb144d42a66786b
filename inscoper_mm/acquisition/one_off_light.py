"""Channel and exposure that a script has set: what they were before, for the next planned event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inscoper_mm.microscope.core import Channel, Microscope
from inscoper_mm.microscope.snapshot import Setting, same_value, settings_of


@dataclass(slots=True)
class OneOffLight:
    """Remembers what scripts have changed since the last event.

    A planned event sets only what its own channel names, and no exposure where the plan gives none: the rest is set
    back from here, so that every event has the light of the plan.
    """

    _settings: dict[Setting, str] = field(default_factory=dict)
    _exposures_ms: dict[str, float] = field(default_factory=dict)

    def note_channel(self, microscope: Microscope, channel: Channel) -> None:
        """A script is about to apply ``channel``."""
        core = microscope.core
        for key in settings_of(core, channel.group, channel.name):
            if key not in self._settings:
                self._settings[key] = str(core.getProperty(*key))

    def note_exposure(self, microscope: Microscope) -> None:
        """A script is about to set the exposure."""
        self._exposures_ms.setdefault(microscope.camera, microscope.exposure_ms())

    def end(self, microscope: Microscope, channel: Channel | None, exposure_ms: float | None) -> None:
        """An event comes, with ``channel`` and ``exposure_ms`` where the plan has them: it gets the plan's light.

        The channel itself is left to the engine. The exposure is not: the engine remembers exposures, also of other
        runs, and would leave out a change; and the channel may choose another camera.
        """
        if exposure_ms is None:
            self.undo(microscope, channel)
            return
        camera = microscope.camera_of(channel)
        self.undo(microscope, channel, camera)
        microscope.set_exposure(exposure_ms, camera)

    def undo(
        self, microscope: Microscope, next_channel: Channel | None, exposed_anyway: str | None = None
    ) -> None:
        """Set back what was changed, but for what the next event sets anyway; called before each event.

        What fails is tried again with the next attempt.

        Parameters
        ----------
        microscope : Microscope
        next_channel : Channel or None
            The channel of the next event.
        exposed_anyway : str, optional
            The camera whose exposure the next event sets.
        """
        if not self._settings and not self._exposures_ms:
            return
        core = microscope.core
        coming = settings_of(core, next_channel.group, next_channel.name) if next_channel else {}
        changed = [key for key in self._settings if key not in coming and self._differs(core, key)]
        for key in changed:
            core.setProperty(*key, self._settings[key])
        for device in dict.fromkeys(label for label, _ in changed if label != "Core"):
            microscope.wait(device)
        self._settings.clear()
        # After the settings: a preset may have chosen another camera.
        for camera, exposure_ms in self._exposures_ms.items():
            if camera != exposed_anyway and core.getExposure(camera) != exposure_ms:
                core.setExposure(camera, exposure_ms)
        self._exposures_ms.clear()

    def _differs(self, core: Any, key: Setting) -> bool:
        return not same_value(str(core.getProperty(*key)), self._settings[key])
