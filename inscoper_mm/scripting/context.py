"""``IIS_CONTEXT``: the live microscope as a script sees it, as a Protocol, and the tables derived from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class ScriptContext(Protocol):
    """What a script may do with the microscope and the run.

    Commands are executed at once while the run waits for the script, otherwise at the next border between
    events; the caller waits, with a limit. Every method that moves or sets something raises ``LimitRefused``
    outside a safety limit and ``CommandRefused`` if it cannot be executed; in both cases nothing was moved.
    A one-off move holds until the next planned event, which goes where the plan says. Stage coordinates are
    (x, y) in micrometres, image coordinates (row, col) in pixels.
    """

    state: dict[str, Any]
    """JSON values that last between the calls for this position; kept if the call succeeds."""
    runState: dict[str, Any]
    """JSON values that last between all calls of this script; kept if the call succeeds."""
    exportPath: Path
    """The folder for this script's own files. It exists."""
    elapsed_s: float
    """Seconds since the acquisition began, now: the clock of ``elapsedTime_ms``."""

    def getStagePosition(self) -> tuple[float, float]:
        """Return (x_um, y_um) as the stage reports it."""
        ...

    def moveStage(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Move the stage, one-off, to a place. Return the (x_um, y_um) reached."""
        ...

    def moveStageBy(self, dx_um: float, dy_um: float) -> tuple[float, float]:
        """Move the stage, one-off, by a distance. Return the (x_um, y_um) reached."""
        ...

    def centerOn(self, row: float, col: float, image: Any = None) -> tuple[float, float]:
        """Move the stage, one-off, so that what is at a pixel comes to the middle of the image.

        ``image`` is the one that the pixel belongs to, without one the new image; the stage's real position when it
        was taken counts. Return the (x_um, y_um) reached.
        """
        ...

    def getFocus(self) -> float:
        """Return z_um as the focus drive reports it."""
        ...

    def moveFocus(self, z_um: float) -> float:
        """Move the focus, one-off, to a height. Return the z_um reached.

        Refused while a hardware autofocus holds the focus.
        """
        ...

    def moveFocusBy(self, dz_um: float) -> float:
        """Move the focus, one-off, by a distance. Return the z_um reached.

        Refused while a hardware autofocus holds the focus.
        """
        ...

    def correctPosition(
        self,
        dx_um: float = 0,
        dy_um: float = 0,
        dz_um: float = 0,
        positions: str | int | Sequence[str | int] = "current",
    ) -> dict[str, float]:
        """Shift all later events of ``positions``: "current", "all", an index, a name, or a list of these.

        Corrections add up, those of several scripts too, and go through the experiment's ``corrections`` (dead band,
        gain, largest step, largest total, decay). Nothing moves now. While a hardware autofocus holds the focus,
        ``dz_um`` goes to its offset. Return the total correction of the current position in micrometres.
        """
        ...

    def getChannels(self) -> list[str]:
        """Return the names of the presets of the channel group; empty where there is none."""
        ...

    def getChannel(self) -> str | None:
        """Return the present channel, or None if the devices match no preset."""
        ...

    def setChannel(self, channel: str | Mapping[str, Any]) -> str:
        """Apply a channel until the next planned event, which has the plan's light again. Return its preset's name.

        ``channel`` is a name, or a mapping as the value of a parameter hinted "channel": ``config``, and where given
        ``group`` (else the channel group), ``exposure`` in ms, and ``z_offset`` in um from the planned focus.
        """
        ...

    def getExposure(self) -> float:
        """Return the camera's exposure in ms."""
        ...

    def setExposure(self, ms: float) -> float:
        """Set the exposure until the next planned event. Return what the camera made of it, in ms.

        Raises ``LimitRefused`` outside the camera's range.
        """
        ...

    def stop(self, reason: str = "") -> None:
        """End the run after the present event; what was captured is stored."""
        ...

    def log(self, message: object) -> None:
        """Write a line into the run's log, with the image that it belongs to."""
        ...

    def getSubDevices(self, kind: str | None = None) -> list[str]:
        """Return the ids of the connected sub-devices that can be set, of one kind or of all.

        Kinds: stage focus offset state shutter light power signal galvo slm exposure binning roi gain property.
        """
        ...

    def getConstraints(self, id: str) -> dict[str, Any]:
        """Return what a sub-device takes, as a dict.

        ``kind`` and ``type`` ("number", "integer", "text", "switch", "state", "numbers") and ``settable`` are
        always there; ``unit min max step values names reason focusDirection`` where they say something.
        """
        ...

    def get(self, id: str) -> Any:
        """Return what a sub-device reports now: a number, text, a bool, a label, or a list of numbers."""
        ...

    def set(self, id: str, value: Any, wait: bool = True) -> Any:
        """Set a sub-device (by id or alias), wait until it is done, and return what it reports then.

        A state device takes a label or a number. With ``wait=False`` the call returns at once, and the next
        event waits for the device. The stage and the focus of the run move one-off, within the limits, and are
        always waited for; an exposure holds until the next planned event; all else until it is set again.
        """
        ...

    def check(self, id: str) -> bool:
        """Return whether a sub-device answers, is not busy, and has the value that it was last set to."""
        ...

    def fireOnDemand(
        self,
        roi: Any = None,
        subDevice: str | None = None,
        duration_ms: float | None = None,
        power: float | None = None,
        repetitions: int = 1,
        wait: bool = True,
    ) -> dict[str, Any]:
        """Fire light at a region, or at the whole field. Return what was really done.

        ``roi`` is a region ``{"type", "points", "unit"}`` or a list of these, as in the data processor ``roi``; px
        belong to the new image. Without it the last ``roi`` that the script published counts. ``subDevice`` is a
        galvo, which points the light, or a shutter or light, which without ``roi`` lights the whole field.
        ``duration_ms`` is for each point. What is left out is the experiment's ``photomanipulation:``. Without ``wait``
        everything is checked, and the call returns while the light is on; no image is taken meanwhile.
        """
        ...

    def pixelToStage(self, row: float, col: float, image: Any = None) -> tuple[float, float]:
        """Return the stage coordinate (x_um, y_um) that is seen at a pixel of ``image``; without one, the new image.

        Camera orientation, binning and region are accounted for. For many pixels at once, the image's metadata have
        ``pixelToStage_um``: [a, b, tx, c, d, ty] with x = a col + b row + tx and y = c col + d row + ty.
        """
        ...

    def stageToPixel(self, x_um: float, y_um: float, image: Any = None) -> tuple[float, float]:
        """Return the (row, col) of ``image`` at which a stage coordinate is seen; it may lie outside of the image."""
        ...

    def acquire(
        self,
        position: Any = None,
        channels: Any = None,
        zStack: Any = None,
        objective: str | None = None,
        after_s: float = 0,
        label: str | None = None,
        *,
        times: int = 1,
        interval_s: float = 0,
        priority: int = 0,
    ) -> dict[str, Any]:
        """Add images to the plan; they come at the next border between stacks, or when they are due.

        ``position``: None (that of the image), index or name of a planned one, (x_um, y_um), (x_um, y_um, z_um) or a
        mapping of these. ``channels``: names or channels; None: that of the image. ``zStack``: a list of offsets, or
        {"range_um", "step_um"}. ``objective``: a label or preset; None: the plan's. ``priority`` below 0: when the
        plan has nothing to do. Return {"positionIndex", "images", "events", "due_s"}: the images' own position index,
        how many they are, the first and the last id, and when the first is due.
        """
        ...

    def skip(
        self,
        position: Any = "current",
        channel: str | None = None,
        until_s: float | None = None,
        label: str | None = None,
    ) -> int:
        """Take planned events of a position ("current", "all", an index, a name) out of the plan, from now on.

        Only those of ``channel``, and due before ``until_s`` seconds of the run, where given. ``label``: instead, the
        added images of that name. Return how many events these are.
        """
        ...

    def setInterval(self, s: float) -> int:
        """Change the time between the time points still to come; return how many these are."""
        ...


@dataclass(frozen=True, slots=True)
class ContextMethod:
    """A method of the context; ``signature`` without self."""

    name: str
    signature: inspect.Signature
    doc: str


def _methods() -> dict[str, ContextMethod]:
    found = {}
    for name, function in vars(ScriptContext).items():
        if inspect.isfunction(function) and not name.startswith("_"):
            signature = inspect.signature(function)
            own = signature.replace(parameters=list(signature.parameters.values())[1:])
            found[name] = ContextMethod(name, own, inspect.getdoc(function) or "")
    return found


CONTEXT_METHODS: Mapping[str, ContextMethod] = _methods()
CONTEXT_ATTRIBUTES: tuple[str, ...] = tuple(ScriptContext.__annotations__)
CONTEXT_NAMES: tuple[str, ...] = (*CONTEXT_METHODS, *CONTEXT_ATTRIBUTES)
