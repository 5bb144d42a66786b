"""What runs in a worker process: the script's processing function in the main thread, its provider in another."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from inscoper_mm.errors import CommandRefused, InscoperError
from inscoper_mm.execution import capture
from inscoper_mm.execution.calls import facts_of, run_process
from inscoper_mm.execution.channel import Channel
from inscoper_mm.execution.faults import fault_of, pack_error, unpack_error
from inscoper_mm.execution.host import CallState
from inscoper_mm.execution.spawn import open_pipe
from inscoper_mm.scripting.answers import AnswerError
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.loader import Script, load_script
from inscoper_mm.scripting.spec import ScriptSpec
from inscoper_mm.scripting.vocabulary import PREPARE

# A busy processing function lets the provider in after this at the latest (the default is 5 ms).
_SWITCH_S = 0.0005
_MOST_UNSENT_LINES = 1000


class _Commands:
    """The commands of a script, executed in the run."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        # A script may use its context from several threads; an answer belongs to one question.
        self._asking = threading.Lock()
        self.open = False

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        with self._asking:
            if not self.open:
                raise CommandRefused(f"{name}: this call is over, its commands are no longer executed.")
            self._channel.send("command", name, args, dict(kwargs))
            kind, value = self._channel.receive()
        if kind == "error":
            raise unpack_error(value, InscoperError)
        return value

    def log(self, level: str, text: str) -> None:
        self._channel.send("log", level, text)


class _Rest:
    """The sink for threads of the script's own: into the running call, or kept until there is one."""

    def __init__(self, commands: _Commands) -> None:
        self._commands = commands
        self._unsent: deque[tuple[str, str]] = deque(maxlen=_MOST_UNSENT_LINES)

    def __call__(self, level: str, text: str) -> None:
        if self._commands.open:
            self._commands.log(level, text)
        else:
            self._unsent.append((level, text))

    def send(self) -> None:
        while self._unsent:
            self._commands.log(*self._unsent.popleft())


class _Worker:
    def __init__(self, process: Channel, provider: Channel) -> None:
        self._channel = process
        self._provider = provider
        self._commands = _Commands(process)
        self._rest = _Rest(self._commands)
        self._spec: ScriptSpec | None = None
        self._script: Script | None = None
        capture.capture_rest(self._rest)

    @property
    def _name(self) -> str:
        return self._spec.name if self._spec is not None else "worker"

    def serve(self) -> None:
        """Do what the run asks for until it says so, or is gone."""
        while True:
            kind, *content = self._channel.receive()
            if kind == "close":
                return
            self._deliver(self._channel, self._answer(kind, content), self._function(kind))
            # Nothing of this call may live on while this waits for the next: its blocks go back then.
            del content

    def _answer(self, kind: str, content: list[Any]) -> tuple[Any, ...]:
        try:
            with capture.captured_to(self._commands.log):
                return self._load(*content) if kind == "load" else self._process(*content)
        except BaseException as error:  # noqa: BLE001  (the border to foreign code: the run raises it)
            return self._error(error, self._function(kind))

    def _deliver(self, channel: Channel, message: tuple[Any, ...], function: str) -> None:
        try:
            channel.send(*message)
        except (EOFError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  (pickling runs the code of foreign objects)
            text = f"What it returned cannot leave its process ({type(error).__name__}: {error}). Return plain values."
            channel.send(*self._error(AnswerError(text), function))

    def _function(self, kind: str) -> str:
        return PREPARE if kind == "load" or self._script is None else self._script.process.name

    def _error(self, error: BaseException, function: str) -> tuple[Any, ...]:
        known = isinstance(error, InscoperError) and function == PREPARE
        return "error", pack_error(error if known else fault_of(error, self._name, function))

    def _load(self, spec: ScriptSpec) -> tuple[Any, ...]:
        self._spec = spec
        script = load_script(spec)
        script.warm_up()
        self._script = script
        threading.Thread(target=self._serve_provider, args=(script,), name="provider", daemon=True).start()
        return "ready", facts_of(script)

    def _process(self, images: list[tuple[dict[str, Any], Any]], start: CallState) -> tuple[Any, ...]:
        assert self._script is not None
        self._rest.send()
        self._commands.open = True
        try:
            given = [Image(metadata, pixels) for metadata, pixels in images]
            reply = run_process(self._script, given, self._commands, start)
        finally:
            self._commands.open = False
        return "reply", reply

    # -- the provider's thread

    def _serve_provider(self, script: Script) -> None:
        while True:
            try:
                _, metadata = self._provider.receive()
                self._deliver(self._provider, self._provide(script, metadata), script.provider.name)
            except (EOFError, OSError):
                return

    def _provide(self, script: Script, metadata: dict[str, Any]) -> tuple[Any, ...]:
        pixels = _LazyPixels(self._provider)
        try:
            with capture.captured_to(lambda level, text: self._provider.send("log", level, text)):
                return "answer", script.provide(Images([Image(metadata, pixels)]))
        except BaseException as error:  # noqa: BLE001  (the border to foreign code: the run raises it)
            return self._error(error, script.provider.name)
        finally:
            pixels.open = False


class _LazyPixels:
    """The pixels of a new image: most providers look at the metadata only, so they come when they are asked for."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.open = True

    def __call__(self) -> np.ndarray[Any, Any]:
        if not self.open:
            raise CommandRefused(
                "The image provider has returned: the pixels of its image can no longer be had."
            )
        self._channel.send("pixels")
        _, pixels = self._channel.receive()
        array: np.ndarray[Any, Any] = pixels
        return array


def _end_with_the_run() -> None:
    """Exit when the run's process is gone, even in the middle of a call: its end of our stdin closes with it."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a script that asks for input gets none, instead of waiting for ever
    os.close(nothing)

    def watch() -> None:
        while os.read(lifeline, 1024):
            pass
        if sys.platform != "win32" and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)  # with whatever the script has started
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def main(process_handle: int, provider_handle: int) -> None:
    """Serve one script until the run is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's business
    faulthandler.enable()
    _end_with_the_run()
    sys.setswitchinterval(_SWITCH_S)
    capture.install()
    try:
        _Worker(Channel(open_pipe(process_handle)), Channel(open_pipe(provider_handle))).serve()
    except (EOFError, OSError):
        return  # the run is gone
