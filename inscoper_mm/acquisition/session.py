"""One run of an experiment, from opening the microscope to the closed run folder."""

from __future__ import annotations

import datetime
import platform
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inscoper_mm.acquisition.closing import Closing
from inscoper_mm.acquisition.console import engine_output_to
from inscoper_mm.acquisition.context import Live
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.corrections import Corrections
from inscoper_mm.acquisition.engine import PycroEngine, shut_engine
from inscoper_mm.acquisition.fates import Fates
from inscoper_mm.acquisition.limiting import limits_of, planned_places
from inscoper_mm.acquisition.loop import Loop
from inscoper_mm.acquisition.result import RunResult, State
from inscoper_mm.acquisition.runner import ScriptRunner, Services
from inscoper_mm.acquisition.states import States
from inscoper_mm.errors import RunAborted, ScriptFault
from inscoper_mm.execution.host import ScriptHost
from inscoper_mm.execution.places import make_host
from inscoper_mm.experiment.load import dump_experiment
from inscoper_mm.experiment.model import Experiment, ScriptConfig
from inscoper_mm.experiment.plan import Plan, make_plan
from inscoper_mm.images.cache import FrameCache
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import ImageWriter
from inscoper_mm.images.tags import from_tags
from inscoper_mm.microscope.cfg import find_config
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.turn import Turn
from inscoper_mm.output.folder import RunFolder
from inscoper_mm.output.journal import Journal
from inscoper_mm.output.log import LogFile
from inscoper_mm.output.results import ResultsWriter
from inscoper_mm.output.status import StatusFile
from inscoper_mm.output.summary import RunSummary
from inscoper_mm.records import (
    Clock,
    Injected,
    Logged,
    Planned,
    Record,
    RunEnded,
    RunStarted,
    Stored,
    Stream,
    Subscriber,
)
from inscoper_mm.scripting.loader import ScriptSpec

_PACKAGES = (
    "inscoper-mm",
    "pycromanager",
    "pymmcore",
    "mm-test-adapters",
    "ndstorage",
    "useq-schema",
    "numpy",
    "scipy",
    "scikit-image",
)
_CLOSE_LIMIT_S = 120.0


def run_experiment(
    experiment: Experiment,
    *,
    output: Path | None = None,
    on_record: Subscriber | None = None,
    stop: StopSwitch | None = None,
    microscope: Microscope | None = None,
) -> RunResult:
    """Run ``experiment`` to its end.

    Parameters
    ----------
    experiment : Experiment
    output : Path, optional
        The folder that gets the run folder; otherwise the experiment's own.
    on_record : callable, optional
        ``on_record(elapsed_s, record)`` for everything that happens; called in the publishing thread, must be quick.
    stop : StopSwitch, optional
        To end the run from another thread.
    microscope : Microscope, optional
        An open one, which stays open; otherwise the experiment's is opened and closed.

    Returns
    -------
    RunResult

    Raises
    ------
    Exception
        The original error that ended the run; what was captured is stored and the run folder is closed.
    """
    result = Session(experiment, output, on_record, stop, microscope).run()
    if result.error is not None and not isinstance(result.error, RunAborted):
        raise result.error
    return result


class Session:
    """One run; ``run()`` never raises, its result has the error."""

    def __init__(
        self,
        experiment: Experiment,
        output: Path | None = None,
        on_record: Subscriber | None = None,
        stop: StopSwitch | None = None,
        microscope: Microscope | None = None,
    ) -> None:
        self._experiment = experiment
        self._directory = output or Path(experiment.output.directory)
        self._stop = stop or StopSwitch()
        self._microscope = microscope
        self._stream = Stream(Clock())
        if on_record is not None:
            self._stream.subscribe(on_record)
        self._closing = Closing()
        self._early: list[tuple[float, Record]] = []
        self._folder: RunFolder | None = None
        self._summary: RunSummary | None = None
        self._engine: PycroEngine | None = None

    # -- the run

    def run(self) -> RunResult:
        """Do it."""
        with engine_output_to(lambda line: self._stream.publish(Logged(line, "engine"))):
            try:
                self._run()
            except BaseException as error:  # noqa: BLE001  (kept: the caller gets it with the result)
                self._closing.keep(error)
            self._closing.run()
        return self._result()

    def _run(self) -> None:
        self._stream.subscribe(self._keep_early)
        with ThreadPoolExecutor(thread_name_prefix="inscoper-mm start") as pool:
            hosts = self._start_hosts(pool)
            microscope = self._open_microscope()
            specimen = self._attach_specimen(microscope)
            start = microscope.position()
            plan = make_plan(self._experiment, start)
            limits = limits_of(self._experiment, microscope)
            planned = planned_places(plan, limits)
            self._open_folder(plan)
            engine = self._start_engine(microscope)
            live = Live(
                microscope=microscope,
                turn=Turn(),
                limits=limits,
                corrections=Corrections(),
                planned=planned,
                position_names={site.name: number for number, site in enumerate(plan.sites)},
                stream=self._stream,
                stop=self._stop,
            )
            services = self._open_storage(live, plan, microscope)
            runners = self._make_runners(hosts, services)
        on_frame = partial(self._on_frame, services, runners, specimen)
        loop = Loop(engine, live, services.fates, self._experiment.device_error, on_frame)
        self._stop.when_now(engine.abort)
        loop.run(plan)
        for runner in runners:
            runner.finish()
            runner.raise_error()

    def _on_frame(
        self, services: Services, runners: list[ScriptRunner], specimen: Any, frame: Frame
    ) -> None:
        services.cache.add(frame)
        services.writer.put(frame, _CLOSE_LIMIT_S)
        if specimen is not None:
            specimen.write_truth(frame.index.stem)
        for runner in runners:
            runner.offer(frame)

    # -- opening

    def _start_hosts(self, pool: ThreadPoolExecutor) -> list[tuple[ScriptConfig, ScriptHost, Future[None]]]:
        """Load the scripts while the microscope is opened: both take seconds."""
        started = []
        for script in self._experiment.scripts:
            host = make_host(_spec(script), script.policy.place)
            self._closing.add(f"ending {script.name}", partial(host.close, 5.0))
            self._stop.when_now(partial(host.close, 1.0))
            runner_start = pool.submit(self._start_host, script, host)
            started.append((script, host, runner_start))
        return started

    def _open_microscope(self) -> Microscope:
        if self._microscope is not None:
            return self._microscope
        config = self._experiment.microscope
        microscope = Microscope.open(*find_config(config))
        self._closing.add("closing the microscope", microscope.close)
        self._closing.add("ending the engine", shut_engine)
        return microscope
