"""Errors across a process border: they come back as they are, or as their text."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from inscoper_mm.errors import (
    CommandRefused,
    DeviceError,
    Finding,
    InscoperError,
    InvalidInput,
    LimitRefused,
    ScriptFault,
)
from inscoper_mm.execution.faults import fault_of, pack_error, unpack_error
from inscoper_mm.scripting.answers import AnswerError


def back(error: BaseException) -> BaseException:
    return unpack_error(pack_error(error), InscoperError)


@pytest.mark.parametrize(
    "error",
    [
        LimitRefused("x_um is above 5000"),
        CommandRefused("no turn"),
        DeviceError("stage"),
        ValueError("a", 3),
        OSError(2, "No such file", "a.tif"),
        KeyError("k"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_as_it_is(error: BaseException) -> None:
    found = back(error)
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert found.args == error.args


def test_findings_come_back() -> None:
    findings = (Finding("a", file="x.py", line=3, suggestion="b"), Finding("c", level="warning"))
    found = back(InvalidInput(findings))
    assert isinstance(found, InvalidInput)
    assert found.findings == findings


def test_a_fault_comes_back_with_its_original() -> None:
    found = back(ScriptFault("rubbish", "s", "f", "message", "details", ValueError("v")))
    assert isinstance(found, ScriptFault)
    assert (found.kind, found.script, found.function) == ("rubbish", "s", "f")
    assert (found.message, found.details) == ("message", "details")
    assert isinstance(found.original, ValueError)
    assert str(found) == "s, f(): message"


class _NeedsTwo(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class _Liar(Exception):
    def __reduce__(self) -> Any:
        return (ValueError, ("something else",))


class _Bomb(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


@pytest.mark.parametrize("error", [_NeedsTwo(1, 2), _Liar("x"), _Bomb("y")], ids=lambda e: type(e).__name__)
def test_an_error_that_does_not_come_back_becomes_its_text(error: Exception) -> None:
    found = back(error)
    assert type(found) is InscoperError
    assert str(found) == f"{type(error).__name__}: {error}"


def test_an_error_must_not_import_a_library_here(monkeypatch: pytest.MonkeyPatch) -> None:
    import wave

    packed = pack_error(wave.Error("w"))
    monkeypatch.delitem(sys.modules, "wave")
    found = unpack_error(packed, InscoperError)
    assert (type(found), str(found)) == (InscoperError, "Error: w")
    assert "wave" not in sys.modules


def test_a_wrong_answer_is_rubbish_and_everything_else_was_raised() -> None:
    assert fault_of(AnswerError("a"), "s", "f").kind == "rubbish"
    assert fault_of(ValueError("a"), "s", "f").kind == "raised"
    fault = ScriptFault("died", "s", "f", "gone")
    assert fault_of(fault, "s", "f") is fault


def test_the_message_has_the_innermost_line() -> None:
    def inner() -> None:
        raise ValueError("here")

    try:
        inner()
    except ValueError as error:
        fault = fault_of(error, "s", "f")
    assert fault.message.startswith("ValueError: here (test_faults.py:")
    assert "in inner" in fault.details


def test_an_error_without_words_is_named() -> None:
    assert fault_of(MemoryError(), "s", "f").message == "MemoryError"
