"""Longer ways: in as many steps as the longest allowed step makes necessary, each within the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from inscoper_mm.errors import DeviceError
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.limits import Axis


class WayLimits(Protocol):
    """The safety limits, as far as they are about moves."""

    def check(self, what: str, target_um: Any) -> dict[Axis, float]:
        """The target, or LimitRefused if a single move there from where the devices are now is not allowed."""
        ...

    def check_place(self, what: str, target_um: Any) -> dict[Axis, float]:
        """The target, or LimitRefused if nothing may be there."""
        ...

    def stops(self, what: str, target_um: Any) -> Sequence[Mapping[Axis, float]]:
        """Where to stand in between; LimitRefused if no allowed steps lead there."""
        ...

    def moved(self, target_um: Any) -> None:
        """Note that the devices are sent to a target that has passed."""
        ...


def walk(microscope: Microscope, limits: WayLimits, what: str, target_um: Mapping[Axis, float]) -> None:
    """Go to a place, in several steps where one would be too long.

    Parameters
    ----------
    microscope : Microscope
    limits : WayLimits
    what : str
        Who moves, for the errors.
    target_um : mapping of axis to position
        x and y together, or the focus, or all.

    Raises
    ------
    LimitRefused
        A limit is in the way. What was refused was not begun: the whole way is looked at first.
    DeviceError
        A device failed, or the run was stopped at once.
    """
    approach(microscope, limits, what, target_um)
    _step(microscope, limits, what, target_um)


def approach(microscope: Microscope, limits: WayLimits, what: str, target_um: Mapping[Axis, float]) -> int:
    """Go so near to a place that what is left is one allowed step; returns after how many steps, 0 mostly.

    Raises as `walk` does.
    """
    target = limits.check_place(what, target_um)
    stops = limits.stops(what, target)
    taken, most = 0, 2 * len(stops)  # a stage that stops short needs more of them
    while stops and taken < most:
        if microscope.give_up():
            raise DeviceError(f"{what}: stopped on the way, since the run was ended.")
        _step(microscope, limits, what, stops[0])
        taken += 1
        stops = limits.stops(what, target)
    return taken


def _step(microscope: Microscope, limits: WayLimits, what: str, target_um: Mapping[Axis, float]) -> None:
    target = limits.check(what, target_um)
    limits.moved(target)
    if "x_um" in target:
        microscope.move_stage(target["x_um"], target["y_um"])
    if "z_um" in target:
        microscope.move_focus(target["z_um"])
