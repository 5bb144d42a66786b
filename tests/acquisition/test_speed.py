"""Runs whose waits are shortened: the specimen and the run's clock live through all of the time."""

from __future__ import annotations

import csv
import time
from itertools import pairwise
from pathlib import Path

import pytest

from inscoper_mm.acquisition.result import RunResult
from inscoper_mm.acquisition.session import Session
from inscoper_mm.errors import InvalidInput
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.output.journal import read_journal
from inscoper_mm.stream import Clock

INTERVAL_S = 30.0
EXPERIMENT = """\
name: speed
microscope:
  backend: demo
  specimen: {write_truth: true, drift: {x_um_per_s: 0.01}, MORE}
acquisition:
  channels: [{group: Channel, config: DAPI, exposure: 5}]
  time_plan: {interval: 30, loops: 4}
"""
SLOW_SCRIPT = """\
import time

def fetch_images(new_image: "images"):
    return [{}]

def look(images: "images"):
    time.sleep(0.5)
    return {}
"""


@pytest.mark.demo
class TestRuns:
    @pytest.fixture
    def run(self, microscope: Microscope, tmp_path: Path):  # type: ignore[no-untyped-def]
        def run(speed: float, more: str = "", change: tuple[str, str] = ("", "")) -> RunResult:
            config = tmp_path / "speed.yaml"
            text = EXPERIMENT.replace("MORE", more).replace(*change)
            config.write_text(text, encoding="utf-8")
            return Session(
                load_experiment(config), tmp_path / "runs", microscope=microscope, speed=speed
            ).run()

        return run

    def test_waits_are_cut_and_the_time_passes_all_the_same(self, run) -> None:  # type: ignore[no-untyped-def]
        begin = time.perf_counter()
        result = run(speed=300.0)
        assert time.perf_counter() - begin < 3 * INTERVAL_S - 5.0
        assert result.state == "completed"
        starts = [
            line["t"] for line in read_journal(result.folder / "events.jsonl") if line["type"] == "captured"
        ]
        steps = [after - before for before, after in pairwise(starts)]
        assert steps == pytest.approx([INTERVAL_S] * 3, abs=INTERVAL_S / 4)
        with (result.folder / "truth" / "views.csv").open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        seen_s = [float(line["time_s"]) for line in lines]
        assert [after - before for before, after in pairwise(seen_s)] == pytest.approx(
            [INTERVAL_S] * 3, abs=INTERVAL_S / 4
        )
        for line in lines:
            assert float(line["moved_x_um"]) == pytest.approx(0.01 * float(line["time_s"]), abs=1e-3)

    def test_what_a_script_needs_is_not_shortened(self, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        """While a script is at work the clock goes as it always goes."""
        script = tmp_path / "slow.py"
        script.write_text(SLOW_SCRIPT, encoding="utf-8")
        change = (
            "loops: 4}",
            f"loops: 3}}\nscript: {{file: '{script.as_posix()}', policy: {{place: thread, slow: {{queue: 5}}}}}}",
        )
        result = run(speed=300.0, change=change)
        (took_ms, *_) = [
            line["ms"]["settled"]
            for line in read_journal(result.folder / "events.jsonl")
            if line["type"] == "decided"
        ]
        assert 450 < took_ms < 60_000

    def test_with_a_time_for_each_image_the_specimen_counts_images(self, run) -> None:  # type: ignore[no-untyped-def]
        result = run(speed=300.0, more="time: {per_image_s: 7}")
        with (result.folder / "truth" / "views.csv").open(newline="", encoding="utf-8") as file:
            assert [float(line["time_s"]) for line in csv.DictReader(file)] == [0.0, 7.0, 14.0, 21.0]

    @pytest.mark.parametrize(
        ("speed", "change", "words"),
        [
            pytest.param(60.0, ("specimen:", "#"), "A real specimen has no speed", id="real"),
            pytest.param(0.5, ("", ""), "1 to 1e+06", id="slower"),
            pytest.param(float("nan"), ("", ""), "1 to 1e+06", id="no number"),
        ],
    )
    def test_is_refused(self, run, speed: float, change: tuple[str, str], words: str) -> None:  # type: ignore[no-untyped-def]
        result = run(speed=speed, change=change)
        assert result.folder is None
        assert isinstance(result.error, InvalidInput)
        assert words in str(result.error)


@pytest.mark.parametrize(
    ("hurry", "slept_s", "passed_s"),
    [(True, 0.1, 6.0), (False, 3.0, 3.0)],
    ids=["hurry", "something is at work"],
)
def test_a_wait_is_cut_and_the_clock_goes_on(hurry: bool, slept_s: float, passed_s: float) -> None:
    clock = Clock(60.0)
    slept: list[float] = []
    begin_s = clock.now()
    clock.wait(6.0, slept.append, 3.0, hurry)
    assert slept == [pytest.approx(slept_s)]
    # Nothing was really slept here: only what was cut out has passed, and what a busy machine took for it.
    assert -1e-6 < clock.now() - begin_s - (passed_s - slept_s) < 2.0


def test_the_clock_tells_what_it_counts() -> None:
    assert Clock().name == "time.perf_counter, seconds since the start of the run"
    assert "--speed 60" in Clock(60).name
