"""What an experiment asks of a hardware autofocus, against what is known about the microscope."""

from __future__ import annotations

from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.errors import did_you_mean, one_of
from inscoper_mm.experiment.autofocus import Autofocus, autofocus_of
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.microscope.focus_lock import AutofocusFacts

_SECTION = ("autofocus",)
_NONE = AutofocusFacts()


def check_autofocus(experiment: Experiment, plan: Plan, facts: MicroscopeFacts, notes: Notes) -> None:
    """Note an autofocus that is asked for and not there, or there and not used, and what it cannot do."""
    rules = autofocus_of(experiment.autofocus, experiment.acquisition)
    known = facts.autofocus
    if rules is None:
        if known is not None and known.role:
            message = f"the hardware autofocus '{known.role}' of {facts.config} is not used."
            notes.add(
                "info", ("microscope", "config"), message, cure="Add 'autofocus:' to hold the focus with it."
            )
        return
    path = _SECTION if experiment.autofocus is not None else ("acquisition", "autofocus_plan")
    if facts.focus == "":
        message = f"an autofocus is asked for, but {facts.config} has no focus drive."
        notes.add("error", path, message, cure="Set the role 'Focus' in the configuration.")
    if not facts.loaded:
        _from_file(rules, known, facts, notes, path)
    elif _device(rules, known or _NONE, facts, notes, path):
        _offset(rules, plan, known or _NONE, notes, path)


def _from_file(
    rules: Autofocus,
    known: AutofocusFacts | None,
    facts: MicroscopeFacts,
    notes: Notes,
    path: tuple[str, ...],
) -> None:
    """A file does not say which devices are autofocus devices, but for the one with that role."""
    if rules.device is None and known is None:
        message = f"{facts.config} names no autofocus device: Micro-Manager takes the first that it loads."
        cure = "Set the role 'AutoFocus' in the configuration, or name the device in 'autofocus.device'."
        notes.add("warning", path, message, cure=cure)
    labels = facts.labels
    for key, label in (("device", rules.device), ("offset_drive", rules.offset_drive)):
        if label is not None and labels and label not in labels:
            message = f"{facts.config} has no device '{label}'."
            near = did_you_mean(label, labels)
            notes.add("error", (*_SECTION, key), message, got=label, suggestion=near)


def _device(
    rules: Autofocus, known: AutofocusFacts, facts: MicroscopeFacts, notes: Notes, path: tuple[str, ...]
) -> bool:
    label = rules.device or known.role
    if label in known.devices:
        return True
    if not known.devices:
        message = f"an autofocus is asked for, but {facts.config} has no autofocus device."
        notes.add("error", path, message, cure="Leave it out, or use the script 'autofocus'.")
    else:
        message = f"{facts.config} has no autofocus device '{label}'."
        near, allowed = did_you_mean(label, known.devices), one_of(known.devices)
        notes.add("error", (*_SECTION, "device"), message, got=label, allowed=allowed, suggestion=near)
    return False


def _offset(rules: Autofocus, plan: Plan, known: AutofocusFacts, notes: Notes, path: tuple[str, ...]) -> None:
    """Whether something shifts the focus that is held; scripts and channels with a z offset need it."""
    label, drive = rules.device or known.role, rules.offset_drive
    if drive is not None:
        if drive not in known.stages:
            near, allowed = did_you_mean(drive, known.stages), one_of(known.stages)
            message = f"there is no drive '{drive}'."
            notes.add("error", (*path, "offset_drive"), message, got=drive, allowed=allowed, suggestion=near)
        return
    if label in known.unclear:
        message = f"several drives may shift the focus that '{label}' holds."
        notes.add("error", path, message, cure="Name one in 'autofocus.offset_drive'.")
    elif rules.mode == "continuous" and label not in known.offsets:
        offset = any(channel.z_offset_um for channel in plan.channels)
        message = (
            f"nothing can shift the focus that '{label}' holds: corrections of the focus will be refused"
        )
        message += ", and the z_offset of a channel cannot be kept." if offset else "."
        cure = "Use 'mode: once', or name the drive in 'autofocus.offset_drive'."
        notes.add("error" if offset else "warning", path, message, cure=cure)
