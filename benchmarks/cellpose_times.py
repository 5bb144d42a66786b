"""Cellpose: processor time of an image, what the script's process adds, and how long it takes to be ready."""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import interleave
import numpy as np
import numpy.typing as npt
import tifffile
from report import Check, check_table
from start_time import start_to_first_image

from inscoper_mm.segmentation.cellpose import cellpose_segmenter
from inscoper_mm.segmentation.model_files import find_model
from inscoper_mm.specimen import Specimen, SpecimenParameters, View

PACKAGES = ("cellpose", "torch", "numba")
HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "nuclei" / "stardist" / "img2d.tif"
CONFIG = HERE.parent / "configs" / "single_cell_screening.yaml"
MODEL = "small_nuclei"
SIDE_PX = 512
OURS, FULL, PLAIN = "fast: yes", "fast: no", "CellposeModel.eval, the same file"
Image = npt.NDArray[np.uint16]
_READY = """
import time
begin = time.perf_counter()
from inscoper_mm.segmentation.cellpose import cellpose_segmenter
segmenter = cellpose_segmenter()
segmenter.warm_up()
print(time.perf_counter() - begin)
"""


def section(options: argparse.Namespace) -> str:
    """The tables of the page."""
    if importlib.util.find_spec("cellpose") is None:
        return "## Cellpose\n\nNot installed: `pip install .[cellpose] -c constraints.txt`"
    rounds = max(2, options.rounds)
    parts = ["## Cellpose", _images(rounds), _process(rounds), _start(max(2, rounds // 2))]
    return "\n\n".join(parts)


def _pictures() -> dict[str, Image]:
    """Images of 512 x 512."""
    specimen = Specimen(SpecimenParameters(seed=1))
    view = View(0.0, 0.0, 0.0, "DAPI", 20.0, sensor=(SIDE_PX, SIDE_PX))
    found = {"the specimen's nuclei": specimen.render(view)}
    if DATA.is_file():
        found["real nuclei (StarDist's example)"] = tifffile.imread(DATA)
    return found


def _images(rounds: int) -> str:
    from cellpose import models

    plain = models.CellposeModel(gpu=False, pretrained_model=str(find_model(MODEL).path))
    ways: dict[str, Callable[[Image], Any]] = {
        OURS: lambda image: cellpose_segmenter(MODEL, gpu="no").segment([image])[0],
        FULL: lambda image: cellpose_segmenter(MODEL, gpu="no", fast=False).segment([image])[0],
        PLAIN: lambda image: plain.eval(image, channels=[0, 0])[0],
    }
    lines = [
        f"Processor time of one image of {SIDE_PX} x {SIDE_PX} on one thread, the model `{MODEL}`, no diameter given. "
        "The contestants take turns; fast is the default.",
        "",
        "| image | what | cells | min ms | median ms | bound ms |",
        "|---|---|---:|---:|---:|---:|",
    ]
    pictures = _pictures()
    for name, image in pictures.items():
        # The slow ones once: on the last image, which has the most cells.
        shown = ways if image is list(pictures.values())[-1] else {OURS: ways[OURS]}
        cells, spent = _processor_ms({way: partial(find, image) for way, find in shown.items()}, rounds)
        for way in shown:
            bound = "250" if way == OURS else ""
            lines.append(
                f"| {name} | {way} | {cells[way]} | {min(spent[way]):.0f} | {statistics.median(spent[way]):.0f} | "
                f"{bound} |"
            )
    return "\n".join([*lines, "", _equal()])


def _processor_ms(
    contestants: Mapping[str, Callable[[], Any]], rounds: int
) -> tuple[dict[str, int], dict[str, list[float]]]:
    """How many cells each finds, and its processor time in each round."""
    cells = {name: int(run().max()) for name, run in contestants.items()}
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    with interleave.one_thread():
        for _ in range(rounds):
            for name, run in contestants.items():
                begin = time.process_time()
                run()
                spent[name].append(1e3 * (time.process_time() - begin))
    return cells, spent


def _equal() -> str:
    """How far the network without its zeros is from the whole one."""
    import torch
    from cellpose import models

    from inscoper_mm.segmentation.narrow_net import narrowed

    # Another one: an evaluated network has been converted for mkldnn.
    whole = models.CellposeModel(gpu=False, pretrained_model=str(find_model(MODEL).path), mkldnn=False).net
    data = torch.rand(1, 2, 368, 368)
    with torch.no_grad():
        expected, narrow = whole.eval()(data)[0], narrowed(whole)(data)[0]
    share = float((expected - narrow).abs().max() / expected.abs().max())
    what = "largest difference of the network without its zeros, of the largest output"
    return check_table([Check(what, 1e6 * share, 10, "millionths")])


def _process(rounds: int) -> str:
    """What the script's process adds to ``CellposeModel.eval`` on the same network."""
    from inscoper_mm.execution.host import CallState
    from inscoper_mm.execution.worker import WorkerHost
    from inscoper_mm.images.frame import Frame, FrameInfo
    from inscoper_mm.images.index import Index, Sizes
    from inscoper_mm.scripting.spec import ScriptSpec

    class Silent:
        def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
            raise AssertionError(name)

        def log(self, level: str, text: str) -> None:
            pass

    image = next(reversed(_pictures().values()))
    host = WorkerHost(ScriptSpec("timed", HERE / "scripts" / "cellpose_timed.py"))
    added = []
    try:
        host.start(120.0)
        for number in range(5 * rounds):
            frame = Frame(FrameInfo(f"e{number}", Index(time=number), Sizes(time=1000)), image)
            begin = time.perf_counter()
            reply = host.process([frame], frame, Silent(), CallState(), 60.0)
            added.append(1e3 * (time.perf_counter() - begin) - reply.answer.metadata["EVAL_MS"])
    finally:
        host.close(10.0)
    median, least = statistics.median(added[1:]), min(added[1:])
    return "\n\n".join(
        [
            f"What a call in the script's own process takes beyond Cellpose's `eval` in it: one image there, its "
            f"{SIDE_PX} x {SIDE_PX} labels back ({len(added) - 1} calls; the least {least:.1f} ms).",
            check_table([Check("added by the process, median", median, 10.0, "ms")]),
        ]
    )


def _start(rounds: int) -> str:
    """Until the network is ready, and until a run has its first image."""
    ready = [_ready_s() for _ in range(rounds)]
    checks = [Check("import, load and warm, in a new process, median", statistics.median(ready), 20.0, "s")]
    first = start_to_first_image(CONFIG, rounds)
    checks.append(
        Check(
            f"start of {CONFIG.name} to the first stored image, median", statistics.median(first), 20.0, "s"
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        once = _ready_s({"NUMBA_CACHE_DIR": folder})
    return "\n\n".join(
        [
            check_table(checks),
            f"The first time on a computer, when numba compiles what Cellpose needs: {once:.1f} s until ready.",
        ]
    )


def _ready_s(variables: Mapping[str, str] | None = None) -> float:
    import os

    done = subprocess.run(
        [sys.executable, "-c", _READY],
        check=True,
        capture_output=True,
        text=True,
        env=dict(os.environ) | dict(variables or {}),
    )
    return float(done.stdout.split()[-1])
