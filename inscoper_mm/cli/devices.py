"""``devices``: what there is to drive, and everything that can be set on it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from inscoper_mm.acquisition.resources import wrong_aliases
from inscoper_mm.acquisition.result import EXIT_INVALID, EXIT_OK
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.errors import DeviceError, Finding, InvalidInput
from inscoper_mm.experiment.aliases import merge_aliases
from inscoper_mm.experiment.model import MicroscopeConfig
from inscoper_mm.experiment.site_file import read_site_files
from inscoper_mm.microscope.cfg import find_config, read_config
from inscoper_mm.microscope.cfg_model import Config
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.inventory_cfg import config_inventory
from inscoper_mm.microscope.live_devices import SubDevices
from inscoper_mm.microscope.sub_devices import Inventory, SubDevice
from inscoper_mm.scripting.vocabulary import constraints_of

# Values in a table are cut here.
_WIDEST = 60


@dataclass(frozen=True, slots=True)
class _Shown:
    """What was found out: ``values`` only where the devices were asked."""

    config: Config
    inventory: Inventory
    values: Mapping[str, Any] | None
    findings: tuple[Finding, ...]


def devices_command(config: str, load: bool, everything: bool, as_json: bool) -> int:
    """Show what a configuration file says, or with ``load`` what the initialised devices say."""
    console = Console()
    if load and not as_json:
        console.print("Initialising the devices of the configuration now: stages may move.", style="yellow")
    try:
        shown = _look(config, load)
    except InvalidInput as error:
        tell_findings(Console(stderr=True), error.findings)
        return EXIT_INVALID
    if as_json:
        console.print_json(json.dumps(_as_json(shown)))
    else:
        _show_config(console, shown.config)
        _show_sub_devices(console, shown, everything)
        tell_findings(console, list(shown.findings))
    return EXIT_INVALID if any(finding.level == "error" for finding in shown.findings) else EXIT_OK


def _look(config: str, load: bool) -> _Shown:
    microscope, own = _chosen(config)
    aliases = _with_the_labs(own)
    path, mm_dir = find_config(microscope)
    read = read_config(path)
    inventory, values = config_inventory(read).with_aliases(aliases), None
    if load:
        inventory, values = _ask_devices(path, mm_dir, aliases)
    return _Shown(read, inventory, values, (*read.findings, *wrong_aliases(own, inventory)))


def _chosen(config: str) -> tuple[MicroscopeConfig, Mapping[str, str]]:
    """The microscope, and the names that an experiment file gives to its sub-devices."""
    if Path(config).suffix.lower() in (".yaml", ".yml"):
        from inscoper_mm.experiment.load import load_experiment

        experiment = load_experiment(Path(config))
        return experiment.microscope, experiment.aliases
    return MicroscopeConfig(config=config), {}


def _with_the_labs(own: Mapping[str, str]) -> dict[str, str]:
    lab: dict[str, str] = {}
    for file in read_site_files():
        lab = merge_aliases(lab, file.aliases)
    return merge_aliases(lab, own)


def _ask_devices(path: Path, mm_dir: Path, aliases: Mapping[str, str]) -> tuple[Inventory, dict[str, Any]]:
    """The sub-devices of the loaded devices and their present values; a text where one cannot be read."""
    microscope = Microscope.open(path, mm_dir)
    try:
        devices = SubDevices(microscope, aliases)
        values: dict[str, Any] = {}
        for each in devices.inventory:
            try:
                values[each.id] = devices.read(each)
            except DeviceError as error:
                values[each.id] = f"({error})"
        return devices.inventory, values
    finally:
        microscope.close()


# -- JSON


def _as_json(shown: _Shown) -> dict[str, Any]:
    config = shown.config
    return {
        "file": str(config.path),
        "devices": [
            {"label": device.label, "library": device.library, "name": device.name}
            for device in config.devices.values()
        ],
        "roles": config.roles,
        "groups": {group: list(presets) for group, presets in config.groups.items()},
        "pixel_sizes_um": {name: preset.size_um for name, preset in config.pixel_sizes.items()},
        "sub_devices": [_sub_device_json(each, shown) for each in shown.inventory],
        "aliases": {
            alias: each.id
            for alias, target in shown.inventory.aliases.items()
            if (each := shown.inventory.find(target)) is not None
        },
        "complete": not shown.inventory.open_devices,
        "findings": [finding.to_dict() for finding in shown.findings],
    }


def _sub_device_json(sub_device: SubDevice, shown: _Shown) -> dict[str, Any]:
    said = {"id": sub_device.id, "device": sub_device.device}
    said |= constraints_of(sub_device.kind, sub_device.constraints)
    return said if shown.values is None else said | {"value": shown.values[sub_device.id]}


# -- tables


def _show_config(console: Console, read: Config) -> None:
    console.print(str(read.path), style="bold", markup=False, highlight=False)
    role_of = {label: role for role, label in read.roles.items() if label}
    devices = Table("device", "adapter", "role", box=None, header_style="dim")
    for device in read.devices.values():
        devices.add_row(device.label, f"{device.library} {device.name}", role_of.get(device.label, ""))
    console.print(devices)
    groups = Table("group", "presets", box=None, header_style="dim")
    channels = read.roles.get("ChannelGroup")
    for group, presets in read.groups.items():
        mark = "  (channels)" if group == channels else ""
        groups.add_row(group + mark, ", ".join(presets))
    console.print(groups)
    for name, preset in read.pixel_sizes.items():
        console.print(f"pixel size {name}: {preset.size_um} um", markup=False, highlight=False)


def _show_sub_devices(console: Console, shown: _Shown, everything: bool) -> None:
    names: dict[str, list[str]] = {}
    for alias, target in shown.inventory.aliases.items():
        found = shown.inventory.find(target)
        if found is not None:
            names.setdefault(found.id, []).append(alias)
    columns = ["sub-device", "alias"] if names else ["sub-device"]
    columns += ["kind"] + (["value"] if shown.values is not None else []) + ["takes"]
    table = Table(*columns, box=None, header_style="dim")
    rows, left_out = _chosen_rows(shown.inventory, everything)
    for each in rows:
        cells = [each.id] + ([", ".join(names.get(each.id, ()))] if names else [])
        cells += [each.kind] + ([_short(shown.values[each.id])] if shown.values is not None else [])
        # Labels may have brackets, which are no markup here.
        table.add_row(*(_escaped(cell) for cell in [*cells, _short(_takes(each))]))
    console.print(table)
    if left_out:
        console.print(f"{left_out} more with --all: properties, and what cannot be set.", style="dim")
    if shown.values is None and shown.inventory.open_devices:
        hint = "From the file alone; devices may have more properties. --load asks them (stages may move)."
        console.print(hint, style="dim")


def _chosen_rows(inventory: Inventory, everything: bool) -> tuple[list[SubDevice], int]:
    every: Iterable[SubDevice] = inventory
    rows = [each for each in every if everything or (each.kind != "property" and each.constraints.settable)]
    return rows, len(inventory) - len(rows)


def _takes(sub_device: SubDevice) -> str:
    takes = sub_device.constraints
    if not takes.settable:
        return f"not settable: {takes.why_not}"
    if takes.focus_direction:
        nearer = "larger" if takes.focus_direction > 0 else "smaller"
        return f"{takes.allowed}; {nearer} is nearer to the sample"
    return takes.allowed


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
