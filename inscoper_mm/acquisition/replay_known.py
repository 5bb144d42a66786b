"""What is known of the microscope in a replay: what the recorded experiment and the images say, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from inscoper_mm.acquisition.corrections import Corrections, corrections_of
from inscoper_mm.acquisition.resources import resources_of
from inscoper_mm.errors import InvalidInput, StorageError, short_path
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import make_plan
from inscoper_mm.images.index import Index
from inscoper_mm.images.recording import Recording
from inscoper_mm.microscope.cfg import find_config, read_config
from inscoper_mm.microscope.inventory_cfg import config_inventory
from inscoper_mm.microscope.limits import Axis, Limits, Range
from inscoper_mm.microscope.sub_devices import Inventory
from inscoper_mm.scripting.spec import Resources

NO_MICROSCOPE = "a replay has no microscope, and the recording does not say"


@dataclass(frozen=True, slots=True)
class Bench:
    """What the microscope's configuration file says; of data without an experiment, nothing.

    ``channels`` are the presets of the channel group; None: not known.
    """

    channels: tuple[str, ...] | None = None
    inventory: Inventory | None = None
    resources: Resources = field(default_factory=Resources)


def bench_of(experiment: Experiment | None) -> Bench:
    """What is known before a device is asked. A configuration that is not on this computer tells nothing."""
    if experiment is None:
        return Bench()
    try:
        config = read_config(find_config(experiment.microscope)[0])
    except InvalidInput:
        return Bench()
    group = config.roles.get("ChannelGroup", "")
    inventory = config_inventory(config).with_aliases(experiment.aliases)
    return Bench(
        tuple(config.groups.get(group, ())), inventory, resources_of(config.groups, group, inventory)
    )


class Known:
    """What commands of a replay are held against.

    Parameters
    ----------
    recording : Recording
    experiment : Experiment or None
        The recorded one.
    added : set of Index
        The images that scripts had added.
    """

    def __init__(
        self,
        recording: Recording,
        experiment: Experiment | None = None,
        added: frozenset[Index] = frozenset(),
        bench: Bench | None = None,
    ) -> None:
        self._recording = recording
        self.experiment = experiment
        self.bench = bench or Bench()
        self._added = added
        self.limits = _limits(experiment)
        self.corrections = corrections_of(experiment) if experiment else Corrections()
        self.requests = 0
        self.images_added = 0

    @property
    def aliases(self) -> Mapping[str, str]:
        """The lab's names of sub-devices."""
        return self.experiment.aliases if self.experiment else {}

    @cached_property
    def planned(self) -> Sequence[Index]:
        """The recorded images that no script had added, in order."""
        return [index for index in self._recording.order if index not in self._added]

    @cached_property
    def position_names(self) -> Mapping[str, int]:
        """The stage positions by name."""
        if self.experiment is not None:
            return {site.name: at for at, site in enumerate(make_plan(self.experiment).sites)}
        first = {index.position: index for index in reversed(self.planned)}
        named = {at: self._said(index)[1] for at, index in sorted(first.items())}
        return {name: at for at, name in named.items() if name is not None}

    @cached_property
    def positions(self) -> int:
        """How many stage positions the plan has."""
        if self.experiment is not None:
            return len(make_plan(self.experiment).sites)
        return max((index.position for index in self.planned), default=-1) + 1

    @cached_property
    def image_channels(self) -> tuple[str | None, ...]:
        """The names of the channels of the images, by channel index."""
        first = {index.channel: index for index in reversed(self.planned)}
        return tuple(
            self._said(first[at])[0] if at in first else None for at in range(max(first, default=-1) + 1)
        )

    @property
    def channels(self) -> tuple[str, ...] | None:
        """The presets of the channel group; of foreign data, the channels that were recorded; None: not known."""
        if self.bench.channels is not None:
            return self.bench.channels
        names = tuple(dict.fromkeys(name for name in self.image_channels if name is not None))
        return names or None

    def _said(self, index: Index) -> tuple[str | None, str | None]:
        """Channel and position name of an image."""
        try:
            info = self._recording.read(index).info
        except StorageError:
            return None, None
        return info.channel_name, info.position_name


def _limits(experiment: Experiment | None) -> Limits:
    """The fixed ranges of the experiment; what the devices themselves report is not recorded."""
    if experiment is None:
        return Limits()
    source = short_path(experiment.source) if experiment.source else "the experiment"
    safety = experiment.safety
    spans: dict[Axis, tuple[tuple[float, float] | None, str]] = {
        "x_um": (safety.x_um, "safety.stage.x_um"),
        "y_um": (safety.y_um, "safety.stage.y_um"),
        "z_um": (safety.focus_um, "safety.focus_um"),
    }
    return Limits(
        {
            axis: Range(*span, f"{name} in {source}")
            for axis, (span, name) in spans.items()
            if span is not None
        }
    )
