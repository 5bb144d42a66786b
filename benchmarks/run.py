"""Runs the benchmarks; without a part's name all of them, and writes ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from long_run import long_run
from loop_cost import compare
from report import Check, check_table, loop_table, machine
from stacks import SLICES, compare_stacks, stack_table
from start_time import start_to_first_image

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
START_CONFIG = ROOT / "configs" / "single_cell_screening_no_ai.yaml"
# Fewer of the large images: they fill disks.
IMAGES = {512: 150, 2048: 60}

_INTRODUCTION = """\
# What the loop costs

Made by `make bench`; how is told in `benchmarks/README.md`. All loops drive the same demo camera (10 ms
exposure, 16 bit), one image after the other, and store every image on disk. The period is the time from one
image's arrival in Python to the next one's. The loops take turns in one process; each figure is the least of
the rounds. pymmcore-plus alternates between about 10 and 15 ms, so that its median says little: compare means.
"""


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "part",
        nargs="?",
        choices=("loop", "stacks", "start", "long"),
        help="left out: all, and write the page",
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(IMAGES), metavar="PX")
    parser.add_argument("--images", type=int, default=5000, help="of the long run")
    options = parser.parse_args()
    parts = {"loop": loop, "stacks": stacks, "start": start, "long": long}
    chosen = [options.part] if options.part else list(parts)
    sections = []
    for name in chosen:
        sections.append(parts[name](options))
        print(sections[-1], end="\n\n", flush=True)
    if not options.part:
        PAGE.write_text(
            "\n\n".join([_INTRODUCTION, f"Measured: {machine()}", *sections]) + "\n", encoding="utf-8"
        )
        print(f"Written: {PAGE}")


def loop(options: argparse.Namespace) -> str:
    """The period of the loops."""
    tables = [
        f"## {side} x {side}\n\n{loop_table(compare(side, IMAGES.get(side, 100), options.rounds))}"
        for side in options.sizes
    ]
    return "\n\n".join(tables)


def stacks(options: argparse.Namespace) -> str:
    """z-stacks with and without bursts."""
    tables = [
        f"## Stacks of {SLICES} slices, {side} x {side}\n\n{stack_table(compare_stacks(side, options.rounds))}"
        for side in options.sizes
    ]
    return "\n\n".join(tables)


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


if __name__ == "__main__":
    main()
