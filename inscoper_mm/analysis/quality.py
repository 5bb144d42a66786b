"""When not to trust what was found in an image: short warnings, each a fixed phrase, numbers, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.grey import noise_sigma
from inscoper_mm.analysis.measurement import CellTable, measure_cells

NOTHING = "nothing found"
SATURATED = "saturated"
OUT_OF_FOCUS = "out of focus"
AT_BORDER = "cells touch the border"
COUNT = "count changed"
SIZE = "unexpected size"
DIM = "dim"
PHRASES = (NOTHING, SATURATED, OUT_OF_FOCUS, AT_BORDER, COUNT, SIZE, DIM)

# Shares of the pixels of cells, and of cells.
_SATURATED, _AT_BORDER = 0.01, 0.4
_FEW = 3
# Sharpness below which the typical cell is blurred; see ``edge_focus`` of the measurement.
_LEAST_FOCUS = 2.8
# Of one field, from image to image: so much of the cells, and so many more, come and go.
_COUNT_SHARE, _COUNT_MORE = 0.25, 3
_SIZE_FACTOR = 1.6
_LEAST_SNR = 3.0

Labels = npt.NDArray[np.integer[Any]]


def warnings_about(
    image: npt.NDArray[Any],
    labels: Labels,
    *,
    saturated_at: float | None = None,
    previous_count: int | None = None,
    diameter_px: float | None = None,
    table: CellTable | None = None,
) -> list[str]:
    """What speaks against the cells that were found in an image.

    Parameters
    ----------
    image : (Y, X) array
        Grey values.
    labels : (Y, X) int
        The cells; 0 is background.
    saturated_at : float, optional
        The largest value of the camera; left out, saturation is not looked for.
    previous_count : int, optional
        How many cells the same field had before.
    diameter_px : float, optional
        The diameter that cells were said to have.
    table : CellTable, optional
        Of ``measure_cells`` for these labels, so that it is not made again; its column ``focus`` is used if it has one.

    Returns
    -------
    list of str
        Each begins with one of ``PHRASES`` and a colon. Empty where nothing speaks against them.
    """
    if table is None or "focus" not in table:
        table = measure_cells(labels, image, focus=True)
    count = len(table["label"])
    changed = _changed(count, previous_count)
    if not count:
        return [f"{NOTHING}: no cells. Are channel, light, focus and place right?", *changed]
    found = [
        _saturated(image, labels, saturated_at),
        _blurred(table),
        _dim(image, labels),
        _cut(table, labels.shape),
        _odd_size(table, diameter_px),
    ]
    return [text for text in found if text] + changed


def saturation_of(image: npt.NDArray[Any], bit_depth: object) -> float | None:
    """The largest value that a camera of so many bits can give, None where that is not known."""
    bits = int(bit_depth) if isinstance(bit_depth, int | float) and bit_depth else 8 * image.dtype.itemsize
    return float(2**bits - 1) if image.dtype.kind == "u" else None


def _saturated(image: npt.NDArray[Any], labels: Labels, level: float | None) -> str:
    if level is None:
        return ""
    full = image >= level
    share = float(full[labels > 0].mean())
    if share <= _SATURATED and float(full.mean()) <= _SATURATED:
        return ""
    return (
        f"{SATURATED}: {share:.0%} of the cells' pixels have the camera's largest value {level:.0f}. Their brightness "
        "cannot be measured; use less light or a shorter exposure."
    )


def _blurred(table: CellTable) -> str:
    sharpness = table["focus"][np.isfinite(table["focus"])]
    if len(sharpness) < _FEW or np.median(sharpness) >= _LEAST_FOCUS:
        return ""
    return (
        f"{OUT_OF_FOCUS}: the edges of the typical cell have a sharpness of {np.median(sharpness):.1f}, less than "
        f"{_LEAST_FOCUS}. Outlines and areas are too large; focus again."
    )


def _dim(image: npt.NDArray[Any], labels: Labels) -> str:
    noise = noise_sigma(np.asarray(image, np.float32), whole_numbers=image.dtype.kind in "bui")
    background = image[labels == 0]
    if noise <= 0 or not background.size:
        return ""
    ratio = float(np.median(image[labels > 0]) - np.median(background)) / noise
    if abs(ratio) >= _LEAST_SNR:
        return ""
    return (
        f"{DIM}: cells are {abs(ratio):.1f} times the noise above the background, less than {_LEAST_SNR:g}. Some may be "
        "missing; use more light or a longer exposure."
    )


def _cut(table: CellTable, shape: tuple[int, ...]) -> str:
    low = (table["bbox_r0"] == 0) | (table["bbox_c0"] == 0)
    cut = low | (table["bbox_r1"] == shape[0]) | (table["bbox_c1"] == shape[1])
    count = int(cut.sum())
    if count < _FEW or count <= _AT_BORDER * len(cut):
        return ""
    return f"{AT_BORDER}: {count} of {len(cut)}. Their areas and shapes are not whole; use a larger field."


def _odd_size(table: CellTable, diameter_px: float | None) -> str:
    if diameter_px is None:
        return ""
    typical = float(np.median(table["diameter_px"]))
    if 1 / _SIZE_FACTOR <= typical / diameter_px <= _SIZE_FACTOR:
        return ""
    return (
        f"{SIZE}: the typical cell found is {typical:.0f} px across, and {diameter_px:.0f} px was given. Is the diameter "
        "right, or are cells in pieces or together?"
    )


def _changed(count: int, before: int | None) -> list[str]:
    if before is None or abs(count - before) <= _COUNT_SHARE * max(count, before) + _COUNT_MORE:
        return []
    return [f"{COUNT}: {count} cells after {before} in the image before. Has the field moved, or the light changed?"]
