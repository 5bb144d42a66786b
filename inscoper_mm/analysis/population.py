"""Cells followed from image to image: links, drift, speeds, and what the population does as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.drift_votes import Drift
from inscoper_mm.analysis.linking import Linker, LinkSettings, LinkState

Array = npt.NDArray[Any]
Series = dict[str, list[Any]]

# Mean squared displacements are told over so many images.
LAG_IMAGES = 10
_LINKS = "links_"


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of an image, in the order of their labels.

    Parameters
    ----------
    places : (N, D) float
        x, y and, of a stack, z; all in one unit, on axes that do not move with the camera.
    time_s : float
    sizes, intensities, light : (N,) float
        Areas or volumes; mean grey values; sums of the grey values above the background.
    image_drift : (D,) float, optional
        How far the content of the image has moved since the one before, if it can be told.
    """

    places: Array
    time_s: float
    sizes: Array
    intensities: Array
    light: Array
    image_drift: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """What is remembered of the cells: some numbers for each one that is seen or waited for.

    Parameters
    ----------
    links : LinkState
    track_id, parent_id : (N,) int64
        A parent of 0 is none.
    recent : (N, LAG_IMAGES, D) float
        Where cells were in the last images, free of drift, the last one first; NaN where they were not seen.
    last_s : (N,) float
        When they were last seen.
    first : (N, D) float
        Where those were that are followed since the first image, free of drift; NaN of the others.
    """

    links: LinkState
    track_id: Array
    parent_id: Array
    recent: Array
    last: Array
    last_s: Array
    first: Array

    @staticmethod
    def empty(dimensions: int) -> Population:
        """Before the first image."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        places = np.zeros((0, dimensions))
        recent = np.zeros((0, LAG_IMAGES, dimensions))
        return Population(LinkState.empty(dimensions), whole, whole, recent, places, real, places)

    @property
    def next_id(self) -> int:
        """The number of the next track."""
        return self.links.next_id

    def numbered_from(self, next_id: int) -> Population:
        """The same, its next track having the number ``next_id``."""
        return replace(self, links=replace(self.links, next_id=next_id))

    def to_arrays(self) -> dict[str, Array]:
        """Everything, as arrays for ``numpy.savez``."""
        own = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)[1:]}
        return own | {_LINKS + name: array for name, array in self.links.to_arrays().items()}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Population:
        """What ``to_arrays`` gave; other arrays may be among them."""
        known = {name.removeprefix(_LINKS): arrays[name] for name in arrays if name.startswith(_LINKS)}
        own = {field.name: arrays[field.name] for field in fields(Population)[1:]}
        return Population(LinkState.from_arrays(known), **own)


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """The cells of an image as parts of tracks, in the order of the cells.

    Parameters
    ----------
    track_id, parent_id : (N,) int64
    places : (N, D) float
        Free of drift.
    speed : (N,) float
        Since the cell was last seen, per second and free of drift; NaN of new ones.
    drift : Drift
        Since the image before.
    total_drift : (D,) float
        Since the first image.
    lag_squared, first_squared : (N,) float
        Squared displacements over ``LAG_IMAGES`` images and since the first image; NaN where unknown.
    """

    track_id: Array
    parent_id: Array
    places: Array
    speed: Array
    drift: Drift
    total_drift: Array
    lag_squared: Array
    first_squared: Array


def follow(before: Population, cells: Cells, settings: LinkSettings) -> tuple[Population, Followed]:
    """Find the cells of the image before among the cells of an image.

    Parameters
    ----------
    before : Population
        It does not change.
    cells : Cells
    settings : LinkSettings

    Returns
    -------
    Population
        For the next image.
    Followed

    Raises
    ------
    InvalidInput
        As of ``Linker.link``.
    """
    linker = Linker(settings, before.links)
    image_drift = None if cells.image_drift is None else Drift(cells.image_drift, source="image")
    links = linker.link(
        cells.places,
        cells.time_s,
        areas=cells.sizes,
        intensities=cells.light,
        image_drift=image_drift if settings.drift else None,
    )
    assert linker.state is not None
    places = cells.places - links.total_drift
    rows = _rows_of(before.track_id, links.track_id)
    parents = np.where(rows < 0, links.parent_id, _taken(before.parent_id, rows, 0))
    last, last_s = _taken(before.last, rows), _taken(before.last_s, rows)
    seconds = cells.time_s - last_s
    speed = _norm(places - last) / np.where(seconds > 0, seconds, np.nan)
    first = _taken(before.first, rows)
    if before.links.frames == 0:
        first = places
    recent = _taken(before.recent, rows)
    followed = Followed(
        track_id=links.track_id,
        parent_id=parents,
        places=places,
        speed=speed,
        drift=links.drift,
        total_drift=links.total_drift,
        lag_squared=_norm(places - recent[:, -1]) ** 2,
        first_squared=_norm(places - first) ** 2 if before.links.frames > 0 else _unknown(len(rows)),
    )
    now = np.concatenate([places[:, None], recent[:, :-1]], axis=1)
    seen = Population(
        linker.state, links.track_id, parents, now, places, np.full(len(rows), cells.time_s), first
    )
    return _with_lost(seen, before, linker.state), followed


def ensemble(followed: Followed, cells: Cells, unit: str, size_unit: str) -> Series:
    """Means and medians over the cells of an image, as ``{name: [value, unit]}``; None where no cell tells.

    Parameters
    ----------
    followed : Followed
    cells : Cells
    unit, size_unit : str
        Of lengths, and of areas or volumes.
    """
    per_minute = 60 * followed.speed
    size = "volume" if cells.places.shape[1] == 3 else "area"
    drift = _norm(followed.drift.by[None])
    return {
        "cells": [len(followed.track_id), ""],
        "mean_speed": [_mean(per_minute), f"{unit}/min"],
        "median_speed": [_median(per_minute), f"{unit}/min"],
        "mean_intensity": [_mean(cells.intensities), ""],
        "median_intensity": [_median(cells.intensities), ""],
        f"mean_{size}": [_mean(cells.sizes), size_unit],
        f"median_{size}": [_median(cells.sizes), size_unit],
        f"msd_{LAG_IMAGES}_images": [_mean(followed.lag_squared), f"{unit}²"],
        "msd_since_first": [_mean(followed.first_squared), f"{unit}²"],
        "cells_since_first": [int(np.isfinite(followed.first_squared).sum()), ""],
        "drift": [float(drift[0]), unit],
    }


def _with_lost(seen: Population, before: Population, links: LinkState) -> Population:
    """``seen`` and the cells that are waited for."""
    waited = np.isin(before.track_id, links.track_id) & ~np.isin(before.track_id, seen.track_id)
    gone = np.full_like(before.recent[waited][:, :1], np.nan)
    recent = np.concatenate([gone, before.recent[waited][:, :-1]], axis=1)
    lost = {field.name: getattr(before, field.name)[waited] for field in fields(Population)[1:]}
    lost["recent"] = recent
    joined = {name: np.concatenate([getattr(seen, name), rows]) for name, rows in lost.items()}
    return Population(links, **joined)


def _rows_of(known: Array, wanted: Array) -> Array:
    """Which row of ``known`` each of ``wanted`` is; -1 where it is none."""
    if not known.size:
        return np.full(wanted.size, -1)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known, wanted, sorter=order), known.size - 1)
    return np.where(known[order[at]] == wanted, order[at], -1)


def _taken(values: Array, rows: Array, missing: float = np.nan) -> Array:
    """``values`` at ``rows``; ``missing`` where a row is -1."""
    taken = np.full((len(rows), *values.shape[1:]), missing, values.dtype)
    taken[rows >= 0] = values[rows[rows >= 0]]
    return taken


def _norm(vectors: Array) -> Array:
    return np.asarray(np.sqrt((vectors**2).sum(axis=-1)))


def _unknown(count: int) -> Array:
    return np.full(count, np.nan)


def _mean(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _median(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None
