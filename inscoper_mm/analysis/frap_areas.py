"""What is measured of each bleached cell: the fired region, the whole cell, and the background around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.regions import Region, region_of, regions_of_labels
from inscoper_mm.analysis.screening import Rules, screen_cells
from inscoper_mm.analysis.shapes import Floats
from inscoper_mm.errors import Finding, InvalidInput

Part = Literal["spot", "half", "rim"]
PARTS: tuple[Part, ...] = ("spot", "half", "rim")
MEASURED = ("fired", "rest", "cell", "background", "fired_background")

_Labels = npt.NDArray[np.integer[Any]]
_FEWEST_PIXELS = 4
# Between a cell to be bleached and the next one, in diameters: for its margin, and some background.
_LEAST_GAP = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Areas:
    """Label images (Y, X) uint16: pixels of number n belong to bleached cell n, from 1.

    ``cell`` is the whole cell with the ``fired`` region; ``background`` is free of all cells, bleached or not.
    """

    fired: npt.NDArray[np.uint16]
    cell: npt.NDArray[np.uint16]
    background: npt.NDArray[np.uint16]

    @property
    def count(self) -> int:
        """How many cells are bleached."""
        return int(self.fired.max())


def part_of_cell(cell: Region, part: Part, size_px: float) -> Region:
    """A part of a cell to fire at.

    Parameters
    ----------
    cell : Region
    part : {"spot", "half", "rim"}
        ``spot``: a circle of diameter ``size_px`` around the place farthest from the edge, as far as it lies in the
        cell. ``half``: the upper half. ``rim``: what is nearer to the edge than ``size_px``.

    Raises
    ------
    InvalidInput
        If nothing is left.
    """
    if part == "spot":
        row, col = cell.deepest
        circle = region_of({"type": "circle", "points": [[row, col]], "radius": size_px / 2})
        # The circle itself where it fits: nothing that is fired at is changed without need.
        found = circle if (circle - cell).is_empty else circle & cell
    elif part == "half":
        low_row, low_col, _, high_col = cell.bounds
        corners = [[low_row - 1, low_col - 1], [cell.centre[0], high_col + 1]]
        found = cell & region_of({"type": "rectangle", "points": corners})
    else:
        found = cell - cell.grown(-size_px)
    if found.is_empty or not found.area_px > 0:
        raise InvalidInput(
            Finding("nothing is left of the cell.", field=f"part '{part}'", got=f"{size_px:g} px")
        )
    return found


def parts_of_cells(labels: _Labels, most: int, part: Part, size_px: float) -> list[Region]:
    """The same part of each of the single cells that are nearest to the middle of the image, see `part_of_cell`.

    Raises
    ------
    InvalidInput
        If there is no single cell.
    """
    table = measure_cells(labels)
    verdicts = screen_cells(labels, table, Rules(min_gap_diameters=_LEAST_GAP))
    away = np.hypot(
        table["centroid_row_px"] - labels.shape[0] / 2, table["centroid_col_px"] - labels.shape[1] / 2
    )
    single = sorted((away[number], each.label) for number, each in enumerate(verdicts) if each.single)
    if not single:
        raise InvalidInput(Finding(f"there is no single cell among {len(verdicts)} objects.", field="image"))
    cells = regions_of_labels(labels)
    return [part_of_cell(cells[label], part, size_px) for _, label in single[:most]]


def frap_areas(
    regions: Sequence[Region],
    labels: _Labels,
    margin_px: float = 2.0,
    gap_px: float = 3.0,
    ring_px: float = 8.0,
) -> Areas:
    """Where to measure for each fired region.

    Parameters
    ----------
    regions : sequence of Region
        Each wholly in the image.
    labels : (Y, X) int
        All cells of the image. The cell of a region is the one with the most pixels of it.
    margin_px : float
        So much farther than its outline a cell is taken, for its light that the optics spread.
    gap_px, ring_px : float
        The background is a ring of this width, so far from every cell, margin included.

    Returns
    -------
    Areas

    Raises
    ------
    InvalidInput
        A region outside of the image, on no cell, or on the cell of another one; no background near its cell.
    """
    from skimage.segmentation import expand_labels

    numbers = np.zeros(int(labels.max()) + 1, np.uint16)
    fired = np.zeros(labels.shape, np.uint16)
    for number, region in enumerate(regions, start=1):
        region.check_in_image((labels.shape[0], labels.shape[1]))
        mask = region.mask((labels.shape[0], labels.shape[1]))
        label = _cell_under(mask, labels, number)
        if numbers[label]:
            raise InvalidInput(
                Finding(
                    f"regions {numbers[label]} and {number} lie on the same cell.",
                    field="roi",
                    cure="Fire at one.",
                )
            )
        numbers[label] = number
        fired[mask] = number
    grown = expand_labels(labels, margin_px)
    free = expand_labels(labels, margin_px + gap_px) == 0
    near = expand_labels(labels, margin_px + gap_px + ring_px)
    cell = numbers[grown]
    # What is fired at beside the cell is measured with it.
    cell[(fired > 0) & (grown == 0)] = fired[(fired > 0) & (grown == 0)]
    fired[cell != fired] = 0
    areas = Areas(fired, cell, np.where(free, numbers[near], np.uint16(0)))
    for number in range(1, len(regions) + 1):
        if np.count_nonzero(areas.background == number) < _FEWEST_PIXELS:
            raise InvalidInput(
                Finding(
                    f"there is no background around the cell of region {number}: it is too near to others.",
                    field="roi",
                )
            )
    return areas


def brightness(image: npt.NDArray[Any], areas: Areas) -> dict[str, Floats]:
    """The brightness of each bleached cell in one image.

    Returns
    -------
    dict of str to (n,) float64
        Means: ``fired``, ``rest`` (the cell without it) and ``cell``; ``background`` and ``fired_background``: that of
        the cell and of the fired region, from a plane through the ring around the cell. NaN where there is no pixel.
    """
    count = areas.count
    fired, cell = _mean(image, areas.fired, count), _mean(image, areas.cell, count)
    rest = _mean(image, np.where(areas.fired > 0, np.uint16(0), areas.cell), count)
    background, fired_background = _backgrounds(image, areas)
    return {
        "fired": fired,
        "rest": rest,
        "cell": cell,
        "background": background,
        "fired_background": fired_background,
    }


def outlined(image: npt.NDArray[Any], areas: Areas) -> npt.NDArray[Any]:
    """The image (Y, X) with the outermost pixels of all fired regions and cells as bright as its brightest."""
    square = np.ones((3, 3), np.uint8)
    edges = [labels != cv2.erode(labels, square, borderValue=0) for labels in (areas.fired, areas.cell)]
    return np.where(edges[0] | edges[1], image.max(), image)


def _backgrounds(image: npt.NDArray[Any], areas: Areas) -> tuple[Floats, Floats]:
    """The background at the centre of each cell, and at that of its fired region."""
    rows, cols = np.indices(image.shape, sparse=True)
    centres = [
        np.stack([_mean(np.broadcast_to(axis, image.shape), labels, areas.count) for axis in (rows, cols)])
        for labels in (areas.cell, areas.fired)
    ]
    ring = np.nonzero(areas.background)
    number = areas.background[ring]
    # Of a plane about the cell's centre, the level is the background there.
    away = [ring[axis] - centres[0][axis][number - 1] for axis in (0, 1)]
    terms = np.stack([np.ones(len(number)), *away])
    values = image[ring].astype(float)

    def summed(weights: Floats) -> Floats:
        return np.asarray(np.bincount(number, weights, areas.count + 1)[1:], float)

    matrix = np.array([[summed(one * other) for other in terms] for one in terms])
    right = np.array([summed(term * values) for term in terms])
    plane = (np.linalg.pinv(matrix.transpose(2, 0, 1)) @ right.T[..., None])[..., 0]
    offset = (centres[1] - centres[0]).T
    return plane[:, 0], plane[:, 0] + (plane[:, 1:] * offset).sum(axis=1)


def _mean(image: npt.NDArray[Any], labels: npt.NDArray[np.uint16], count: int) -> Floats:
    inside = labels > 0
    sums = np.bincount(labels[inside], image[inside].astype(float), count + 1)[1:]
    pixels = np.bincount(labels[inside], minlength=count + 1)[1:]
    return np.asarray(np.divide(sums, pixels, out=np.full(count, np.nan), where=pixels > 0))


def _cell_under(mask: npt.NDArray[np.bool_], labels: _Labels, number: int) -> int:
    under = np.bincount(labels[mask].astype(np.int64), minlength=1)
    under[0] = 0
    if not under.any():
        raise InvalidInput(
            Finding(
                f"region {number} lies on no cell, so what the fire takes from the cell cannot be known.",
                field="roi",
            )
        )
    return int(under.argmax())
