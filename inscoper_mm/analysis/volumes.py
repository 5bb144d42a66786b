"""Measured cells of a stack: a table of one row per label of a (Z, Y, X) label image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.measurement import CellTable, Images, check_shapes, intensities
from inscoper_mm.analysis.runs import find_runs


def measure_volumes(
    labels: npt.NDArray[np.integer[Any]],
    image: Images | None = None,
    pixel_size_um: float | None = None,
    z_step_um: float | None = None,
) -> CellTable:
    """Measure each cell of a stack.

    Parameters
    ----------
    labels : (Z, Y, X) int
        0 is background.
    image : (Z, Y, X) array, or mapping of channel to (Z, Y, X) array, optional
        Grey values; without them there are no intensities.
    pixel_size_um, z_step_um : float, optional
        Size of a pixel, and distance of two slices; without both there are no columns in micrometres.

    Returns
    -------
    dict of name to (N,) array
        Sorted by ``label``. ``volume_px`` (pixels in all slices), ``centroid_slice_px centroid_row_px
        centroid_col_px``, ``bbox_s0 bbox_r0 bbox_c0 bbox_s1 bbox_r1 bbox_c1`` (the last three one past the end), the
        intensities as ``measure_cells`` has them, and in micrometres ``volume_um3 centroid_slice_um centroid_row_um
        centroid_col_um``, from the first pixel of the first slice.

    Raises
    ------
    InvalidInput
        If labels are not (Z, Y, X), or labels and image differ in shape.
    """
    labels = np.asarray(labels)
    check_shapes(labels, image, 3, "measure_volumes")
    runs = find_runs(labels)
    volume = runs.area.astype(np.float64)
    plane, row = np.divmod(runs.row, labels.shape[1])
    table: CellTable = {
        "label": runs.found,
        "volume_px": volume,
        "centroid_slice_px": runs.sum(runs.length * plane) / volume,
        "centroid_row_px": runs.sum(runs.length * row) / volume,
        "centroid_col_px": runs.sum(runs.length * (runs.start + runs.stop - 1)) / 2 / volume,
        "bbox_s0": runs.least(plane),
        "bbox_r0": runs.least(row),
        "bbox_c0": runs.least(runs.start),
        "bbox_s1": runs.most(plane) + 1,
        "bbox_r1": runs.most(row) + 1,
        "bbox_c1": runs.most(runs.stop),
    }
    table |= intensities(runs, image)
    if pixel_size_um and z_step_um:
        table["volume_um3"] = volume * pixel_size_um**2 * z_step_um
        sizes = {"slice": z_step_um, "row": pixel_size_um, "col": pixel_size_um}
        table |= {f"centroid_{axis}_um": table[f"centroid_{axis}_px"] * size for axis, size in sizes.items()}
    return table
