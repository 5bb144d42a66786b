"""What all scripts of a run share, on the live microscope and in a replay alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.fates import Fates
from inscoper_mm.acquisition.states import States
from inscoper_mm.images.cache import FrameCache
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.output.results import ResultsWriter
from inscoper_mm.stream import Stream


class CallCommands(Protocol):
    """The context of one call: executes its commands until it is revoked; ``command_s`` is the time that took."""

    command_s: float

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Execute the context method ``name`` and return its result."""
        ...

    def log(self, level: str, text: str) -> None:
        """Take a line of the script for the log."""
        ...

    def revoke(self) -> None:
        """Refuse all later commands of this call."""
        ...


class Images(Protocol):
    """Where images go, and what scripts inject into them."""

    def put(self, frame: Frame, limit_s: float) -> None:
        """Take an image."""
        ...

    def answer(self, info: FrameInfo, script: str, values: Mapping[str, Any]) -> None:
        """Take what a script injects into an image."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What all scripts of a run share.

    Parameters
    ----------
    stream : Stream
    stop : StopSwitch
    commands : callable
        ``commands(script, info)``: the context of a call about the image ``info``.
    elapsed_s : callable
        ``elapsed_s(info)``: seconds since the acquisition began, as a call about that image begins.
    published : callable
        ``published(script, info, rois)`` gets the regions that a script has published.
    sizes_at : callable
        The sizes that hold for an index.
    writer : Images
    results : ResultsWriter
    states : States
    cache : FrameCache
    fates : Fates
    """

    stream: Stream
    stop: StopSwitch
    commands: Callable[[str, FrameInfo], CallCommands]
    elapsed_s: Callable[[FrameInfo], float]
    published: Callable[[str, FrameInfo, Any], None]
    sizes_at: Callable[[Index], Sizes]
    writer: Images
    results: ResultsWriter
    states: States
    cache: FrameCache
    fates: Fates
