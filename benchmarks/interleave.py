"""Compares functions by their time: in turns, in one process, on one thread."""

from __future__ import annotations

import gc
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

# Read when a library is loaded: importing this module before the peers pins those that have no call for it.
_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
# Processor time over wall time: a single thread gives at most 1; the rest is the clocks' grain.
_MOST_CORES = 1.3
_GRAIN_MS = 5.0

os.environ.update(_VARIABLES)


@dataclass(frozen=True)
class Timing:
    """How long a contestant took.

    Attributes
    ----------
    min_ms, median_ms : float
        Over the rounds, without the warm-up.
    """

    min_ms: float
    median_ms: float


def interleave(contestants: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, Timing]:
    """Time ``contestants``: one warm-up round, then ``rounds`` rounds in each of which everyone runs once.

    A busy machine is then busy for all of them; compare the least times. The order turns from round to round.

    Parameters
    ----------
    contestants : mapping of name -> function without arguments
    rounds : int

    Returns
    -------
    dict of name -> Timing
        In the contestants' order.

    Raises
    ------
    RuntimeError
        A contestant used more than one thread.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; at least 1 is needed.")
    names = list(contestants)
    walls: dict[str, list[float]] = {name: [] for name in names}
    cores: dict[str, list[float]] = {name: [] for name in names}
    with one_thread():
        for name in names:
            contestants[name]()
        pin()  # what the warm-up has loaded
        for number in range(rounds):
            turn = number % max(1, len(names))
            for name in names[turn:] + names[:turn]:
                wall_ms, used = _timed(contestants[name])
                walls[name].append(wall_ms)
                cores[name].append(used)
    for name in names:
        if min(walls[name]) > _GRAIN_MS and statistics.median(cores[name]) > _MOST_CORES:
            raise RuntimeError(
                f"{name} kept {statistics.median(cores[name]):.1f} cores busy; the comparison is of one thread."
            )
    return {name: Timing(min(row), statistics.median(row)) for name, row in walls.items()}


def _timed(function: Callable[[], object]) -> tuple[float, float]:
    """Wall milliseconds and the mean number of busy cores of one call."""
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        busy, start = time.process_time(), time.perf_counter()
        result = function()
        wall, busy = time.perf_counter() - start, time.process_time() - busy
    finally:
        if collecting:
            gc.enable()
    del result  # not within the time: a contestant that returns much would pay for it
    return wall * 1e3, busy / wall if wall > 0 else 0.0


def least_cpu_ms(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least processor time of each over many rounds, in turns: what a busy machine changes least."""
    least = dict.fromkeys(contestants, float("inf"))
    with one_thread():
        for number in range(rounds + 1):
            for name, function in contestants.items():
                begin = time.process_time()
                function()
                spent = time.process_time() - begin
                if number:  # the first is a warm-up
                    least[name] = min(least[name], spent * 1e3)
    return least


@contextmanager
def one_thread() -> Iterator[None]:
    """All libraries compute on one thread; linear algebra that is loaded already, too."""
    pin()
    threadpoolctl = peer("threadpoolctl")
    if threadpoolctl is None:
        yield
        return
    with threadpoolctl.threadpool_limits(1):
        yield


def pin() -> None:
    """Set the libraries that are loaded and have a call for it to one thread."""
    for module, call in (
        ("cv2", "setNumThreads"),
        ("numba", "set_num_threads"),
        ("torch", "set_num_threads"),
    ):
        if module in sys.modules:
            getattr(sys.modules[module], call)(1)


def peer(module: str) -> ModuleType | None:
    """The module of a peer, or None where it is not installed."""
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    pin()
    return found


def timing_table(
    timings: Mapping[str, Timing], base: str | None = None, absent: Mapping[str, str] | None = None
) -> str:
    """The timings as Markdown.

    Parameters
    ----------
    timings : mapping of name -> Timing
    base : str, optional
        The contestant that the others' speed is told in multiples of.
    absent : mapping of name -> distribution, optional
        Peers that are not installed: rows that say so.
    """
    head, rule = "| what | min ms | median ms |", "|---|---:|---:|"
    if base is not None:
        head, rule = f"{head} times as fast as {base} |", f"{rule}---:|"
    lines = [head, rule]
    for name, timing in timings.items():
        line = f"| {name} | {timing.min_ms:.2f} | {timing.median_ms:.2f} |"
        lines.append(line if base is None else f"{line} {timings[base].min_ms / timing.min_ms:.2f} |")
    for name, distribution in (absent or {}).items():
        line = f"| {name} | not installed: `pip install {distribution}` | |"
        lines.append(line if base is None else f"{line} |")
    return "\n".join(lines)
