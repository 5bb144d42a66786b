"""Reads the keys of one section of an experiment file, and finds everything that is wrong with them.

A reader never raises: it notes a finding, returns the default and goes on, so that one look shows all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inscoper_mm.errors import Finding, did_you_mean, one_of
from inscoper_mm.experiment.document import Document, KeyPath, shown

# Characters that a file name cannot have on Windows.
_NOT_IN_FILE_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_FLAGS = {"yes": True, "on": True, "no": False, "off": False}
_MISSING = object()


class Section:
    """One mapping of the file.

    Parameters
    ----------
    document : Document
    path : KeyPath
        Where the mapping stands.
    value : object
        Its value; anything but a mapping (or nothing) is a finding.
    findings : list of Finding
        Where findings go; shared by all sections of a file.
    """

    def __init__(self, document: Document, path: KeyPath, value: Any, findings: list[Finding]) -> None:
        self.document = document
        self.path = path
        self.findings = findings
        self._known: dict[str, None] = {}
        self._missing: dict[str, str | None] = {}
        self._given = value is not None
        if value is not None and not isinstance(value, Mapping):
            self.refuse(None, "must be a mapping of keys and values.", got=shown(value))
            value = None
        self._values: Mapping[str, Any] = value or {}

    def __bool__(self) -> bool:
        """Whether the section is there."""
        return self._given

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are there, where they are the user's own names."""
        return tuple(self._values)

    def refuse(self, key: str | None, message: str, **fields: Any) -> None:
        """Note a finding at ``key``, or at the section itself."""
        path = self.path if key is None else (*self.path, key)
        self.findings.append(self.document.finding(path, message, **fields))

    def value(self, key: str) -> Any:
        """The raw value of ``key``; None if it is not there."""
        self._known[key] = None
        return self._values.get(key)

    def need(self, key: str, cure: str | None = None) -> None:
        """Note that ``key`` is missing, unless it turns out to be misspelt."""
        self._missing[key] = cure

    def section(self, key: str) -> Section:
        """The mapping under ``key``."""
        return Section(self.document, (*self.path, key), self.value(key), self.findings)

    def items(self, key: str) -> Iterator[tuple[KeyPath, Any]]:
        """The items of the list under ``key``, with their paths."""
        value = self.value(key)
        if value is None:
            return
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.refuse(key, "must be a list.", got=shown(value))
            return
        for number, item in enumerate(value):
            yield (*self.path, key, number), item

    def text(self, key: str, default: str | None = None, required: bool = False) -> str | None:
        """The text under ``key``."""
        value = self.value(key)
        if value is None:
            if required:
                self.need(key)
            return default
        if not isinstance(value, str):
            cure = None if isinstance(value, Mapping | list) else f'Put it in quotes: "{value}".'
            self.refuse(key, "must be text.", got=shown(value), cure=cure)
            return default
        if not value.strip():
            self.refuse(key, "must not be empty.")
            return default
        return value

    def file_name(self, key: str, default: str) -> str:
        """The text under ``key``, which becomes part of file names."""
        name = self.text(key, default) or default
        bad = sorted(set(_NOT_IN_FILE_NAMES.findall(name)))
        if bad or name != name.strip(" .") or _RESERVED.fullmatch(name):
            reason = f"has {' '.join(bad)}" if bad else "is not allowed as such"
            cure = "Use letters, digits, blanks, '-' and '_'."
            self.refuse(key, f"the name becomes a folder's name, and {reason}.", got=shown(name), cure=cure)
        return name

    def number(self, key: str, default: float, low: float, above: bool = False) -> float:
        """The number under ``key``, at least (or ``above``) ``low``."""
        value = self.value(key)
        if value is None:
            return default
        allowed = f"a number above {low:g}" if above else f"a number of at least {low:g}"
        if not is_number(value) or value < low or (above and value == low):
            self.refuse(key, "is not a possible value.", got=shown(value), allowed=allowed)
            return default
        return float(value)

    def limit(self, key: str) -> float | None:
        """The number of at least 0 under ``key``; None if it is not there."""
        value = self.value(key)
        if value is None:
            return None
        if not is_number(value) or value < 0:
            self.refuse(key, "is not a possible limit.", got=shown(value), allowed="a number of at least 0")
            return None
        return float(value)

    def integer(self, key: str, default: int, low: int, high: int = 1 << 62) -> int:
        """The whole number under ``key``, from ``low`` to ``high``."""
        value = self.value(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            span = f"from {low} to {high}" if high < 1 << 62 else f"of at least {low}"
            allowed = f"a whole number {span}"
            self.refuse(key, "is not a possible value.", got=shown(value), allowed=allowed)
            return default
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """The truth value under ``key``."""
        value = self.value(key)
        if value is None:
            return default
        flag = as_flag(value)
        if flag is None:
            self.refuse(key, "must be true or false.", got=shown(value), allowed="true, false")
            return default
        return flag

    def choice(self, key: str, allowed: Sequence[str], default: str, later: Sequence[str] = ()) -> str:
        """One of ``allowed``; the values of ``later`` are documented, but not built yet."""
        value = self.value(key)
        if value is None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        self.refuse_choice(key, value, allowed, later)
        return default

    def refuse_choice(self, key: str, value: Any, allowed: Sequence[str], later: Sequence[str] = ()) -> None:
        """Note that ``value`` is none of ``allowed``, or not available yet."""
        fields: dict[str, Any] = {"got": shown(value), "allowed": one_of(allowed)}
        if isinstance(value, str) and value in later:
            self.refuse(key, f"'{value}' is not available yet.", **fields)
        else:
            self.refuse(key, "is none of the possible values.", suggestion=_near(value, allowed), **fields)

    def free(self, key: str) -> dict[str, Any]:
        """The mapping under ``key``, whose keys are the user's."""
        value = self.value(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(key, "must be a mapping of names and values.", got=shown(value))
            return {}
        return value

    def range(
        self, key: str, allowed: str = "[lowest, highest] in micrometres"
    ) -> tuple[float, float] | None:
        """The lowest and the highest value under ``key``, given as ``[low, high]``."""
        value = self.value(key)
        if value is None:
            return None
        pair = value if isinstance(value, list) else []
        if len(pair) != 2 or not all(is_number(each) for each in pair) or not pair[0] < pair[1]:
            self.refuse(key, "is not a range.", got=shown(value), allowed=allowed)
            return None
        return float(pair[0]), float(pair[1])

    def not_yet(self, *keys: str, cure: str | None = None) -> None:
        """Refuse documented keys that are not built yet."""
        for key in keys:
            if self.value(key) is not None:
                self.refuse(key, f"'{key}' is not available yet.", cure=cure)
        self._known = {key: None for key in self._known if key not in keys}
        self._values = {key: value for key, value in self._values.items() if key not in keys}

    def finish(self) -> None:
        """Refuse the keys that nobody asked for, and tell which are missing."""
        for key in self._values:
            if key not in self._known:
                suggestion = did_you_mean(key, self._known)
                self.refuse(key, f"unknown key '{key}'.", allowed=one_of(self._known), suggestion=suggestion)
                self._missing.pop(suggestion or "", None)
        for key, cure in self._missing.items():
            self.refuse(key, f"'{key}' is missing.", cure=cure)


def is_number(value: Any) -> bool:
    """Whether ``value`` is a number and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_flag(value: Any) -> bool | None:
    """``true``/``false``, or the words yes, no, on, off; None for anything else."""
    if isinstance(value, bool):
        return value
    return _FLAGS.get(value.lower()) if isinstance(value, str) else None


def _near(value: Any, allowed: Sequence[str]) -> str | None:
    return did_you_mean(value, allowed) if isinstance(value, str) else None
