from __future__ import annotations

from inscoper_mm.acquisition.closing import Closing


def fail(error: BaseException) -> None:
    raise error


def test_every_step_is_done_in_reverse_and_the_first_error_is_kept() -> None:
    closing = Closing()
    done: list[str] = []
    closing.add("folder", lambda: done.append("folder"))
    closing.add("writer", lambda: fail(OSError("disk full")))
    closing.add("engine", lambda: fail(RuntimeError("stuck")))
    closing.add("script", lambda: done.append("script"))
    first = ValueError("the run's own")
    closing.keep(first)
    closing.run()
    assert done == ["script", "folder"]
    assert closing.error is first
    assert closing.failures == ["engine: stuck", "writer: disk full"]


def test_without_an_earlier_one_the_first_failing_step_is_the_error() -> None:
    closing = Closing()
    closing.add("late", lambda: fail(OSError("second")))
    closing.add("early", lambda: fail(KeyboardInterrupt()))
    closing.run()
    assert isinstance(closing.error, KeyboardInterrupt)


def test_steps_run_once() -> None:
    closing = Closing()
    done: list[int] = []
    closing.add("once", lambda: done.append(1))
    closing.run()
    closing.run()
    assert done == [1]
