"""Thresholds behind the same protocol as the networks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.segmentation.classical import classical_segmenter


def test_it_is_the_watershed_of_each_image(cells: Any) -> None:
    images = [cells(3, 4), cells(2, 5, seed=1)]
    before = [image.copy() for image in images]
    found = classical_segmenter("li").segment(images, 20)
    assert [labels.max() for labels in found] == [12, 10]
    for image, copy, labels in zip(images, before, found, strict=True):
        np.testing.assert_array_equal(labels, segment_cells(image, 20, "li"))
        np.testing.assert_array_equal(image, copy)
        assert labels.dtype == np.int32


@pytest.mark.parametrize("shape", [(512, 512), (64, 80)])
def test_it_warms_up_on_any_size(shape: tuple[int, int]) -> None:
    classical_segmenter().warm_up(shape)


def test_it_tells_its_settings_as_json() -> None:
    said = classical_segmenter("manual", 120.0).about
    assert json.loads(json.dumps(said))["settings"]["manual_level"] == 120.0
    assert said["method"] == "classical"
