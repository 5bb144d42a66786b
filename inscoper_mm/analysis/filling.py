"""Where to point a spot of light so that it covers a region: single points, rows, or lines along the outline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.shapes import Bools, Floats, Shape
from inscoper_mm.errors import Finding, InvalidInput

Fill = Literal["points", "raster", "contour"]
FILLS: tuple[Fill, ...] = ("points", "raster", "contour")

MOST_POINTS = 20_000
MOST_OVERLAP = 0.9


def fill_points(shape: Shape, fill: Fill, spot_px: float, overlap: float = 0.0) -> Floats:
    """The places to point at, in the order in which to visit them.

    Parameters
    ----------
    shape : Shape
        In pixels.
    fill : {"points", "raster", "contour"}
        ``points``: the places of a point, the vertices of a line, the centre of an area. ``raster``: rows, every other
        one backwards. ``contour``: along the outline, then along lines further and further inside.
    spot_px : float
        Diameter of the spot.
    overlap : float
        0: the widest spacing that leaves no gap between round spots, 0.87 diameters in a hexagonal grid; 0.5: half of
        that; up to 0.9.

    Returns
    -------
    ndarray
        (N, 2) float: (row, col). With ``raster`` and ``contour`` every pixel of the shape lies within half a
        diameter of a place, and every place lies on a pixel of the shape.

    Raises
    ------
    InvalidInput
        If the spot or the overlap is impossible, or more than ``MOST_POINTS`` places would be needed.
    """
    _check(spot_px, overlap)
    if shape.kind == "point":
        return shape.points
    radius = spot_px / 2
    pitch = math.sqrt(3) * radius * (1 - overlap)
    if shape.kind == "line":
        return shape.points if fill == "points" else _limited(_spaced(shape.points, pitch))
    mask, first = shape.pixels()
    if fill == "points":
        return _centre(mask)[None] + first
    # Half of the smallest possible number, since the edge needs some more.
    if mask.sum() / (pitch * pitch) > MOST_POINTS:
        raise InvalidInput(_too_many(round(mask.sum() / (pitch * pitch))))
    places = _ORDERED[fill](mask, radius, pitch)
    return _limited(places + np.asarray(first, float))


def uncovered(mask: Bools, places: Floats, radius_px: float) -> Bools:
    """The pixels (Y, X) of ``mask`` whose centre no place is near; ``places`` (N, 2) are in pixels of the mask."""
    from scipy.spatial import cKDTree

    result = mask.copy()
    if len(places):
        inside = np.argwhere(mask)
        distance, _ = cKDTree(places).query(inside)
        result[tuple(inside.T)] = distance > radius_px + 1e-9
    return result


def _check(spot_px: float, overlap: float) -> None:
    if not (math.isfinite(spot_px) and spot_px > 0):
        raise InvalidInput(
            Finding("is no size of a spot.", field="spot", got=f"{spot_px} px", allowed="above 0")
        )
    if not 0 <= overlap <= MOST_OVERLAP:
        raise InvalidInput(
            Finding("is no overlap.", field="overlap", got=str(overlap), allowed=f"0 to {MOST_OVERLAP}")
        )


def _rows(mask: Bools, radius: float, pitch: float) -> Floats:
    """A hexagonal grid, completed along the edge, in rows that are run to and fro."""
    height, width = mask.shape
    step = pitch * math.sqrt(3) / 2
    lines = []
    # Centred, so that a small region is met in its middle.
    count = max(1, math.ceil(height / step))
    top = (height - 1) / 2 - (count - 1) * step / 2
    for number in range(count):
        columns = np.arange((width - 1) / 2 % pitch - pitch, width + pitch, pitch) + (number % 2) * pitch / 2
        lines.append(np.stack([np.full(len(columns), top + number * step), columns], axis=1))
    grid = np.concatenate(lines)
    places = _completed(mask, grid[_on(mask, grid)], radius)
    line = np.rint((places[:, 0] - top) / step)
    forwards = np.where(line % 2 == 0, places[:, 1], -places[:, 1])
    return np.asarray(places[np.lexsort((forwards, line))])


def _rings(mask: Bools, radius: float, pitch: float) -> Floats:
    """Lines of equal depth, from the edge inwards, completed where they leave a gap."""
    from scipy.ndimage import distance_transform_edt
    from skimage.measure import find_contours

    depth = distance_transform_edt(np.pad(mask, 1))
    rings: list[Floats] = []
    # The outermost line lies half a radius inside: there a spacing of one pitch still lights the edge.
    levels = np.arange(max(0.5, radius / 2 + 0.5), depth.max(), pitch * math.sqrt(3) / 2)
    for level in levels:
        for contour in find_contours(depth, level):
            places = _spaced(contour, pitch) - 1
            closed = np.allclose(contour[0], contour[-1])
            rings.append(places[:-1] if closed and len(places) > 1 else places)
    on_rings = np.concatenate(rings) if rings else np.zeros((0, 2))
    return _completed(mask, on_rings[_on(mask, on_rings)], radius)


_ORDERED: Mapping[str, Callable[[Bools, float, float], Floats]] = {"raster": _rows, "contour": _rings}


def _completed(mask: Bools, places: Floats, radius: float) -> Floats:
    """``places``, and more until every pixel is reached.

    Each further place reaches the first pixel that is still missing, and as many others as possible; of equals the one
    farthest from the edge is taken, so that little light falls outside.
    """
    from scipy.ndimage import distance_transform_edt
    from scipy.signal import fftconvolve

    missing = np.pad(uncovered(mask, places, radius), reach := math.floor(radius + 1e-9))
    depth = np.pad(distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1], reach)
    offsets = _disk(radius)
    disk = np.zeros((2 * reach + 1, 2 * reach + 1))
    disk[tuple((offsets + reach).T)] = 1.0
    added: list[npt.NDArray[np.int64]] = []
    for row, col in np.argwhere(missing):
        if not missing[row, col]:
            continue
        around = _within(np.array([row, col]) + offsets, missing.shape)
        around = around[depth[tuple(around.T)] > 0]
        corner = np.maximum(around.min(axis=0) - reach, 0)
        window = missing[
            corner[0] : around[:, 0].max() + reach + 1, corner[1] : around[:, 1].max() + reach + 1
        ]
        gain = np.rint(fftconvolve(window.astype(float), disk, mode="same"))[tuple((around - corner).T)]
        best = around[np.lexsort((depth[tuple(around.T)], gain))[-1]]
        reached = _within(best + offsets, missing.shape)
        missing[tuple(reached.T)] = False
        added.append(best - reach)
    return np.concatenate([places, np.asarray(added, float).reshape(-1, 2)])


def _disk(radius: float) -> npt.NDArray[np.int64]:
    reach = math.floor(radius + 1e-9)
    offsets = np.moveaxis(np.mgrid[-reach : reach + 1, -reach : reach + 1], 0, -1).reshape(-1, 2)
    return np.asarray(offsets[(offsets**2).sum(axis=1) <= (radius + 1e-9) ** 2])


def _within(pixels: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return np.asarray(pixels[np.all((pixels >= 0) & (pixels < shape), axis=1)])


def _on(mask: Bools, places: Floats) -> Bools:
    """Which places lie on a pixel of the mask."""
    pixels = np.rint(places).astype(int)
    inside = np.all((pixels >= 0) & (pixels < mask.shape), axis=1)
    inside[inside] = mask[tuple(pixels[inside].T)]
    return np.asarray(inside)


def _spaced(vertices: Floats, pitch: float) -> Floats:
    """Places along a line, evenly, at most ``pitch`` apart, both ends included."""
    lengths = np.hypot(*np.diff(vertices, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    if along[-1] / pitch > MOST_POINTS:
        raise InvalidInput(_too_many(round(along[-1] / pitch)))
    stops = np.linspace(0.0, along[-1], math.ceil(along[-1] / pitch - 1e-9) + 1)
    return np.stack([np.interp(stops, along, vertices[:, axis]) for axis in (0, 1)], axis=1)


def _centre(mask: Bools) -> Floats:
    """The centroid; where that lies outside, the place farthest from the edge."""
    from scipy.ndimage import distance_transform_edt

    centroid = np.argwhere(mask).mean(axis=0)
    if _on(mask, centroid[None])[0]:
        return np.asarray(centroid)
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.asarray(np.unravel_index(int(depth.argmax()), mask.shape), float)


def _limited(places: Floats) -> Floats:
    if len(places) > MOST_POINTS:
        raise InvalidInput(_too_many(len(places)))
    return places


def _too_many(count: int) -> Finding:
    return Finding(
        f"the region would need some {count} points of light.",
        field="roi",
        allowed=f"at most {MOST_POINTS}",
        cure="Choose a larger spot, less overlap, or a smaller region.",
    )
