"""Checks an experiment without acquiring: the file, its scripts, and both against the microscope's configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from inscoper_mm.acquisition.check_autofocus import check_autofocus
from inscoper_mm.acquisition.check_bursts import check_bursts
from inscoper_mm.acquisition.check_cost import (
    Cost,
    FreeBytes,
    check_cost,
    check_folder,
    cost_of,
    free_on_disk,
)
from inscoper_mm.acquisition.check_devices import check_at_end, check_light
from inscoper_mm.acquisition.check_fire import check_fire
from inscoper_mm.acquisition.check_geometry import calibrated, check_orientation
from inscoper_mm.acquisition.check_microscope import MicroscopeFacts, facts_from_file
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.acquisition.check_plan import check_plan
from inscoper_mm.acquisition.check_safety import check_plan_limits, check_rules, site_files
from inscoper_mm.acquisition.check_scripts import ALL_ANSWERS_LIMIT_S, check_scripts
from inscoper_mm.acquisition.limiting import with_site
from inscoper_mm.acquisition.resources import own_aliases, wrong_aliases
from inscoper_mm.errors import DeviceError, Finding, InvalidInput
from inscoper_mm.experiment.at_end import dump_at_end
from inscoper_mm.experiment.load import read_experiment
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.overrides import parse_path
from inscoper_mm.experiment.plan import Plan, make_plan
from inscoper_mm.microscope.cfg import Config, find_config, read_config

Look = Callable[[Experiment], MicroscopeFacts]
CheckSpecimen = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes
    ----------
    findings : tuple of Finding
        Errors, warnings and infos.
    facts : mapping
        What the run would be, as JSON values: ``experiment``, and as far as they could be found out ``plan``
        (``images``, ``sizes``, ``duration_s``, ``bytes_needed``, ``bytes_free`` ...), ``microscope`` and
        ``scripts`` (each with ``processed`` of ``images``), ``at_end``.
    """

    findings: tuple[Finding, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return all(finding.level != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"ok": self.ok, "findings": [finding.to_dict() for finding in self.findings], **self.facts}


def check_experiment(
    path: Path | str,
    overrides: Mapping[str, str] | None = None,
    *,
    look: Look | None = None,
    check_specimen: CheckSpecimen | None = None,
    output: Path | None = None,
    free_bytes: FreeBytes = free_on_disk,
    limit_s: float = ALL_ANSWERS_LIMIT_S,
    scripts: bool = True,
) -> CheckReport:
    """Check an experiment file. Never raises for what is wrong with it.

    Parameters
    ----------
    path : Path or str
    overrides : mapping, optional
        As for `load_experiment`.
    look : callable, optional
        Initialises the devices and looks at them, see `facts_of_devices`; otherwise only the ``.cfg`` is read.
    check_specimen : callable, optional
        Raises `InvalidInput` for wrong parameters of the virtual specimen.
    output : Path, optional
        The folder for run folders, where it is not the experiment's own.
    free_bytes : callable, optional
        The free bytes of the disk that holds a folder.
    limit_s : float
        How long one provider may take for all images of the plan.
    scripts : bool
        False leaves the scripts alone: a run loads them in their own places.
    """
    try:
        experiment, document = read_experiment(path, overrides)
    except InvalidInput as error:
        return CheckReport(error.findings)
    notes = Notes(document)
    facts: dict[str, Any] = {"experiment": {"name": experiment.name, "file": document.file}}
    files = site_files(notes)
    experiment = with_site(experiment, files)
    check_rules(experiment, files, notes)
    _specimen(experiment, check_specimen, notes)
    microscope = _microscope(experiment, look, notes)
    plan = _plan(experiment, microscope, notes)
    if microscope is not None:
        _aliases(experiment, microscope, notes)
        facts["microscope"] = microscope.to_dict()
    if plan is not None and microscope is not None:
        check_plan(experiment, plan, microscope, notes)
        check_light(plan, microscope, notes)
        check_at_end(experiment, microscope, files, notes)
        check_autofocus(experiment, plan, microscope, notes)
        check_bursts(experiment, plan, microscope, notes)
        check_fire(experiment, microscope, notes)
        check_plan_limits(experiment, plan, microscope, files, notes)
        folder = output or Path(experiment.output.directory)
        cost = cost_of(plan, microscope, folder, free_bytes)
        check_cost(cost, notes)
        check_folder(folder, notes)
        facts["plan"] = _plan_facts(plan, cost, folder)
        facts["at_end"] = dump_at_end(experiment.at_end)
    if scripts:
        facts["scripts"] = check_scripts(experiment, plan, microscope, notes, limit_s)
    return CheckReport(tuple(notes.findings), facts)


def _specimen(experiment: Experiment, check: CheckSpecimen | None, notes: Notes) -> None:
    parameters = experiment.microscope.specimen
    if parameters is None or check is None:
        return
    try:
        check(parameters)
    except InvalidInput as error:
        for finding in error.findings:
            notes.place(finding, parse_path(finding.field or "microscope.specimen"))


def _microscope(experiment: Experiment, look: Look | None, notes: Notes) -> MicroscopeFacts | None:
    """What is known about the microscope; None where there is no configuration to look at."""
    try:
        config = read_config(find_config(experiment.microscope)[0])
    except InvalidInput as error:
        for finding in error.findings:
            notes.place(finding, parse_path(finding.field or "microscope.config"))
        return None
    notes.findings.extend(config.findings)
    facts = calibrated(experiment, _look(experiment, config, look, notes), notes)
    check_orientation(config, facts, notes)
    return facts


def _look(experiment: Experiment, config: Config, look: Look | None, notes: Notes) -> MicroscopeFacts:
    if look is None:
        return facts_from_file(config)
    try:
        return look(experiment)
    except InvalidInput as error:
        for finding in error.findings:
            notes.place(finding, ("microscope", "config"))
    except (DeviceError, RuntimeError) as error:
        notes.add("error", ("microscope", "config"), f"the devices cannot be looked at: {error}")
    return facts_from_file(config)


def _aliases(experiment: Experiment, microscope: MicroscopeFacts, notes: Notes) -> None:
    if microscope.inventory is not None:
        for finding in wrong_aliases(own_aliases(experiment), microscope.inventory):
            name = str(finding.field).removeprefix("aliases.")
            notes.place(finding, ("aliases", name))


def _plan(experiment: Experiment, microscope: MicroscopeFacts | None, notes: Notes) -> Plan | None:
    try:
        return make_plan(experiment, microscope.start if microscope else None)
    except InvalidInput:
        # A device is missing: the plan without a start is checked, and tells it with its line.
        return make_plan(experiment)


def _plan_facts(plan: Plan, cost: Cost, output: Path) -> dict[str, Any]:
    return {
        **asdict(cost),
        "sizes": asdict(plan.sizes),
        "positions": [site.name for site in plan.sites[:100]],
        "channels": [channel.name for channel in plan.channels if channel.name],
        "output": str(output),
    }
