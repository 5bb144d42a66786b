"""A YAML file as plain values that know the line they come from.

The values are those of YAML 1.2: ``on``, ``off``, ``yes`` and ``no`` are words, ``1:30`` is text (YAML 1.1
reads it as the number 90), dates are text, ``1e3`` is a number. Keys are text. Duplicate keys, tags and NaN
are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from inscoper_mm.errors import Finding, InvalidInput, short_path

Key = str | int
KeyPath = tuple[Key, ...]

# libyaml's loader is much faster, where PyYAML was built with it. Base loaders leave all scalars as text.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq")}
_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MOST_VALUES = 2_000_000
_DEEPEST = 60


def path_text(path: KeyPath) -> str:
    """``path`` as people write it: ``acquisition.channels[0].exposure``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def shown(value: Any) -> str:
    """``value`` as the text of a ``got`` field, shortened."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def plain_value(text: str) -> Any:
    """What ``text`` without quotes means. Raises ValueError for NaN and infinity."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) < 300:
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        raise ValueError(f"'{text}' is not a finite number.")
    return float(text) if _FLOAT.fullmatch(text) else text


class Document:
    """The values of a YAML file with their lines.

    Attributes
    ----------
    file : str
        The file's name as shown in findings.
    folder : Path
        What relative paths in the file are relative to.
    value : object
        Mappings, lists, text, numbers, booleans and None.
    """

    def __init__(self, file: str, folder: Path, value: Any, lines: Mapping[KeyPath, int]) -> None:
        self.file = file
        self.folder = folder
        self.value = value
        self._lines = dict(lines)
        self._origins: dict[KeyPath, str] = {}

    def set_origin(self, path: KeyPath, origin: str) -> None:
        """Values at and below ``path`` come from ``origin`` rather than from the file."""
        self._origins[path] = origin

    def place(self, path: KeyPath) -> tuple[str, int | None]:
        """File and line of ``path``, or of the nearest thing around it that is in the file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self._origins:
                return self._origins[path[:length]], None
            if path[:length] in self._lines:
                return self.file, self._lines[path[:length]]
        return self.file, None

    def finding(self, path: KeyPath, message: str, **fields: Any) -> Finding:
        """A finding at ``path``; ``fields`` are those of `Finding`."""
        file, line = self.place(path)
        return Finding(message, file=file, line=line, field=path_text(path) or None, **fields)


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises
    ------
    InvalidInput
        The file cannot be read or is not one YAML document of plain values.
    """
    file = short_path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(Finding(f"the file cannot be read: {error.strerror}.", file=file)) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(Finding("the file is not UTF-8 text.", file=file)) from error
    return parse_document(text, file, path.resolve().parent)


def parse_document(text: str, file: str, folder: Path) -> Document:
    """The values of YAML ``text``; ``file`` is its name in findings. Raises `InvalidInput`."""
    try:
        _refuse_depth(text, file)
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        raise InvalidInput(_syntax_finding(error, file)) from error
    if len(nodes) > 1:
        line = nodes[1].start_mark.line + 1
        raise InvalidInput(Finding("more than one YAML document in the file.", file=file, line=line))
    builder = _Builder(file)
    value = builder.build(nodes[0], ()) if nodes else None
    if builder.findings:
        raise InvalidInput(builder.findings)
    return Document(file, folder, value, builder.lines)


def _refuse_depth(text: str, file: str) -> None:
    """Values are composed recursively, by libyaml without any limit: a deep file would crash the program."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else None
            raise InvalidInput(Finding("the values are nested too deeply.", file=file, line=line))


def _syntax_finding(error: yaml.YAMLError, file: str) -> Finding:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    cure = "YAML is indented with blanks, never with tabs." if "\\t" in str(problem) else None
    line = mark.line + 1 if mark is not None else None
    return Finding(f"not valid YAML: {problem}.", file=file, line=line, cure=cure)


class _Builder:
    """Turns YAML nodes into values and remembers the line of each."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[KeyPath, int] = {}
        self.findings: list[Finding] = []
        self._inside: list[yaml.Node] = []
        self._count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        self.lines.setdefault(path, node.start_mark.line + 1)
        if self._count > _MOST_VALUES:
            raise InvalidInput(Finding(f"more than {_MOST_VALUES:,} values.", file=self.file))
        if node.tag not in _PLAIN_TAGS:
            return self._refuse(node, path, f"the YAML tag '{node.tag}' is not supported.")
        if any(node is outer for outer in self._inside):
            return self._refuse(node, path, "the value contains itself.")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._inside.append(node)
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        self._inside.pop()
        return value

    def _list(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        return [self.build(item, (*path, number)) for number, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, path, "a key must be one word or quoted text.")
            elif key.value == "<<" and not key.style:
                continue
            elif key.value in values:
                self._refuse(key, (*path, key.value), f"the key '{key.value}' is given twice.")
            else:
                self.lines[(*path, key.value)] = key.start_mark.line + 1
                values[key.value] = self.build(item, (*path, key.value))
        for base in _merged(node):
            for name, value in self._merge(base, path).items():
                values.setdefault(name, value)
        return values

    def _merge(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        value = self.build(node, path)
        if isinstance(value, dict):
            return value
        self._refuse(node, path, "'<<' takes a mapping or a list of mappings.")
        return {}

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text: str = node.value
        if node.style:
            return text
        try:
            return plain_value(text)
        except ValueError as error:
            return self._refuse(node, path, str(error))

    def _refuse(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        line = node.start_mark.line + 1
        self.findings.append(Finding(message, file=self.file, line=line, field=path_text(path) or None))


def _merged(node: yaml.MappingNode) -> Iterator[yaml.Node]:
    """The mappings that ``<<`` adds to ``node``, the first the strongest."""
    for key, item in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style:
            yield from item.value if isinstance(item, yaml.SequenceNode) else (item,)


def errors_first(findings: Iterable[Finding]) -> list[Finding]:
    """``findings`` in the order of the file."""
    return sorted(findings, key=lambda finding: (finding.file or "", finding.line or 0))
