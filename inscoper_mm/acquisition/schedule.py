"""What is to be acquired next: the plan, what scripts have added to it, and without what they have taken out."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inscoper_mm.acquisition.added import MOST_IMAGES_PER_RUN, AddedImages, events_of
from inscoper_mm.acquisition.pace import Pace
from inscoper_mm.errors import CommandRefused
from inscoper_mm.experiment.plan import Plan, PlannedChannel, PlannedEvent, Rows
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.images.index import Index, Sizes

OnSkip = Callable[[PlannedEvent, str, str | None], None]


@dataclass(frozen=True, slots=True)
class SkipRule:
    """What a script has taken out of the plan; None counts for all.

    ``until_s``: only events that are due before, on the run's clock.
    """

    script: str
    position: int | None = None
    channel: int | None = None
    until_s: float | None = None

    @property
    def reason(self) -> str:
        """For the record of each skipped event."""
        until = "" if self.until_s is None else f" until {self.until_s:g} s"
        return f"skipped by {self.script}{until}"

    def takes_out(self, event: PlannedEvent, at_s: float) -> bool:
        """Whether an event that would start at ``at_s`` is skipped."""
        return (
            (self.position is None or event.index.position == self.position)
            and (self.channel is None or event.index.channel == self.channel)
            and (self.until_s is None or at_s < self.until_s)
        )

    def among(self, rows: Rows, dues_s: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """The same for many events at once: rows of a plan, and when each time point is due."""
        out = np.ones(len(rows), bool)
        for column, wanted in ((1, self.position), (2, self.channel)):
            if wanted is not None:
                out &= rows[:, column] == wanted
        if self.until_s is not None:
            out &= dues_s[rows[:, 0]] < self.until_s
        return out


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The event that is next, and when it is due on the run's clock (None: now)."""

    event: PlannedEvent
    due_s: float | None


@dataclass(frozen=True, slots=True, order=True)
class _Group:
    """The images of one time point of a request; the heap has those due first at its top, then the higher rank."""

    due_s: float
    rank: int
    number: int
    events: deque[PlannedEvent]
    label: str | None


