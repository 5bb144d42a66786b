"""The submission loop: one event at a time, when it is due, under the turn, with the corrections of its position."""

from __future__ import annotations

import re
import time
from typing import Any

from inscoper_mm.acquisition.bridge import Bridge
from inscoper_mm.acquisition.corrections import Offset, corrected
from inscoper_mm.acquisition.engine import EngineStuck, Exposed, PycroEngine, RawImage
from inscoper_mm.acquisition.focus_lock import FocusLost
from inscoper_mm.acquisition.live import Live
from inscoper_mm.acquisition.schedule import Schedule
from inscoper_mm.acquisition.standing import Standing
from inscoper_mm.errors import CommandRefused, InvalidInput, LimitRefused, RunAborted
from inscoper_mm.experiment.model import DeviceErrorPolicy
from inscoper_mm.experiment.plan import PlannedEvent
from inscoper_mm.images.frame import Frame, FrameInfo, StagePosition
from inscoper_mm.microscope.core import Channel
from inscoper_mm.microscope.geometry import CameraView
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.records import (
    Captured,
    CorrectionApplied,
    DeviceFailed,
    EventSkipped,
    Logged,
    StackIncomplete,
    StopAsked,
    Submitted,
)

# An event may take this long plus twice its exposure before it counts as hanging: the Core's own time limits for
# devices (5 s a call, 6 attempts) come first.
_EVENT_LIMIT_S = 60.0
_TURN_LIMIT_S = 600.0
# What is put off until the next exposure is put off no longer than this.
_MOST_PUT_OFF_S = 0.02
# A script may change the plan while the loop waits; it is looked at this often.
_LONGEST_SLEEP_S = 0.05
# Nobody pushes a joystick faster than this.
_FRESH_S = 0.05


