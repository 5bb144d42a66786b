"""Every public name is explained, and nothing has grown too large to read."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator

import pytest

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def unexplained(source: str) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else ["1: the module has no docstring"]
    return found + [
        f"{node.lineno}: {node.name} has no docstring"
        for node in _public(tree)
        if not ast.get_docstring(node)
    ]


def _public(parent: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    for node in parent.body:
        if not isinstance(node, Definition) or node.name.startswith("_") or _explained_elsewhere(node):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from _public(node)


def _explained_elsewhere(node: Definition) -> bool:
    """Overloads and setters have their text at the function they belong to."""
    names = {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}
    return bool(names & {"overload", "override", "setter"})


def too_large(source: str) -> list[str]:
    """A module of more than 400 lines, functions of more than 60 lines besides their docstring."""
    lines = source.count("\n") + 1
    found = [f"1: {lines} lines"] if lines > MOST_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=False) or ""
            size = (node.end_lineno or 0) - node.lineno + 1 - docstring.count("\n")
            if size > MOST_FUNCTION_LINES:
                found.append(f"{node.lineno}: {node.name} has {size} lines")
    return found


@pytest.mark.parametrize(
    ("guard", "source", "count"),
    [
        pytest.param(unexplained, "x = 1", 1, id="module"),
        pytest.param(unexplained, '"""M."""\ndef f(): ...', 1, id="function"),
        pytest.param(unexplained, '"""M."""\nclass A:\n    """A."""\n    def f(self): ...', 1, id="method"),
        pytest.param(unexplained, '"""M."""\nclass _A:\n    def f(self): ...', 0, id="private class"),
        pytest.param(unexplained, '"""M."""\n@overload\ndef f(): ...', 0, id="overload"),
        pytest.param(too_large, "def f():\n" + "    x = 1\n" * 60, 1, id="function of 61 lines"),
        pytest.param(too_large, "def f():\n" + "    x = 1\n" * 59, 0, id="function of 60 lines"),
        pytest.param(too_large, 'def f():\n    """' + "\n" * 60 + '"""\n', 0, id="long docstring"),
        pytest.param(too_large, "x = 1\n" * 400, 1, id="module of 401 lines"),
    ],
)
def test_a_guard_counts(guard, source, count):
    assert len(guard(source)) == count


@pytest.mark.parametrize("guard", [unexplained, too_large])
def test_the_package_is_explained_and_readable(guard, findings, package_modules):
    assert findings(guard, package_modules) == []


def test_library_scripts_are_readable(findings, library_scripts):
    assert findings(too_large, library_scripts) == []


def test_most_modules_are_short(package_modules):
    lengths = [path.read_text(encoding="utf-8").count("\n") for path in package_modules]
    assert statistics.median(lengths) < 200
