"""Cells that walk, divide, die, are missed and drift, with their true tracks; and how well links match them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Edges = set[tuple[tuple[int, int], tuple[int, int]]]


@dataclass(frozen=True)
class Walk:
    """What the simulated cells do; lengths in pixels, a step from frame to frame.

    ``persistence`` is how much of a step is that of the frame before; ``misses`` and ``false`` are shares of the cells.
    """

    cells: int = 1000
    frames: int = 30
    step_px: float = 6.0
    persistence: float = 0.8
    misses: float = 0.03
    false: float = 0.01
    drift_px: float = 0.0
    jump_px: float = 0.0
    jump_chance: float = 0.1
    spacing_px: float = 24.0
    divisions: float = 0.004
    deaths: float = 0.002
    noise_px: float = 0.5
    dimensions: int = 2


SCENARIOS = {
    "easy": Walk(step_px=3, misses=0.01, false=0.0),
    "crowded": Walk(),
    "brownian": Walk(step_px=5, persistence=0.0, misses=0.01, false=0.0),
    "drift": Walk(step_px=4, drift_px=4, jump_px=30, misses=0.01, false=0.0),
}


@dataclass
class Frame:
    """What is seen in a frame: places (N, D), areas (N,), and which cell each is (0: none)."""

    positions_px: Array
    areas_px: Array
    cells: Array
    drift_px: Array


@dataclass
class Film:
    """The frames, and the mother of each cell that has one."""

    frames: list[Frame] = field(default_factory=list)
    parents: dict[int, int] = field(default_factory=dict)


def simulate(walk: Walk, seed: int = 0) -> Film:
    """Frames of walking cells, the same for the same seed."""
    rng = np.random.default_rng(seed)
    side = walk.spacing_px * walk.cells ** (1 / walk.dimensions)
    places = _apart(rng.uniform(0, side, (walk.cells, walk.dimensions)), walk.spacing_px, rounds=30)
    scale = walk.step_px / np.sqrt(walk.dimensions)
    steps = rng.normal(0, scale, places.shape)
    names, sizes = np.arange(1, walk.cells + 1), rng.lognormal(np.log(150), 0.15, walk.cells)
    film, drift, next_name = Film(), np.zeros(walk.dimensions), walk.cells + 1
    direction = np.eye(walk.dimensions)[0] * 0.8 + np.eye(walk.dimensions)[1] * 0.6
    for number in range(walk.frames):
        if number:
            fresh = rng.normal(0, scale, places.shape)
            steps = walk.persistence * steps + np.sqrt(1 - walk.persistence**2) * fresh
            places = _apart(places + steps, walk.spacing_px)
            drift = drift + walk.drift_px * direction
            if walk.jump_px and rng.random() < walk.jump_chance:
                away = rng.normal(size=walk.dimensions)
                drift = drift + walk.jump_px * away / np.linalg.norm(away)
            alive = rng.random(len(names)) >= walk.deaths
            places, steps, names, sizes = places[alive], steps[alive], names[alive], sizes[alive]
            for mother in np.flatnonzero(rng.random(len(names)) < walk.divisions)[::-1]:
                apart = rng.normal(size=walk.dimensions)
                apart *= 0.3 * walk.spacing_px / np.linalg.norm(apart)
                film.parents |= dict.fromkeys((next_name, next_name + 1), int(names[mother]))
                share = rng.uniform(0.42, 0.58)
                pair = np.array([places[mother] + apart, places[mother] - apart])
                places = np.vstack([np.delete(places, mother, 0), pair])
                steps = np.vstack([np.delete(steps, mother, 0), rng.normal(0, scale, pair.shape)])
                sizes = np.append(np.delete(sizes, mother), sizes[mother] * np.array([share, 1 - share]))
                names = np.append(np.delete(names, mother), [next_name, next_name + 1])
                next_name += 2
            sizes = sizes * 1.01
        film.frames.append(_seen(rng, walk, places, names, sizes, drift, side))
    return film


def _seen(
    rng: np.random.Generator,
    walk: Walk,
    places: Array,
    names: Array,
    sizes: Array,
    drift: Array,
    side: float,
) -> Frame:
    kept = rng.random(len(names)) >= walk.misses
    count = rng.poisson(walk.false * len(names))
    false = rng.uniform(0, side, (count, walk.dimensions))
    positions = np.vstack([places[kept] + rng.normal(0, walk.noise_px, places[kept].shape), false]) + drift
    areas = np.append(sizes[kept] * rng.lognormal(0, 0.05, kept.sum()), rng.uniform(50, 200, count))
    order = rng.permutation(len(positions))
    cells = np.append(names[kept], np.zeros(count, int))
    return Frame(positions[order], areas[order], cells[order], drift.copy())


def _apart(places: Array, spacing: float, rounds: int = 1) -> Array:
    """Cells that are nearer than half the spacing push each other away."""
    from scipy.spatial import cKDTree

    least = 0.6 * spacing
    for _ in range(rounds):
        pairs = cKDTree(places).query_pairs(least, output_type="ndarray")
        away = places[pairs[:, 0]] - places[pairs[:, 1]]
        length = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
        push = away / length * (least - length) * 0.25
        moved = np.zeros_like(places)
        np.add.at(moved, pairs[:, 0], push)
        np.add.at(moved, pairs[:, 1], -push)
        places = places + moved
    return places


def true_edges(film: Film, memory: int = 3) -> Edges:
    """From each cell's sight to its next one, at most ``memory`` frames missed, and to its daughters' first ones."""
    last: dict[int, tuple[int, int]] = {}
    edges: Edges = set()
    for number, frame in enumerate(film.frames):
        for row, cell in enumerate(frame.cells.tolist()):
            if cell:
                before = last.get(cell) or last.get(film.parents.get(cell, 0))
                if before is not None and number - before[0] <= memory + 1:
                    edges.add((before, (number, row)))
                last[cell] = (number, row)
    return edges


def found_edges(track_ids: list[Array], parents: dict[int, int]) -> Edges:
    """The same of tracks: the track of each row of each frame, and the mother of each track that has one."""
    last: dict[int, tuple[int, int]] = {}
    edges: Edges = set()
    for number, ids in enumerate(track_ids):
        now: dict[int, tuple[int, int]] = {}
        for row, track in enumerate(ids.tolist()):
            before = last.get(track) or last.get(parents.get(track, 0))
            if before is not None:
                edges.add((before, (number, row)))
            now[track] = (number, row)
        last |= now
    return edges


def link_score(true: Edges, found: Edges) -> float:
    """How good the edges are: 1 all right, 0 as good as none.

    The edges' part of the Cell Tracking Challenge's AOGM (DOI 10.1371/journal.pone.0144959): a missing edge costs 1.5,
    a wrong one 1, against all edges missing.
    """
    cost = 1.5 * len(true - found) + len(found - true)
    return 1 - min(cost, 1.5 * len(true)) / (1.5 * len(true)) if true else 1.0


def gap_recall(true: Edges, found: Edges) -> float:
    """The share of the true edges over missed sights that was found."""
    gaps = {edge for edge in true if edge[1][0] - edge[0][0] > 1}
    return len(gaps & found) / len(gaps) if gaps else 1.0


def division_recall(film: Film, true: Edges, found: Edges) -> float:
    """The share of the edges from mothers to daughters that was found."""

    def cell(place: tuple[int, int]) -> int:
        return int(film.frames[place[0]].cells[place[1]])

    births = {edge for edge in true if cell(edge[0]) != cell(edge[1])}
    return len(births & found) / len(births) if births else 1.0
