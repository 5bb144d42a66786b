"""The scripts of the library, called as a run calls them: their answers, and how well they do on the specimen."""

from __future__ import annotations

import asyncio
import inspect
import json
import statistics
import sys

import cv2
import numpy as np
import pytest
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import label as connected
from skimage.segmentation import watershed

from inscoper_mm.library import library_dir, library_scripts
from inscoper_mm.scripting.image import Images
from inscoper_mm.specimen import match

SCREENING = "single_cell_screening_no_ai"
CHANNELS = ["DAPI", "FITC"]
SEEDS = range(1, 11)
PLACES = [(0.0, 0.0), (1234.5, -777.25)]
DEPTH_UM = 2.0  # the specimen's depth of field


@pytest.mark.parametrize("name", sorted(library_scripts()))
def test_every_script_loads_without_a_finding(library, name):
    assert library(name).findings == ()


@pytest.mark.parametrize("name", [*library_scripts(), "_image_provider_functions"])
def test_every_script_is_short_and_explained(name):
    lines = (library_dir("scripts") / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert 40 <= len(lines) <= 150
    assert lines[0].startswith('"""')


# -- the providers


def metadata(channel=0, focus=0, focus_size=1):
    return {"channelIndex": channel, "focusIndex": focus, "focusSize": focus_size}


@pytest.mark.parametrize(
    ("about", "channel", "expected"),
    [
        (metadata(), 0, [{}]),
        (metadata(channel=2), 2, [{}]),
        (metadata(channel=1), 0, []),
        (metadata(focus=1, focus_size=5), 0, [{}]),
    ],
)
def test_screening_asks_for_each_image_of_its_channel(
    library, image_of, empty_image, about, channel, expected
):
    script = library(SCREENING)
    assert script.module.fetch_images(Images([image_of(empty_image, **about)]), channel) == expected


@pytest.mark.parametrize(
    ("about", "channel", "expected"),
    [
        (metadata(focus=0, focus_size=3), 0, []),
        (metadata(focus=1, focus_size=3), 0, []),
        (metadata(focus=2, focus_size=3), 0, [{"focusIndex": n, "channelIndex": 0} for n in range(3)]),
        (metadata(focus=2, focus_size=3, channel=1), 0, []),
        (
            metadata(focus=2, focus_size=3, channel=1),
            1,
            [{"focusIndex": n, "channelIndex": 1} for n in range(3)],
        ),
        (metadata(), 0, [{"focusIndex": 0, "channelIndex": 0}]),
    ],
)
def test_autofocus_waits_for_the_stack_of_its_channel(
    library, image_of, empty_image, about, channel, expected
):
    script = library("autofocus")
    assert script.module.fetch_images(Images([image_of(empty_image, **about)]), channel) == expected


def test_the_stack_provider_has_the_signature_of_the_contract(library):
    fetch_zstack = library("autofocus").module.fetch_zstack
    assert list(inspect.signature(fetch_zstack).parameters) == ["new_image", "channel_index"]
    assert inspect.signature(fetch_zstack).parameters["channel_index"].default == 0


# -- screening


def test_screening_answers_as_the_contract_says(library, context, view_of):
    images, _, _ = view_of(1, "FITC")
    answer = library(SCREENING).run(images, context)
    assert set(answer) == {"segmentation", "crop", "cells", "metadata"}
    labels, crops, about = answer["segmentation"], answer["crop"], answer["metadata"]
    assert (labels.shape, labels.dtype) == ((512, 512), np.int32)
    assert json.loads(json.dumps(about, allow_nan=False)) == about
    assert about["NBR_OF_CELLS"] == len(crops) == len(about["ROI_POINTS"]) > 20
    areas = [crop["measurements"]["area_um2"] for crop in crops]
    assert about["MEAN_CELL_AREA"] == pytest.approx(statistics.mean(areas))
    assert about["MEDIAN_CELL_AREA"] == pytest.approx(statistics.median(areas))
    assert about["AREA_UNIT"] == "um2"
    for crop, outline in zip(crops, about["ROI_POINTS"], strict=True):
        r0, c0, r1, c1 = crop["bbox"]
        assert np.array_equal(crop["image"], images.array[r0:r1, c0:c1])
        assert json.loads(json.dumps(crop["measurements"], allow_nan=False)) == crop["measurements"]
        cell = np.zeros(labels.shape, np.uint8)
        cv2.fillPoly(cell, [np.array(outline, np.int32)], 1)
        assert np.array_equal(cell > 0, labels == crop["label"])
        assert not (cell[:r0].any() or cell[r1:].any() or cell[:, :c0].any() or cell[:, c1:].any())
    assert context.lines == [f"{len(crops)} single cells of {labels.max()} objects"]


@pytest.mark.parametrize(
    ("mount", "roi"), [("upright", None), ("mirrored_rotated_90", None), ("rotated_270", (20, 70, 480, 430))]
)
def test_a_measured_cell_is_where_the_specimen_has_it(library, context, view_of, mount, roi):
    images, specimen, view = view_of(3, "FITC", 321.5, -87.25, mount=mount, roi=roi)
    truth = specimen.truth(view)
    answer = library(SCREENING).run(images, context)
    true_label = {found: true for true, found in match(answer["segmentation"], truth).pairs.items()}
    cells = {cell.label: cell for cell in truth.cells}
    errors_um, areas = [], []
    for crop in answer["crop"]:
        if crop["label"] in true_label:
            cell, measured = cells[true_label[crop["label"]]], crop["measurements"]
            errors_um.append((measured["x_um"] - cell.x_um, measured["y_um"] - cell.y_um))
            areas.append(measured["area_um2"] / cell.area_um2)
    assert len(errors_um) > 20
    assert np.abs(np.mean(errors_um, axis=0)).max() < 0.15
    assert np.hypot(*np.transpose(errors_um)).max() < 3
    assert statistics.median(areas) == pytest.approx(1, abs=0.08)


def test_without_cells_there_is_no_area(library, context, image_of, empty_image):
    answer = library(SCREENING).run(Images([image_of(empty_image)]), context)
    assert not answer["segmentation"].any()
    assert answer["crop"] == []
    assert answer["metadata"] == {
        "NBR_OF_CELLS": 0,
        "MEAN_CELL_AREA": None,
        "MEDIAN_CELL_AREA": None,
        "AREA_UNIT": "um2",
        "CELLS_FOUND": 0,
        "WARNINGS": ["nothing found: no cells. Are channel, light, focus and place right?"],
        "ROI_POINTS": [],
    }


def test_without_pixel_size_areas_are_in_pixels(library, context, view_of, image_of):
    pixels = view_of(1, "FITC")[0].array
    answer = library(SCREENING).run(Images([image_of(pixels, pixelSize_um=None)]), context)
    assert answer["metadata"]["AREA_UNIT"] == "px2"
    assert answer["metadata"]["MEAN_CELL_AREA"] > 100
    assert not [name for name in answer["crop"][0]["measurements"] if name.endswith(("_um", "_um2"))]


def test_areas_and_limits_are_in_um2(library, context, view_of, image_of):
    pixels = view_of(1, "FITC")[0].array
    image = Images([image_of(pixels, pixelSize_um=0.5)])
    all_areas = [crop["measurements"]["area_um2"] for crop in library(SCREENING).run(image, context)["crop"]]
    middle = statistics.median(all_areas)
    assert 30 < middle < 120
    larger = library(SCREENING, min_area_um2=middle).run(image, context)["crop"]
    smaller = library(SCREENING, max_area_um2=middle).run(image, context)["crop"]
    assert min(crop["measurements"]["area_um2"] for crop in larger) >= middle
    assert max(crop["measurements"]["area_um2"] for crop in smaller) <= middle
    assert len(larger) + len(smaller) in (len(all_areas), len(all_areas) + 1)


def test_crops_have_the_size_asked_for(library, context, view_of):
    images, _, _ = view_of(1, "FITC")
    crops = library(SCREENING, crop_size_px=48).run(images, context)["crop"]
    assert {crop["image"].shape for crop in crops} == {(48, 48)}


def test_a_gap_of_nothing_takes_the_cells_with_neighbours_too(library, context, view_of):
    images, _, _ = view_of(1, "FITC")
    numbers = [
        library(SCREENING, min_gap_diameters=gap).run(images, context)["metadata"]["NBR_OF_CELLS"]
        for gap in (0.0, 0.5, 2.0)
    ]
    assert numbers[0] > numbers[1] > numbers[2] > 0


def test_the_twin_takes_and_gives_the_same(library, context, view_of):
    images, _, _ = view_of(2, "DAPI")
    plain, twin = library(SCREENING), library(SCREENING, use_async=True)
    assert twin.process.name == "run_detect_single_cells_async"
    assert inspect.signature(twin.process.call) == inspect.signature(plain.process.call)
    ours = asyncio.run(twin.process.call(images, context, min_area_um2=80.0))
    theirs = plain.process.call(images, context, min_area_um2=80.0)
    assert ours["metadata"] == theirs["metadata"]
    assert np.array_equal(ours["segmentation"], theirs["segmentation"])


def screen_specimen(view_of, channel, find):
    """Isolated cells, those found, all that was found, and what of it is no cell, over seeds and places."""
    isolated = found_isolated = found = false = 0
    for seed in SEEDS:
        for number, (x_um, y_um) in enumerate(PLACES):
            images, specimen, view = view_of(seed, channel, x_um, y_um, image=number)
            labels = find(images)
            truth = specimen.truth(view)
            result = match(labels, truth)
            # Here even a true cell that is cut by the border counts as wrong where it matches nothing.
            kept = set(np.unique(labels).tolist()) - {0}
            false += len(kept - set(result.pairs.values()))
            found += len(kept)
            isolated += result.isolated
            found_isolated += result.isolated_hits
    return isolated, found_isolated, found, false


@pytest.mark.parametrize("channel", CHANNELS)
def test_screening_finds_the_isolated_cells(library, context, view_of, channel):
    """95 % of them, and 3 % false, with the defaults, in 20 fields of 10 specimens."""
    script = library(SCREENING)

    def single_cells(images):
        answer = script.run(images, context)
        kept = [crop["label"] for crop in answer["crop"]]
        return np.where(np.isin(answer["segmentation"], kept), answer["segmentation"], 0)

    isolated, found_isolated, found, false = screen_specimen(view_of, channel, single_cells)
    assert isolated > 500
    assert found_isolated >= 0.95 * isolated
    assert false <= 0.03 * found


def otsu_and_watershed(images):
    """The textbook: smoothing, a threshold of the image as it is, and the distance transform."""
    smooth = cv2.GaussianBlur(images.array.astype(np.float32), (0, 0), 1.5)
    mask = smooth > threshold_otsu(smooth)
    distance = cv2.GaussianBlur(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), (0, 0), 1)
    peaks = peak_local_max(distance, min_distance=5, labels=connected(mask))
    seeds = np.zeros(mask.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=mask)


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_textbook_is_far_worse_on_the_same_images(view_of, channel):
    isolated, found_isolated, found, false = screen_specimen(view_of, channel, otsu_and_watershed)
    assert found_isolated < 0.6 * isolated
    assert false > 0.4 * found


