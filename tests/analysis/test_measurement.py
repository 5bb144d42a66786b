"""Measurement against scikit-image, contours against geometry, stage positions against the specimen's view."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.draw import ellipse
from skimage.measure import label as connected
from skimage.measure import regionprops_table

from inscoper_mm.analysis.measurement import contours, measure_cells, pixel_to_stage_um, row_of
from inscoper_mm.errors import InvalidInput

SAME = {
    "label": "label",
    "area_px": "area",
    "centroid_row_px": "centroid-0",
    "centroid_col_px": "centroid-1",
    "bbox_r0": "bbox-0",
    "bbox_c0": "bbox-1",
    "bbox_r1": "bbox-2",
    "bbox_c1": "bbox-3",
    "diameter_px": "equivalent_diameter_area",
    "major_axis_px": "axis_major_length",
    "minor_axis_px": "axis_minor_length",
    "mean_intensity": "intensity_mean",
    "min_intensity": "intensity_min",
    "max_intensity": "intensity_max",
    "std_intensity": "intensity_std",
    "eccentricity": "eccentricity",
    "orientation_rad": "orientation",
    "perimeter_px": "perimeter",
    "solidity": "solidity",
}


def labels_with_gaps():
    labels = np.zeros((80, 120), np.int32)
    for number, (row, col, height, width, turn) in enumerate(
        [(20, 20, 14, 8, 0.3), (20, 60, 10, 12, 0.0), (55, 30, 5, 20, -0.7), (60, 90, 15, 12, 1.2)], start=1
    ):
        rows, cols = ellipse(row, col, height, width, shape=labels.shape, rotation=turn)
        labels[rows, cols] = 3 * number  # 3, 6, 9, 12: numbers may be missing
    labels[0, 119] = 20
    return labels


def touching_disks():
    labels = np.zeros((90, 140), np.uint16)
    rows, cols = np.mgrid[:90, :140]
    for number, (row, col, radius) in enumerate([(20, 20, 15), (20, 50, 15), (48, 35, 16), (88, 100, 20)]):
        labels[np.hypot(rows - row, cols - col) <= radius] = number + 1
    return labels


def scattered_pieces():
    """Noise as labels: every cell in hundreds of pieces of all small shapes."""
    return np.random.default_rng(3).integers(0, 5, (60, 70)) * 1000


def blobs():
    """Ragged outlines, holes, a cell as wide as the image and many of a few pixels."""
    rough = gaussian_filter(np.random.default_rng(4).standard_normal((200, 240)), 1.5)
    labels = connected(rough > 0.5 * rough.std())
    labels[100:103] = labels.max() + 1
    return labels


FIELDS = {
    "ellipses, numbers with gaps, one pixel": labels_with_gaps,
    "touching, at the border": touching_disks,
    "scattered pieces": scattered_pieces,
    "ragged": blobs,
    "one cell is all of the image": lambda: np.ones((30, 40), np.int64),
    "a mask": lambda: labels_with_gaps() > 0,
    "Fortran order": lambda: np.asfortranarray(labels_with_gaps()),
    "strided": lambda: np.repeat(labels_with_gaps(), 3, axis=1)[::-1, ::3],
}


@pytest.mark.parametrize("case", FIELDS)
def test_the_definitions_are_those_of_scikit_image(case):
    labels = FIELDS[case]()
    image = np.random.default_rng(1).integers(0, 4096, labels.shape).astype(np.uint16)
    properties = [name.split("-")[0] for name in dict.fromkeys(SAME.values())]
    theirs = regionprops_table(labels.astype(np.int64), image, properties=properties)
    ours = measure_cells(labels, image)
    # Of a cell whose second moments are the same in all directions, rounding makes something up.
    elongated = ours["eccentricity"] > 1e-3
    for mine, name in SAME.items():
        which = elongated if mine in ("eccentricity", "orientation_rad") else slice(None)
        assert ours[mine][which] == pytest.approx(theirs[name][which], rel=1e-12, abs=1e-12), mine
    assert theirs["eccentricity"][~elongated] == pytest.approx(0, abs=1e-3)


def test_a_square_has_no_direction():
    labels = np.zeros((20, 20), np.int32)
    labels[5:10, 5:10] = 1
    table = measure_cells(labels)
    assert table["eccentricity"] == [0]
    assert table["orientation_rad"] == regionprops_table(labels, properties=["orientation"])["orientation"]


def test_large_numbers_take_no_more_memory():
    labels = labels_with_gaps().astype(np.int64)
    expected, table = measure_cells(labels), measure_cells(labels * 100_000_000_007)
    assert np.array_equal(table.pop("label"), expected.pop("label") * 100_000_000_007)
    assert all(np.array_equal(table[name], expected[name]) for name in expected)


def test_every_channel_is_measured():
    labels = labels_with_gaps()
    random = np.random.default_rng(2)
    images = {
        "DAPI": random.integers(0, 255, labels.shape).astype(np.uint8),
        "GFP": random.normal(0, 1, labels.shape),
    }
    table = measure_cells(labels, images)
    for channel, image in images.items():
        alone = measure_cells(labels, image)
        for name in ("mean", "min", "max", "std", "integrated"):
            assert np.array_equal(table[f"{name}_intensity_{channel}"], alone[f"{name}_intensity"])
        sums = [image[labels == label].sum(dtype=np.float64) for label in alone["label"]]
        assert alone["integrated_intensity"] == pytest.approx(sums, rel=1e-12)
    assert "mean_intensity" not in table


def test_sums_of_many_bright_pixels_stay_exact():
    image = np.full((1000, 1000), 65535, np.uint16)
    table = measure_cells(np.ones(image.shape, np.uint8), image)
    assert table["integrated_intensity"] == [65535e6]
    assert table["mean_intensity"] == [65535]
    assert table["std_intensity"] == [0]


@pytest.mark.parametrize(
    ("shape", "solidity"),
    [
        pytest.param("rectangle", 1.0, id="a rectangle fills its hull"),
        pytest.param("pixel", 1.0, id="so does a pixel"),
        pytest.param("line", 1.0, id="and a line"),
        pytest.param("L", 19 / (19 + 36), id="an L does not"),
    ],
)
def test_solidity(shape, solidity):
    labels = np.zeros((20, 20), np.int32)
    places = {
        "rectangle": np.s_[3:9, 4:15],
        "pixel": np.s_[3, 3],
        "line": np.s_[3, 4:15],
        "L": np.s_[5, 5:15],
    }
    labels[places[shape]] = 1
    if shape == "L":
        labels[5:15, 5] = 1
    assert measure_cells(labels)["solidity"] == pytest.approx(solidity)


def test_micrometres_only_where_the_pixel_size_is_known():
    labels = labels_with_gaps()
    table = measure_cells(labels, pixel_size_um=0.5)
    assert table["area_um2"] == pytest.approx(table["area_px"] / 4)
    lengths = ("diameter", "major_axis", "minor_axis", "perimeter", "centroid_row", "centroid_col")
    for name in lengths:
        assert table[f"{name}_um"] == pytest.approx(table[f"{name}_px"] / 2)
    for edge in ("r0", "c0", "r1", "c1"):
        assert table[f"bbox_{edge}_um"] == pytest.approx(table[f"bbox_{edge}"] / 2)
    assert not [name for name in measure_cells(labels) if "um" in name.split("_")[-1]]


def test_nothing_to_measure_gives_an_empty_table_with_all_columns():
    empty = measure_cells(np.zeros((9, 9), np.int32), np.zeros((9, 9)), 1.0)
    assert set(empty) == set(measure_cells(np.ones((9, 9), np.int32), np.zeros((9, 9)), 1.0))
    assert {column.size for column in empty.values()} == {0}


def test_a_row_is_ready_for_json():
    row = row_of(measure_cells(labels_with_gaps(), np.ones((80, 120)), 0.3), 1)
    assert row["label"] == 6
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_labels_and_image_must_fit():
    labels = np.ones((5, 5), np.int32)
    with pytest.raises(InvalidInput, match="differ in shape"):
        measure_cells(labels, np.ones((5, 6)))
    with pytest.raises(InvalidInput, match="GFP"):
        measure_cells(labels, {"DAPI": np.ones((5, 5)), "GFP": np.ones((5, 6))})


@pytest.mark.parametrize("labels", [np.ones((5, 5)), np.ones((2, 5, 5), int), np.ones(5, int)])
def test_labels_are_whole_numbers_in_rows_and_columns(labels):
    with pytest.raises(InvalidInput, match="not a label image"):
        measure_cells(labels)


def test_contours_are_polygons_of_x_and_y():
    labels = np.zeros((30, 40), np.int32)
    labels[10:15, 20:30] = 4
    labels[0, 0] = 7
    assert set(contours(labels)) == {4, 7}
    assert sorted(contours(labels)[4]) == [[20, 10], [20, 14], [29, 10], [29, 14]]
    assert contours(labels)[7] == [[0, 0]]
    assert contours(np.zeros((5, 5), int)) == {}


def test_a_pixel_is_where_the_map_says():
    # Columns run along -y, rows along +x, 0.5 um each; pixel (0, 0) shows (10, 20).
    turned = (0.0, 0.5, 10.0, -0.5, 0.0, 20.0)
    assert pixel_to_stage_um(4, 6, turned) == (12.0, 17.0)
    x_um, y_um = pixel_to_stage_um(np.array([0.0, 4.0]), np.array([0.0, 6.0]), turned)
    assert (x_um.tolist(), y_um.tolist()) == ([10.0, 12.0], [20.0, 17.0])
