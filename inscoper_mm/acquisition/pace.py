"""When the time points of a plan are due, also when one is late or the interval is changed."""

from __future__ import annotations

from dataclasses import dataclass, field

# A time point that begins this much after its due time is late; below, it is the computer's own jitter.
_LATE_S = 0.01


@dataclass(slots=True)
class Pace:
    """Due times under ``late: shift``: a late time point shifts all that follow, so that intervals never shrink.

    Parameters
    ----------
    times_s : list of float
        When each time point is due, in seconds since the plan's begin; empty without a time plan.
    """

    times_s: list[float] = field(default_factory=list)
    begin_s: float = 0.0
    shift_s: float = 0.0
    last_time: int = -1
    _series_s: list[float] | None = None

    def due_at(self, time: int) -> float | None:
        """The run-clock time at which time point ``time`` is due; None without a time plan."""
        return self.begin_s + self.times_s[time] + self.shift_s if self.times_s else None

    def started(self, time: int, now_s: float) -> float:
        """Note that an event of time point ``time`` starts; returns how late the point is (0 for its later events)."""
        due_s = self.due_at(time)
        if due_s is None or time == self.last_time:
            return 0.0
        if time < self.last_time:  # positions outside time: the next position's series begins
            self.times_s = list(self._series_s or self.times_s)
            self.begin_s, self.shift_s, self.last_time = now_s - self.times_s[time], 0.0, time
            return 0.0
        last, self.last_time = self.last_time, time
        late_s = now_s - due_s
        # As fast as possible (an interval of 0) is never late.
        if late_s <= _LATE_S or (last >= 0 and self.times_s[time] == self.times_s[last]):
            return 0.0
        self.shift_s += late_s
        return late_s

    def set_interval(self, interval_s: float) -> None:
        """Let the time points after the last one follow each other every ``interval_s``; later series, too."""
        first = self.times_s[0]
        self._series_s = [first + time * interval_s for time in range(len(self.times_s))]
        # Before the first time point there is nothing to count from but the first itself.
        last = max(self.last_time, 0)
        base_s = self.times_s[last]
        for time in range(last + 1, len(self.times_s)):
            self.times_s[time] = base_s + (time - last) * interval_s
