"""Tags: everything about an image survives, and answers find their place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.images.tags import OURS, from_tags, merge_answer, to_tags

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
numbers = st.integers(0, 10**6)
lengths = st.none() | st.floats(-1e6, 1e6)
infos = st.builds(
    FrameInfo,
    event_id=st.text(min_size=1),
    index=st.builds(Index, numbers, numbers, numbers, numbers),
    sizes=st.builds(Sizes, numbers, numbers, numbers, numbers),
    channel_name=st.none() | st.text(),
    position_name=st.none() | st.text(),
    planned=st.builds(StagePosition, lengths, lengths, lengths),
    real=st.builds(StagePosition, lengths, lengths, lengths),
    exposure_ms=lengths,
    pixel_size_um=lengths,
    elapsed_ms=st.floats(0, 1e9),
    camera=st.text(),
    binning=st.integers(1, 8),
    bit_depth=st.integers(8, 16),
    pixel_to_stage_um=st.none() | st.tuples(*[st.floats(-1e6, 1e6)] * 6),
    roi_px=st.none() | st.tuples(*[st.integers(0, 5000)] * 4),
    sensor_px=st.none() | st.tuples(*[st.integers(0, 5000)] * 2),
    geometry_problem=st.text(),
    exposure_end_s=st.floats(0, 1e6),
    arrived_s=st.floats(0, 1e6),
    # Keys that we set ourselves are the interesting ones.
    tags=st.dictionaries(
        st.sampled_from(["Axes", "Exposure", "Camera", "Binning", "XPosition_um_Intended", OURS]) | st.text(),
        json_values,
        max_size=6,
    ),
)


@given(infos)
def test_everything_survives_the_file(info: FrameInfo) -> None:
    assert from_tags(json.loads(json.dumps(to_tags(info)))) == info


@given(infos, st.dictionaries(st.text(), json_values, max_size=4))
def test_everything_survives_an_answer(info: FrameInfo, values: dict[str, Any]) -> None:
    tags = json.loads(merge_answer(to_tags(info), "script", values, 10**6).text)
    assert from_tags(tags) == info


@pytest.fixture
def info(make_frame: Any) -> FrameInfo:
    return make_frame(1, 0, 0, 2).info


def test_usual_keys_are_at_the_top(info: FrameInfo) -> None:
    tags = to_tags(info, {"Width": np.int64(64)})
    expected = {
        "Axes": {"time": 1, "position": 0, "channel": 0, "z": 2},
        "Channel": "DAPI",
        "PositionName": "A",
        "PixelSize_um": 0.65,
        "Exposure": 10.0,
        "ElapsedTime-ms": 1234.5,
        "XPosition_um": 101.5,
        "ZPosition_um": 3.0,
        "Camera": "Camera",
        "Time": "2026-01-02 03:04:05 -",
        "Width": 64,
        "Height": 512,
    }
    assert {key: tags[key] for key in expected} == expected


def test_the_map_of_pixels_is_written_as_micro_manager_does(info: FrameInfo) -> None:
    mapped = replace(info, pixel_to_stage_um=(0.5, -0.1, 77.0, 0.2, 0.4, -8.0), roi_px=(10, 20, 300, 200))
    tags = to_tags(mapped)
    assert (tags["PixelSizeAffine"], tags["ROI"]) == ("0.5;-0.1;0.0;0.2;0.4;0.0", "10-20-300-200")
    assert not {"PixelSizeAffine", "ROI"} & set(to_tags(info))


def test_images_of_earlier_runs_have_no_map(info: FrameInfo) -> None:
    tags = to_tags(replace(info, pixel_to_stage_um=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)))
    for name in ("pixel_to_stage_um", "roi_px", "sensor_px", "geometry_problem"):
        del tags[OURS][name]
    assert from_tags(tags).pixel_to_stage_um is None


def test_intended_position_is_what_the_engine_was_told_or_else_the_plan(info: FrameInfo) -> None:
    tags = to_tags(info)
    assert (tags["XPosition_um_Intended"], tags["YPosition_um_Intended"]) == (101.5, -5.0)
    assert "ZPosition_um_Intended" not in tags


def test_values_that_json_does_not_know(info: FrameInfo) -> None:
    odd = replace(info, tags={"gain": np.float32(2), "t": float("nan")}, bit_depth=np.int64(12))
    tags = json.loads(json.dumps(to_tags(odd), allow_nan=False))
    assert tags["gain"] == 2.0
    assert tags["t"] is None
    assert tags["BitDepth"] == 12


# What two scripts say about one image, and the top-level keys that come of it.
ANSWERS: dict[str, tuple[list[tuple[str, dict[str, Any]]], dict[str, Any]]] = {
    "one": ([("a", {"N": 3, "AREA": None})], {"N": 3, "AREA": None}),
    "two scripts": ([("a", {"N": 3}), ("b", {"M": 4})], {"N": 3, "M": 4}),
    "same key": ([("a", {"N": 3}), ("b", {"N": 4})], {"N": 3, "b.N": 4}),
    "a key of the image": ([("a", {"Exposure": 1})], {"Exposure": 10.0, "a.Exposure": 1}),
    "a key of ours": ([("a", {OURS: 1})], {f"a.{OURS}": 1}),
    "same script again": ([("a", {"N": 3, "OLD": 1}), ("a", {"N": 5})], {"N": 5}),
    "nothing": ([("a", {})], {}),
    "not JSON": ([("a", {"N": np.int64(3), "M": float("nan")})], {"N": 3, "M": None}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str, info: FrameInfo) -> None:
    calls, expected = ANSWERS[name]
    before = set(to_tags(info))
    tags = to_tags(info)
    for script, values in calls:
        merged = merge_answer(tags, script, values, 10**6)
        assert merged.where == "image"
        tags = json.loads(merged.text)
        assert set(merged.keys) <= set(tags)
        assert tags[OURS]["answers"][script] == list(merged.keys)
    assert {key: tags[key] for key in expected} == expected
    assert set(tags) == before | set(expected)


def test_what_does_not_fit_is_named(info: FrameInfo) -> None:
    values = {"ROI": [[1.5, 2.5]] * 500, "N": 3, "MEAN": 4.5}
    merged = merge_answer(to_tags(info), "a", values, 1000)
    tags = json.loads(merged.text)
    assert merged.where == "side_file"
    assert (tags["N"], tags["MEAN"], "ROI" in tags) == (3, 4.5, False)
    assert tags[OURS]["only_in_side_file"] == {"a": ["ROI"]}
    assert tags[OURS]["side_file"] == "results/metadata.jsonl"
    again = json.loads(merge_answer(tags, "a", {"N": 4}, 1000).text)
    assert "side_file" not in again[OURS]


def test_no_room_at_all(info: FrameInfo) -> None:
    merged = merge_answer(to_tags(info), "a", {"N": 3}, 0)
    assert merged.where == "side_file"
    assert json.loads(merged.text)[OURS]["only_in_side_file"] == {"a": ["N"]}
