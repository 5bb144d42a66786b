"""Reads the mappings of an experiment file into frozen values."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from typing import Any, TypeVar, cast

from inscoper_mm.errors import Finding, did_you_mean, one_of

_Values = TypeVar("_Values")
Limits = Mapping[str, tuple[float, float]]


class Reader:
    """Reads mappings into dataclasses and collects what is wrong.

    Parameters
    ----------
    file : str or None
        For the findings.
    limits : mapping of str to (low, high)
        Lowest and highest allowed value of the numbers of that name, in whatever dataclass.
    """

    def __init__(self, file: str | None, limits: Limits) -> None:
        self.file = file
        self.findings: list[Finding] = []
        self._limits = limits

    def read(self, kind: type[_Values], mapping: object, place: str) -> _Values | None:
        """``mapping`` as a ``kind``, or None where something is wrong with it."""
        if not isinstance(mapping, Mapping):
            self.reject(place, "must be a mapping of names to values.", mapping)
            return None
        known = typing.get_type_hints(kind)
        before = len(self.findings)
        for name in mapping:
            if name not in known:
                self._unknown(place, str(name), list(known))
        values = {
            name: self._value(known[name], mapping[name], f"{place}.{name}")
            for name in known
            if name in mapping
        }
        for field in fields(cast(Any, kind)):
            required = field.default is MISSING and field.default_factory is MISSING
            if required and field.name not in mapping:
                self.reject(f"{place}.{field.name}", "is missing.", None)
        return kind(**values) if len(self.findings) == before else None

    def _value(self, kind: Any, value: object, place: str) -> Any:
        """``value`` as a field's type asks for it."""
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return None if value is None else self._value(inner[0], value, place)
        if origin is tuple:
            return self._list(inner, value, place)
        if origin is not None and issubclass(origin, Mapping):
            return self._labelled(inner[1], value, place)
        if is_dataclass(kind):
            return self.read(cast("type[Any]", kind), value, place)
        read = {bool: self._flag, str: self._text}.get(kind, partial(self._number, whole=kind is int))
        return read(value, place)

    def _flag(self, value: object, place: str) -> bool:
        if not isinstance(value, bool):
            self.reject(place, "must be true or false.", value)
        return bool(value)

    def _text(self, value: object, place: str) -> str:
        if not isinstance(value, str):
            self.reject(place, "must be text.", value)
        return str(value)

    def _number(self, value: object, place: str, whole: bool) -> float:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            self.reject(place, "must be a whole number." if whole else "must be a number.", value)
            return 0
        name = place.rpartition(".")[2].partition("[")[0]
        low, high = self._limits.get(name, (-math.inf, math.inf))
        number = cast(float, value)
        if not (math.isfinite(number) and low <= number <= high):
            allowed = f"{low:g} to {high:g}" if math.isfinite(low) else "a finite number"
            self.reject(place, "is outside its limits.", value, allowed)
        return number if whole else float(number)

    def _list(self, kinds: tuple[Any, ...], value: object, place: str) -> tuple[Any, ...]:
        """A tuple of any length, of (kind, ...), or of one value for each kind."""
        items = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
        endless = kinds[-1] is Ellipsis
        if items is None or not (endless or len(items) == len(kinds)):
            self.reject(place, f"must be a list{'' if endless else f' of {len(kinds)}'}.", value)
            return ()
        return tuple(
            self._value(kinds[0] if endless else kinds[number], item, f"{place}[{number}]")
            for number, item in enumerate(items)
        )

    def _labelled(self, kind: Any, value: object, place: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            self.reject(place, "must be a mapping of labels to their values.", value)
            return {}
        return {str(label): self._value(kind, item, f"{place}.{label}") for label, item in value.items()}

    def _unknown(self, place: str, name: str, known: list[str]) -> None:
        self.findings.append(
            Finding(
                f"'{name}' is not a parameter of the specimen.",
                file=self.file,
                field=f"{place}.{name}",
                allowed=one_of(known),
                suggestion=did_you_mean(name, known),
            )
        )

    def reject(self, place: str, message: str, got: object, allowed: str | None = None) -> None:
        """Collect that the value at a place is wrong."""
        shown = None if got is None else repr(got)
        self.findings.append(
            Finding(f"The value {message}", file=self.file, field=place, got=shown, allowed=allowed)
        )
