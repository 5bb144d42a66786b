"""Outlines of cells and nuclei: wavy ellipses around their own centre of area."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_DIRECTIONS = 128
_ANGLES = np.linspace(0.0, 2 * math.pi, _DIRECTIONS + 1)
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)
_STEPS = np.arange(_DIRECTIONS + 1)


@dataclass(frozen=True)
class Outline:
    """A closed curve ``r(angle)``: an ellipse with waves on it.

    Parameters
    ----------
    major_um, minor_um : float
        Half axes of the ellipse.
    angle_rad : float
        Direction of the major axis, from +x towards +y.
    waves : tuple of (order, amplitude, phase_rad)
        Relative waves on the radius.
    """

    major_um: float
    minor_um: float
    angle_rad: float
    waves: tuple[tuple[int, float, float], ...] = ()

    @cached_property
    def radii_um(self) -> npt.NDArray[np.float64]:
        """The radius in ``_DIRECTIONS`` directions from 0 to 2 pi (the last repeats the first)."""
        along, across = np.cos(_ANGLES - self.angle_rad), np.sin(_ANGLES - self.angle_rad)
        radius = 1.0 / np.hypot(along / self.major_um, across / self.minor_um)
        for order, amplitude, phase in self.waves:
            radius = radius * (1.0 + amplitude * np.cos(order * _ANGLES + phase))
        return np.asarray(radius)

    @cached_property
    def _pole(self) -> tuple[float, float]:
        """(x, y) of the point that the radii start from, seen from the centre of area."""
        x, y = self._corners_from_pole()
        cross = x[:-1] * y[1:] - x[1:] * y[:-1]
        centre_x = np.sum((x[:-1] + x[1:]) * cross) / (3 * np.sum(cross))
        centre_y = np.sum((y[:-1] + y[1:]) * cross) / (3 * np.sum(cross))
        return -float(centre_x), -float(centre_y)

    def _corners_from_pole(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return self.radii_um * _COS, self.radii_um * _SIN

    @cached_property
    def corners_um(self) -> npt.NDArray[np.float64]:
        """The curve as a polygon (n, 2) of (x, y) around the centre of area."""
        x, y = self._corners_from_pole()
        return np.stack([x[:-1] + self._pole[0], y[:-1] + self._pole[1]], axis=1)

    @cached_property
    def area_um2(self) -> float:
        """Area inside the curve."""
        x, y = self._corners_from_pole()
        return float(0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))

    @property
    def diameter_um(self) -> float:
        """Diameter of the circle of the same area."""
        return 2.0 * math.sqrt(self.area_um2 / math.pi)

    @property
    def eccentricity(self) -> float:
        """Eccentricity of the ellipse."""
        return math.sqrt(1.0 - (self.minor_um / self.major_um) ** 2)

    @cached_property
    def reach_um(self) -> float:
        """Distance of the farthest point of the curve from the centre of area."""
        return float(np.max(np.hypot(self.corners_um[:, 0], self.corners_um[:, 1])))

    def depth(self, x_um: Floats, y_um: Floats) -> Floats:
        """Relative distance from the middle: 0 in the middle, 1 on the curve, more outside.

        Parameters
        ----------
        x_um, y_um : ndarray
            Coordinates from the centre of area, of shapes that go together: (1, X) and (Y, 1), or (Y, X).

        Returns
        -------
        ndarray (Y, X)
        """
        x, y = x_um - np.float32(self._pole[0]), y_um - np.float32(self._pole[1])
        angle = np.arctan2(y, x)
        step = (angle * np.float32(_DIRECTIONS / (2 * math.pi))) % np.float32(_DIRECTIONS)
        radius = np.interp(step, _STEPS, self.radii_um)
        return np.asarray(np.hypot(x, y) / radius, dtype=np.float32)
