"""Warnings: painted fields with one fault each, the specimen in and out of focus, and real nuclei."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.quality import PHRASES, saturation_of, typical_focus, warnings_about, warnings_at
from inscoper_mm.analysis.segmentation import segment_cells

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "nuclei"
BLURRED = sorted(DATA.glob("bbbc006/*.tif"))
SHARP = [*sorted(DATA.glob("dsb2018/*_img.tif")), *DATA.glob("stardist/img2d.tif")]

# Twelve round cells of 20 pixels, none of them at the border.
MIDDLES = [(row, col) for row in (40, 100, 160) for col in (40, 90, 140, 200)]


def painted(middles=MIDDLES, radius=10, blur=1.0, height=1000.0, noise=5.0, most=65535):
    """A field of round cells as a camera with the largest value ``most`` shows it, and its labels."""
    labels = np.zeros((240, 240), np.int32)
    rows, cols = np.mgrid[:240, :240]
    for number, (row, col) in enumerate(middles, 1):
        labels[np.hypot(rows - row, cols - col) <= radius] = number
    light = 300 + height * cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), blur)
    image = np.random.default_rng(1).normal(light, noise)
    return np.clip(np.round(image), 0, most).astype(np.uint16), labels


def phrases(texts):
    return [text.partition(": ")[0] for text in texts]


def test_a_good_field_has_no_warnings():
    assert warnings_about(*painted(), saturated_at=65535, previous_count=12, diameter_px=20) == []


# What is painted, what is told of it to the check, and the only warning that it may have.
FAULTS = {
    "no cells": ({"middles": []}, {}, "nothing found"),
    "full camera of 16 bits": ({"height": 80000}, {"saturated_at": 65535}, "saturated"),
    "full camera of 12 bits": ({"height": 5000, "most": 4095}, {"saturated_at": 4095}, "saturated"),
    "full long before its largest value": (
        {"height": 5000, "most": 3300},
        {"saturated_at": 4095},
        "saturated",
    ),
    "blurred": ({"blur": 6.0}, {}, "out of focus"),
    "less sharp than before": ({"blur": 2.5}, {"sharpest_before": 7.0}, "out of focus"),
    "dim": ({"height": 30, "noise": 15}, {}, "dim"),
    "dark": ({"height": -30, "noise": 15}, {}, "dim"),
    "cells at the border": (
        {"middles": [(row, col) for row in (0, 239) for col in (40, 120, 200)] + [(120, 120)]},
        {},
        "cells touch the border",
    ),
    "smaller than said": ({}, {"diameter_px": 40}, "unexpected size"),
    "larger than said": ({}, {"diameter_px": 11}, "unexpected size"),
    "many more than before": ({}, {"previous_count": 2}, "count changed"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told(name):
    paint, told, phrase = FAULTS[name]
    found = warnings_about(*painted(**paint), **told)
    assert phrase in PHRASES
    assert phrases(found) == [phrase], found
    (text,) = found
    assert text.count(": ") == 1
    assert text.endswith((".", "?"))
    assert any(letter.isdigit() for letter in text) or phrase == "nothing found"


def test_a_bright_object_that_is_no_cell_saturates_the_image():
    image, labels = painted()
    image[210:235] = 65535
    assert phrases(warnings_about(image, labels, saturated_at=65535)) == ["saturated"]


def test_outlines_without_a_cell_are_told():
    """A segmentation that has found cells where there is only background, beside real ones."""
    image, labels = painted()
    image[:130] = painted(middles=[])[0][:130]
    (text,) = warnings_about(image, labels)
    assert text.startswith("dim: 8 of 12 cells ")


def test_uneven_light_makes_no_cell_dim():
    """All cells are at the dark side, where they are as bright as the background at the other one."""
    image, labels = painted([(row, col) for row in (40, 90, 140, 190) for col in (30, 60)], height=100)
    uneven = image + np.linspace(0, 300, 240)[None, :]
    found = warnings_about(uneven.astype(np.uint16), labels)
    assert "dim" not in phrases(found)


def test_transparent_cells_need_no_light_of_their_own():
    image, labels = painted(blur=6.0, height=30, noise=15)
    assert {"out of focus", "dim"} & set(phrases(warnings_about(image, labels)))
    assert warnings_about(image, labels, bright=False) == []
    assert phrases(warnings_about(image, labels, bright=False, previous_count=60)) == ["count changed"]


def test_an_empty_field_tells_why_it_may_be_empty():
    image, labels = painted(middles=[])
    full = np.full_like(image, 4095)
    assert phrases(warnings_about(full, labels, saturated_at=4095)) == ["nothing found", "saturated"]
    assert phrases(warnings_about(image, labels, previous_count=30)) == ["nothing found", "count changed"]


def test_few_values_are_not_taken_for_a_full_camera():
    # A dim image of 8 bits has only some ten values in its cells; many pixels share the largest one.
    image, labels = painted(height=4, noise=1.0)
    assert "saturated" not in phrases(warnings_about(image.astype(np.uint8), labels, saturated_at=255))


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (12, 12, False),
        (12, 8, False),
        (12, 3, True),
        (4, 2, False),
        (1, 12, True),
        (0, 0, False),
        (100, 85, False),
        (100, 70, True),
        (1000, 850, False),
        (1000, 780, True),
    ],
)
def test_how_far_a_count_may_go(before, now, told):
    grid = [(4 + 7 * (number // 34), 4 + 7 * (number % 34)) for number in range(now)]
    image, labels = painted(grid, radius=2)
    assert len(np.unique(labels)) == now + 1
    found = phrases(warnings_about(image, labels, previous_count=before))
    assert ("count changed" in found) == told


def test_what_is_remembered_of_a_place_is_json_and_the_sharpest():
    memory = {}
    sharp, soft = painted(), painted(blur=2.5)
    assert warnings_at("slice 0", memory, *sharp, bit_depth=16) == []
    best = typical_focus(measure_cells(sharp[1], sharp[0], focus=True))
    memory = json.loads(json.dumps(memory))
    for _ in range(3):
        assert phrases(warnings_at("slice 0", memory, *soft, bit_depth=16)) == ["out of focus"]
    assert memory == {"quality of slice 0": [12, pytest.approx(best, abs=1e-3)]}
    # Another slice is another place.
    assert warnings_at("slice 1", memory, *soft, bit_depth=16) == []


def test_the_table_of_several_measurements_is_not_made_again():
    image, labels = painted()
    table = measure_cells(labels, image, focus=True)
    assert phrases(warnings_about(image, labels, table=table | {"focus": table["focus"] / 4})) == [
        "out of focus"
    ]


@pytest.mark.parametrize(
    ("kind", "depth", "expected"),
    [(np.uint16, 12, 4095), (np.uint16, None, 65535), (np.uint8, 8, 255), (np.uint16, "?", 65535)],
)
def test_the_largest_value_of_a_camera(kind, depth, expected):
    assert saturation_of(np.zeros((8, 8), kind), depth) == expected


def test_floats_have_no_largest_value():
    assert saturation_of(np.zeros((8, 8), np.float32), 16) is None


# The depth of field is 2 um; nuclei are 11 px across and cells 19 px.
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 9))])
@pytest.mark.parametrize(("channel", "alone_um"), [("DAPI", 3.0), ("FITC", 6.0)])
def test_the_specimen_out_of_focus(render, seed, channel, alone_um):
    def told(z_um, memory):
        image = render(seed, channel, z_um=z_um)[0]
        return phrases(warnings_at("slice 0", memory, image, segment_cells(image), bit_depth=16))

    assert told(0.0, {}) == []
    assert told(1.0, {}) == []
    assert "out of focus" in told(alone_um, {})
    # Next to the image in focus it is seen earlier.
    memory = {}
    assert told(0.0, memory) == []
    assert told(1.0, memory) == []
    assert "out of focus" in told(3.0, memory)


@pytest.mark.skipif(not BLURRED or not SHARP, reason="the folder of real data is not beside the checkout")
def test_real_nuclei():
    def told(paths):
        images = [tifffile.imread(path) for path in paths]
        return [phrases(warnings_at("", {}, image, segment_cells(image))) for image in images]

    blurred, sharp = told(BLURRED), told(SHARP)
    assert len(sharp) == 11
    assert all({"out of focus", "nothing found"} & set(each) for each in blurred), blurred
    assert sum("out of focus" in each for each in blurred) == 2
    wrong = {"out of focus", "nothing found", "dim", "saturated", "count changed"}
    assert not any(wrong & set(each) for each in sharp), sharp
