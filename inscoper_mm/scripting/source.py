"""A script's text: its syntax tree, and the lines where its functions and parameters are."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inscoper_mm.errors import short_path

FunctionDef = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The text of one Python file, parsed."""

    file: Path
    tree: ast.Module

    @classmethod
    def read(cls, file: Path) -> Source:
        """Parse ``file``; SyntaxError or OSError as Python raises it."""
        return cls(file, ast.parse(file.read_bytes(), str(file)))

    @property
    def shown(self) -> str:
        """The file as errors show it."""
        return short_path(self.file)

    @property
    def functions(self) -> dict[str, FunctionDef]:
        """The functions at the top level, in their order; of two with one name the later one."""
        found = {}
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name] = node
        return found

    def line(self, function: str, parameter: str | None = None) -> int | None:
        """The line where a function, or one of its parameters, is defined."""
        node = self.functions.get(function)
        if node is None:
            return None
        given = node.args
        for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if argument is not None and argument.arg == parameter:
                return argument.lineno
        return node.lineno


def definition_file(function: Callable[..., Any]) -> Path | None:
    """The file in which ``function`` is defined, behind its decorators; None if it is not written in Python."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Path(code.co_filename) if code is not None else None
