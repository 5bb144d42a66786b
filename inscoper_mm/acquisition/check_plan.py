"""The plan of an experiment against what is known about the microscope."""

from __future__ import annotations

from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.errors import Level, did_you_mean, one_of
from inscoper_mm.experiment.document import KeyPath
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.experiment.sites import Site

_PLAN: KeyPath = ("acquisition",)


def check_plan(experiment: Experiment, plan: Plan, facts: MicroscopeFacts, notes: Notes) -> None:
    """Note what is wrong, or worth knowing, about channels, devices and positions."""
    _channels(plan, facts, notes)
    _camera(facts, notes)
    _focus(plan, facts, notes)
    _stage(plan, facts, notes)
    if facts.pixel_size_um is None:
        _pixel_size(experiment, facts, notes)


def _channels(plan: Plan, facts: MicroscopeFacts, notes: Notes) -> None:
    if plan.channels[0].name is None:
        notes.add("info", _PLAN, "no channels are given: light and filters stay as they are.")
        return
    for number, channel in enumerate(plan.channels):
        path = (*_PLAN, "channels", number)
        group, name = channel.group or "", channel.name or ""
        if group not in facts.groups:
            near = did_you_mean(group, facts.groups)
            message = f"{facts.config} has no group '{group}'."
            allowed = one_of(facts.groups)
            notes.add("error", (*path, "group"), message, got=group, allowed=allowed, suggestion=near)
        elif name not in facts.groups[group]:
            _preset(path, group, name, facts, notes)
        if channel.exposure_ms is None:
            own = f": {facts.exposure_ms:g} ms" if facts.exposure_ms else ""
            message = f"no exposure is given for '{name}': it takes the camera's own{own}."
            notes.add("info", path, message)


def _preset(path: KeyPath, group: str, name: str, facts: MicroscopeFacts, notes: Notes) -> None:
    presets = facts.groups[group]
    others = [other for other, names in facts.groups.items() if name in names]
    cure = f"'{name}' is in the group {one_of(others)}: give 'group' as well." if others else None
    notes.add(
        "error",
        (*path, "config"),
        f"group '{group}' of {facts.config} has no preset '{name}'.",
        got=name,
        allowed=one_of(presets),
        suggestion=did_you_mean(name, presets),
        cure=cure,
    )


def _camera(facts: MicroscopeFacts, notes: Notes) -> None:
    path: KeyPath = ("microscope", "config")
    if facts.camera == "":
        notes.add("error", path, f"{facts.config} has no camera.")
    elif facts.camera is None:
        message = f"{facts.config} names no camera: Micro-Manager takes the first that it loads."
        notes.add("warning", path, message, cure="Set the role 'Camera' in the configuration.")
    if facts.components > 1:
        notes.add("error", path, "colour cameras are not available yet.", got=f"camera {facts.camera}")
    elif facts.bytes_per_pixel not in (None, 1, 2):
        got = f"{facts.bytes_per_pixel} bytes a pixel"
        notes.add("error", path, "the camera must give 8- or 16-bit images.", got=got)


def _focus(plan: Plan, facts: MicroscopeFacts, notes: Notes) -> None:
    path = (*_PLAN, "z_plan") if plan.has_z_plan else _PLAN
    if not facts.focus:
        if plan.needs_focus and facts.focus is not None:
            message = f"the plan sets the focus, but {facts.config} has no focus drive."
            notes.add("error", path, message, cure="Set the role 'Focus' in the configuration.")
        return
    count = len(plan.sites_without_z)
    if count:
        where = "all positions" if count == len(plan.sites) else _names(plan.sites_without_z)
        read = plan.start.z_um
        now = f" (now {read:g} um)" if read is not None else ""
        stack = ", with the z plan around it" if plan.has_z_plan else ""
        message = f"no z is given for {where}: they take the focus read when the run starts{now}{stack}."
        notes.add("info", path, message)


def _stage(plan: Plan, facts: MicroscopeFacts, notes: Notes) -> None:
    path = (*_PLAN, "stage_positions")
    if plan.needs_stage and facts.xy_stage == "":
        notes.add("error", path, f"the plan moves the stage, but {facts.config} has no XY stage.")
    elif plan.needs_stage and facts.xy_stage is None:
        message = f"{facts.config} names no XY stage: Micro-Manager takes the first that it loads."
        notes.add("info", path, message)


def _pixel_size(experiment: Experiment, facts: MicroscopeFacts, notes: Notes) -> None:
    message = f"{facts.config} gives no pixel size for the state after loading: areas will be in pixels."
    level: Level = "warning" if experiment.scripts else "info"
    cure = "Calibrate it in Micro-Manager (Devices, Pixel Size Calibration)."
    notes.add(level, ("microscope", "config"), message, cure=cure)


def _names(sites: tuple[Site, ...]) -> str:
    return f"{len(sites)} positions ({one_of([site.name for site in sites], 3)})"
