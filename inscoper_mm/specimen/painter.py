"""Draws the cells, sharp, on a grid of the camera's pixels that is fixed to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from inscoper_mm.specimen.bleaching import DYES, Left, look_at
from inscoper_mm.specimen.channels import Look
from inscoper_mm.specimen.culture import Culture
from inscoper_mm.specimen.outline import Floats
from inscoper_mm.specimen.population import Cell
from inscoper_mm.specimen.recent import Recent
from inscoper_mm.specimen.stamps import Sprite, Stamp, make_sprite, make_stamp
from inscoper_mm.specimen.view import View

_STAMPS_BYTES = 32 << 20
_FIELDS_BYTES = 48 << 20


class Painter:
    """Pictures of rectangles of the plane, without blur and background; it remembers what it drew last.

    Parameters
    ----------
    culture : Culture
    """

    def __init__(self, culture: Culture) -> None:
        self._culture = culture
        self._stamps: Recent[Stamp] = Recent(_STAMPS_BYTES)
        self._sprites: Recent[Sprite] = Recent(_STAMPS_BYTES)
        self._fields: Recent[Floats] = Recent(_FIELDS_BYTES)

    def paint(
        self, view: View, look: Look, top: int, left: int, margin: int, time_s: float, faded: Sequence[Left]
    ) -> Floats:
        """The cells of a rectangle of the grid, less what they have lost.

        Parameters
        ----------
        view : View
            Of which pixel size, orientation and shape count.
        look : Look
            What its channel shows.
        top, left : int
            First pixel of the view on the grid.
        margin : int
            Pixels around it that are drawn, too.
        time_s : float
        faded : sequence of Left
            The cells that have lost something.

        Returns
        -------
        ndarray (Y + 2 margin, X + 2 margin)
            Of which 1 is a typical cell's brightness; not to be written to.
        """
        height, width = view.shape[0] + 2 * margin, view.shape[1] + 2 * margin
        # A view of that rectangle, which sees the stage's origin at the grid's pixel (0, 0).
        roi = (left - margin, top - margin, width, height)
        around = replace(view, x_um=0.0, y_um=0.0, sensor=(0, 0), roi=roi)
        key = (look, roi, view.pixel_size_um, view.orientation)
        if not self._culture.changes:
            field = self._fields.get(key, lambda: self._compose(around, look, self._cells(around, time_s)))
        else:
            cells = self._cells(around, time_s)
            still = [cell for cell in cells if not _changes(cell)]
            # Some of them may begin to change later.
            names = tuple(cell.id for cell in still)
            field = self._fields.get((key, names), lambda: self._compose(around, look, still)).copy()
            for cell in cells:
                if _changes(cell):
                    _add(field, self._picture(cell, look, around), around)
        return self._without(field, faded, around, look) if faded else field

    def _cells(self, view: View, time_s: float) -> Sequence[Cell]:
        return self._culture.cells_near(*view.bounds_um(), time_s)

    def _compose(self, view: View, look: Look, cells: Sequence[Cell]) -> Floats:
        field = np.zeros(view.shape, np.float32)
        for cell in cells:
            _add(field, self._picture(cell, look, view), view)
        return field

    def _without(self, field: Floats, faded: Sequence[Left], view: View, look: Look) -> Floats:
        """The field less what the cells have lost."""
        field = field.copy()
        for dye in DYES:
            seen = look_at(look, dye)
            if seen is None:
                continue
            for each in faded:
                picture = self._picture(each.cell, seen, view)
                lost = each.lost(dye, picture, view.pixel_size_um, view.orientation)
                _add(field, replace(lost, pixels=-lost.pixels), view)
        return field

    def _picture(self, cell: Cell, look: Look, view: View) -> Stamp:
        pixel_um, orientation = view.pixel_size_um, view.orientation
        key = (cell.id, cell.shape, look, pixel_um, orientation)
        if not _changes(cell):
            return self._stamps.get(key, partial(make_stamp, cell, look, pixel_um, orientation))
        sprite = self._sprites.get(key, partial(make_sprite, cell, look, pixel_um, orientation))
        col, row = orientation.to_pixel(cell.x_um / pixel_um, cell.y_um / pixel_um)
        return sprite.at(row, col)


def _changes(cell: Cell) -> bool:
    """Whether the cell will be somewhere else, or look different."""
    return cell.moving or cell.shape is not None


def _add(field: Floats, stamp: Stamp, view: View) -> None:
    """Add the part of ``stamp`` that lies in ``field``, which shows a view of the grid."""
    top, left = view.origin_px
    row, col = stamp.top - top, stamp.left - left
    height, width = stamp.pixels.shape
    row0, row1 = max(row, 0), min(row + height, field.shape[0])
    col0, col1 = max(col, 0), min(col + width, field.shape[1])
    if row0 < row1 and col0 < col1:
        field[row0:row1, col0:col1] += stamp.pixels[row0 - row : row1 - row, col0 - col : col1 - col]
