"""A script in a process of its own: killed at its limit, started anew, and no fault of it reaches the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from inscoper_mm.errors import InscoperError, ScriptFault
from inscoper_mm.execution.channel import Channel, Message
from inscoper_mm.execution.faults import pack_error, unpack_error
from inscoper_mm.execution.host import BUSY_LIMIT_S, CallState, Commands, Facts, HostLog, Reply
from inscoper_mm.execution.spawn import WorkerProcess
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.scripting.spec import ScriptSpec
from inscoper_mm.scripting.vocabulary import PREPARE, metadata_of

# A process whose end of the pipe is held open by a child of its own is found dead after this.
_LOOK_S = 0.25
_EPITAPH_S = 2.0

Handler = Callable[..., None]


class _Deadline:
    """A limit that does not run while the run itself is at work for the script."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._end = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        return self._end - time.monotonic()

    def extend(self, seconds: float) -> None:
        self._end += seconds


class WorkerHost:
    """A script in a worker process.

    Pixels and large results pass through shared memory. Whatever happens in the process is a
    :class:`~inscoper_mm.errors.ScriptFault` here: ``died`` if it ends, ``timeout`` if it was killed at its limit.

    Parameters
    ----------
    spec : ScriptSpec
    log : callable, optional
        Takes what the script prints outside of a call of its processing function.
    """

    def __init__(self, spec: ScriptSpec, log: HostLog | None = None) -> None:
        self._spec = spec
        self._log = log
        self._life = threading.RLock()
        self._worker: WorkerProcess | None = None
        self._facts: Facts | None = None
        self._commands: Commands | None = None
        self._ready = False
        self._closed = False

    @property
    def name(self) -> str:
        """The script's name in this run."""
        return self._spec.name

    @property
    def alive(self) -> bool:
        """Whether calls can be made."""
        worker = self._worker
        return self._ready and worker is not None and worker.running

    @property
    def facts(self) -> Facts | None:
        """What loading found; None before the start."""
        return self._facts

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._worker.pid if self._worker is not None else None

    # -- life

    def start(self, limit_s: float) -> float:
        """Start the process, load the script, run its ``prepare``. Return the seconds this took."""
        begin = time.perf_counter()
        deadline = _Deadline(limit_s)
        with self._life:
            self._bury()
            if self._closed:
                raise ScriptFault("died", self.name, PREPARE, "it is closed.")
            worker = self._worker = WorkerProcess(self._output)
        try:
            if self._closed:  # meanwhile, by another thread that did not see the process yet
                raise ScriptFault("died", self.name, PREPARE, "it is closed.")
            self._send(worker, worker.process, PREPARE, "load", self._spec)
            self._facts = self._answer(
                worker, worker.process, PREPARE, deadline, {"log": self._log_line(None)}
            )
        except BaseException:
            self._kill(worker, "it could not be started")
            raise
        self._ready = True
        return time.perf_counter() - begin

    def restart(self, limit_s: float) -> float:
        """Start a new process, unless the script is alive. Return the seconds this took."""
        with self._life:
            return 0.0 if self.alive else self.start(limit_s)

    def close(self, limit_s: float) -> None:
        """End the process for good; a running call fails."""
        self._closed = True
        worker = self._worker
        if worker is None:
            return
        if self._ready and self._commands is None and worker.running:
            try:
                worker.process.send("close")
                worker.wait(limit_s)
            except OSError:
                pass
        self._kill(worker, "it was closed during the call")
        with self._life:
            self._bury()

    def _kill(self, worker: WorkerProcess, why: str) -> None:
        if worker.running and worker.killed_why is None:
            worker.killed_why = why
        self._not_ready(worker)
        worker.kill()

    def _not_ready(self, worker: WorkerProcess) -> None:
        # The end of an old process may be noticed when there is a new one already.
        if self._worker is worker:
            self._ready = False

    def _bury(self) -> None:
        """Free what is left of a process that has ended."""
        worker, self._worker = self._worker, None
        self._ready = False
        if worker is not None:
            worker.kill()
            worker.release()

    # -- calls

    def provide(self, info: FrameInfo, image: Frame, limit_s: float) -> Any:
        """Ask the image provider about a new image. Return its answer as it is.

        Only its metadata is sent; the pixels follow if the provider looks at them.
        """
        worker, function = self._serving("provider")

        def send_pixels() -> None:
            self._send(worker, worker.provider, function, "pixels", image.pixels)

        deadline = _Deadline(limit_s if self._commands is None else max(limit_s, BUSY_LIMIT_S))
        self._send(worker, worker.provider, function, "provide", metadata_of(info))
        handlers: dict[str, Handler] = {"pixels": send_pixels, "log": self._log_line(info.event_id)}
        return self._answer(worker, worker.provider, function, deadline, handlers)

    def process(
        self, images: Sequence[Frame], new: Frame, commands: Commands, state: CallState, limit_s: float
    ) -> Reply:
        """Call the processing function with ``images``."""
        worker, function = self._serving("process")
        deadline = _Deadline(limit_s)

        def execute(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            begin = time.monotonic()
            answer = _executed(commands, name, args, kwargs)
            deadline.extend(time.monotonic() - begin)
            self._send(worker, worker.process, function, *answer)

        self._commands = commands
        try:
            given = [(metadata_of(frame.info), frame.pixels) for frame in images]
            self._send(worker, worker.process, function, "process", given, state)
            handlers: dict[str, Handler] = {"command": execute, "log": commands.log}
            reply: Reply = self._answer(worker, worker.process, function, deadline, handlers)
            return reply
        finally:
            self._commands = None

    # -- the way of a message

    def _serving(self, role: str) -> tuple[WorkerProcess, str]:
        worker, facts = self._worker, self._facts
        if worker is None or facts is None or not self._ready:
            raise ScriptFault("died", self.name, role, "its process is not running.")
        return worker, facts.provider if role == "provider" else facts.process

    def _send(self, worker: WorkerProcess, channel: Channel, function: str, *message: Any) -> None:
        try:
            channel.send(*message)
        except OSError:
            raise self._died(worker, function) from None

    def _answer(
        self,
        worker: WorkerProcess,
        channel: Channel,
        function: str,
        deadline: _Deadline,
        handlers: dict[str, Handler],
    ) -> Any:
        """Serve what the script asks for, by ``handlers``, until its answer comes."""
        kind = ""
        try:
            while True:
                kind, *content = self._next(worker, channel, function, deadline)
                if kind not in handlers:
                    break
                handlers[kind](*content)
        except BaseException:
            # The answer may still come, and would be taken for that to the next question.
            self._kill(worker, f"its process was ended, because the run stopped waiting for {function}()")
            raise
        if kind == "error":
            self._raise(content[0])
        return content[0]

    def _next(self, worker: WorkerProcess, channel: Channel, function: str, deadline: _Deadline) -> Message:
        try:
            while not channel.wait(max(0.0, min(deadline.left_s, _LOOK_S))):
                if not worker.running:
                    raise EOFError
                if deadline.left_s <= 0:
                    text = f"it took longer than {deadline.limit_s:g} s; its process was ended."
                    self._kill(worker, f"its process was ended, because {function}() took too long")
                    raise ScriptFault("timeout", self.name, function, text)
            return channel.receive()
        except (EOFError, OSError):
            raise self._died(worker, function) from None

    def _died(self, worker: WorkerProcess, function: str) -> ScriptFault:
        self._not_ready(worker)
        if not worker.wait(_EPITAPH_S):
            worker.kill()
        why = worker.killed_why or worker.epitaph()
        return ScriptFault("died", self.name, function, f"{why}.", worker.last_words())

    def _raise(self, packed: tuple[Any, ...]) -> None:
        error = unpack_error(packed, InscoperError)
        if isinstance(error, ScriptFault) and error.original is not None:
            raise error from error.original
        raise error

    # -- what the script writes

    def _log_line(self, event_id: str | None) -> Callable[[str, str], None]:
        def line(level: str, text: str) -> None:
            if self._log is not None:
                self._log(level, text, event_id)

        return line

    def _output(self, text: str) -> None:
        """A line that went past Python's streams: it belongs to the running call, if there is one."""
        commands = self._commands
        if commands is not None:
            commands.log("info", text)
        elif self._log is not None:
            self._log("info", text, None)


def _executed(commands: Commands, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message:
    try:
        return "result", commands.execute(name, args, kwargs)
    except Exception as error:  # noqa: BLE001  (a process border: it is raised again in the script)
        return "error", pack_error(error)
