"""Every example experiment, run on the demo devices and replayed by the command line: it decides as in the run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inscoper_mm.library import library_dir
from inscoper_mm.output.journal import read_journal

pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")
pytestmark = [pytest.mark.demo, pytest.mark.slow, pytest.mark.timeout(400)]

CONFIGS = {path.name: path for path in sorted(library_dir("configs").glob("*.yaml"))}
# What makes a long experiment short enough for a test; the decisions are of the same kinds.
SHORTER: dict[str, tuple[str, ...]] = {
    "plate_screen.yaml": ("acquisition.stage_positions.selected_wells=[A1-A2, H11-H12]",),
}


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inscoper_mm.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``ran(config)``: the folder of its run; each is run once."""
    folders: dict[str, Path] = {}

    def once(config: str) -> Path:
        if config not in folders:
            output = tmp_path_factory.mktemp("runs")
            sets = [word for change in SHORTER.get(config, ()) for word in ("--set", change)]
            done = command("run", CONFIGS[config], "-o", output, *sets)
            assert done.returncode == 0, done.stdout + done.stderr
            (folders[config],) = output.iterdir()
        return folders[config]

    return once


def decisions(folder: Path) -> dict[str, int]:
    """How much was decided: calls that ended well, and commands."""
    journal = list(read_journal(folder / "events.jsonl"))
    return {
        "calls": sum(line["type"] == "decided" and line["fate"] == "done" for line in journal),
        "commands": sum(line["type"] == "commanded" for line in journal),
    }


def _replays_as_it_ran(folder: Path, output: Path, *options: str) -> None:
    done = command("replay", folder, "-o", output, "--compare", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Same decisions as the run" in done.stdout
    (replay,) = output.iterdir()
    assert decisions(replay) == decisions(folder)
    assert decisions(folder)["calls"] > 0
    commanded = [line for line in read_journal(replay / "events.jsonl") if line["type"] == "commanded"]
    assert {line["decided"] for line in commanded} <= {"recorded", "refused"}


@pytest.mark.parametrize("config", CONFIGS)
def test_a_run_of_every_configuration_is_replayed_with_the_same_decisions(ran, config, tmp_path) -> None:
    _replays_as_it_ran(ran(config), tmp_path / "replays")


def test_another_parameter_is_told_as_another_decision(ran, tmp_path) -> None:
    folder = ran("input_types.yaml")
    done = command("replay", folder, "-o", tmp_path, "--compare", "--set", "parameters.level=0.125")
    assert done.returncode == 1, done.stdout + done.stderr
    told = done.stdout.split("Not the same decisions as the run")[1]
    before = json.loads((folder / "results" / "metadata.jsonl").read_text("utf-8").splitlines()[0])
    level = before["values"]["INPUTS"]["level"]
    assert f"metadata.INPUTS.level: {level} in the run, 0.125 now" in told
    assert re.search(r"t000_p000_c0_z000, input_types", told)
    # Without --compare the same is told, and nothing is wrong with that.
    assert command("replay", folder, "-o", tmp_path, "--set", "parameters.level=0.125").returncode == 0


def test_a_coarser_measurement_is_told_as_other_corrections(ran, tmp_path) -> None:
    done = command(
        "replay", ran("autofocus.yaml"), "-o", tmp_path, "--compare", "--set", "parameters.smoothing_px=4"
    )
    assert done.returncode == 1
    assert re.search(r"autofocus: command\.asked\.dz_um: \S+ in the run, \S+ now", done.stdout)
