"""The focus: errors on computed stacks with known answers, searches, real stacks, and the time of a slice."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from interleave import interleave, timing_table

from inscoper_mm.analysis.focus import METRICS, FocusStack, find_focus, focus_score, focus_scores
from inscoper_mm.analysis.focus_look import Seen, look
from inscoper_mm.analysis.focus_search import FocusSearch
from inscoper_mm.testing.simulated_stacks import FLUORESCENT, Optics, Slide, Viewer

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "focus"
DEPTH_UM = Optics().depth_of_field_um
Z_UM = (np.arange(21) - 10) * 0.5 * DEPTH_UM
LIGHT, DIM = (1000, 100, 20), (10, 4, 2)
EACH = 4
Image = npt.NDArray[np.generic]
Score = Callable[[Image], float]
Find = Callable[[Sequence[Image]], float | None]


def section(options: argparse.Namespace) -> str:
    """The tables of the page."""
    parts = ["## Focus", simulated(), phase(), searches(), real(), *times(options.rounds)]
    return "\n\n".join(parts)


# -- peers: measures as they are usually written, the best slice and a parabola through it and its neighbours


def _float(image: Image) -> npt.NDArray[np.float32]:
    return image.astype(np.float32)


def _brenner(image: Image) -> float:
    a = _float(image)
    return float(((a[:, 2:] - a[:, :-2]) ** 2).mean())


def _tenengrad(image: Image) -> float:
    a = _float(image)
    return float((cv2.Sobel(a, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(a, cv2.CV_32F, 0, 1) ** 2).mean())


def _smoothed(image: Image) -> float:
    return _tenengrad(cv2.GaussianBlur(_float(image), (0, 0), 1.5))


def _laplacian(image: Image) -> float:
    return float(cv2.Laplacian(_float(image), cv2.CV_32F).var())


def _vollath_f4(image: Image) -> float:
    a = _float(image) - np.float32(image.mean())
    return float((a[:, :-1] * a[:, 1:]).mean() - (a[:, :-2] * a[:, 2:]).mean())


def _variance(image: Image) -> float:
    a = _float(image)
    return float(a.var() / a.mean())


def _dcts(image: Image) -> float:
    """Royer 2016, with the support that Nyquist-sampled pixels have."""
    spectrum = cv2.dct(_float(image))
    rows, cols = image.shape
    inside = np.arange(rows)[:, None] / rows + np.arange(cols)[None, :] / cols < 0.5
    share = np.abs(spectrum[inside]) / np.sqrt((spectrum.astype(np.float64) ** 2).sum())
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum() / inside.sum())


PEERS: Mapping[str, Score] = {
    "DCT entropy (numpy, cv2)": _dcts,
    "Tenengrad after Gauss 1.5 (cv2)": _smoothed,
    "Tenengrad (cv2)": _tenengrad,
    "Brenner (numpy)": _brenner,
    "Vollath F4 (numpy)": _vollath_f4,
    "normalised variance (numpy)": _variance,
    "variance of the Laplacian (cv2)": _laplacian,
}


def _peer(score: Score) -> Find:
    def find(images: Sequence[Image]) -> float | None:
        scores = np.array([score(image) for image in images])
        peak = int(np.argmax(scores))
        if peak in (0, len(scores) - 1):
            return None
        before, top, after = scores[peak - 1 : peak + 2]
        bend = before - 2 * top + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
        return float(Z_UM[peak] + shift * (Z_UM[1] - Z_UM[0]))

    return find


# -- errors


@dataclass(frozen=True)
class Case:
    """A stack and its answer."""

    scene: str
    photons: int
    focus_um: float
    images: tuple[Image, ...]


def _cases(scenes: Sequence[str], photons: Sequence[int], each: int) -> Iterator[Case]:
    for scene in scenes:
        for light in photons:
            for number in range(each):
                focus_um = float(np.random.default_rng([number, 5]).uniform(-2, 2)) * DEPTH_UM
                slide = Slide(scene, 100 + number, light, focus_um)
                yield Case(scene, light, focus_um, tuple(slide.take(Z_UM)))


@cache
def _fluorescent() -> tuple[Case, ...]:
    return tuple(_cases(tuple(FLUORESCENT), LIGHT + DIM, EACH))


def _errors(find: Find, cases: Sequence[Case]) -> npt.NDArray[np.float64]:
    """Distances from the true focus in depths of field; infinite where none was given."""
    found = [(find(case.images), case.focus_um) for case in cases]
    return np.array([np.inf if z is None else abs(z - true) / DEPTH_UM for z, true in found])


def simulated() -> str:
    """Errors of ours and of the peers, light and dim."""
    finders: dict[str, Find] = {
        "**inscoper_mm, tenengrad**": lambda images: find_focus(images, Z_UM).best_z_um,
        **{
            f"inscoper_mm, {metric}": (lambda images, m=metric: find_focus(images, Z_UM, m).best_z_um)
            for metric in METRICS
            if metric != "tenengrad"
        },
        **{name: _peer(score) for name, score in PEERS.items()},
    }
    lines = [
        "### Stacks with known focus",
        "",
        f"Wave optics of a circular pupil (0.75 NA, 520 nm, 0.16 um pixels, depth of field {DEPTH_UM:.3f} um), 256 x "
        "256 pixels, 21 slices half a depth of field apart; nuclei, filaments, puncta, one cell, "
        f"{EACH} stacks of each; focus anywhere within two depths of the middle; 1 % bleached with each slice; shot "
        "noise, 2 electrons of read noise. Photons are those of the brightest pixel in focus. Errors in depths of "
        "field; light is 1000, 100 and 20 photons, dim is 10, 4 and 2.",
        "",
        "| | light: median | largest | dim: within 1 | wrong by more than 1 | refused |",
        "|---|---|---|---|---|---|",
    ]
    cases = _fluorescent()
    light = np.array([case.photons in LIGHT for case in cases])
    for name, find in finders.items():
        errors = _errors(find, cases)
        clear, dim = errors[light], errors[~light]
        given = np.isfinite(dim)
        lines.append(
            f"| {name} | {np.median(clear):.4f} | {_number(clear.max())} | {np.mean(dim <= 1):.1%} | "
            f"{np.mean(given & (dim > 1)):.1%} | {np.mean(~given):.1%} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "refused"


def phase() -> str:
    """Errors on transparent objects."""
    cases = tuple(_cases(("brightfield",), LIGHT, EACH))
    rows: dict[str, Find] = {
        "**inscoper_mm, `objects: phase`**": lambda images: (
            find_focus(images, Z_UM, objects="phase").best_z_um
        ),
        **{name: _peer(score) for name, score in PEERS.items()},
    }
    lines = [
        "### Transparent objects in brightfield",
        "",
        "The same optics, a thin object of phase and little absorption, light from nine directions, "
        f"{len(cases)} stacks.",
        "",
        "| | median | largest |",
        "|---|---|---|",
    ]
    for name, find in rows.items():
        errors = _errors(find, cases)
        lines.append(f"| {name} | {_number(float(np.median(errors)))} | {_number(float(errors.max()))} |")
    return "\n".join(lines)


def searches() -> str:
    """Exposures and errors of searches from far away."""
    lines = [
        "### Searches",
        "",
        "`FocusSearch` on the same scenes, started 9.5 to 10.5 depths of field above or below the focus, limits 20 "
        "depths to both sides of the start.",
        "",
        "| photons | searches | median exposures | most | median error | within 0.1 | largest | refused |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for photons in (*LIGHT, 10):
        runs = [
            _search(scene, photons, seed, away)
            for scene in FLUORESCENT
            for seed in range(EACH)
            for away in (-10, 10)
        ]
        errors, exposures = (np.array(column) for column in zip(*runs, strict=True))
        given = np.isfinite(errors)
        lines.append(
            f"| {photons} | {len(runs)} | {np.median(exposures):g} | {exposures.max()} | "
            f"{np.median(errors[given]):.3f} | {np.mean(errors <= 0.1):.0%} | {errors[given].max():.2f} | "
            f"{np.mean(~given):.0%} |"
        )
    return "\n".join(lines)


def _search(scene: str, photons: int, seed: int, away: float) -> tuple[float, int]:
    viewer = Viewer(Slide(scene, seed, photons))
    start_um = (away + float(np.random.default_rng(seed).uniform(-0.5, 0.5))) * DEPTH_UM
    reach_um = 20 * DEPTH_UM
    search = FocusSearch(start_um, DEPTH_UM, (start_um - reach_um, start_um + reach_um))
    seen: list[Seen] = []
    while (advice := search.advise(seen)).next_z_um is not None:
        seen.append(look(viewer.take(advice.next_z_um), advice.next_z_um))
    return (np.inf if advice.best_z_um is None else abs(advice.best_z_um) / DEPTH_UM), len(seen)


def real() -> str:
    """What is found in real stacks."""
    lines = [
        "### Real stacks",
        "",
        "Mitochondria: 34 slices 0.05 um apart, the authors' focus at 0. Beads: 41 slices, plausible are 22 to 26.",
        "",
        "| | mitochondria, um | beads, slice |",
        "|---|---|---|",
    ]
    files = (DATA / "dfnn_mitochondria" / "stack.tif", DATA / "beads" / "Bead_Image1_crop.tif")
    if not all(file.is_file() for file in files):
        return "\n".join([*lines[:2], "Not measured: the folder of real data is not beside the checkout."])
    mitochondria, beads = (tifffile.imread(file) for file in files)
    heights = (51 - np.arange(32, 32 + len(mitochondria))) * 0.05
    for metric in METRICS:
        found = (
            find_focus(list(mitochondria), heights, metric).best_z_um,
            find_focus(list(beads), np.arange(len(beads)), metric).best_z_um,
        )
        text = [
            "refused" if z is None else f"{z:.{digits}f}" for z, digits in zip(found, (3, 2), strict=True)
        ]
        lines.append(f"| inscoper_mm, {metric} | {text[0]} | {text[1]} |")
    return "\n".join(lines)


# -- times


def times(rounds: int) -> Iterator[str]:
    """Time of a slice."""
    for size in (512, 2048):
        image = np.random.default_rng(0).poisson(200, (size, size)).astype(np.uint16)
        timings = interleave(_contestants(image), rounds)
        yield f"### Time of a slice, {size} x {size}\n\n" + timing_table(timings, "Brenner (numpy)")


def _contestants(image: Image) -> dict[str, Callable[[], object]]:
    sharp, transparent = FocusStack(), FocusStack(objects="phase")
    heights = iter(np.arange(1_000_000.0))
    return {
        "inscoper_mm, FocusStack.add, tenengrad": lambda: sharp.add(image, next(heights)),
        "inscoper_mm, FocusStack.add, phase objects": lambda: transparent.add(image, next(heights)),
        "inscoper_mm, focus_score, brenner": lambda: focus_score(image, "brenner"),
        "inscoper_mm, focus_score, dcts": lambda: focus_score(image, "dcts"),
        f"inscoper_mm, focus_scores, all {len(METRICS)}": lambda: focus_scores(image),
        "inscoper_mm, look (search)": lambda: look(image, 0.0),
        **{name: (lambda score=score: score(image)) for name, score in PEERS.items()},
    }
