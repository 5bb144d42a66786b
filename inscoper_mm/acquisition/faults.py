"""The Core as the engine sees it: it remembers the exception that the engine is about to lose.

pycromanager's engine retries a failing device and then raises "Error executing event" with the reason gone, and it
asks a camera that cannot deliver its image again for ever. Standing between the two, this keeps the Core's own
exception, and after some attempts at the image ends the event with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

# The calls that move hardware or take images while the engine executes an event.
_GUARDED = frozenset(
    {
        "set_xy_position",
        "set_position",
        "set_config",
        "wait_for_config",
        "wait_for_device",
        "set_exposure",
        "setExposure",
        "setProperty",
        "snap_image",
        "get_tagged_image",
        "prepare_sequence_acquisition",
        "start_sequence_acquisition",
        "load_stage_sequence",
        "start_stage_sequence",
        "pop_next_tagged_image",
    }
)
# The engine asks without a pause; 50 asks with a pause of 2 ms are 0.1 s for an image to be ready.
_IMAGE_ATTEMPTS = 50
_IMAGE_PAUSE_S = 0.002
# In a sequence it asks until the next image is there; without a pause it would take the processor from everybody else.
_EMPTY_PAUSE_S = 0.0005


class FaultKeepingCore:
    """Passes everything on to ``core``; keeps the last exception of the guarded calls in ``fault``.

    Parameters
    ----------
    core : CMMCore
    on_no_image : callable
        Called with the Core's exception when an image could not be read in many attempts; it must end the event.
    on_snap, on_exposed : callable
        Called when an exposure (or a sequence of them) begins, and when a single one has ended, in the engine's
        thread; must be quick and not raise.

    Attributes
    ----------
    fault : BaseException or None
    sequences : int
        How many hardware sequences the camera has begun since ``reset``.
    """

    def __init__(
        self,
        core: Any,
        on_no_image: Callable[[BaseException], None],
        on_snap: Callable[[], None],
        on_exposed: Callable[[], None],
    ) -> None:
        self._core = core
        self._on_no_image = on_no_image
        self._on_snap = on_snap
        self._on_exposed = on_exposed
        self._failed_images = 0
        self.fault: BaseException | None = None
        self.sequences = 0

    def reset(self) -> None:
        """Forget the last fault; called before each event."""
        self.fault = None
        self._failed_images = 0
        self.sequences = 0

    def __getattr__(self, name: str) -> Any:
        if name not in _GUARDED:
            return getattr(self._core, name)
        guarded = {
            "get_tagged_image": self._image_guard,
            "snap_image": self._snap_guard,
            "start_sequence_acquisition": self._sequence_guard,
            "pop_next_tagged_image": self._pop_guard,
        }.get(name, self._guard)

        def call(*args: Any) -> Any:
            return guarded(name, args)

        self.__dict__[name] = call  # found without this method from now on
        return call

    def _guard(self, name: str, args: tuple[Any, ...]) -> Any:
        try:
            return getattr(self._core, name)(*args)
        except Exception as error:
            self.fault = error
            raise

    def _snap_guard(self, name: str, args: tuple[Any, ...]) -> Any:
        self._on_snap()
        result = self._guard(name, args)
        self._on_exposed()
        return result

    def _sequence_guard(self, name: str, args: tuple[Any, ...]) -> Any:
        self.sequences += 1
        self._on_snap()
        return self._guard(name, args)

    def _pop_guard(self, name: str, args: tuple[Any, ...]) -> Any:
        """The next image of a sequence. That there is none yet is no fault; that one cannot be read is."""
        try:
            image = getattr(self._core, name)(*args)
        except Exception as error:
            if self._core.getRemainingImageCount() > 0:
                self._failed_images += 1
                if self._failed_images >= _IMAGE_ATTEMPTS:
                    self.fault = error
                    self._on_no_image(error)
            time.sleep(_EMPTY_PAUSE_S)
            raise
        self._failed_images = 0
        return image

    def _image_guard(self, name: str, args: tuple[Any, ...]) -> Any:
        try:
            return self._guard(name, args)
        except Exception as error:
            self._failed_images += 1
            if self._failed_images >= _IMAGE_ATTEMPTS:
                self._on_no_image(error)
            time.sleep(_IMAGE_PAUSE_S)
            raise
