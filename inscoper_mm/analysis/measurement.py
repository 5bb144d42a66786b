"""Measured cells: a table of one row per label, contours, and where a pixel is on the stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from inscoper_mm.analysis.grey import Labels
from inscoper_mm.analysis.splitting import hull_area
from inscoper_mm.errors import Finding, InvalidInput

Column = npt.NDArray[Any]
CellTable = dict[str, Column]
_Number = TypeVar("_Number", float, npt.NDArray[np.float64])


def measure_cells(
    labels: npt.NDArray[np.integer[Any]],
    image: npt.NDArray[Any] | None = None,
    pixel_size_um: float | None = None,
) -> CellTable:
    """Measure each cell of a label image.

    Parameters
    ----------
    labels : (Y, X) int
        0 is background.
    image : (Y, X) array, optional
        Grey values; without them there are no intensities.
    pixel_size_um : float, optional
        Without it there are no columns in micrometres.

    Returns
    -------
    dict of name to (N,) array
        Sorted by ``label``. ``area_px``, ``centroid_row_px``, ``centroid_col_px``, ``bbox_r0 bbox_c0 bbox_r1
        bbox_c1`` (the last two one past the end), ``diameter_px`` (of the circle of that area), ``major_axis_px``,
        ``minor_axis_px``, ``eccentricity``, ``orientation_rad`` (of the ellipse of the same second moments; the
        angle from the row axis to the major axis, counter-clockwise), ``solidity`` (area over that of the convex
        hull), ``mean_intensity min_intensity max_intensity std_intensity``, and in micrometres ``area_um2
        diameter_um major_axis_um minor_axis_um``. The definitions are those of
        ``skimage.measure.regionprops_table``, except that the convex hull is that of the pixel centres.

    Raises
    ------
    InvalidInput
        If labels and image differ in shape.
    """
    labels = np.asarray(labels)
    if image is not None and image.shape != labels.shape:
        raise InvalidInput(
            Finding(
                "labels and image differ in shape",
                function="measure_cells",
                parameter="image",
                got=str(image.shape),
                allowed=str(labels.shape),
            )
        )
    rows, cols = np.nonzero(labels)
    found, which = np.unique(labels[rows, cols], return_inverse=True)
    table: CellTable = {"label": found.astype(np.int64)}
    if found.size:
        table |= _moments(rows, cols, which, found.size) | _boxes(labels, found)
    else:
        table |= {name: np.empty(0) for name in _SHAPE_COLUMNS}
    if image is not None:
        table |= _intensities(image[rows, cols].astype(np.float64), which, found.size)
    if pixel_size_um:
        for name in ("diameter", "major_axis", "minor_axis"):
            table[f"{name}_um"] = table[f"{name}_px"] * pixel_size_um
        table["area_um2"] = table["area_px"] * pixel_size_um**2
    return table


_SHAPE_COLUMNS = (
    "area_px",
    "centroid_row_px",
    "centroid_col_px",
    "diameter_px",
    "major_axis_px",
    "minor_axis_px",
    "eccentricity",
    "orientation_rad",
    "bbox_r0",
    "bbox_c0",
    "bbox_r1",
    "bbox_c1",
    "solidity",
)


def _moments(rows: Column, cols: Column, which: Column, count: int) -> CellTable:
    """Area, centre, and the ellipse of the same second moments."""

    def mean(values: Column) -> Column:
        return np.bincount(which, values, minlength=count) / area

    area = np.bincount(which, minlength=count).astype(np.float64)
    row, col = mean(rows), mean(cols)
    down, right = rows - row[which], cols - col[which]
    rr, cc, rc = mean(down**2), mean(right**2), mean(down * right)
    spread = np.hypot(rr - cc, 2 * rc)
    large, small = (rr + cc + spread) / 2, np.maximum((rr + cc - spread) / 2, 0)
    return {
        "area_px": area,
        "centroid_row_px": row,
        "centroid_col_px": col,
        "diameter_px": np.sqrt(4 / math.pi * area),
        "major_axis_px": 4 * np.sqrt(large),
        "minor_axis_px": 4 * np.sqrt(small),
        "eccentricity": np.sqrt(np.where(large > 0, 1 - small / np.where(large > 0, large, 1), 0)),
        "orientation_rad": np.where(spread > 0, 0.5 * np.arctan2(2 * rc, rr - cc), math.pi / 4),
    }


def _boxes(labels: npt.NDArray[np.integer[Any]], found: Column) -> CellTable:
    """Bounding boxes and solidity."""
    whole: Labels = labels.astype(np.int32, copy=False)
    boxes = find_objects(whole)
    table = np.empty((found.size, 5))
    for number, label in enumerate(found):
        rows, cols = boxes[int(label) - 1]
        mask = (whole[rows, cols] == label).astype(np.uint8)
        hull = cv2.convexHull(cv2.findNonZero(mask))
        solidity = np.count_nonzero(mask) / hull_area(hull)
        table[number] = (rows.start, cols.start, rows.stop, cols.stop, solidity)
    names = ("bbox_r0", "bbox_c0", "bbox_r1", "bbox_c1")
    return {name: table[:, column].astype(np.int64) for column, name in enumerate(names)} | {
        "solidity": table[:, 4]
    }


def _intensities(values: Column, which: Column, count: int) -> CellTable:
    area = np.maximum(np.bincount(which, minlength=count), 1)
    mean = np.bincount(which, values, minlength=count) / area
    variance = np.bincount(which, (values - mean[which]) ** 2, minlength=count) / area
    least, most = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(least, which, values)
    np.maximum.at(most, which, values)
    return {
        "mean_intensity": mean,
        "min_intensity": least,
        "max_intensity": most,
        "std_intensity": np.sqrt(variance),
    }


def row_of(table: Mapping[str, Column], number: int) -> dict[str, int | float]:
    """Row ``number`` of a table as plain numbers, ready for JSON."""
    return {name: column[number].item() for name, column in table.items()}


def contours(labels: npt.NDArray[np.integer[Any]]) -> dict[int, list[list[int]]]:
    """The outline of each cell as a polygon ``[[x, y], ...]`` of pixel centres; x is the column.

    Of a label in several pieces, that of the largest.
    """
    outlines = {}
    for label, box in enumerate(find_objects(np.asarray(labels).astype(np.int32, copy=False)), start=1):
        if box is None:
            continue
        mask = (labels[box] == label).astype(np.uint8)
        pieces, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        largest = max(pieces, key=lambda piece: (cv2.contourArea(piece), len(piece)))
        corner = np.array([box[1].start, box[0].start])
        outlines[label] = (largest[:, 0, :] + corner).tolist()
    return outlines


def pixel_to_stage_um(row: _Number, col: _Number, pixel_to_stage: Sequence[float]) -> tuple[_Number, _Number]:
    """(x_um, y_um) of the stage coordinate that is seen at a pixel, or at an array of pixels.

    Parameters
    ----------
    row, col : float or array
        Pixel centres are whole numbers.
    pixel_to_stage : sequence of float
        ``(a, b, tx, c, d, ty)``, as an image's metadata have it under ``pixelToStage_um``. It knows the orientation of
        the camera, its region, its binning, and where the stage was.
    """
    a, b, tx, c, d, ty = pixel_to_stage
    return a * col + b * row + tx, c * col + d * row + ty
