"""``run``: the session in a thread of its own, progress and Ctrl-C in the main thread."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from rich.console import Console

from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.result import EXIT_INTERRUPTED, EXIT_INVALID, RunResult
from inscoper_mm.cli.findings import tell_findings
from inscoper_mm.cli.progress import Progress
from inscoper_mm.cli.summary import tell
from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.experiment.model import Experiment
from inscoper_mm.records import Record, Stored
from inscoper_mm.stream import Subscriber

_POLL_S = 0.1


def run_command(config: Path, output: Path | None, changes: list[str], speed: float = 1.0) -> int:
    """Run the experiment file; returns the exit status."""
    from inscoper_mm.acquisition.speed import check_speed

    console = Console()
    try:
        experiment = load(config, changes)
        check_speed(speed, experiment)
        refuse_what_cannot_run(config, changes, output)
    except InvalidInput as error:
        tell_findings(console, error.findings)
        return EXIT_INVALID
    result = run_visibly(experiment, output, console, speed)
    if isinstance(result.error, InvalidInput) and result.folder is None:
        result = replace(result, error=InvalidInput(placed(config, changes, result.error)))
    tell(console, result)
    return leave(result)


def load(config: Path, changes: list[str]) -> Experiment:
    """The experiment of the file with ``--set`` changes applied."""
    from inscoper_mm.experiment.load import load_experiment

    return load_experiment(config, overrides_of(changes))


def refuse_what_cannot_run(config: Path, changes: list[str], output: Path | None) -> None:
    """Hold the experiment against the configuration file and the disk before a device is initialised.

    Raises
    ------
    InvalidInput
        With every error that ``check`` finds, those of the scripts left to their own places.
    """
    from inscoper_mm.acquisition.check import check_experiment
    from inscoper_mm.specimen import SpecimenParameters

    report = check_experiment(
        config,
        overrides_of(changes),
        check_specimen=SpecimenParameters.from_mapping,
        output=output,
        scripts=False,
    )
    errors = [finding for finding in report.findings if finding.level == "error"]
    if errors:
        raise InvalidInput(errors)


def placed(config: Path, changes: list[str], error: InvalidInput) -> Sequence[Finding]:
    """What is wrong with a script's values, with the lines of the experiment file where ``check`` knows them."""
    from inscoper_mm.acquisition.check import check_experiment

    findings = check_experiment(config, overrides_of(changes)).findings
    return [finding for finding in findings if finding.level == "error"] or error.findings


def overrides_of(changes: list[str]) -> dict[str, str]:
    """``["a.b=1"]`` as ``{"a.b": "1"}``.

    Raises
    ------
    InvalidInput
        If one has no ``=``.
    """
    overrides = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise InvalidInput(
                Finding("--set wants KEY=VALUE.", got=change, cure="For example --set output.directory=runs.")
            )
        overrides[key] = value
    return overrides


def run_visibly(
    experiment: Experiment, output: Path | None, console: Console, speed: float = 1.0
) -> RunResult:
    """Run with a progress bar; Ctrl-C once ends after the current event, twice at once."""
    from inscoper_mm.acquisition.session import Session

    return visibly(lambda on_record, stop: Session(experiment, output, on_record, stop, speed=speed), console)


class Runs(Protocol):
    """What can be run: an experiment, or a replay."""

    def run(self) -> RunResult:
        """Do it; raises nothing."""
        ...


def visibly(
    make: Callable[[Subscriber, StopSwitch], Runs], console: Console, counted: type[Record] = Stored
) -> RunResult:
    """Run what ``make`` makes, with a progress bar that counts records of the type ``counted``."""
    stop = StopSwitch()
    results: list[RunResult] = []
    done = threading.Event()
    with Progress(console, counted) as progress, _ctrl_c(stop, progress):
        session = make(progress.on_record, stop)

        def work() -> None:
            try:
                results.append(session.run())
            finally:
                done.set()

        # The main thread only waits in short steps, so that Ctrl-C is heard on every platform.
        threading.Thread(target=work, name="inscoper-mm run", daemon=True).start()
        while not done.wait(_POLL_S):
            progress.refresh()
    return results[0]


@contextmanager
def _ctrl_c(stop: StopSwitch, progress: Progress) -> Iterator[None]:
    presses = 0

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            progress.note("Finishing the current image and its script. Press Ctrl-C again to stop now.")
            stop.finish("user", "Ctrl-C")
        elif presses == 2:
            progress.note("Stopping now; closing the data. Press Ctrl-C once more to leave without closing.")
            # Killing scripts takes locks that this thread may hold: not in a signal handler.
            threading.Thread(target=stop.stop_now, args=("Ctrl-C twice",), daemon=True).start()
        else:
            os._exit(EXIT_INTERRUPTED)  # every image that was told as stored is on disk

    before: Any = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def leave(result: RunResult) -> int:
    """The exit status; ends the process by force where a hanging device would keep it alive for ever."""
    if result.stuck:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(result.exit_status)
    return result.exit_status
