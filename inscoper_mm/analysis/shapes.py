"""Regions of an image: point, line, rectangle, circle, ellipse, polygon and mask, checked, with their pixels and area.

Coordinates are pairs; in pixels (row, col), the centre of a pixel having whole coordinates. Nothing here depends on the
unit: the same shapes serve for (x, y) in micrometres, as long as both axes have one scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Sides of the polygon that stands for a circle; its area is that of the circle.
_SIDES = 96
_MOST_VERTICES = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A checked region.

    Parameters
    ----------
    kind : str
        One of ``KINDS``.
    points : ndarray
        (N, 2): the places of a point, the vertices of a line, the outline of all others, which closes itself; of a
        mask the centres of its pixels.
    mask : ndarray, optional
        (Y, X) bool, of a mask only; its first pixel is pixel (0, 0).
    """

    kind: str
    points: Floats
    mask: Bools | None = field(default=None, repr=False)

    @property
    def is_area(self) -> bool:
        """Whether the shape has an inside."""
        return self.kind not in ("point", "line")

    @property
    def area(self) -> float:
        """The area in squares of the unit; 0 of points and lines."""
        if not self.is_area:
            return 0.0
        if self.mask is not None:
            return float(len(self.points))
        return abs(_signed_area(self.points))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """The smallest and largest coordinates: (first low, second low, first high, second high)."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def pixels(self) -> tuple[Bools, tuple[int, int]]:
        """The pixels whose centres lie inside or on the edge.

        Returns (Y, X) bool of the bounding box, and the (row, col) of its first pixel. Points and lines
        have the pixels that they touch; an area that holds no pixel's centre has the nearest one.
        """
        if self.mask is not None:
            row, col = (int(value) for value in self.points.min(axis=0))
            last_row, last_col = (int(value) for value in self.points.max(axis=0))
            return self.mask[row : last_row + 1, col : last_col + 1].copy(), (row, col)
        coordinates = _PIXELS[self.kind](self.points) if self.kind in _PIXELS else _inside(self.points)
        first = coordinates.min(axis=0)
        mask = np.zeros(tuple(coordinates.max(axis=0) - first + 1), bool)
        mask[tuple((coordinates - first).T)] = True
        return mask, (int(first[0]), int(first[1]))

    def mapped(self, transform: Callable[[Floats], Floats]) -> Shape:
        """The shape in other coordinates; ``transform`` takes and gives (N, 2).

        Raises
        ------
        InvalidInput
            If the shape is a mask, which has no outline to follow.
        """
        if self.mask is not None:
            raise InvalidInput(_finding("a mask cannot be brought into other coordinates", self.kind))
        return replace(self, points=np.asarray(transform(self.points), float))

    def check_in_field(self, shape: tuple[int, int]) -> None:
        """Refuse a shape that is not wholly in an image of (Y, X) pixels.

        Raises
        ------
        InvalidInput
        """
        height, width = shape
        if self.mask is not None and self.mask.shape != (height, width):
            raise InvalidInput(
                _finding("the mask is not of the image's size", self.kind, self.mask.shape, (height, width))
            )
        low_row, low_col, high_row, high_col = self.bounds
        if low_row < -0.5 or low_col < -0.5 or high_row > height - 0.5 or high_col > width - 0.5:
            raise InvalidInput(
                _finding(
                    "the region is outside the image",
                    self.kind,
                    f"rows {low_row:g} to {high_row:g}, columns {low_col:g} to {high_col:g}",
                    f"rows 0 to {height - 1}, columns 0 to {width - 1}",
                )
            )


def make_shape(roi: Mapping[str, Any]) -> Shape:
    """The shape that a region of the contract describes: ``{"type", "points", ...}``.

    ========== ======================================================================================
    type       points
    ========== ======================================================================================
    point      one place or more
    line       two places or more, joined in order
    rectangle  two opposite corners, or all four in order (which may be rotated)
    circle     the centre, and ``radius``; or the centre and a place on the rim
    ellipse    the centre, and ``radii`` along the first and second axis; or its bounding rectangle
    polygon    three places or more, in order; it closes itself
    mask       an array (Y, X), True or not 0 inside
    ========== ======================================================================================

    Parameters
    ----------
    roi : mapping
        Further keys are left alone.

    Raises
    ------
    InvalidInput
        Unknown type, wrong number of points, NaN, an empty or self-crossing outline.
    """
    kind = roi.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput(
            Finding(
                "is no type of a region.",
                field="roi['type']",
                got=repr(kind),
                allowed=one_of(KINDS),
                suggestion=did_you_mean(kind, KINDS),
            )
        )
    if "points" not in roi:
        raise InvalidInput(_finding("the region has no 'points'", kind, one_of(roi)))
    return KINDS[kind](roi)


# -- one function for each kind


def _point(roi: Mapping[str, Any]) -> Shape:
    return Shape("point", _pairs(roi, "point", 1))


def _line(roi: Mapping[str, Any]) -> Shape:
    points = _pairs(roi, "line", 2)
    if not np.ptp(points, axis=0).any():
        raise InvalidInput(_finding("all points of the line are the same", "line", _shown(points)))
    return Shape("line", points)


def _rectangle(roi: Mapping[str, Any]) -> Shape:
    return Shape("rectangle", _box(roi, "rectangle"))


def _circle(roi: Mapping[str, Any]) -> Shape:
    if roi.get("radius") is None:
        points = _pairs(roi, "circle", 2, 2, "the centre and a place on the rim, or the centre and 'radius'")
        radius = math.dist(points[0], points[1])
    else:
        points = _pairs(roi, "circle", 1, 1, "the centre")
        radius = _length(roi["radius"], "circle", "radius")
    if radius <= 0:
        raise InvalidInput(_finding("the circle has no size", "circle", radius, "a radius above 0"))
    return Shape("circle", _round(points[0], radius, radius))


def _ellipse(roi: Mapping[str, Any]) -> Shape:
    if roi.get("radii") is None:
        corners = _box(roi, "ellipse")
        first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
        unit = _round(np.zeros(2), 1.0, 1.0)
        return Shape("ellipse", corners.mean(axis=0) + unit[:, :1] * first[None] + unit[:, 1:] * second[None])
    points = _pairs(roi, "ellipse", 1, 1, "the centre")
    radii = np.asarray(roi["radii"], dtype=object).ravel().tolist()
    if len(radii) != 2:
        raise InvalidInput(_finding("'radii' must be two lengths", "ellipse", roi["radii"]))
    return Shape("ellipse", _round(points[0], *(_length(each, "ellipse", "radii") for each in radii)))


def _polygon(roi: Mapping[str, Any]) -> Shape:
    points = _pairs(roi, "polygon", 3)
    if len(points) > 3 and np.array_equal(points[0], points[-1]):
        points = points[:-1]
    # A vertex that is given twice in a row has no side of its own.
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    # Where it is simple, which is soon known, there is no side to be named.
    crossing = None if len(points) > 2 and _is_simple(points) else _crossing(points)
    if crossing is not None:
        raise InvalidInput(
            _finding(
                f"the polygon crosses itself: side {crossing[0]} and side {crossing[1]} (counted from 0) meet",
                "polygon",
                _shown(points),
                "an outline in order, without crossing",
            )
        )
    if len(points) < 3 or abs(_signed_area(points)) <= 1e-12 * max(
        1.0, float(np.ptp(points, axis=0).max() ** 2)
    ):
        raise InvalidInput(_finding("the polygon has no area", "polygon", _shown(points)))
    return Shape("polygon", points)


def _mask(roi: Mapping[str, Any]) -> Shape:
    array = np.asarray(roi["points"])
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise InvalidInput(_finding("a mask must be an array (Y, X)", "mask", f"{array.dtype} {array.shape}"))
    if roi.get("unit", "px") != "px":
        raise InvalidInput(_finding("a mask has the unit 'px'", "mask", roi["unit"], "px"))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidInput(_finding("the mask has values that are no finite numbers", "mask"))
    mask = array != 0
    if not mask.any():
        raise InvalidInput(_finding("the mask is empty", "mask", "no pixel inside"))
    return Shape("mask", np.argwhere(mask).astype(float), mask)


KINDS: Mapping[str, Callable[[Mapping[str, Any]], Shape]] = {
    "point": _point,
    "line": _line,
    "rectangle": _rectangle,
    "circle": _circle,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "mask": _mask,
}


# -- numbers


def _pairs(
    roi: Mapping[str, Any], kind: str, fewest: int, most: int = _MOST_VERTICES, what: str | None = None
) -> Floats:
    try:
        points = np.asarray(roi["points"], dtype=float)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.shape == (2,):  # one place alone
        points = points[None]
    if points.ndim != 2 or points.shape[1] != 2:
        raise InvalidInput(_finding("'points' must be a list of pairs", kind, _brief(roi["points"])))
    if not np.isfinite(points).all():
        raise InvalidInput(_finding("'points' has NaN or infinity", kind, _shown(points)))
    if not fewest <= len(points) <= most:
        allowed = what or (f"{fewest} or more, at most {most}" if most > fewest else str(fewest))
        raise InvalidInput(_finding("has not the right number of points", kind, len(points), allowed))
    return points


def _length(value: Any, kind: str, key: str) -> float:
    try:
        length = float(value)
    except (TypeError, ValueError):
        length = math.nan
    if not (math.isfinite(length) and length > 0):
        raise InvalidInput(_finding(f"'{key}' is no length", kind, repr(value), "a finite number above 0"))
    return length


def _box(roi: Mapping[str, Any], kind: str) -> Floats:
    """Four corners in order."""
    points = _pairs(roi, kind, 2, 4, "two opposite corners, or four corners in order")
    if len(points) == 3:
        raise InvalidInput(_finding("has not the right number of points", kind, 3, "2 or 4 corners"))
    if len(points) == 2:
        (a, b), (c, d) = points
        points = np.array([(a, b), (a, d), (c, d), (c, b)])
    sides = points[1] - points[0], points[3] - points[0]
    size = max(float(np.hypot(*side)) for side in sides)
    if abs(float(sides[0][0] * sides[1][1] - sides[0][1] * sides[1][0])) <= 1e-12 * max(1.0, size**2):
        raise InvalidInput(_finding("has no area", kind, _shown(points)))
    skew = np.abs(points[0] + points[2] - points[1] - points[3]).max()
    if skew > 0.02 * size or abs(float(sides[0] @ sides[1])) > 0.02 * size**2:
        raise InvalidInput(_finding("the four corners are no rectangle in order", kind, _shown(points)))
    return points


def _round(centre: Floats, first: float, second: float) -> Floats:
    angle = np.arange(_SIDES) * (2 * np.pi / _SIDES)
    # The polygon's corners lie a little outside, so that its area is that of the curve.
    larger = math.sqrt((2 * math.pi / _SIDES) / math.sin(2 * math.pi / _SIDES))
    return np.asarray(centre + larger * np.stack([first * np.cos(angle), second * np.sin(angle)], axis=1))


def _signed_area(points: Floats) -> float:
    a, b = (points - points[0]).T
    return float(np.sum(a * np.roll(b, -1) - np.roll(a, -1) * b) / 2)


def _is_simple(points: Floats) -> bool:
    from shapely import LinearRing, is_simple

    return bool(is_simple(LinearRing(points)))


def _crossing(points: Floats) -> tuple[int, int] | None:
    """The numbers of two sides that meet and are no neighbours, or None."""
    count = len(points)
    ends = np.roll(points, -1, axis=0)
    for side in range(count - 2):
        others = np.arange(side + 2, count - 1 if side == 0 else count)
        if not len(others):
            continue
        p, q, a, b = points[side], ends[side], points[others], ends[others]
        meets = (_turn(p, q, a) * _turn(p, q, b) <= 0) & (_turn(a, b, p) * _turn(a, b, q) <= 0)
        # On one line they meet only if they also overlap along it.
        apart = np.any((np.maximum(a, b) < np.minimum(p, q)) | (np.minimum(a, b) > np.maximum(p, q)), axis=1)
        if (meets := meets & ~apart).any():
            return side, int(others[meets.argmax()])
    return None


def _turn(a: Floats, b: Floats, c: Floats) -> Floats:
    """The sign of the turn from a over b to c."""
    u, v = b - a, c - a
    return np.asarray(np.sign(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]))


def _inside(outline: Floats) -> npt.NDArray[np.int64]:
    from skimage.draw import polygon

    first = np.floor(outline.min(axis=0)).astype(int)
    rows, cols = polygon(*(outline - first).T)
    if not len(rows):
        return np.asarray(np.rint(outline.mean(axis=0)), np.int64)[None]
    return np.asarray(np.stack([rows, cols], axis=1) + first, np.int64)


def _along(vertices: Floats) -> npt.NDArray[np.int64]:
    from skimage.draw import line

    corners = np.rint(vertices).astype(int)
    pieces = [np.stack(line(*a, *b), axis=1) for a, b in pairwise(corners)]
    return np.asarray(np.unique(np.concatenate(pieces), axis=0), np.int64)


_PIXELS: Mapping[str, Callable[[Floats], npt.NDArray[np.int64]]] = {
    "point": lambda points: np.unique(np.rint(points).astype(np.int64), axis=0),
    "line": _along,
}


def _shown(points: Floats) -> str:
    return _brief(np.round(points, 3).tolist())


def _brief(value: object, most: int = 80) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _finding(message: str, kind: str, got: object = None, allowed: object = None) -> Finding:
    return Finding(
        f"{message}.",
        field=f"roi '{kind}'",
        got=None if got is None else _brief(got),
        allowed=None if allowed is None else str(allowed),
    )
