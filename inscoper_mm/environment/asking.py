"""Asks the probe programs, each in a process of its own and with a time limit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class ProbeFailed(Exception):
    """A probe did not answer; the text says why."""


def ask(program: Path, arguments: Sequence[str], limit_s: float) -> Any:
    """What ``program`` saw.

    Raises
    ------
    ProbeFailed
        It failed, died, or did not answer within the limit.
    """
    # -P: the program's own folder is not searched for modules.
    command = [sys.executable, "-P", str(program), *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit_s,
            check=False,
            **_no_window(),
        )
    except subprocess.TimeoutExpired:
        raise ProbeFailed(f"no answer within {limit_s:g} s") from None
    except OSError as error:
        raise ProbeFailed(f"{sys.executable} could not be started: {error}") from error
    lines = done.stdout.strip().splitlines()
    try:
        # Libraries print while they are imported; the answer is the last line.
        answer = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        raise ProbeFailed(f"it ended with status {done.returncode}: {last}") from None
    if "fault" in answer:
        raise ProbeFailed(str(answer["fault"]))
    return answer["seen"]


def _no_window() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW}
    return {}
