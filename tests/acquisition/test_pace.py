"""Time points: when they are due if one is late, if the interval is changed, and if time is the inner axis."""

from __future__ import annotations

import pytest

from inscoper_mm.acquisition.pace import Pace

EVERY_2_S = (0.0, 2.0, 4.0, 6.0)


def run(
    starts: list[tuple[int, float]], times_s: tuple[float, ...] = EVERY_2_S, begin_s: float = 10.0
) -> tuple[list[float], Pace]:
    """Feed (time point, seconds since the begin) of successive events; the lateness that was told for each."""
    pace = Pace(list(times_s), begin_s)
    return [pace.started(time, begin_s + now_s) for time, now_s in starts], pace


def test_on_time_nothing_shifts() -> None:
    late, pace = run([(0, 0.001), (0, 0.3), (1, 2.004), (2, 4.0)])
    assert late == [0, 0, 0, 0]
    assert pace.due_at(3) == 16.0


def test_a_late_time_point_shifts_all_that_follow() -> None:
    late, pace = run([(0, 0.0), (1, 2.7), (2, 4.702)])
    assert late == pytest.approx([0, 0.7, 0])  # the third is on time: the interval of 2 s is kept
    assert pace.due_at(3) == pytest.approx(16.7)


def test_later_events_of_a_time_point_are_not_late() -> None:
    late, pace = run([(0, 0.0), (0, 1.5), (0, 3.0), (1, 4.5), (1, 6.0)])
    assert late == pytest.approx([0, 0, 0, 2.5, 0])
    assert pace.shift_s == pytest.approx(2.5)


def test_lateness_adds_up() -> None:
    late, _ = run([(0, 0.0), (1, 1.5), (2, 3.0), (3, 4.5)], times_s=(0.0, 1.0, 2.0, 3.0))
    assert late == pytest.approx([0, 0.5, 0.5, 0.5])


def test_as_fast_as_possible_is_never_late() -> None:
    late, _ = run([(0, 0.0), (1, 1.5), (2, 3.0)], times_s=(0.0, 0.0, 0.0))
    assert late == [0, 0, 0]


def test_without_a_time_plan_nothing_is_due() -> None:
    late, pace = run([(0, 0.0), (0, 5.0)], times_s=())
    assert late == [0, 0]
    assert pace.due_at(0) is None


def test_a_new_interval_holds_for_the_time_points_to_come() -> None:
    _, pace = run([(0, 0.0), (1, 2.0)])
    pace.set_interval(0.5)
    assert [pace.due_at(time) for time in (2, 3)] == [12.5, 13.0]


def test_a_new_interval_holds_for_later_positions_from_their_begin() -> None:
    pace = Pace(list(EVERY_2_S), 10.0)
    for time, now_s in ((0, 10.0), (1, 12.0)):
        pace.started(time, now_s)
    pace.set_interval(0.5)
    assert [pace.due_at(time) for time in (2, 3)] == [12.5, 13.0]
    pace.started(0, 20.0)  # the next position's series
    assert [pace.due_at(time) for time in (1, 2, 3)] == [20.5, 21.0, 21.5]


def test_before_the_first_time_point_the_interval_counts_from_it() -> None:
    pace = Pace(list(EVERY_2_S))
    pace.set_interval(5.0)
    assert pace.times_s == [0.0, 5.0, 10.0, 15.0]


def test_each_position_has_a_time_of_its_own_where_time_is_inside() -> None:
    late, pace = run([(0, 0.0), (1, 2.0), (2, 4.0), (3, 6.0), (0, 6.1), (1, 8.1)])
    assert late == [0] * 6
    assert pace.due_at(2) == pytest.approx(20.1)