class Loop:
    """Runs a plan.

    Parameters
    ----------
    engine : PycroEngine
    live : Live
        The schedule, the microscope, the turn, limits and corrections.
    device_error : DeviceErrorPolicy
    bridge : Bridge
        Gets every captured image, in the loop's thread, while the turn is free.
    """

    def __init__(
        self,
        engine: PycroEngine,
        live: Live,
        device_error: DeviceErrorPolicy,
        bridge: Bridge,
    ) -> None:
        self._engine = engine
        self._live = live
        self._fates = live.fates
        self._schedule = live.schedule
        self._policy = device_error
        self._bridge = bridge
        self._publish = live.stream.publish
        self._now = live.stream.clock.now
        self._begin_s = 0.0
        self._standing = Standing()
        self._to_store: Frame | None = None
        self._failure: BaseException | None = None
        self._exposed: Exposed | None = None

    def run(self) -> None:
        """Acquire what the schedule says until nothing is left, and no script can add anything any more.

        Raises
        ------
        Exception
            The original error that no policy absorbed. The events that were not acquired are recorded as skipped.
        """
        self._begin_s = self._now()
        self._schedule.begin(self._begin_s)
        reason = "the run failed"
        try:
            reason = self._run()
        finally:
            self._catch_up()
            for event in self._schedule.rest():
                self._skip(event, reason)
            self._give_objective_back()
        self._raise_failure()

    def _run(self) -> str:
        """Acquire until the plan or somebody ends it; returns why the rest is skipped."""
        stop, schedule = self._live.stop, self._schedule
        while not stop.asked:
            version = schedule.version  # before the question: what is added after it must not be missed
            upcoming = schedule.next(self._now())
            if upcoming is None:
                self._catch_up()
                if not self._wait_for_more(version):
                    break
            elif self._wait_until_due(upcoming.due_s, schedule):
                schedule.take(upcoming.event)
                self._acquire(upcoming.event)
        self._tell_stop()
        return (stop.reason or "the run failed") if stop.asked else "the plan is done"

    def _tell_stop(self) -> None:
        if self._live.stop.by is not None:
            self._publish(StopAsked(self._live.stop.by, self._live.stop.reason))

    def _catch_up(self) -> None:
        """Do what was put off for the sake of the loop: tell the records, store the image.

        A failure is kept for ``_raise_failure``: here it would be taken for one of the hardware.
        """
        frame, self._to_store = self._to_store, None
        try:
            self._live.stream.release()
        except BaseException as error:  # noqa: BLE001  (kept; a record that cannot be told must not cost the image)
            self._failure = self._failure or error
        try:
            if frame is not None:
                self._bridge.store(frame)
        except BaseException as error:  # noqa: BLE001  (kept, and raised as soon as the event is over)
            self._failure = self._failure or error

    def _raise_failure(self) -> None:
        failure = self._failure or self._live.stop.failure
        if failure is not None:
            raise failure

    def _wait_for_more(self, version: int) -> bool:
        """Calls that still wait in a queue may add images: True as soon as one has, False when all are over."""
        schedule = self._schedule
        while schedule.version == version and not self._bridge.idle and not self._live.stop.asked:
            self._live.stop.wait(_LONGEST_SLEEP_S / 10)
            self._raise_failure()
        return schedule.version != version

    def _wait_until_due(self, due_s: float | None, schedule: Schedule) -> bool:
        """Sleep until ``due_s``; False if the run is to end or the schedule has changed before."""
        stop, version = self._live.stop, schedule.version
        while due_s is not None and (wait_s := due_s - self._now()) > 0:
            if stop.asked or schedule.version != version:
                return False
            self._catch_up()
            # The last millisecond is spent awake: a sleep can be that much too long.
            if wait_s > 0.002:
                stop.wait(min(wait_s - 0.001, _LONGEST_SLEEP_S))
            else:
                time.sleep(0)
        return not stop.asked

    # -- one event

    def _acquire(self, event: PlannedEvent) -> None:
        for attempt in range(1, self._policy.retries + 2):
            try:
                frame = self._take(event, attempt)
            except FocusLost as error:
                self._standing.forget()
                self._skip(event, str(error))
                if error.abort:
                    self._live.stop.blame(error)
                    raise
                return
            except (InvalidInput, LimitRefused, CommandRefused, EngineStuck) as error:
                self._skip(event, str(error))
                if event.added_by is not None and isinstance(error, LimitRefused):
                    self._publish(Logged(str(error), "error", event.added_by, event.id))
                    return  # a script's own wish; the plan is still good
                raise  # another attempt cannot help
            except Exception as error:  # noqa: BLE001  (the Core's errors have no class of their own)
                self._standing.forget()
                self._catch_up()
                if self._device_failed(event, attempt, error):
                    return
            else:
                self._captured(frame)
                return

    def _captured(self, frame: Frame) -> None:
        """Offer the image to the scripts; one that no script wants is stored while the next event is at work."""
        self._to_store = frame  # from here on it will be, whatever happens
        self._raise_failure()
        self._fates.captured(frame.index)
        wanted = self._bridge.ask(frame)
        if wanted:
            self._catch_up()
            self._raise_failure()
            self._bridge.answer(wanted)

    def _take(self, event: PlannedEvent, attempt: int) -> Frame:
        live = self._live
        if live.turn.holder is not None:
            self._catch_up()  # a command has the turn: nothing may wait for its end
        with live.turn.take(f"event {event.id}", _TURN_LIMIT_S):
            live.devices.settle()
            if live.objectives.turns_for(event.objective):
                self._change_objective(event.objective, f"event {event.id}")
            time, place = event.corrected_as
            offset = live.corrections.total(place, time)
            shift = live.objectives.shift(event.objective)
            planned = StagePosition(event.x_um, event.y_um, event.z_um)
            target = live.limits.check_event(
                f"event {event.id} ({event.index})",
                corrected(planned, offset + Offset(shift.x_um, shift.y_um, shift.z_um)),
                (event.channel_group, event.channel) if event.channel_group and event.channel else None,
                event.exposure_ms,
            )
            live.limits.moved(target)
            late_s = 0.0
            if event.added_by is None:
                late_s = self._schedule.pace.started(event.index.time, self._now())
            live.one_off_light.end(live.microscope, _channel_of(event), event.exposure_ms)
            with live.focus_lock.holding(event, target, offset) as held:
                moved = {*live.one_off.owners, *live.focus_lock.moved}
                sent = self._standing.to_send(held, self._position(), moved)
                self._engine.submit(_engine_event(event, sent))
                self._engine.wait_for_exposure(_MOST_PUT_OFF_S)
                self._catch_up()
                self._tell_submitted(event, attempt, held, offset, late_s)
                self._engine.wait(_limit_s(event))
                view = live.microscope.geometry.view()
            live.one_off.forget()
        raw = self._engine.image()
        live.stream.hold()
        self._exposed = raw.exposed
        self._standing.arrived(sent, raw.exposed.position)
        if raw.exposed.error is not None:
            self._publish(
                Logged(f"The position could not be read: {raw.exposed.error}", "warning", event=event.id)
            )
        return self._frame(event, planned, raw, view)

    def _change_objective(self, objective: str | None, who: str) -> None:
        """Turn the turret, at the height that the experiment gives for it; the caller has the turn."""
        live = self._live
        escape_um = live.objectives.escape_um(objective)
        if objective is not None:
            live.limits.check_setting(who, None, make_id(live.objectives.turret), objective)
        with live.focus_lock.suspended("the objective is changed"):
            if escape_um is not None and live.microscope.focus:
                target = live.limits.check(who, {"z_um": escape_um})
                live.limits.moved(target)
                live.microscope.move_focus(target["z_um"])
            live.objectives.use(objective)
        self._standing.forget()
        self._exposed = None

    def _give_objective_back(self) -> None:
        """After the last event: the plan's objective, if an added image has left another one in place."""
        live = self._live
        if self._engine.stuck:
            return  # a thread is still inside the Core
        try:
            with live.turn.take("the end of the run", _TURN_LIMIT_S):
                if not live.stop.now and live.objectives.turns_for(None):
                    self._change_objective(None, "the end of the run")
        except Exception as error:  # noqa: BLE001  (it must not hide why the run ended; the devices are told of)
            self._publish(Logged(f"The plan's objective could not be put back: {error}", "error"))

    def _position(self) -> StagePosition:
        """Where the devices are: as read at the last exposure if that is fresh, else read now."""
        exposed = self._exposed
        if (
            exposed is not None
            and exposed.error is None
            and self._now() - exposed.end_s < _FRESH_S
            and not self._live.one_off.owners
        ):
            return exposed.position
        return self._live.microscope.position()

    def _tell_submitted(
        self, event: PlannedEvent, attempt: int, target: Any, offset: Offset, late_s: float
    ) -> None:
        self._publish(
            Submitted(event.id, attempt, target, offset.to_dict() if offset else None, round(late_s, 6))
        )
        for waiting in self._live.corrections.take_waiting(event.corrected_as[1]):
            self._publish(CorrectionApplied(event.id, waiting.decided_at, waiting.script))

    def _frame(self, event: PlannedEvent, planned: StagePosition, raw: RawImage, view: CameraView) -> Frame:
        core = self._live.microscope
        shift = self._live.objectives.shift(event.objective)
        info = FrameInfo(
            event_id=event.id,
            index=event.index,
            sizes=event.sizes,
            channel_name=event.channel,
            position_name=event.position_name,
            planned=planned,
            real=raw.exposed.position,
            exposure_ms=float(raw.tags.get("Exposure", event.exposure_ms or 0.0)),
            pixel_size_um=view.pixel_size_um,
            elapsed_ms=(raw.exposed.end_s - self._begin_s) * 1e3,
            camera=view.camera,
            binning=view.binning,
            bit_depth=int(core.core.getImageBitDepth()),
            exposure_end_s=raw.exposed.end_s,
            arrived_s=raw.arrived_s,
            pixel_to_stage_um=view.pixel_to_stage_um(_minus(raw.exposed.position, shift.x_um, shift.y_um)),
            roi_px=view.roi_px,
            sensor_px=view.sensor_px,
            geometry_problem=view.problem,
            home_um=event.home_um,
            belongs_to=event.belongs_to,
            added_by=event.added_by,
            label=event.label,
            tags=raw.tags,
        )
        real = raw.exposed.position
        self._publish(
            Captured(
                event.id,
                event.index.to_dict(),
                round(raw.exposed.end_s, 6),
                round(raw.arrived_s, 6),
                {"x": real.x_um, "y": real.y_um, "z": real.z_um},
            )
        )
        return Frame(info, raw.pixels)

    # -- what goes wrong

    def _device_failed(self, event: PlannedEvent, attempt: int, error: Exception) -> bool:
        """Carry out the policy; True if the event is given up, False for another attempt."""
        if self._live.stop.now:
            self._skip(event, "the run was stopped at once")
            raise RunAborted("The run was stopped at once.") from error
        last = attempt > self._policy.retries
        action = self._policy.then if last else "retry"
        self._publish(
            DeviceFailed(event.id, event.index.to_dict(), attempt, str(error), action, _device_of(error))
        )
        if action == "retry":
            return self._live.stop.wait(self._policy.wait_s) and self._give_up(event, "the run was stopped")
        if action == "skip_event":
            return self._give_up(event, f"device error: {error}")
        self._live.stop.blame(error)
        error.add_note(f"At event {event.id}, frame {event.index}, after {attempt} attempts.")
        self._skip(event, f"device error: {error}")
        raise error

    def _give_up(self, event: PlannedEvent, reason: str) -> bool:
        self._skip(event, reason)
        return True

    def _skip(self, event: PlannedEvent, reason: str) -> None:
        self._fates.lost(event.index)
        self._publish(EventSkipped(event.id, event.index.to_dict(), reason))
        if event.stack_end and event.sizes.focus > 1:
            self._publish(StackIncomplete(event.id, event.index.to_dict()))


def _channel_of(event: PlannedEvent) -> Channel | None:
    return Channel(event.channel_group, event.channel) if event.channel and event.channel_group else None


def _engine_event(event: PlannedEvent, target: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"axes": event.index.ndtiff}
    values |= {axis.removesuffix("_um"): value for axis, value in target.items()}
    if event.channel is not None:
        values["config_group"] = [event.channel_group, event.channel]
    return values


def _device_of(error: Exception) -> str | None:
    """The device that the Core blames."""
    found = re.search(r'device "([^"]+)"', str(error))
    return found[1] if found else None


def _limit_s(event: PlannedEvent) -> float:
    return _EVENT_LIMIT_S + 2e-3 * (event.exposure_ms or 0.0)


def _minus(place: StagePosition, dx_um: float, dy_um: float) -> StagePosition:
    """``place`` as the plan's objective sees it: what another one needs to be centred is no move on the specimen."""
    if not (dx_um or dy_um) or place.x_um is None or place.y_um is None:
        return place
    return StagePosition(place.x_um - dx_um, place.y_um - dy_um, place.z_um)
