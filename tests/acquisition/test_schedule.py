"""What comes next: the plan, added images, skipped ones, another interval. No devices."""

from __future__ import annotations

import pytest
import useq

from inscoper_mm.acquisition import added
from inscoper_mm.acquisition.added import AddedChannel, AddedImages
from inscoper_mm.acquisition.schedule import Schedule, SkipRule
from inscoper_mm.errors import CommandRefused
from inscoper_mm.experiment.plan import Plan
from inscoper_mm.images.frame import StagePosition
from inscoper_mm.images.index import Index, Sizes

NOWHERE = StagePosition(0.0, 0.0, 0.0)


def _plan(times=2, interval_s=0.0, slices=2):
    return Plan(
        useq.MDASequence(
            axis_order="tpcz",
            stage_positions=[(0, 0, 0), (100, 0, 0)],
            channels=["DAPI"],
            z_plan={"range": slices - 1, "step": 1},
            time_plan={"interval": interval_s, "loops": times},
        )
    )


def _request(**values):
    given = {
        "script": "finder",
        "place": StagePosition(5.0, 6.0, 7.0),
        "belongs_to": (0, 1),
        "channels": (AddedChannel("Channel", "FITC", 10.0),),
    }
    return AddedImages(**(given | values))


def _drain(schedule, now_s=0.0, most=1000):
    """The ids in the order in which they come, the clock going on to each due time."""
    found = []
    while (upcoming := schedule.next(now_s)) is not None:
        now_s = max(now_s, upcoming.due_s or 0.0)
        if schedule.next(now_s).event is not upcoming.event:
            continue
        schedule.take(upcoming.event)
        if upcoming.event.added_by is None:
            schedule.pace.started(upcoming.event.index.time, now_s)
        found.append(upcoming.event.id)
        assert len(found) < most
    return found


def test_without_changes_it_is_the_plan():
    plan = _plan()
    assert _drain(Schedule(plan)) == [event.id for event in plan]


def test_added_images_come_at_the_next_border_between_stacks():
    schedule = Schedule(_plan())
    schedule.take(schedule.next(0.0).event)  # the first slice of two
    schedule.add(_request(offsets_um=(-1.0, 0.0, 1.0)), 0.0)
    assert _drain(schedule)[:5] == ["e000002", "a000001", "a000002", "a000003", "e000003"]


def test_added_images_have_indices_and_sizes_of_their_own():
    schedule = Schedule(_plan())
    first = schedule.add(_request(offsets_um=(0.0, 1.0), times=2, interval_s=5.0), 0.0)
    second = schedule.add(_request(label="zoom"), 0.0)
    assert [event.index for event in first] == [Index(t, 2, 0, z) for t in (0, 1) for z in (0, 1)]
    assert second[0].index == Index(0, 3, 0, 0)
    assert schedule.sizes_at(Index(0, 2, 0, 0)) == Sizes(2, 3, 1, 2)
    assert schedule.sizes_at(Index(0, 0, 0, 0)) == Sizes(2, 2, 1, 2)
    assert [event.z_um for event in first[:2]] == [7.0, 8.0]
    assert [event.stack_end for event in first[:2]] == [False, True]
    assert (second[0].position_name, first[0].position_name) == ("zoom", "added 2")
    planned = {event.index for event in _plan()}
    assert not planned & {event.index for event in (*first, *second)}


@pytest.mark.parametrize(
    ("priorities", "order"),
    [((0, 0), ["a000001", "a000002"]), ((0, 5), ["a000002", "a000001"]), ((-1, 0), ["a000002"])],
)
def test_the_higher_priority_goes_first(priorities, order):
    schedule = Schedule(_plan())
    for priority in priorities:
        schedule.add(_request(priority=priority), 0.0)
    assert _drain(schedule)[: len(order)] == order


def test_low_priority_fills_the_time_between_time_points():
    schedule = Schedule(_plan(interval_s=60.0))
    schedule.add(_request(priority=-1), 0.0)
    assert _drain(schedule) == [f"e{n:06d}" for n in range(1, 5)] + ["a000001"] + [
        f"e{n:06d}" for n in range(5, 9)
    ]


def test_added_images_may_come_later_and_again():
    schedule = Schedule(_plan(times=3, interval_s=10.0))
    schedule.add(_request(times=3, interval_s=7.0), 12.0)  # due at 12, 19 and 26 s
    found = _drain(schedule)
    assert [found.index(f"a{n:06d}") for n in (1, 2, 3)] == [8, 9, 14]


