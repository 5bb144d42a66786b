"""Measured cells: a table of one row per label, contours, and where a pixel is on the stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.outline import hull_areas, perimeters
from inscoper_mm.analysis.runs import Column, Runs, find_runs
from inscoper_mm.analysis.sharpness import edge_widths
from inscoper_mm.errors import Finding, InvalidInput

CellTable = dict[str, Column]
# One image, or one for each channel.
Images = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
_Number = TypeVar("_Number", float, npt.NDArray[np.float64])

# Second moments that differ by less of their sum are equal: such a cell has no direction.
_EQUAL = 1e-12
_BOX = ("bbox_r0", "bbox_c0", "bbox_r1", "bbox_c1")
_LENGTHS = ("diameter", "major_axis", "minor_axis", "perimeter", "centroid_row", "centroid_col")


def measure_cells(
    labels: npt.NDArray[np.integer[Any]],
    image: Images | None = None,
    pixel_size_um: float | None = None,
    *,
    focus: bool = False,
) -> CellTable:
    """Measure each cell of a label image.

    Parameters
    ----------
    labels : (Y, X) int
        0 is background. Numbers may be missing, and cells in several pieces.
    image : (Y, X) array, or mapping of channel to (Y, X) array, optional
        Grey values; without them there are no intensities.
    pixel_size_um : float, optional
        Without it there are no columns in micrometres.
    focus : bool
        Whether to measure, in each image, how sharp each cell is.

    Returns
    -------
    dict of name to (N,) array
        Sorted by ``label``. ``area_px``, ``centroid_row_px``, ``centroid_col_px``, ``bbox_r0 bbox_c0 bbox_r1
        bbox_c1`` (the last two one past the end), ``diameter_px`` (of the circle of that area), ``major_axis_px``,
        ``minor_axis_px``, ``eccentricity``, ``orientation_rad`` (of the ellipse of the same second moments; the
        angle from the row axis to the major axis, counter-clockwise), ``perimeter_px``, ``solidity`` (area over that
        of the convex hull), ``mean_intensity min_intensity max_intensity std_intensity integrated_intensity`` (of a
        channel with its name, ``mean_intensity_DAPI``), and in micrometres ``area_um2 diameter_um major_axis_um
        minor_axis_um perimeter_um centroid_row_um centroid_col_um bbox_r0_um bbox_c0_um bbox_r1_um bbox_c1_um``
        (from the image's first pixel). The definitions are those of ``skimage.measure.regionprops_table``. With
        ``focus``: ``edge_width_px``, ``edge_width_um``, and ``focus``, the diameter over the width of the edge: about
        2.5 of blurred cells of any size, 3 of small sharp ones (10 pixels), 4 to 8 of larger ones; NaN of cells too
        small to tell.

    Raises
    ------
    InvalidInput
        If labels are not (Y, X), or labels and image differ in shape.
    """
    labels = np.asarray(labels)
    check_shapes(labels, image, 2, "measure_cells")
    runs = find_runs(labels)
    table: CellTable = {"label": runs.found} | _moments(runs) | _boxes(runs)
    table["perimeter_px"] = perimeters(runs)
    table["solidity"] = table["area_px"] / hull_areas(runs)
    table |= intensities(runs, image)
    if focus:
        table |= _sharpness(runs, image, table["diameter_px"], pixel_size_um)
    if pixel_size_um:
        table |= {f"{name}_um": table[f"{name}_px"] * pixel_size_um for name in _LENGTHS}
        table |= {f"{name}_um": table[name] * pixel_size_um for name in _BOX}
        table["area_um2"] = table["area_px"] * pixel_size_um**2
    return table


def check_shapes(labels: npt.NDArray[Any], image: Images | None, axes: int, function: str) -> None:
    """Refuse labels without so many axes, and images of another shape.

    Raises
    ------
    InvalidInput
    """
    findings = []
    if labels.ndim != axes or labels.dtype.kind not in "bui":
        findings.append(
            Finding(
                "not a label image",
                function=function,
                parameter="labels",
                got=f"shape {labels.shape}, {labels.dtype}",
                allowed=f"an array of whole numbers with {axes} axes",
            )
        )
    for name, each in _channels(image).items():
        if np.shape(each) != labels.shape:
            findings.append(
                Finding(
                    "labels and image differ in shape",
                    function=function,
                    parameter=f"image[{name!r}]" if name else "image",
                    got=str(np.shape(each)),
                    allowed=str(labels.shape),
                )
            )
    if findings:
        raise InvalidInput(findings)


def _channels(image: Images | None) -> Mapping[str, npt.NDArray[Any]]:
    """The images by channel; one without a channel has the name ""."""
    if image is None:
        return {}
    return image if isinstance(image, Mapping) else {"": image}


def _moments(runs: Runs) -> CellTable:
    """Area, centre, and the ellipse of the same second moments."""
    area = runs.area.astype(np.float64)
    middle = (runs.start + runs.stop - 1) / 2
    row = runs.sum(runs.length * runs.row) / area
    col = runs.sum(runs.length * middle) / area
    down, right = runs.row - row[runs.cell], middle - col[runs.cell]
    rr = runs.sum(runs.length * down**2) / area
    # Besides that of its middle, a run has the spread of its own pixels.
    cc = runs.sum(runs.length * (right**2 + (runs.length**2 - 1) / 12)) / area
    rc = runs.sum(runs.length * down * right) / area
    spread = np.hypot(rr - cc, 2 * rc)
    round_ = spread <= _EQUAL * (rr + cc)
    spread[round_] = 0
    large, small = (rr + cc + spread) / 2, np.maximum((rr + cc - spread) / 2, 0)
    return {
        "area_px": area,
        "centroid_row_px": row,
        "centroid_col_px": col,
        "diameter_px": np.sqrt(4 / math.pi * area),
        "major_axis_px": 4 * np.sqrt(large),
        "minor_axis_px": 4 * np.sqrt(small),
        "eccentricity": np.sqrt(np.where(large > 0, 1 - small / np.where(large > 0, large, 1), 0)),
        "orientation_rad": np.where(round_, -math.pi / 4, 0.5 * np.arctan2(2 * rc, rr - cc)),
    }


def _boxes(runs: Runs) -> CellTable:
    edges = (
        runs.row[runs.first[:-1]],
        runs.least(runs.start),
        runs.row[runs.first[1:] - 1] + 1,
        runs.most(runs.stop),
    )
    return dict(zip(_BOX, edges, strict=True))


def intensities(runs: Runs, image: Images | None) -> CellTable:
    """The grey values of the cells: mean, least, greatest, standard deviation and sum, of each channel."""
    table: CellTable = {}
    for channel, each in _channels(image).items():
        suffix = f"_{channel}" if channel else ""
        table |= {f"{name}{suffix}": column for name, column in _intensities(runs, np.asarray(each)).items()}
    return table


def _intensities(runs: Runs, image: npt.NDArray[Any]) -> CellTable:
    if not runs.count:
        names = ("mean", "min", "max", "std", "integrated")
        return {f"{name}_intensity": np.empty(0) for name in names}
    values = image.reshape(-1)[runs.pixels]
    least, most = (step.reduceat(values, runs.first_pixel) for step in (np.minimum, np.maximum))
    grey = values.astype(np.float64)
    total = np.add.reduceat(grey, runs.first_pixel)
    mean = total / runs.area
    grey -= np.repeat(mean, runs.area)
    variance = np.add.reduceat(np.square(grey, out=grey), runs.first_pixel) / runs.area
    return {
        "mean_intensity": mean,
        "min_intensity": least.astype(np.float64),
        "max_intensity": most.astype(np.float64),
        "std_intensity": np.sqrt(variance),
        "integrated_intensity": total,
    }


def _sharpness(
    runs: Runs, image: Images | None, diameter_px: Column, pixel_size_um: float | None
) -> CellTable:
    table: CellTable = {}
    for channel, each in _channels(image).items():
        suffix = f"_{channel}" if channel else ""
        width_px = edge_widths(runs, np.ascontiguousarray(each, np.float32))
        table[f"edge_width_px{suffix}"] = width_px
        if pixel_size_um:
            table[f"edge_width_um{suffix}"] = width_px * pixel_size_um
        table[f"focus{suffix}"] = diameter_px / width_px
    return table


def row_of(table: Mapping[str, Column], number: int) -> dict[str, int | float]:
    """Row ``number`` of a table as plain numbers, ready for JSON."""
    return {name: column[number].item() for name, column in table.items()}


def contours(labels: npt.NDArray[np.integer[Any]]) -> dict[int, list[list[int]]]:
    """The outline of each cell as a polygon ``[[x, y], ...]`` of pixel centres; x is the column.

    Of a label in several pieces, that of the largest.
    """
    labels = np.asarray(labels)
    runs = find_runs(labels)
    outlines = {}
    boxes = np.column_stack(list(_boxes(runs).values()))
    for label, (r0, c0, r1, c1) in zip(runs.found.tolist(), boxes.tolist(), strict=True):
        mask = (labels[r0:r1, c0:c1] == label).astype(np.uint8)
        pieces, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        largest = max(pieces, key=lambda piece: (cv2.contourArea(piece), len(piece)))
        outlines[label] = (largest[:, 0, :] + np.array([c0, r0])).tolist()
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
