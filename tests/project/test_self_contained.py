"""The project speaks of itself alone: no paths of one machine, no package index, no file that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".cfg", ".json", ".sh", ""}
# Put together here so that this file does not find itself.
MACHINE_PATH = re.compile(
    "(?<![\\w.])/(?:" + "|".join(("home", "root", "work", "tmp", "Users", "mnt")) + ")/\\w"
)
INDEX = re.compile(
    "|".join(("--(extra-)?index" + "-url", "--find" + "-links", "pythonhosted" + r"\.org", "/simp" + "le/"))
)
OWN_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
OWN_PAGE = re.compile(r"\b(?:docs/[\w/.-]+\.md|[A-Z][A-Z_-]+\.md)\b")


def machine_paths(source: str) -> list[str]:
    """Absolute paths that only one machine has."""
    return _matches(MACHINE_PATH, source)


def index_addresses(source: str) -> list[str]:
    """Where packages come from is the business of whoever installs."""
    return _matches(INDEX, source)


def _matches(pattern: re.Pattern[str], source: str) -> list[str]:
    return [
        f"{number}: {line.strip()[:100]}"
        for number, line in enumerate(source.splitlines(), start=1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize(
    ("guard", "source"),
    [
        pytest.param(machine_paths, "path = '/" + "home/me/runs'", id="home"),
        pytest.param(machine_paths, "see /" + "tmp/x", id="temporary folder"),
        pytest.param(index_addresses, "pip install --index" + "-url x", id="index"),
    ],
)
def test_a_guard_finds(guard, source):
    assert guard(source)


def is_text(path):
    """Whether people have written it; a network has no suffix either, but zeros."""
    return path.suffix in TEXT and b"\0" not in path.read_bytes()[:1024]


def test_no_machine_paths(findings, project_files, root):
    written = tuple(path for path in project_files if is_text(path) and "tests" not in path.parts)
    assert findings(machine_paths, written) == []


def test_no_package_index(findings, project_files):
    here = Path(__file__).name
    written = tuple(path for path in project_files if is_text(path) and path.name != here)
    assert findings(index_addresses, written) == []


def test_links_lead_somewhere(project_files, root):
    pages = [path for path in project_files if path.suffix == ".md"]
    assert pages
    broken = [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in OWN_LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_pages_that_are_named_exist(project_files, root):
    missing = [
        f"{path.relative_to(root)}: {page}"
        for path in project_files
        if path.suffix in {".py", ".md", ".yaml", ".toml"} and path.name != Path(__file__).name
        for page in OWN_PAGE.findall(path.read_text(encoding="utf-8"))
        if not (root / page).exists() and not (path.parent / page).exists()
    ]
    assert missing == []


def test_every_page_is_in_the_index(root):
    docs = root / "docs"
    listed = set(OWN_LINK.findall((docs / "index.md").read_text(encoding="utf-8")))
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} - {"index.md"}
    assert pages - listed == set()
