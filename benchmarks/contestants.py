"""The loops to compare: each acquires images one by one, stores them all, and tells when each arrived."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import useq
from demo_camera import CONFIG, EXPOSURE_MS

from inscoper_mm.acquisition.engine import shut_engine
from inscoper_mm.acquisition.session import run_experiment
from inscoper_mm.experiment.model import Experiment, Place, Policy, ScriptConfig
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.records import Captured, Record

SCRIPTS = Path(__file__).resolve().parent / "scripts"
_LIMIT_S = 60.0


class Contestant(Protocol):
    """A way to run a loop."""

    name: str

    def run(self, images: int, folder: Path) -> list[float]:
        """Acquire ``images`` into ``folder``; returns the arrival times in seconds."""
        ...


def time_series(images: int) -> useq.MDASequence:
    """``images`` as fast as they come."""
    return useq.MDASequence(time_plan={"interval": 0, "loops": images})


class RawCore:
    """The Core alone: snap and get, nothing stored. What no loop can be faster than."""

    name = "Core alone (nothing stored)"

    def __init__(self, core: Any) -> None:
        self._core = core

    def run(self, images: int, folder: Path) -> list[float]:
        """See Contestant."""
        arrived = []
        for _ in range(images):
            self._core.snapImage()
            self._core.getImage()
            arrived.append(time.perf_counter())
        return arrived


class BarePycromanager:
    """pycromanager's ``Acquisition`` with one event at a time and a process function that does nothing.

    Parameters
    ----------
    core : CMMCore
    wait_for : {"processed", "saved"}
        What the next event waits for: the process function, or the saved image's future.
    """

    def __init__(self, core: Any, wait_for: str) -> None:
        self.name = f"pycromanager, next event when {wait_for}"
        self._core = core
        self._saved = wait_for == "saved"

    def run(self, images: int, folder: Path) -> list[float]:
        """See Contestant."""
        from pycromanager import Acquisition
        from pycromanager.acquisition.acq_eng_py.internal.engine import Engine

        shut_engine()
        Engine(self._core)
        arrived: list[float] = []
        processed = threading.Event()

        def process(pixels: Any, tags: Any) -> Any:
            arrived.append(time.perf_counter())
            processed.set()
            return pixels, tags

        acquisition = Acquisition(str(folder), "bare", image_process_fn=process, show_display=False)
        for number in range(images):
            processed.clear()
            axes = {"time": number}
            future = acquisition.acquire({"axes": axes})
            if self._saved:
                future.await_image_saved(axes)
            elif not processed.wait(_LIMIT_S):
                raise RuntimeError(f"pycromanager delivered no image {number} within {_LIMIT_S:g} s.")
        acquisition.mark_finished()
        acquisition.await_completion()
        shut_engine()
        return arrived


class PymmcorePlus:
    """pymmcore-plus: its MDA runner with a ``frameReady`` handler and its own writer.

    Parameters
    ----------
    core : CMMCorePlus
    suffix : str
        ``.ome.tiff`` or ``.ome.zarr``: chooses the writer.
    """

    def __init__(self, core: Any, suffix: str) -> None:
        self.name = f"pymmcore-plus, frameReady, {suffix}"
        self._core = core
        self._suffix = suffix

    def run(self, images: int, folder: Path) -> list[float]:
        """See Contestant."""
        handler = _FrameReady()
        self._core.mda.engine.use_hardware_sequencing = False
        self._core.mda.run(time_series(images), output=[handler, folder / f"plus{self._suffix}"])
        return handler.arrived


class _FrameReady:
    def __init__(self) -> None:
        self.arrived: list[float] = []

    def frameReady(self, pixels: Any, event: Any, metadata: Any) -> None:
        self.arrived.append(time.perf_counter())


class Ours:
    """inscoper_mm with a null script.

    Parameters
    ----------
    core : CMMCore
    script : str
        A file of ``benchmarks/scripts``.
    place : {"thread", "worker"}
    """

    def __init__(self, core: Any, script: str, place: Place) -> None:
        what = "provider skips" if script == "null_gate" else "null script"
        self.name = f"inscoper_mm, {what}, {place}"
        self._microscope = Microscope(core, CONFIG)
        self._script = script
        self._place: Place = place

    def run(self, images: int, folder: Path) -> list[float]:
        """See Contestant."""
        arrived: list[float] = []
        self._microscope.set_exposure(EXPOSURE_MS)
        result = run_experiment(
            null_experiment(images, self._script, self._place),
            output=folder,
            on_record=_note_arrivals(arrived),
            microscope=self._microscope,
        )
        if result.state != "completed" or result.errors or result.counts["stored"] != images:
            raise RuntimeError(f"The run {result.folder} did not go well: {result}")
        return arrived


def null_experiment(images: int, script: str, place: Place) -> Experiment:
    """A time series with one script of ``benchmarks/scripts`` under the default policies."""
    file = SCRIPTS / f"{script}.py"
    return Experiment(
        name=script,
        acquisition=time_series(images),
        scripts=(ScriptConfig(str(file), script, "fetch_images", "process", policy=Policy(place=place)),),
    )


def _note_arrivals(arrived: list[float]) -> Callable[[float, Record], None]:
    def note(elapsed_s: float, record: Record) -> None:
        if isinstance(record, Captured):
            arrived.append(record.arrived_s)

    return note