# -- autofocus


def take_stack(view_of, middle_um, **named):
    """A stack of 17 slices around ``middle_um``, as a call gets it."""
    slices = [
        view_of(z_um=middle_um + offset, image=number, **named)[0][0]
        for number, offset in enumerate(np.arange(-12, 12.1, 1.5))
    ]
    return Images(slices)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(("before_um", "true_um"), [(0.0, 10.0), (0.0, -10.0), (35.0, 45.3), (-3.7, -13.5)])
def test_autofocus_is_back_after_one_stack(library, context, view_of, channel, before_um, true_um):
    """A jump of five depths of field, whatever was corrected before: back within a tenth of one."""
    for seed in (1, 2, 3):
        images = take_stack(view_of, before_um, seed=seed, channel=channel, focus_um=true_um)
        answer = library("autofocus").run(images, context)
        assert context.corrections[-1] == pytest.approx(true_um - before_um, abs=0.1 * DEPTH_UM)
        assert answer["focus"]["best_z_um"] == pytest.approx(true_um, abs=0.1 * DEPTH_UM)
        assert len(answer["focus"]["z_um"]) == len(answer["focus"]["score"]) == 17
        assert f"Best focus at z = {answer['focus']['best_z_um']:.3f} um" in context.lines[-1]
        assert "metadata" not in answer
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"focus_um": 25.0}, "the focus lies above the stack"),
        ({"focus_um": -25.0}, "the focus lies below the stack"),
        ({"focus_um": 2.0, "cells_per_mm2": 0.0}, "there is nothing sharp in the stack"),
    ],
)
def test_autofocus_moves_nothing_where_it_cannot_know(library, context, view_of, named, said):
    images = take_stack(view_of, 0.0, seed=1, channel="DAPI", **named)
    answer = library("autofocus").run(images, context)
    assert answer["focus"]["best_z_um"] is None
    assert context.corrections == []
    (warning,) = answer["metadata"]["WARNINGS"]
    assert warning.startswith("no focus: ")
    assert said in warning
    assert "nothing is moved" in warning


