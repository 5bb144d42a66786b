"""The limits of a run: the devices' own, tightened by site, user and experiment; and the plan tried against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce

from inscoper_mm.acquisition.corrections import Offset, corrected
from inscoper_mm.acquisition.plan_walk import refused_ways
from inscoper_mm.errors import Finding, InvalidInput, LimitRefused, short_path
from inscoper_mm.experiment.aliases import merge_aliases
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.experiment.site_file import SiteFile
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.core_rules import Objectives, preset_lines
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.live_devices import SubDevices
from inscoper_mm.microscope.rules import OBJECTIVES, Rules, path_text

_MOST_FINDINGS = 20


def with_site(experiment: Experiment, files: Sequence[SiteFile]) -> Experiment:
    """The experiment with the aliases of the site and user files; where two files have a name, the later counts."""
    aliases: dict[str, str] = {}
    for file in files:
        aliases = merge_aliases(aliases, file.aliases)
    lab = frozenset(aliases) - frozenset(experiment.aliases)
    return replace(experiment, aliases=merge_aliases(aliases, experiment.aliases), lab_aliases=lab)


def rules_of_files(files: Sequence[SiteFile]) -> Rules:
    """The rules of the site and user files."""
    return reduce(Rules.tightened, (rules for _, rules in rules_of_each(files)), Rules())


def rules_of_each(files: Sequence[SiteFile]) -> Iterator[tuple[SiteFile, Rules]]:
    """Each file with its own rules, in which the aliases of the files up to it hold."""
    aliases: dict[str, str] = {}
    for file in files:
        aliases = merge_aliases(aliases, file.aliases)
        yield file, Rules.of_safety(file.safety, short_path(file.path)).bound_to(aliases)


def rules_of_experiment(experiment: Experiment) -> Rules:
    """The rules of the experiment itself."""
    source = short_path(experiment.source) if experiment.source else "the experiment"
    return Rules.of_safety(experiment.safety, source).bound_to(experiment.aliases)


def guard_of(
    experiment: Experiment, microscope: Microscope, devices: SubDevices, files: Sequence[SiteFile]
) -> Guard:
    """The guard of a run: what the devices report, tightened by the site's, the user's and the experiment's limits.

    Raises
    ------
    InvalidInput
        If the files together leave nothing, or the experiment limits what is not there.
    """
    rules = Rules.of_limits(microscope.device_limits()).tightened(rules_of_files(files))
    rules = rules.tightened(rules_of_experiment(experiment))
    objectives = objectives_of(rules, microscope)
    guard = Guard(
        rules,
        inventory=lambda: devices.inventory,
        position=microscope.position,
        objectives=objectives or tuple,
        preset=partial(preset_lines, microscope.core),
        camera=lambda: microscope.camera,
    )
    findings = [*impossible(rules), *unknown_names(guard, objectives, experiment)]
    if any(finding.level == "error" for finding in findings):
        raise InvalidInput([finding for finding in findings if finding.level == "error"])
    return guard


def objectives_of(rules: Rules, microscope: Microscope) -> Objectives | None:
    """What the rules call objectives; None where they name none."""
    names = dict.fromkeys(path[2] for path in rules.spans if path[:2] == OBJECTIVES and len(path) == 4)
    return Objectives(microscope.core, names) if names else None


def impossible(rules: Rules) -> Iterator[Finding]:
    """Limits of several files that leave nothing together."""
    for path, source in rules.impossible():
        yield Finding(f"{path_text(path)}: the limits leave nothing that is allowed ({source}).")


def unknown_names(guard: Guard, objectives: Objectives | None, experiment: Experiment) -> Iterator[Finding]:
    """Limits for what is not there: an error in the experiment, a warning in a file that is for several microscopes."""
    safety = experiment.safety
    mine = rules_of_experiment(experiment)
    for name, source, near in guard.unknown_names():
        own = name in mine.sub_devices
        message = f"there is no sub-device '{name}', so its limit holds for nothing ({source})."
        yield Finding(message, "error" if own else "warning", field="safety", suggestion=near)
    for name in objectives.unknown if objectives is not None else ():
        own = name in safety.step_per_objective
        message = f"no state device has the label '{name}' and no group the preset."
        field = "safety.largest_step.per_objective"
        yield Finding(message, "error" if own else "warning", field=field, got=name)


def planned_places(plan: Plan, guard: Guard) -> Mapping[int, Sequence[StagePosition]]:
    """Where the plan goes at each stage position, each place once.

    Raises
    ------
    InvalidInput
        If a planned place, way, channel or exposure is outside the limits: found before the first image, not at it.
    """
    places: dict[int, list[StagePosition]] = {}
    findings = [Finding(str(error), field="acquisition.channels") for error in refused_channels(plan, guard)]
    for number in plan.first_at_each_place():
        event = plan[int(number)]
        place = event.planned
        places.setdefault(event.index.position, []).append(place)
        try:
            guard.check_place(
                f"event {event.id} at position '{event.position_name}'", corrected(place, Offset())
            )
        except LimitRefused as error:
            findings.append(Finding(str(error), field="acquisition"))
    findings += [Finding(way.message, field="acquisition") for way in refused_ways(plan, guard)]
    if findings:
        raise InvalidInput(findings[:_MOST_FINDINGS])
    return places


def refused_channels(plan: Plan, guard: Guard) -> Iterator[LimitRefused]:
    """The channels of the plan that the rules refuse."""
    for channel in plan.channels:
        try:
            if channel.group is not None and channel.name is not None:
                guard.check_preset("the plan", None, channel.group, channel.name)
            if channel.exposure_ms is not None:
                guard.check_exposure("the plan", None, channel.exposure_ms)
        except LimitRefused as error:
            yield error
