"""What is told about a run while it goes on and when it is over: journal, log, status and ``run.json``."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inscoper_mm.acquisition.result import State
from inscoper_mm.errors import InscoperError, ScriptFault
from inscoper_mm.experiment.dump import dump_experiment
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.experiment.plan import Plan, PlannedEvent
from inscoper_mm.output.folder import RunFolder
from inscoper_mm.output.journal import Journal
from inscoper_mm.output.log import RunLog
from inscoper_mm.output.status import StatusFile
from inscoper_mm.output.summary import RunSummary
from inscoper_mm.records import (
    Logged,
    Planned,
    Record,
    RunEnded,
    RunStarted,
)
from inscoper_mm.stream import Stream, Subscriber


class Early:
    """Keeps what is told before there is a run folder, and hands it on then."""

    def __init__(self, stream: Stream) -> None:
        self._records: list[tuple[float, Record]] | None = []
        stream.subscribe(self)

    def __call__(self, elapsed_s: float, record: Record) -> None:
        """Keep a record, unless they were handed on already."""
        if self._records is not None:
            self._records.append((elapsed_s, record))

    def hand_to(self, subscriber: Subscriber) -> None:
        """Tell ``subscriber`` what was kept."""
        for elapsed_s, record in self._records or ():
            subscriber(elapsed_s, record)

    def forget(self) -> None:
        """Keep nothing any more."""
        self._records = None


@dataclass(frozen=True, slots=True)
class About:
    """What a run folder says about its run from the beginning.

    ``planned`` is the number of images to come, ``documents`` are files of the folder by name, with their text.
    """

    name: str
    planned: int
    scripts: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)


def about_run(experiment: Experiment, plan: Plan) -> About:
    """What is said about a run of ``experiment``."""
    return About(
        experiment.name,
        len(plan),
        tuple(script.name for script in experiment.scripts),
        experiment.metadata,
        _seeds(experiment),
        {"experiment.yaml": dump_experiment(experiment)},
    )


class Report:
    """The run folder and everything in it but images and results.

    Parameters
    ----------
    about : About
    directory : Path
        Gets the run folder.
    plan : iterable of PlannedEvent
        Those that are known from the beginning.
    stream : Stream
        What happens.
    early : Early
        What has happened already.
    """

    def __init__(
        self, about: About, directory: Path, plan: Iterable[PlannedEvent], stream: Stream, early: Early
    ) -> None:
        utc = datetime.now(UTC)
        self._stream = stream
        self._about = about
        self.folder = RunFolder.create(directory, about.name, utc)
        for file, text in about.documents.items():
            (self.folder.path / file).write_text(text, encoding="utf-8")
        self._summary = RunSummary(self.folder.run, about.metadata, about.seeds)
        self._journal = Journal(self.folder.events)
        self._log = RunLog(self.folder.log)
        for subscriber in (self._journal, self._summary, self._log):
            early.hand_to(subscriber)
            stream.subscribe(subscriber)
        early.forget()
        stream.publish(
            RunStarted(
                about.name,
                about.planned,
                about.scripts,
                stream.clock.name,
                utc.isoformat(timespec="milliseconds"),
            )
        )
        for event in plan:
            stream.publish(Planned(event.id, event.index.to_dict(), event.sizes.to_dict(), event.due_s))
        self._summary.write()
        self._status = StatusFile(
            self.folder.status, self._summary.counters, stream.clock.now, lambda: self._summary.last_error
        )

    @property
    def counts(self) -> Mapping[str, int]:
        """The counts of ``run.json``."""
        return self._summary.counters.counts

    @property
    def errors(self) -> int:
        """How many errors of scripts and devices there were."""
        return self._summary.error_count

    def summary_metadata(self, plan: Plan) -> dict[str, Any]:
        """Metadata of the whole data set."""
        names = [channel.name for channel in plan.channels]
        return {
            "Prefix": self._about.name,
            "ChNames": [name or "Default" for name in names],
            "StartTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "UserData": dict(self._about.metadata),
        }

    def end(
        self, state: State, reason: str | None, error: BaseException | None, failures: Sequence[str]
    ) -> None:
        """Tell how the run ended, and close everything."""
        for failure in failures:
            self._stream.publish(Logged(failure, "error"))
        if error is not None:
            if state == "failed":
                self._stream.publish(Logged(f"{type(error).__name__}: {error}", "error"))
            self._stream.publish(Logged(_whole(error), "debug"))
        self._stream.publish(RunEnded(state, reason))
        self._status.close()
        self._summary.write()
        self._journal.close()
        self._log.close()


def _seeds(experiment: Experiment) -> dict[str, int]:
    specimen = experiment.microscope.specimen
    return {} if specimen is None else {"specimen": int(specimen.get("seed", 1))}


def _whole(error: BaseException) -> str:
    """The error as the log has it: with the traceback, and the one inside the script."""
    if isinstance(error, ScriptFault):
        return f"{error}\n{error.details}"
    if isinstance(error, InscoperError):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()
