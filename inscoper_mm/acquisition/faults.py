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
    }
)
# The engine asks without a pause; 50 asks with a pause of 2 ms are 0.1 s for an image to be ready.
_IMAGE_ATTEMPTS = 50
_IMAGE_PAUSE_S = 0.002


class FaultKeepingCore:
    """Passes everything on to ``core``; keeps the last exception of the guarded calls in ``fault``.

    Parameters
    ----------
    core : CMMCore
    on_no_image : callable
        Called with the Core's exception when an image could not be read in many attempts; it must end the event.
    on_snap, on_exposed : callable
        Called when an exposure begins and when it has ended, in the engine's thread; must be quick and not raise.
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

    def reset(self) -> None:
        """Forget the last fault; called before each event."""
        self.fault = None
        self._failed_images = 0

    def __getattr__(self, name: str) -> Any:
        if name not in _GUARDED:
            return getattr(self._core, name)
        guarded = {"get_tagged_image": self._image_guard, "snap_image": self._snap_guard}.get(
            name, self._guard
        )

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

    def _image_guard(self, name: str, args: tuple[Any, ...]) -> Any:
        try:
            return self._guard(name, args)
        except Exception as error:
            self._failed_images += 1
            if self._failed_images >= _IMAGE_ATTEMPTS:
                self._on_no_image(error)
            time.sleep(_IMAGE_PAUSE_S)
            raise
