"""Single-cell screening as a run calls it: its filters, its crops, its channels, and the two scripts side by side."""

from __future__ import annotations

import inspect
import json
from importlib.util import find_spec
from typing import ClassVar

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.scripting.image import Images
from inscoper_mm.specimen import Brightfield, match

CLASSICAL, CELLPOSE = "single_cell_screening_no_ai", "single_cell_screening"

# Parameters, and of what they reject: the reason's first word, and the column with its range.
FILTERS = {
    "small": ({"min_area_um2": 100.0}, "area", "area_um2", (100, np.inf)),
    "large": ({"max_area_um2": 90.0}, "area", "area_um2", (0, 90)),
    "neighbours": ({"min_gap_diameters": 2.0}, "neighbour", "gap_px", (0, np.inf)),
    "at the border": ({"min_border_gap_diameters": 4.0}, "border", "border_gap_px", (20, np.inf)),
    "not convex": ({"min_solidity": 0.95}, "solidity", "solidity", (0.95, 1)),
    "long": ({"max_eccentricity": 0.6}, "eccentricity", "eccentricity", (0, 0.6)),
    "dim": ({"min_mean_intensity": 420.0}, "intensity", "mean_intensity", (420, np.inf)),
    "bright": ({"max_mean_intensity": 420.0}, "intensity", "mean_intensity", (0, 420)),
    "blurred": ({"min_focus": 3.2}, "focus", "focus", (3.2, np.inf)),
}


@pytest.fixture(scope="module")
def before(library, view_of):
    """The cells of a field, with the defaults."""

    class Quiet:
        """All that screening asks of a context."""

        state: ClassVar[dict[str, int]] = {}

        def log(self, message):
            """Nobody listens."""

    return library(CLASSICAL).run(view_of(1, "DAPI")[0], Quiet())["cells"]


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_rejects_by_its_own_measure_and_says_so(library, context, view_of, before, name):
    parameters, word, column, (low, high) = FILTERS[name]
    images, _, _ = view_of(1, "DAPI")
    cells = library(CLASSICAL, **parameters).run(images, context)["cells"]
    assert np.array_equal(cells["label"], before["label"])
    rejected = np.array(
        [word in {reason.partition(" ")[0] for reason in text.split("; ")} for text in cells["reasons"]]
    )
    assert 3 < rejected.sum() < len(rejected)
    assert not (cells["kept"] & rejected).any()
    # Nothing else has changed, and what is kept is in the range.
    assert np.array_equal(cells["kept"], before["kept"] & ~rejected)
    values = cells[column][cells["kept"]]
    assert len(values) > 3
    assert values.min() >= low
    assert values.max() <= high


def test_the_table_has_every_cell_with_its_reasons_and_its_crop(library, context, view_of):
    images, _, _ = view_of(1, "DAPI", 321.5, -87.25)
    answer = library(CLASSICAL).run(images, context)
    cells, about = answer["cells"], answer["metadata"]
    assert cells["label"].tolist() == np.unique(answer["segmentation"])[1:].tolist()
    assert cells["kept"].sum() == about["NBR_OF_CELLS"] == cells["cropped"].sum()
    assert [bool(text) for text in cells["reasons"]] == (~cells["kept"]).tolist()
    cut = np.array(["cut" in text for text in cells["reasons"]])
    # Half of the cut cells belong to the fields next to this one.
    assert about["CELLS_FOUND"] == cells["counted"].sum()
    assert (cells["counted"] | cut).all()
    assert 0 < (cells["counted"] & cut).sum() < cut.sum()
    first = answer["crop"][0]["measurements"]
    row = cells["label"].tolist().index(first["label"])
    assert {name: cells[name][row] for name in first} == pytest.approx(first, nan_ok=True)


SIDE = 48


