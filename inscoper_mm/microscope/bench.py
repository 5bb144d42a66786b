"""The microscope in the hands of a calibration: no run, no engine; images and moves, within the safety limits."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import CommandRefused, did_you_mean, one_of
from inscoper_mm.microscope.core import Microscope

# Stages swing a little after they report that they stand.
SETTLE_S = 0.1


class Limiting(Protocol):
    """The safety limits, as the commands of scripts pass them."""

    def check(self, what: str, target_um: Any) -> Any:
        """The target, or LimitRefused if a move there from where the stage is now is not allowed."""
        ...

    def moved(self, target_um: Any) -> None:
        """Note that the stage is sent to a target that has passed."""
        ...


class MicroscopeBench:
    """Images and stage moves on the loaded microscope.

    Parameters
    ----------
    microscope : Microscope
    limits : Limiting
    what : str
        Who moves, for the errors.
    settle_s : float
        Waited after each move.
    """

    def __init__(
        self, microscope: Microscope, limits: Limiting, what: str = "calibration", settle_s: float = SETTLE_S
    ) -> None:
        self._microscope = microscope
        self._limits = limits
        self._what = what
        self._settle_s = settle_s

    def light(self, group: str | None, channel: str | None, exposure_ms: float | None) -> None:
        """Set channel and exposure; None leaves them as they are.

        Raises
        ------
        CommandRefused
            If the configuration has no such channel.
        """
        core = self._microscope.core
        if group and channel:
            presets = [str(name) for name in core.getAvailableConfigs(group)]
            if channel not in presets:
                near = did_you_mean(channel, presets)
                hint = f" Did you mean '{near}'?" if near else ""
                raise CommandRefused(
                    f"The group '{group}' has no channel '{channel}'. Allowed: {one_of(presets)}.{hint}"
                )
            core.setConfig(group, channel)
            core.waitForConfig(group, channel)
        if exposure_ms is not None:
            core.setExposure(exposure_ms)

    def snap(self) -> npt.NDArray[Any]:
        """Take an image (Y, X)."""
        core = self._microscope.core
        core.snapImage()
        return np.array(core.getImage())

    def stage_um(self) -> tuple[float, float]:
        """(x, y) as the stage reports it.

        Raises
        ------
        CommandRefused
            If there is no XY stage.
        """
        position = self._microscope.position()
        if position.x_um is None or position.y_um is None:
            raise CommandRefused("The configuration has no XY stage (Core-XYStage is not set).")
        return position.x_um, position.y_um

    def check(self, x_um: float, y_um: float) -> None:
        """Refuse (LimitRefused) a move that the safety limits do not allow; moves nothing."""
        self._limits.check(self._what, {"x_um": x_um, "y_um": y_um})

    def move(self, x_um: float, y_um: float) -> None:
        """Move within the safety limits (LimitRefused) and wait until the stage stands."""
        target = self._limits.check(self._what, {"x_um": x_um, "y_um": y_um})
        self._limits.moved(target)
        self._microscope.move_stage(target["x_um"], target["y_um"])
        time.sleep(self._settle_s)
