"""Images that a script adds to the plan: from what it asks for to events with indices of their own.

Each request gets a ``position`` index that no other image has; time, channel and focus count within the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inscoper_mm.experiment.plan import PlannedEvent
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.images.index import Index, Sizes

# More than this is a mistake in a script rather than an experiment.
MOST_IMAGES_PER_REQUEST = 10_000
MOST_IMAGES_PER_RUN = 1_000_000


@dataclass(frozen=True, slots=True)
class AddedChannel:
    """A channel of a request; all None: what the microscope shows anyway."""

    group: str | None = None
    name: str | None = None
    exposure_ms: float | None = None
    z_offset_um: float = 0.0


@dataclass(frozen=True, slots=True)
class AddedImages:
    """What a script wants to see besides the plan.

    Parameters
    ----------
    script : str
    place : StagePosition
        Before corrections: those of ``belongs_to`` are added when the images are taken.
    belongs_to : (time, position)
        The planned image whose corrections hold here.
    channels : tuple of AddedChannel
    offsets_um : tuple of float
        The slices of a stack, from ``place``; ``(0.0,)`` without a stack.
    times : int
    interval_s : float
        Between the time points.
    objective : str or None
        None: the plan's.
    priority : int
        Higher first. From 0 on, images that are due go before the plan; below 0, they wait until the plan has nothing
        to do.
    label : str or None
    """

    script: str
    place: StagePosition
    belongs_to: tuple[int, int]
    channels: tuple[AddedChannel, ...]
    offsets_um: tuple[float, ...] = (0.0,)
    times: int = 1
    interval_s: float = 0.0
    objective: str | None = None
    priority: int = 0
    label: str | None = None

    @property
    def count(self) -> int:
        """How many images these are."""
        return self.times * len(self.channels) * len(self.offsets_um)


def events_of(request: AddedImages, position: int, first_number: int) -> Iterator[tuple[PlannedEvent, ...]]:
    """The events of ``request``, for each time point those of all channels and slices.

    Parameters
    ----------
    request : AddedImages
    position : int
        The position index that the request gets.
    first_number : int
        The number of its first image among all added ones, for the ids.
    """
    stack = len(request.offsets_um)
    sizes = Sizes(request.times, position + 1, len(request.channels), stack)
    name = request.label or f"added {position}"
    number = first_number
    for time in range(request.times):
        events = []
        for channel_number, channel in enumerate(request.channels):
            home = None if request.place.z_um is None else request.place.z_um + channel.z_offset_um
            for slice_number, offset_um in enumerate(request.offsets_um):
                events.append(
                    PlannedEvent(
                        id=f"a{number:06d}",
                        index=Index(time, position, channel_number, slice_number),
                        sizes=sizes,
                        x_um=request.place.x_um,
                        y_um=request.place.y_um,
                        z_um=None if home is None else home + offset_um,
                        position_name=name,
                        channel_group=channel.group,
                        channel=channel.name,
                        exposure_ms=channel.exposure_ms,
                        due_s=None,
                        stack_end=slice_number == stack - 1,
                        stack_key=(time, position, channel_number),
                        home_um=request.place.z_um,
                        belongs_to=request.belongs_to,
                        added_by=request.script,
                        label=request.label,
                        objective=request.objective,
                    )
                )
                number += 1
        yield tuple(events)
