"""The errors of the package: one small hierarchy, and findings that say where, what, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing, with its place and its cure.

    ``got`` and ``allowed`` are already text; ``suggestion`` is the "did you mean" name; ``cure`` says what to do.
    """

    message: str
    level: Level = "error"
    file: str | None = None
    line: int | None = None
    field: str | None = None
    function: str | None = None
    parameter: str | None = None
    frame: str | None = None
    got: str | None = None
    allowed: str | None = None
    suggestion: str | None = None
    cure: str | None = None

    @property
    def place(self) -> str:
        """Where it is: ``file:line, field, function(), parameter, frame``; empty if unknown."""
        parts = []
        if self.file:
            parts.append(f"{self.file}:{self.line}" if self.line else self.file)
        if self.field:
            parts.append(self.field)
        if self.function:
            parts.append(f"{self.function}()")
        if self.parameter:
            parts.append(f"parameter '{self.parameter}'")
        if self.frame:
            parts.append(f"frame {self.frame}")
        return ", ".join(parts)

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        if self.got is not None:
            text += f" Got: {self.got}."
        if self.allowed is not None:
            text += f" Allowed: {self.allowed}."
        if self.suggestion is not None:
            text += f" Did you mean '{self.suggestion}'?"
        if self.cure is not None:
            text += f" {self.cure}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON values, without the fields that say nothing."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class InscoperError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidInput(InscoperError):
    """A file, script, parameter or plan is wrong; ``findings`` has every error that was found."""

    def __init__(self, findings: Finding | Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = (findings,) if isinstance(findings, Finding) else tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class LimitRefused(InscoperError):
    """A move or setting lies outside a safety limit. Nothing was moved."""


class CommandRefused(InscoperError):
    """A context command cannot be executed (no such device, no turn within the limit, context revoked)."""


class CalibrationFailed(InscoperError):
    """What was measured cannot be used; the message says why, and what to do."""


class DeviceError(InscoperError):
    """The hardware or the acquisition engine failed where no original exception can be shown."""


class StorageError(InscoperError):
    """An image or a result could not be written."""


class RunAborted(InscoperError):
    """The run was ended by a policy or by a second Ctrl-C."""


FaultKind = Literal["raised", "timeout", "died", "rubbish"]


class ScriptFault(InscoperError):
    """A script failed: it raised, exceeded its limit, its process died, or it returned rubbish.

    Parameters
    ----------
    kind : {"raised", "timeout", "died", "rubbish"}
    script, function : str
    message : str
        One line for people.
    details : str
        The traceback inside the script, or empty.
    original : BaseException, optional
        The script's own exception where it could be brought here.
    """

    def __init__(
        self,
        kind: FaultKind,
        script: str,
        function: str,
        message: str,
        details: str = "",
        original: BaseException | None = None,
    ) -> None:
        self.kind: FaultKind = kind
        self.script = script
        self.function = function
        self.message = message
        self.details = details
        self.original = original
        super().__init__(f"{script}, {function}(): {message}")


def did_you_mean(name: object, candidates: Iterable[object]) -> str | None:
    """The candidate most like ``name``, or None if none is near."""
    by_lower = {str(candidate).lower(): str(candidate) for candidate in candidates}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def one_of(candidates: Iterable[object], most: int = 20) -> str:
    """``candidates`` as the text of an ``allowed`` field."""
    names = [str(candidate) for candidate in candidates]
    shown = ", ".join(names[:most])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > most else (shown or "nothing")


def short_path(path: Path | str) -> str:
    """``path`` relative to the working directory where it lies below it."""
    path = Path(path)
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)
