"""The seam between a run and the place where a script runs: what every place offers, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from inscoper_mm.errors import Finding
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.scripting.answers import Answer
from inscoper_mm.scripting.named import Named

# What a provider may take while the processing function is at work, if its own limit is less.
BUSY_LIMIT_S = 10.0

HostLog = Callable[[str, str, str | None], None]
"""``log(level, text, event_id)``: a line that a script printed outside a call of its processing function."""


class Commands(Protocol):
    """What a running processing function can ask of the run."""

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Execute the context method ``name`` and return its result (plain values); may block for the turn.

        Raises
        ------
        LimitRefused, CommandRefused
        """
        ...

    def log(self, level: str, text: str) -> None:
        """Take a line of the script's print, logging, warnings or ``context.log``; from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class CallState:
    """What a call starts from: working copies of its states, its folder, and the run's clock now."""

    state: dict[str, Any] = field(default_factory=dict)
    run_state: dict[str, Any] = field(default_factory=dict)
    export_path: Path = Path()
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call returned: the checked answer, the states to commit, and the script's own time."""

    answer: Answer
    state: dict[str, Any]
    run_state: dict[str, Any]
    process_s: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What loading found out about a script."""

    provider: str
    process: str
    asynchronous: bool
    processors: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()
    named: tuple[Named, ...] = ()


class ScriptHost(Protocol):
    """One script in its place.

    ``provide`` and ``process`` may be called from one thread each, at the same time. All waits are limited.
    Faults are :class:`~inscoper_mm.errors.ScriptFault` of kind raised, timeout, died or rubbish; after a
    timeout and a death ``alive`` is False until :meth:`restart`.
    """

    @property
    def name(self) -> str:
        """The script's name in this run."""
        ...

    @property
    def alive(self) -> bool:
        """Whether calls can be made."""
        ...

    @property
    def facts(self) -> Facts | None:
        """What loading found; None before :meth:`start`."""
        ...

    def start(self, limit_s: float) -> float:
        """Load the script and run its ``prepare``. Return the seconds this took.

        Raises
        ------
        InvalidInput
            The script or its values are wrong.
        ScriptFault
            ``prepare`` failed, or the limit passed.
        """
        ...

    def provide(self, info: FrameInfo, image: Frame, limit_s: float) -> Any:
        """Ask the image provider about a new image. Return its answer as it is.

        While the processing function is at work, the limit is at least ``BUSY_LIMIT_S``: a library that does not
        let other threads run is not the provider's fault.
        """
        ...

    def process(
        self,
        images: Sequence[Frame],
        new: Frame,
        commands: Commands,
        state: CallState,
        limit_s: float,
    ) -> Reply:
        """Call the processing function with ``images``.

        ``limit_s`` is for the script: time that its commands take in the run does not count.
        """
        ...

    def restart(self, limit_s: float) -> float:
        """Load the script anew, unless it is alive. Return the seconds this took."""
        ...

    def close(self, limit_s: float) -> None:
        """End the place for good; a running call fails. Safe to call from any thread, and twice."""
        ...
