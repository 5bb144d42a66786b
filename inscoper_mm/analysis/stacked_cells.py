"""Cells of a stack: what was found slice by slice, put together to cells that have a height."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Labels = npt.NDArray[np.int32]
Vector = npt.NDArray[np.float64]

# Of the smaller of two areas in neighbouring slices, so much is common where they are the same cell.
_LEAST_COMMON = 0.5
# Two cells lie one above the other where it is darker between them than this share of the darker one.
_VALLEY = 0.75
# What is never brighter than this share of the median cell is no cell but light from somewhere else.
_FAINT = 0.15
_SLOPE_SIGMA_PX = 1.0


def join_slices(slices: Sequence[npt.NDArray[np.integer[Any]]], stack: npt.ArrayLike) -> Labels:
    """Put the cells that were found in each slice of a stack together.

    Begun in the slice with most cells, which is the sharpest of most, and continued up and down. What covers several
    cells of the slice before is out of focus, and cut between them.

    Parameters
    ----------
    slices : sequence of (Y, X) int
        The labels of each slice, which know nothing of each other.
    stack : (Z, Y, X) array
        Grey values.

    Returns
    -------
    (Z, Y, X) int32
        One number for each cell, from 1 on.
    """
    grey = np.asarray(stack, np.float32)
    labels = np.zeros(grey.shape, np.int32)
    counts = [_labels_in(np.asarray(each)).size for each in slices]
    first = int(np.argmax(counts))
    labels[first], last = _numbered(np.asarray(slices[first]), 0)
    for way in (range(first + 1, len(slices)), range(first - 1, -1, -1)):
        step = 1 if way.step > 0 else -1
        for number in way:
            labels[number], last = _continued(labels[number - step], np.asarray(slices[number]), last)
    labels = _parted(labels, grey)
    return _without_faint(labels, grey)


def heights(labels: npt.NDArray[np.integer[Any]], stack: npt.ArrayLike) -> Vector:
    """At which slice each cell of a stack is sharpest: where the slope along its outline is steepest.

    Parameters
    ----------
    labels : (Z, Y, X) int
    stack : (Z, Y, X) array

    Returns
    -------
    (N,) float64
        Slices from 0 on, with fractions (by a parabola through the inverse of the mean squared slope in three slices),
        sorted by label.
    """
    grey = np.asarray(stack, np.float32)
    slopes = np.stack([ndimage.gaussian_gradient_magnitude(each, _SLOPE_SIGMA_PX) ** 2 for each in grey])
    profile, _ = _profiles(labels, grey, slopes, outline=True)
    top, last = np.argmax(profile, axis=1), profile.shape[1] - 1
    if last < 2:
        return np.asarray(top, np.float64)
    inside, middle = (top > 0) & (top < last), np.clip(top, 1, last - 1)
    steep = np.maximum(profile, np.finfo(np.float32).tiny)
    below, at, above = (-1 / steep[np.arange(len(steep)), middle + step] for step in (-1, 0, 1))
    curve = below - 2 * at + above
    bent = inside & (curve < 0)
    shift = np.where(bent, 0.5 * (below - above) / np.where(bent, curve, -1.0), 0.0)
    return np.asarray(top + np.clip(shift, -0.5, 0.5))


def seen_from_above(labels: npt.NDArray[np.integer[Any]], stack: npt.ArrayLike) -> Labels:
    """The labels of a stack as one image: where cells lie one above the other, the brighter one is seen.

    Parameters
    ----------
    labels : (Z, Y, X) int
    stack : (Z, Y, X) array

    Returns
    -------
    (Y, X) int32
    """
    grey = np.where(labels > 0, np.asarray(stack, np.float32), -np.inf)
    brightest = np.argmax(grey, axis=0)
    return np.asarray(np.take_along_axis(np.asarray(labels), brightest[None], axis=0)[0], np.int32)


def _labels_in(labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """The numbers of the cells, ascending; counted, which is faster than sorting."""
    return 1 + np.flatnonzero(np.bincount(labels.ravel())[1:])


def _numbered(labels: npt.NDArray[Any], last: int) -> tuple[Labels, int]:
    """The same cells, numbered from ``last`` + 1 on, and the last number."""
    found = _labels_in(labels)
    new = np.zeros(int(found.max(initial=0)) + 1, np.int32)
    new[found] = np.arange(last + 1, last + 1 + found.size)
    return new[labels], last + found.size


def _continued(before: Labels, found: npt.NDArray[Any], last: int) -> tuple[Labels, int]:
    """The cells ``found`` in a slice, with the numbers of those of the slice ``before`` where they are the same."""
    here, count = _numbered(found, 0)
    both = (before > 0) & (here > 0)
    area_before = np.bincount(before.ravel())
    joint, common = np.unique(
        here[both].astype(np.int64) * area_before.size + before[both], return_counts=True
    )
    pairs = np.stack(np.divmod(joint, area_before.size))
    area_here = np.bincount(here.ravel(), minlength=count + 1)
    same = common >= _LEAST_COMMON * np.minimum(area_here[pairs[0]], area_before[pairs[1]])
    # A cell goes on as the largest of what is found at its place; the rest of it is something else.
    best = np.zeros(len(area_before), np.int64)
    np.maximum.at(best, pairs[1][same], common[same])
    same &= common == best[pairs[1]]
    covered: dict[int, list[int]] = {}
    for mine, theirs in pairs[:, same].T.tolist():
        covered.setdefault(mine, []).append(theirs)
    new = np.zeros(count + 1, np.int32)
    for mine in range(1, count + 1):
        if mine in covered:
            new[mine] = covered[mine][0]
        else:
            last += 1
            new[mine] = last
    labels = new[here]
    for mine, several in covered.items():
        if len(several) > 1:
            _cut(labels, here == mine, before, several)
    return labels, last


def _cut(labels: Labels, blob: npt.NDArray[np.bool_], before: Labels, cells: list[int]) -> None:
    """Give each pixel of ``blob`` to the nearest of ``cells`` of the slice before."""
    where = ndimage.find_objects(blob.astype(np.uint8))[0]
    seeds = np.where(np.isin(before[where], cells) & blob[where], before[where], 0)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    part = labels[where]
    part[blob[where]] = seeds[tuple(nearest)][blob[where]]


def _profiles(
    labels: npt.NDArray[Any],
    grey: npt.NDArray[np.float32],
    what: npt.NDArray[np.float32] | None = None,
    outline: bool = False,
) -> tuple[Vector, npt.NDArray[Any]]:
    """(N, Z) mean of ``what`` (the grey values) in each slice where a cell is in its brightest one; and the labels.

    With ``outline``, only where its outline is there.
    """
    found = _labels_in(labels)
    slices, count = len(labels), len(found)
    number = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    number[found] = np.arange(count)
    plane, row, col = np.nonzero(labels)
    cell = number[labels[plane, row, col]]
    pixels = np.bincount(cell * slices + plane, minlength=count * slices).reshape(-1, slices)
    sums = np.bincount(cell * slices + plane, grey[plane, row, col], minlength=count * slices)
    means = np.where(pixels > 0, sums.reshape(-1, slices) / np.maximum(pixels, 1), -np.inf)
    at_best = plane == np.argmax(means, axis=1)[cell]
    if outline:
        at_best &= _at_edge(labels)[plane, row, col]
    cell, row, col = cell[at_best], row[at_best], col[at_best]
    size = np.bincount(cell, minlength=count)
    profile = [
        np.bincount(cell, each[row, col], minlength=count) / size for each in (grey if what is None else what)
    ]
    return np.stack(profile, axis=1) if count else np.zeros((0, slices)), found


def _at_edge(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """The pixels of cells with something else beside them in their slice, or beside the image."""
    padded = np.pad(labels, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    middle = padded[:, 1:-1, 1:-1]
    beside = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    return np.asarray((labels > 0) & np.any([each != middle for each in beside], axis=0))


def _parted(labels: Labels, grey: npt.NDArray[np.float32]) -> Labels:
    """Cells that lie one above the other: a number that is dark between two bright slices is cut there."""
    found = _labels_in(labels)
    if not found.size or len(labels) < 3:
        return labels
    last = int(found[-1])
    counts = np.stack([np.bincount(each.ravel(), minlength=last + 1) for each in labels])
    sums = np.stack(
        [np.bincount(one.ravel(), two.ravel(), last + 1) for one, two in zip(labels, grey, strict=True)]
    )
    dark = np.array([np.median(each) for each in grey])[:, None]
    contrast = np.where(counts > 0, sums / np.maximum(counts, 1) - dark, 0.0)
    for label in found.tolist():
        for valley in _valleys(contrast[:, label]):
            last += 1
            above = labels[valley:]
            above[above == label] = last
            label = last
    return labels


def _valleys(contrast: Vector) -> list[int]:
    """The darkest slices between peaks, from below."""
    there = np.flatnonzero(contrast > 0)
    found: list[int] = []
    begin = int(there[0]) if there.size else 0
    for number in there[1:-1].tolist():
        left, right = contrast[begin:number].max(initial=0.0), contrast[number + 1 :].max()
        lowest = (
            contrast[number] == contrast[begin : number + 1].min()
            and contrast[number] <= contrast[number + 1]
        )
        if lowest and number > begin and contrast[number] < _VALLEY * min(left, right):
            found.append(number)
            begin = number
    return found


def _without_faint(labels: Labels, grey: npt.NDArray[np.float32]) -> Labels:
    """Cells without contrast left out; numbered from 1 on."""
    profile, found = _profiles(labels, grey)
    if not found.size:
        return labels
    bright = profile.max(axis=1) - float(np.median(grey))
    number = np.zeros(int(found[-1]) + 1, np.int32)
    kept = found[bright >= _FAINT * np.median(bright)]
    number[kept] = np.arange(1, len(kept) + 1)
    return number[labels]
