"""The one stream that everything that happens in a run flows through, and the run's clock.

Each record is published here once; the journal, the status file, the progress bar and the report are subscribers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from inscoper_mm.records import Record

Subscriber = Callable[[float, Record], None]


class Clock:
    """The run's clock: seconds since the run began, monotonic (``time.perf_counter``).

    Parameters
    ----------
    speed : float
        By how much waiting for time points is shortened. What is cut out of a wait is added to the clock, which so
        tells the time of the experiment: all else, such as exposures, lasts as long as it does.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.start = time.perf_counter()
        self.speed = speed
        self._skipped_s = 0.0

    @property
    def name(self) -> str:
        """What the clock counts."""
        if self.speed == 1:
            return "time.perf_counter, seconds since the start of the run"
        return (
            "time of the experiment: time.perf_counter, seconds since the start of the run, and what --speed "
            f"{self.speed:g} has cut out of the waits"
        )

    def now(self) -> float:
        """Seconds since the start of the run."""
        return time.perf_counter() - self.start + self._skipped_s

    def wait(self, seconds: float, sleep: Callable[[float], object], longest_s: float, hurry: bool) -> None:
        """Let up to ``seconds`` of the clock pass, but sleep no longer than ``longest_s``.

        Parameters
        ----------
        seconds : float
        sleep : callable
            Sleeps for so many real seconds, or less.
        longest_s : float
            Of the real seconds.
        hurry : bool
            Whether the wait may be shortened. Only one thread may ask for that.
        """
        speed = self.speed if hurry else 1.0
        real_s = min(seconds / speed, longest_s)
        sleep(real_s)
        self._skipped_s += real_s * (speed - 1.0)


class Stream:
    """Publishes records to subscribers, in order, from any thread.

    Parameters
    ----------
    clock : Clock
        Stamps every record.

    Notes
    -----
    Subscribers run in the publishing thread, one record at a time: they must be quick and must not publish.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._subscribers: list[Subscriber] = []
        self._lock = threading.Lock()
        self._held: list[tuple[float, Record]] = []
        self._holder: int | None = None

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(elapsed_s, record)`` for every record from now on."""
        with self._lock:
            self._subscribers.append(subscriber)

    def publish(self, record: Record) -> None:
        """Hand ``record`` to every subscriber; one of a thread that holds its records waits for ``release``."""
        if self._holder == threading.get_ident():
            self._held.append((self.clock.now(), record))
            return
        with self._lock:
            self._tell(self.clock.now(), record)

    def hold(self) -> None:
        """Keep what this thread publishes until ``release``: the loop has no time for it just now.

        Only one thread at a time may hold.
        """
        self._holder = threading.get_ident()

    def release(self) -> None:
        """Hand on what was held, with the times at which it was published."""
        self._holder = None
        if self._held:
            with self._lock:
                held, self._held = self._held, []
                for elapsed_s, record in held:
                    self._tell(elapsed_s, record)

    def _tell(self, elapsed_s: float, record: Record) -> None:
        for subscriber in self._subscribers:
            subscriber(elapsed_s, record)
