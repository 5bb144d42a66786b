"""How a run ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from inscoper_mm.errors import InvalidInput

State = Literal["completed", "stopped", "aborted", "failed"]

EXIT_OK, EXIT_FAILED, EXIT_INVALID, EXIT_WITH_ERRORS, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended and where its data are.

    ``error`` is the original exception that ended the run; ``stopped_by`` is ``"user"`` or ``"script"``.
    """

    state: State
    folder: Path | None
    counts: Mapping[str, int] = field(default_factory=dict)
    errors: int = 0
    stopped_by: str | None = None
    error: BaseException | None = None
    stuck: bool = False

    @property
    def exit_status(self) -> int:
        """The exit status of the command line."""
        if isinstance(self.error, InvalidInput):
            return EXIT_INVALID
        if self.stopped_by == "user":
            return EXIT_INTERRUPTED
        if self.error is not None:
            return EXIT_FAILED
        return EXIT_WITH_ERRORS if self.errors else EXIT_OK
