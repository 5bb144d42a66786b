"""What a provider may answer, and one clear error for everything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.scripting.requests import Fate, RequestError, resolve_requests


def stored(index: Index) -> Fate:
    return "stored"


# The new image of ``info`` is (1, 2, 0, 3) in sizes (4, 3, 2, 5).
@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (None, ()),
        ([], ()),
        ((), ()),
        ([{}], (Index(1, 2, 0, 3),)),
        ([{"focusIndex": 0}], (Index(1, 2, 0, 0),)),
        ([{"timeIndex": 0, "channelIndex": 1}], (Index(0, 2, 1, 3),)),
        ([{"positionIndex": 0}, {}], (Index(1, 0, 0, 3), Index(1, 2, 0, 3))),
        ([{}, {}], (Index(1, 2, 0, 3),) * 2),
        ([{"focusIndex": np.int64(4)}], (Index(1, 2, 0, 4),)),
        ([{"focusIndex": np.uint8(4)}], (Index(1, 2, 0, 4),)),
        (({"focusIndex": 1},), (Index(1, 2, 0, 1),)),
        (
            [{"timeIndex": 0, "positionIndex": 1, "channelIndex": 1, "focusIndex": 2}],
            (Index(0, 1, 1, 2),),
        ),
    ],
)
def test_requests_are_resolved(info: FrameInfo, answer: Any, wanted: tuple[Index, ...]) -> None:
    found = resolve_requests(answer, info, stored)
    assert found == wanted
    assert all(type(value) is int for index in found for value in (index.time, index.focus))


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ({}, "form", ["must return a list of dicts", "(dict)"]),
        ({"focusIndex": 0}, "form", ["must return a list of dicts"]),
        (True, "form", ["True (bool)"]),
        ("focusIndex", "form", ["(str)"]),
        (np.zeros(2), "form", ["an array (2,)"]),
        ([3], "form", ["Request 0", "must be a dict", "3 (int)"]),
        ([{}, None], "form", ["Request 1", "None (NoneType)"]),
        ([["focusIndex", 1]], "form", ["must be a dict"]),
        ([{"focusIndx": 1}], "unknown_key", ["'focusIndx'", "Did you mean 'focusIndex'?", "timeIndex"]),
        ([{"focus": 1}], "unknown_key", ["'focus'", "Allowed:"]),
        ([{3: 1}], "unknown_key", ["unknown key 3"]),
        ([{"focusIndex": 1.0}], "not_integer", ["focusIndex must be an integer", "1.0 (float)"]),
        ([{"focusIndex": "1"}], "not_integer", ["'1' (str)"]),
        ([{"focusIndex": True}], "not_integer", ["True (bool)"]),
        ([{"focusIndex": None}], "not_integer", ["None"]),
        ([{"focusIndex": np.float32(1)}], "not_integer", ["float32"]),
        ([{"timeIndex": 4}], "outside", ["timeIndex is outside", "Got: 4", "0 to 3", "timeSize is 4"]),
        ([{"positionIndex": 3}], "outside", ["0 to 2", "positionSize is 3"]),
        ([{"channelIndex": 2}], "outside", ["0 to 1", "channelSize is 2"]),
        ([{"focusIndex": 5}], "outside", ["0 to 4", "focusSize is 5"]),
        ([{"focusIndex": -1}], "outside", ["Got: -1", "not counted from the end"]),
    ],
)
def test_wrong_requests_have_errors_of_their_own(
    info: FrameInfo, answer: Any, reason: str, words: list[str]
) -> None:
    with pytest.raises(RequestError) as caught:
        resolve_requests(answer, info, stored)
    assert caught.value.reason == reason
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("pending", "is not acquired yet"),
        ("never", "was never acquired: its event was skipped or failed"),
        ("unknown", "is not in the plan"),
    ],
)
def test_an_image_that_is_not_there_is_refused_by_its_fate(info: FrameInfo, fate: Fate, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        resolve_requests([{}, {"timeIndex": 2}], info, lambda index: fate)
    assert caught.value.reason == fate
    assert "Request 1" in str(caught.value)
    assert "'timeIndex': 2" in str(caught.value)


def test_the_new_image_itself_is_always_there(info: FrameInfo) -> None:
    assert resolve_requests([{}], info, lambda index: "pending") == (info.index,)


def test_another_channel_has_its_own_stack(info: FrameInfo) -> None:
    def sizes(index: Index) -> Sizes:
        return Sizes(4, 3, 2, 1 if index.channel == 1 else 5)

    assert resolve_requests([{"channelIndex": 1, "focusIndex": 0}], info, stored, sizes) == (
        Index(1, 2, 1, 0),
    )
    with pytest.raises(RequestError, match=r"focusIndex is outside its size\. Got: 3\. Allowed: 0 to 0"):
        resolve_requests([{"channelIndex": 1}], info, stored, sizes)