@pytest.mark.parametrize("at_border", ["move", "pad", "drop"])
def test_crops_at_the_border(library, context, view_of, at_border):
    images, _, _ = view_of(1, "DAPI")
    crops = library(CLASSICAL, crop_size_px=SIDE, crop_at_border=at_border).run(images, context)["crop"]
    every = library(CLASSICAL, crop_size_px=SIDE).run(images, context)["crop"]
    assert {crop["image"].shape for crop in crops} == {(SIDE, SIDE)}
    beyond = 0
    for crop in crops:
        r0, c0, r1, c1 = crop["bbox"]
        inside = images.array[max(r0, 0) : r1, max(c0, 0) : c1]
        beyond += inside.shape != (SIDE, SIDE)
        padded = np.zeros((SIDE, SIDE), inside.dtype)
        rows, cols = max(-r0, 0), max(-c0, 0)
        padded[rows : rows + inside.shape[0], cols : cols + inside.shape[1]] = inside
        assert np.array_equal(crop["image"], padded)
        if at_border != "move":  # the cell is in the middle
            box = [crop["measurements"][f"bbox_{edge}"] for edge in ("r0", "c0", "r1", "c1")]
            assert abs((r0 + r1) - (box[0] + box[2])) <= 1
            assert abs((c0 + c1) - (box[1] + box[3])) <= 1
    assert (beyond > 0) == (at_border == "pad")
    assert (len(crops) < len(every)) == (at_border == "drop")


def test_the_margin_of_fitted_crops_is_padded_too(library, context, view_of):
    images, _, _ = view_of(1, "DAPI")
    for crop in library(CLASSICAL, padding_px=20, crop_at_border="pad").run(images, context)["crop"]:
        cell = crop["measurements"]
        size = (cell["bbox_r1"] - cell["bbox_r0"] + 40, cell["bbox_c1"] - cell["bbox_c0"] + 40)
        assert crop["image"].shape == size


@pytest.fixture
def both(view_of, image_of):
    """The nuclei and the bodies of one field, as a call gets them."""
    images = [view_of(1, channel)[0][0] for channel in ("DAPI", "FITC")]
    return Images(
        image_of(image.array, **image.metadata | {"channelIndex": number, "channelName": name})
        for number, (image, name) in enumerate(zip(images, ("DAPI", "FITC"), strict=True))
    )


def test_all_channels_are_measured_and_cut_out(library, context, both):
    answer = library(CLASSICAL).run(both, context)
    alone = library(CLASSICAL).run(both[:1], context)
    assert np.array_equal(answer["segmentation"], alone["segmentation"])
    assert answer["metadata"] == alone["metadata"]
    for crop in answer["crop"]:
        r0, c0, r1, c1 = crop["bbox"]
        assert np.array_equal(crop["image"], [image.array[r0:r1, c0:c1] for image in both])
        assert crop["channels"] == ["DAPI", "FITC"]
        assert [index["channel"] for index in crop["indices"]] == [0, 1]
    label = answer["crop"][0]["label"]
    row = answer["cells"]["label"].tolist().index(label)
    for name, image in zip(("DAPI", "FITC"), both, strict=True):
        mean = image.array[answer["segmentation"] == label].mean()
        assert answer["cells"][f"mean_intensity_{name}"][row] == pytest.approx(mean)
    one = library(CLASSICAL, crop_channels="one").run(both, context)["crop"]
    assert [crop["image"].shape for crop in one] == [crop["image"].shape[1:] for crop in answer["crop"]]
    assert one[0]["channels"] == ["DAPI"]


def test_filters_of_brightness_take_the_channel_in_which_cells_are_found(library, context, both):
    cells = library(CLASSICAL, min_mean_intensity=420.0).run(both, context)["cells"]
    assert cells["mean_intensity_DAPI"][cells["kept"]].min() >= 420


@pytest.mark.parametrize("key", ["timeIndex", "positionIndex", "focusIndex", "focusSize"])
def test_images_of_other_places_are_refused(library, context, both, key):
    both[1].metadata[key] += 1
    with pytest.raises(InvalidInput, match=f"not those of one place: they differ in {key}"):
        library(CLASSICAL).run(both, context)


def test_what_speaks_against_the_cells_is_told(library, context, view_of):
    sharp, _, _ = view_of(1, "DAPI")
    blurred, _, _ = view_of(1, "DAPI", z_um=9.0)
    script = library(CLASSICAL)
    assert script.run(sharp, context)["metadata"]["WARNINGS"] == []
    told = script.run(blurred, context)["metadata"]["WARNINGS"]
    assert [text.partition(":")[0] for text in told if "focus" in text] == ["out of focus"]
    assert told[0] in context.lines[-1]


# -- gathering channels


def about(channel, size=2, **more):
    return {"channelIndex": channel, "channelSize": size} | more


