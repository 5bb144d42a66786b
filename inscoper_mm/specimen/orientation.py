"""How a camera is mounted: the directions of its columns and rows on the stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", float, npt.NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class Orientation:
    """The stage's directions of an image's columns and rows, for pixels of size 1.

    A thing that is ``col`` columns further right and ``row`` rows further down lies ``x_per_col * col +
    x_per_row * row`` pixel sizes further along the stage's x, and likewise along y. The pixel size is the
    geometric mean of the pixels' sides, so that the determinant is 1 or, mirrored, -1.
    """

    x_per_col: float = 1.0
    x_per_row: float = 0.0
    y_per_col: float = 0.0
    y_per_row: float = 1.0

    def to_stage(self, col: Number, row: Number) -> tuple[Number, Number]:
        """(x, y) in pixel sizes of a distance of ``col`` columns and ``row`` rows."""
        return self.x_per_col * col + self.x_per_row * row, self.y_per_col * col + self.y_per_row * row

    def to_pixel(self, x: Number, y: Number) -> tuple[Number, Number]:
        """(col, row) of a distance (x, y) in pixel sizes; undoes `to_stage`."""
        area = self.x_per_col * self.y_per_row - self.x_per_row * self.y_per_col
        return (
            (self.y_per_row * x - self.x_per_row * y) / area,
            (self.x_per_col * y - self.y_per_col * x) / area,
        )

    @property
    def is_upright(self) -> bool:
        """Whether columns run along x and rows along y, in either direction."""
        return self.x_per_row == 0 and self.y_per_col == 0

    @property
    def is_transposed(self) -> bool:
        """Whether columns run along y and rows along x, in either direction."""
        return self.x_per_col == 0 and self.y_per_row == 0

    @property
    def reach(self) -> tuple[float, float]:
        """(columns, rows) that a circle of radius 1 reaches to each side."""
        area = abs(self.x_per_col * self.y_per_row - self.x_per_row * self.y_per_col)
        return (
            math.hypot(self.y_per_row, self.x_per_row) / area,
            math.hypot(self.x_per_col, self.y_per_col) / area,
        )

    def affine_um(self, pixel_size_um: float) -> tuple[float, float, float, float]:
        """(x per column, x per row, y per column, y per row) in um."""
        return (
            self.x_per_col * pixel_size_um,
            self.x_per_row * pixel_size_um,
            self.y_per_col * pixel_size_um,
            self.y_per_row * pixel_size_um,
        )


UPRIGHT: Final = Orientation()


def turned(
    rotation_deg: float = 0.0, mirrored: bool = False, aspect: float = 1.0, shear_deg: float = 0.0
) -> Orientation:
    """The orientation of a camera that is turned and mirrored.

    Parameters
    ----------
    rotation_deg : float
        Direction of the columns on the stage, from +x towards +y. Multiples of 90 are exact.
    mirrored : bool
        Left and right of the image are exchanged, after the rotation.
    aspect : float
        Height of a pixel over its width.
    shear_deg : float
        By how much the rows' direction deviates from the normal of the columns'.
    """
    cos, sin = _direction(rotation_deg)
    lean_cos, lean_sin = _direction(rotation_deg + shear_deg)
    # A sheared pixel is a parallelogram of this area.
    width = 1 / math.sqrt(aspect * (cos * lean_cos + sin * lean_sin))
    height = width * aspect
    flip = -1.0 if mirrored else 1.0
    # Adding 0 turns -0.0 into 0.0, which reads better where it is shown.
    return Orientation(
        flip * cos * width + 0.0, -lean_sin * height + 0.0, flip * sin * width + 0.0, lean_cos * height + 0.0
    )


def _direction(degrees: float) -> tuple[float, float]:
    """(cos, sin), exact for multiples of 90 degrees."""
    quarters, rest = divmod(degrees, 90.0)
    if rest == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarters) % 4]
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


# The eight ways to mount a camera straight.
ORIENTATIONS: Final = {
    "upright": turned(0),
    "rotated_90": turned(90),
    "rotated_180": turned(180),
    "rotated_270": turned(270),
    "mirrored": turned(0, mirrored=True),
    "mirrored_rotated_90": turned(90, mirrored=True),
    "mirrored_rotated_180": turned(180, mirrored=True),
    "mirrored_rotated_270": turned(270, mirrored=True),
}
