"""The documentation is true: its commands exist, its experiments load, its scripts run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml

from inscoper_mm.cli import app
from inscoper_mm.experiment.load import parse_experiment
from inscoper_mm.experiment.model import Output

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What a fragment of an experiment is completed with.
BASE = {"microscope": {"backend": "demo"}, "acquisition": {"channels": ["DAPI"]}}


@dataclass(frozen=True)
class Block:
    """A code block; ``name`` is the file that its first line says it is."""

    page: str
    line: int
    language: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def _blocks():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(\w*)[ ]?(\S*)\n(.*?)^```$", text, re.M | re.S):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page.relative_to(ROOT).as_posix(), line, *found.groups())


BLOCKS = list(_blocks())


def _of(*languages, named=None):
    chosen = [block for block in BLOCKS if block.language in languages]
    if named is not None:
        chosen = [block for block in chosen if bool(block.name) == named]
    return [pytest.param(block, id=str(block)) for block in chosen]


def test_every_block_has_a_language_that_is_tested():
    """Blocks without a language, or of text, are drawings."""
    assert {block.language for block in BLOCKS} <= {"sh", "bat", "yaml", "python", "text", ""}
    fences = sum(page.read_text(encoding="utf-8").count("```") for page in PAGES)
    assert fences == 2 * len(BLOCKS)


@pytest.mark.parametrize("block", _of("sh", "bat"))
def test_commands_exist(block, root):
    lines = [line for line in block.text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        _COMMANDS[_program(line)](line)


def _program(line):
    return next(program for program in _COMMANDS if line.startswith(program))


def _parse_ours(line):
    command = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    context = command.make_context("inscoper-mm", words[:], resilient_parsing=True)
    _, chosen, rest = command.resolve_command(context, words)
    assert chosen is not None, line
    chosen.make_context(words[0], rest, parent=context)


def _make_target(line):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in line.split()[1:]:
        assert re.search(rf"^{target}:", makefile, re.M), line


def _installable(line):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for asked in re.findall(r"\.\[([\w,]+)\]", line):
        assert set(asked.split(",")) <= set(extras), line
    for file in re.findall(r"-c (\S+)", line):
        assert (ROOT / file).is_file(), line


def _nothing(line):
    """The user's Python and shell: not ours to try."""


_COMMANDS = {
    "inscoper-mm ": _parse_ours,
    "make ": _make_target,
    "pip install ": _installable,
    "pip index versions ": _nothing,
    "py -m venv ": _nothing,
    ".venv\\Scripts\\activate": _nothing,
}


@pytest.mark.parametrize("block", _of("yaml"))
def test_experiments_load(block, tmp_path):
    given = yaml.safe_load(block.text)
    text = block.text if given.keys() >= BASE.keys() else yaml.safe_dump(BASE | given)
    parse_experiment(text, tmp_path)


@pytest.mark.parametrize("key", ["answer_bytes", "file_bytes", "cache_bytes"])
def test_the_defaults_of_the_reference_are_right(key):
    page = (ROOT / "docs" / "reference" / "experiment-file.md").read_text(encoding="utf-8")
    assert f"| `{key}` | {getattr(Output(), key) >> 20} MiB |" in page


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with every file that the pages ask the reader to save."""
    folder = tmp_path_factory.mktemp("docs")
    for block in BLOCKS:
        if block.name:
            assert not (folder / block.name).exists(), f"{block}: two blocks are called {block.name}"
            (folder / block.name).write_text(block.text, encoding="utf-8")
    return folder


def _inscoper_mm(*arguments, cwd):
    return subprocess.run(
        [Path(sys.executable).with_name("inscoper-mm"), *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=150,
    )


@pytest.mark.parametrize("block", _of("python", named=True))
def test_scripts_are_understood(block, written):
    done = _inscoper_mm("scripts", block.name, cwd=written)
    assert done.returncode == 0, done.stdout


@pytest.mark.demo
@pytest.mark.parametrize("block", _of("python", named=True))
def test_scripts_run(block, written, tmp_path):
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(
        yaml.safe_dump(
            {
                "microscope": {
                    "backend": "demo",
                    "specimen": {"seed": 1},
                    "calibrations": ["demo_galvo_10x.yaml"],
                },
                "acquisition": {
                    "channels": [{"config": "DAPI", "exposure": 5}],
                    "z_plan": {"range": 2, "step": 1},
                    "time_plan": {"interval": 0, "loops": 2},
                },
                "script": {"file": str(written / block.name), "policy": {"error": "abort"}},
            }
        ),
        encoding="utf-8",
    )
    done = _inscoper_mm("run", str(experiment), "--output", str(tmp_path / "runs"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.demo
def test_the_first_experiment_of_the_readme_runs(written, tmp_path):
    checked = _inscoper_mm("check", "first_experiment.yaml", cwd=written)
    assert checked.returncode == 0, checked.stdout
    done = _inscoper_mm("run", "first_experiment.yaml", "--output", str(tmp_path), cwd=written)
    assert done.returncode == 0, done.stdout
    (run,) = tmp_path.iterdir()
    assert "NBR_OF_CELLS" in (run / "results" / "metadata.jsonl").read_text(encoding="utf-8")
