"""Events that will not be acquired: noted for the scripts' requests, and told."""

from __future__ import annotations

from inscoper_mm.acquisition.fates import Fates
from inscoper_mm.experiment.plan import PlannedEvent
from inscoper_mm.records import EventSkipped, StackIncomplete
from inscoper_mm.stream import Stream


class Losses:
    """Tells what is lost, and which stacks are incomplete for it.

    Parameters
    ----------
    fates : Fates
    stream : Stream
    """

    def __init__(self, fates: Fates, stream: Stream) -> None:
        self._fates = fates
        self._publish = stream.publish

    def tell(self, event: PlannedEvent, reason: str, script: str | None = None) -> None:
        """``event`` will not be acquired; ``script`` has taken it out of the plan, if it was one."""
        self._fates.lost(event.index)
        self._publish(EventSkipped(event.id, event.index.to_dict(), reason, script))
        if self._fates.incomplete(event):
            self._publish(StackIncomplete(event.id, event.index.to_dict()))
