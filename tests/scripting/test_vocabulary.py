"""The words of the contract."""

from __future__ import annotations

import pytest

from inscoper_mm.images.frame import FrameInfo
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.scripting.vocabulary import is_twin_name, metadata_of, request_of, twin_name


def test_metadata_has_every_key_of_the_contract(info: FrameInfo) -> None:
    assert metadata_of(info) == {
        "timeIndex": 1,
        "positionIndex": 2,
        "channelIndex": 0,
        "focusIndex": 3,
        "timeSize": 4,
        "positionSize": 3,
        "channelSize": 2,
        "focusSize": 5,
        "channelName": "DAPI",
        "positionName": "A",
        "xPosition_um": 10.1,
        "yPosition_um": 19.9,
        "zPosition_um": 3.2,
        "xPositionPlanned_um": 10.0,
        "yPositionPlanned_um": 20.0,
        "zPositionPlanned_um": 3.0,
        "exposure_ms": 20.0,
        "pixelSize_um": 0.5,
        "pixelToStage_um": None,
        "elapsedTime_ms": 1234.5,
        "camera": "Camera",
        "binning": 2,
        "bitDepth": 12,
    }


def test_a_position_without_device_is_none_not_zero() -> None:
    assert metadata_of(FrameInfo("e", Index(), Sizes()))["xPosition_um"] is None


def test_metadata_is_a_new_dict_each_time(info: FrameInfo) -> None:
    metadata_of(info)["timeIndex"] = 99
    assert metadata_of(info)["timeIndex"] == 1


def test_a_request_has_the_four_indices() -> None:
    assert request_of(Index(1, 2, 3, 4)) == {
        "timeIndex": 1,
        "positionIndex": 2,
        "channelIndex": 3,
        "focusIndex": 4,
    }


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("run_detect_async", True),
        ("run_a_async", True),
        ("run__async", False),
        ("run_async", False),
        ("detect_async", False),
        ("run_detect", False),
    ],
)
def test_twin_names(name: str, twin: bool) -> None:
    assert is_twin_name(name) is twin


def test_twin_name_of_the_seed() -> None:
    assert twin_name("detect_single_cells") == "run_detect_single_cells_async"
