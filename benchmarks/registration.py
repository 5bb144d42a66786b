"""How far an image has moved: errors against known answers, refusals, and times, with the peers."""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import tifffile
from interleave import interleave, peer, timing_table  # pins the libraries before they are loaded
from skimage.registration import phase_cross_correlation

from inscoper_mm.analysis.motion import find_motion
from inscoper_mm.analysis.prepared import Prepared
from inscoper_mm.analysis.stack_shift import find_stack_shift
from inscoper_mm.analysis.translation import find_translation
from inscoper_mm.testing.simulated_pairs import (
    Field,
    bound_px,
    drift_pairs,
    fixed_pattern,
    noisy,
    shifted_stacks,
)

PACKAGES = ("pystackreg",)
DRIFT = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "drift"
SNRS = (1e9, 20, 10, 5, 2, 1)
Register = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


def section(options: argparse.Namespace) -> str:
    """The part of the page."""
    contestants = _contestants()
    parts = [
        "## Registration",
        "Shifts of the content of an image, with new content at the borders. Errors are distances in pixels.",
        "### Errors and noise\n\n" + _noise(contestants),
        "### Cells that move on their own, few cells\n\n" + _cells(contestants),
        "### Fields that have nothing in common\n\n" + _unrelated(),
        "### Real images\n\n" + _real(contestants),
        "### The mask of what moves\n\n" + _masks(),
        "### Height from a small stack\n\n" + _stacks(),
        "### Time\n\n" + _times(options.rounds),
    ]
    return "\n\n".join(parts)


def _contestants() -> dict[str, Register]:
    def own(reference: np.ndarray, image: np.ndarray) -> tuple[float, float]:
        found = find_translation(reference, image)
        return found.row_px, found.col_px

    def fast(reference: np.ndarray, image: np.ndarray) -> tuple[float, float]:
        found = find_translation(reference, image, fast=True)
        return found.row_px, found.col_px

    def phase(reference: np.ndarray, image: np.ndarray) -> tuple[float, float]:
        row, col = phase_cross_correlation(reference, image, upsample_factor=100)[0]
        return -float(row), -float(col)

    def opencv(reference: np.ndarray, image: np.ndarray) -> tuple[float, float]:
        (col, row), _ = cv2.phaseCorrelate(reference.astype(np.float32), image.astype(np.float32))
        return row, col

    contestants = {"inscoper_mm": own, "inscoper_mm, fast": fast, "scikit-image, phase, 100 x": phase}
    contestants["OpenCV phaseCorrelate"] = opencv
    stackreg = peer("pystackreg")
    if stackreg is not None:

        def thevenaz(reference: np.ndarray, image: np.ndarray) -> tuple[float, float]:
            matrix = stackreg.StackReg(stackreg.StackReg.TRANSLATION).register(reference, image)
            return float(matrix[1, 2]), float(matrix[0, 2])

        contestants["pystackreg"] = thevenaz
    return contestants


def _distance(found: tuple[float, float], shift: tuple[float, float]) -> float:
    return math.hypot(found[0] - shift[0], found[1] - shift[1])


