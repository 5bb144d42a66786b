"""What is to be loaded: a script's file, the names of its functions, and the user's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Resources:
    """What is connected, for the values of parameters hinted "channel" and "SubDeviceId".

    ``channels`` are mappings with ``group config exposure z_offset``; ``aliases`` lead from the lab's name to
    the id. None means unknown: then only the form of a value is checked. ``other_names`` lead from other ways to
    write an id to the id; an id that begins with one of ``open_devices`` cannot be judged and is taken.
    """

    channels: tuple[Mapping[str, Any], ...] | None = None
    sub_devices: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    other_names: Mapping[str, str] = field(default_factory=dict)
    open_devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScriptSpec:
    """A script of a run; picklable, so that a worker can load it.

    ``provider`` and ``process`` are None where the script's own names are to be found out. ``use_async``
    takes the twin ``run_<name>_async`` of the processing function.
    """

    name: str
    file: Path
    provider: str | None = None
    process: str | None = None
    use_async: bool = False
    provider_parameters: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    export_path: Path | None = None
    resources: Resources = Resources()
