"""Where stage and focus stand, so that an event sends only what has to move.

pycromanager sends every position with every event, and a stage that has nothing to do still costs a settling time
(10 ms on the demo stage) at each slice of a stack.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.limits import Axis

# What an encoder may tell differently while nothing moves. Anything more (a joystick, a drift) is sent again.
_STILL_UM = 0.1
# The two axes of the stage are one device and are sent together.
_DEVICES: tuple[tuple[Axis, ...], ...] = (("x_um", "y_um"), ("z_um",))


class Standing:
    """Remembers the last target of each axis and the position that the device then reported."""

    def __init__(self) -> None:
        self._target: dict[Axis, float] = {}
        self._reached: dict[Axis, float] = {}

    def to_send(
        self, target: Mapping[Axis, float], now: StagePosition, moved: Collection[Axis]
    ) -> dict[Axis, float]:
        """The part of ``target`` that has to be sent.

        Parameters
        ----------
        target : mapping of axis to position
        now : StagePosition
            Where the devices are.
        moved : collection of axes
            Those that a script has moved since the last event.
        """
        sent: dict[Axis, float] = {}
        for axes in _DEVICES:
            present = [axis for axis in axes if axis in target]
            if any(axis in moved or not self._stands(axis, target[axis], now) for axis in present):
                sent |= {axis: target[axis] for axis in present}
        return sent

    def _stands(self, axis: Axis, target: float, now: StagePosition) -> bool:
        position, reached = getattr(now, axis), self._reached.get(axis)
        if self._target.get(axis) != target or position is None or reached is None:
            return False
        return bool(abs(position - reached) <= _STILL_UM)

    def arrived(self, sent: Mapping[Axis, float], position: StagePosition) -> None:
        """Note that the devices were ``sent`` somewhere and report ``position``.

        What was not sent keeps its old note: else a slow drift would never add up to a difference.
        """
        for axis, value in sent.items():
            self._target[axis] = value
            reached = getattr(position, axis)
            if reached is not None:
                self._reached[axis] = reached

    def forget(self, *axes: Axis) -> None:
        """Nobody knows where the devices are (an event failed), or those of ``axes`` (they ran by themselves)."""
        for axis in axes or tuple(self._target):
            self._target.pop(axis, None)
            self._reached.pop(axis, None)
