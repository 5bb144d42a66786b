"""``doctor`` as a user meets it: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")

EXPERIMENT = """\
name: doctor
microscope: {backend: python, mm_dir: MM, config: x.cfg}
acquisition: {channels: [{config: DAPI, exposure: 5}]}
script: {file: input_types}
output: {directory: OUT}
"""


def doctor(*arguments: str, models: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inscoper_mm.cli", "doctor", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env=os.environ | {"CELLPOSE_LOCAL_MODELS_PATH": str(models)},
    )


def test_a_healthy_environment_is_ready(tmp_path: Path) -> None:
    result = doctor(models=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("inscoper-mm ")
    assert any(line.startswith("  TensorFlow ") for line in lines)
    assert f"none in {tmp_path}" in result.stdout
    assert "Ready for runs" in lines[-1]


REQUIRED = {
    "there": (["--require", "Micro-Manager"], 0, True),
    "missing": (["--require", "Cellpose models", "--quick"], 1, False),
    "misspelt": (["--require", "Celpose", "--quick"], 2, None),
}


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_required_decides_the_exit_status(tmp_path: Path, name: str) -> None:
    arguments, status, ok = REQUIRED[name]
    result = doctor("--json", *arguments, models=tmp_path)
    assert result.returncode == status, result.stdout + result.stderr
    if ok is None:
        assert "Did you mean 'Cellpose'" in result.stderr
        return
    said = json.loads(result.stdout)
    assert said["ok"] is ok
    assert said["cellpose"]["folder"] == str(tmp_path)
    missing = [finding["message"] for finding in said["findings"] if "required" in finding["message"]]
    assert bool(missing) is not ok


def test_what_is_missing_is_told_in_plain_words(tmp_path: Path) -> None:
    result = doctor("--quick", "--require", "Cellpose models", models=tmp_path)
    assert result.returncode == 1
    assert "\nerror: Cellpose models is required, and missing. To get it: " in result.stdout
    assert result.stdout.endswith("1 thing to put right before a run.\n")


def test_the_folders_of_an_experiment_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "MM").mkdir()
    text = EXPERIMENT.replace("MM,", f"{(tmp_path / 'MM').as_posix()},")
    config = tmp_path / "doctor.yaml"
    config.write_text(text.replace("OUT", (tmp_path / "out").as_posix()), encoding="utf-8")
    result = doctor(str(config), "--json", "--quick", models=tmp_path)
    assert result.returncode == 1
    said = json.loads(result.stdout)
    assert said["output"]["asked"] == (tmp_path / "out").as_posix()
    (finding,) = [finding for finding in said["findings"] if finding["level"] == "error"]
    assert finding["got"] == "no device adapter is in it"
