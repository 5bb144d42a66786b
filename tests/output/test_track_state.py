"""What is known of the images before, as a call finds it: accepted, refused, again, and after a restart."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.output import track_state
from inscoper_mm.output.track_state import KeptKnowledge, first_number, keep_numbers


def call(kept: KeptKnowledge, folder: Path, state: dict[str, Any], frame: str, position: int = 0) -> int:
    """A call that adds one to what is known; the state is that which it leaves."""
    known = kept.before(folder, state, position, frame)
    value = int(known["value"]) + 1 if known is not None else 0
    kept.keep(folder, state, position, frame, {"value": np.array(value)})
    return value


@pytest.mark.parametrize("restarted", [False, True])
def test_image_after_image_it_counts(tmp_path: Path, restarted: bool) -> None:
    kept, state = KeptKnowledge("kept"), {}
    for number in range(5):
        kept = KeptKnowledge("kept") if restarted else kept
        assert call(kept, tmp_path, state, f"t{number}") == number
    assert len(list(tmp_path.rglob("*.npz"))) <= 3


def test_an_answer_that_was_not_accepted_is_forgotten(tmp_path: Path) -> None:
    kept, state = KeptKnowledge("kept"), {}
    for number in range(4):
        assert call(kept, tmp_path, copy.deepcopy(state), f"lost{number}") == number
        assert call(kept, tmp_path, state, f"t{number}") == number


def test_an_image_that_comes_again_finds_what_it_found(tmp_path: Path) -> None:
    kept, state = KeptKnowledge("kept"), {}
    for number in range(4):
        for again in range(3):
            assert call(kept, tmp_path, state, f"t{number}") == number, again


def test_the_last_image_again_after_one_that_was_not_accepted(tmp_path: Path) -> None:
    kept, state = KeptKnowledge("kept"), {}
    for number in range(3):
        call(kept, tmp_path, state, f"t{number}")
    call(kept, tmp_path, copy.deepcopy(state), "lost")
    assert call(KeptKnowledge("kept"), tmp_path, state, "t2") == 2


def test_positions_do_not_know_of_each_other(tmp_path: Path) -> None:
    kept, states = KeptKnowledge("kept"), ({}, {})
    for number in range(4):
        for position, state in enumerate(states):
            assert call(kept, tmp_path, state, f"t{number}", position) == number


def test_a_run_of_its_own_begins_anew(tmp_path: Path) -> None:
    kept, state = KeptKnowledge("kept"), {}
    call(kept, tmp_path / "one", state, "t0")
    assert call(kept, tmp_path / "other", {}, "t0") == 0
    assert call(kept, tmp_path / "one", state, "t1") == 1


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    kept, state = KeptKnowledge("kept"), {}
    call(kept, tmp_path, state, "t0")
    next(tmp_path.rglob("*.npz")).unlink()
    with pytest.raises(FileNotFoundError):
        call(KeptKnowledge("kept"), tmp_path, state, "t1")


def _full(path: Path) -> None:
    raise OSError("the disk is full")


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, state = KeptKnowledge("kept"), {}
    call(kept, tmp_path, state, "t0")
    before = copy.deepcopy(state)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(track_state, "publish", _full)
        call(kept, tmp_path, state, "t1")
    assert state == before
    assert call(KeptKnowledge("kept"), tmp_path, state, "t1") == 1


def test_numbers_are_given_once_and_again_for_the_same_image(tmp_path: Path) -> None:
    kept, states, run_state = KeptKnowledge("kept"), ({}, {}), {}
    given = []
    for number in range(3):
        for position, state in enumerate(states):
            first = first_number(state, run_state, f"t{number}")
            call(kept, tmp_path, state, f"t{number}", position)
            keep_numbers(state, run_state, first, first + 10)
            assert first_number(state, run_state, f"t{number}") == first
            given.append(first)
    assert given == [1, 11, 21, 31, 41, 51]
