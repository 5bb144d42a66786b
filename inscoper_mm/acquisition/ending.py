"""How a run ended, worked out from what is known when everything is closed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from inscoper_mm.acquisition.closing import Closing
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.report import Report
from inscoper_mm.acquisition.result import RunResult, State


def end_of(closing: Closing, stop: StopSwitch, report: Report | None, stuck: bool = False) -> RunResult:
    """Close the report and tell how the run ended.

    Parameters
    ----------
    closing : Closing
        Everything else is closed; its error is the run's.
    stop : StopSwitch
    report : Report or None
        None: the run did not come to have a folder.
    stuck : bool
        Whether something hangs, so that the process has to be ended by force.
    """
    error = closing.error
    state, reason = _state(error, stop)
    folder: Path | None = None
    counts: Mapping[str, int] = {}
    errors = 0
    if report is not None:
        failures = closing.failures
        # On a full disk this fails too, and must not hide why the run ended.
        closing.attempt("closing the report", lambda: report.end(state, reason, error, failures))
        folder, counts, errors = report.folder.path, report.counts, report.errors
        if error is None and (error := closing.error) is not None:
            state = "failed"
    if state != "stopped":
        return RunResult(state, folder, counts, errors, None, error, stuck)
    return RunResult(state, folder, counts, errors, stop.by or "user", None, stuck)


def _state(error: BaseException | None, stop: StopSwitch) -> tuple[State, str | None]:
    if error is None:
        return ("stopped", stop.reason) if stop.asked else ("completed", None)
    if stop.now or isinstance(error, KeyboardInterrupt):
        return "stopped", stop.reason or "Ctrl-C"
    by_policy = error is stop.policy_error
    return ("aborted" if by_policy else "failed"), f"{type(error).__name__}: {error}"
