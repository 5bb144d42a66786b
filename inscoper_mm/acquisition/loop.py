"""The submission loop: one event or burst at a time, when it is due, under the turn, with its corrections."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from inscoper_mm.acquisition.bridge import Bridge
from inscoper_mm.acquisition.bursts import Burst, Target, members, shifted
from inscoper_mm.acquisition.corrections import Offset
from inscoper_mm.acquisition.developing import at_height, captured, develop
from inscoper_mm.acquisition.engine import EngineStuck, Exposed, PycroEngine, RawImage
from inscoper_mm.acquisition.engine_events import channel_of, device_of, engine_event, limit_s, name_of
from inscoper_mm.acquisition.focus_lock import FocusLost
from inscoper_mm.acquisition.leading import StoppedWaiting, led_to
from inscoper_mm.acquisition.live import Live
from inscoper_mm.acquisition.losses import Losses
from inscoper_mm.acquisition.schedule import Schedule
from inscoper_mm.acquisition.standing import Standing
from inscoper_mm.errors import CommandRefused, InvalidInput, LimitRefused, RunAborted
from inscoper_mm.experiment.model import DeviceErrorPolicy
from inscoper_mm.images.frame import Frame, StagePosition
from inscoper_mm.microscope.geometry import CameraView
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.microscope.walking import walk
from inscoper_mm.records import (
    CorrectionApplied,
    DeviceFailed,
    Logged,
    StopAsked,
    Submitted,
)

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
    longest_burst : int
        How many slices of a stack may be taken as one hardware sequence; 1 for none.
    """

    def __init__(
        self,
        engine: PycroEngine,
        live: Live,
        device_error: DeviceErrorPolicy,
        bridge: Bridge,
        longest_burst: int = 1,
    ) -> None:
        self._engine = engine
        self._live = live
        self._fates = live.fates
        self._losses = Losses(live.fates, live.stream)
        self._schedule = live.schedule
        self._policy = device_error
        self._bridge = bridge
        self._longest = longest_burst
        self._publish = live.stream.publish
        self._clock = live.stream.clock
        self._now = self._clock.now
        self._begin_s = 0.0
        self._standing = Standing()
        self._to_store: list[Frame] = []
        self._rescued: list[Frame] = []
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
                self._skip((event,), reason)
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
            elif self._wait_until_due(upcoming.due_s, schedule) and schedule.take(upcoming.event):
                self._acquire(members(upcoming.event, schedule, self._now, self._longest))
        self._tell_stop()
        return (stop.reason or "the run failed") if stop.asked else "the plan is done"

    def _tell_stop(self) -> None:
        if self._live.stop.by is not None:
            self._publish(StopAsked(self._live.stop.by, self._live.stop.reason))

    def _catch_up(self) -> None:
        """Do what was put off for the sake of the loop: tell the records, store the images.

        A failure is kept for ``_raise_failure``: here it would be taken for one of the hardware.
        """
        frames, self._to_store = self._to_store, []
        try:
            self._live.stream.release()
        except BaseException as error:  # noqa: BLE001  (kept; a record that cannot be told must not cost the image)
            self._failure = self._failure or error
        for frame in frames:
            try:
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
                self._clock.wait(wait_s - 0.001, stop.wait, _LONGEST_SLEEP_S, self._bridge.idle)
            else:
                time.sleep(0)
        return not stop.asked

    # -- one event, or one burst

    def _acquire(self, events: Burst) -> None:
        self._rescued = []
        first = events[0]
        for attempt in range(1, self._policy.retries + 2):
            try:
                frames = self._take(events, attempt)
            except FocusLost as error:
                self._standing.forget()
                self._skip(events, str(error))
                if error.abort:
                    self._live.stop.blame(error)
                    raise
                return
            except StoppedWaiting as error:
                self._skip(events, str(error))
                return
            except (InvalidInput, LimitRefused, CommandRefused, EngineStuck) as error:
                self._skip(events, str(error))
                if first.added_by is not None and isinstance(error, LimitRefused):
                    self._publish(Logged(str(error), "error", first.added_by, first.id))
                    return  # a script's own wish; the plan is still good
                raise  # another attempt cannot help
            except Exception as error:  # noqa: BLE001  (the Core's errors have no class of their own)
                self._standing.forget()
                self._catch_up()
                if self._device_failed(events, attempt, error):
                    return
            else:
                self._keep(frames)
                self._offer(frames)
                return

    def _keep(self, frames: Sequence[Frame]) -> None:
        """These images count; they are stored while the next event is at work, or before a script wants them."""
        for frame in frames:
            self._publish(captured(frame))
            self._to_store.append(frame)  # from here on it will be, whatever happens
            self._fates.captured(frame.index)

    def _offer(self, frames: Sequence[Frame]) -> None:
        """Ask the scripts about each image, in order."""
        if len(frames) > 1:
            self._catch_up()  # a script may ask for any other image of the burst
        self._raise_failure()
        for number, frame in enumerate(frames):
            if number and self._live.stop.now:
                return
            wanted = self._bridge.ask(frame)
            if wanted:
                self._catch_up()
                self._raise_failure()
                self._bridge.answer(wanted)

    def _take(self, events: Burst, attempt: int) -> list[Frame]:
        live, first = self._live, events[0]
        if live.turn.holder is not None:
            self._catch_up()  # a command has the turn: nothing may wait for its end
        with live.turn.take(name_of(events), _TURN_LIMIT_S):
            live.devices.settle()
            if live.objectives.turns_for(first.objective):
                self._change_objective(first.objective, name_of(events))
            time, place = first.corrected_as
            offset = live.corrections.total(place, time)
            targets, led = led_to(events, offset, live, self._catch_up)
            if led:
                self._standing.forget()
                self._exposed = None
            late_s = 0.0
            if first.added_by is None:
                late_s = self._schedule.pace.started(first.index.time, self._now())
            live.one_off_light.end(live.microscope, channel_of(first), first.exposure_ms)
            whole_stack = len(events) > 1 and events[-1].stack_end
            with live.focus_lock.holding(first, targets[0], offset, whole_stack) as held:
                targets = shifted(events, targets, held, live)
                moved = {*live.one_off.owners, *live.focus_lock.moved}
                sent = self._standing.to_send(held, self._position(), moved)
                self._submit(events, targets, sent)
                self._engine.wait_for_exposure(_MOST_PUT_OFF_S)
                self._catch_up()
                self._tell_submitted(events, attempt, targets, offset, late_s)
                view = self._wait(events, targets)
            live.one_off.forget()
        raws = self._engine.images()
        live.stream.hold()
        return self._developed(events, targets, sent, raws, view)

    def _submit(self, events: Burst, targets: Sequence[Target], sent: Target) -> None:
        """Give the engine its events; before a burst, go where it begins: the engine would not."""
        if len(events) == 1:
            self._engine.submit(engine_event(events[0], sent))
            return
        core = self._live.microscope
        if "x_um" in sent:
            core.move_stage(sent["x_um"], sent["y_um"])
        core.move_focus(targets[0]["z_um"])
        places: list[Target] = [{"z_um": target["z_um"]} for target in targets]
        self._engine.submit(*map(engine_event, events, places))

    def _wait(self, events: Burst, targets: Sequence[Target]) -> CameraView:
        """Wait for the end; what a burst has delivered before it failed is kept until it is given up."""
        core = self._live.microscope
        try:
            self._engine.wait(limit_s(events, core.exposure_ms))
        except EngineStuck:
            raise
        except Exception as error:
            if len(events) > 1:
                self._rescue(events, targets, error)
            raise
        return core.geometry.view()

    def _rescue(self, events: Burst, targets: Sequence[Target], error: Exception) -> None:
        try:
            view = self._live.microscope.geometry.view()
        except RuntimeError as why:
            error.add_note(f"The images that the burst had delivered are lost: {why}")
            return
        raws = self._engine.arrived()
        if len(raws) > len(self._rescued):
            self._rescued = self._developed(events, targets, {}, raws, view)

    def _developed(
        self,
        events: Burst,
        targets: Sequence[Target],
        sent: Target,
        raws: Sequence[RawImage],
        view: CameraView,
    ) -> list[Frame]:
        """The frames of ``raws``, and what they tell of where the devices stand."""
        if not raws:
            return []
        exposed = self._exposed = raws[-1].exposed
        self._standing.arrived(sent, exposed.position)
        if exposed.error is not None:
            text = f"The position could not be read: {exposed.error}"
            self._publish(Logged(text, "warning", event=events[0].id))
        if len(events) > 1:
            self._exposed = None
            self._standing.forget("z_um")
            raws = [at_height(raw, target["z_um"]) for raw, target in zip(raws, targets, strict=False)]
        return [
            develop(event, raw, view, self._live, self._begin_s)
            for event, raw in zip(events, raws, strict=False)
        ]

    def _change_objective(self, objective: str | None, who: str) -> None:
        """Turn the turret, at the height that the experiment gives for it; the caller has the turn."""
        live = self._live
        escape_um = live.objectives.escape_um(objective)
        if objective is not None:
            live.limits.check_setting(who, None, make_id(live.objectives.turret), objective)
        with live.focus_lock.suspended("the objective is changed"):
            if escape_um is not None and live.microscope.focus:
                walk(live.microscope, live.limits, who, {"z_um": escape_um})
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
        self, events: Burst, attempt: int, targets: Sequence[Any], offset: Offset, late_s: float
    ) -> None:
        correction = offset.to_dict() if offset else None
        first = events[0]
        burst = first.id if len(events) > 1 else None
        for event, target in zip(events, targets, strict=True):
            late = round(late_s, 6) if event is first else 0.0
            self._publish(Submitted(event.id, attempt, target, correction, late, burst))
        for waiting in self._live.corrections.take_waiting(first.corrected_as[1]):
            self._publish(CorrectionApplied(first.id, waiting.decided_at, waiting.script))

    # -- what goes wrong

    def _device_failed(self, events: Burst, attempt: int, error: Exception) -> bool:
        """Carry out the policy; True if the events are given up, False for another attempt."""
        first = events[0]
        if self._live.stop.now:
            self._skip(events, "the run was stopped at once")
            raise RunAborted("The run was stopped at once.") from error
        last = attempt > self._policy.retries
        action = self._policy.then if last else "retry"
        self._publish(
            DeviceFailed(first.id, first.index.to_dict(), attempt, str(error), action, device_of(error))
        )
        if action == "retry":
            if not self._live.stop.wait(self._policy.wait_s):
                return False
            self._skip(events, "the run was stopped")
            return True
        kept = self._skip(events, f"device error: {error}")
        if action == "skip_event":
            self._offer(kept)
            return True
        self._live.stop.blame(error)
        error.add_note(f"At event {first.id}, frame {first.index}, after {attempt} attempts.")
        raise error

    def _skip(self, events: Burst, reason: str) -> list[Frame]:
        """Give ``events`` up; those of a burst whose images had arrived count as captured, and are returned."""
        kept, self._rescued = self._rescued, []
        self._keep(kept)
        there = {frame.index for frame in kept}
        for event in events:
            if event.index not in there:
                self._losses.tell(event, reason)
        return kept
