"""What a processing function may return."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from inscoper_mm.scripting.answers import Answer, AnswerError, check_answer
from inscoper_mm.scripting.vocabulary import PROCESSORS

SHAPE = (6, 8)
LABELS = np.arange(48, dtype=np.int32).reshape(SHAPE)
PICTURE = LABELS.astype(np.float32)
CROP = {"image": PICTURE, "bbox": [0, 0, 6, 8], "label": 1, "measurements": {"area": 3.0}}
ROI = {"type": "polygon", "points": [[0, 0], [0, 5], [5, 5]], "unit": "px"}
FOCUS = {"z_um": [0.0, 1.0], "score": [1.0, 2.0], "best_z_um": 1.0}

# Every processor of the contract with a value that it takes.
GOOD: dict[str, Any] = {
    "segmentation": LABELS,
    "motion_mask": LABELS > 3,
    "crop": [CROP],
    "cells": {"label": [1, 2], "kept": [True, False], "reasons": ["", "cut"]},
    "tracks": {"track_id": [1, 2], "time": [0, 0], "row_px": [1.5, 2.5]},
    "timeseries": {"count": 3, "area": [4.5, "um²"]},
    "image": PICTURE,
    "motion_difference": PICTURE,
    "background": LABELS,
    "normalized": PICTURE,
    "roi": [ROI],
    "focus": FOCUS,
}


def test_the_examples_are_complete() -> None:
    assert set(GOOD) == set(PROCESSORS)


@pytest.mark.parametrize("name", GOOD)
def test_every_processor_takes_its_form(name: str) -> None:
    answer = check_answer({name: GOOD[name]}, [SHAPE])
    assert list(answer.values) == [name]
    assert answer.metadata == {}


@pytest.mark.parametrize("name", GOOD)
def test_every_processor_takes_none(name: str) -> None:
    assert check_answer({name: None}, [SHAPE]) == Answer({name: None})


def test_none_is_an_empty_answer() -> None:
    assert check_answer(None) == Answer()
    assert check_answer({}) == Answer()


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (LABELS, ["must return None or a dict", 'return {"segmentation": ...}', "an array (6, 8) of int32"]),
        (PICTURE, ['return {"image": ...}']),
        (3.5, ['return {"timeseries": ...}', "3.5 (float)"]),
        ("done", ['return {"metadata": ...}']),
        (True, ["True (bool)"]),
        ((LABELS, {"a": 1}), ["(tuple)"]),
        ([LABELS], ["(list)"]),
        ({3: LABELS}, ["name of a data processor must be text", "3 (int)"]),
        ({"": 1}, ["name of a data processor must be text"]),
    ],
)
def test_what_is_no_mapping_is_refused_with_the_fix(returned: Any, words: list[str]) -> None:
    with pytest.raises(AnswerError) as caught:
        check_answer(returned, [SHAPE])
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("segmentation", LABELS.tolist(), ["'segmentation' must be an array"]),
        ("segmentation", PICTURE, ["integers or bool", "float32", "astype"]),
        ("segmentation", LABELS[:5], ["of the image's size", "(5, 8)", "(6, 8)"]),
        ("segmentation", np.stack([LABELS] * 2), ["(2, 6, 8)"]),
        ("motion_mask", PICTURE, ["'motion_mask' must be of integers or bool"]),
        ("image", np.stack([PICTURE] * 2), ["'image' must be an array (Y, X)"]),
        ("background", "x", ["'background' must be an array", "'x' (str)"]),
        ("normalized", PICTURE.astype(complex), ["of numbers"]),
        ("crop", CROP, ["'crop' must be a list"]),
        ("crop", [3], ["'crop'[0] must be a dict"]),
        ("crop", [CROP, {"image": PICTURE}], ["'crop'[1] needs 'bbox'"]),
        ("crop", [{"image": PICTURE, "box": [0, 0, 1, 1]}], ["needs 'bbox'", "'box' looks like it"]),
        ("crop", [CROP | {"measurments": {}}], ["unknown key 'measurments'", "Did you mean 'measurements'?"]),
        ("crop", [CROP | {"bbox": [0, 0, 6]}], ["['bbox'] must be 4 integers"]),
        ("crop", [CROP | {"bbox": [0, 0, 6.0, 8.0]}], ["must be 4 integers"]),
        ("crop", [CROP | {"bbox": [3, 0, 3, 8]}], ["r0 < r1"]),
        ("crop", [CROP | {"label": "a"}], ["['label'] must be 1 integer"]),
        ("crop", [CROP | {"image": [1]}], ["['image'] must be an array"]),
        ("crop", [CROP | {"measurements": [1]}], ["['measurements'] must be a dict"]),
        ("crop", [CROP | {"measurements": {"a": object()}}], ["['measurements']['a'] is no JSON value"]),
        ("tracks", [1], ["'tracks' must be a dict"]),
        ("tracks", {"time": [1]}, ["needs 'track_id'"]),
        ("tracks", {"track_id": [1], "time": [1, 2]}, ["equally long", "'time': 2"]),
        ("tracks", {"track_id": 1, "time": 1}, ["one-dimensional"]),
        ("timeseries", 3, ["'timeseries' must be a dict"]),
        ("timeseries", {"a": "b"}, ["'timeseries'['a'] must be a number or [number, unit]"]),
        ("timeseries", {"a": [1, 2]}, ["number or [number, unit]"]),
        ("timeseries", {"a": True}, ["number or [number, unit]"]),
        ("roi", ROI, ["'roi' must be a list"]),
        ("roi", [ROI | {"type": "polygone"}], ["['type'] is unknown", "Did you mean 'polygon'?"]),
        ("roi", [ROI | {"unit": "mm"}], ["['unit'] is unknown", "px, um"]),
        ("roi", [ROI | {"points": [1, 2]}], ["list of pairs"]),
        ("roi", [ROI | {"points": [["a", "b"]]}], ["list of pairs"]),
        ("roi", [ROI | {"points": [[0, math.nan]]}], ["is nan"]),
        ("focus", [1], ["'focus' must be a dict"]),
        ("focus", {"z_um": [0.0], "score": [1.0]}, ["needs 'best_z_um'"]),
        ("focus", FOCUS | {"score": [1.0]}, ["as many scores as heights"]),
        ("focus", FOCUS | {"score": ["a", "b"]}, ["must be a list of numbers"]),
        ("focus", FOCUS | {"best_z_um": math.nan}, ["is nan"]),
    ],
)
def test_wrong_forms_name_the_place_and_the_form(name: str, value: Any, words: list[str]) -> None:
    with pytest.raises(AnswerError) as caught:
        check_answer({name: value}, [SHAPE])
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "converted"),
    [
        ({"NBR_OF_CELLS": 3}, {"NBR_OF_CELLS": 3}),
        ({"NBR_OF_CELLS": np.int64(3)}, {"NBR_OF_CELLS": 3}),
        ({"MEAN_CELL_AREA": np.float32(0.5)}, {"MEAN_CELL_AREA": 0.5}),
        ({"MEAN_CELL_AREA": None}, {"MEAN_CELL_AREA": None}),
        ({"ok": np.bool_(True)}, {"ok": True}),
        ({"name": np.str_("a")}, {"name": "a"}),
        ({"ROI_POINTS": [np.array([[1, 2], [3, 4]])]}, {"ROI_POINTS": [[[1, 2], [3, 4]]]}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": {"b": {"c": [None, True]}}}, {"a": {"b": {"c": [None, True]}}}),
    ],
)
def test_metadata_becomes_json(metadata: dict[str, Any], converted: dict[str, Any]) -> None:
    answer = check_answer({"metadata": metadata})
    assert answer == Answer({}, converted)
    assert json.loads(json.dumps(answer.metadata, allow_nan=False)) == converted


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"MEAN_CELL_AREA": math.nan}, ["metadata['MEAN_CELL_AREA'] is nan", "Use None"]),
        ({"a": {"b": [1, math.inf]}}, ["metadata['a']['b'][1] is inf"]),
        ({"a": np.array([1.0, np.nan])}, ["metadata['a'][1] is nan"]),
        ({"a": object()}, ["metadata['a'] is no JSON value"]),
        ({"a": {1, 2}}, ["metadata['a'] is no JSON value"]),
        ({"a": b"x"}, ["metadata['a'] is no JSON value"]),
        ({1: 2}, ["key that is no text", "1 (int)"]),
        ([1], ["'metadata' must be a dict"]),
    ],
)
def test_metadata_that_is_no_json_is_refused_by_key(metadata: Any, words: list[str]) -> None:
    with pytest.raises(AnswerError) as caught:
        check_answer({"metadata": metadata})
    for word in words:
        assert word in str(caught.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(AnswerError, match="nested too deep"):
        check_answer({"metadata": {"a": loop}})


def test_unknown_processors_are_kept_as_they_are() -> None:
    value = object()
    assert check_answer({"my_own": value}).values == {"my_own": value}


def test_gaps_in_measurements_and_series_become_none() -> None:
    crop = check_answer({"crop": [CROP | {"measurements": {"a": np.float64("nan")}}]}).values["crop"][0]
    assert crop["measurements"] == {"a": None}
    series = check_answer({"timeseries": {"a": math.nan, "b": [math.nan, "um"], "c": None}}).values[
        "timeseries"
    ]
    assert series == {"a": None, "b": [None, "um"], "c": None}


def test_plain_forms_hold_plain_values() -> None:
    answer = check_answer(
        {
            "crop": [{"image": LABELS[1:3, 2:4], "bbox": np.array([1, 2, 3, 4]), "label": np.int32(5)}],
            "roi": [{"type": "point", "points": np.array([[1.0, 2.0]])}],
            "focus": {"z_um": np.array([0, 1]), "score": np.array([1, 2]), "best_z_um": np.float64(1)},
        }
    ).values
    crop = answer["crop"][0]
    assert (crop["bbox"], crop["label"], crop["measurements"]) == ([1, 2, 3, 4], 5, {})
    assert crop["image"].flags.c_contiguous
    assert answer["roi"] == [{"type": "point", "points": [[1.0, 2.0]], "unit": "px"}]
    assert answer["focus"] == {"z_um": [0.0, 1.0], "score": [1.0, 2.0], "best_z_um": 1.0}


def test_a_table_with_columns_is_a_mapping_of_columns() -> None:
    class Table:
        """What a DataFrame offers."""

        columns = ("track_id", "time")

        def __getitem__(self, name: str) -> list[int]:
            return {"track_id": [1, 2], "time": [0, 0]}[name]

        def to_dict(self) -> dict[str, Any]:
            raise AssertionError("columns are enough")

    tracks = check_answer({"tracks": Table()}).values["tracks"]
    assert {name: column.tolist() for name, column in tracks.items()} == {"track_id": [1, 2], "time": [0, 0]}


def test_labels_of_a_colour_image_have_its_plane() -> None:
    assert check_answer({"segmentation": LABELS}, [(6, 8, 3)]).values["segmentation"].shape == SHAPE


@pytest.mark.parametrize(
    ("injected", "warnings"),
    [
        ({}, ()),
        ({"WARNINGS": []}, ()),
        ({"WARNINGS": None}, ()),
        ({"WARNINGS": ["dim: 2", "", "full: 3"]}, ("dim: 2", "full: 3")),
        ({"WARNINGS": "dim: 2"}, ("dim: 2",)),
        ({"WARNINGS": ("dim: 2",)}, ("dim: 2",)),
    ],
)
def test_what_a_script_says_against_its_own_answer(injected: Any, warnings: tuple[str, ...]) -> None:
    assert check_answer({"metadata": injected}).warnings == warnings
