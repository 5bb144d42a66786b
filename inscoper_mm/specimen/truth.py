"""The truth about a view: which cells are where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from inscoper_mm.specimen.lives import State, state_of
from inscoper_mm.specimen.outline import Outline
from inscoper_mm.specimen.population import LARGEST_REACH_UM, Cell
from inscoper_mm.specimen.view import View

Labels = npt.NDArray[np.int32]
TOUCHING_GAP_UM = 1.0
# How far around a view the neighbours of its cells are looked for.
TRUTH_MARGIN_UM = 3 * LARGEST_REACH_UM


@dataclass(frozen=True, slots=True)
class CellTruth:
    """One cell in a view.

    ``label`` is its number in the label images and ``id`` its name in every view. Positions are those of
    the centre of area of the body: on the stage (jumps and drift included) and in the image. ``gap_um`` is the
    distance from its edge to that of the nearest cell, negative where they overlap. ``isolated``: the gap
    is at least half its diameter. ``whole``: no part of it is outside the field. ``remaining``: the share of its
    fluorescence in the view's channel that was not bleached. ``moving``: whether it crawls. ``parent``: the id of
    the cell that it was born of, empty for one that was there from the beginning; ``state``: alive, dividing (round,
    before its division) or dying (round, then fading).
    """

    label: int
    id: str
    x_um: float
    y_um: float
    row_px: float
    col_px: float
    area_um2: float
    eccentricity: float
    nucleus_row_px: float
    nucleus_col_px: float
    nucleus_area_um2: float
    brightness: float
    dna: float
    marker: float
    gap_um: float
    isolated: bool
    touching: bool
    whole: bool
    remaining: float = 1.0
    moving: bool = False
    parent: str = ""
    state: State = "alive"


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is really in a view.

    ``labels`` and ``nuclei`` (Y, X) number the bodies and the nuclei from 1, alike; ``cells`` describes
    each, in the order of its labels. ``channel`` is the view's, and ``shows_nuclei``
    what is seen in it. ``time_s`` is the specimen's time; ``drift_um``
    how far jumps and drift have moved the specimen (x, y, z) by then, and ``focus_um`` where the focus drive would
    have to stand.
    """

    labels: Labels
    nuclei: Labels
    cells: tuple[CellTruth, ...]
    channel: str | None
    shows_nuclei: bool = False
    time_s: float = 0.0
    drift_um: tuple[float, float, float] = (0.0, 0.0, 0.0)
    focus_um: float = 0.0

    @property
    def moving(self) -> Labels:
        """Labels (Y, X) of the bodies of the cells that crawl; 0 elsewhere."""
        kept = [0, *(cell.label if cell.moving else 0 for cell in self.cells)]
        return np.array(kept, np.int32)[self.labels]

    @property
    def visible(self) -> Labels:
        """Labels of what the view's channel shows: nuclei or bodies."""
        return self.nuclei if self.shows_nuclei else self.labels


def make_truth(
    view: View, around: Sequence[Cell], dx_um: float, dy_um: float, remaining: Mapping[str, float]
) -> Truth:
    """The truth about ``view`` when the cells around it are displaced by (dx_um, dy_um).

    ``remaining`` is what is left of bleached ones, by id.
    """
    gaps = _gaps(around)
    labels = np.zeros(view.shape, np.int32)
    nuclei = np.zeros(view.shape, np.int32)
    depths = np.full(view.shape, np.inf, np.float32)
    cells: list[CellTruth] = []
    for cell, gap_um in zip(around, gaps, strict=True):
        found = _mark(view, cell, dx_um, dy_um, len(cells) + 1, labels, nuclei, depths)
        if found is not None:
            described = _describe(view, cell, dx_um, dy_um, len(cells) + 1, gap_um, found)
            cells.append(replace(described, remaining=remaining.get(cell.id, 1.0)))
    return Truth(labels, nuclei, tuple(cells), view.channel)


