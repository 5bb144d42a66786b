"""One script of a run: every image is offered to it, and its policy decides what a slow or failing script costs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.services import Services
from inscoper_mm.errors import InscoperError, ScriptFault
from inscoper_mm.execution.host import CallState, Reply, ScriptHost
from inscoper_mm.experiment.model import Policy
from inscoper_mm.images.frame import Frame
from inscoper_mm.records import Decided, Logged, ScriptFailed, ScriptReady, StateSaved, Warned
from inscoper_mm.scripting.requests import RequestError, resolve_requests

PROVIDER_LIMIT_S = 1.0
# Loading a script's libraries anew takes seconds; a model may take longer.
START_LIMIT_S = 300.0
# A script that cannot be started three times in a row is not going to work at the fourth image.
_MOST_FAILED_STARTS = 3
_CLOSE_LIMIT_S = 5.0


@dataclass(slots=True)
class Call:
    """A call that the provider wants: the new image and the images to hand over."""

    new: Frame
    images: Sequence[Frame]
    ms: dict[str, float] = field(default_factory=dict)


class ScriptRunner:
    """Offers images to one script and carries out its policy.

    Parameters
    ----------
    name : str
        The script's name in this run.
    host : ScriptHost
        Where it runs.
    policy : Policy
    services : Services
    export_path : Path
        Where its own files go.
    """

    def __init__(
        self, name: str, host: ScriptHost, policy: Policy, services: Services, export_path: Path
    ) -> None:
        self.name = name
        self._host = host
        self._policy = policy
        self._services = services
        self._export_path = export_path
        self._publish = services.stream.publish
        self._now = services.stream.clock.now
        self._enabled = True
        self._closed = False
        self._failed_starts = 0
        self._error: BaseException | None = None
        self._queue: queue.Queue[Call | None] | None = None
        self._thread: threading.Thread | None = None
        if policy.slow == "queue":
            self._queue = queue.Queue(policy.queue)
            self._thread = threading.Thread(target=self._serve, name=f"inscoper-mm {name}", daemon=True)

    @property
    def stop(self) -> StopSwitch:
        """The run's switch."""
        return self._services.stop

    # -- life

    def begin(self, seconds: float) -> None:
        """Note that the script is loaded and warm after ``seconds``; calls may come."""
        self._publish(ScriptReady(self.name, self._policy.place, round(seconds, 3)))
        if self._thread is not None:
            self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether no call waits or is at work."""
        alive = self._thread is not None and self._thread.is_alive()
        return self._queue is None or not alive or self._queue.unfinished_tasks == 0

    def finish(self) -> None:
        """Wait for the calls that are still queued; each of them has the limit of its policy."""
        if self._queue is None or self._thread is None or not self._thread.is_alive():
            return
        self._put(None)
        calls = self._policy.queue + 2
        self._thread.join(calls * (self._policy.limit_s + START_LIMIT_S))
        if self._thread.is_alive():
            raise InscoperError(f"{self.name}: calls that were queued did not end within their limits.")

    def close(self) -> None:
        """End the script's place; a running call fails, and calls that still wait are dropped."""
        self._enabled = False
        self._closed = True
        self._host.close(_CLOSE_LIMIT_S)
        if self._queue is not None and self._thread is not None and self._thread.is_alive():
            self._queue.put(None, timeout=_CLOSE_LIMIT_S)
            self._thread.join(_CLOSE_LIMIT_S)

    def raise_error(self) -> None:
        """Raise what the policy ``abort`` has to end the run with."""
        if self._error is not None:
            raise self._error

    # -- one image

    def ask(self, frame: Frame) -> Call | None:
        """Ask the provider about ``frame``; the call to make, or None if the script does not want it.

        Raises
        ------
        BaseException
            The script's own error, if the policy is ``abort``.
        """
        call = self._ask(frame) if self._enabled else None
        self.raise_error()
        return call

    def take(self, call: Call) -> None:
        """Make ``call``: at once, or in the queue.

        Raises
        ------
        BaseException
            The script's own error, if the policy is ``abort``.
        """
        if not self._enabled:
            self._drop(call, "the script is no longer running")
        elif self._queue is None:
            self._guarded_run(call)
        else:
            self._put(call)
        self.raise_error()

    def _ask(self, frame: Frame) -> Call | None:
        begin = self._now()
        info = frame.info
        try:
            self._revive()
            answer = self._host.provide(info, frame, PROVIDER_LIMIT_S)
            wanted = resolve_requests(answer, info, self._services.fates.of, self._services.sizes_at)
        except (ScriptFault, RequestError) as fault:
            if not self._ended_by_us:
                self._failed(frame, fault, "provider")
            return None
        asked = self._now()
        ms = {"bridge": (begin - info.exposure_end_s) * 1e3, "provider": (asked - begin) * 1e3}
        if not wanted:
            self._publish(Decided(info.event_id, self.name, "gated", ms=ms))
            return None
        cache = self._services.cache
        images = [frame if index == frame.index else cache.get(index) for index in wanted]
        ms["fetch"] = (self._now() - asked) * 1e3
        return Call(frame, images, ms)

    def _put(self, call: Call | None) -> None:
        assert self._queue is not None
        # A full queue blocks (this is the policy); the head of the queue has a limit, so this has one too.
        try:
            self._queue.put(call, timeout=self._policy.limit_s + START_LIMIT_S)
        except queue.Full:
            raise InscoperError(
                f"{self.name}: the queue did not move within the limit of its calls."
            ) from None

    def _serve(self) -> None:
        assert self._queue is not None
        while (call := self._queue.get()) is not None:
            if self._enabled and self._error is None:
                self._guarded_run(call)
            else:
                self._drop(call, "the script is no longer running")
            self._queue.task_done()

    def _drop(self, call: Call, why: str) -> None:
        self._publish(Decided(call.new.info.event_id, self.name, "dropped", message=why))

    def _guarded_run(self, call: Call) -> None:
        """A thread border in the queued case: the first error is kept for the loop, whatever it is."""
        try:
            self._run(call)
        except BaseException as error:  # noqa: BLE001  (kept, and raised in the loop's thread)
            self._error = self._error or error
            self.stop.fail(error)  # the loop may sleep until the next time point

    def _run(self, call: Call) -> None:
        info = call.new.info
        states = self._services.states
        state, run_state = states.copies(self.name, info.index.position)
        commands = self._services.commands(self.name, info)
        begin = self._now()
        try:
            self._revive()
            reply = self._host.process(
                call.images,
                call.new,
                commands,
                CallState(state, run_state, self._export_path, self._services.elapsed_s(info)),
                self._policy.limit_s,
            )
        except ScriptFault as fault:
            if self._ended_by_us:
                self._drop(call, "the run was ended during the call")
                return
            self._failed(call.new, fault, "process", [frame.index.stem for frame in call.images])
            return
        finally:
            commands.revoke()
        done = self._now()
        call.ms["command"] = commands.command_s * 1e3
        call.ms["process"] = (done - begin) * 1e3 - call.ms["command"]
        call.ms["settled"] = (done - info.exposure_end_s) * 1e3
        self._accept(call, reply)

    def _accept(self, call: Call, reply: Reply) -> None:
        info = call.new.info
        answer = reply.answer
        if self._services.states.commit(self.name, info.index.position, reply.state, reply.run_state):
            self._publish(
                StateSaved(self.name, info.event_id, info.index.position, reply.state, reply.run_state)
            )
        if answer.metadata:
            # First where nothing can be too large for it, then into the image.
            self._services.results.inject(self.name, info, answer.metadata)
            self._services.writer.answer(info, self.name, answer.metadata)
        if warnings := answer.warnings:
            self._publish(Warned(self.name, info.event_id, info.index.to_dict(), warnings))
        self._services.results.put(self.name, info, answer.values, self._export_path)
        if answer.values.get("roi") is not None:
            self._services.published(self.name, info, answer.values["roi"])
        self._publish(
            Decided(
                info.event_id,
                self.name,
                "done",
                requests=tuple(frame.index.stem for frame in call.images),
                processors=tuple(answer.values),
                ms=call.ms,
            )
        )

    # -- faults

    @property
    def _ended_by_us(self) -> bool:
        """Whether a call that fails now fails because its place was closed: no fault of the script's."""
        return self._closed or self.stop.now

    def _failed(
        self, frame: Frame, fault: ScriptFault | RequestError, where: str, requests: Sequence[str] = ()
    ) -> None:
        info = frame.info
        action = _ACTIONS[self._policy.error]
        kind = fault.kind if isinstance(fault, ScriptFault) else "rubbish"
        if kind == "timeout" and self._policy.place == "thread" and self._policy.error != "abort":
            # A thread cannot be killed: it may still be at work in the script's module.
            action = _disable
        self._publish(
            Decided(info.event_id, self.name, "failed", requests=tuple(requests), message=str(fault))
        )
        self._publish(
            ScriptFailed(
                self.name,
                info.event_id,
                info.index.to_dict(),
                fault.function if isinstance(fault, ScriptFault) else where,
                kind,
                str(fault),
                action.__name__.strip("_"),
                fault.details if isinstance(fault, ScriptFault) else "",
            )
        )
        action(self, frame, fault)

    def _revive(self) -> None:
        """Start a worker anew that was killed or has died."""
        if self._host.alive:
            return
        try:
            seconds = self._host.restart(START_LIMIT_S)
        except (ScriptFault, InscoperError) as error:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                self.disable(f"it could not be started {_MOST_FAILED_STARTS} times in a row")
            fault = (
                error
                if isinstance(error, ScriptFault)
                else ScriptFault("died", self.name, "start", str(error))
            )
            raise fault from error
        self._failed_starts = 0
        self._publish(ScriptReady(self.name, self._policy.place, round(seconds, 3), restarted=True))

    def disable(self, why: str) -> None:
        """Go on without this script."""
        if self._enabled:
            self._enabled = False
            self._publish(
                Logged(f"{self.name} is switched off for the rest of the run: {why}", "error", self.name)
            )
            self._host.close(_CLOSE_LIMIT_S)


Action = Callable[[ScriptRunner, Frame, Exception], None]


def _abort(runner: ScriptRunner, frame: Frame, fault: Exception) -> None:
    original = getattr(fault, "original", None) or fault
    runner.stop.blame(original)
    original.add_note(f"In script {runner.name}, frame {frame.index}, event {frame.info.event_id}: {fault}")
    raise original


def _skip(runner: ScriptRunner, frame: Frame, fault: Exception) -> None:
    """The next image is offered as if nothing had happened."""


def _disable(runner: ScriptRunner, frame: Frame, fault: Exception) -> None:
    runner.disable(str(fault))


_ACTIONS: dict[str, Action] = {"abort": _abort, "skip": _skip, "disable": _disable}