@pytest.mark.parametrize(
    ("metadata", "arguments", "expected"),
    [
        (about(0), (), []),
        (about(1), (), [0, 1]),
        (about(1), (1,), [1, 0]),
        (about(2, 3), (1,), [1, 0, 2]),
        (about(1, 3), (0, 1), [0, 1]),
        (about(2, 3), (0, 1), []),
        (about(0, 1), (), [0]),
        (about(1, addedBy="another"), (), []),
    ],
)
@pytest.mark.parametrize("name", [CLASSICAL, CELLPOSE])
def test_channels_are_gathered_when_the_last_is_there(
    library, image_of, empty_image, name, metadata, arguments, expected
):
    new = Images([image_of(empty_image, **metadata)])
    assert library(name).module.fetch_channels(new, *arguments) == [{"channelIndex": n} for n in expected]
    first, last = (*arguments, 0, -1)[:1] + (*arguments[1:], -1)[:1]
    assert library(name).module.fetch_images(new, first, "all", last) == [
        {"channelIndex": n} for n in expected
    ]


@pytest.mark.parametrize("arguments", [(2,), (1, 0), (0, 5), (-1,)])
def test_channels_that_are_not_there_are_told(library, image_of, empty_image, arguments):
    new = Images([image_of(empty_image, **about(1))])
    with pytest.raises(ValueError, match="2 channels, counted from 0"):
        library(CLASSICAL).module.fetch_channels(new, *arguments)


# -- the two scripts


def test_what_both_scripts_have_is_the_same():
    from inscoper_mm.library import library_dir

    texts = {
        name: (library_dir("scripts") / f"{name}.py").read_text(encoding="utf-8")
        for name in (CLASSICAL, CELLPOSE)
    }
    for begin, end in (
        ("def fetch_images(", "\n\n\n"),
        ("    min_area_um2: ", "):"),
        ("    wanted = Wanted(", "    cells"),
    ):
        parts = {text[text.index(begin) :].partition(end)[0] for text in texts.values()}
        assert len(parts) == 1, begin


def test_the_twin_of_the_network_takes_and_gives_the_same(library):
    plain, twin = library(CELLPOSE), library(CELLPOSE, use_async=True)
    assert twin.process.name == "run_detect_single_cells_async"
    assert twin.process.is_async
    assert inspect.signature(twin.process.call) == inspect.signature(plain.process.call)


@pytest.mark.cellpose
@pytest.mark.skipif(find_spec("cellpose") is None, reason="cellpose is not installed")
def test_the_network_finds_single_cells_and_says_which_network_it_was(library, context, view_of):
    script = library(CELLPOSE, diameter_um=12.0, crop_size_px=40)
    script.warm_up()
    images, specimen, view = view_of(1, "DAPI")
    answer = script.run(images, context)
    assert json.loads(json.dumps(answer["metadata"], allow_nan=False)) == answer["metadata"]
    made_with = answer["crop"][0]["about"]
    assert made_with["segmentation"]["model"] == "small_nuclei"
    assert made_with["script"]["file"] == "single_cell_screening.py"
    assert len(made_with["script"]["sha256"]) == len(made_with["segmentation"]["model_sha256"]) == 64
    result = match(answer["segmentation"], specimen.truth(view))
    assert result.isolated_recall >= 0.9
    assert result.false_fraction <= 0.1
    assert answer["metadata"]["NBR_OF_CELLS"] == len(answer["crop"]) > 50


def test_transmitted_light_is_a_mode_of_its_own(library, context, view_of):
    """Two micrometres below the focus, where cells are dark with a bright rim."""
    images, specimen, view = view_of(1, "BF", z_um=-2.0, brightfield=Brightfield(channels=("BF",)))
    truth = specimen.truth(view)
    phase = library(CLASSICAL, objects="phase").run(images, context)
    result = match(phase["segmentation"], truth, labels=truth.labels)
    assert result.f1 > 0.85
    assert phase["metadata"]["NBR_OF_CELLS"] > 50
    bright = library(CLASSICAL).run(images, context)
    assert match(bright["segmentation"], truth, labels=truth.labels).hits < 0.2 * result.hits
    # Neither dim nor blurred: there is no light of the cells' own.
    assert phase["metadata"]["WARNINGS"] == []
