"""Puts the specimen behind the camera of a running Core.

The devices stay real: the camera really exposes, stages really move and the Core really waits. Only the
pixels that come out are replaced by what the specimen looks like from where the hardware stood when the
exposure began.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from inscoper_mm.specimen.core_state import CoreState
from inscoper_mm.specimen.galvo_light import GalvoLight
from inscoper_mm.specimen.pixel_sizes import PixelSizes
from inscoper_mm.specimen.specimen import Specimen
from inscoper_mm.specimen.view import View

# What decides where the galvo's light falls, and how strong it is.
_LIGHT_DEPENDS_ON = (
    "setGalvoPosition",
    "setShutterOpen",
    "setProperty",
    "setConfig",
    "setState",
    "setStateLabel",
    "setSystemState",
    "setXYPosition",
    "setRelativeXYPosition",
)

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_RECEIVED = "TimeReceivedByCore"
# Images of sequences that nobody asks about must not pile up.
_MOST_VIEWS = 10_000
# Single images that were taken when somebody asks what is seen in one of them: the next one is under way already.
_MOST_WAITING = 2


@dataclass(slots=True)
class _Burst:
    """A running sequence acquisition: its first view, and what the hardware steps through by itself."""

    start: View
    live: bool
    z_um: Sequence[float] = ()
    exposure_ms: Sequence[float] = ()
    taken: int = 0


class Attachment:
    """The specimen behind the camera of one Core instance; see `attach`."""

    def __init__(self, core: Any, specimen: Specimen) -> None:
        self.core = core
        self.specimen = specimen
        self.last_view: View | None = None
        self._state = CoreState(core, specimen.parameters)
        self._pixel_sizes = PixelSizes(core, specimen.parameters) if specimen.parameters.set_affine else None
        self._light = GalvoLight(core, specimen, lambda: self._state.read(None))
        self._shot: View | None = None
        self._shots: deque[View] = deque(maxlen=_MOST_WAITING)
        self._burst: _Burst | None = None
        self._loaded: dict[tuple[str, str], tuple[float, ...]] = {}
        self._running: set[tuple[str, str]] = set()
        self._burst_views: dict[str, View] = {}
        self._replaced: dict[str, Callable[..., Any] | None] = {}
        for name, method in _patches(self).items():
            for spelling in (name, _snake_case(name)):
                if hasattr(core, spelling):
                    self._replaced[spelling] = vars(core).get(spelling)
                    setattr(core, spelling, _bound(method, getattr(core, spelling)))

    def view_of(self, tags: Mapping[str, Any], place_um: Sequence[float | None] = ()) -> View | None:
        """What is seen in the image with these tags: one of a sequence by its time, else one of the last taken.

        Parameters
        ----------
        tags : mapping
        place_um : sequence of float, optional
            Where stage (x, y) and focus were. Of the last images the oldest that fits is meant, and asked for once:
            the next one may have been taken already. Left out: the very last one.
        """
        view = self._burst_views.pop(str(tags.get(_RECEIVED)), None)
        if view is not None or not place_um:
            return view or self.last_view
        for number, shot in enumerate(self._shots):
            if (shot.x_um, shot.y_um, shot.z_um) == tuple(place_um):
                for _ in range(number + 1):
                    self._shots.popleft()
                return shot
        return self.last_view

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def detach(self) -> None:
        """Take the specimen away; the camera shows its own images again."""
        self._light.charge()
        for name, earlier in self._replaced.items():
            # A method of the class needs no more than that the stand-in goes.
            delattr(self.core, name) if earlier is None else setattr(self.core, name, earlier)
        self._replaced.clear()
        if self._pixel_sizes is not None:
            self._pixel_sizes.restore()
            self._pixel_sizes = None

    def read_view(self, image: int | None = None) -> View:
        """What the camera would look at now."""
        # First the time, then the light until now: what falls on the specimen during an exposure is too late for it.
        time_s = self.specimen.now_s()
        self._light.charge()
        view = self._state.read(image)
        return replace(view, time_s=time_s, lights=self._light.seen(view))

    # The methods below stand in for the Core's; ``real`` is the Core's own.

    def _snap(self, real: Callable[..., Any]) -> None:
        # The state is that of the beginning: what moves during the exposure moves too late for this image.
        view = self.read_view(self.specimen.next_image())
        real()
        self.specimen.expose(view)
        self._burst = None
        self._shot = self.last_view = view
        self._shots.append(view)

    def _get(self, real: Callable[..., Any], *args: Any) -> Any:
        return real(*args) if self._shot is None else self.specimen.render(self._shot)

    def _start(self, real: Callable[..., Any], *args: Any) -> None:
        self._begin(live=False)
        real(*args)

    def _start_live(self, real: Callable[..., Any], *args: Any) -> None:
        self._begin(live=True)
        real(*args)

    def _begin(self, live: bool) -> None:
        focus, camera = self.core.getFocusDevice(), self.core.getCameraDevice()
        stepped = {
            kind: self._loaded[kind, device] for kind, device in self._running if device in (focus, camera)
        }
        # The drive's heights; the objective in place may be sharp at others.
        shift_um = self._state.shift().z_um
        heights_um = [z_um - shift_um for z_um in stepped.get("stage", ())]
        self._burst = _Burst(self.read_view(), live, heights_um, stepped.get("exposure", ()))

    def _pop(self, real: Callable[..., Any], *args: Any) -> Any:
        pixels = real(*args)
        if self._burst is None:
            return pixels
        self._burst.taken += 1
        shown = self._render_burst(self._burst)
        if self.last_view is not None and args and _RECEIVED in args[-1].GetKeys():
            self._burst_views[args[-1].GetSingleTag(_RECEIVED).GetValue()] = self.last_view
            if len(self._burst_views) > _MOST_VIEWS:
                del self._burst_views[next(iter(self._burst_views))]
        return shown

    def _last(self, real: Callable[..., Any], *args: Any) -> Any:
        pixels = real(*args)
        return pixels if self._burst is None else self._render_burst(self._burst)

    def _render_burst(self, burst: _Burst) -> Pixels:
        number = self.specimen.next_image()
        view = self.read_view(number)
        if not burst.live:
            view = replace(burst.start, image=number, time_s=view.time_s, lights=view.lights)
        step = max(burst.taken - 1, 0)
        if burst.z_um:
            view = replace(view, z_um=burst.z_um[step % len(burst.z_um)])
        if burst.exposure_ms:
            view = replace(view, exposure_ms=burst.exposure_ms[step % len(burst.exposure_ms)])
        self.last_view = view
        pixels = self.specimen.render(view)
        self.specimen.expose(view)
        return pixels

    def _load(self, kind: str) -> Callable[..., None]:
        def load(real: Callable[..., Any], device: str, values: Sequence[float]) -> None:
            real(device, values)
            self._loaded[kind, device] = tuple(float(value) for value in values)

        return load

    def _step(self, kind: str) -> Callable[..., None]:
        def start(real: Callable[..., Any], device: str) -> None:
            real(device)
            if (kind, device) in self._loaded:
                self._running.add((kind, device))

        return start

    def _unstep(self, kind: str) -> Callable[..., None]:
        def stop(real: Callable[..., Any], device: str) -> None:
            real(device)
            self._running.discard((kind, device))

        return stop


def attach(core: Any, specimen: Specimen) -> Attachment:
    """Show ``specimen`` in the images of ``core`` until `Attachment.detach`.

    Parameters
    ----------
    core : pymmcore.CMMCore or the instance that mmpycorex makes of it
        With a camera, and a configuration loaded. Its XY stage, focus drive and channel group count where
        it has them.
    specimen : Specimen

    Returns
    -------
    Attachment
        Also a context manager that detaches.

    Raises
    ------
    InvalidInput
        If the Core is to be told the true affine and has no pixel-size preset to put it in, or if the specimen's
        parameters name a channel preset that there is none of.
    """
    return Attachment(core, specimen)


def _patches(attachment: Attachment) -> dict[str, Callable[..., Any]]:
    """The Core's methods that are replaced, and by what; the snake_case names are replaced alike."""
    light_changes = dict.fromkeys(_LIGHT_DEPENDS_ON, attachment._light.change)
    return {
        **light_changes,
        "snapImage": attachment._snap,
        "getImage": attachment._get,
        "startSequenceAcquisition": attachment._start,
        "startContinuousSequenceAcquisition": attachment._start_live,
        "popNextImage": attachment._pop,
        "popNextImageMD": attachment._pop,
        "getLastImage": attachment._last,
        "getLastImageMD": attachment._last,
        "getNBeforeLastImageMD": attachment._last,
        "loadStageSequence": attachment._load("stage"),
        "startStageSequence": attachment._step("stage"),
        "stopStageSequence": attachment._unstep("stage"),
        "loadExposureSequence": attachment._load("exposure"),
        "startExposureSequence": attachment._step("exposure"),
        "stopExposureSequence": attachment._unstep("exposure"),
        "pointGalvoAndFire": attachment._light.fire,
        "setGalvoIlluminationState": attachment._light.illuminate,
    }


def _bound(method: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    def stand_in(*args: Any) -> Any:
        return method(real, *args)

    return stand_in


def _snake_case(name: str) -> str:
    """The spelling of mmpycorex: ``popNextImageMD`` -> ``pop_next_image_md``."""
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", words).lower()
