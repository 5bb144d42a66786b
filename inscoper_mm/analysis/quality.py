"""When not to trust what was found in an image: short warnings, each a fixed phrase, numbers, and what to do."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import cv2
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
_SATURATED, _AT_BORDER = 0.01, 0.5
_FEW = 3
# A camera that is full below its largest value: so many times as many pixels as at each of the values just below.
_PILE, _LEAST_PILE_PX = 6.0, 30
# Sharpness below which the typical cell is blurred (see ``focus`` of the measurement), and edges that are narrower than
# this are as sharp as pixels show them. Measured on 20 seeds of the specimen, 100 cells an image: no alarm in 80 images
# in focus or half a depth of field off; all are told from 1.5 depths of field (nuclei of 11 pixels) or 3 (cells of
# 19 pixels). Real nuclei: none of 12 sharp images, all blurred ones in which something is found.
_LEAST_FOCUS, _SHARPEST_EDGE_PX = 2.8, 3.5
# Sharpness against the sharpest image of the place, which also tells of large cells: found from 1.5 depths of field.
_LOST_FOCUS, _ENOUGH_TO_COMPARE = 1.4, 5
# Of one field, from image to image: a quarter of the cells come and go (three standard deviations of that), and a fifth
# may be divisions and errors.
_COUNT_SIGMAS, _COUNT_SHARE = 1.5, 0.2
_SIZE_FACTOR = 1.6
# Contrast against the noise; the share and the number of cells below it that are told.
_LEAST_SNR, _DIM, _FEW_DIM = 3.0, 0.2, 2
# The background near a cell: a mean over so far, in steps of so many pixels, where at least this part is no cell.
_AROUND_PX, _COARSE_PX, _LEAST_WEIGHT = 24, 8, 0.02

Labels = npt.NDArray[np.integer[Any]]


def warnings_about(
    image: npt.NDArray[Any],
    labels: Labels,
    *,
    saturated_at: float | None = None,
    previous_count: int | None = None,
    sharpest_before: float | None = None,
    diameter_px: float | None = None,
    table: CellTable | None = None,
    bright: bool = True,
) -> list[str]:
    """What speaks against the cells that were found in an image.

    Parameters
    ----------
    image : (Y, X) array
        Grey values.
    labels : (Y, X) int
        The cells; 0 is background.
    saturated_at : float, optional
        The largest value of the camera. Left out: only a camera that is full earlier is told, by its many equal pixels.
    previous_count : int, optional
        How many cells the same field had before.
    sharpest_before : float, optional
        The largest ``typical_focus`` that an image of the same field had.
    diameter_px : float, optional
        The diameter that cells were said to have.
    table : CellTable, optional
        Of ``measure_cells`` for these labels, so that it is not made again; its column ``focus`` is used if it has one.
    bright : bool
        Whether cells have light of their own; of transparent ones in transmitted light, contrast and edges say nothing.

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
        nothing = f"{NOTHING}: no cells. Are channel, light, focus and place right?"
        return [nothing, *_told(_saturated(image, labels, saturated_at)), *changed]
    found = (
        _saturated(image, labels, saturated_at),
        _blurred(table, sharpest_before) if bright else "",
        _dim(image, labels) if bright else "",
        _cut(table, labels.shape),
        _odd_size(table, diameter_px),
    )
    return [*_told(*found), *changed]


def warnings_at(
    place: str,
    memory: MutableMapping[str, Any],
    image: npt.NDArray[Any],
    labels: Labels,
    *,
    bit_depth: object = None,
    diameter_px: float | None = None,
    table: CellTable | None = None,
    bright: bool = True,
) -> list[str]:
    """The same, compared with the images before of the same place.

    Parameters
    ----------
    place : str
        Within ``memory``: the slice of a stack, for example.
    memory : mutable mapping
        Of JSON values, as a script's state is: keeps how many cells there were and how sharp they were at best.
    image, labels, diameter_px, table, bright
        As of ``warnings_about``.
    bit_depth : int, optional
        Of the camera; left out, that of the array's type.
    """
    if table is None or "focus" not in table:
        table = measure_cells(labels, image, focus=True)
    count, sharpest = memory.get(f"quality of {place}") or (None, None)
    found = warnings_about(
        image,
        labels,
        saturated_at=saturation_of(image, bit_depth),
        previous_count=count,
        sharpest_before=sharpest,
        diameter_px=diameter_px,
        table=table,
        bright=bright,
    )
    known = [each for each in (sharpest, typical_focus(table)) if each is not None]
    memory[f"quality of {place}"] = [len(table["label"]), round(max(known), 4) if known else None]
    return found


def typical_focus(table: CellTable) -> float | None:
    """The sharpness of the typical cell, from the column ``focus``; None where too few cells can tell."""
    sharpness = table["focus"][np.isfinite(table["focus"])]
    return float(np.median(sharpness)) if len(sharpness) >= _FEW else None


