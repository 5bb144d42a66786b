"""From an annotation, as an object or as text, to what it means by the type table."""

from __future__ import annotations

import ast
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ForwardRef, Literal, Optional, Union, get_args, get_origin

import annotated_types

from inscoper_mm.errors import did_you_mean, one_of
from inscoper_mm.scripting.kinds import HINT_TEXTS, KINDS, NO_RULES, Kind, Refused, Rules

# What a text annotation may name although the script did not import it.
_KNOWN_NAMES: Mapping[str, Any] = {
    "Annotated": Annotated,
    "List": typing.List,  # noqa: UP006
    "Literal": Literal,
    "Number": numbers.Number,
    "Optional": Optional,
    "Path": Path,
    "Union": Union,
    "pathlib": __import__("pathlib"),
    "typing": typing,
}
_SIMPLE = {kind.hint: kind for kind in KINDS.values() if kind.hint not in (Literal, list)}
_RANGE_KEYS = {"min": "minimum", "max": "maximum", "step": "step", "live": "live"}


@dataclass(frozen=True, slots=True)
class Hint:
    """The meaning of an annotation; ``text`` is how it is written."""

    kind: Kind
    text: str
    rules: Rules = NO_RULES
    optional: bool = False


def read_hint(annotation: Any, names: Mapping[str, Any]) -> Hint:
    """What ``annotation`` means.

    Parameters
    ----------
    annotation
        As ``inspect.signature`` gives it.
    names : mapping
        The script's globals, for annotations that are text.

    Raises
    ------
    Refused
        If the contract has no such hint.
    """
    text = hint_text(annotation)
    return replace(_read(annotation, names, text), text=text)


def hint_text(annotation: Any) -> str:
    """``annotation`` as its author wrote it, or nearly so."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _read(annotation: Any, names: Mapping[str, Any], text: str) -> Hint:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return _read_text(annotation.strip(), names, text)
    try:
        simple = _SIMPLE.get(annotation)
    except TypeError:  # unhashable: no hint of ours
        simple = None
    if simple is not None:
        return Hint(simple, text)
    reader = _COMPOSED.get(get_origin(annotation))
    if reader is None:
        raise _unknown(text)
    return reader(get_args(annotation), names, text)


def _read_text(annotation: str, names: Mapping[str, Any], text: str) -> Hint:
    if annotation in _SIMPLE:
        return Hint(_SIMPLE[annotation], text)
    try:
        tree = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        raise _unknown(text) from None
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        return _read_text(tree.value.strip(), names, text)
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        # "channel" | None cannot be evaluated: text has no |.
        sides = (_side(tree.left), _side(tree.right))
        return _union(sides, names, text)
    try:
        value = eval(annotation, {**_KNOWN_NAMES, **names})
    except Exception as error:  # noqa: BLE001  (any error means that this is no hint of the contract)
        raise _unknown(text, cure=f"Python cannot read it: {error}.") from None
    return _read(value, names, text)


def _side(tree: ast.expr) -> Any:
    is_none = isinstance(tree, ast.Constant) and tree.value is None
    return type(None) if is_none else ast.unparse(tree)


def _union(members: Iterable[Any], names: Mapping[str, Any], text: str) -> Hint:
    members = tuple(members)
    hints = [_read(member, names, text) for member in members if member is not type(None)]
    optional = len(hints) < len(members) or any(hint.optional for hint in hints)
    if len(hints) == 1:
        return replace(hints[0], optional=optional)
    if {hint.kind.name for hint in hints} <= {"int", "float", "number"}:
        return Hint(KINDS["number"], text, optional=optional)
    raise Refused(
        "A parameter has one hint; only None may be added to it.",
        got=text,
        cure="Write Optional[...] of one hint, or Literal[...].",
    )


def _literal(choices: tuple[Any, ...], names: Mapping[str, Any], text: str) -> Hint:
    given = tuple(choice for choice in choices if choice is not None)
    if not given or not all(isinstance(choice, str | int | float) for choice in given):
        raise Refused("The choices of a Literal must be text, numbers or booleans.", got=text)
    return Hint(KINDS["choice"], text, Rules(choices=given), optional=len(given) < len(choices))


def _list(items: tuple[Any, ...], names: Mapping[str, Any], text: str) -> Hint:
    item = _read(items[0], names, text) if len(items) == 1 else None
    if item is None or item.kind.name != "choice" or item.optional:
        raise _unknown(text, cure='A list takes choices: write List[Literal["a", "b"]].')
    return Hint(KINDS["choices"], text, item.rules)


def _annotated(parts: tuple[Any, ...], names: Mapping[str, Any], text: str) -> Hint:
    hint = _read(parts[0], names, text)
    changes: dict[str, Any] = {}
    for extra in parts[1:]:
        changes |= _range_of(extra, text)
    limits = [key for key in changes if key != "live"]
    if limits and not hint.kind.numeric:
        raise Refused("Only numbers have a range.", got=text)
    rules = replace(hint.rules, **changes)
    if rules.minimum is not None and rules.maximum is not None and rules.minimum > rules.maximum:
        raise Refused("The smallest value is larger than the largest.", got=text)
    return replace(hint, rules=rules)


def _range_of(extra: Any, text: str) -> dict[str, Any]:
    """What a part of ``Annotated`` says about the range; parts that are not about it are left alone."""
    if isinstance(extra, Mapping):
        return {_range_key(key, text): _range_value(key, value, text) for key, value in extra.items()}
    if isinstance(extra, annotated_types.GroupedMetadata):
        changes: dict[str, Any] = {}
        for part in extra:
            changes |= _range_of(part, text)
        return changes
    for kind, field, attribute, exclusive in _ANNOTATED_TYPES:
        if isinstance(extra, kind):
            return {field: getattr(extra, attribute)} | ({f"exclusive_{field}": True} if exclusive else {})
    return {}


def _range_key(key: Any, text: str) -> str:
    if key not in _RANGE_KEYS:
        raise Refused(
            f"A range has no '{key}'.",
            got=text,
            allowed=one_of(_RANGE_KEYS),
            suggestion=did_you_mean(key, _RANGE_KEYS),
        )
    return _RANGE_KEYS[key]


def _range_value(key: Any, value: Any, text: str) -> Any:
    if key == "live":
        if not isinstance(value, bool):
            raise Refused("'live' must be True or False.", got=text)
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise Refused(f"'{key}' must be a number.", got=text)
    return value


def _unknown(text: str, cure: str | None = None) -> Refused:
    near = did_you_mean(text.strip("'\""), [str(shown).strip('"') for shown in HINT_TEXTS])
    allowed = one_of([*HINT_TEXTS, "Optional[...]", "Annotated[...]"])
    return Refused("The contract has no such hint.", got=text, allowed=allowed, suggestion=near, cure=cure)


_ANNOTATED_TYPES = (
    (annotated_types.Ge, "minimum", "ge", False),
    (annotated_types.Gt, "minimum", "gt", True),
    (annotated_types.Le, "maximum", "le", False),
    (annotated_types.Lt, "maximum", "lt", True),
    (annotated_types.MultipleOf, "step", "multiple_of", False),
)
_COMPOSED: Mapping[Any, Callable[[tuple[Any, ...], Mapping[str, Any], str], Hint]] = {
    Union: _union,
    types.UnionType: _union,
    Literal: _literal,
    list: _list,
    Annotated: _annotated,
}
