"""What is connected, for the values of parameters hinted "SubDeviceId" and "channel", and for ``aliases``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inscoper_mm.acquisition.live import Live
from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.execution.host import Facts
from inscoper_mm.experiment.model import Experiment, ScriptConfig
from inscoper_mm.library import find_script
from inscoper_mm.microscope.cfg import find_config, read_config
from inscoper_mm.microscope.inventory_cfg import config_inventory
from inscoper_mm.microscope.sub_device_ids import make_id
from inscoper_mm.microscope.sub_devices import Inventory
from inscoper_mm.scripting.named import wrong_names
from inscoper_mm.scripting.spec import Resources, ScriptSpec


def groups_of(core: Any) -> dict[str, tuple[str, ...]]:
    """The groups of the loaded configuration with their presets."""
    names = {str(group): core.getAvailableConfigs(group) for group in core.getAvailableConfigGroups()}
    return {group: tuple(str(name) for name in presets) for group, presets in names.items()}


def resources_of(
    groups: Mapping[str, Iterable[str]], channel_group: str, inventory: Inventory | None
) -> Resources:
    """The channels and sub-devices to choose from; presets of the channel group come first."""
    ordered = sorted(groups, key=lambda group: group != channel_group)
    channels = tuple(
        {"group": group, "config": name, "exposure": None, "z_offset": None}
        for group in ordered
        for name in groups[group]
    )
    if inventory is None:
        return Resources(channels=channels)
    return Resources(
        channels=channels,
        sub_devices=inventory.ids(settable=False),
        aliases=inventory.aliases,
        other_names=inventory.other_names,
        open_devices=tuple(f"{make_id(label)}." for label in inventory.open_devices),
    )


def resources_in_file(experiment: Experiment) -> Resources:
    """What the configuration file of ``experiment`` tells.

    Raises
    ------
    InvalidInput
        There is no such file.
    """
    config = read_config(find_config(experiment.microscope)[0])
    inventory = config_inventory(config).with_aliases(experiment.aliases)
    return resources_of(config.groups, config.roles.get("ChannelGroup", ""), inventory)


def resources_of_core(core: Any, inventory: Inventory) -> Resources:
    """What the loaded devices tell."""
    return resources_of(groups_of(core), str(core.getChannelGroup()), inventory)


def spec_of(script: ScriptConfig, resources: Resources) -> ScriptSpec:
    """What is to be loaded for ``script``.

    Raises
    ------
    InvalidInput
        There is no such script.
    """
    return ScriptSpec(
        name=script.name,
        file=find_script(script.file),
        provider=script.provider,
        process=script.process,
        use_async=script.is_async,
        provider_parameters=script.provider_parameters,
        parameters=script.parameters,
        resources=resources,
    )


def own_aliases(experiment: Experiment) -> dict[str, str]:
    """The aliases of the experiment file itself. Those of the site may be for another microscope."""
    return {name: target for name, target in experiment.aliases.items() if name not in experiment.lab_aliases}


def refuse_wrong_names(live: Live, experiment: Experiment, scripts: Iterable[Facts | None]) -> None:
    """Hold the aliases, and what the values of ``scripts`` name, against the loaded devices.

    Raises
    ------
    InvalidInput
        With each that is not there.
    """
    inventory = live.devices.inventory
    findings = wrong_aliases(own_aliases(experiment), inventory)
    resources = resources_of_core(live.microscope.core, inventory)
    for facts in scripts:
        findings += wrong_names(facts.named if facts else (), resources)
    if findings:
        raise InvalidInput(findings)


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
        elif bare.find(target) is None:
            message = "whether there is such a sub-device shows only when the devices are initialised."
            near, cure = bare.near(target), "'check --load' does that; stages may move."
            findings.append(
                Finding(message, level="info", field=field, got=repr(target), suggestion=near, cure=cure)
            )
    return findings
