"""The only module that knows pycromanager: events in, their images out, and every error as it was.

Several events that are given at once are one burst: the engine merges them, and camera and focus drive run through them
as one hardware sequence.

Every wait has a limit. Where pycromanager 1.0.2 loses an error (the last event of a call, hooks) or waits for ever,
this module stands in between; see ``docs/decisions``.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any

from inscoper_mm.acquisition.faults import FaultKeepingCore
from inscoper_mm.errors import DeviceError, Finding, InvalidInput
from inscoper_mm.images.frame import Pixels, StagePosition

# An image reaches us within milliseconds of the end of its event; this is for a machine under heavy load.
_IMAGE_LIMIT_S = 30.0
# A burst that is late is aborted, and given this long to end: then it can be tried again.
_ABORT_LIMIT_S = 10.0
# An image that waited longer than this between camera and us has told another time than ours.
_LONGEST_LAG_S = 10.0


class EngineStuck(DeviceError):
    """The engine did not end within its limit: a device hangs. The process may have to be ended by force."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """What was read when the exposure had ended; ``error`` if reading the position failed: the image is good.

    For an image of a burst, ``position`` is where the devices were when the burst had ended: while a drive runs a
    sequence, nobody can ask it where it is.
    """

    end_s: float
    position: StagePosition
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class RawImage:
    """An image as the engine delivered it; times in seconds on the clock given to the engine."""

    pixels: Pixels
    tags: dict[str, Any]
    exposed: Exposed
    arrived_s: float


class PycroEngine:
    """Runs events one at a time, or bursts of them, through pycromanager's ``Acquisition``.

    Parameters
    ----------
    core : CMMCore
        As made by ``mmpycorex``.
    now : callable
        The run's clock, in seconds.
    read_position : callable
        Read once per exposure, in the engine's thread, when the exposure has ended.
    """

    def __init__(
        self, core: Any, now: Callable[[], float], read_position: Callable[[], StagePosition]
    ) -> None:
        self._now = now
        self._read_position = read_position
        self._exposing = threading.Event()
        self._core = FaultKeepingCore(core, self._abort_with, self._exposing.set, self._stamp)
        self._images: SimpleQueue[tuple[Pixels, dict[str, Any], float, float]] = SimpleQueue()
        self._exposed: Exposed | None = None
        self._acquisition: Any = None
        self._future: Any = None
        self._axes: list[dict[str, int]] = []
        self.stuck = False

    # -- life

    def start(self) -> None:
        """Make the acquisition.

        Raises
        ------
        InvalidInput
            If the camera cannot be used (none, or colour).
        Exception
            Whatever pycromanager's constructor raises, with its threads ended.
        """
        from pycromanager import Acquisition

        self._refuse_camera()
        _use_core(self._core)
        try:
            # No directory: our own writer stores the images, and the process function keeps them out of memory.
            # No hook either: the end of an exposure is stamped where the Core returns, 0.15 ms before a hook could.
            self._acquisition = Acquisition(name="inscoper_mm", image_process_fn=self._receive)
        except BaseException as error:
            _end_threads_of_failed_constructor(error)
            raise

    def _refuse_camera(self) -> None:
        if not self._core.getCameraDevice():
            raise InvalidInput(Finding("The configuration has no camera (Core-Camera is not set)."))
        components, width = self._core.getNumberOfComponents(), self._core.getBytesPerPixel()
        if components != 1 or width not in (1, 2):
            raise InvalidInput(
                Finding(
                    "Only grey images of 8 or 16 bit can be acquired.",
                    got=f"{components} components, {width} bytes per pixel from camera {self._core.getCameraDevice()}",
                    cure="Set the camera's PixelType to 8bit or 16bit in the configuration.",
                )
            )

    def close(self, limit_s: float = 30.0) -> None:
        """End the acquisition and its threads within ``limit_s``.

        Raises
        ------
        EngineStuck
            If a thread does not end; the process must then be ended by force.
        """
        acquisition, self._acquisition = self._acquisition, None
        if acquisition is None:
            return
        ended = threading.Event()

        def finish() -> None:
            # What await_completion raises was raised for the event already; here only the end of the threads counts.
            with contextlib.suppress(Exception):
                acquisition.mark_finished()
                acquisition.await_completion()
            ended.set()

        threading.Thread(target=finish, name="inscoper-mm engine close", daemon=True).start()
        if not ended.wait(limit_s):
            self.stuck = True
            raise EngineStuck(f"The acquisition engine did not end within {limit_s:g} s; a device may hang.")

    def abort(self) -> None:
        """End the running event as soon as the engine looks; callable from any thread."""
        acquisition = self._acquisition
        if acquisition is not None:
            acquisition.abort()

    # -- one event, or one burst

    def submit(self, *events: dict[str, Any]) -> None:
        """Give ``events`` to the engine, which begins at once; ``wait`` for them before the next ones.

        Several events must differ in ``axes`` and ``z`` only, and the focus drive must stand at the first one's ``z``:
        the engine starts the sequence from wherever it is.
        """
        from pycromanager.acquisition.acq_eng_py.main.acquisition_event import AcquisitionEvent

        if self._acquisition is None:
            self.start()
        self._core.reset()
        self._forget_images()
        self._axes = [event["axes"] for event in events]
        self._exposed = None
        self._exposing.clear()
        inner = self._acquisition._acq
        made = [AcquisitionEvent.from_json(event, inner) for event in events]
        self._future = inner.submit_event_iterator(iter(made))

    def wait_for_exposure(self, limit_s: float) -> None:
        """Wait until the camera of the submitted event exposes, but no longer than ``limit_s``.

        What is done then costs no time: the engine's thread waits for the camera and needs no Python.
        """
        self._exposing.wait(limit_s)

    def wait(self, limit_s: float) -> None:
        """Wait until the engine is over with what was submitted; the images are fetched with ``images()``.

        Raises
        ------
        EngineStuck
            If it takes longer than ``limit_s``.
        Exception
            The Core's own exception where there is one, otherwise the engine's.
        """
        try:
            self._wait(limit_s)
        except EngineStuck:
            raise  # the Core may hang
        except BaseException:
            if self._is_burst:
                self._end_sequence()
            raise
        finally:
            if self._is_burst and not self.stuck:
                self._stamp()
        if self._is_burst and self._core.sequences != 1:
            raise DeviceError(
                f"The engine made {self._core.sequences} hardware sequences of a burst of {len(self._axes)} images."
            )

    @property
    def _is_burst(self) -> bool:
        return len(self._axes) > 1

    def _wait(self, limit_s: float) -> None:
        future, inner = self._future, self._acquisition._acq
        try:
            future.result(limit_s)
        except concurrent.futures.TimeoutError:
            if not future.done():
                self._give_up(limit_s)
            raise
        except Exception as error:  # noqa: BLE001  (a thread border: raised as what it was in the engine's thread)
            original = self._core.fault or error
            self._revive()
            raise original from (error if original is not error else None)
        if inner.is_abort_requested():
            original = self._core.fault or inner.abort_exception_
            self._revive()
            raise original or DeviceError("The event was aborted.")

    def images(self) -> list[RawImage]:
        """The images of what was executed last, in order.

        Raises
        ------
        DeviceError
            If the engine delivered too few, or others.
        """
        return [self._image(axes) for axes in self._axes]

    def image(self) -> RawImage:
        """The image of the event that was executed last; raises as `images` does."""
        return self.images()[0]

    def arrived(self) -> list[RawImage]:
        """After a burst that failed: the images that it had delivered, in order."""
        images = []
        with contextlib.suppress(DeviceError):
            for axes in self._axes:
                images.append(self._image(axes, limit_s=0.0))
        return images

    def _image(self, axes: dict[str, int], limit_s: float = _IMAGE_LIMIT_S) -> RawImage:
        try:
            pixels, tags, arrived_s, ended_s = self._images.get(timeout=limit_s)
        except Empty:
            raise DeviceError("The engine reported the event as done, but delivered no image.") from None
        exposed = self._exposed
        if exposed is None:
            raise DeviceError("The engine delivered an image, but did not report its exposure.")
        if tags.get("Axes") != axes:
            raise DeviceError(f"The engine delivered the image of {tags.get('Axes')} for that of {axes}.")
        if self._is_burst:
            exposed = replace(exposed, end_s=ended_s)
        return RawImage(pixels, tags, exposed, arrived_s)

    def _end_sequence(self) -> None:
        """After a failed burst: the engine leaves camera and focus drive running in some cases."""
        core = self._core
        for end in (
            lambda: core.isSequenceRunning() and core.stopSequenceAcquisition(),
            lambda: core.stopStageSequence(core.getFocusDevice()),
            core.clearCircularBuffer,
        ):
            with contextlib.suppress(
                Exception
            ):  # what has not begun cannot be ended; the error is told already
                end()

    def _give_up(self, limit_s: float) -> None:
        self.abort()
        if self._is_burst:
            concurrent.futures.wait([self._future], _ABORT_LIMIT_S)
            if self._future.done():
                self._revive()
                raise DeviceError(f"The burst did not end within {limit_s:g} s and was aborted.")
        self.stuck = True
        fault = f" The last error of a device: {self._core.fault}" if self._core.fault else ""
        raise EngineStuck(f"The event did not end within {limit_s:g} s: a device hangs.{fault}")

    def _abort_with(self, error: BaseException) -> None:
        acquisition = self._acquisition
        if acquisition is not None:
            acquisition._acq.abort(error)

    def _revive(self) -> None:
        """After a failed event: one that pycromanager has aborted takes no more events; the next makes a new one."""
        if self._acquisition is not None and self._acquisition._acq.is_abort_requested():
            self.close()

    def _forget_images(self) -> None:
        """An image that came too late for its own event must not be taken for the next one's."""
        while not self._images.empty():
            self._images.get()

    # -- called in pycromanager's threads: nothing may be raised here

    def _receive(self, pixels: Pixels, tags: dict[str, Any]) -> None:
        arrived_s = self._now()
        self._images.put((pixels, tags, arrived_s, arrived_s - _lag_s(tags)))

    def _stamp(self) -> None:
        end_s = self._now()
        try:
            self._exposed = Exposed(end_s, self._read_position())
        except Exception as error:  # noqa: BLE001  (a thread border: raised again by image())
            self._exposed = Exposed(end_s, StagePosition(), error)


