"""Linking: how well, how fast, and how far particles get, against laptrack and trackpy on the same places."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from interleave import one_thread, peer
from tracking_peers import GATE_PX, MEMORY, Link, laptrack, nearest, ours, trackpy, without_drift

from inscoper_mm.analysis.linking import Linker, LinkSettings
from inscoper_mm.analysis.msd import Diffusion, diffusion_coefficient, mean_squared_displacement
from inscoper_mm.testing.simulated_tracks import (
    SCENARIOS,
    Film,
    division_recall,
    gap_recall,
    link_score,
    simulate,
    true_edges,
)

PACKAGES = ("laptrack", "trackpy")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tracking" / "trackpy_bulk_water"
# Cells: frames, films.
SIZES = {100: (20, 4), 1000: (20, 1), 5000: (8, 1)}
# So often that short films have some.
JUMP_CHANCE = 0.2
UM, STEP_S, SHORTEST = 1 / 2.85, 1 / 24, 5


@dataclass(frozen=True)
class Row:
    """A linker: its name, the package that it needs, and whether drift is taken out for it first."""

    name: str
    link: Link
    package: str = ""
    helped: bool = False


ROWS = (
    Row("inscoper_mm", ours),
    Row("inscoper_mm, places alone", lambda film: ours(film, areas=False)),
    Row("laptrack", laptrack, "laptrack"),
    Row("laptrack, with divisions", lambda film: laptrack(film, True), "laptrack"),
    Row("trackpy, adaptive", trackpy, "trackpy"),
    Row("greedy nearest neighbour", nearest),
    Row("laptrack, drift taken out for it", laptrack, "laptrack", helped=True),
    Row("trackpy, drift taken out for it", trackpy, "trackpy", helped=True),
)


def section(options: argparse.Namespace) -> str:
    """The tables of the page."""
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = simulate(replace(SCENARIOS["easy"], cells=50, frames=4))
        for row in ROWS:  # what is loaded or compiled first is no part of linking
            if _there(row):
                row.link(small)
        parts = ["## Tracking", _introduction()]
        parts += [_table(name, cells) for cells in SIZES for name in SCENARIOS]
        return "\n\n".join([*parts, _memory(), _bulk_water()])


def _introduction() -> str:
    return (
        "Simulated cells that walk, push each other, divide, die and are missed (`inscoper_mm.testing."
        "simulated_tracks`), at known places: linking alone. LNK is the share of the true edges' price that is saved "
        "(1 is all right): a missing edge costs 1.5, a wrong one 1. Gaps and divisions: the share of such edges that "
        f"was found. All search {GATE_PX:g} px far and wait {MEMORY} frames; milliseconds are the processor's. "
        "inscoper_mm and trackpy link frame by frame, laptrack needs the whole film."
    )


def _there(row: Row) -> bool:
    return not row.package or peer(row.package) is not None


def _table(name: str, cells: int) -> str:
    frames, seeds = SIZES[cells]
    walk = replace(SCENARIOS[name], cells=cells, frames=frames, jump_chance=JUMP_CHANCE)
    films = [simulate(walk, seed) for seed in range(1, seeds + 1)]
    drifts = [np.diff([frame.drift_px for frame in film.frames], axis=0) for film in films]
    far = int((np.linalg.norm(np.concatenate(drifts), axis=1) > walk.spacing_px).sum())
    jumps = f", {far} jumps of more than the cells' spacing" if walk.jump_px else ""
    lines = [
        f"### {cells} cells, {name}: {seeds} x {frames} frames{jumps}",
        "",
        "| linker | LNK | gaps | divisions | ms a frame | slowest |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in ROWS:
        if row.helped and not SCENARIOS[name].drift_px:
            continue
        if not _there(row):
            lines.append(f"| {row.name} | not installed: `pip install {row.package}` | | | | |")
        else:
            lines.append(_line(row, films))
    return "\n".join(lines)


def _line(row: Row, films: list[Film]) -> str:
    scores, times = [], []
    for film in films:
        true = true_edges(film, MEMORY)
        linked = row.link(without_drift(film) if row.helped else film)
        scores.append(
            (
                link_score(true, linked.edges),
                gap_recall(true, linked.edges),
                division_recall(film, true, linked.edges),
            )
        )
        times += linked.frame_ms
    lnk, gaps, divisions = np.mean(scores, axis=0)
    return f"| {row.name} | {lnk:.4f} | {gaps:.2f} | {divisions:.2f} | {np.mean(times):.1f} | {np.max(times):.0f} |"


def _memory() -> str:
    rng = np.random.default_rng(0)
    linker = Linker(LinkSettings(GATE_PX))
    sizes = {}
    for number in range(1, 2001):
        linker.link(rng.uniform(0, 240, (100, 2)), float(number))
        if number in (20, 2000) and linker.state is not None:
            sizes[number] = sum(array.nbytes for array in linker.state.to_arrays().values()) / 1024
            tracks = linker.state.next_id - 1
    return (
        f"What the linker keeps of 100 places a frame: {sizes[20]:.0f} KiB after 20 frames, {sizes[2000]:.0f} KiB "
        f"after 2000 frames and {tracks} tracks."
    )


def _bulk_water() -> str:
    files = sorted(DATA.glob("bulk_water_*.png"))
    module = peer("trackpy")
    if not files or module is None:
        return "Spheres in water: the data or trackpy were not there."
    import pandas

    images = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[..., 0] for file in files]
    found = [module.locate(image, 11, invert=True, minmass=200) for image in images]
    features = pandas.concat(each.assign(frame=number) for number, each in enumerate(found))
    lines = [
        f"Spheres of 1 µm in water ({len(files)} frames of trackpy's examples; places by trackpy.locate for both); "
        "0.43 µm²/s in theory.",
        "",
        "| search | trackpy links, trackpy.emsd | inscoper_mm |",
        "|---|---:|---:|",
    ]
    for gate in (5.0, 8.0):
        theirs = module.filter_stubs(module.link(features, gate, memory=MEMORY), SHORTEST)
        theirs = module.subtract_drift(theirs, module.compute_drift(theirs))
        emsd = module.emsd(theirs, UM, 1 / STEP_S, max_lagtime=5)
        told = _diffusion([each[["x", "y"]].to_numpy() for each in found], gate)
        lines.append(
            f"| {gate:g} px | {np.polyfit(emsd.index, emsd, 1)[0] / 4:.3f} µm²/s "
            f"| {told.coefficient:.3f} ± {told.error:.3f} µm²/s |"
        )
    return "\n".join(lines)


def _diffusion(film: list[np.ndarray], gate: float) -> Diffusion:
    linker = Linker(LinkSettings(gate, MEMORY, divisions=False))
    links = [linker.link(places, number * STEP_S) for number, places in enumerate(film)]
    tracks = np.concatenate([each.track_id for each in links])
    frames = np.repeat(np.arange(len(film)), [len(places) for places in film])
    places = np.vstack([places - each.total_drift for places, each in zip(film, links, strict=True)])
    long = np.bincount(tracks)[tracks] >= SHORTEST
    return diffusion_coefficient(
        mean_squared_displacement(tracks[long], frames[long], UM * places[long], STEP_S)
    )
