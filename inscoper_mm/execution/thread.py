"""A script in a thread of this process: the quickest place, but one that cannot be killed."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from inscoper_mm.errors import CommandRefused, InvalidInput, ScriptFault
from inscoper_mm.execution import capture
from inscoper_mm.execution.calls import facts_of, run_process
from inscoper_mm.execution.faults import fault_of
from inscoper_mm.execution.host import BUSY_LIMIT_S, CallState, Commands, Facts, HostLog, Reply
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.scripting.answers import Answer
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.loader import Script, load_script
from inscoper_mm.scripting.plain import plain
from inscoper_mm.scripting.spec import ScriptSpec
from inscoper_mm.scripting.vocabulary import PREPARE, metadata_of

_POLL_S = 0.05

Work = Callable[[], Any]
# Whether it worked, and what came of it: a result, or the error.
Outcome = tuple[bool, Any]


class _Line:
    """A daemon thread that does one piece of work after the other."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[tuple[Work, SimpleQueue[Outcome]] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def begin(self, work: Work) -> SimpleQueue[Outcome]:
        """Have ``work`` done; its outcome comes into the queue."""
        outcome: SimpleQueue[Outcome] = SimpleQueue()
        self._work.put((work, outcome))
        return outcome

    def end(self) -> None:
        """Let the thread end when it has done its work."""
        self._work.put(None)

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, outcome = item
            try:
                result: Outcome = (True, work())
            except BaseException as error:  # noqa: BLE001  (the border to foreign code: the caller raises it)
                result = (False, error)
            outcome.put(result)
            # Nothing of the last call may live on while the thread waits for the next.
            del item, work, outcome, result


class _Guarded:
    """The commands of one call, until its limit has passed. Time in a command is not the script's."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._guard = threading.Lock()
        self._revoked = False
        self._running = 0
        self._since = 0.0
        self._spent_s = 0.0

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        with self._guard:
            if self._revoked:
                raise CommandRefused(f"{name}: this call is over, its commands are no longer executed.")
            self._running += 1
            if self._running == 1:
                self._since = time.monotonic()
        try:
            return self._commands.execute(name, args, kwargs)
        finally:
            with self._guard:
                self._running -= 1
                if self._running == 0:
                    self._spent_s += time.monotonic() - self._since

    def log(self, level: str, text: str) -> None:
        self._commands.log(level, text)

    def left_s(self, begin: float, limit_s: float) -> float:
        """What is left of the script's time; once it is nothing, no command is executed any more."""
        with self._guard:
            if self._running:
                return _POLL_S
            left_s = limit_s - (time.monotonic() - begin - self._spent_s)
            self._revoked = self._revoked or left_s <= 0
            return left_s

    def revoke(self) -> None:
        with self._guard:
            self._revoked = True


