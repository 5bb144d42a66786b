"""From an exception inside a script to a fault with the script's line, and across a process border."""

from __future__ import annotations

import io
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inscoper_mm.errors import InvalidInput, ScriptFault
from inscoper_mm.scripting.answers import AnswerError

_OWN_FOLDERS = tuple(str(Path(__file__).parent.parent / name) for name in ("execution", "scripting"))


def fault_of(error: BaseException, script: str, function: str) -> ScriptFault:
    """The fault that ``error``, raised while ``function`` ran, is to the run."""
    if isinstance(error, ScriptFault):
        return error
    if isinstance(error, AnswerError):
        return ScriptFault("rubbish", script, function, str(error), original=error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_own(frame.filename)]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ScriptFault("raised", script, function, text + place, _details(error), error)


def _is_own(file: str) -> bool:
    return file.startswith(_OWN_FOLDERS)


def _details(error: BaseException) -> str:
    """The traceback from the script's first line on; the calls that led to the script say nothing to its author."""
    trace = error.__traceback__
    while trace is not None and _is_own(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace or error.__traceback__)
    return "".join(lines)


# -- across a process border

Packed = tuple[Any, ...]


def pack_error(error: BaseException) -> Packed:
    """``error`` in a form that another process can always read."""
    if isinstance(error, InvalidInput):
        return ("invalid", error.findings)
    if isinstance(error, ScriptFault):
        return (
            "fault",
            error.kind,
            error.script,
            error.function,
            error.message,
            error.details,
            _pickled(error.original),
        )
    return ("other", _pickled(error), f"{type(error).__name__}: {error}")


def unpack_error(packed: Packed, otherwise: Callable[[str], BaseException]) -> BaseException:
    """The error that was packed; one whose class is not known here becomes ``otherwise(text)``."""
    if packed[0] == "invalid":
        return InvalidInput(packed[1])
    if packed[0] == "fault":
        kind, script, function, message, details, original = packed[1:]
        return ScriptFault(kind, script, function, message, details, _unpickled(original))
    error = _unpickled(packed[1])
    return error if error is not None else otherwise(packed[2])


def _pickled(error: BaseException | None) -> bytes | None:
    """``error`` as bytes, or None where it would not come back as it is."""
    if error is None:
        return None
    try:
        data = pickle.dumps(error)
        back = pickle.loads(data)
    except Exception:  # noqa: BLE001  (foreign classes: anything can go wrong, and the text is kept anyway)
        return None
    return data if type(back) is type(error) and str(back) == str(error) else None


class _KnownClasses(pickle.Unpickler):
    """Finds only classes of modules that are loaded: an error must not import a script's libraries here."""

    def find_class(self, module: str, name: str) -> Any:
        if module not in sys.modules:
            raise pickle.UnpicklingError(f"{module} is not loaded")
        return super().find_class(module, name)


def _unpickled(data: bytes | None) -> BaseException | None:
    if data is None:
        return None
    try:
        error = _KnownClasses(io.BytesIO(data)).load()
    except Exception:  # noqa: BLE001  (as above)
        return None
    return error if isinstance(error, BaseException) else None
