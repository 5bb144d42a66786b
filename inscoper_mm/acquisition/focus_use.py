"""Whether a run uses the hardware autofocus: opening it, and what stands for it in a run that does not."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from inscoper_mm.acquisition.corrections import Offset
from inscoper_mm.acquisition.focus_lock import FocusLock, Limited, Target
from inscoper_mm.errors import Finding, InvalidInput, short_path
from inscoper_mm.experiment.autofocus import autofocus_of
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import PlannedEvent
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.focus_lock import find_autofocus
from inscoper_mm.microscope.limits import Axis
from inscoper_mm.stream import Stream


class NoFocusLock:
    """No hardware autofocus is used: nothing is done."""

    moved: frozenset[Axis] = frozenset()

    def holding(
        self, event: PlannedEvent, target: Target, correction: Offset, whole_stack: bool = False
    ) -> contextlib.AbstractContextManager[Target]:
        """The target as it is."""
        return contextlib.nullcontext(target)

    def suspended(self, why: str) -> contextlib.AbstractContextManager[None]:
        """Nothing has to be suspended."""
        return contextlib.nullcontext()

    def refuse_move(self, name: str) -> None:
        """The focus drive is free."""

    def refuse_correction(self, name: str, dz_um: float) -> None:
        """The focus drive takes it."""

    def restore(self) -> None:
        """Nothing was changed."""


NO_FOCUS_LOCK = NoFocusLock()


def open_focus_lock(
    experiment: Experiment, microscope: Microscope, limits: Limited, stream: Stream
) -> FocusLock | NoFocusLock:
    """The hardware autofocus as the experiment wants it used; nothing is switched on yet.

    Raises
    ------
    InvalidInput
        The experiment asks for a device that is not there.
    """
    rules = autofocus_of(experiment.autofocus, experiment.acquisition)
    if rules is None:
        return NO_FOCUS_LOCK
    if not microscope.focus:
        message = "an autofocus is asked for, but there is no focus drive (Core-Focus is not set)."
        raise InvalidInput(Finding(message, field="autofocus"))
    try:
        device = find_autofocus(microscope, rules.device, rules.offset_drive, rules.limit_s, rules.settle_s)
    except InvalidInput as error:
        file = short_path(experiment.source) if experiment.source else None
        raise InvalidInput(replace(finding, file=file) for finding in error.findings) from error
    shifted = any(channel.z_offset for channel in experiment.acquisition.channels)
    if rules.mode == "continuous" and device.offset is None and shifted:
        message = f"nothing can shift the focus that '{device.device}' holds, but a channel has a z_offset."
        raise InvalidInput(Finding(message, field="autofocus", cure="Use 'mode: once'."))
    return FocusLock(device, rules, limits, stream)
