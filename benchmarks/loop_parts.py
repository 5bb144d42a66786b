"""The parts of the page about the loop: its period, stacks, the start, a long run."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from long_run import long_run
from loop_cost import compare
from report import Check, check_table, loop_table
from stacks import SLICES, compare_stacks, stack_table
from start_time import start_to_first_image

START_CONFIG = Path(__file__).resolve().parent.parent / "configs" / "single_cell_screening_no_ai.yaml"
# Fewer of the large images: they fill disks.
IMAGES = {512: 150, 2048: 60}

_LOOP = """\
## The period of the loop

All loops drive the same demo camera (10 ms exposure, 16 bit), one image after the other, and store every image on
disk. The period is the time from one image's arrival in Python to the next one's. The loops take turns in one
process; each figure is the least of the rounds. pymmcore-plus alternates between about 10 and 15 ms, so that its
median says little: compare means.
"""


def loop(options: argparse.Namespace) -> str:
    """The period of the loops."""
    tables = [
        f"### {side} x {side}\n\n{loop_table(compare(side, IMAGES.get(side, 100), options.rounds))}"
        for side in options.sizes
    ]
    return "\n\n".join([_LOOP.strip(), *tables])


def stacks(options: argparse.Namespace) -> str:
    """z-stacks with and without bursts."""
    tables = [
        f"### {side} x {side}\n\n{stack_table(compare_stacks(side, options.rounds))}"
        for side in options.sizes
    ]
    return "\n\n".join([f"## Stacks of {SLICES} slices", *tables])


def start(options: argparse.Namespace) -> str:
    """The time to the first image."""
    seconds = start_to_first_image(START_CONFIG, max(3, options.rounds // 2))
    checks = [
        Check("start of the command to the first stored image, median", statistics.median(seconds), 5.0, "s")
    ]
    return f"## Start ({START_CONFIG.name})\n\n{check_table(checks)}"


def long(options: argparse.Namespace) -> str:
    """Memory and speed of a long run."""
    figures = long_run(options.images, 512)
    checks = [
        Check("growth of the memory after image 100", figures["growth_mb"], 50.0, "MB"),
        Check("median period, last 1,000 / first 1,000", figures["last_ms"] / figures["first_ms"], 1.1, "x"),
    ]
    return f"## Long run ({figures['images']:.0f} images of 512 x 512)\n\n{check_table(checks)}"
