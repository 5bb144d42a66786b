"""A run killed at any moment: what the journal says is stored and injected is there."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pytest

from inscoper_mm.acquisition.session import run_experiment
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import open_dataset
from inscoper_mm.output.journal import read_journal

pytestmark = [pytest.mark.demo, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 50
EXPERIMENT = """
name: killed
microscope: {backend: demo}
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0}]
  time_plan: {interval: 0, loops: 3000}
script: {file: sums.py, policy: {place: PLACE, slow: {queue: 8}}}
"""
SCRIPT = """
import numpy as np

def fetch_images(new_image: "images"):
    return [{}]

def sums(images: "images"):
    number = images.metadata["timeIndex"]
    # Answers of very different size, now and then one that is large.
    return {"metadata": {"SUM": int(images.array.astype("u8").sum()), "TEXT": "x" * (number * 37 % 3000)}}
"""
# Where the system can fork, 50 runs share one start of Python and its libraries.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
PRELOAD = ["inscoper_mm.acquisition.session", "inscoper_mm.experiment.load", "pycromanager", "useq"]


def killed_run(context: BaseContext, folder: Path, place: str, after_s: float) -> Path:
    """Start a run and kill it ``after_s`` after its first stored image; the run folder."""
    folder.mkdir()
    (folder / "sums.py").write_text(SCRIPT, encoding="utf-8")
    config = folder / "killed.yaml"
    config.write_text(EXPERIMENT.replace("PLACE", place), encoding="utf-8")
    experiment = load_experiment(config)
    process = context.Process(target=run_experiment, args=(experiment,), kwargs={"output": folder})
    process.start()
    try:
        end = time.monotonic() + 120
        while not any('"stored"' in path.read_text() for path in folder.glob("killed_*/events.jsonl")):
            assert process.is_alive(), "the run ended before its first image"
            assert time.monotonic() < end, "no image within 120 s"
            time.sleep(0.02)
        time.sleep(after_s)
    finally:
        process.kill()
        process.join(30)
    (run,) = folder.glob("killed_*")
    return run


def check_killed(run: Path) -> tuple[int, int]:
    """Hold the data set against the journal; how many images and answers were told."""
    lines = list(read_journal(run / "events.jsonl"))
    stored = {line["event"]: Index(**line["index"]) for line in lines if line["type"] == "stored"}
    injected = {line["event"] for line in lines if line["type"] == "injected"}
    captured = {line["event"] for line in lines if line["type"] == "captured"}
    data = open_dataset(run / "images")
    try:
        for event, index in stored.items():
            pixels = data.read_image(**index.ndtiff)
            tags = data.read_metadata(**index.ndtiff)
            assert pixels.shape == (512, 512)
            assert tags["Axes"]["time"] == index.time
            if event in injected:
                assert tags["SUM"] == int(np.asarray(pixels).astype("u8").sum())
                assert len(tags["TEXT"]) == index.time * 37 % 3000
    finally:
        data.close()
    assert set(stored) <= captured
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["state"] == "running"
    assert json.loads((run / "status.json").read_text(encoding="utf-8"))["state"] == "running"
    return len(stored), len(injected)


def test_kill_at_random_moments_loses_nothing_that_was_told(tmp_path: Path) -> None:
    moments = random.Random(20).sample(range(1000), KILLS)
    context = multiprocessing.get_context(METHOD)
    if METHOD == "forkserver":
        context.set_forkserver_preload(PRELOAD)

    def one(number: int) -> tuple[int, int]:
        # A worker takes seconds to start; what a kill can break is the same in both places.
        place = "worker" if number % 10 == 0 else "thread"
        return check_killed(killed_run(context, tmp_path / f"run{number}", place, moments[number] / 1000.0))

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(one, range(KILLS)))
    images, answers = (sum(column) for column in zip(*counts, strict=True))
    assert images > 20 * KILLS  # the kills came in the midst of runs, not before them
    assert answers > 5 * KILLS
