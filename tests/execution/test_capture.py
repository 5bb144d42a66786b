"""What is written goes to the sink of the thread that writes it, and everything is as before afterwards."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from inscoper_mm.execution import capture


@contextmanager
def taken() -> Iterator[list[tuple[str, str]]]:
    """The lines of a sink that takes what this thread writes in the body."""
    lines: list[tuple[str, str]] = []
    capture.install()
    try:
        with capture.captured_to(lambda level, text: lines.append((level, text))):
            yield lines
    finally:
        capture.uninstall()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["a\n"], ["a"]),
        (["a", "b\n"], ["ab"]),
        (["a\nb\nc"], ["a", "b"]),
        (["a\r\n"], ["a"]),
        (["10%\r", "50%\r", "100%\n"], ["100%"]),
        (["\n", "  \n", "a\n"], ["a"]),
    ],
)
def test_whole_lines_are_taken(written: list[str], shown: list[str]) -> None:
    with taken() as lines:
        for text in written:
            sys.stdout.write(text)
        assert lines == [("info", text) for text in shown]


def test_the_two_streams_are_not_mixed() -> None:
    with taken() as lines:
        sys.stdout.write("out")
        sys.stderr.write("err")
        sys.stdout.write("put\n")
        sys.stderr.write("or\n")
        assert lines == [("info", "output"), ("warning", "error")]


def test_logging_brings_its_level_and_traceback() -> None:
    with taken() as lines:
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("x").exception("failed")
        (line,) = lines
        assert line[0] == "error"
        assert line[1].startswith("failed\nTraceback")
        assert line[1].endswith("ValueError: why")


def test_inner_sinks_come_first_and_end() -> None:
    with taken() as lines:
        inner: list[str] = []
        with capture.captured_to(lambda level, text: inner.append(text)):
            print("inside")
        print("outside")
        assert (inner, lines) == (["inside"], [("info", "outside")])


def test_other_threads_write_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    with taken() as lines:
        thread = threading.Thread(target=print, args=("elsewhere",))
        thread.start()
        thread.join()
        assert lines == []


def test_everything_is_as_before_afterwards() -> None:
    def now() -> tuple[object, ...]:
        root = logging.getLogger()
        return sys.stdout, sys.stderr, warnings.showwarning, root.level, tuple(root.handlers)

    before = now()
    capture.install()
    capture.install()
    assert sys.stdout is not before[0]
    capture.uninstall()
    assert sys.stdout is not before[0]
    capture.uninstall()
    assert now() == before


def test_a_stream_that_replaced_ours_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    capture.install()
    mine = io.StringIO()
    monkeypatch.setattr(sys, "stdout", mine)
    capture.uninstall()
    assert sys.stdout is mine


def test_what_was_replaced_since_is_taken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    progress_bar = io.StringIO()
    capture.install()
    try:
        monkeypatch.setattr(sys, "stdout", progress_bar)
        with capture.captured_to(lambda level, text: lines.append(text)):
            print("of a script")
        print("of the run")
    finally:
        capture.uninstall()
    assert (lines, progress_bar.getvalue()) == (["of a script"], "of the run\n")
    assert sys.stdout is progress_bar


def test_the_streams_still_tell_what_they_are() -> None:
    with taken() as lines:
        assert not sys.stdout.isatty()
        assert sys.stdout.encoding
        sys.stdout.flush()
        sys.stdout.writelines(["a\n", "b\n"])
        assert [text for _, text in lines] == ["a", "b"]
