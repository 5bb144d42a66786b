"""What a script does with its context, checked in its text: a method that does not exist is found before the run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from inscoper_mm.errors import Finding, did_you_mean, one_of
from inscoper_mm.scripting.context import CONTEXT_ATTRIBUTES, CONTEXT_METHODS, CONTEXT_NAMES
from inscoper_mm.scripting.source import FunctionDef, Source

_SETTABLE = ("state", "runState")


def check_context_use(source: Source, uses: Mapping[str, Iterable[str]]) -> list[Finding]:
    """The findings about attributes and calls of the context.

    Parameters
    ----------
    source : Source
        The script.
    uses : mapping of function name to names
        The functions that get the context, and their parameters that take it. A context that is handed on to other
        functions of the file is followed there; a name that is assigned anew is left alone.
    """
    findings: list[Finding] = []
    for name, nodes in _visited(source, uses):
        findings += _check(nodes, source, name)
    return sorted(findings, key=lambda finding: finding.line or 0)


def context_names(source: Source, uses: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The names of the context that the script uses, with the first line of each; parameters as above."""
    found: dict[str, int] = {}
    for _, nodes in _visited(source, uses):
        for node, contexts in nodes:
            if isinstance(node, ast.Attribute) and _is_context(node.value, contexts):
                found[node.attr] = min(node.lineno, found.get(node.attr, node.lineno))
    return found


Seen = tuple[ast.AST, frozenset[str]]


def _visited(source: Source, uses: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, list[Seen]]]:
    """The functions that get the context, each with its nodes."""
    functions = source.functions
    waiting = [(name, frozenset(names)) for name, names in uses.items()]
    seen = set(waiting)
    while waiting:
        name, contexts = waiting.pop()
        node = functions.get(name)
        if node is None:
            continue
        nodes = list(_walk(node, contexts - _assigned(node)))
        yield name, nodes
        for handed in _handed_on(nodes, functions):
            if handed not in seen:
                seen.add(handed)
                waiting.append(handed)


def _walk(node: ast.AST, contexts: frozenset[str]) -> Iterator[Seen]:
    """Every node below ``node`` with the names that mean the context there."""
    for child in ast.iter_child_nodes(node):
        inner = contexts
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = contexts - _parameters(child)
        yield child, inner
        yield from _walk(child, inner)


def _parameters(node: FunctionDef | ast.Lambda) -> frozenset[str]:
    given = node.args
    every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
    return frozenset(argument.arg for argument in every if argument is not None)


def _assigned(node: FunctionDef) -> frozenset[str]:
    stores = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return frozenset(name.id for name in stores if not isinstance(name.ctx, ast.Load))


def _is_context(node: ast.AST, contexts: frozenset[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in contexts


def _check(nodes: list[Seen], source: Source, function: str) -> Iterator[Finding]:
    called = {id(node.func) for node, _ in nodes if isinstance(node, ast.Call)}
    for node, contexts in nodes:
        if isinstance(node, ast.Attribute) and _is_context(node.value, contexts):
            finding = _check_name(node, id(node) in called)
        elif isinstance(node, ast.Call) and _is_method_call(node, contexts):
            finding = _check_call(node)
        else:
            continue
        if finding is not None:
            message, level, suggestion, cure, allowed = finding
            yield Finding(
                message,
                level="warning" if level else "error",
                file=source.shown,
                line=node.lineno,
                function=function,
                suggestion=suggestion,
                cure=cure,
                allowed=allowed,
            )


# message, whether it is only a warning, suggestion, cure, allowed
_Found = tuple[str, bool, str | None, str | None, str | None]


def _check_name(node: ast.Attribute, called: bool) -> _Found | None:
    name = node.attr
    if name.startswith("__"):
        return None
    if name not in CONTEXT_NAMES:
        near = did_you_mean(name, CONTEXT_NAMES)
        return f"The context has no '{name}'.", False, near, None, None if near else one_of(CONTEXT_NAMES, 40)
    if isinstance(node.ctx, ast.Store | ast.Del) and name not in _SETTABLE:
        return f"'{name}' of the context cannot be set.", False, None, None, one_of(_SETTABLE)
    if called and name in CONTEXT_ATTRIBUTES:
        return f"'{name}' of the context is a value, not a method.", False, None, "Write it without ().", None
    return None


def _is_method_call(node: ast.Call, contexts: frozenset[str]) -> bool:
    function = node.func
    return (
        isinstance(function, ast.Attribute)
        and _is_context(function.value, contexts)
        and function.attr in CONTEXT_METHODS
    )


def _check_call(node: ast.Call) -> _Found | None:
    """Whether the arguments fit the method; not asked where they are collected with * or **."""
    assert isinstance(node.func, ast.Attribute)
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        return None
    names = [keyword.arg for keyword in node.keywords]
    if None in names:
        return None
    method = CONTEXT_METHODS[node.func.attr]
    try:
        method.signature.bind(*node.args, **{str(name): None for name in names})
    except TypeError as error:
        call = f"{method.name}({', '.join(method.signature.parameters)})"
        unknown = [name for name in names if name not in method.signature.parameters]
        near = did_you_mean(unknown[0], method.signature.parameters) if unknown else None
        return f"{method.name}(): {error}.", False, near, None, call
    return None


def _handed_on(
    nodes: list[Seen], functions: Mapping[str, FunctionDef]
) -> Iterator[tuple[str, frozenset[str]]]:
    """The functions of this file that are called with the context, and their parameters that take it."""
    for node, contexts in nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions):
            continue
        given = functions[node.func.id].args
        places = [argument.arg for argument in (*given.posonlyargs, *given.args)]
        taken = {name for name, value in zip(places, node.args, strict=False) if _is_context(value, contexts)}
        taken |= {str(keyword.arg) for keyword in node.keywords if _is_context(keyword.value, contexts)}
        if taken:
            yield node.func.id, frozenset(taken)
