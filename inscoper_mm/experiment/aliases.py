"""The section ``aliases``: the lab's own names for sub-devices."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from inscoper_mm.experiment.document import shown
from inscoper_mm.experiment.reader import Section

Aliases = Mapping[str, str]
NO_ALIASES: Aliases = MappingProxyType({})


def read_aliases(top: Section) -> dict[str, str]:
    """The section ``aliases`` of ``top``: name -> id. Whether there is such an id shows when devices are known."""
    found: dict[str, str] = {}
    for name, target in top.free("aliases").items():
        path = (*top.path, "aliases", name)
        if not isinstance(target, str) or not target.strip():
            message = "must be the id of a sub-device, for example XY.X."
            top.findings.append(top.document.finding(path, message, got=shown(target)))
        elif not name.strip():
            top.findings.append(top.document.finding(path, "an alias must not be empty."))
        else:
            found[name] = target
    return found


def merge_aliases(site: Aliases, experiment: Aliases) -> dict[str, str]:
    """Both together; where both have a name, the experiment's counts."""
    return {**site, **experiment}
