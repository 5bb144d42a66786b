"""The limits of site, user and experiment against each other, and the plan against all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.acquisition.limiting import (
    refused_channels,
    rules_of_each,
    rules_of_experiment,
    rules_of_files,
)
from inscoper_mm.acquisition.plan_walk import refused_ways, travels
from inscoper_mm.errors import Finding, InvalidInput, Level, LimitRefused, did_you_mean, short_path
from inscoper_mm.experiment.document import KeyPath
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.experiment.site_file import SiteFile, read_site_files
from inscoper_mm.experiment.sites import Site
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.microscope.guard import Guard
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.microscope.rules import Path, Rules, path_text
from inscoper_mm.microscope.sub_devices import Inventory

_PLAN: KeyPath = ("acquisition",)
_SAFETY: KeyPath = ("safety",)
# More findings of one kind than this only hide the others.
_MOST = 10


def site_files(notes: Notes) -> tuple[SiteFile, ...]:
    """The site and user files; what is wrong with them is noted."""
    try:
        return read_site_files()
    except InvalidInput as error:
        notes.findings.extend(error.findings)
        return ()


def check_rules(experiment: Experiment, files: Sequence[SiteFile], notes: Notes) -> None:
    """Note where a file asks for more than those before it allow, and where they leave nothing together."""
    for file in files:
        notes.findings.append(
            Finding("its limits hold for this experiment.", "info", file=short_path(file.path))
        )
    before = Rules()
    for file, own in rules_of_each(files):
        for path, message in _more(own, before):
            finding = Finding(message, "warning", file=str(file.path), field=path_text(path))
            if file.document is not None:
                finding = file.document.finding((*_SAFETY, *path), message, level="warning")
            notes.findings.append(finding)
        before = before.tightened(own)
    own = rules_of_experiment(experiment)
    for path, message in _more(own, before):
        notes.add("warning", (*_SAFETY, *path), message)
    for path, source in before.tightened(own).impossible():
        notes.add("error", (*_SAFETY, *path), f"the limits leave nothing that is allowed ({source}).")


def _more(own: Rules, before: Rules) -> Iterator[tuple[Path, str]]:
    for path, asked, allowed, source in own.asks_for_more(before):
        yield path, f"allows {asked}, but only {allowed} is allowed by {source}: the tighter limit holds."


def check_plan_limits(
    experiment: Experiment, plan: Plan, facts: MicroscopeFacts, files: Sequence[SiteFile], notes: Notes
) -> None:
    """Note what the guard would refuse of the plan, with the limit and the file that it comes from."""
    rules = Rules.of_limits(facts.limits).tightened(rules_of_files(files))
    rules = rules.tightened(rules_of_experiment(experiment))
    inventory = (facts.inventory or Inventory(())).with_aliases(experiment.aliases)
    guard = Guard(
        rules,
        inventory=lambda: inventory,
        preset=lambda group, name: facts.presets.get((group, name), ()),
        camera=lambda: facts.camera or "",
    )
    _places(plan, guard, notes)
    _ways(plan, guard, notes)
    for refused in refused_channels(plan, guard):
        notes.add("error", (*_PLAN, "channels"), _told(refused))
    for travel in travels(plan, guard):
        message = (
            f"the {travel.kind.removesuffix('_um')} may travel up to {travel.most_um:g} um within a minute, if nothing "
            f"holds the run up. Allowed: {travel.limit.text} um ({travel.limit.source}): the run would wait there."
        )
        notes.add("warning", _PLAN, message)
    _names_of_rules(experiment, guard, rules, facts, notes)
    if (
        plan.needs_focus
        and plan.start.z_um is None
        and plan.sites_without_z
        and rules.envelope.ranges.get("z_um")
    ):
        message = "whether the focus stays within its limits is known only when the run starts."
        notes.add("info", ("safety", "focus_um"), message)


def _places(plan: Plan, guard: Guard, notes: Notes) -> None:
    count = 0
    for site in plan.sites:
        for axis, place_um, path in _axes(plan, site):
            try:
                guard.check_place(f"position '{site.name}'", {axis: place_um})
            except LimitRefused as error:
                count += 1
                if count <= _MOST:
                    notes.add("error", path, _told(error))
    if count > _MOST:
        notes.add("error", _PLAN, f"{count - _MOST} more planned places are outside the limits.")


def _ways(plan: Plan, guard: Guard, notes: Notes) -> None:
    for count, way in enumerate(refused_ways(plan, guard)):
        if count == _MOST:
            notes.add("error", _PLAN, "more ways of the plan are outside the limits.")
            return
        site = plan.sites[plan[way.event].index.position]
        notes.add("error", (*_PLAN, "stage_positions", site.number), _told(way.message))


def _names_of_rules(
    experiment: Experiment, guard: Guard, rules: Rules, facts: MicroscopeFacts, notes: Notes
) -> None:
    """Limits for what the microscope does not have."""
    safety, mine = experiment.safety, rules_of_experiment(experiment)
    if facts.inventory is not None:
        for name, source, near in guard.unknown_names():
            own = name in mine.sub_devices
            path = (*_SAFETY, "sub_devices", name) if name in safety.sub_devices else _SAFETY
            message = f"{facts.config} has no sub-device '{name}', so its limit holds for nothing ({source})."
            notes.add("error" if own else "warning", path, message, suggestion=near)
    known = {name for names in facts.groups.values() for name in names}
    for sub_device in facts.inventory or ():
        known |= {str(value) for value in sub_device.constraints.values if sub_device.kind == "state"}
    lower = {name.lower() for name in known}
    for name in dict.fromkeys(path[2] for path in rules.spans if path[1:2] == ("per_objective",)):
        if name.lower() not in lower:
            own = name in safety.step_per_objective
            message = (
                f"{facts.config} has no state device with the label '{name}' and no preset of that name."
            )
            path = (*_SAFETY, "largest_step", "per_objective", name) if own else _SAFETY
            level: Level = "error" if own and facts.loaded else "warning"
            notes.add(level, path, message, suggestion=did_you_mean(name, known))


def _axes(plan: Plan, site: Site) -> Iterator[tuple[Axis, float, KeyPath]]:
    """The known coordinates at ``site``: x, y, and the ends of its stacks."""
    place: StagePosition = site.at(plan.start)
    here = (*_PLAN, "stage_positions", site.number)
    coordinates: Mapping[Axis, float | None] = {"x_um": place.x_um, "y_um": place.y_um}
    for axis, value in coordinates.items():
        if value is not None:
            yield axis, value, here
    slices = {plan.z_um(site, channel, slot) for channel in plan.channels for slot in plan.slots(channel)}
    known = sorted(z_um for z_um in slices if z_um is not None)
    ends = dict.fromkeys((known[0], known[-1])) if known else ()
    for z_um in ends:
        yield "z_um", z_um, (*_PLAN, "z_plan") if plan.has_z_plan else here


def _told(refused: LimitRefused | str) -> str:
    return str(refused).removesuffix(" Nothing was moved.").removesuffix(" Nothing was set.")
