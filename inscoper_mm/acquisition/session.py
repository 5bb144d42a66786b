"""One run of an experiment, from opening the microscope to the closed run folder."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from inscoper_mm.acquisition.bridge import Bridge
from inscoper_mm.acquisition.bursts import prepare_bursts
from inscoper_mm.acquisition.calibrating import use_calibrations
from inscoper_mm.acquisition.check_devices import refuse_missing
from inscoper_mm.acquisition.closing import Closing, ends_within
from inscoper_mm.acquisition.console import engine_output_to
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.corrections import corrections_of
from inscoper_mm.acquisition.ending import end_of
from inscoper_mm.acquisition.engine import EngineStuck, PycroEngine, shut_engine
from inscoper_mm.acquisition.fates import Fates
from inscoper_mm.acquisition.firing import Firing
from inscoper_mm.acquisition.focus_lock import FocusLock
from inscoper_mm.acquisition.focus_use import NoFocusLock, open_focus_lock
from inscoper_mm.acquisition.limiting import guard_of, planned_places, with_site
from inscoper_mm.acquisition.live import Live
from inscoper_mm.acquisition.live_services import live_services
from inscoper_mm.acquisition.loop import Loop
from inscoper_mm.acquisition.losses import Losses
from inscoper_mm.acquisition.outputs import open_outputs
from inscoper_mm.acquisition.report import Early, Report, about_run
from inscoper_mm.acquisition.resources import (
    refuse_wrong_names,
    resources_in_file,
    resources_of_core,
)
from inscoper_mm.acquisition.result import RunResult
from inscoper_mm.acquisition.schedule import Schedule
from inscoper_mm.acquisition.services import Services
from inscoper_mm.acquisition.setting_back import SettingBack
from inscoper_mm.acquisition.speed import check_speed
from inscoper_mm.acquisition.starting import Starting, give_up, wait_for
from inscoper_mm.errors import short_path
from inscoper_mm.experiment.calibration import GalvoCalibration, load_calibrations
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan, make_plan
from inscoper_mm.experiment.site_file import SiteFile, read_site_files
from inscoper_mm.images.frame import Frame
from inscoper_mm.microscope.cfg import find_config
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.microscope.live_devices import SubDevices
from inscoper_mm.microscope.objectives import Objectives
from inscoper_mm.microscope.snapshot import Snapshot, take_snapshot
from inscoper_mm.microscope.turn import Turn
from inscoper_mm.records import Logged
from inscoper_mm.scripting.spec import Resources
from inscoper_mm.specimen import Attachment, Specimen, SpecimenParameters, TruthWriter, attach
from inscoper_mm.stream import Clock, Stream, Subscriber

_UNLOAD_LIMIT_S = 30.0


def run_experiment(
    experiment: Experiment,
    *,
    output: Path | None = None,
    on_record: Subscriber | None = None,
    stop: StopSwitch | None = None,
    microscope: Microscope | None = None,
    speed: float = 1.0,
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
    speed : float
        By how much waits for time points are shortened; only with a virtual specimen, whose time passes all the same.

    Returns
    -------
    RunResult

    Raises
    ------
    Exception
        The original error that ended the run; what was captured is stored and the run folder is closed.
    """
    result = Session(experiment, output, on_record, stop, microscope, speed).run()
    if result.error is not None:
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
        speed: float = 1.0,
    ) -> None:
        self._experiment = experiment
        self._directory = output or Path(experiment.output.directory)
        self._stop = stop or StopSwitch()
        self._given_microscope = microscope
        self._stream = Stream(Clock(speed))
        if on_record is not None:
            self._stream.subscribe(on_record)
        self._closing = Closing()
        self._site_files: tuple[SiteFile, ...] = ()
        self._report: Report | None = None
        self._engine: PycroEngine | None = None

    def run(self) -> RunResult:
        """Do it."""
        with engine_output_to(lambda line: self._stream.publish(Logged(line, "debug"))):
            try:
                self._run()
            except BaseException as error:  # noqa: BLE001  (kept: the caller gets it with the result)
                self._closing.keep(error)
            self._closing.run()
        return self._end()

    def _run(self) -> None:
        check_speed(self._stream.clock.speed, self._experiment)
        early = Early(self._stream)
        self._site_files = read_site_files()
        self._experiment = with_site(self._experiment, self._site_files)
        for file in self._site_files:
            self._stream.publish(Logged(f"The limits of {short_path(file.path)} hold."))
        with ThreadPoolExecutor(thread_name_prefix="inscoper-mm start") as pool:
            resources = self._resources()
            starting = [
                Starting.begin(script, resources, pool, self._stream, self._closing, self._stop)
                for script in self._experiment.scripts
            ]
            try:
                microscope = self._open_microscope()
                before = take_snapshot(microscope)
                specimen = self._attach_specimen(microscope)
                plan = make_plan(self._experiment, microscope.position())
                refuse_missing(microscope, plan)
                live = self._live(microscope, plan)
                set_back = self._set_back_at_end(live, before)
                longest_burst = prepare_bursts(self._experiment, plan, microscope, live.limits)
                # Wrong scripts are told before there is a run folder.
                wait_for(starting)
                refuse_wrong_names(live, self._experiment, [script.host.facts for script in starting])
            except BaseException:
                give_up(starting)
                raise
        report = self._report = Report(
            about_run(self._experiment, plan), self._directory, plan, self._stream, early
        )
        engine = self._start_engine(microscope)
        services = self._services(live, plan, report)
        several = len(starting) > 1
        runners = [script.runner(services, report.folder, several, self._closing) for script in starting]
        bridge = Bridge(services, runners, _truth_writer(specimen, report.folder.path / "truth"))
        self._closing.add("switching the lights off", set_back.lights_off)
        Loop(engine, live, self._experiment.device_error, bridge, longest_burst).run()
        bridge.finish()
        for waiting in live.corrections.never_carried():
            message = (
                f"No event carried the correction of {waiting.script} at {waiting.decided_at}: none was left."
            )
            self._stream.publish(Logged(message, script=waiting.script, event=waiting.decided_at))

    # -- opening; each step adds its closing

    def _resources(self) -> Resources:
        """What scripts may name, as far as it is known before the microscope is open."""
        microscope = self._given_microscope
        if microscope is None:
            return resources_in_file(self._experiment)
        return resources_of_core(microscope.core, SubDevices(microscope, self._experiment.aliases).inventory)

    def _open_microscope(self) -> Microscope:
        microscope = self._given_microscope
        if microscope is None:
            microscope = Microscope.open(*find_config(self._experiment.microscope))
            self._closing.add("closing the microscope", partial(self._close_microscope, microscope))
            self._closing.add("ending the engine", shut_engine)
        before, microscope.give_up = microscope.give_up, lambda: self._stop.now
        self._closing.add("letting go of the microscope", lambda: setattr(microscope, "give_up", before))
        self._closing.add("forgetting calibrations", use_calibrations(self._experiment, microscope))
        return microscope

    def _close_microscope(self, microscope: Microscope) -> None:
        engine = self._engine
        if engine is not None and engine.stuck:
            return  # a thread is still inside the Core; the process has to be ended by force
        if not ends_within(_UNLOAD_LIMIT_S, microscope.close):
            raise EngineStuck(f"The devices could not be unloaded within {_UNLOAD_LIMIT_S:g} s.")

    def _attach_specimen(self, microscope: Microscope) -> Attachment | None:
        parameters = self._experiment.microscope.specimen
        if parameters is None:
            return None
        source = str(self._experiment.source) if self._experiment.source else None
        specimen = Specimen(SpecimenParameters.from_mapping(parameters, source), self._stream.clock.now)
        attachment = attach(microscope.core, specimen)
        self._closing.add("taking the specimen away", attachment.detach)
        return attachment

    def _live(self, microscope: Microscope, plan: Plan) -> Live:
        devices = SubDevices(microscope, self._experiment.aliases)
        fates = Fates(event.index for event in plan)
        objectives = Objectives(microscope, self._experiment.microscope.objectives)
        objectives.begin()
        limits = guard_of(self._experiment, microscope, devices, self._site_files)
        return Live(
            microscope=microscope,
            turn=Turn(),
            limits=limits,
            corrections=corrections_of(self._experiment),
            planned=planned_places(plan, limits),
            position_names={site.name: number for number, site in enumerate(plan.sites)},
            stream=self._stream,
            stop=self._stop,
            devices=devices,
            objectives=objectives,
            schedule=Schedule(plan, Losses(fates, self._stream).tell),
            fates=fates,
            focus_lock=open_focus_lock(self._experiment, microscope, limits, self._stream),
            firing=self._firing(microscope, devices),
        )

    def _restore_focus(self, lock: FocusLock | NoFocusLock, microscope: Microscope) -> None:
        if self._engine is not None and self._engine.stuck:
            return
        # Also after a stop at once: the waits have limits of their own.
        before, microscope.give_up = microscope.give_up, lambda: False
        try:
            lock.restore()
        finally:
            microscope.give_up = before

    def _firing(self, microscope: Microscope, devices: SubDevices) -> Firing:
        calibrations = load_calibrations(self._experiment.microscope.calibrations)
        galvo = [each for each in calibrations if isinstance(each, GalvoCalibration)]
        return Firing(microscope, devices, self._experiment.photomanipulation, galvo)

    def _set_back_at_end(self, live: Live, before: Snapshot) -> SettingBack:
        """Once the engine has ended, and before the devices are unloaded: nothing else may use them then."""
        at_end = self._experiment.at_end
        back = SettingBack(
            live.microscope, live.objectives, before, at_end, live.limits, live.turn, self._stream
        )
        self._closing.add("setting the microscope back", back.run)
        # Before that: while it holds the focus, the drive must not be moved.
        restore = partial(self._restore_focus, live.focus_lock, live.microscope)
        self._closing.add("restoring the hardware autofocus", restore)
        back.begin()
        return back

    def _start_engine(self, microscope: Microscope) -> PycroEngine:
        engine = self._engine = PycroEngine(microscope.core, self._stream.clock.now, microscope.position)
        engine.start()
        self._closing.add("ending the acquisition", engine.close)
        self._stop.when_now(engine.abort)
        return engine

    def _services(self, live: Live, plan: Plan, report: Report) -> Services:
        outputs = open_outputs(self._experiment, plan, report, self._stream, self._closing, self._disk_failed)
        if live.firing is not None:
            # A fire that goes on is waited for before anything is closed.
            self._closing.add("waiting for a fire", live.firing.finish)
        return live_services(live, outputs)

    def _disk_failed(self, error: BaseException) -> None:
        self._closing.keep(error)
        self._stop.fail(error)

    # -- the end

    def _end(self) -> RunResult:
        stuck = isinstance(self._closing.error, EngineStuck) or (
            self._engine is not None and self._engine.stuck
        )
        return end_of(self._closing, self._stop, self._report, stuck)


def _truth_writer(specimen: Attachment | None, folder: Path) -> Callable[[Frame], None]:
    """Writes what was really to be seen next to the images, where the experiment asks for it."""
    if specimen is None or not specimen.specimen.parameters.write_truth:
        return lambda frame: None
    writer = TruthWriter(folder)

    def write(frame: Frame) -> None:
        real = frame.info.real
        view = specimen.view_of(frame.info.tags, (real.x_um, real.y_um, real.z_um))
        if view is not None:
            writer.write(frame.index.stem, view, specimen.specimen)

    return write
