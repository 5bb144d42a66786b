"""The focus of transparent objects in brightfield: where their contrast changes its sign.

A phase object is dark on one side of the focus, bright on the other and hardly seen in focus, where any measure of
sharpness has a dip between two hills. So the slices are compared with each other: through the focus, the contrast
changes above as it does below (the odd part of the transport-of-intensity series, M. R. Teague,
doi:10.1364/JOSA.73.001434), and nowhere else. Changes are compared, not contrasts: dust and uneven light, which are in
all slices, drop out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RectBivariateSpline

from inscoper_mm.analysis.focus_curve import Focus, Values, evenly_spaced, parabola_top, stack_error
from inscoper_mm.analysis.focus_metrics import METRICS, FocusMetric, Prepared
from inscoper_mm.analysis.grey import GreyImage, blur, shrink

# Slices are kept no larger than that: contrast of phase is not a matter of the finest detail.
_LARGEST_PX = 512
# What changes more slowly than that is uneven light.
_COARSE_PX = 6.0
_LEAST_SLICES = 7
# Changes up to so many steps above and below a height are compared, from three quarters of a step on.
_REACH = 3.0
_NEAREST, _STEP = 0.75, 0.25
_FINE = 0.05
# Cosine between the changes above and below: 1 for pure phase at its focus, -1 for what has its contrast in focus.
_LEAST_ALIKE = 0.4
_LEAST_OPPOSED = -0.85


class PhaseStack:
    """Products of the contrast of all pairs of slices, as they come.

    Parameters
    ----------
    metric : str
        What is shown as the score; it does not decide.
    """

    def __init__(self, metric: FocusMetric) -> None:
        self._measure = METRICS[metric]
        self._z_um: list[float] = []
        self._scores: list[float] = []
        self._contrast: list[GreyImage] = []
        self._products: list[list[float]] = []

    def add(self, image: Prepared, z_um: float) -> float:
        """Take the next slice; returns its score, by the measure that is shown."""
        contrast = _contrast(image)
        self._contrast.append(contrast)
        self._products.append([float(np.vdot(contrast, other)) / contrast.size for other in self._contrast])
        self._z_um.append(float(z_um))
        self._scores.append(self._measure(image))
        return self._scores[-1]

    def result(self) -> Focus:
        """The focus of the slices so far."""
        order = np.argsort(self._z_um, kind="stable")
        z_um, scores = np.array(self._z_um)[order], np.array(self._scores)[order]
        shown = tuple(z_um.tolist()), tuple(scores.tolist())
        if reason := stack_error(z_um):
            return Focus(*shown, None, reason, 0.0)
        if len(z_um) < _LEAST_SLICES or not evenly_spaced(z_um):
            reason = f"phase objects need at least {_LEAST_SLICES} slices the same distance apart"
            return Focus(*shown, None, reason, 0.0)
        places, alike = _likeness(self._matrix(order))
        best = int(np.argmax(alike))
        if alike.min() < _LEAST_OPPOSED:
            reason = "these are no phase objects: their contrast is the same above and below"
            return Focus(*shown, None, reason, 0.0)
        if alike[best] < _LEAST_ALIKE or best in (0, len(places) - 1):
            reason = "nowhere in the middle of the stack does the contrast change its sign"
            return Focus(*shown, None, reason, 0.0)
        place = parabola_top(places[best - 1 : best + 2], alike[best - 1 : best + 2])
        height = float(np.interp(place, np.arange(len(z_um)), z_um))
        return Focus(*shown, height, None, float(alike[best] / _LEAST_ALIKE))

    def _matrix(self, order: npt.NDArray[np.intp]) -> Values:
        slices = len(self._products)
        matrix = np.zeros((slices, slices))
        for row, products in enumerate(self._products):
            matrix[row, : row + 1] = matrix[: row + 1, row] = products
        matrix = matrix[np.ix_(order, order)]
        matrix[np.diag_indices(slices)] -= _noise(matrix)
        return np.asarray(matrix, np.float64)


def _contrast(image: Prepared) -> GreyImage:
    """The image over its mean, without what changes slowly, (Y, X)."""
    smooth = shrink(image.smooth, max(image.smooth.shape) / _LARGEST_PX)
    return np.asarray((smooth - blur(smooth, _COARSE_PX)) / max(float(smooth.mean()), 1e-12), np.float32)


def _noise(matrix: Values) -> float:
    """What noise adds to the product of a slice with itself: what a slice differs from the mean of its neighbours."""
    middle = np.arange(1, len(matrix) - 1)
    below, above = middle - 1, middle + 1
    own = np.diag(matrix)
    differs = own[below] + 4 * own[middle] + own[above] + 2 * matrix[below, above]
    differs = differs - 4 * (matrix[below, middle] + matrix[middle, above])
    return float(min(differs.min() / 6, own.min()))


def _likeness(matrix: Values) -> tuple[Values, Values]:
    """For places between the slices: how much the changes above resemble those below, -1 (opposite) to 1.

    Returns
    -------
    places, alike : (N,) arrays
        Places in numbers of slices; those near the ends, from where too little is seen, are left out.
    """
    slices = len(matrix)
    change = np.eye(slices - 2, slices, 2) - np.eye(slices - 2, slices)
    number = np.arange(1.0, slices - 1)
    products = RectBivariateSpline(number, number, change @ matrix @ change.T)
    reach = min(_REACH, (slices - 3) / 4)
    places = np.arange(1 + reach, slices - 2 - reach + _FINE / 2, _FINE)
    away = np.arange(_NEAREST, reach + 1e-9, _STEP)[:, None]
    above, below = places + away, places - away
    across = products(above, below, grid=False).sum(axis=0)
    along = products(above, above, grid=False).sum(axis=0) + products(below, below, grid=False).sum(axis=0)
    return places, np.where(along > 0, 2 * across / np.maximum(along, 1e-30), 0.0)
