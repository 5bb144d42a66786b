"""Which of the cells of an image are single cells: alone, whole, and of a cell's size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from inscoper_mm.analysis.measurement import CellTable

_EDGE_ERROR_PX = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What a single cell must be.

    Parameters
    ----------
    min_gap_diameters : float
        Least distance from its edge to the edge of any other cell, in its own diameters. Where it is less by no more
        than a pixel, which is how well two edges are known, the cell still counts.
    whole : bool
        Whether it must not be cut by the border of the image.
    min_area_px, max_area_px : float
    min_solidity : float
        Least share of its convex hull that it fills: less are cells that could not be taken apart, or debris.
    """

    min_gap_diameters: float = 0.5
    whole: bool = True
    min_area_px: float = 0.0
    max_area_px: float = math.inf
    min_solidity: float = 0.8


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a label is a single cell; ``reasons`` say why not. ``gap_px`` is infinite where no neighbour is near."""

    label: int
    gap_px: float
    reasons: tuple[str, ...] = ()

    @property
    def single(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def screen_cells(
    labels: npt.NDArray[np.integer[Any]], table: CellTable, rules: Rules | None = None
) -> list[Verdict]:
    """Judge each cell.

    Parameters
    ----------
    labels : (Y, X) int
    table : CellTable
        Of the same labels, from ``measure_cells``.
    rules : Rules, optional

    Returns
    -------
    list of Verdict
        In the order of the table.
    """
    rules = rules or Rules()
    boxes = find_objects(np.asarray(labels).astype(np.int32, copy=False))
    verdicts = []
    for number, label in enumerate(table["label"].tolist()):
        wanted_px = rules.min_gap_diameters * float(table["diameter_px"][number])
        gap_px = _gap_px(labels, label, boxes[label - 1], wanted_px)
        near = gap_px + _EDGE_ERROR_PX < wanted_px
        reasons = [
            *_position_reasons(labels.shape, boxes[label - 1], rules),
            *([f"neighbour {gap_px:.1f} px away, less than {wanted_px:.1f}"] if near else []),
            *_shape_reasons(float(table["area_px"][number]), float(table["solidity"][number]), rules),
        ]
        verdicts.append(Verdict(label, gap_px, tuple(reasons)))
    return verdicts


def _position_reasons(shape: tuple[int, ...], box: tuple[slice, slice], rules: Rules) -> list[str]:
    cut = any(side.start == 0 or side.stop == size for side, size in zip(box, shape, strict=True))
    return ["cut by the border of the image"] if rules.whole and cut else []


def _shape_reasons(area_px: float, solidity: float, rules: Rules) -> list[str]:
    reasons = []
    if area_px < rules.min_area_px:
        reasons.append(f"area {area_px:.0f} px, less than {rules.min_area_px:.0f}")
    if area_px > rules.max_area_px:
        reasons.append(f"area {area_px:.0f} px, more than {rules.max_area_px:.0f}")
    if solidity < rules.min_solidity:
        reasons.append(f"solidity {solidity:.2f}, less than {rules.min_solidity:.2f}")
    return reasons


def _gap_px(
    labels: npt.NDArray[np.integer[Any]], label: int, box: tuple[slice, slice], reach_px: float
) -> float:
    """Distance from the edge of a cell to the nearest edge of another; infinite beyond ``reach_px``.

    Cells side by side have a gap of 0: the edge of a cell runs half a pixel outside of its outermost pixel centres.
    """
    margin = math.ceil(reach_px) + 2
    rows, cols = (
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, size in zip(box, labels.shape, strict=True)
    )
    near = labels[rows, cols]
    own = near == label
    others = (near > 0) & ~own
    if not others.any():
        return math.inf
    distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    gap_px = float(distance[own].min()) - 1
    return gap_px if gap_px <= reach_px + 1 else math.inf
