"""From an `Experiment` back to YAML, as resolved: defaults written out, paths absolute."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from inscoper_mm.experiment.at_end import dump_at_end
from inscoper_mm.experiment.autofocus import dump_autofocus
from inscoper_mm.experiment.corrections import dump_corrections
from inscoper_mm.experiment.document import plain_value
from inscoper_mm.experiment.model import Experiment, Policy, ScriptConfig
from inscoper_mm.experiment.objectives import dump_objectives
from inscoper_mm.experiment.safety import dump_safety

if TYPE_CHECKING:
    import useq


def dump_experiment(experiment: Experiment) -> str:
    """YAML text; reading it again gives an equal experiment."""
    values: dict[str, Any] = {
        "name": experiment.name,
        "metadata": dict(experiment.metadata),
        "microscope": _microscope(experiment),
        "acquisition": _acquisition(experiment.acquisition),
        "scripts": [_script(script) for script in experiment.scripts],
        "aliases": dict(experiment.aliases),
        "safety": dump_safety(experiment.safety),
        "corrections": dump_corrections(experiment.corrections),
        "photomanipulation": settings.to_dict() if (settings := experiment.photomanipulation) else None,
        "at_end": dump_at_end(experiment.at_end),
        "device_error": asdict(experiment.device_error),
        "late": experiment.late,
        "bursts": experiment.bursts,
        "output": asdict(experiment.output),
    }
    values = {key: value for key, value in values.items() if value is not None}
    if experiment.autofocus is not None:
        values["autofocus"] = dump_autofocus(experiment.autofocus)
    dumped = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return str(dumped)


class _Dumper(yaml.SafeDumper):
    """Writes every value in full: an alias would make the file hard to read and to edit."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # PyYAML quotes what YAML 1.1 would read as a number; here it must be what YAML 1.2 would.
    try:
        quoted = plain_value(text) != text
    except ValueError:
        quoted = True
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if quoted else None)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(PurePath, lambda dumper, path: _represent_text(dumper, str(path)))
_NUMPY: Any = np.generic  # mypy takes it for abstract
_Dumper.add_multi_representer(_NUMPY, lambda dumper, number: dumper.represent_data(number.item()))


def _microscope(experiment: Experiment) -> dict[str, Any]:
    values = asdict(experiment.microscope)
    if experiment.microscope.mm_dir is not None:
        values["mm_dir"] = str(experiment.microscope.mm_dir)
    values["objectives"] = dump_objectives(experiment.microscope.objectives) or None
    values["calibrations"] = [str(path) for path in experiment.microscope.calibrations] or None
    return {key: value for key, value in values.items() if value is not None}


def _script(script: ScriptConfig) -> dict[str, Any]:
    values: dict[str, Any] = {
        "file": script.file,
        "name": script.name,
        "provider": script.provider,
        "process": script.process,
        "async": script.is_async,
        "provider_parameters": dict(script.provider_parameters),
        "parameters": dict(script.parameters),
        "policy": _policy(script.policy),
    }
    return {key: value for key, value in values.items() if value is not None}


def _policy(policy: Policy) -> dict[str, Any]:
    slow = {"queue": policy.queue} if policy.slow == "queue" else policy.slow
    values = {"slow": slow, "error": policy.error, "limit_s": policy.limit_s, "place": policy.place}
    return {key: value for key, value in values.items() if value is not None}


def _acquisition(sequence: useq.MDASequence) -> dict[str, Any]:
    positions: Any = sequence.stage_positions
    if isinstance(positions, tuple):
        positions = [_plain(position) for position in positions]
    else:
        positions = _plain(positions)
    values = {
        "axis_order": "".join(sequence.axis_order),
        "channels": [_channel(channel) for channel in sequence.channels],
        "stage_positions": positions,
        "grid_plan": _plain(sequence.grid_plan),
        "z_plan": _plain(sequence.z_plan),
        "time_plan": _plain(sequence.time_plan),
        "autofocus_plan": _plain(sequence.autofocus_plan),
    }
    return {key: value for key, value in values.items() if value}


def _channel(channel: useq.Channel) -> dict[str, Any]:
    values: dict[str, Any] = channel.model_dump(mode="json", exclude_none=True)
    return values


def _plain(value: Any) -> Any:
    # Defaults are left out: useq writes some that a file may not have.
    return None if value is None else value.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
