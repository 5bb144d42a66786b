"""Linkers to compare: each gets the places of all frames and gives edges between sights, (frame, row) both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from interleave import peer
from scipy.spatial import cKDTree

from inscoper_mm.analysis.linking import Linker, LinkSettings
from inscoper_mm.testing.simulated_tracks import Edges, Film, found_edges

Array = npt.NDArray[Any]

# The same for all: how far a cell may be from where it is expected, and for how many frames it is waited for.
GATE_PX = 16.0
MEMORY = 3


@dataclass(frozen=True)
class Linked:
    """The edges, and the processor's time for each frame; a linker that needs all frames at once tells their mean."""

    edges: Edges
    frame_ms: tuple[float, ...]

    @property
    def mean_ms(self) -> float:
        """Per frame."""
        return float(np.mean(self.frame_ms))


Link = Callable[[Film], Linked]


def ours(film: Film, areas: bool = True, drift: bool = True) -> Linked:
    """This project's, online."""
    linker = Linker(LinkSettings(GATE_PX, MEMORY, drift=drift))
    ids, parents, spent = [], {}, []
    for number, frame in enumerate(film.frames):
        start = time.process_time()
        links = linker.link(frame.positions_px, float(number), areas=frame.areas_px if areas else None)
        spent.append(1e3 * (time.process_time() - start))
        ids.append(links.track_id)
        born = links.parent_id > 0
        parents |= dict(zip(links.track_id[born].tolist(), links.parent_id[born].tolist(), strict=True))
    return Linked(found_edges(ids, parents), tuple(spent))


def laptrack(film: Film, splitting: bool = False) -> Linked:
    """LapTrack: assignments of least cost, then gaps and, if wished, divisions, over the whole film."""
    lap = _needed("laptrack").LapTrack(
        cutoff=GATE_PX**2,
        gap_closing_cutoff=GATE_PX**2,
        gap_closing_max_frame_count=MEMORY,
        splitting_cutoff=GATE_PX**2 if splitting else False,
    )
    start = time.process_time()
    tree = lap.predict([frame.positions_px for frame in film.frames])
    spent = 1e3 * (time.process_time() - start) / len(film.frames)
    edges = {tuple(sorted(((int(a[0]), int(a[1])), (int(b[0]), int(b[1]))))) for a, b in tree.edges()}
    return Linked(edges, (spent,) * len(film.frames))


def trackpy(film: Film) -> Linked:
    """trackpy's online linker, which makes the search smaller where cells are too crowded for it."""
    module = _needed("trackpy")
    module.quiet()
    places = (frame.positions_px for frame in film.frames)
    found = module.link_iter(places, GATE_PX, memory=MEMORY, adaptive_stop=2.0, adaptive_step=0.9)
    ids, spent = [], []
    for _ in film.frames:
        start = time.process_time()
        _, tracks = next(found)
        spent.append(1e3 * (time.process_time() - start))
        ids.append(np.asarray(tracks) + 1)
    return Linked(found_edges(ids, {}), tuple(spent))


def nearest(film: Film) -> Linked:
    """Pairs of cells of two frames, the nearest first, each cell once; no gaps."""
    edges: Edges = set()
    spent = [0.0]
    for number in range(1, len(film.frames)):
        before, after = (film.frames[at].positions_px for at in (number - 1, number))
        start = time.process_time()
        pairs = cKDTree(before).sparse_distance_matrix(cKDTree(after), GATE_PX, output_type="ndarray")
        left: set[int] = set()
        right: set[int] = set()
        for row in np.argsort(pairs["v"]):
            one, other = int(pairs["i"][row]), int(pairs["j"][row])
            if one not in left and other not in right:
                left.add(one)
                right.add(other)
                edges.add(((number - 1, one), (number, other)))
        spent.append(1e3 * (time.process_time() - start))
    return Linked(edges, tuple(spent))


def without_drift(film: Film) -> Film:
    """The film with the drift that this project's linker finds taken out of its places: what a helped peer sees."""
    linker = Linker(LinkSettings(GATE_PX, MEMORY))
    drifts = [
        linker.link(frame.positions_px, float(number)).total_drift for number, frame in enumerate(film.frames)
    ]
    frames = [
        replace(frame, positions_px=frame.positions_px - drift)
        for frame, drift in zip(film.frames, drifts, strict=True)
    ]
    return replace(film, frames=frames)


def _needed(name: str) -> Any:
    module = peer(name)
    if module is None:
        raise ModuleNotFoundError(name)
    return module