class ThreadHost:
    """A script that runs in two threads of this process, one for its provider and one for its processing function.

    Pixels are the run's own, read-only, without a copy. When a limit passes, the waiting ends and the context is
    revoked, but the thread cannot be stopped: the host is not alive any more.
    """

    def __init__(self, spec: ScriptSpec, log: HostLog | None = None) -> None:
        self._spec = spec
        self._log = log
        self._guard = threading.Lock()
        self._restarting = threading.Lock()
        self._script: Script | None = None
        self._lines: dict[str, _Line] = {}
        self._waiting: set[SimpleQueue[Outcome]] = set()
        self._busy = False
        self._alive = False
        self._closed = False
        self._captures = False

    @property
    def name(self) -> str:
        """The script's name in this run."""
        return self._spec.name

    @property
    def alive(self) -> bool:
        """Whether calls can be made."""
        return self._alive

    @property
    def facts(self) -> Facts | None:
        """What loading found; None before the start."""
        return facts_of(self._script) if self._script is not None else None

    def start(self, limit_s: float) -> float:
        """Load the script and run its ``prepare``. Return the seconds this took."""
        begin = time.perf_counter()
        with self._guard:
            if self._closed:
                raise self._fault("died", PREPARE, "it is closed")
            if not self._captures:
                capture.install()
                self._captures = True
            for line in self._lines.values():
                line.end()
            self._lines = {role: _Line(f"{self.name} {role}") for role in ("provider", "process")}
        self._script = self._call("process", PREPARE, self._load, self._until(limit_s), limit_s)
        self._alive = not self._closed
        return time.perf_counter() - begin

    def restart(self, limit_s: float) -> float:
        """Load the script anew in new threads, unless it is alive. Return the seconds this took."""
        with self._restarting:
            return 0.0 if self._alive else self.start(limit_s)

    def provide(self, info: FrameInfo, image: Frame, limit_s: float) -> Any:
        """Ask the image provider about a new image. Return its answer as it is."""
        script = self._ready("provider")

        def work() -> Any:
            with capture.captured_to(self._sink(info.event_id)):
                return script.provide(Images([Image(metadata_of(info), image.pixels)]))

        limit_s = max(limit_s, BUSY_LIMIT_S) if self._busy else limit_s
        return self._call("provider", script.provider.name, work, self._until(limit_s), limit_s)

    def process(
        self, images: Sequence[Frame], new: Frame, commands: Commands, state: CallState, limit_s: float
    ) -> Reply:
        """Call the processing function with ``images``."""
        script = self._ready("process")
        guarded = _Guarded(commands)
        given = [Image(metadata_of(frame.info), frame.pixels) for frame in images]
        # Copies, so that a call that fails leaves the caller's as they were.
        start = CallState(_copied(state.state), _copied(state.run_state), state.export_path, state.elapsed_s)

        def work() -> Reply:
            with capture.captured_to(guarded.log):
                return _own(run_process(script, given, guarded, start))

        begin = time.monotonic()
        self._busy = True
        try:
            reply: Reply = self._call(
                "process", script.process.name, work, lambda: guarded.left_s(begin, limit_s), limit_s
            )
            return reply
        finally:
            self._busy = False
            guarded.revoke()

    def close(self, limit_s: float) -> None:
        """End the place for good; a running call fails."""
        with self._guard:
            self._closed = True
            self._alive = False
            lines, self._lines = self._lines, {}
            captures, self._captures = self._captures, False
            waiting = list(self._waiting)
        for outcome in waiting:
            outcome.put((False, self._fault("died", self.name, "it was closed during the call")))
        for line in lines.values():
            line.end()
        if captures:
            capture.uninstall()

    # -- the way of a call

    def _load(self) -> Script:
        with capture.captured_to(self._sink(None)):
            script = load_script(self._spec)
            script.warm_up()
            return script

    def _call(self, role: str, function: str, work: Work, left_s: Callable[[], float], limit_s: float) -> Any:
        """Do ``work`` in the thread for ``role`` and return its result, as long as ``left_s()`` is positive."""
        with self._guard:
            lines = self._lines
            if role not in lines:
                raise self._fault("died", function, "it is closed")
            outcome = lines[role].begin(work)
            self._waiting.add(outcome)
        try:
            worked, result = self._outcome(outcome, function, left_s, limit_s)
        except ScriptFault:
            if self._lines is lines:  # otherwise there are new threads already
                self._alive = False
            raise
        finally:
            with self._guard:
                self._waiting.discard(outcome)
        if worked:
            return result
        if isinstance(result, InvalidInput) and function == PREPARE:
            raise result
        raise fault_of(result, self.name, function) from result

    def _outcome(
        self, outcome: SimpleQueue[Outcome], function: str, left_s: Callable[[], float], limit_s: float
    ) -> Outcome:
        while (left := left_s()) > 0:
            with contextlib.suppress(Empty):
                return outcome.get(timeout=left)
        raise self._fault(
            "timeout",
            function,
            f"it took longer than {limit_s:g} s. A thread cannot be stopped: its result is not waited for, and its "
            "commands are refused",
        )

    @staticmethod
    def _until(limit_s: float) -> Callable[[], float]:
        end = time.monotonic() + limit_s
        return lambda: end - time.monotonic()

    def _ready(self, role: str) -> Script:
        script = self._script
        if script is None or not self._alive:
            raise self._fault("died", role, "it is not running")
        return script

    def _fault(self, kind: Any, function: str, message: str) -> ScriptFault:
        return ScriptFault(kind, self.name, function, f"{message}.")

    def _sink(self, event_id: str | None) -> capture.Sink:
        log = self._log

        def sink(level: str, text: str) -> None:
            if log is not None:
                log(level, text, event_id)

        return sink


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return dict(plain(state, "state"))


def _own(reply: Reply) -> Reply:
    """``reply`` with arrays of its own: a script may use its own for the next image."""
    answer = Answer(copy.deepcopy(reply.answer.values), reply.answer.metadata)
    return Reply(answer, reply.state, reply.run_state, reply.process_s)
