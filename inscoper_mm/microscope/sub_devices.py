"""Sub-devices as values: everything that can be set on a microscope, its id, its kind, and what it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from inscoper_mm.errors import CommandRefused, did_you_mean, one_of
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.microscope.sub_device_ids import make_id, plain_id, split_id

Kind = Literal[
    "stage",
    "focus",
    "offset",
    "state",
    "shutter",
    "light",
    "power",
    "signal",
    "galvo",
    "slm",
    "exposure",
    "binning",
    "roi",
    "gain",
    "property",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
# How it is read and set: by a function of the Core, or as a property.
Access = Literal[
    "x", "y", "position", "exposure", "roi", "switch", "state", "galvo", "slm", "offset", "property"
]
ValueType = Literal["number", "integer", "text", "switch", "state", "numbers"]


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a sub-device takes.

    Attributes
    ----------
    type : {"number", "integer", "text", "switch", "state", "numbers"}
        A switch takes True or False, a state its label or number, ``numbers`` a list of ``len(names)`` numbers.
    unit : str
        Empty where the Core does not say.
    minimum, maximum, step : float, optional
        For ``numbers`` they hold for each.
    values : tuple
        The allowed values; for a state its labels in the order of their numbers. Empty: no list is known.
    names : tuple of str
        What the numbers of a list mean.
    why_not : str
        Why it cannot be set; empty where it can.
    focus_direction : int, optional
        Focus drives only: 1 where larger values bring the objective nearer to the sample, -1 the other way
        round, 0 where the configuration does not say.
    tolerance, relative_tolerance : float
        How far what is reached may be from what was asked: the larger of the two counts, the second as a part
        of the value.
    """

    type: ValueType
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    values: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    why_not: str = ""
    focus_direction: int | None = None
    tolerance: float = 0.0
    relative_tolerance: float = 0.0

    @property
    def settable(self) -> bool:
        """Whether it can be set."""
        return not self.why_not

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.values:
            return one_of(self.values)
        words = {
            "integer": "a whole number",
            "text": "text",
            "switch": "True (open, on) or False",
            "state": "a label or a number of 0 or more",
            "numbers": f"[{', '.join(self.names)}]",
        }.get(self.type, "a number")
        if self.minimum is not None and self.maximum is not None:
            words += f" from {self.minimum:g} to {self.maximum:g}"
        elif self.minimum is not None:
            words += f" of at least {self.minimum:g}"
        elif self.maximum is not None:
            words += f" of at most {self.maximum:g}"
        elif self.unit:
            return f"{words} ({self.unit})"
        return f"{words} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class SubDevice:
    """One settable (or readable) thing of a device.

    ``axis`` is that of the run's limits, where this is the stage or the focus drive of the run; ``property`` is
    the Core's property, empty where ``access`` is a function of the Core.
    """

    id: str
    kind: Kind
    device: str
    access: Access
    constraints: Constraints
    property: str = ""
    axis: Axis | None = None


class Inventory:
    """The sub-devices of one microscope, by id, alias, and the names under which the Core knows them.

    Parameters
    ----------
    sub_devices : iterable of SubDevice
    same : mapping
        Id of a property -> id of the sub-device that it is another way to: ``Z.Position`` is ``Z``.
    open_devices : iterable of str
        Labels of devices whose properties are not all known (a configuration file names only some).
    aliases : mapping
        The lab's name -> id.
    """

    def __init__(
        self,
        sub_devices: Iterable[SubDevice],
        same: Mapping[str, str] = MappingProxyType({}),
        open_devices: Iterable[str] = (),
        aliases: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._by_id = {each.id: each for each in sub_devices}
        self._same = dict(same)
        self.open_devices = frozenset(open_devices)
        self.aliases = dict(aliases)
        self._plain = _plain_names([*self._by_id, *self._same])

    def __iter__(self) -> Any:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def with_aliases(self, aliases: Mapping[str, str]) -> Inventory:
        """The same sub-devices with other aliases."""
        return Inventory(self._by_id.values(), self._same, self.open_devices, aliases)

    def ids(self, kind: str | None = None, *, settable: bool = True) -> tuple[str, ...]:
        """The ids of ``kind`` (all kinds: None); without ``settable`` those, too, that can only be read.

        Raises
        ------
        CommandRefused
            There is no such kind.
        """
        if kind is not None and kind not in KINDS:
            near = did_you_mean(kind, KINDS)
            hint = f" Did you mean '{near}'?" if near else ""
            raise CommandRefused(f"There is no kind {kind!r} of sub-devices. Allowed: {one_of(KINDS)}.{hint}")
        return tuple(
            each.id
            for each in self
            if kind in (None, each.kind) and (each.constraints.settable or not settable)
        )

    def find(self, name: object) -> SubDevice | None:
        """The sub-device that ``name`` (id, alias, or the Core's property) means; None if there is none."""
        if not isinstance(name, str):
            return None
        # The microscope's own names come first: no alias can hide one.
        return self._known(name) or self._known(self.aliases.get(name, name))

    def _known(self, text: str) -> SubDevice | None:
        known = self._by_id.get(self._same.get(text, text))
        if known is None:
            plain = self._plain.get(text, "")
            known = self._by_id.get(self._same.get(plain, plain))
        return known

    def resolve(self, name: object) -> SubDevice:
        """As `find`.

        Raises
        ------
        CommandRefused
            There is none; with the nearest name.
        """
        found = self.find(name)
        if found is None:
            near = self.near(name)
            hint = f" Did you mean '{near}'?" if near else ""
            names = [*self.aliases, *self.ids()]
            raise CommandRefused(f"There is no sub-device {name!r}. Allowed: {one_of(names)}.{hint}")
        return found

    def names(self, sub_device: SubDevice) -> tuple[str, ...]:
        """What ``sub_device`` is called without the aliases: its id, and the Core's names for it."""
        ids = [sub_device.id, *(way for way, same in self._same.items() if same == sub_device.id)]
        names = [*ids, *(plain_id(*split_id(each)) for each in ids)]
        if sub_device.property:
            names.append(plain_id(sub_device.device, sub_device.property))
        else:
            names.append(sub_device.device)
        return tuple(dict.fromkeys(names))

    def near(self, name: object) -> str | None:
        """The alias or id most like ``name``."""
        names = [*self.aliases, *self._by_id, *self._same]
        return did_you_mean(name, names)

    def is_open(self, name: object) -> bool:
        """Whether ``name`` may be a property that is not known here, of a device that is."""
        try:
            device, *parts = split_id(str(self.aliases.get(str(name), name)))
        except ValueError:
            return False
        return bool(parts) and device in self.open_devices

    @property
    def other_names(self) -> dict[str, str]:
        """Other ways to write an id, and ids of properties that are another way to a sub-device -> id."""
        return {plain: self._same.get(each, each) for plain, each in self._plain.items()} | self._same

    def takes(self, name: str) -> bool:
        """Whether ``name`` already means something without the aliases."""
        return name in self._by_id or name in self._same or name in self._plain


def _plain_names(ids: Iterable[str]) -> dict[str, str]:
    """Ids with quotation marks by what people would write instead, where that means one thing only."""
    meant: dict[str, list[str]] = {}
    for each in ids:
        meant.setdefault(plain_id(*split_id(each)), []).append(each)
    return {plain: found[0] for plain, found in meant.items() if len(found) == 1 and found[0] != plain}


def property_id(device: str, name: str, reserved: Iterable[str]) -> str:
    """The id of a property; one that is called like another part of its device gets a name in between."""
    return make_id(device, "property", name) if name in reserved else make_id(device, name)
