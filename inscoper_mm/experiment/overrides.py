"""Values given on the command line (``--set acquisition.channels[0].exposure=50``) instead of in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.experiment.document import Document, Key, KeyPath, parse_document, path_text

_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


def apply_overrides(document: Document, overrides: Mapping[str, str]) -> None:
    """Put the values of ``overrides`` (key path -> YAML text) into ``document``.

    Raises
    ------
    InvalidInput
        A key path that cannot be read, or that leads through a value that has no parts.
    """
    findings: list[Finding] = []
    for key, text in overrides.items():
        origin = f"--set {key}"
        try:
            path = parse_path(key)
            value = parse_document(text, origin, document.folder).value
            document.value = _with(document.value, path, value, path)
            document.set_origin(path, origin)
        except InvalidInput as error:
            findings.extend(error.findings)
        except LookupError as error:
            findings.append(Finding(str(error.args[0]), file=origin))
    if findings:
        raise InvalidInput(findings)


def parse_path(text: str) -> KeyPath:
    """The key path that ``a.b[0].c`` (or ``a.b.0.c``) stands for. Raises LookupError if it is none."""
    steps: list[Key] = []
    end = 0
    for match in _STEP.finditer(text):
        if match.start() != end:
            break
        number, name = match.groups()
        steps.append(int(number) if number is not None else int(name) if name.isdecimal() else name)
        end = match.end()
    if not steps or end != len(text) or text.startswith("."):
        raise LookupError(f"'{text}' is not a key path such as acquisition.channels[0].exposure.")
    return tuple(steps)


def _with(container: Any, path: KeyPath, value: Any, whole: KeyPath) -> Any:
    """``container`` with ``value`` at ``path``; mappings that are not there yet are made."""
    if not path:
        return value
    key, *rest = path
    done = whole[: len(whole) - len(path)]
    if isinstance(container, list):
        if not isinstance(key, int) or key >= len(container):
            raise LookupError(
                f"{path_text(done)} has no item {key}; its items are 0 to {len(container) - 1}."
            )
        container[key] = _with(container[key], tuple(rest), value, whole)
        return container
    if container is None:
        container = {}
    if not isinstance(container, dict):
        raise LookupError(f"{path_text(done)} is a single value and has no '{key}'.")
    container[str(key)] = _with(container.get(str(key)), tuple(rest), value, whole)
    return container