class Schedule:
    """The live plan of a run. Thread-safe: scripts change it while the loop takes from it.

    Planned events come in the plan's order. Added images come at the next border between stacks: those that are due
    before the plan, unless their priority is below 0, which lets them wait until the plan has nothing to do.

    Parameters
    ----------
    plan : Plan
    on_skip : callable
        Gets each event that a script has taken out, when its turn would have come: event, reason, script.
    """

    def __init__(self, plan: Plan, on_skip: OnSkip = lambda event, reason, script: None) -> None:
        self.pace = Pace(list(plan.times_s))
        self._plan = plan
        self._on_skip = on_skip
        self._lock = threading.RLock()
        self._cursor = 0
        self._head: PlannedEvent | None = None
        self._in_stack: tuple[int, int] | None = None
        self._open: set[object] = set()
        self._rules: list[SkipRule] = []
        self._added: list[_Group] = []
        self._going: deque[PlannedEvent] = deque()
        self._sizes: dict[int, Sizes] = {}
        self._images_added = 0
        self._requests = 0
        self.version = 0
        self.begun_s = 0.0

    def __len__(self) -> int:
        return len(self._plan)

    # -- the loop's side

    def begin(self, now_s: float) -> None:
        """The run begins now: time points count from here."""
        self.begun_s = self.pace.begin_s = now_s

    def next(self, now_s: float) -> Upcoming | None:
        """What comes next, if nothing changes until it is due; None where nothing is left."""
        with self._lock:
            if self._going:
                return Upcoming(self._going[0], None)
            planned = self._planned_head(now_s)
            if planned is not None and self._in_stack and planned.event.stack_key[:2] == self._in_stack:
                return planned  # a stack is not interrupted, nor those of other channels that are interleaved with it
            return self._choose(planned, now_s)

    def _choose(self, planned: Upcoming | None, now_s: float) -> Upcoming | None:
        if self._added and self._added[0].due_s <= now_s:
            ready = [group for group in self._added if group.due_s <= now_s]
            first = min(ready, key=lambda group: (group.rank, group.due_s, group.number))
            if first.rank <= 0 or planned is None or (planned.due_s or 0.0) > now_s:
                return Upcoming(first.events[0], first.due_s)
        if planned is None or (planned.due_s or 0.0) <= now_s or not self._added:
            return planned or (
                Upcoming(self._added[0].events[0], self._added[0].due_s) if self._added else None
            )
        first = self._added[0]
        return Upcoming(first.events[0], first.due_s) if first.due_s < (planned.due_s or 0.0) else planned

    def take(self, event: PlannedEvent) -> bool:
        """Acquire ``event``, which ``next`` has named; False if a script has changed that meanwhile: ask again."""
        with self._lock:
            if self._going:
                if self._going[0] is not event:
                    return False
                self._going.popleft()
                return True
            if event is self._head:
                self._cursor, self._head = self._cursor + 1, None
                self._note_stack(event)
                return True
            group = next((group for group in self._added if group.events[0] is event), None)
            if group is None:
                return False
            self._added.remove(group)
            heapq.heapify(self._added)
            group.events.popleft()
            self._going = group.events
            return True

    def _note_stack(self, event: PlannedEvent) -> None:
        """Remember which stacks of the present place and time have begun and not ended."""
        if self._in_stack != event.stack_key[:2]:
            self._open.clear()
        if event.stack_end:
            self._open.discard(event.stack_key)
        else:
            self._open.add(event.stack_key)
        self._in_stack = event.stack_key[:2] if self._open else None

    def rest(self) -> list[PlannedEvent]:
        """Everything that was not taken: the run is over."""
        with self._lock:
            going, added = list(self._going), [event for group in self._added for event in group.events]
            planned = list(self._plan[self._cursor :])
            self._going, self._added, self._cursor, self._head = deque(), [], len(self._plan), None
            return [*going, *planned, *added]

    def _planned_head(self, now_s: float) -> Upcoming | None:
        while self._cursor < len(self._plan):
            event = self._head or self._plan[self._cursor]
            due_s = self.pace.due_at(event.index.time)
            rule = self._rule_against(event, max(now_s, due_s or 0.0))
            if rule is None:
                self._head = event
                return Upcoming(event, due_s)
            self._head = None
            self._cursor += 1
            self._note_stack(event)
            self._on_skip(event, rule.reason, rule.script)
        return None

    def _rule_against(self, event: PlannedEvent, at_s: float) -> SkipRule | None:
        return next((rule for rule in self._rules if rule.takes_out(event, at_s)), None)

    # -- the scripts' side

    def add(self, request: AddedImages, due_s: float) -> tuple[PlannedEvent, ...]:
        """Add images, the first at ``due_s`` on the run's clock; returns their events.

        Raises
        ------
        CommandRefused
            If the run would get more images than any experiment needs.
        """
        with self._lock:
            if self._images_added + request.count > MOST_IMAGES_PER_RUN:
                raise CommandRefused(
                    f"acquire: {self._images_added} images were added to this run already. Allowed: "
                    f"{MOST_IMAGES_PER_RUN}. A script that answers each added image with another one never ends."
                )
            position = len(self._plan.sites) + self._requests
            groups = list(events_of(request, position, self._images_added + 1))
            for time, events in enumerate(groups):
                self._requests += time == 0
                due = due_s + time * request.interval_s
                # Time points of one request keep their order, whatever their number.
                number = self._images_added + time
                group = _Group(due, -request.priority, number, deque(events), request.label)
                heapq.heappush(self._added, group)
            self._images_added += request.count
            self._sizes[position] = groups[0][0].sizes
            self.version += 1
            return tuple(event for events in groups for event in events)

    def skip(self, rule: SkipRule, now_s: float) -> int:
        """Take events out of the rest of the plan; returns how many these are as the plan stands."""
        with self._lock:
            rows = self._plan.rows[self._cursor :]
            dues = [max(now_s, self.pace.due_at(time) or 0.0) for time in range(self._plan.sizes.time)]
            out = rule.among(rows, np.array(dues))
            for earlier in self._rules:
                out &= ~earlier.among(rows, np.array(dues))
            count = int(out.sum())
            if count:
                self._rules = [old for old in self._rules if old.until_s is None or old.until_s > now_s]
                self._rules.append(rule)
                self._head = None
                self.version += 1
            return count

    def withdraw(self, label: str) -> list[PlannedEvent]:
        """Take out the added images called ``label`` that were not begun; returns their events."""
        with self._lock:
            out = [group for group in self._added if group.label == label]
            self._added = [group for group in self._added if group.label != label]
            heapq.heapify(self._added)
            self.version += 1
            return [event for group in out for event in group.events]

    def set_interval(self, interval_s: float) -> int:
        """Change the time between the time points still to come; returns how many these are."""
        with self._lock:
            times = self._plan.rows[self._cursor :, 0]
            before = np.concatenate([[self.pace.last_time], times[:-1]])
            count = int(np.count_nonzero(times != before))
            if count:
                self.pace.set_interval(interval_s)
                self.version += 1
            return count

    @property
    def channels(self) -> tuple[PlannedChannel, ...]:
        """The plan's channels."""
        return self._plan.channels

    def site(self, number: int) -> StagePosition:
        """Where the plan's position ``number`` is, before corrections."""
        return self._plan.sites[number].at(self._plan.start)

    @property
    def labels(self) -> list[str]:
        """What waiting added images are called."""
        with self._lock:
            return sorted({group.label for group in self._added if group.label})

    def sizes_at(self, index: Index) -> Sizes:
        """The sizes that hold for the image at ``index``: each channel has a stack of its own, each request, too."""
        added = self._sizes.get(index.position)
        if added is not None:
            return added
        plan, sizes = self._plan, self._plan.sizes
        if not 0 <= index.channel < sizes.channel:
            return sizes
        return Sizes(sizes.time, sizes.position, sizes.channel, len(plan.slots(plan.channels[index.channel])))
