"""The end of a run at the microscope: lights off, settings as before the run, stage and focus where they were asked.

Each step has a limit and a thread of its own: a device that hangs costs its own settings, and those of the devices
that share its adapter, which would wait for it; all others are set back. Nothing is raised: what could not be done is
told, in the log as an error and in ``run.json``.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from inscoper_mm.errors import CommandRefused, Finding, InvalidInput, LimitRefused, one_of
from inscoper_mm.experiment.at_end import AtEnd
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.lights import DARK, Light, lights_of
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.microscope.objectives import Objectives
from inscoper_mm.microscope.set_back import Change, devices_to_set_back, set_back
from inscoper_mm.microscope.snapshot import CORE, Snapshot
from inscoper_mm.microscope.turn import Turn
from inscoper_mm.microscope.walking import walk
from inscoper_mm.records import Logged, SetBack
from inscoper_mm.stream import Stream

# The Core gives up on a device after 5 s; each device has several settings at most.
_STEP_LIMIT_S = 20.0
_SOON_S = 2.0
# A move has limits of its own, see `Microscope.wait`.
_MOVE_LIMIT_S = 150.0
# A command of a script that is still at work then hangs.
_TURN_LIMIT_S = 10.0
# Windows hears Ctrl-C between two looks only.
_LOOK_S = 0.1


class SettingBack:
    """Sets a microscope back; ``lights_off`` may be called before, ``run`` does everything.

    Parameters
    ----------
    microscope : Microscope
    objectives : Objectives
    before : Snapshot
        How it was before the run.
    at_end : AtEnd
        Where stage and focus go.
    limits : Guard
        Those of the run: moves at the end pass them as all others do.
    turn : Turn
    stream : Stream
        Where it is told.
    step_limit_s : float
        How long one device may take.
    """

    def __init__(
        self,
        microscope: Microscope,
        objectives: Objectives,
        before: Snapshot,
        at_end: AtEnd,
        limits: Guard,
        turn: Turn,
        stream: Stream,
        step_limit_s: float = _STEP_LIMIT_S,
    ) -> None:
        self._microscope = microscope
        self._core = microscope.core
        self._objectives = objectives
        self._before = before
        self._at_end = at_end
        self._limits = limits
        self._turn = turn
        self._stream = stream
        self._step_limit_s = step_limit_s
        self._hanging: dict[str, str] = {}
        self._lights: dict[str, str] = {}
        self._changed: dict[str, dict[str, Any]] = {}
        self._failed: dict[str, str] = {}
        self._moved: dict[str, None] = {}

    def begin(self) -> None:
        """Refuse places out of the limits, before the run and not at its end; tell which lights are on.

        Raises
        ------
        InvalidInput
        """
        self._refuse_wrong_places()
        on = [name for name, state in self._before.lights.items() if state not in DARK]
        if on:
            text = f"Found open, or on: {one_of(on, 20)}. The run ends with all lights off."
            self._stream.publish(Logged(text, "info"))

    def _refuse_wrong_places(self) -> None:
        stage, focus = self._at_end.stage, self._at_end.focus
        targets: dict[str, dict[Axis, float]] = {}
        if not isinstance(stage, str):
            targets["at_end.stage"] = {"x_um": stage[0], "y_um": stage[1]}
        if not isinstance(focus, str):
            targets["at_end.focus"] = {"z_um": focus}
        findings = []
        for field, target in targets.items():
            try:
                self._limits.check_place(field, target)
            except LimitRefused as error:
                findings.append(Finding(str(error), field=field))
        if findings:
            raise InvalidInput(findings)

    def lights_off(self) -> None:
        """Close all shutters and switch all lights off, now; ``run`` does it again.

        What does not answer now may be in the middle of a long exposure: it is left to ``run``.
        """
        _undisturbed(lambda: self._lights_off(min(_SOON_S, self._step_limit_s)))

    def run(self) -> None:
        """Leave the microscope as it has to be left, and tell how it was left."""
        _undisturbed(self._run)

    def _lights_off(self, limit_s: float) -> None:
        self._failed.clear()
        self._hanging.clear()
        for light in lights_of(self._core):
            self._lights[light.id] = self._off(light, limit_s)

    def _run(self) -> None:
        begin = time.perf_counter()
        # A stop at once ends moves of the run, not those that leave the microscope in order.
        self._microscope.give_up = lambda: False
        with self._the_turn():
            self._lights_off(self._step_limit_s)
            self._settings(CORE)
            for device, move in self._in_order():
                self._step(device, device, move, _MOVE_LIMIT_S)
        self._tell(self._position(), time.perf_counter() - begin)

    @contextlib.contextmanager
    def _the_turn(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._turn.take("the end of the run", _TURN_LIMIT_S))
            except CommandRefused as error:
                self._stream.publish(Logged(f"The microscope is set back although {error}", "warning"))
            yield

    # -- lights

    def _off(self, light: Light, limit_s: float) -> str:
        states: list[str] = []
        why = self._attempt(light.device, lambda: states.append(light.off()), limit_s)
        if why is None:
            return states[0]
        # What did not answer before the run either is no news.
        known = self._before.lights.get(light.id) != "unknown"
        if known:
            self._failed[light.id] = f"it could not be switched off: {why}"
        elif light.id not in self._lights:
            self._stream.publish(Logged(f"{light.id} could not be switched off: {why}", "warning"))
        return "unknown"

    # -- settings and moves

    def _in_order(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """A focus that goes away from the sample goes first, one that comes nearer last.

        So neither a turning objective nor a moving stage meets the objective nearer to the sample than it is now, or
        than the user wants it in the end. An objective that has to be turned back turns where the experiment says that
        it may (``escape_z_um``).
        """
        escape_um = self._escape_um()
        if escape_um is not None:
            yield self._microscope.focus, lambda: self._move_focus(escape_um)
        focus, stage = self._focus_target(), self._stage_target()
        retreats = focus is not None and self._retreats(focus)
        if focus is not None and retreats:
            yield self._microscope.focus, lambda: self._move_focus(focus)
        for device in devices_to_set_back(self._core, self._before):
            if device != CORE:
                self._settings(device)
        if stage is not None:
            yield self._microscope.xy_stage, lambda: self._move_stage(*stage)
        if focus is not None and not retreats:
            yield self._microscope.focus, lambda: self._move_focus(focus)

    def _settings(self, device: str) -> None:
        def work() -> None:
            for each in set_back(self._core, self._before, device):
                if isinstance(each, Change):
                    self._changed[each.id] = {"found": each.found, "set_to": each.set_to}
                else:
                    self._failed[each.id] = f"it could not be set back: {each.why}"

        self._step(device, device, work, self._step_limit_s)

    def _stage_target(self) -> tuple[float, float] | None:
        wanted, before = self._at_end.stage, self._before.position
        if wanted == "stay" or not self._microscope.xy_stage:
            return None
        if not isinstance(wanted, str):
            return wanted
        return None if before.x_um is None or before.y_um is None else (before.x_um, before.y_um)

    def _focus_target(self) -> float | None:
        wanted = self._at_end.focus
        if wanted == "stay" or not self._microscope.focus:
            return None
        if self._core.isContinuousFocusEnabled():
            self._failed["focus"] = "it was not moved: the autofocus holds the focus"
            return None
        return self._before.position.z_um if isinstance(wanted, str) else wanted

    def _escape_um(self) -> float | None:
        """The height at which the objective is turned back; None: it need not turn, or may turn where it is."""
        turret = self._objectives.turret if self._microscope.focus else ""
        state = self._before.properties.get((turret, "State"))
        if state is None or self._core.isContinuousFocusEnabled():
            return None
        found: list[float | None] = []

        def look() -> None:
            wanted = str(self._core.getStateLabels(turret)[int(state)])
            turns = self._objectives.now != wanted
            found.append(self._objectives.escape_um(wanted) if turns else None)

        self._attempt(turret, look, self._step_limit_s)
        return found[0] if found else None

    def _retreats(self, target_um: float) -> bool:
        """Whether ``target_um`` is farther from the sample; where nobody says, larger values are nearer to it."""
        now_um = self._position().z_um
        if now_um is None:
            return False
        towards = -1 if self._core.getFocusDirection(self._microscope.focus) < 0 else 1
        return (target_um - now_um) * towards < 0

    def _move_stage(self, x_um: float, y_um: float) -> None:
        walk(self._microscope, self._limits, "at_end.stage", {"x_um": x_um, "y_um": y_um})
        self._moved["stage"] = None

    def _move_focus(self, z_um: float) -> None:
        walk(self._microscope, self._limits, "at_end.focus", {"z_um": z_um})
        self._moved["focus"] = None

    def _position(self) -> StagePosition:
        found: list[StagePosition] = []
        device = self._microscope.xy_stage or self._microscope.focus
        self._attempt(device, lambda: found.append(self._microscope.position()), self._step_limit_s)
        return found[0] if found else StagePosition()

    # -- one step

    def _step(self, name: str, device: str, action: Callable[[], object], limit_s: float) -> None:
        why = self._attempt(device, action, limit_s)
        if why is not None:
            self._failed[name] = why

    def _attempt(self, device: str, action: Callable[[], object], limit_s: float) -> str | None:
        """Do ``action`` in a thread of its own; why it failed, or None."""
        adapter = self._adapter(device)
        if adapter in self._hanging:
            return f"not tried: {self._hanging[adapter]} does not answer, and both belong to {adapter}"
        errors: list[BaseException] = []

        def work() -> None:
            try:
                action()
            except BaseException as error:  # noqa: BLE001  (a thread border: told)
                errors.append(error)

        thread = threading.Thread(target=work, name=f"inscoper-mm end {device}", daemon=True)
        thread.start()
        thread.join(limit_s)
        if thread.is_alive():
            if adapter:
                self._hanging[adapter] = device
            return f"{device} did not answer within {limit_s:g} s"
        return str(errors[0]) if errors else None

    def _adapter(self, device: str) -> str:
        """The adapter library of a device: its devices wait for one another."""
        try:
            return "" if device in ("", CORE) else str(self._core.getDeviceLibrary(device))
        except RuntimeError:
            return ""

    def _tell(self, position: StagePosition, seconds: float) -> None:
        publish = self._stream.publish
        for name, why in self._failed.items():
            publish(Logged(f"At the end of the run, {name}: {why}", "error"))
        places = {"x": position.x_um, "y": position.y_um, "z": position.z_um}
        publish(
            SetBack(
                dict(self._lights),
                dict(self._changed),
                dict(self._failed),
                places,
                tuple(self._moved),
                round(seconds, 3),
            )
        )


@contextlib.contextmanager
def _interruptions_noted(errors: list[BaseException]) -> Iterator[None]:
    """Ctrl-C in the body raises nothing, whatever is running just then, and is added to ``errors``."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # it is not heard here, or somebody else's business already
        return
    signal.signal(signal.SIGINT, lambda *_: errors.append(KeyboardInterrupt()))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _undisturbed(action: Callable[[], None]) -> None:
    """Do ``action`` in a thread of its own: Ctrl-C is heard in the main thread, and kept until it is done.

    Raises
    ------
    BaseException
        What ``action`` raised, or else the interruption.
    """
    errors: list[BaseException] = []
    once, begun, done = threading.Lock(), threading.Event(), threading.Event()

    def work() -> None:
        if not once.acquire(blocking=False):
            return
        begun.set()
        try:
            action()
        except BaseException as error:  # noqa: BLE001  (a thread border: raised again below)
            errors.append(error)
        done.set()

    # Not by joining: a join that is interrupted takes the thread for ended. And a start that is interrupted may have
    # started it or not.
    while True:
        try:
            with _interruptions_noted(errors):
                while not done.is_set():
                    if not begun.is_set():
                        threading.Thread(target=work, name="inscoper-mm end", daemon=True).start()
                    done.wait(_LOOK_S)
            break
        except KeyboardInterrupt as error:
            errors.append(error)
    if errors:
        raise errors[0]
