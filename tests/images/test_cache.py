"""The bounded cache."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inscoper_mm.images.cache import FrameCache
from inscoper_mm.images.frame import Frame
from inscoper_mm.images.index import Index

MakeFrame = Callable[..., Frame]


@pytest.fixture
def frames(make_frame: MakeFrame) -> dict[Index, Frame]:
    return {Index(time): make_frame(time) for time in range(6)}


def no_reader(index: Index) -> Any:
    raise LookupError(str(index))


def bound(frames: dict[Index, Frame], count: int) -> int:
    """A bound that holds ``count`` of the frames."""
    probe = FrameCache(1 << 30, no_reader)
    probe.add(frames[Index(0)])
    return probe.nbytes * count


def test_the_longest_unused_leaves_first(frames: dict[Index, Frame]) -> None:
    cache = FrameCache(bound(frames, 3), no_reader)
    for time in range(3):
        cache.add(frames[Index(time)])
    cache.get(Index(0))
    cache.add(frames[Index(3)])
    assert [time for time in range(6) if Index(time) in cache] == [0, 2, 3]


def test_never_over_the_bound(frames: dict[Index, Frame]) -> None:
    limit = bound(frames, 2)
    cache = FrameCache(limit, frames.__getitem__)
    for time in (0, 1, 2, 2, 3, 0, 5, 4):
        assert cache.get(Index(time)) is frames[Index(time)]
        assert cache.nbytes <= limit
    assert len(cache) == 2


def test_a_missing_frame_is_read_once(frames: dict[Index, Frame]) -> None:
    asked: list[Index] = []

    def reader(index: Index) -> Frame:
        asked.append(index)
        return frames[index]

    cache = FrameCache(bound(frames, 6), reader)
    for _ in range(3):
        assert np.array_equal(cache.get(Index(1)).pixels, frames[Index(1)].pixels)
    assert asked == [Index(1)]


def test_a_frame_larger_than_the_bound_is_not_kept(frames: dict[Index, Frame]) -> None:
    cache = FrameCache(10, frames.__getitem__)
    assert cache.get(Index(0)) is frames[Index(0)]
    assert (len(cache), cache.nbytes) == (0, 0)


def test_the_reader_s_error_is_the_caller_s(frames: dict[Index, Frame]) -> None:
    with pytest.raises(LookupError, match="t004"):
        FrameCache(1000, no_reader).get(Index(4))


def test_many_threads(frames: dict[Index, Frame]) -> None:
    limit = bound(frames, 2)
    cache = FrameCache(limit, frames.__getitem__)
    wrong: list[Index] = []

    def work(seed: int) -> None:
        for time in np.random.default_rng(seed).integers(0, 6, 300).tolist():
            if cache.get(Index(time)) is not frames[Index(time)] or cache.nbytes < 0:
                wrong.append(Index(time))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert wrong == []
    assert cache.nbytes == bound(frames, len(cache)) <= limit
