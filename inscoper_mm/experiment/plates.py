"""Which fields of a plan lie in which well of a plate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inscoper_mm.experiment.sites import sites_of

if TYPE_CHECKING:
    import useq

Well = tuple[int, int]
# "B07", and "B7_0003" for a field of it.
_NAME = re.compile(r"([A-Z]{1,2})(\d{1,2})(?:_.*)?")
# Rows and columns of the plates that there are.
_PLATES = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))


@dataclass(frozen=True, slots=True)
class PlateLayout:
    """The wells of a plate.

    Parameters
    ----------
    rows, columns : int
        Of the whole plate.
    wells : mapping
        Index of a stage position -> (row, column) of its well, from 0.
    """

    rows: int
    columns: int
    wells: Mapping[int, Well]


def plate_of(acquisition: useq.MDASequence, by_name: bool = False) -> PlateLayout | None:
    """The plate of a plan; None where it has none.

    Parameters
    ----------
    acquisition : useq.MDASequence
    by_name : bool
        Also take positions for wells that are not planned as a plate, but are all named like wells.
    """
    import useq

    plan = acquisition.stage_positions
    named = {number: well_of(site.name) for number, site in enumerate(sites_of(acquisition))}
    wells = {number: well for number, well in named.items() if well is not None}
    if isinstance(plan, useq.WellPlatePlan):
        return PlateLayout(plan.plate.rows, plan.plate.columns, wells)
    if not by_name or len(wells) < len(named):
        return None
    row, column = (max(well[axis] for well in wells.values()) for axis in (0, 1))
    for rows, columns in _PLATES:
        if row < rows and column < columns:
            return PlateLayout(rows, columns, wells)
    return PlateLayout(row + 1, column + 1, wells)


def wells_named(selection: object, rows: int, columns: int) -> list[Well]:
    """The wells that a selection by name means, in its order.

    Parameters
    ----------
    selection : "all", or list of str
        ``B3`` is a well, ``A1-D6`` all those of a rectangle, row by row; ``B12-B1`` goes through a row backwards.
    rows, columns : int
        Of the plate.

    Raises
    ------
    ValueError
        With the name that is none of a well of the plate.
    """
    last = well_name((rows - 1, columns - 1))
    names = [f"A1-{last}"] if selection == "all" else selection
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(str(selection))
    wells: list[Well] = []
    for name in names:
        corners = [well_of(part.strip()) for part in name.split("-")]
        if not 1 <= len(corners) <= 2 or not all(
            corner and corner[0] < rows and corner[1] < columns for corner in corners
        ):
            raise ValueError(name)
        (first_row, first_column), (last_row, last_column) = corners[0] or (0, 0), corners[-1] or (0, 0)
        wells += [
            (row, column)
            for row in _from_to(first_row, last_row)
            for column in _from_to(first_column, last_column)
        ]
    return wells


def _from_to(first: int, last: int) -> range:
    return range(first, last + 1) if first <= last else range(first, last - 1, -1)


def well_of(name: str) -> Well | None:
    """(row, column) of the well that a field is named after, from 0; None for another name."""
    found = _NAME.fullmatch(name)
    if found is None or int(found[2]) == 0:
        return None
    row = 0
    for letter in found[1]:
        row = 26 * row + ord(letter) - ord("A") + 1
    return row - 1, int(found[2]) - 1


def well_name(well: Well) -> str:
    """``A1`` for (0, 0)."""
    row, column = well
    letters = ""
    row += 1
    while row:
        row, rest = divmod(row - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{column + 1}"