def saturation_of(image: npt.NDArray[Any], bit_depth: object) -> float | None:
    """The largest value that a camera of so many bits can give, None where that is not known."""
    bits = int(bit_depth) if isinstance(bit_depth, int | float) and bit_depth else 8 * image.dtype.itemsize
    return float(2**bits - 1) if image.dtype.kind == "u" else None


def _told(*texts: str) -> list[str]:
    return [text for text in texts if text]


def _saturated(image: npt.NDArray[Any], labels: Labels, level: float | None) -> str:
    cells = labels > 0
    where, inside = ("the cells'", image[cells]) if cells.any() else ("all", image.reshape(-1))
    if level is None or not (image >= level).any():
        level = _full_at(inside)
    if level is None:
        return ""
    share, everywhere = float(np.mean(inside >= level)), float(np.mean(image >= level))
    if max(share, everywhere) <= _SATURATED:
        return ""
    return (
        f"{SATURATED}: {share:.0%} of {where} pixels ({everywhere:.0%} of the image) have the largest value "
        f"{level:.0f}. Brightness cannot be measured there; use less light or a shorter exposure."
    )


def _full_at(values: npt.NDArray[Any]) -> float | None:
    """The largest value, if so many pixels have it that the camera must be full there."""
    if values.dtype.kind not in "ui" or not values.size:
        return None
    largest = int(values.max())
    below = [int(np.count_nonzero(values == largest - step)) for step in (1, 2, 3)]
    at_largest = int(np.count_nonzero(values == largest))
    return float(largest) if at_largest > max(_PILE * max(below), _LEAST_PILE_PX) else None


def _blurred(table: CellTable, before: float | None) -> str:
    focus = typical_focus(table)
    if focus is None:
        return ""
    wide = float(np.nanmedian(table["diameter_px"] / table["focus"]))
    cure = "Outlines and areas are too large; focus again."
    if focus < _LEAST_FOCUS and wide > _SHARPEST_EDGE_PX:
        return (
            f"{OUT_OF_FOCUS}: the edges of the typical cell are {wide:.1f} px wide, its diameter is only {focus:.1f} "
            f"times that (less than {_LEAST_FOCUS}). {cure}"
        )
    if before is None or len(table["focus"]) < _ENOUGH_TO_COMPARE or focus * _LOST_FOCUS > before:
        return ""
    return (
        f"{OUT_OF_FOCUS}: the edges of the typical cell are {before / focus:.1f} times as wide as in the sharpest "
        f"image of this place. {cure}"
    )


def _dim(image: npt.NDArray[Any], labels: Labels) -> str:
    grey, cells = np.asarray(image, np.float32), labels > 0
    noise = noise_sigma(grey, whole_numbers=image.dtype.kind in "bui")
    if noise <= 0 or cells.all():
        return ""
    number = np.unique(labels[cells], return_inverse=True)[1]
    contrast = np.abs(np.bincount(number, (grey - _around(grey, cells))[cells])) / np.bincount(number) / noise
    dim, typical = int((contrast < _LEAST_SNR).sum()), float(np.median(contrast))
    if dim < _FEW_DIM or dim <= _DIM * len(contrast):
        return ""
    return (
        f"{DIM}: {dim} of {len(contrast)} cells differ by less than {_LEAST_SNR:g} times the noise from what is around "
        f"them (the typical one by {typical:.1f}). Some may be no cells, others missing; look at the labels, or use "
        "more light."
    )


def _around(grey: npt.NDArray[np.float32], cells: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The background at each pixel, from the pixels around that are no cells: uneven light makes no cell dim."""
    size = grey.shape[::-1]
    small = tuple(max(1, length // _COARSE_PX) for length in size)
    empty = (~cells).astype(np.float32)
    light, weight = (
        cv2.GaussianBlur(
            cv2.resize(each, small, interpolation=cv2.INTER_AREA), (0, 0), _AROUND_PX / _COARSE_PX
        )
        for each in (grey * empty, empty)
    )
    known = np.where(
        weight > _LEAST_WEIGHT, light / np.maximum(weight, _LEAST_WEIGHT), np.median(grey[~cells])
    )
    return np.asarray(cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_LINEAR), np.float32)


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
        f"{SIZE}: the typical cell found is {typical:.0f} px across, and {diameter_px:.0f} px was given. Is the "
        "diameter right, or are cells in pieces or together?"
    )


def _changed(count: int, before: int | None) -> list[str]:
    if before is None:
        return []
    change = abs(count - before)
    if change <= max(_COUNT_SIGMAS * np.sqrt(count + before), _COUNT_SHARE * max(count, before)):
        return []
    return [
        f"{COUNT}: {count} cells after {before} in the image before. Has the field moved, or the light changed?"
    ]
