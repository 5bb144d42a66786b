"""Regions of an image that are moved, turned, combined and drawn: geometry without pixels, until pixels are asked for.

Coordinates are (row, col), the centre of a pixel having whole ones, as in `inscoper_mm.analysis.shapes`. The first axis
of the shapely geometries is the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy.ndimage import find_objects
from shapely import affinity
from shapely.geometry import LineString, MultiPoint, Polygon, box
from shapely.geometry.base import BaseGeometry

from inscoper_mm.analysis.shapes import Bools, Floats, Shape, make_shape
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

Roi = dict[str, Any]

# Vertices of a quarter of the circles that round off what is grown.
_QUARTER = 24


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Points, lines and areas of an image.

    Parameters
    ----------
    geometry : shapely geometry
        Its first axis is the row.
    roi : mapping, optional
        The description that it was made of, as long as nothing has changed.
    """

    geometry: BaseGeometry
    roi: Mapping[str, Any] | None = field(default=None, repr=False)

    # -- what it is

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return bool(self.geometry.is_empty)

    @property
    def area_px(self) -> float:
        """0 of points and lines."""
        return float(self.geometry.area)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(lowest row, lowest col, highest row, highest col)."""
        low_row, low_col, high_row, high_col = self.geometry.bounds
        return float(low_row), float(low_col), float(high_row), float(high_col)

    @property
    def centre(self) -> tuple[float, float]:
        """(row, col) of the centre of area; of the nearest place inside where that lies outside."""
        middle = self.geometry.centroid
        if not self.geometry.intersects(middle):
            middle = self.geometry.representative_point()
        return float(middle.x), float(middle.y)

    @property
    def deepest(self) -> tuple[float, float]:
        """(row, col) of the place of an area that is farthest from its edge, to a tenth of a pixel."""
        parts = [part for part in _parts(self.geometry) if isinstance(part, Polygon)]
        lines = [shapely.maximum_inscribed_circle(part, tolerance=0.1) for part in parts]
        if not lines:
            return self.centre
        row, col = max(lines, key=lambda line: line.length).coords[0]
        return float(row), float(col)

    # -- made into others

    def shifted(self, rows: float, cols: float) -> Region:
        """Moved down and to the right."""
        return Region(affinity.translate(self.geometry, rows, cols))

    def rotated(self, degrees: float, about: tuple[float, float] | None = None) -> Region:
        """Turned counter-clockwise, as seen in the image, about its centre or a (row, col)."""
        return Region(affinity.rotate(self.geometry, degrees, origin=about or self.centre))

    def scaled(
        self, rows: float, cols: float | None = None, about: tuple[float, float] | None = None
    ) -> Region:
        """Made larger or smaller by factors, about its centre or a (row, col)."""
        factor = rows if cols is None else cols
        return Region(affinity.scale(self.geometry, rows, factor, origin=about or self.centre))

    def grown(self, pixels: float) -> Region:
        """With all that is as near as this; below 0, without all that is as near to the edge."""
        return Region(self.geometry.buffer(pixels, quad_segs=_QUARTER))

    def __or__(self, other: Region) -> Region:
        return Region(self.geometry.union(other.geometry))

    def __and__(self, other: Region) -> Region:
        return Region(self.geometry.intersection(other.geometry))

    def __sub__(self, other: Region) -> Region:
        return Region(self.geometry.difference(other.geometry))

    # -- in an image

    def check_in_image(self, shape: tuple[int, int]) -> None:
        """Refuse a region that is empty or not wholly in an image of (Y, X) pixels.

        Raises
        ------
        InvalidInput
        """
        if self.is_empty:
            raise InvalidInput(Finding("nothing is left of the region.", field="roi"))
        for shape_ in _shapes(self.geometry):
            shape_.check_in_field(shape)

    def clipped(self, shape: tuple[int, int]) -> Region:
        """The part that lies in an image of (Y, X) pixels."""
        height, width = shape
        return self & Region(box(-0.5, -0.5, height - 0.5, width - 0.5))

    def mask(self, shape: tuple[int, int]) -> Bools:
        """The pixels (Y, X) of the region in an image of that size.

        Of an area those whose centres lie inside or on the edge; of points and lines those that they touch. An area
        that holds no pixel's centre has the nearest pixel. What lies outside of the image is left out.
        """
        found = np.zeros(shape, bool)
        slivers = []
        for part in _parts(self.geometry):
            if not _paint(found, part):
                slivers.append(part)
        if slivers and not found.any():
            for part in slivers:
                _paint(found, part, even_slivers=True)
        return found

    def rois(self) -> list[Roi]:
        """The region in the contract's form, in pixels: as it was given, or points, lines and polygons.

        A polygon of the contract has no hole: an area with holes is cut into several, between pixels, so that no
        pixel's centre lies on a cut.
        """
        if self.roi is not None:
            return [dict(self.roi)]
        return [
            {"type": shape.kind, "points": shape.points.tolist(), "unit": "px"}
            for part in self._visible()
            for piece in _without_holes(part)
            if piece is part or _holds_pixel(piece)
            for shape in _shapes(piece)
        ]

    def _visible(self) -> list[BaseGeometry]:
        """Its parts; slivers between pixels only where there is nothing else."""
        parts = list(_parts(self.geometry))
        return [part for part in parts if _holds_pixel(part)] or parts


def region_of(roi: Mapping[str, Any]) -> Region:
    """The region that a description of the contract gives, see `shapes.make_shape`; in pixels.

    Raises
    ------
    InvalidInput
        A bad description, or one that is not in pixels.
    """
    if roi.get("unit", "px") != "px":
        raise InvalidInput(Finding("must be in pixels here.", field="roi['unit']", got=repr(roi["unit"])))
    shape = make_shape(roi)
    if shape.mask is not None:
        return Region(_outlined(shape.mask), roi)
    made = {"point": MultiPoint, "line": LineString}.get(shape.kind, Polygon)
    return Region(made(shape.points), roi)


def region_at(
    kind: str,
    centre: tuple[float, float],
    height_px: float,
    width_px: float | None = None,
    rotation_deg: float = 0.0,
) -> Region:
    """A shape by its size, turned about its centre (row, col).

    Parameters
    ----------
    kind : {"circle", "ellipse", "rectangle", "line"}
        A line is upright, as long as ``height_px``, before it is turned; of a circle that is the diameter.
    width_px : float, optional
        Left out: as ``height_px``.

    Raises
    ------
    InvalidInput
        Another kind, or no size.
    """
    (row, col), tall = centre, height_px / 2
    wide = tall if width_px is None else width_px / 2
    corners = [[row - tall, col - wide], [row + tall, col + wide]]
    ends = [[row - tall, col], [row + tall, col]]
    descriptions: Mapping[str, Roi] = {
        "circle": {"points": [[row, col]], "radius": tall},
        "ellipse": {"points": [[row, col]], "radii": [tall, wide]},
        "rectangle": {"points": corners},
        "line": {"points": ends},
    }
    if kind not in descriptions:
        raise InvalidInput(
            Finding(
                "is no shape.",
                function="region_at",
                parameter="kind",
                got=repr(kind),
                allowed=one_of(descriptions),
                suggestion=did_you_mean(kind, descriptions),
            )
        )
    region = region_of({"type": kind, **descriptions[kind], "unit": "px"})
    return region.rotated(rotation_deg, centre) if rotation_deg else region


def polygon_of_text(text: str) -> Region:
    """The polygon of corners that are written as ``"row,col row,col row,col"``, in order.

    Raises
    ------
    InvalidInput
        If they are no pairs of numbers, or make no polygon.
    """
    try:
        points = [[float(number) for number in pair.split(",")] for pair in text.split()]
    except ValueError:
        points = []
    if not points or any(len(pair) != 2 for pair in points):
        finding = Finding(
            "are no corners.", field="vertices", got=repr(text), allowed="'row,col row,col row,col'"
        )
        raise InvalidInput(finding)
    return region_of({"type": "polygon", "points": points, "unit": "px"})


def regions_of_labels(labels: npt.NDArray[np.integer[Any]]) -> dict[int, Region]:
    """The region of each label of a segmentation (Y, X), holes and separate pieces included; 0 is background.

    The outline runs half-way between the pixels inside and those outside, and cuts the corners: drawn again, the
    region has the same pixels.
    """
    found = {}
    for label, where in enumerate(find_objects(np.asarray(labels).astype(np.int32, copy=False)), start=1):
        if where is not None:
            corner = (where[0].start, where[1].start)
            found[label] = Region(_outlined(np.asarray(labels[where] == label), corner))
    return found


def united(regions: Iterable[Region]) -> Region:
    """All of several regions."""
    return Region(shapely.union_all([region.geometry for region in regions]))


# -- from pixels to geometry


def _outlined(mask: Bools, corner: tuple[int, int] = (0, 0)) -> BaseGeometry:
    from skimage.measure import find_contours

    rings = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    areas = [Polygon(ring - 1 + np.asarray(corner)).simplify(0) for ring in rings]
    # Of rings inside of rings every other one is a hole.
    areas.sort(key=lambda area: -area.area)
    if len(areas) == 1:
        return areas[0]
    return reduce(lambda whole, ring: whole.symmetric_difference(ring), areas, Polygon())


# -- from geometry to pixels


def _parts(geometry: BaseGeometry) -> Iterator[BaseGeometry]:
    """The points, lines and polygons of which it consists."""
    if geometry.is_empty:
        return
    if hasattr(geometry, "geoms") and geometry.geom_type != "MultiPoint":
        for part in geometry.geoms:
            yield from _parts(part)
    else:
        yield geometry


def _holds_pixel(part: BaseGeometry) -> bool:
    """Whether a part holds the centre of a pixel; of points and lines always."""
    if not isinstance(part, Polygon):
        return True
    pixels, first = _shape(part).pixels()
    return pixels.size > 1 or bool(shapely.intersects_xy(part, *first))


def _shape(part: BaseGeometry) -> Shape:
    """A part as a shape, without its holes."""
    if isinstance(part, Polygon):
        return Shape("polygon", _vertices(part.exterior)[:-1])
    if part.geom_type == "LinearRing" or isinstance(part, LineString):
        return Shape("line", _vertices(part))
    return Shape("point", shapely.get_coordinates(part))


def _shapes(geometry: BaseGeometry) -> list[Shape]:
    return [_shape(part) for part in _parts(geometry)]


def _vertices(line: BaseGeometry) -> Floats:
    return np.asarray(shapely.get_coordinates(line), float)


def _paint(found: Bools, part: BaseGeometry, even_slivers: bool = False) -> bool:
    """Draw a part; False, and nothing drawn, if it is an area without the centre of a pixel."""
    pixels, first = _shape(part).pixels()
    if isinstance(part, Polygon):
        if pixels.size == 1 and not even_slivers and not shapely.intersects_xy(part, *first):
            return False
        for ring in part.interiors:
            _cut_hole(pixels, first, part, ring)
    top, left = first
    rows = slice(max(top, 0), max(min(top + pixels.shape[0], found.shape[0]), 0))
    cols = slice(max(left, 0), max(min(left + pixels.shape[1], found.shape[1]), 0))
    seen = pixels[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
    if seen.size:
        found[rows, cols][seen] = True
    return True


def _cut_hole(pixels: Bools, first: tuple[int, int], part: Polygon, ring: BaseGeometry) -> None:
    """Take out what lies in a hole; its edge belongs to the area."""
    hole, corner = Shape("polygon", _vertices(ring)[:-1]).pixels()
    rows, cols = np.nonzero(hole)
    rows, cols = rows + corner[0], cols + corner[1]
    outside = ~shapely.intersects_xy(part, rows, cols)
    pixels[rows[outside] - first[0], cols[outside] - first[1]] = False


def _without_holes(part: BaseGeometry) -> Iterator[BaseGeometry]:
    """A polygon in pieces that have no hole."""
    if not isinstance(part, Polygon) or not part.interiors:
        yield part
        return
    low_row, low_col, high_row, high_col = part.bounds
    # Through the middle of a hole, but not through the centres of a column of pixels.
    hole = part.interiors[0].bounds
    cut = (hole[1] + hole[3]) / 2
    if abs(cut - round(cut)) < 0.1:
        cut += min(0.25, (hole[3] - hole[1]) / 4)
    for first, last in ((low_col - 1, cut), (cut, high_col + 1)):
        for piece in _parts(part.intersection(box(low_row - 1, first, high_row + 1, last))):
            if isinstance(piece, Polygon):
                yield from _without_holes(piece)