def _noise(contestants: dict[str, Register]) -> str:
    """The protocol of 110 pairs at each signal-to-noise ratio."""
    text = [
        "110 pairs at each signal-to-noise ratio (ten pictures and simulated cells, shifts from 0.05 to 39 px). Each",
        "cell: median error / Cramer-Rao bound (share of pairs off by more than 1 px); without noise the error itself.",
        "The bound is a root mean square: the median of an estimator that meets it is 0.83 of it.",
        "",
        "| method | no noise | SNR 20 | SNR 10 | SNR 5 | SNR 2 | SNR 1 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    pairs = list(drift_pairs())
    for name, register in contestants.items():
        cells = [_noise_cell(register, pairs, snr) for snr in SNRS]
        text.append(f"| {name} | {' | '.join(cells)} |")
    text.append(f"| bound for inscoper_mm | | {' | '.join(['1.2 (0 %)'] * 3 + ['1.5 (0 %)'] * 2)} |")
    refused = [sum(not trusted for trusted in _trusted(pairs, snr)) for snr in SNRS[1:]]
    text += ["", f"inscoper_mm refused {refused} of 110 pairs at SNR {list(SNRS[1:])}."]
    return "\n".join(text)


def _noise_cell(register: Register, pairs: list, snr: float) -> str:
    random, errors, ratios = np.random.default_rng(1), [], []
    for pair in pairs:
        first, second = noisy(pair.first, snr, random), noisy(pair.second, snr, random, of=pair.first)
        errors.append(_distance(register(first, second), pair.shift_px))
        ratios.append(errors[-1] / bound_px(pair.first, snr))
    value = f"{np.median(errors):.5f} px" if snr > 1e6 else f"{np.median(ratios):.2f}"
    return f"{value} ({np.mean(np.array(errors) > 1):.1%})"


def _trusted(pairs: list, snr: float) -> list[bool]:
    random = np.random.default_rng(1)
    return [
        find_translation(
            noisy(pair.first, snr, random), noisy(pair.second, snr, random, of=pair.first)
        ).trusted
        for pair in pairs
    ]


# (cells, share that moves, by how much, strength of the fixed pattern, gain, signal-to-noise ratio)
CASES = {
    "all alike": (120, 0.0, 0.0, 0.0, 1.0, 10),
    "fixed pattern (fall-off, dust) 0.3": (120, 0.0, 0.0, 0.3, 1.0, 10),
    "30 % of the cells move 6 px": (120, 0.3, 6.0, 0.0, 1.0, 10),
    "60 % of the cells move 6 px": (120, 0.6, 6.0, 0.0, 1.0, 10),
    "pattern, 30 % move, gain 0.8, SNR 2.5": (120, 0.3, 6.0, 0.3, 0.8, 2.5),
    "bleached to 0.6": (120, 0.0, 0.0, 0.0, 0.6, 10),
    "all move 2 px on their own": (120, 1.0, 2.0, 0.0, 1.0, 10),
    "6 cells": (6, 0.0, 0.0, 0.0, 1.0, 10),
    "2 cells": (2, 0.0, 0.0, 0.0, 1.0, 10),
}


def _pair(case: str, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    count, moving, moved_px, strength, gain, snr = CASES[case]
    random = np.random.default_rng([seed, list(CASES).index(case)])
    far_px, turn = math.exp(random.uniform(math.log(0.3), math.log(40))), random.uniform(0, 2 * math.pi)
    shift = far_px * math.sin(turn), far_px * math.cos(turn)
    field = Field([seed, 3], count)
    pattern = fixed_pattern([seed, 7], strength=strength) if strength else 1.0
    first, second = field.draw() * pattern, field.draw(shift, moving, moved_px, gain) * pattern
    return noisy(first, snr, random), noisy(second, snr, random, of=first), shift


def _cells(contestants: dict[str, Register]) -> str:
    text = [
        "Simulated fields of 512 x 512, 20 of each case (2 cells: 200), shifts from 0.3 to 40 px. Median error in px",
        "(share off by more than 1 px). Where inscoper_mm refused, its pair does not count for it.",
        "",
        f"| case | {' | '.join(contestants)} | refused by inscoper_mm |",
        f"|---|{'---:|' * (len(contestants) + 1)}",
    ]
    for case in CASES:
        number = 200 if case == "2 cells" else 20
        pairs = [_pair(case, seed) for seed in range(number)]
        trusted = [find_translation(first, second).trusted for first, second, _ in pairs]
        cells = []
        for name, register in contestants.items():
            counted = [
                pair for pair, good in zip(pairs, trusted, strict=True) if good or name != "inscoper_mm"
            ]
            errors = np.array([_distance(register(first, second), shift) for first, second, shift in counted])
            cells.append(f"{np.median(errors):.4f} ({np.mean(errors > 1):.0%})" if len(errors) else "-")
        text.append(f"| {case} | {' | '.join(cells)} | {number - sum(trusted)} of {number} |")
    return "\n".join(text)


def _unrelated() -> str:
    text = [
        "Pairs of different fields under the same fixed pattern (fall-off and dust, strength 0.3), SNR 2 to 20. A move",
        "that would have been made is wrong.",
        "",
        "| cells in a field | pattern | pairs | wrong moves |",
        "|---|---|---:|---:|",
    ]
    for counts, strength, pairs in (
        ((120, 40, 12), 0.3, 1000),
        ((2,), 0.3, 100),
        ((2,), 0.0, 100),
        ((3,), 0.0, 100),
    ):
        wrong = sum(_moves(counts[seed // 4 % len(counts)], strength, seed) for seed in range(pairs))
        name = ", ".join(str(count) for count in counts)
        text.append(f"| {name} | {'yes' if strength else 'no'} | {pairs} | {wrong} |")
    return "\n".join(text)


def _moves(count: int, strength: float, seed: int) -> bool:
    random = np.random.default_rng([seed, 98])
    pattern = fixed_pattern([seed, 99], strength=strength) if strength else 1.0
    snr = (2, 5, 10, 20)[seed % 4]
    return find_translation(
        *(noisy(Field([seed, part], count).draw() * pattern, snr, random) for part in (1, 2))
    ).trusted


def _real(contestants: dict[str, Register]) -> str:
    if not DRIFT.is_dir():
        return "The real images are not here."
    text = [
        "Largest (median) error in px.",
        "",
        f"| set | {' | '.join(contestants)} |",
        f"|---|{'---:|' * len(contestants)}",
    ]
    for name in ("exact_speckles", "exact_nanog_bf"):
        stack = tifffile.imread(DRIFT / name / "stack.tif")
        with (DRIFT / name / "truth.csv").open(encoding="utf-8") as file:
            shifts = [
                (-float(row["stage_dy_px"]), -float(row["stage_dx_px"])) for row in csv.DictReader(file)
            ]
        cells = []
        for register in contestants.values():
            errors = [
                _distance(register(stack[0], image), shift)
                for image, shift in zip(stack[1:], shifts[1:], strict=True)
            ]
            cells.append(f"{max(errors):.3f} ({np.median(errors):.3f})")
        text.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*text, "", _pc12(contestants)])


def _pc12(contestants: dict[str, Register]) -> str:
    """Cells that rotate: there is no true shift; StackReg's is compared with, and what each leaves."""
    stack = tifffile.imread(DRIFT / "pystackreg_pc12" / "pc12-unreg.tif").astype(np.float64)
    text = [
        "PC12 cells that rotate while they move (each image against the one before): what is left of the difference",
        "after the shift, as a share of the difference before it.",
        "",
        "| method | left | shifts (row, col) |",
        "|---|---:|---|",
    ]
    for name, register in contestants.items():
        shifts = [register(first, second) for first, second in pairwise(stack)]
        left = [
            _left(first, second, shift)
            for first, second, shift in zip(stack, stack[1:], shifts, strict=False)
        ]
        text.append(
            f"| {name} | {np.mean(left):.3f} | {', '.join(f'({r:.2f}, {c:.2f})' for r, c in shifts)} |"
        )
    return "\n".join(text)


def _left(first: np.ndarray, second: np.ndarray, shift: tuple[float, float]) -> float:
    from scipy import ndimage

    back = ndimage.shift(second, (-shift[0], -shift[1]), order=3, mode="nearest")
    inner = np.s_[40:-40, 40:-40]
    return float(np.std((back - first)[inner]) / np.std((second - first)[inner]))


def _masks() -> str:
    text = [
        "Overlap (intersection over union) of `motion_mask` with the cells that moved, 120 cells, median of 8 fields.",
        "",
        "| what | SNR 20 | SNR 5 | SNR 2 |",
        "|---|---:|---:|---:|",
    ]
    for moved_px in (0, 1, 2, 6, 12):
        cells = []
        for snr in (20, 5, 2):
            shares = [_mask(moved_px, snr, seed) for seed in range(8)]
            cells.append(f"{np.median(shares):.2f}" if moved_px else f"{sum(shares):.0f} of 8 not empty")
        what = f"30 % of the cells move {moved_px} px" if moved_px else "drift and bleaching to 0.8 alone"
        text.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(text)


def _mask(moved_px: float, snr: float, seed: int) -> float:
    random = np.random.default_rng([seed, 5])
    field, shift = Field([seed, 3]), tuple(random.uniform(-8, 8, 2))
    moving = 0.3 if moved_px else 0.0
    first, second = (
        noisy(field.draw(), snr, random),
        noisy(field.draw(shift, moving, moved_px, 0.8), snr, random),
    )
    mask = find_motion(first, second, find_translation(first, second)).mask
    if not moved_px:
        return float(mask.any())
    truth = field.moving_cells(shift, moving, moved_px)
    return float((mask & truth).sum() / (mask | truth).sum())


def _stacks() -> str:
    text = [
        "15 slices of 224 x 224, half a depth of field (DOF) apart, by wave optics; 15 pairs each. Median (90 %).",
        "",
        "| slide | photons | height, DOF | across, px | refused |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in ("nuclei", "filaments", "puncta", "one_cell"):
        for photons in (200, 20):
            heights, across, refused = [], [], 0
            for seed in range(15):
                pair = shifted_stacks(seed, photons, name)
                found = find_stack_shift(pair.first, pair.second, pair.heights_um, pair.heights_um)
                if found.z_um is None or found.translation is None or not found.trusted:
                    refused += 1
                    continue
                heights.append(abs(found.z_um - pair.z_um) / pair.depth_of_field_um)
                place = found.translation.row_px, found.translation.col_px
                across.append(_distance(place, pair.shift_px))
            row = (f"{np.median(each):.4f} ({np.quantile(each, 0.9):.4f})" for each in (heights, across))
            text.append(f"| {name} | {photons} | {' | '.join(row)} | {refused} of 15 |")
    return "\n".join(text)


def _times(rounds: int) -> str:
    text = ["One thread, uint16 images of cells. Errors of these pairs are below each table."]
    for side in (512, 2048):
        for moving in (0.0, 0.3):
            first, second, shift = _large(side, moving)
            kept, kept_fast = Prepared(first), Prepared(first)
            find_translation(kept, second)
            find_translation(kept_fast, second, fast=True)
            contestants = {name: _call(register, first, second) for name, register in _contestants().items()}
            contestants["inscoper_mm, reference kept"] = _kept(kept, second, False)
            contestants["inscoper_mm, fast, reference kept"] = _kept(kept_fast, second, True)
            timings = interleave(contestants, rounds)
            errors = [
                f"{name} {_distance(register(first, second), shift):.4f}"
                for name, register in _contestants().items()
            ]
            text += [
                f"#### {side} x {side}, {'30 % of the cells move' if moving else 'all cells move alike'}",
                timing_table(timings, base="scikit-image, phase, 100 x"),
                f"Errors in px: {', '.join(errors)}.",
            ]
    return "\n\n".join(text)


def _call(register: Register, first: np.ndarray, second: np.ndarray) -> Callable[[], object]:
    return lambda: register(first, second)


def _kept(reference: Prepared, second: np.ndarray, fast: bool) -> Callable[[], object]:
    return lambda: find_translation(reference, second, fast=fast)


def _large(side: int, moving: float) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    field, random, shift = Field(1, 120 * side**2 // 512**2, side), np.random.default_rng(0), (7.3, -12.6)
    lights = (field.draw(), field.draw(shift, moving, 6.0))
    first, second = (
        (1000 * light + 100 + 30 * random.standard_normal(light.shape)).astype(np.uint16) for light in lights
    )
    return first, second, shift
