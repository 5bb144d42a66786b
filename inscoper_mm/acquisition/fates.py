"""What became of each image of the plan, so that a script's request gets a true answer."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from inscoper_mm.experiment.plan import PlannedEvent
from inscoper_mm.images.index import Index

Fate = Literal["stored", "pending", "never", "unknown"]


class Fates:
    """Fate by index: still to come, captured, or never to come."""

    def __init__(self, planned: Iterable[Index]) -> None:
        self._lock = threading.Lock()
        self._fates: dict[Index, Fate] = dict.fromkeys(planned, "pending")

    def add(self, indices: Iterable[Index]) -> None:
        """Images were added to the plan."""
        with self._lock:
            self._fates.update(dict.fromkeys(indices, "pending"))

    def captured(self, index: Index) -> None:
        """The image is in memory or on disk."""
        with self._lock:
            self._fates[index] = "stored"

    def lost(self, index: Index) -> None:
        """The image was skipped or failed."""
        with self._lock:
            self._fates[index] = "never"

    def incomplete(self, event: PlannedEvent) -> bool:
        """Whether ``event``, which was lost, is the last slice of a stack of which others were taken."""
        if not event.stack_end or event.sizes.focus < 2:
            return False
        slices = (replace(event.index, focus=focus) for focus in range(event.sizes.focus))
        return any(self.of(index) == "stored" for index in slices)

    def of(self, index: Index) -> Fate:
        """The fate of the image at ``index``; ``unknown`` if the plan has no such image."""
        return self._fates.get(index, "unknown")
