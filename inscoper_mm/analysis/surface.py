"""Smooth surfaces over an image: products of Legendre polynomials along its axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Against surfaces that places without weight leave open.
_RIDGE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A polynomial over an image.

    Parameters
    ----------
    coefficients : (degree + 1, degree + 1)
        Of the products of the Legendre polynomials along the rows' and the columns' axis, from one border of the image
        (-1) to the other one (1); those of a total degree above ``degree`` are 0.
    """

    coefficients: Floats

    @property
    def degree(self) -> int:
        """Highest total degree."""
        return len(self.coefficients) - 1

    @classmethod
    def fit(
        cls, values: npt.NDArray[np.floating[Any]], weights: npt.NDArray[np.floating[Any]], degree: int
    ) -> Surface:
        """The surface of least squares through ``values`` (Y, X), each with its weight (Y, X)."""
        down, right = (_legendre(side, degree) for side in values.shape)
        terms = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
        # The normal equations, without the large matrix: the basis is a product.
        pairs_down = np.einsum("yi,yk->yik", down, down).reshape(len(down), -1)
        pairs_right = np.einsum("xj,xm->xjm", right, right).reshape(len(right), -1)
        moments = (pairs_down.T @ weights @ pairs_right).reshape((degree + 1,) * 4)
        normal = np.array([[moments[i, k, j, m] for k, m in terms] for i, j in terms])
        projected = down.T @ (weights * values) @ right
        normal[np.diag_indices(len(terms))] += _RIDGE * np.trace(normal) / len(terms) + 1e-300
        solved = np.linalg.solve(normal, np.array([projected[i, j] for i, j in terms]))
        coefficients = np.zeros((degree + 1, degree + 1))
        for (i, j), value in zip(terms, solved, strict=True):
            coefficients[i, j] = value
        return cls(coefficients)

    def on(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """The surface at the pixel centres of an image of ``shape`` (Y, X)."""
        down, right = (_legendre(side, self.degree) for side in shape)
        half = (down @ self.coefficients).astype(np.float32)
        return np.asarray(half @ right.T.astype(np.float32))

    def power(self) -> Floats:
        """What each total degree adds to the mean square: (degree + 1,)."""
        order = np.arange(self.degree + 1)
        norms = 1 / np.outer(2 * order + 1, 2 * order + 1)
        total = np.add.outer(order, order)
        powers = np.bincount(total.ravel(), (self.coefficients**2 * norms).ravel())
        return np.asarray(powers[: self.degree + 1], np.float64)

    def scaled(self, gains: Floats) -> Surface:
        """Each total degree times its factor (degree + 1,)."""
        total = np.add.outer(np.arange(self.degree + 1), np.arange(self.degree + 1))
        return Surface(self.coefficients * gains[np.minimum(total, self.degree)])


def _legendre(side: int, degree: int) -> Floats:
    centres = (2 * np.arange(side) + 1) / side - 1
    values: Floats = np.polynomial.legendre.legvander(centres, degree)  # type: ignore[no-untyped-call]
    return values
