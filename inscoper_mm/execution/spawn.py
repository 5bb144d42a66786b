"""Starting and killing a worker process, on POSIX and on Windows.

The worker is started by its module's name, never by running the caller's main module again: a run works from a script
without ``if __name__ == "__main__"``, from a notebook and from a console alike.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any

from inscoper_mm.execution.channel import Channel

_TAIL_LINES = 60
_KILL_WAIT_S = 5.0
# A process that the script has left behind may hold the stream open, and its end never comes.
_LAST_WORDS_S = 1.0
# Read by the libraries when they are imported. One core stays free for the camera.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)


class WorkerProcess:
    """A running worker with its two conversations.

    Parameters
    ----------
    on_output : callable
        Takes each line that the process writes past Python's own streams, in a thread of its own.

    Notes
    -----
    ``killed_why`` is for whoever kills it, so that another who notices its end can tell why.
    """

    def __init__(self, on_output: Callable[[str], None]) -> None:
        ours, theirs = zip(Pipe(), Pipe(), strict=True)
        try:
            self._popen = _start([pipe.fileno() for pipe in theirs])
        except BaseException:
            for pipe in ours:
                pipe.close()
            raise
        finally:
            for pipe in theirs:
                pipe.close()
        self.process = Channel(ours[0])
        self.provider = Channel(ours[1])
        self.killed_why: str | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._on_output = on_output
        assert self._popen.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._popen.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return self._popen.poll() is None

    def wait(self, limit_s: float) -> bool:
        """Whether the process ended within ``limit_s``."""
        try:
            self._popen.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the process and those that it has started, and wait for it (some seconds at most)."""
        if self.running:
            _kill(self._popen)
            self.wait(_KILL_WAIT_S)

    def release(self) -> None:
        """Free the conversations; after the process has ended."""
        self.process.close()
        self.provider.close()
        if self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()
        # A process that the script has left behind may hold the stream open.
        self._reader.join(0.2)

    def epitaph(self) -> str:
        """How it ended, in words."""
        code = self._popen.poll()
        if code is None:
            return "its process cannot be reached"
        if code < 0:
            with contextlib.suppress(ValueError):
                name = signal.Signals(-code).name
                hint = " (out of memory?)" if name == "SIGKILL" else ""
                return f"its process was ended by {name}{hint}"
        shown = f"{code & 0xFFFFFFFF:#010x}" if code > 0xFFFF or code < 0 else str(code)
        return f"its process ended by itself, exit status {shown}"

    def last_words(self) -> str:
        """The last lines that it wrote past Python's streams, such as the place of a crash."""
        if not self.running:
            # What it wrote may still be in the pipe, and come later than the news of its end.
            self._reader.join(_LAST_WORDS_S)
        return "\n".join(self._tail)

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                text = line.decode(errors="replace").rstrip()
                self._tail.append(text)
                if text:
                    self._on_output(text)


def _start(handles: list[int]) -> subprocess.Popen[bytes]:
    """The worker's process. Its stdin stays open as long as this process lives: that is how it knows."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from inscoper_mm.execution.worker_main import main\n"
        f"main({handles[0]}, {handles[1]})"
    )
    options: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "env": _environment(),
    }
    return subprocess.Popen([sys.executable, "-c", code], **options, **_inheritance(handles))


if sys.platform == "win32":

    def _inheritance(handles: list[int]) -> dict[str, Any]:
        for handle in handles:
            os.set_handle_inheritable(handle, True)
        info = subprocess.STARTUPINFO(lpAttributeList={"handle_list": handles})
        # No console of its own in front of the user, and no Ctrl-C of ours.
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        return {"startupinfo": info, "creationflags": flags}

    def _kill(popen: subprocess.Popen[bytes]) -> None:
        # The launcher of a virtual environment ends its interpreter with it.
        with contextlib.suppress(OSError):
            popen.kill()

else:

    def _inheritance(handles: list[int]) -> dict[str, Any]:
        # A group of its own: Ctrl-C in the terminal does not reach it, and it can be killed with its children.
        return {"pass_fds": tuple(handles), "process_group": 0}

    def _kill(popen: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError):
            os.killpg(popen.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            popen.kill()


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    for variable in _THREAD_VARIABLES:
        environment.setdefault(variable, str(max(1, _cores() - 1)))
    return environment


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_pipe(handle: int) -> Connection:
    """The worker's end of a conversation, from the number that it was given."""
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        return PipeConnection(handle)
    os.set_inheritable(handle, False)  # the script's own child processes must not hold it open
    return Connection(handle)
