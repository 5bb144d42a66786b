"""A well plate under the microscope: wells in which only a share of the cells is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Limits = dict[str, tuple[float, float]]
LIMITS: Limits = {"spacing_um": (100, 1e6), "columns": (0, 1), "rows": (0, 1)}


@dataclass(frozen=True, slots=True)
class Plate:
    """How many of the cells are in which well; the others are as they would be without a plate.

    Every place of the stage belongs to the nearest well: there is nothing between the wells.

    Parameters
    ----------
    a1_um : tuple of float
        (x, y) of the stage in the middle of well A1. Columns follow along +x, rows along -y.
    spacing_um : float
        From well to well.
    columns, rows : tuple of float
        Share of the cells that is there in each column and in each row; in a well their product counts. After the last
        one, and for an axis without any, the last share and 1 hold.
    """

    a1_um: tuple[float, float] = (0.0, 0.0)
    spacing_um: float = 9000.0
    columns: tuple[float, ...] = ()
    rows: tuple[float, ...] = ()

    def shares(self, places_um: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The share of the cells that is there at (N, 2) places (x, y)."""
        column = (places_um[:, 0] - self.a1_um[0]) / self.spacing_um
        row = (self.a1_um[1] - places_um[:, 1]) / self.spacing_um
        return _of(self.columns, column) * _of(self.rows, row)


def _of(shares: tuple[float, ...], place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not shares:
        return np.ones(len(place))
    nearest = np.clip(np.floor(place + 0.5), 0, len(shares) - 1).astype(np.intp)
    return np.asarray(np.array(shares)[nearest])
