"""Messages with large arrays in shared memory, both ends in one process."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.execution import shared
from inscoper_mm.execution.shared import Inbox, Outbox


class Pair:
    """A writer and its reader."""

    def __init__(self) -> None:
        self.outbox, self.inbox = Outbox(), Inbox()
        self.names: list[str] = []

    def pass_on(self, message: Any) -> Any:
        data, refs, dropped = self.outbox.pack(message)
        self.names += [ref.name for ref in refs]
        return self.inbox.unpack(data, refs, dropped)

    def give_back(self) -> list[int]:
        gc.collect(0)
        done = self.inbox.done()
        self.outbox.take_back(done)
        return done


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.outbox.close()


def big(value: int, shape: tuple[int, ...] = (300, 400), dtype: Any = np.uint16) -> np.ndarray:
    return np.full(shape, value, dtype)


@pytest.mark.parametrize(
    "array",
    [
        big(1),
        big(2, (200, 300, 3), np.uint8),
        big(3, (400, 300), np.float64),
        big(1, (400, 300), bool),
        np.asfortranarray(np.arange(120000, dtype=np.int32).reshape(300, 400)),
        np.arange(480000, dtype=np.int32).reshape(600, 800)[::2, ::2],
        np.zeros((0, 5), np.uint16),
        big(4, (3, 4)),
    ],
    ids=lambda array: f"{array.shape}-{array.dtype}",
)
def test_arrays_arrive_equal(pair: Pair, array: np.ndarray) -> None:
    found = pair.pass_on({"a": [array, 1]})["a"][0]
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


def test_large_arrays_are_read_only_and_small_ones_need_no_block(pair: Pair) -> None:
    assert not pair.pass_on(big(1)).flags.writeable
    before = list(pair.names)
    pair.pass_on(np.zeros(shared.SMALLEST_BYTES - 1, np.uint8))
    assert pair.names == before


def test_a_block_is_used_again_when_its_last_array_is_gone(pair: Pair) -> None:
    for number in range(10):
        found = pair.pass_on(big(number))
        assert np.all(found == number)
        del found
        assert len(pair.give_back()) == 1
    assert len(set(pair.names)) == 1


@pytest.mark.parametrize(
    "keep",
    [
        lambda a: a,
        lambda a: a[::2, 3:],
        lambda a: a.T,
        lambda a: a.view(np.uint8),
        memoryview,
        lambda a: a.reshape(-1),
    ],
    ids=["array", "slice", "transposed", "other type", "memoryview", "flat"],
)
def test_whatever_refers_to_an_array_keeps_its_block(pair: Pair, keep: Any) -> None:
    kept = keep(pair.pass_on(big(7)))
    copy = np.array(kept)
    assert pair.give_back() == []
    for number in range(3):
        pair.pass_on(big(number))
    assert np.array_equal(np.array(kept), copy)
    del kept
    assert 1 in pair.give_back()


def test_a_reader_that_keeps_too_much_gets_copies(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "KEPT_LIMIT_BYTES", 3 * big(0).nbytes)
    kept = []
    for number in range(20):
        kept.append(pair.pass_on(big(number)))
        pair.give_back()
    assert all(np.all(array == number) for number, array in enumerate(kept))
    assert not kept[-1].flags.writeable
    assert len(set(pair.names)) <= 5


def test_a_message_that_cannot_be_packed_lends_nothing(pair: Pair) -> None:
    with pytest.raises(Exception, match=r"lambda|pickle"):
        pair.outbox.pack([big(1), lambda: 3])
    pair.pass_on(big(2))
    pair.give_back()
    _, refs, _ = pair.outbox.pack(big(3))
    assert refs[0].number == 1


def test_images_that_change_their_size_do_not_pile_up(pair: Pair) -> None:
    for size in (200, 900, 300, 1200, 250):
        found = pair.pass_on(big(size, (size, size)))
        assert np.all(found == size)
        del found
        pair.give_back()
    assert len(pair.inbox._maps) <= 2


def test_the_reader_removes_the_name_and_the_writer_what_was_never_read(pair: Pair) -> None:
    pair.pass_on(big(1))
    _, (ref,), _ = pair.outbox.pack(big(2))
    if not Path(ref.name).is_absolute():
        pytest.skip("blocks have no files here")
    assert [Path(name).exists() for name in pair.names] == [False]
    assert Path(ref.name).exists()
    pair.outbox.close()
    assert not Path(ref.name).exists()


def test_arrays_outlive_the_writer(pair: Pair) -> None:
    found = pair.pass_on(big(9))
    pair.outbox.close()
    assert np.all(found == 9)


def test_where_there_is_no_memory_folder_files_do(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shared, "_MEMORY_FOLDER", str(tmp_path / "none"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert np.all(pair.pass_on(big(5)) == 5)


def test_full_memory_leads_through_the_pipe(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared.os, "posix_fallocate", full, raising=False)
    assert np.all(pair.pass_on(big(5)) == 5)
    assert pair.names == []
