"""Devices that a run needs and the microscope does not have: told by the check, so that nothing is a surprise later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.acquisition.limiting import rules_of_experiment, rules_of_files
from inscoper_mm.errors import CommandRefused, Finding, InvalidInput, LimitRefused, short_path
from inscoper_mm.experiment.document import Key
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.experiment.site_file import SiteFile
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.scripting.loader import Script


@dataclass(frozen=True, slots=True)
class Need:
    """Something that commands of scripts need.

    ``missing`` says whether the microscope certainly has none; ``what`` is its name in a sentence.
    """

    what: str
    missing: Callable[[MicroscopeFacts], bool]
    cure: str | None = None


def _has_kind(facts: MicroscopeFacts, *kinds: str) -> bool:
    """Whether there is a sub-device of one of these kinds, or may be one."""
    return facts.inventory is None or any(each.kind in kinds for each in facts.inventory)


_CAMERA = Need("camera", lambda facts: facts.camera == "")
_STAGE = Need("XY stage", lambda facts: facts.xy_stage == "")
_FOCUS = Need("focus drive", lambda facts: facts.focus == "", "Set the role 'Focus' in the configuration.")
_EITHER = Need("XY stage and no focus drive", lambda facts: facts.xy_stage == facts.focus == "")
_CHANNELS = Need(
    "channel group",
    lambda facts: not facts.channel_group,
    "Set Core-ChannelGroup in the configuration.",
)
_PRESETS = Need("group of presets", lambda facts: not facts.groups)
_LIGHT = Need(
    "galvo and no shutter",
    lambda facts: facts.all_known and not _has_kind(facts, "galvo", "shutter", "light"),
)
# Method of the context -> what it needs.
NEEDS: Mapping[str, Need] = {
    **dict.fromkeys(("getStagePosition", "moveStage", "moveStageBy", "centerOn"), _STAGE),
    **dict.fromkeys(("pixelToStage", "stageToPixel"), _STAGE),
    **dict.fromkeys(("getFocus", "moveFocus", "moveFocusBy"), _FOCUS),
    "correctPosition": _EITHER,
    **dict.fromkeys(("getChannels", "getChannel"), _CHANNELS),
    "setChannel": _PRESETS,
    **dict.fromkeys(("getExposure", "setExposure"), _CAMERA),
    "fireOnDemand": _LIGHT,
}


def check_script_devices(
    script: Script, facts: MicroscopeFacts | None, path: tuple[Key, ...], notes: Notes
) -> None:
    """Warn of each command in the script's text that needs a device that is not there."""
    if facts is None:
        return
    for name, line in script.context_names.items():
        need = NEEDS.get(name)
        if need is not None and need.missing(facts):
            message = f"{name}() is used, but {facts.config} has no {need.what}: {_outcome(name)}."
            finding = Finding(
                message, "warning", short_path(script.spec.file), line, cure=need.cure, function=None
            )
            notes.place(finding, path)


def _outcome(name: str) -> str:
    return {"getChannels": "it gives an empty list", "getChannel": "it gives None"}.get(
        name, "the call will be refused"
    )


def refuse_missing(microscope: Microscope, plan: Plan) -> None:
    """Hold the plan's channels and the camera against the loaded devices, before anything is started.

    Raises
    ------
    InvalidInput
    """
    findings = [] if microscope.camera else [Finding(f"{microscope.config.name} has no camera.")]
    for channel in plan.channels:
        if channel.name is not None and channel.group is not None:
            try:
                microscope.find_channel(channel.name, channel.group)
            except CommandRefused as error:
                findings.append(Finding(str(error), field="acquisition.channels"))
    if findings:
        raise InvalidInput(findings)


def check_at_end(
    experiment: Experiment, facts: MicroscopeFacts, files: Sequence[SiteFile], notes: Notes
) -> None:
    """Say where stage and focus are left, and note places that are out of the limits or have no device."""
    at_end = experiment.at_end
    targets: dict[str, dict[Axis, float]] = {}
    for name, wanted, device, what in (
        ("stage", at_end.stage, facts.xy_stage, "XY stage"),
        ("focus", at_end.focus, facts.focus, "focus drive"),
    ):
        if wanted == "stay":
            continue
        if device == "":
            message = f"{facts.config} has no {what}: nothing goes anywhere at the end."
            notes.add("warning", ("at_end", name), message)
        elif isinstance(wanted, tuple):
            targets[name] = {"x_um": wanted[0], "y_um": wanted[1]}
        elif not isinstance(wanted, str):
            targets[name] = {"z_um": wanted}
    rules = rules_of_files(files).tightened(rules_of_experiment(experiment))
    limits = facts.limits.tightened(rules.envelope)
    for name, target in targets.items():
        try:
            limits.check(f"at_end.{name}", target)
        except LimitRefused as error:
            notes.add("error", ("at_end", name), str(error).removesuffix(" Nothing was moved."))


def check_light(plan: Plan, facts: MicroscopeFacts, notes: Notes) -> None:
    """Exposures that the camera does not take, and light that nothing switches."""
    if facts.all_known and not _has_kind(facts, "shutter", "light"):
        message = f"{facts.config} has no shutter: the light is not switched between images, nor at the end."
        notes.add("info", ("microscope", "config"), message)
    exposure = facts.inventory.find(f"{facts.camera}.Exposure") if facts.inventory and facts.camera else None
    if exposure is None:
        return
    takes = exposure.constraints
    for number, channel in enumerate(plan.channels):
        wanted = channel.exposure_ms
        too_short = wanted is not None and takes.minimum is not None and wanted < takes.minimum
        too_long = wanted is not None and takes.maximum is not None and wanted > takes.maximum
        if too_short or too_long:
            path = ("acquisition", "channels", number, "exposure")
            message = f"the camera {facts.camera} does not take this exposure."
            notes.add("error", path, message, got=f"{wanted:g}", allowed=takes.allowed)
