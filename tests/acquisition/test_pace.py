from __future__ import annotations

import pytest

from inscoper_mm.acquisition.loop import Pace


def run(starts: list[tuple[float, float]], begin_s: float = 10.0) -> tuple[list[float], Pace]:
    """Feed (due_s, now_s) of successive events; the lateness that was told for each."""
    pace = Pace(begin_s=begin_s)
    return [pace.started(due_s, begin_s + now_s) for due_s, now_s in starts], pace


def test_on_time_nothing_shifts() -> None:
    late, pace = run([(0, 0.001), (0, 0.3), (2, 2.004), (4, 4.0)])
    assert late == [0, 0, 0, 0]
    assert pace.due_at(6) == 16.0


def test_a_late_time_point_shifts_all_that_follow() -> None:
    late, pace = run([(0, 0.0), (2, 2.7), (4, 4.702)])
    assert late == pytest.approx([0, 0.7, 0])  # the third is on time: the interval of 2 s is kept
    assert pace.due_at(6) == pytest.approx(16.7)


def test_later_events_of_a_time_point_are_not_late() -> None:
    late, pace = run([(0, 0.0), (0, 1.5), (0, 3.0), (2, 4.5), (2, 6.0)])
    assert late == pytest.approx([0, 0, 0, 2.5, 0])
    assert pace.shift_s == pytest.approx(2.5)


def test_lateness_adds_up() -> None:
    late, _ = run([(0, 0.0), (1, 1.5), (2, 3.0), (3, 4.5)])
    assert late == pytest.approx([0, 0.5, 0.5, 0.5])
