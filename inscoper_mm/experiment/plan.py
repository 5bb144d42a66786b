"""From the experiment to the planned events, one for each image.

A plan is a lazy sequence: it keeps four small integers for each image and makes the event when it is asked
for, so that a plan of a million images takes 16 MB and no time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.experiment.sites import Site, sites_of
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.images.index import Index, Sizes

if TYPE_CHECKING:
    import useq

    from inscoper_mm.experiment.model import Experiment

StackKey = tuple[int, int, int]
Rows = npt.NDArray[np.int32]
_COLUMNS = "tpcz"


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """One image of the plan.

    Parameters
    ----------
    id : str
        Stable name of the event, ``e000001`` for the first.
    index, sizes : Index, Sizes
        As the script sees them: focus counts within the image's own stack.
    x_um, y_um, z_um : float or None
        Where the plan wants the devices; None without such a device, or while the start is not known.
    position_name : str
    channel_group, channel : str or None
    exposure_ms : float or None
        None: the exposure that the camera has.
    due_s : float or None
        Earliest start, in seconds since the start of the run; None without a time plan.
    stack_end : bool
        Whether this is the last image of its stack (always, for an image without a stack).
    stack_key : (time, position, channel)
        Names the stack.
    home_um : float or None
        The focus of the position, without what the stack and the channel add.
    belongs_to : (time, position), optional
        For an added image: the planned one whose corrections it carries.
    added_by : str, optional
        The script that added it.
    label : str, optional
        What that script calls it.
    objective : str, optional
        For an added image: the objective to take it with, None for the plan's.
    """

    id: str
    index: Index
    sizes: Sizes
    x_um: float | None
    y_um: float | None
    z_um: float | None
    position_name: str
    channel_group: str | None
    channel: str | None
    exposure_ms: float | None
    due_s: float | None
    stack_end: bool
    stack_key: StackKey
    home_um: float | None = None
    belongs_to: tuple[int, int] | None = None
    added_by: str | None = None
    label: str | None = None
    objective: str | None = None

    @property
    def corrected_as(self) -> tuple[int, int]:
        """(time, position) whose corrections the event carries."""
        return self.belongs_to or (self.index.time, self.index.position)

    @property
    def planned(self) -> StagePosition:
        """The planned position as one value."""
        return StagePosition(self.x_um, self.y_um, self.z_um)


@dataclass(frozen=True, slots=True)
class PlannedChannel:
    """A channel of the plan; ``name`` is None where the plan has no channels."""

    group: str | None = None
    name: str | None = None
    exposure_ms: float | None = None
    z_offset_um: float = 0.0
    do_stack: bool = True
    acquire_every: int = 1


class Plan(Sequence[PlannedEvent]):
    """The planned events in acquisition order.

    Attributes
    ----------
    times_s : tuple of float
        When each time point is due; empty without a time plan.
    sites : tuple of Site
        The fields of view.
    channels : tuple of PlannedChannel
        At least one.
    offsets_um : tuple of float
        The focus positions of a stack, in the order in which they are visited; ``(0.0,)`` without a z plan.
    absolute_z : bool
        Whether ``offsets_um`` are positions of the focus drive rather than offsets from the site's.
    start : StagePosition
        What positions without coordinates take.
    """

    def __init__(self, acquisition: useq.MDASequence, start: StagePosition | None = None) -> None:
        self.start = start or StagePosition()
        self.times_s = tuple(float(time_s) for time_s in acquisition.time_plan or ())
        self.sites: tuple[Site, ...] = sites_of(acquisition)
        self.channels = tuple(_channel(channel) for channel in acquisition.channels) or (PlannedChannel(),)
        self.offsets_um = tuple(float(z_um) for z_um in acquisition.z_plan or ()) or (0.0,)
        self.has_z_plan = acquisition.z_plan is not None
        self.absolute_z = acquisition.z_plan is not None and not acquisition.z_plan.is_relative
        self._rows = self._make_rows(acquisition.axis_order)

    @property
    def sizes(self) -> Sizes:
        """The largest sizes of the plan."""
        stack = max(self._stack_size(channel) for channel in self.channels)
        return Sizes(len(self.times_s) or 1, len(self.sites), len(self.channels), stack)

    @property
    def needs_focus(self) -> bool:
        """Whether the plan sets the focus drive."""
        offsets = any(channel.z_offset_um for channel in self.channels)
        return self.has_z_plan or offsets or any(site.z_um is not None for site in self.sites)

    @property
    def needs_stage(self) -> bool:
        """Whether the plan sets the XY stage."""
        return any(site.moves_stage for site in self.sites)

    @property
    def sites_without_z(self) -> tuple[Site, ...]:
        """The sites that take the focus read when the run starts."""
        return () if self.absolute_z else tuple(site for site in self.sites if site.z_um is None)

    def event(self, event_id: str) -> PlannedEvent:
        """The event of that id; KeyError if there is none."""
        number = int(event_id[1:]) if event_id[:1] == "e" and event_id[1:].isdecimal() else 0
        if not 1 <= number <= len(self):
            raise KeyError(event_id)
        return self[number - 1]

    @property
    def rows(self) -> Rows:
        """(event, 4): time, position, channel and slice of the z plan of each event; not to be changed."""
        return self._rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, number: int) -> PlannedEvent: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[PlannedEvent, ...]: ...
    def __getitem__(self, number: int | slice) -> PlannedEvent | tuple[PlannedEvent, ...]:
        if isinstance(number, slice):
            return tuple(self._make(each) for each in range(*number.indices(len(self))))
        return self._make(range(len(self))[number])

    def __iter__(self) -> Iterator[PlannedEvent]:
        return map(self._make, range(len(self)))

    def z_um(self, site: Site, channel: PlannedChannel, slot: int) -> float | None:
        """The focus position of the stack's slice ``slot``; None without focus drive or known start."""
        base = 0.0 if self.absolute_z else site.at(self.start).z_um
        return None if base is None else base + self.offsets_um[slot] + channel.z_offset_um

    def slots(self, channel: PlannedChannel) -> tuple[int, ...]:
        """The slices of the z plan that ``channel`` takes: all, or the middle one."""
        count = len(self.offsets_um)
        return tuple(range(count)) if channel.do_stack else (count // 2,)

    def places_um(self) -> npt.NDArray[np.float64]:
        """Where each event is taken: (events, 3) in x, y, z; NaN where the plan sets nothing."""
        sites = [site.at(self.start) for site in self.sites]
        stage = np.array([[_nan(place.x_um), _nan(place.y_um)] for place in sites])
        slots = range(len(self.offsets_um))
        focus = np.array(
            [
                [[_nan(self.z_um(site, channel, slot)) for slot in slots] for channel in self.channels]
                for site in self.sites
            ]
        )
        _, position, channel, slot = self._rows.T
        return np.column_stack([stage[position], focus[position, channel, slot]])

    def first_at_each_place(self) -> npt.NDArray[np.intp]:
        """The numbers of the events that are the first at their place, with one place for each stage position."""
        rows = np.column_stack([self._rows[:, 1], np.nan_to_num(self.places_um(), nan=np.inf)])
        return np.sort(np.unique(rows, axis=0, return_index=True)[1])

    def earliest_s(self) -> npt.NDArray[np.float64]:
        """When each event can begin at the earliest, by the due times and the exposures before it."""
        time, _, channel, _ = self._rows.T
        exposures_s = np.array([(each.exposure_ms or 0.0) / 1e3 for each in self.channels])[channel]
        before_s = np.concatenate(([0.0], np.cumsum(exposures_s)[:-1]))
        due_s = np.array(self.times_s)[time] if self.times_s else np.zeros(len(time))
        return np.asarray(before_s + np.maximum.accumulate(due_s - before_s))

    def _stack_size(self, channel: PlannedChannel) -> int:
        return len(self.offsets_um) if channel.do_stack else 1

    def _make(self, number: int) -> PlannedEvent:
        time, position, channel_number, slot = self._rows[number].tolist()
        site, channel = self.sites[position], self.channels[channel_number]
        stack = self._stack_size(channel)
        focus = slot if channel.do_stack else 0
        place = site.at(self.start)
        return PlannedEvent(
            id=f"e{number + 1:06d}",
            index=Index(time, position, channel_number, focus),
            sizes=Sizes(len(self.times_s) or 1, len(self.sites), len(self.channels), stack),
            x_um=place.x_um,
            y_um=place.y_um,
            z_um=self.z_um(site, channel, slot),
            position_name=site.name,
            channel_group=channel.group,
            channel=channel.name,
            exposure_ms=channel.exposure_ms,
            due_s=self.times_s[time] if self.times_s else None,
            stack_end=focus == stack - 1,
            stack_key=(time, position, channel_number),
            home_um=None if self.absolute_z else place.z_um,
        )

    def _make_rows(self, axis_order: Sequence[str]) -> Rows:
        counts = {
            "t": len(self.times_s) or 1,
            "p": len(self.sites),
            "c": len(self.channels),
            "z": len(self.offsets_um),
        }
        order = _flat_order(axis_order)
        axes = np.indices([counts[axis] for axis in order], dtype=np.int32).reshape(len(order), -1)
        rows = np.stack([axes[order.index(axis)] for axis in _COLUMNS], axis=1)
        every = np.array([channel.acquire_every for channel in self.channels])
        stacks = np.array([channel.do_stack for channel in self.channels])
        time, channel, slot = rows[:, 0], rows[:, 2], rows[:, 3]
        wanted = (time % every[channel] == 0) & (stacks[channel] | (slot == counts["z"] // 2))
        return np.ascontiguousarray(rows[wanted])


def make_plan(experiment: Experiment, start: StagePosition | None = None) -> Plan:
    """The plan of ``experiment``, with what its positions leave out taken from ``start``.

    Parameters
    ----------
    experiment : Experiment
    start : StagePosition, optional
        Stage and focus as read when the run starts, None for a device that is not there. Left out: not known
        yet; such coordinates are None and nothing is checked.

    Raises
    ------
    InvalidInput
        The plan moves a device that is not there.
    """
    plan = Plan(experiment.acquisition, start)
    if start is not None:
        file = str(experiment.source) if experiment.source else None
        findings = list(_missing_devices(plan, start, file))
        if findings:
            raise InvalidInput(findings)
    return plan


def _missing_devices(plan: Plan, start: StagePosition, file: str | None) -> Iterator[Finding]:
    if plan.needs_focus and start.z_um is None:
        field = "acquisition.z_plan" if plan.has_z_plan else "acquisition"
        yield Finding("the plan sets the focus, but there is no focus drive.", file=file, field=field)
    if plan.needs_stage and (start.x_um is None or start.y_um is None):
        yield Finding(
            "the plan moves the stage, but there is no XY stage.",
            file=file,
            field="acquisition.stage_positions",
        )


def _channel(channel: useq.Channel) -> PlannedChannel:
    return PlannedChannel(
        channel.group,
        channel.config,
        channel.exposure,
        channel.z_offset,
        channel.do_stack,
        channel.acquire_every,
    )


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def _flat_order(axis_order: Sequence[str]) -> str:
    """``axis_order`` with the grid's axis taken up by the positions, and with the axes that it leaves out."""
    letters = "".join(axis_order)
    flat = letters.replace("g", "") if "p" in letters else letters.replace("g", "p")
    return flat + "".join(axis for axis in _COLUMNS if axis not in flat)
