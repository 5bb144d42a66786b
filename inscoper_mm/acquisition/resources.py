"""What is connected, for the values of parameters hinted "SubDeviceId" and "channel", and for ``aliases``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inscoper_mm.errors import Finding
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.microscope.sub_devices import Inventory
from inscoper_mm.scripting.spec import Resources


def groups_of(core: Any) -> dict[str, tuple[str, ...]]:
    """The groups of the loaded configuration with their presets."""
    names = {str(group): core.getAvailableConfigs(group) for group in core.getAvailableConfigGroups()}
    return {group: tuple(str(name) for name in presets) for group, presets in names.items()}


def resources_of(
    groups: Mapping[str, Sequence[str]], channel_group: str, inventory: Inventory | None
) -> Resources:
    """The channels and sub-devices to choose from; presets of the channel group come first."""
    ordered = sorted(groups, key=lambda group: group != channel_group)
    channels = tuple(
        {"group": group, "config": name, "exposure": None, "z_offset": None}
        for group in ordered
        for name in groups[group]
    )
    if inventory is None:
        return Resources(channels=channels or None)
    return Resources(
        channels=channels or None,
        sub_devices=inventory.ids(settable=False),
        aliases=inventory.aliases,
        other_names=inventory.other_names,
        open_devices=tuple(f"{make_id(label)}." for label in inventory.open_devices),
    )


def wrong_aliases(aliases: Mapping[str, str], inventory: Inventory) -> list[Finding]:
    """What is wrong with ``aliases``: a name that means something else already, or an id that is not there."""
    bare = inventory.with_aliases({})
    findings = []
    for name, target in aliases.items():
        field = f"aliases.{name}"
        if bare.takes(name):
            message = f"'{name}' is the id of a sub-device already; an alias must not hide it."
            findings.append(Finding(message, field=field, cure="Choose another name."))
        elif bare.find(target) is None and not bare.is_open(target):
            near = bare.near(target)
            message = f"there is no sub-device '{target}'."
            cure = "'inscoper-mm devices' lists them."
            findings.append(Finding(message, field=field, got=repr(target), suggestion=near, cure=cure))
    return findings
