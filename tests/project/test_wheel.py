"""What a user gets: the wheel, installed into an empty environment elsewhere, runs the demo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# What Windows refuses in a file's name.
_BAD_NAME = re.compile(r'[<>:"|?*\\]|[. ]$')


def _run(*command: str | Path, cwd: Path, limit_s: float) -> str:
    environment = {
        key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=limit_s,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        folder,
        root,
        cwd=folder,
        limit_s=120,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, root, tmp_path_factory):
    """The programs' folder of a new environment that has nothing but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = (
        programs / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
    )
    _run(*pip, f"{wheel}[demo]", "-c", root / "constraints.txt", cwd=folder.parent, limit_s=600)
    return programs


@pytest.mark.parametrize("kind", ["scripts", "configs", "mm_demo_config"])
def test_the_wheel_has_the_library(wheel, root, kind):
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name for name in archive.namelist() if f"_bundled/{kind}/" in name}
    assert names >= {path.name for path in (root / kind).iterdir() if path.suffix in {".py", ".yaml", ".cfg"}}


def test_the_wheel_has_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top.split("-")[0] for top in tops} == {"inscoper_mm"}
    names = zipfile.ZipFile(wheel).namelist()
    assert {"inscoper_mm/py.typed", "inscoper_mm/segmentation/models/small_nuclei"} <= set(names)


@pytest.mark.timeout(900)
def test_the_demo_runs_in_an_empty_environment(installed, tmp_path):
    output = tmp_path / "output of the demo"
    said = _run(installed / "inscoper-mm", "demo", "--output", output, cwd=tmp_path, limit_s=240)
    (run,) = output.iterdir()
    report = json.loads((run / "run.json").read_text(encoding="utf-8"))
    counts = report["counts"]
    assert report["state"] == "completed", said
    assert counts["stored"] == counts["captured"] == counts["planned"] > 0
    assert counts["failed"] == counts["skipped_plan"] == 0
    assert list(run.rglob("crops/*.tif"))
    names = [part for path in run.rglob("*") for part in path.relative_to(output).parts]
    assert [name for name in names if _BAD_NAME.search(name)] == []
