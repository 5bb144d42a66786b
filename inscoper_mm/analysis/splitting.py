"""Touching cells taken apart: seeds, watershed, and the pieces of one cell joined again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import watershed

from inscoper_mm.analysis.grey import GreyImage, Labels, Mask, blur, blur_widely, disk
from inscoper_mm.analysis.runs import find_runs
from inscoper_mm.analysis.sheets import sheets

# How much the brightness counts beside the distance from the edge, in the landscape that is flooded.
_BRIGHTNESS_WEIGHT = 0.5
# Landscape smoothing and the least distance of two seeds, in cell diameters. More seeds than cells are wanted here.
_SMOOTHING_DIAMETERS = 0.08
_SEED_WINDOW_DIAMETERS = 0.4
# Two neighbouring pieces are one cell if together they are this convex, if no valley darker than this part of the
# dimmer piece runs between them, and if they are not larger than so many typical cells. Larger ones must be convex, and
# brighter where they meet than elsewhere.
_JOINED_SOLIDITY = 0.97
_JOINED_VALLEY = 0.85
_JOINED_AREA = 2.5
_LARGE_SOLIDITY, _LARGE_VALLEY, _LARGE_AREA = 0.98, 1.0, 6.0

Pair = tuple[int, int]
Points = npt.NDArray[np.int32]


class Splitter:
    """Takes the cells of an image apart.

    Parameters
    ----------
    above : (Y, X) float32
        Grey values above the background.
    diameter_px : float
        The typical diameter of a cell.
    """

    def __init__(self, above: GreyImage, diameter_px: float) -> None:
        self._diameter_px = diameter_px
        self._smoothing_px = max(0.5, _SMOOTHING_DIAMETERS * diameter_px)
        self._root = blur(np.sqrt(np.maximum(above, 0)), self._smoothing_px)
        size = max(1, round(diameter_px)) | 1
        # A square window, because it is separable: ten times faster than a round one, and only a scale.
        brightest = cv2.dilate(self._root, np.ones((size, size), np.uint8))
        brightest = np.maximum(blur_widely(brightest, diameter_px / 4), 1e-6)
        self._brightness = _BRIGHTNESS_WEIGHT * self._root / brightest

    def pieces(self, mask: Mask) -> Labels:
        """Label the pieces of ``mask`` (Y, X) uint8 around each top, of which a cell may have several.

        0 outside ``mask``; labels from 1.
        """
        return self._labels(mask, joined=False)

    def cells(self, mask: Mask) -> Labels:
        """Label the cells of ``mask`` (Y, X) uint8, touching ones apart.

        0 outside ``mask``; labels from 1, some of which may be missing.
        """
        return self._labels(mask, joined=True)

    def _labels(self, mask: Mask, joined: bool) -> Labels:
        height = self._landscape(mask)
        window = disk(_SEED_WINDOW_DIAMETERS * self._diameter_px)
        tops = (height >= cv2.dilate(height, window)) & (mask > 0)
        seeds: Labels = cv2.connectedComponents(tops.astype(np.uint8), ltype=cv2.CV_32S)[1]
        count, parts = cv2.connectedComponents(mask, connectivity=4, ltype=cv2.CV_32S)
        highest, single = _seeds_of(parts, count, seeds)
        labels: Labels = np.where(single, highest, 0).astype(np.int32)[parts]
        if single.all():
            return labels
        # Only parts with several seeds need the watershed, which is the slowest step.
        runs = find_runs(np.where(single, 0, np.arange(count, dtype=np.int32))[parts])
        for sheet in sheets(runs, margin=1):
            drawn = sheet.mask() > 0
            flooded = watershed(-sheet.of(height), np.where(drawn, sheet.of(seeds), 0), mask=drawn)
            if joined:
                flooded = join_pieces(flooded, sheet.of(self._root), np.pi / 4 * self._diameter_px**2)
            labels.reshape(-1)[sheet.places[drawn]] = flooded[drawn]
        return labels

    def _landscape(self, mask: Mask) -> GreyImage:
        """High in the middle of cells: the distance from the edge in radii, plus the brightness beside the neighbours'.

        Farther than a radius from the edge, in a heap of cells, the brightness alone counts.
        """
        radius_px = self._diameter_px / 2
        distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        relief = blur(np.minimum(distance, radius_px), self._smoothing_px)
        relief /= radius_px
        relief += self._brightness
        return relief


def _seeds_of(parts: Labels, count: int, seeds: Labels) -> tuple[Labels, npt.NDArray[np.bool_]]:
    """By part of a mask: the highest seed in it, and whether that is the only one."""
    places = np.flatnonzero(seeds > 0)
    seed_parts, which = parts.reshape(-1)[places], seeds.reshape(-1)[places]
    highest, lowest = np.zeros(count, np.int32), np.full(count, np.iinfo(np.int32).max, np.int32)
    np.maximum.at(highest, seed_parts, which)
    np.minimum.at(lowest, seed_parts, which)
    single = highest == lowest
    single[0] = True
    return highest, single


@dataclass(slots=True)
class _Border:
    """Where two pieces meet: number of pixel pairs, and the sum of the darker value of each."""

    length: float
    darker: float


@dataclass(slots=True)
class _Piece:
    area: float
    brightness: float
    hull: Points


def join_pieces(labels: Labels, brightness: GreyImage, cell_area_px: float) -> Labels:
    """Join neighbouring labels that are one cell: convex together, with no dark valley between them.

    Parameters
    ----------
    labels : (Y, X) int32
    brightness : (Y, X) float32
    cell_area_px : float
        The area of a typical cell.

    Returns
    -------
    (Y, X) int32
        As ``labels``; of joined pieces the smaller label is kept.
    """
    borders = _borders(labels, brightness)
    pieces = _pieces(labels, brightness, {label for pair in borders for label in pair})
    unity = {pair: _unity(pieces, pair, border, cell_area_px) for pair, border in borders.items()}
    final = np.arange(int(labels.max()) + 1, dtype=np.int32)
    while unity:
        pair = max(unity, key=lambda key: unity[key])
        if unity[pair] <= 0:
            break
        kept, gone = pair
        final[final == gone] = kept
        pieces[kept] = _joined(pieces[kept], pieces.pop(gone))
        del borders[pair], unity[pair]
        for changed in [other for other in borders if kept in other or gone in other]:
            border = borders.pop(changed)
            del unity[changed]
            renamed = _renamed(changed, gone, kept)
            if renamed in borders:
                border = _Border(
                    border.length + borders[renamed].length, border.darker + borders[renamed].darker
                )
            borders[renamed] = border
            unity[renamed] = _unity(pieces, renamed, border, cell_area_px) if gone not in renamed else 0.0
    joined: Labels = final[labels]
    return joined


def _renamed(pair: Pair, gone: int, kept: int) -> Pair:
    first, second = (kept if label == gone else label for label in pair)
    return (first, second) if first < second else (second, first)


def _borders(labels: Labels, brightness: GreyImage) -> dict[Pair, _Border]:
    """The border of each two labels with pixels side by side."""
    found = []
    for one, other in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
    ):
        a, b = labels[one], labels[other]
        meet = (a != b) & (a > 0) & (b > 0)
        darker = np.minimum(brightness[one][meet], brightness[other][meet])
        found.append((np.minimum(a[meet], b[meet]), np.maximum(a[meet], b[meet]), darker))
    low, high, darker = (np.concatenate(parts) for parts in zip(*found, strict=True))
    pairs, which = np.unique(np.column_stack([low, high]), axis=0, return_inverse=True)
    which = which.ravel()
    lengths = np.bincount(which, minlength=len(pairs))
    sums = np.bincount(which, darker, minlength=len(pairs))
    return {
        (int(pair[0]), int(pair[1])): _Border(float(length), float(total))
        for pair, length, total in zip(pairs, lengths, sums, strict=True)
    }


def _pieces(labels: Labels, brightness: GreyImage, wanted: set[int]) -> dict[int, _Piece]:
    if not wanted:
        return {}
    chosen = np.zeros(int(labels.max()) + 1, np.int32)
    numbers = np.array(sorted(wanted))
    chosen[numbers] = numbers
    runs = find_runs(chosen[labels])
    sums = np.add.reduceat(brightness.reshape(-1)[runs.pixels], runs.first_pixel, dtype=np.float64)
    ends = np.stack([np.stack([runs.start, runs.row], 1), np.stack([runs.stop - 1, runs.row], 1)], 1)
    points = ends.reshape(-1, 1, 2).astype(np.int32)
    return {
        label: _Piece(
            float(area), float(total), np.asarray(cv2.convexHull(points[2 * begin : 2 * end]), np.int32)
        )
        for label, area, total, begin, end in zip(
            runs.found.tolist(), runs.area, sums, runs.first[:-1], runs.first[1:], strict=True
        )
    }


def _joined(one: _Piece, other: _Piece) -> _Piece:
    hull = cv2.convexHull(np.concatenate([one.hull, other.hull])).astype(np.int32, copy=False)
    return _Piece(one.area + other.area, one.brightness + other.brightness, hull)


def _unity(pieces: dict[int, _Piece], pair: Pair, border: _Border, cell_area_px: float) -> float:
    """How much two pieces look like one cell; 0 if they do not."""
    one, other = pieces[pair[0]], pieces[pair[1]]
    area = one.area + other.area
    large = area > _JOINED_AREA * cell_area_px
    if area > _LARGE_AREA * cell_area_px:
        return 0.0
    solidity = area / hull_area(cv2.convexHull(np.concatenate([one.hull, other.hull])))
    dimmer = min(one.brightness / one.area, other.brightness / other.area)
    valley = border.darker / border.length / max(dimmer, 1e-6)
    least_solidity, least_valley = (
        (_LARGE_SOLIDITY, _LARGE_VALLEY) if large else (_JOINED_SOLIDITY, _JOINED_VALLEY)
    )
    if solidity < least_solidity or valley < least_valley:
        return 0.0
    return float(solidity * min(valley, 1.1))


def hull_area(hull: npt.NDArray[np.int32]) -> float:
    """The number of pixels in a convex hull that is given by pixel centres (Pick's theorem)."""
    steps = np.abs(np.diff(hull[:, 0], axis=0, append=hull[:1, 0]))
    on_border = int(np.gcd(steps[:, 0], steps[:, 1]).sum())
    return float(cv2.contourArea(hull)) + on_border / 2 + 1
