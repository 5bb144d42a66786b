"""What scripts remember between calls: one mapping per script and position, and one per script for the run."""

from __future__ import annotations

import copy
import threading
from typing import Any

State = dict[str, Any]


class States:
    """Committed states. A call works on copies, which are committed only when its result is accepted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[tuple[str, int], State] = {}
        self._run: dict[str, State] = {}

    def copies(self, script: str, position: int) -> tuple[State, State]:
        """Working copies of the state at ``position`` and of the run's state."""
        with self._lock:
            return copy.deepcopy(self._at.get((script, position), {})), copy.deepcopy(
                self._run.get(script, {})
            )

    def commit(self, script: str, position: int, state: State, run_state: State) -> bool:
        """Keep the states of an accepted call; True if they differ from what was there."""
        with self._lock:
            changed = state != self._at.get((script, position), {}) or run_state != self._run.get(script, {})
            if changed:
                self._at[(script, position)] = state
                self._run[script] = run_state
            return changed
