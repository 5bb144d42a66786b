"""Hardware sequences: whether the focus drive can run them, and how many images the Core can hold."""

from __future__ import annotations

from dataclasses import dataclass

from inscoper_mm.microscope.core import Microscope

# What adapters call the property that switches sequences of a drive on, and its value.
_SWITCHES = ("UseSequences", "UseSequence", "Use Sequence")
ON = "Yes"
# What the Core's buffer has when a microscope is opened.
BUFFER_BYTES = 1024 * 2**20


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """``slices``: the positions of the focus drive's longest sequence, 0 for none; ``room``: images in the buffer."""

    slices: int
    room: int


def sequence_facts(microscope: Microscope) -> SequenceFacts:
    """What the microscope can; a switch of the focus drive is switched on for the question, and back."""
    switch, core, focus = switch_of(microscope), microscope.core, microscope.focus
    if switch is None:
        return SequenceFacts(most_slices(microscope), room_for(microscope))
    before = core.getProperty(focus, switch)
    try:
        core.setProperty(focus, switch, ON)
        return SequenceFacts(most_slices(microscope), room_for(microscope))
    finally:
        core.setProperty(focus, switch, before)


def switch_of(microscope: Microscope) -> str | None:
    """The property that has to be switched on for sequences of the focus drive; None: there is none."""
    core, focus = microscope.core, microscope.focus
    if not focus or core.isStageSequenceable(focus):
        return None
    for name in _SWITCHES:
        if core.hasProperty(focus, name) and ON in core.getAllowedPropertyValues(focus, name):
            return name
    return None


def most_slices(microscope: Microscope) -> int:
    """How many positions the focus drive's longest sequence has, as it is set now; 0 if it runs none."""
    core, focus = microscope.core, microscope.focus
    if not focus or not core.isStageSequenceable(focus):
        return 0
    return int(core.getStageSequenceMaxLength(focus))


def room_for(microscope: Microscope) -> int:
    """How many images of the present size the Core's circular buffer takes.

    Not what the Core says of its capacity: that is about the size of the images of the last sequence.
    """
    buffer_bytes = int(microscope.core.getCircularBufferMemoryFootprint()) * 2**20
    return images_in(buffer_bytes, microscope.image_bytes) if microscope.camera else 0


def images_in(buffer_bytes: int, image_bytes: int) -> int:
    """How many images a buffer takes."""
    return buffer_bytes // max(image_bytes, 1)
