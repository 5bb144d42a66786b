"""Whether the z-stacks of a plan can be taken as hardware sequences."""

from __future__ import annotations

from inscoper_mm.acquisition.bursts import longest_burst, problems
from inscoper_mm.acquisition.check_microscope import MicroscopeFacts
from inscoper_mm.acquisition.check_notes import Notes
from inscoper_mm.errors import Level
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.microscope.sequences import BUFFER_BYTES, images_in

_PATH = ("bursts",)
# Where the camera is not known: 2048 x 2048 pixels of 16 bit.
_GUESSED_BYTES = 2048 * 2048 * 2


def check_bursts(experiment: Experiment, plan: Plan, facts: MicroscopeFacts, notes: Notes) -> None:
    """Note what keeps ``bursts: z_stack`` from working, as far as it is known without the devices or with them."""
    if experiment.bursts == "none":
        return
    if plan.sizes.focus < 2:
        notes.add("info", _PATH, "the plan has no z-stacks: only those that scripts add are taken as bursts.")
        return
    if longest_burst(plan) < 2:
        message = "the slices of a stack do not follow each other, so each image is taken on its own."
        notes.add("warning", _PATH, message, cure="Let 'acquisition.axis_order' end with z.")
        return
    if facts.focus == "":
        return  # told of the plan already
    focus = facts.focus or "of the configuration"
    known = facts.sequences
    if known is not None:
        for message, cure in problems(plan, focus, known.slices, known.room):
            notes.add("error", _PATH, message, cure=cure)
        return
    _from_file(plan, focus, facts, notes)


def _from_file(plan: Plan, focus: str, facts: MicroscopeFacts, notes: Notes) -> None:
    image_bytes = facts.image_bytes
    room = images_in(BUFFER_BYTES, image_bytes or _GUESSED_BYTES)
    # A guess about the camera is no reason to refuse.
    level: Level = "warning" if image_bytes is None else "error"
    guess = "" if image_bytes else " (if an image has 2048 x 2048 pixels of 16 bit)"
    longest = longest_burst(plan)
    for message, cure in problems(plan, focus, longest, room):
        notes.add(level, _PATH, message.removesuffix(".") + f"{guess}.", cure=cure)
    message = f"whether the focus drive {focus} can run a sequence of {longest} positions is not in the file."
    notes.add("info", _PATH, message, cure="'inscoper-mm check --load' asks it (stages may move).")
