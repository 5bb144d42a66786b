"""Measurement of the cells of a stack against scikit-image."""

import numpy as np
import pytest
from skimage.measure import regionprops_table

from inscoper_mm.analysis.volumes import measure_volumes
from inscoper_mm.errors import InvalidInput

SAME = {
    "label": "label",
    "volume_px": "area",
    "centroid_slice_px": "centroid-0",
    "centroid_row_px": "centroid-1",
    "centroid_col_px": "centroid-2",
    "bbox_s0": "bbox-0",
    "bbox_r0": "bbox-1",
    "bbox_c0": "bbox-2",
    "bbox_s1": "bbox-3",
    "bbox_r1": "bbox-4",
    "bbox_c1": "bbox-5",
    "mean_intensity": "intensity_mean",
    "min_intensity": "intensity_min",
    "max_intensity": "intensity_max",
    "std_intensity": "intensity_std",
}
IN_UM = {
    "volume_um3": "area",
    "centroid_slice_um": "centroid-0",
    "centroid_row_um": "centroid-1",
    "centroid_col_um": "centroid-2",
}


def balls():
    labels = np.zeros((12, 60, 80), np.int32)
    z, y, x = np.mgrid[:12, :60, :80]
    for label, (plane, row, col, radius) in enumerate(
        [(5, 20, 20, 9), (6, 30, 40, 14), (0, 50, 70, 12)], start=2
    ):
        labels[(2 * (z - plane)) ** 2 + (y - row) ** 2 + (x - col) ** 2 <= radius**2] = label
    labels[11, 0, 0] = 9
    return labels


@pytest.mark.parametrize(
    "labels", [balls(), np.random.default_rng(1).integers(0, 4, (5, 12, 17))], ids=["balls", "noise"]
)
def test_the_definitions_are_those_of_scikit_image(labels):
    image = np.random.default_rng(2).integers(0, 4096, labels.shape).astype(np.uint16)
    properties = [name.split("-")[0] for name in dict.fromkeys(SAME.values())]
    theirs = regionprops_table(labels, image, properties=properties)
    ours = measure_volumes(labels, image, 0.5, 2.0)
    for mine, name in SAME.items():
        assert ours[mine] == pytest.approx(theirs[name], rel=1e-12), mine
    theirs = regionprops_table(labels, image, properties=["area", "centroid"], spacing=(2.0, 0.5, 0.5))
    for mine, name in IN_UM.items():
        assert ours[mine] == pytest.approx(theirs[name], rel=1e-12), mine


def test_micrometres_need_both_sizes():
    assert not [name for name in measure_volumes(balls(), pixel_size_um=0.5) if "_um" in name]


def test_an_empty_stack_has_all_columns():
    empty = measure_volumes(np.zeros((3, 9, 9), np.int32), {"A": np.zeros((3, 9, 9))}, 1.0, 1.0)
    assert set(empty) == set(
        measure_volumes(np.ones((3, 9, 9), np.int32), {"A": np.ones((3, 9, 9))}, 1.0, 1.0)
    )
    assert {column.size for column in empty.values()} == {0}


def test_a_flat_image_is_no_stack():
    with pytest.raises(InvalidInput, match="not a label image"):
        measure_volumes(np.ones((9, 9), int))
