"""Which of the cells of an image are single cells: alone, whole, sharp, of a cell's size, shape and brightness."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.measurement import CellTable, row_of
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

_EDGE_ERROR_PX = 1.0
Box = tuple[int, int, int, int]
Cell = dict[str, int | float]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a single cell must be.

    Parameters
    ----------
    min_gap_diameters : float
        Least distance from its edge to the edge of any other cell, in its own diameters. Where it is less by no more
        than a pixel, which is how well edges are known, the cell still counts.
    whole : bool
        Whether it must not be cut by the border of the image.
    min_border_gap_diameters : float
        Least distance from its edge to the border of the image, in its own diameters; a pixel less still counts.
    min_area_px, max_area_px : float
    min_solidity : float
        Least share of its convex hull that it fills: less are cells that could not be taken apart, or debris.
    max_eccentricity : float
        0 is a circle, near 1 a line.
    min_mean_intensity, max_mean_intensity : float
        Range of its mean grey value.
    min_focus : float
        Least sharpness, as ``measure_cells(..., focus=True)`` measures it; a cell too small to tell is none.
    channel : str
        The channel of intensity and focus, where the table has several.
    """

    min_gap_diameters: float = 0.5
    whole: bool = True
    min_area_px: float = 0.0
    max_area_px: float = math.inf
    min_solidity: float = 0.8
    min_border_gap_diameters: float = 0.0
    max_eccentricity: float = 1.0
    min_mean_intensity: float = -math.inf
    max_mean_intensity: float = math.inf
    min_focus: float = 0.0
    channel: str = ""

    @property
    def _suffix(self) -> str:
        return f"_{self.channel}" if self.channel else ""

    @property
    def intensity_column(self) -> str:
        """The column that the range of mean grey values is of; "" without a range."""
        limited = self.min_mean_intensity > -math.inf or self.max_mean_intensity < math.inf
        return f"mean_intensity{self._suffix}" if limited else ""

    @property
    def focus_column(self) -> str:
        """The column that the least sharpness is of; "" without one."""
        return f"focus{self._suffix}" if self.min_focus > 0 else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a label is a single cell; ``reasons`` say why not.

    ``gap_px`` is infinite where no neighbour is near; ``border_gap_px`` is the distance to the image's border. Each
    reason begins with one of these words: cut, border, neighbour, area, solidity, eccentricity, intensity, focus.
    """

    label: int
    gap_px: float
    reasons: tuple[str, ...] = ()
    border_gap_px: float = math.inf

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

    Raises
    ------
    InvalidInput
        If a rule needs a column that the table has not.
    """
    rules = rules or Rules()
    _check_columns(table, rules)
    verdicts = []
    for number in range(len(table["label"])):
        cell = row_of(table, number)
        box = int(cell["bbox_r0"]), int(cell["bbox_c0"]), int(cell["bbox_r1"]), int(cell["bbox_c1"])
        gap_px = _gap_px(labels, int(cell["label"]), box, rules.min_gap_diameters * cell["diameter_px"])
        border_gap_px = float(min(*box[:2], labels.shape[0] - box[2], labels.shape[1] - box[3]))
        reasons = (
            *_place_reasons(cell, gap_px, border_gap_px, rules),
            *_shape_reasons(cell, rules),
            *_light_reasons(cell, rules),
        )
        verdicts.append(Verdict(int(cell["label"]), gap_px, reasons, border_gap_px))
    return verdicts


def _check_columns(table: CellTable, rules: Rules) -> None:
    """Refuse a table without the columns that the rules are about."""
    missing = [name for name in (rules.intensity_column, rules.focus_column) if name and name not in table]
    if missing:
        raise InvalidInput(
            [
                Finding(
                    "the table of cells has no such column",
                    function="screen_cells",
                    parameter="table",
                    got=repr(name),
                    allowed=one_of(table),
                    suggestion=did_you_mean(name, table),
                    cure="measure_cells gives it: with an image, for focus with focus=True, and for the rules' channel",
                )
                for name in missing
            ]
        )


def _place_reasons(cell: Cell, gap_px: float, border_gap_px: float, rules: Rules) -> list[str]:
    reasons = []
    if rules.whole and border_gap_px == 0:
        reasons.append("cut by the border of the image")
    wanted_px = rules.min_border_gap_diameters * cell["diameter_px"]
    if border_gap_px + _EDGE_ERROR_PX < wanted_px:
        reasons.append(f"border of the image {border_gap_px:.0f} px away, less than {wanted_px:.1f}")
    wanted_px = rules.min_gap_diameters * cell["diameter_px"]
    if gap_px + _EDGE_ERROR_PX < wanted_px:
        reasons.append(f"neighbour {gap_px:.1f} px away, less than {wanted_px:.1f}")
    return reasons


def _shape_reasons(cell: Cell, rules: Rules) -> list[str]:
    reasons = []
    if cell["area_px"] < rules.min_area_px:
        reasons.append(f"area {cell['area_px']:.0f} px, less than {rules.min_area_px:.0f}")
    if cell["area_px"] > rules.max_area_px:
        reasons.append(f"area {cell['area_px']:.0f} px, more than {rules.max_area_px:.0f}")
    if cell["solidity"] < rules.min_solidity:
        reasons.append(f"solidity {cell['solidity']:.2f}, less than {rules.min_solidity:.2f}")
    if cell["eccentricity"] > rules.max_eccentricity:
        reasons.append(f"eccentricity {cell['eccentricity']:.2f}, more than {rules.max_eccentricity:.2f}")
    return reasons


def _light_reasons(cell: Cell, rules: Rules) -> list[str]:
    reasons = []
    if rules.intensity_column:
        mean = cell[rules.intensity_column]
        if mean < rules.min_mean_intensity:
            reasons.append(f"intensity {mean:.1f}, less than {rules.min_mean_intensity:.1f}")
        if mean > rules.max_mean_intensity:
            reasons.append(f"intensity {mean:.1f}, more than {rules.max_mean_intensity:.1f}")
    if rules.focus_column:
        focus = cell[rules.focus_column]
        if math.isnan(focus):
            reasons.append(f"focus cannot be told, {rules.min_focus:.1f} is asked for")
        elif focus < rules.min_focus:
            reasons.append(f"focus {focus:.1f}, less than {rules.min_focus:.1f}")
    return reasons


def _gap_px(labels: npt.NDArray[np.integer[Any]], label: int, box: Box, reach_px: float) -> float:
    """Distance from the edge of a cell to the nearest edge of another; infinite beyond ``reach_px``.

    Cells side by side have a gap of 0: the edge of a cell runs half a pixel outside of its outermost pixel centres.
    """
    margin = math.ceil(reach_px) + 2
    near = labels[max(0, box[0] - margin) : box[2] + margin, max(0, box[1] - margin) : box[3] + margin]
    own = near == label
    others = (near > 0) & ~own
    if not others.any():
        return math.inf
    distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    gap_px = float(distance[own].min()) - 1
    return gap_px if gap_px <= reach_px + 1 else math.inf