def test_a_position_is_skipped_from_now_on():
    told = []
    schedule = Schedule(_plan(), lambda event, reason, script: told.append((event.id, reason, script)))
    for _ in range(3):
        schedule.take(schedule.next(0.0).event)
    assert schedule.skip(SkipRule("watcher", position=1), 0.0) == 3
    assert _drain(schedule) == ["e000005", "e000006"]
    assert [event for event, _, _ in told] == ["e000004", "e000007", "e000008"]
    assert told[0][1:] == ("skipped by watcher", "watcher")


def test_a_position_is_skipped_until_a_time():
    schedule = Schedule(_plan(times=4, interval_s=10.0, slices=1))
    assert schedule.skip(SkipRule("watcher", position=0, until_s=15.0), 0.0) == 2
    assert _drain(schedule) == ["e000002", "e000004", "e000005", "e000006", "e000007", "e000008"]


def test_what_is_skipped_already_does_not_count_again():
    schedule = Schedule(_plan())
    assert schedule.skip(SkipRule("one", position=0), 0.0) == 4
    assert schedule.skip(SkipRule("two", position=0), 0.0) == 0
    assert schedule.skip(SkipRule("two"), 0.0) == 4
    assert schedule.next(0.0) is None


def test_waiting_added_images_can_be_withdrawn():
    schedule = Schedule(_plan())
    schedule.add(_request(label="zoom", times=2), 0.0)
    schedule.add(_request(label="other"), 0.0)
    assert [event.id for event in schedule.withdraw("zoom")] == ["a000001", "a000002"]
    assert schedule.labels == ["other"]
    assert _drain(schedule)[0] == "a000003"


def test_the_rest_is_everything_that_was_not_taken():
    schedule = Schedule(_plan())
    schedule.take(schedule.next(0.0).event)
    schedule.add(_request(offsets_um=(0.0, 1.0)), 0.0)
    left = [event.id for event in schedule.rest()]
    assert sorted(left) == ["a000001", "a000002", *(f"e{n:06d}" for n in range(2, 9))]
    assert schedule.next(0.0) is None


def test_what_a_script_has_taken_out_meanwhile_is_not_taken():
    schedule = Schedule(_plan())
    upcoming = schedule.next(0.0)
    schedule.skip(SkipRule("watcher", position=0), 0.0)
    assert not schedule.take(upcoming.event)
    assert schedule.next(0.0).event.id == "e000003"
    schedule.add(_request(label="zoom"), 0.0)
    added_next = schedule.next(0.0)
    assert added_next.event.id == "a000001"
    schedule.withdraw("zoom")
    assert not schedule.take(added_next.event)


def test_interleaved_stacks_are_not_interrupted_either():
    plan = Plan(
        useq.MDASequence(
            axis_order="tpzc",
            stage_positions=[(0, 0, 0), (100, 0, 0)],
            channels=["DAPI", "FITC"],
            z_plan={"range": 2, "step": 1},
        )
    )
    schedule = Schedule(plan)
    schedule.take(schedule.next(0.0).event)
    schedule.add(_request(), 0.0)
    assert _drain(schedule).index("a000001") == 5  # after the other five images of that place


def test_the_interval_counts_all_time_points_to_come_also_of_later_positions():
    plan = Plan(
        useq.MDASequence(
            axis_order="ptc",
            stage_positions=[(0, 0, 0), (100, 0, 0)],
            channels=["DAPI"],
            time_plan={"interval": 10, "loops": 3},
        )
    )
    schedule = Schedule(plan)
    first = schedule.next(0.0).event
    schedule.take(first)
    schedule.pace.started(0, 0.0)
    assert schedule.set_interval(2.0) == 5
    dues, now_s = [], 0.0
    while (upcoming := schedule.next(now_s)) is not None:
        now_s = max(now_s, upcoming.due_s)
        schedule.take(upcoming.event)
        schedule.pace.started(upcoming.event.index.time, now_s)
        dues.append(now_s)
    assert dues == [2.0, 4.0, 4.0, 6.0, 8.0]


def test_endless_adding_is_refused(monkeypatch):
    monkeypatch.setattr("inscoper_mm.acquisition.schedule.MOST_IMAGES_PER_RUN", 3)
    schedule = Schedule(_plan())
    schedule.add(_request(times=3), 0.0)
    with pytest.raises(CommandRefused, match="never ends"):
        schedule.add(_request(), 0.0)
    assert added.MOST_IMAGES_PER_REQUEST == 10_000
