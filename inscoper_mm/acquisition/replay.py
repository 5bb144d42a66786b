"""A script on recorded images: the way of a run, with a recording in place of the microscope."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from inscoper_mm.acquisition.bridge import DISK_LIMIT_S, Bridge
from inscoper_mm.acquisition.closing import Closing
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.ending import end_of
from inscoper_mm.acquisition.fates import Fates
from inscoper_mm.acquisition.replay_commands import ReplayCommands, Replayed
from inscoper_mm.acquisition.replay_journal import Answers, RunRecord, read_run
from inscoper_mm.acquisition.replay_known import Known, bench_of
from inscoper_mm.acquisition.replay_play import NotStored, Player, SizesAt
from inscoper_mm.acquisition.replay_scripts import Choice, Chosen, choose_scripts
from inscoper_mm.acquisition.report import About, Early, Report
from inscoper_mm.acquisition.result import RunResult
from inscoper_mm.acquisition.screened_plate import draw_screened_plate
from inscoper_mm.acquisition.services import Services
from inscoper_mm.acquisition.starting import Starting, give_up, wait_for
from inscoper_mm.acquisition.states import States
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.model import Output, ScriptConfig
from inscoper_mm.images.cache import FrameCache
from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.images.recorded import IMAGES, open_recording
from inscoper_mm.images.recording import Given, Recording
from inscoper_mm.output.results import ResultsWriter
from inscoper_mm.records import Logged
from inscoper_mm.stream import Clock, Stream, Subscriber

DOCUMENT = "replay.json"
FORMAT = 1


def replay_dataset(
    dataset: Path | str,
    script: str | None = None,
    *,
    parameters: Mapping[str, str] | None = None,
    output: Path | str = "runs",
    given: Given | None = None,
    on_record: Subscriber | None = None,
    stop: StopSwitch | None = None,
) -> RunResult:
    """Run a script on recorded images; nothing moves, its commands are written down.

    Parameters
    ----------
    dataset : Path or str
        A run folder, an NDTiff data set, a Micro-Manager file set, or a TIFF stack.
    script : str, optional
        A script of the recorded run, of the library, or the path of one. Default: those of the recorded run.
    parameters : mapping, optional
        Key path below the script's entry -> YAML text, for example ``{"parameters.min_area_um2": "20"}``. Default:
        the values of the run.
    output : Path or str
        The folder that gets the replay's own run folder.
    given : Given, optional
        What the data set does not say itself.
    on_record : callable, optional
        ``on_record(elapsed_s, record)`` for everything that happens.
    stop : StopSwitch, optional
        To end it from another thread.

    Raises
    ------
    Exception
        What ended the replay.
    """
    dataset = Path(dataset)
    recording = open_recording(dataset, given)
    try:
        chosen = choose_scripts(dataset, Choice(script, changes=parameters))
    except BaseException:
        recording.close()
        raise
    result = Replay(recording, chosen, Path(output), on_record, stop).run()
    if result.error is not None:
        raise result.error
    return result


class Replay:
    """One replay; ``run()`` never raises, its result has the error.

    Parameters
    ----------
    recording : Recording
        Closed by ``run``.
    chosen : Chosen
        The scripts, and what is known of the run that was recorded.
    output : Path
        The folder that gets the run folder.
    on_record : callable, optional
        ``on_record(elapsed_s, record)`` for everything that happens.
    stop : StopSwitch, optional
        To end it from another thread.
    """

    def __init__(
        self,
        recording: Recording,
        chosen: Chosen,
        output: Path,
        on_record: Subscriber | None = None,
        stop: StopSwitch | None = None,
    ) -> None:
        self._recording = recording
        self._chosen = chosen
        self._output = output
        self._stop = stop or StopSwitch()
        self._stream = Stream(Clock())
        if on_record is not None:
            self._stream.subscribe(on_record)
        self._closing = Closing()
        self._report: Report | None = None

    def run(self) -> RunResult:
        """Do it."""
        self._closing.add("closing the recording", self._recording.close)
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  (kept: the caller gets it with the result)
            self._closing.keep(error)
        self._closing.run()
        return end_of(self._closing, self._stop, self._report)

    def _run(self) -> None:
        early = Early(self._stream)
        for note in self._recording.notes:
            self._stream.publish(Logged(note, "warning"))
        chosen = self._chosen
        bench = bench_of(chosen.experiment)
        with ThreadPoolExecutor(thread_name_prefix="inscoper-mm start") as pool:
            starting: list[Starting] = []
            try:
                for script in chosen.scripts:
                    starting.append(
                        Starting.begin(script, bench.resources, pool, self._stream, self._closing, self._stop)
                    )
                run = read_run(chosen.journal) if chosen.journal is not None else RunRecord()
                # Wrong scripts are told before there is a run folder.
                wait_for(starting)
            except BaseException:
                give_up(starting)
                raise
        known = Known(self._recording, chosen.experiment, frozenset(run.added), bench)
        report = self._report = Report(self._about(run), self._output, (), self._stream, early)
        services = self._services(known, run, report)
        runners = [
            script.runner(services, report.folder, chosen.several, self._closing) for script in starting
        ]
        bridge = Bridge(services, runners, lambda frame: None)
        Player(self._recording, run, services, bridge).play()
        bridge.finish()

    def _about(self, run: RunRecord) -> About:
        chosen, recording = self._chosen, self._recording
        experiment = chosen.experiment
        name = experiment.name if experiment is not None else _name(recording.path)
        about = {
            "format": FORMAT,
            "dataset": str(recording.path.resolve()),
            "kind": recording.kind,
            "images": len(recording.order),
            "scripts": [_entry(script) for script in chosen.scripts],
        }
        documents = {DOCUMENT: json.dumps(about, indent=1) + "\n"}
        if experiment is not None:
            documents["experiment.yaml"] = dump_experiment(experiment)
        return About(
            f"{name}_replay",
            sum(index not in run.added for index in recording.order),
            tuple(script.name for script in chosen.scripts),
            experiment.metadata if experiment is not None else {},
            documents=documents,
        )

    def _services(self, known: Known, run: RunRecord, report: Report) -> Services:
        experiment, stream = self._chosen.experiment, self._stream
        if experiment is not None:
            # After the results are closed.
            self._closing.add("drawing the plate", partial(draw_screened_plate, experiment, report, stream))
        results = ResultsWriter(
            report.folder.results, on_error=lambda error: stream.publish(Logged(str(error), "error"))
        )
        self._closing.add("closing the results", lambda: results.close(DISK_LIMIT_S))
        output = experiment.output if experiment is not None else Output()
        cache = FrameCache(output.cache_bytes, self._recording.read)
        events = {event: at for at, (event, _) in enumerate(run.lost)}
        answers = {script: Answers(recorded, events) for script, recorded in run.answers.items()}
        shared = Replayed(known, run, answers, stream, self._stop, cache.get)
        return Services(
            stream=stream,
            stop=self._stop,
            commands=lambda script, info: ReplayCommands(shared, script, info),
            elapsed_s=_elapsed_s,
            published=lambda script, info, rois: shared.published.update({script: rois}),
            sizes_at=SizesAt(self._recording, run),
            writer=NotStored(stream),
            results=results,
            states=States(),
            cache=cache,
            fates=Fates([*run.planned, *self._recording.order]),
        )


def _name(path: Path) -> str:
    path = path.resolve()
    path = path.parent if path.name == IMAGES else path
    return path.stem if path.is_file() else path.name


def _elapsed_s(info: FrameInfo) -> float:
    """The time of the image: that of the call was not recorded."""
    return (info.elapsed_ms or 0.0) / 1e3


def _entry(script: ScriptConfig) -> dict[str, Any]:
    entry = {
        "name": script.name,
        "file": script.file,
        "provider": script.provider,
        "process": script.process,
        "provider_parameters": dict(script.provider_parameters),
        "parameters": dict(script.parameters),
        "place": script.policy.place,
    }
    return {key: value for key, value in entry.items() if value is not None}