def test_autofocus_keeps_to_its_largest_correction(library, context, view_of):
    images = take_stack(view_of, 0.0, seed=1, channel="DAPI", focus_um=6.0)
    answer = library("autofocus", max_correction_um=5.0).run(images, context)
    assert answer["focus"]["best_z_um"] == pytest.approx(6.0, abs=0.2)
    assert context.corrections == []
    (warning,) = answer["metadata"]["WARNINGS"]
    assert warning.startswith("focus too far away: ")
    assert "more than the allowed 5 um; nothing is moved" in warning


def test_autofocus_needs_heights(library, context, image_of, empty_image):
    images = Images([image_of(empty_image, zPosition_um=None)] * 3)
    answer = library("autofocus").run(images, context)
    assert context.corrections == []
    assert list(answer) == ["metadata"]
    assert "at which height" in answer["metadata"]["WARNINGS"][0]


def test_autofocus_of_one_image_is_refused_in_words(library, context, image_of, empty_image):
    answer = library("autofocus").run(Images([image_of(empty_image, zPosition_um=1.0)]), context)
    assert answer["focus"]["best_z_um"] is None
    assert "too few" in answer["metadata"]["WARNINGS"][0]


# -- every kind of input


def test_input_types_returns_what_it_was_given(library, context, image_of, empty_image):
    given = {
        "stage": "XY.X",
        "fluorescence": {"group": "Channel", "config": "DAPI"},
        "mode": "fast",
        "features": ["shape"],
        "folder": "some/where",
        "keep": False,
        "count": 9,
        "level": 0.25,
        "factor": 3,
        "note": "hello",
        "limit_um": 1.5,
    }
    answer = library("input_types", **given).run(Images([image_of(empty_image)]), context)
    inputs = answer["metadata"]["INPUTS"]
    fluorescence = inputs.pop("fluorescence")
    assert fluorescence["config"] == given.pop("fluorescence")["config"]
    assert inputs == given
    assert json.loads(json.dumps(inputs, allow_nan=False)) == inputs
    assert "hello" in context.lines[-1]


def test_input_types_runs_with_its_defaults(library, context, image_of, empty_image):
    answer = library("input_types").run(Images([image_of(empty_image)]), context)
    assert answer["metadata"]["INPUTS"]["features"] == ["area", "shape"]
    assert answer["metadata"]["INPUTS"]["stage"] is None


def test_input_types_has_every_hint(library):
    script = library("input_types")
    kinds = {parameter.kind for parameter in (*script.provider.parameters, *script.process.parameters)}
    assert kinds == set(sys.modules["inscoper_mm.scripting.kinds"].KINDS)


def test_the_library_leaves_the_import_path_as_it_is(library):
    before = list(sys.path)
    library(SCREENING)
    assert sys.path == before