def _lag_s(tags: dict[str, Any]) -> float:
    """How long ago the Core got this image of a sequence; 0 where it does not say so, or cannot be believed."""
    try:
        received = datetime.fromisoformat(str(tags["TimeReceivedByCore"]))
        lag_s = (datetime.now() - received).total_seconds()  # the Core writes local time, too
    except (KeyError, ValueError, TypeError):
        return 0.0
    return lag_s if 0.0 <= lag_s <= _LONGEST_LAG_S else 0.0


def _use_core(core: FaultKeepingCore) -> None:
    """Make pycromanager's engine work on ``core``; the engine is one per process and would keep a core that is gone."""
    from pycromanager.acquisition.acq_eng_py.internal.engine import Engine

    shut_engine()
    Engine(core)


def shut_engine() -> None:
    """End pycromanager's engine threads and forget the engine, so that another core can be loaded."""
    from pycromanager.acquisition.acq_eng_py.internal.engine import Engine

    engine = Engine.get_instance()
    if engine is not None:
        engine.acq_executor.shutdown(wait=False)
        engine.event_generator_executor.shutdown(wait=False)
        del Engine.singleton


def _end_threads_of_failed_constructor(error: BaseException) -> None:
    """End the threads that a half-made acquisition has started: they would keep the process alive for ever."""
    from pycromanager.acquisition.acq_eng_py.main.acq_notification import AcqNotification

    for candidate in _selves(error):
        queue = getattr(candidate, "_event_queue", None)
        if queue is not None:
            candidate._acq = _NeverMade()  # the thread that gets the end mark finishes this
            queue.put(None)
        handler = getattr(candidate, "notification_handler_", None)
        if handler is not None:
            handler.post_notification(AcqNotification.create_acq_events_finished_notification())
            handler.post_notification(AcqNotification.create_data_sink_finished_notification())


class _NeverMade:
    """Stands for the inner acquisition that the failed constructor did not make."""

    def finish(self) -> None:
        """There is nothing to finish."""

    def block_until_events_finished(self) -> None:
        """There are no events."""


def _selves(error: BaseException) -> Iterator[Any]:
    trace = error.__traceback__
    while trace is not None:
        if "self" in trace.tb_frame.f_locals:
            yield trace.tb_frame.f_locals["self"]
        trace = trace.tb_next


__all__ = ["EngineStuck", "Exposed", "PycroEngine", "RawImage", "shut_engine"]
