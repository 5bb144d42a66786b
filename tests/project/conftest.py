"""The project's own files, for the tests that guard how they are written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return _ROOT


@pytest.fixture(scope="session")
def project_files(root: Path) -> tuple[Path, ...]:
    """Every file of the project: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
    ).stdout
    files = tuple(path for name in listed.split("\0") if name and (path := root / name).is_file())
    assert len(files) > 50
    return files


@pytest.fixture(scope="session")
def package_modules(root: Path) -> tuple[Path, ...]:
    """The modules of the package."""
    modules = tuple(sorted((root / "inscoper_mm").rglob("*.py")))
    assert len(modules) > 20
    return modules


@pytest.fixture(scope="session")
def library_scripts(root: Path) -> tuple[Path, ...]:
    """The script library, which is installed with the package."""
    return tuple(sorted((root / "scripts").glob("*.py")))


@pytest.fixture(scope="session")
def findings(root: Path) -> Callable[[Callable[[str], list[str]], tuple[Path, ...]], list[str]]:
    """``findings(guard, files)``: what ``guard(source)`` finds in each file, with the file's name before it."""

    def collect(guard: Callable[[str], list[str]], files: tuple[Path, ...]) -> list[str]:
        return [
            f"{path.relative_to(root).as_posix()}:{finding}"
            for path in files
            for finding in guard(path.read_text(encoding="utf-8"))
        ]

    return collect