def _gaps(cells: Sequence[Cell]) -> list[float]:
    """Distance from the edge of each cell to the nearest edge of another; negative where they overlap."""
    if not cells:
        return []
    places = np.array([(cell.x_um, cell.y_um) for cell in cells])
    reach_um = np.array([cell.body.reach_um for cell in cells])
    pairs = cKDTree(places).query_pairs(4 * LARGEST_REACH_UM, output_type="ndarray")
    between = np.hypot(*(places[pairs[:, 1]] - places[pairs[:, 0]]).T) - reach_um[pairs].sum(axis=1)
    gaps = [math.inf] * len(cells)
    for number in np.argsort(between):
        (one, other), least = pairs[number].tolist(), float(between[number])
        # No gap is smaller than the distance between the circles around the cells.
        if least < max(gaps[one], gaps[other]):
            gap = _gap(cells[one], cells[other], least)
            gaps[one], gaps[other] = min(gaps[one], gap), min(gaps[other], gap)
    return gaps


def _gap(one: Cell, other: Cell, between: float) -> float:
    offset = np.array([other.x_um - one.x_um, other.y_um - one.y_um])
    # Far enough apart for every question that is asked of the gap.
    if between > LARGEST_REACH_UM:
        return between
    corners = other.body.corners_um + offset
    inside = one.body.depth(corners[:, 0].astype(np.float32), corners[:, 1].astype(np.float32)) < 1
    apart = one.body.corners_um[::2, None, :] - corners[None, ::2, :]
    nearest = float(np.hypot(apart[..., 0], apart[..., 1]).min())
    return -nearest if inside.any() else nearest


def _mark(
    view: View,
    cell: Cell,
    dx_um: float,
    dy_um: float,
    label: int,
    labels: Labels,
    nuclei: Labels,
    depths: npt.NDArray[np.float32],
) -> bool | None:
    """Write the cell into the label images; whether it is whole, or None where none of it is in the view."""
    x_um, y_um = cell.x_um + dx_um, cell.y_um + dy_um
    row, col = view.to_pixel(x_um, y_um)
    away_um = cell.body.corners_um / view.pixel_size_um
    cols_px, rows_px = view.orientation.to_pixel(away_um[:, 0], away_um[:, 1])
    first_col, last_col = col + cols_px.min(), col + cols_px.max()
    first_row, last_row = row + rows_px.min(), row + rows_px.max()
    height, width = view.shape
    whole = first_col >= 0 and first_row >= 0 and last_col <= width - 1 and last_row <= height - 1
    rows = slice(max(math.floor(first_row), 0), min(math.ceil(last_row) + 1, height))
    cols = slice(max(math.floor(first_col), 0), min(math.ceil(last_col) + 1, width))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return None
    down_um = (np.arange(rows.start, rows.stop)[:, None] - row) * view.pixel_size_um
    across_um = (np.arange(cols.start, cols.stop)[None, :] - col) * view.pixel_size_um
    x, y = (each.astype(np.float32) for each in view.orientation.to_stage(across_um, down_um))
    depth = cell.body.depth(x, y)
    # Where two cells overlap, a pixel is of the one that it lies deeper in.
    mine = (depth < 1) & (depth < depths[rows, cols])
    if not mine.any():
        return None
    labels[rows, cols][mine] = label
    depths[rows, cols][mine] = depth[mine]
    core = _nucleus_depth(cell.nucleus, cell.nucleus_um, x, y) < 1
    nuclei[rows, cols][core] = label
    return bool(whole)


def _nucleus_depth(
    nucleus: Outline, offset_um: tuple[float, float], x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return nucleus.depth(x - np.float32(offset_um[0]), y - np.float32(offset_um[1]))


def _describe(
    view: View, cell: Cell, dx_um: float, dy_um: float, label: int, gap_um: float, whole: bool
) -> CellTruth:
    x_um, y_um = cell.x_um + dx_um, cell.y_um + dy_um
    row, col = view.to_pixel(x_um, y_um)
    core_row, core_col = view.to_pixel(x_um + cell.nucleus_um[0], y_um + cell.nucleus_um[1])
    return CellTruth(
        label=label,
        id=cell.id,
        x_um=x_um,
        y_um=y_um,
        row_px=row,
        col_px=col,
        area_um2=cell.body.area_um2,
        eccentricity=cell.body.eccentricity,
        nucleus_row_px=core_row,
        nucleus_col_px=core_col,
        nucleus_area_um2=cell.nucleus.area_um2,
        brightness=cell.brightness,
        dna=cell.dna,
        marker=cell.marker,
        gap_um=gap_um,
        isolated=gap_um >= cell.body.diameter_um / 2,
        touching=gap_um <= TOUCHING_GAP_UM,
        whole=whole,
        moving=cell.moving,
        parent=cell.parent,
        state=state_of(cell),
    )
