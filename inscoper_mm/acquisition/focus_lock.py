"""The hardware autofocus in a run: what it does around each event, and what happens without it.

While it holds the focus, the planned focus is not sent to the focus drive, which would break the hold: what the plan
and the scripts want above or below the position's own focus goes to the offset. For a z-stack it is suspended; the
stack is taken around the height that it held.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from inscoper_mm.acquisition.corrections import Offset
from inscoper_mm.acquisition.engine import EngineStuck
from inscoper_mm.errors import CommandRefused, DeviceError, LimitRefused
from inscoper_mm.experiment.autofocus import Autofocus
from inscoper_mm.experiment.plan import PlannedEvent, StackKey
from inscoper_mm.microscope.focus_lock import FocusNotHeld, HardwareAutofocus
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.records import Autofocused
from inscoper_mm.stream import Stream

Target = dict[Axis, float]
# The stage stands where it should, up to what its encoder tells.
_THERE_UM = 0.1


class Limited(Protocol):
    """The limits that every target passes."""

    def check(self, what: str, target_um: Mapping[Axis, object]) -> Mapping[Axis, float]:
        """Raise `LimitRefused` where a move to the target is not allowed."""
        ...

    def check_place(self, what: str, target_um: Mapping[Axis, object]) -> Mapping[Axis, float]:
        """Raise `LimitRefused` where the target lies outside, whatever way leads there."""
        ...

    def moved(self, target_um: Mapping[Axis, float]) -> None:
        """Note that the devices are now sent to a target."""
        ...

    def check_setting(self, who: str, script: str | None, sub_device_id: str, value: object) -> None:
        """Raise `LimitRefused` where a sub-device may not be set to ``value``."""
        ...


class FocusLost(DeviceError):
    """An event was not taken because the hardware autofocus failed; ``abort`` says whether the run ends with it."""

    def __init__(self, message: str, abort: bool) -> None:
        self.abort = abort
        super().__init__(message)


@dataclass(slots=True)
class _Stack:
    """A stack that is being taken: where the focus was held, and with which correction."""

    key: StackKey
    z_um: float
    correction_um: float


class FocusLock:
    """Uses the hardware autofocus around each event.

    Parameters
    ----------
    device : HardwareAutofocus
    rules : Autofocus
        The experiment's.
    limits : Limited
        What the focus drive is sent to passes them.
    stream : Stream

    Attributes
    ----------
    moved : set of axes
        Those that stand elsewhere than the last event left them; they have to be sent again.
    """

    def __init__(self, device: HardwareAutofocus, rules: Autofocus, limits: Limited, stream: Stream) -> None:
        self._device = device
        self._rules = rules
        self._limits = limits
        self._stream = stream
        self._microscope = device.microscope
        self._holding = False
        self._stack: _Stack | None = None
        self._found_um: dict[int, float] = {}  # at each position: how far from the planned focus it was found
        self._looked_at: tuple[int, ...] | None = None
        self._offset = self._begin_offset()
        self._failed_at: tuple[StackKey, str] | None = None
        self.moved: set[Axis] = set()

    # -- what commands ask

    def refuse_move(self, name: str) -> None:
        """Refuse a one-off move of the focus drive while the autofocus holds the focus.

        Raises
        ------
        CommandRefused
        """
        if self._holding:
            raise CommandRefused(
                f"{name}: the autofocus '{self._device.device}' holds the focus; a move would make it let go. "
                "Use correctPosition(dz_um=...), which shifts what it holds, or 'autofocus: {mode: once}'. "
                "Nothing was moved."
            )

    def refuse_correction(self, name: str, dz_um: float) -> None:
        """Refuse a correction of the focus where nothing shifts what the autofocus holds.

        Raises
        ------
        CommandRefused
        """
        if dz_um and self._rules.mode == "continuous" and self._device.offset is None:
            raise CommandRefused(
                f"{name}: the autofocus '{self._device.device}' holds the focus, and neither an offset drive nor an "
                "offset of its own can be set. Name the drive in 'autofocus.offset_drive', or use "
                "'autofocus: {mode: once}'. "
                "Nothing was changed."
            )

    # -- around an event

    @contextmanager
    def holding(
        self, event: PlannedEvent, target: Target, correction: Offset, whole_stack: bool = False
    ) -> Iterator[Target]:
        """Look after the focus before ``event`` is submitted and after it is over.

        Parameters
        ----------
        event : PlannedEvent
        target : mapping of axis to position
            Where the event goes, corrected and inside the limits.
        correction : Offset
            What was added to the planned position.
        whole_stack : bool
            Whether the body takes the event's whole stack, of which ``event`` is the first slice.

        Yields
        ------
        mapping of axis to position
            Where the devices are to be sent; without the focus where the autofocus holds it. The other slices of a
            whole stack are shifted by as much as this one.

        Raises
        ------
        FocusLost
            It failed, and the experiment says not to take the event then.
        """
        if "z_um" not in target:
            yield target
            return
        try:
            yield self._prepared(event, target, correction)
        except EngineStuck:
            raise  # the Core may hang
        except BaseException:
            # Nobody knows where the drive stands: the stack's next slice begins anew.
            self._resume(event)
            raise
        self.moved.clear()
        if event.stack_end or whole_stack:
            self._resume(event)
        if self._holding and not self._device.holds:
            self._holding = False
            self._tell(event, "lost", action="retry", message="it was lost while the image was taken")

    def _prepared(self, event: PlannedEvent, target: Target, correction: Offset) -> Target:
        # What the position's own focus is with the objective in place.
        inside_um = 0.0 if event.home_um is None or event.z_um is None else event.z_um - event.home_um
        home_um = target["z_um"] - correction.z_um - inside_um
        if self._failed_at is not None and self._failed_at[0] == event.stack_key and event.sizes.focus > 1:
            self._obey(*self._failed_at[1:])  # nobody asks again at each slice
            return self._guess(event, target)
        if self._rules.mode == "once":
            return self._found(event, target, home_um)
        if event.sizes.focus > 1:
            return self._in_stack(event, target, correction.z_um, home_um)
        self._resume(event)  # a stack whose last slice was lost
        if not self._hold(event, target, home_um, target["z_um"] - home_um):
            return self._guess(event, target)
        return {axis: value for axis, value in target.items() if axis != "z_um"}

    # -- continuous

    def _in_stack(self, event: PlannedEvent, target: Target, correction_um: float, home_um: float) -> Target:
        """A slice: around the height that was held, with the autofocus off."""
        if self._stack is not None and self._stack.key != event.stack_key:
            self._resume(event)
        if self._stack is None:
            if not self._hold(event, target, home_um, correction_um):
                return self._guess(event, target)
            self._stack = _Stack(event.stack_key, self._z_um(), correction_um)
            self._device.release()
            self._holding = False
            self._tell(event, "suspended", z_um=self._stack.z_um)
        # The height that was held has the correction of the stack's first slice in it.
        return self._allowed(
            event, target, self._stack.z_um + target["z_um"] - home_um - self._stack.correction_um
        )

    def _hold(self, event: PlannedEvent, target: Target, home_um: float, above_um: float) -> bool:
        """Go to the place and hold the focus there, ``above_um`` above the position's own; False if it cannot be."""
        self._go(target)
        place = {**target, "z_um": home_um + above_um}
        for attempt in range(1, self._rules.retries + 2):
            try:
                if not self._holding:
                    self._approach(event, place)
                self._shift(event, above_um)
                self._device.hold()
            except FocusNotHeld as error:
                self._holding = False
                self._let_go()
                self._failed(event, attempt, error)
            else:
                self._now_held(event, place, attempt)
                return True
        self.moved.add("z_um")
        return False

    def _now_held(self, event: PlannedEvent, place: Target, attempt: int) -> None:
        z_um = self._z_um()
        try:
            self._check_height(event, place, z_um)
        except LimitRefused:
            self._holding = False
            self._let_go()
            raise
        self._found_um[event.corrected_as[1]] = z_um - place["z_um"]
        if not self._holding:
            self._holding = True
            self._tell(event, "holds", z_um=z_um, attempt=attempt)

    def _approach(self, event: PlannedEvent, place: Target) -> None:
        """Bring the drive to where the focus was last held here, or should be: an autofocus reaches only so far."""
        self._let_go()
        self._send(self._guess(event, place)["z_um"])

    def _resume(self, event: PlannedEvent) -> None:
        """After a stack: back to where the focus was held, and hold it again. A failure is the next event's."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        try:
            self._send(stack.z_um)
            self._device.hold()
            self._holding = True
            self._tell(event, "resumed", z_um=self._z_um())
        except (DeviceError, RuntimeError) as error:
            self._tell(event, "lost", action="retry", message=str(error))

    @contextmanager
    def suspended(self, why: str) -> Iterator[None]:
        """Let go of the focus for the body; the next event holds it again. For what moves the objective."""
        if self._holding:
            self._device.release()
            self._holding = False
            self._tell(None, "suspended", message=why)
        self._stack = None  # a height that was held with another objective
        self.moved.add("z_um")
        yield

    # -- once

    def _found(self, event: PlannedEvent, target: Target, home_um: float) -> Target:
        """Look for the focus where the plan asks; then go on from what was found."""
        index = event.index
        values = {"t": index.time, "p": index.position, "c": index.channel}
        looked_at = tuple(values[axis] for axis in self._rules.axes)
        if looked_at != self._looked_at:
            self._go(target)
            self._look(event, {**target, "z_um": home_um})
            self._looked_at = looked_at
        return self._guess(event, target)

    def _look(self, event: PlannedEvent, home: Target) -> None:
        for attempt in range(1, self._rules.retries + 2):
            self._send(self._guess(event, home)["z_um"])
            try:
                self._device.search()
            except FocusNotHeld as error:
                self._failed(event, attempt, error)
            else:
                z_um = self._z_um()
                self._check_height(event, home, z_um)
                self._found_um[event.corrected_as[1]] = z_um - home["z_um"]
                self._tell(event, "found", z_um=z_um, attempt=attempt)
                return

    # -- without it

    def _failed(self, event: PlannedEvent, attempt: int, error: FocusNotHeld) -> None:
        """An attempt failed; after the last one, the experiment says what becomes of the event."""
        last = attempt > self._rules.retries
        action = self._rules.lost if last else "retry"
        self._tell(event, "lost", attempt=attempt, action=action, message=str(error))
        if last:
            self._failed_at = event.stack_key, str(error)
            self._obey(str(error))

    def _obey(self, message: str) -> None:
        if self._rules.lost != "continue":
            raise FocusLost(f"autofocus: {message}", self._rules.lost == "abort")

    def _guess(self, event: PlannedEvent, target: Target) -> Target:
        """``target`` as far above the plan as the focus was last held, or found, at this position."""
        found_um = self._found_um.get(event.corrected_as[1], 0.0)
        return self._allowed(event, target, target["z_um"] + found_um)

    # -- small steps

    def _go(self, target: Target) -> None:
        """Move the stage first: the autofocus has to hold the focus at the place of the image."""
        if "x_um" not in target or "y_um" not in target:
            return
        now = self._microscope.position()
        away = max(abs(target["x_um"] - (now.x_um or 0.0)), abs(target["y_um"] - (now.y_um or 0.0)))
        if away > _THERE_UM:
            self._microscope.move_stage(target["x_um"], target["y_um"])

    def _send(self, z_um: float) -> None:
        """Send the focus drive to a height that the limits allow."""
        self.moved.add("z_um")
        self._limits.moved({"z_um": z_um})
        self._microscope.move_focus(z_um)

    def _shift(self, event: PlannedEvent, above_um: float) -> None:
        """Set the offset for ``above_um`` above what the autofocus holds by itself."""
        offset = self._device.offset
        if offset is None or self._offset is None:
            return
        wanted = self._offset + above_um * self._rules.offset_per_um
        if offset.read() != wanted:
            self._limits.check_setting(_who(event), None, offset.id, wanted)
            offset.write(wanted)
            self._tell(event, "shifted", offset=wanted)

    def _begin_offset(self) -> float | None:
        offset, start = self._device.offset, self._rules.offset_start
        if offset is None:
            return None
        if start is not None:
            offset.write(start)
        return offset.read()

    def _allowed(self, event: PlannedEvent, target: Target, z_um: float) -> Target:
        """``target`` at ``z_um``, if it may be sent there."""
        return dict(self._limits.check(_who(event), {**target, "z_um": z_um}))

    def _check_height(self, event: PlannedEvent, target: Target, z_um: float) -> None:
        """Refuse where the autofocus went: it moves the drive by itself, and must not keep it there."""
        self._limits.check_place(f"{_who(event)}, which went there,", {**target, "z_um": z_um})

    def _z_um(self) -> float:
        z_um = self._microscope.position().z_um
        assert z_um is not None
        return z_um

    def _let_go(self) -> None:
        with contextlib.suppress(DeviceError, RuntimeError):
            self._device.release()

    def _tell(self, event: PlannedEvent | None, did: str, **fields: object) -> None:
        self._stream.publish(Autofocused(event.id if event else None, did, **fields))  # type: ignore[arg-type]

    def restore(self) -> None:
        """At the end of the run: everything about the autofocus as it was found."""
        stack, self._stack = self._stack, None
        try:
            if stack is not None:
                self._microscope.move_focus(stack.z_um)
        finally:
            self._device.restore()


def _who(event: PlannedEvent) -> str:
    return f"event {event.id} ({event.index}) with autofocus"
