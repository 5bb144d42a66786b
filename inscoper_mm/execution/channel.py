"""One conversation between the run and a worker: messages in both directions, large arrays in shared memory."""

from __future__ import annotations

import pickle
import threading
from typing import Any, Protocol

from inscoper_mm.execution.shared import Inbox, Outbox

Message = tuple[Any, ...]


class Pipe(Protocol):
    """What is needed of a ``multiprocessing.connection.Connection``."""

    def send_bytes(self, data: bytes, /) -> None:
        """Send one block of bytes."""

    def recv_bytes(self) -> bytes:
        """Receive one block of bytes."""
        ...

    def poll(self, timeout: float | None = ..., /) -> bool:
        """Whether something can be received."""
        ...

    def close(self) -> None:
        """Close this end."""


class Channel:
    """One end of a conversation. Any thread may send; one at a time receives."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._outbox = Outbox()
        self._inbox = Inbox()
        self._sending = threading.Lock()
        self._closed = False

    def send(self, *message: Any) -> None:
        """Send ``message``.

        Raises
        ------
        OSError
            The other end is gone.
        Exception
            Whatever pickling a foreign object raises; nothing was sent then.
        """
        with self._sending:
            if self._closed:
                raise OSError("the conversation is closed")
            packed = self._outbox.pack(message)
            self._pipe.send_bytes(pickle.dumps((packed, self._inbox.done()), protocol=5))

    def wait(self, limit_s: float) -> bool:
        """Whether a message, or the end of the conversation, comes within ``limit_s``."""
        return self._pipe.poll(limit_s)

    def receive(self) -> Message:
        """The next message; waits for it.

        Raises
        ------
        EOFError, OSError
            The other end is gone.
        """
        packed, done = pickle.loads(self._pipe.recv_bytes())
        with self._sending:
            self._outbox.take_back(done)
        message: Message = self._inbox.unpack(*packed)
        return message

    def close(self) -> None:
        """End the conversation and free its shared memory."""
        self._pipe.close()
        with self._sending:
            self._closed = True
            self._outbox.close()
