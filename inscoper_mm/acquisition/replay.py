"""A script on recorded images: the way of a run, with a recording in place of the microscope."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from inscoper_mm.acquisition.bridge import DISK_LIMIT_S, Bridge
from inscoper_mm.acquisition.closing import Closing
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.developing import captured
from inscoper_mm.acquisition.ending import end_of
from inscoper_mm.acquisition.fates import Fates
from inscoper_mm.acquisition.replay_commands import ReplayCommands, Replayed
from inscoper_mm.acquisition.replay_journal import Answers, RunRecord, read_run
from inscoper_mm.acquisition.replay_known import Known, bench_of
from inscoper_mm.acquisition.replay_scripts import Choice, Chosen, choose_scripts
from inscoper_mm.acquisition.report import About, Early, Report
from inscoper_mm.acquisition.result import RunResult
from inscoper_mm.acquisition.services import Services
from inscoper_mm.acquisition.starting import Starting, give_up, wait_for
from inscoper_mm.acquisition.states import States
from inscoper_mm.errors import StorageError
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.model import Output, ScriptConfig
from inscoper_mm.images.cache import FrameCache
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.recorded import open_recording
from inscoper_mm.images.recording import Given, Recording
from inscoper_mm.output.results import ResultsWriter
from inscoper_mm.records import EventSkipped, Injected, Logged, Planned
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
        _Player(self._recording, run, services, bridge).play()
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
            sizes_at=_SizesAt(self._recording, run),
            writer=NotStored(stream),
            results=results,
            states=States(),
            cache=cache,
            fates=Fates([*run.planned, *self._recording.order]),
        )


class NotStored:
    """In place of the data set: the images are stored already; injected values are in the results."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def put(self, frame: Frame, limit_s: float) -> None:
        """Nothing to do."""

    def answer(self, info: FrameInfo, script: str, values: Mapping[str, Any]) -> None:
        """Tell that the values are in the side file."""
        self._stream.publish(Injected(info.event_id, script, tuple(values), "side_file"))


class _SizesAt:
    """The sizes that hold for an index: as planned, as the data set has them, or as last seen."""

    def __init__(self, recording: Recording, run: RunRecord) -> None:
        planned = {(index.position, index.channel): sizes for index, sizes in run.planned.items()}
        self._sizes = {**recording.sizes, **planned}
        self._recording = recording

    def __call__(self, index: Index) -> Sizes:
        found = self._sizes.get((index.position, index.channel))
        if found is None and index in self._recording.order:
            with contextlib.suppress(StorageError):
                found = self._recording.read(index).info.sizes
                self._sizes[index.position, index.channel] = found
        if found is not None:
            return found
        # Of no image: the largest sizes, so that the error names a range.
        known = list(self._sizes.values()) or [Sizes()]
        return Sizes(*(max(getattr(sizes, axis) for sizes in known) for axis in known[0].to_dict()))


class _Player:
    """Gives the recorded images to the scripts, in the order of their acquisition."""

    def __init__(self, recording: Recording, run: RunRecord, services: Services, bridge: Bridge) -> None:
        self._recording = recording
        self._run = run
        self._services = services
        self._bridge = bridge
        self._publish = services.stream.publish
        self._lost = iter(run.lost)
        self._steps = {event: at for at, (event, _) in enumerate(run.lost)}
        self._step = 0

    def play(self) -> None:
        """Play until the end, or until somebody stops it.

        Raises
        ------
        BaseException
            The error of a script whose policy is ``abort``, or of the disk.
        """
        stop = self._services.stop
        for burst in self._bursts():
            for frame in [self._kept(frame) for frame in burst]:
                if stop.asked:
                    break
                self._bridge.answer(self._bridge.ask(frame))
            if stop.asked:
                break
        if stop.failure is not None:
            raise stop.failure

    def _bursts(self) -> Iterator[list[Frame]]:
        """The images that were taken together, one after the other otherwise."""
        waiting: list[Frame] = []
        burst: str | None = None
        for index in self._recording.order:
            frame = self._read(index)
            if frame is None:
                continue
            own = self._run.bursts.get(frame.info.event_id)
            if waiting and (own is None or own != burst):
                yield waiting
                waiting = []
            waiting.append(frame)
            burst = own
            if own is None:
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def _read(self, index: Index) -> Frame | None:
        try:
            return self._recording.read(index)
        except StorageError as error:
            self._publish(Logged(str(error), "error"))
            self._publish(Planned(str(index), index.to_dict(), self._services.sizes_at(index).to_dict()))
            self._publish(EventSkipped(str(index), index.to_dict(), str(error)))
            self._services.fates.lost(index)
            return None

    def _kept(self, frame: Frame) -> Frame:
        """The image as if it had just come; from here on scripts may ask for it."""
        info = frame.info
        self._lose_until(info.event_id)
        now = self._services.stream.clock.now()
        # The time that the scripts take is counted from here.
        info = replace(info, exposure_end_s=now, arrived_s=now)
        self._publish(
            Planned(
                info.event_id,
                info.index.to_dict(),
                info.sizes.to_dict(),
                added_by=info.added_by,
                label=info.label,
            )
        )
        frame = Frame(info, frame.pixels)
        self._publish(captured(frame))
        self._bridge.store(frame)
        self._services.fates.captured(info.index)
        return frame

    def _lose_until(self, event: str) -> None:
        """What the run had lost before this image is lost here, too."""
        at = self._steps.get(event, -1)
        while self._step <= at:
            for index in self._run.lost[self._step][1]:
                self._services.fates.lost(index)
            self._step += 1


def _name(path: Path) -> str:
    path = path.resolve()
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
