"""The ids of sub-devices: readable text that leads back to one device, whatever its label looks like.

An id is one to three names with dots between them: ``Objective``, ``XY.X``, ``Laser405Power.Volts``. A name is
written as it is, blanks and colons included, unless that could be misread: a name with a dot, a quotation mark,
blanks at an end, or characters that cannot be seen is written in quotation marks, as JSON writes text:
``" Laser 1.5"."Power (%)"``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

# One name and what follows it: a dot, or the end.
_NAME = re.compile(r'("(?:[^"\\]|\\.)*"|[^."]+)(\.|\Z)', re.DOTALL)


def make_id(*names: str) -> str:
    """The id of ``names``: a device label, and as far as needed a part of the device."""
    return ".".join(_written(name) for name in names)


def split_id(text: str) -> tuple[str, ...]:
    """The names that `make_id` made ``text`` from.

    Raises
    ------
    ValueError
        The text is no id.
    """
    return tuple(_names(text))


def plain_id(*names: str) -> str:
    """``names`` as people may write them, without quotation marks; not always unique."""
    return ".".join(names)


def _written(name: str) -> str:
    if name and name == name.strip() and name.isprintable() and not set(name) & set('."'):
        return name
    quoted = json.dumps(name, ensure_ascii=False)
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in quoted)


def _names(text: str) -> Iterator[str]:
    at, dot = 0, "."
    while dot:
        found = _NAME.match(text, at)
        if found is None:
            raise ValueError(f"{text!r} is not the id of a sub-device.")
        name, dot, at = found[1], found[2], found.end()
        yield json.loads(name) if name.startswith('"') else name
