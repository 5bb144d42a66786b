"""Makes one useq value from one mapping of the file, strictly: useq itself accepts unknown keys and more.

Where useq knows several kinds of plan under one key, the one with the most keys in common is meant, and only
its mistakes are told.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from inscoper_mm.errors import Finding, did_you_mean, one_of
from inscoper_mm.experiment.document import Document, KeyPath, shown
from inscoper_mm.experiment.reader import as_flag, is_number

if TYPE_CHECKING:
    from pydantic import BaseModel

# Keys that useq knows and that no run obeys; they are refused rather than ignored.
NOT_RUN: Mapping[str, tuple[str, ...]] = {
    "Channel": ("camera",),
    **dict.fromkeys(("TIntervalLoops", "TIntervalDuration", "TDurationLoops"), ("prioritize_duration",)),
    "AbsolutePosition": ("properties", "plate_row", "plate_col", "grid_row", "grid_col"),
    "RelativePosition": (
        *("z", "sequence", "properties", "fov_width", "fov_height"),
        *("plate_row", "plate_col", "grid_row", "grid_col"),
    ),
}
_DURATION = "seconds, 'hours:minutes:seconds', or a mapping such as {minutes: 5}"
_CLOCK = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d(?:\.\d+)?)")
_DURATION_UNITS = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds")


class ValueReader:
    """Makes useq values and notes findings.

    Parameters
    ----------
    document : Document
    findings : list of Finding
        Where findings go.
    """

    def __init__(self, document: Document, findings: list[Finding]) -> None:
        self.document = document
        self.findings = findings

    def refuse(self, path: KeyPath, message: str, **fields: Any) -> None:
        """Note a finding at ``path``."""
        self.findings.append(self.document.finding(path, message, **fields))

    def read(self, path: KeyPath, raw: Any, models: Sequence[type[BaseModel]], **given: Any) -> Any:
        """The value of the best of ``models`` for ``raw``, or None with findings.

        ``given`` are fields that were read elsewhere; their keys are left alone here.
        """
        if not isinstance(raw, Mapping):
            allowed = " | ".join(_required(model) for model in models)
            self.refuse(path, "must be a mapping of keys and values.", got=shown(raw), allowed=allowed)
            return None
        before = len(self.findings)
        model = max(models, key=lambda each: _likeness(each, raw))
        unknown = tuple(self._unknown(path, raw, model, models))
        values = {
            key: self._scalar((*path, key), value, model.model_fields[key].annotation)
            for key, value in raw.items()
            if key in _keys(model) and key not in given
        }
        faulty = {finding.field for finding in self.findings[before:]}
        return self._validate(path, model, values | given, unknown, faulty, len(self.findings) == before)

    def _unknown(
        self, path: KeyPath, raw: Mapping[str, Any], model: type[BaseModel], models: Sequence[type[BaseModel]]
    ) -> Iterator[str]:
        """Refuse the keys that ``model`` does not have; yields the keys that were probably meant."""
        for key in raw:
            if key in _keys(model):
                continue
            if key in NOT_RUN.get(model.__name__, ()):
                self.refuse((*path, key), f"'{key}' is not available yet.", allowed=one_of(_keys(model)))
                continue
            near = did_you_mean(key, _keys(model))
            fitting = [other for other in models if key in _keys(other)]
            if fitting:
                kinds = " | ".join(_required(other) for other in models)
                self.refuse((*path, key), f"'{key}' does not go with the other keys.", allowed=kinds)
            else:
                allowed = one_of(_keys(model))
                self.refuse((*path, key), f"unknown key '{key}'.", allowed=allowed, suggestion=near)
            if near:
                yield near

    def _validate(
        self,
        path: KeyPath,
        model: type[BaseModel],
        values: dict[str, Any],
        meant: Sequence[str],
        faulty: set[str | None],
        clean: bool,
    ) -> Any:
        from pydantic import ValidationError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                value = model.model_validate(values)
        except ValidationError as error:
            for fault in error.errors():
                self._pydantic_finding(path, fault, meant, faulty)
            return None
        except (TypeError, LookupError, ArithmeticError, UserWarning) as error:
            # useq's own validators let these through, and only warn of values that they change.
            self.refuse(path, f"is not possible: {error}.")
            return None
        return value if clean else None

    def _pydantic_finding(
        self, path: KeyPath, fault: Any, meant: Sequence[str], faulty: set[str | None]
    ) -> None:
        key = str(fault["loc"][0]) if fault["loc"] else ""
        where = (*path, key) if key else path
        finding = self.document.finding(where, "")
        if (fault["type"] == "missing" and key in meant) or finding.field in faulty:
            return
        message, allowed = _explain(fault, key)
        got = None if fault["type"] == "missing" else shown(fault["input"])
        expected = re.findall(r"'([^']+)'", allowed or "") if fault["type"] == "enum" else []
        self.refuse(
            where, message, got=got, allowed=allowed, suggestion=did_you_mean(fault["input"], expected)
        )

    def _scalar(self, path: KeyPath, value: Any, annotation: Any) -> Any:
        """``value`` as the field's type wants it; wrong types are findings, where pydantic would convert."""
        kind = _kind(annotation)
        if value is None or kind is None:
            return value
        if kind is timedelta:
            return self.duration(path, value)
        if kind is bool:
            flag = as_flag(value)
            if flag is None:
                self.refuse(path, "must be true or false.", got=shown(value), allowed="true, false")
            return flag
        if kind is str and not isinstance(value, str):
            self.refuse(path, "must be text.", got=shown(value), cure=f'Put it in quotes: "{shown(value)}".')
        elif kind in (int, float) and not all(is_number(leaf) for leaf in _leaves(value)):
            allowed = "a whole number" if kind is int else "numbers without quotes and units"
            self.refuse(path, "is not a number.", got=shown(value), allowed=allowed)
        return value

    def duration(self, path: KeyPath, raw: Any) -> timedelta | None:
        """A time span given as seconds, as ``h:mm:ss`` or as a mapping of units."""
        span = _timedelta(raw)
        if span is None:
            self.refuse(path, "is not a time span.", got=shown(raw), allowed=_DURATION)
        return span


def _explain(fault: Any, key: str) -> tuple[str, str | None]:
    """Message and ``allowed`` of a pydantic error."""
    context = fault.get("ctx") or {}
    match fault["type"]:
        case "missing":
            return f"'{key}' is missing.", None
        case "greater_than":
            return "is not a possible value.", f"above {context['gt']:g}"
        case "greater_than_equal":
            return "is not a possible value.", f"at least {context['ge']:g}"
        case "enum":
            return "is none of the possible values.", str(context["expected"]).replace(" or ", ", ")
        case "int_from_float":
            return "is not a possible value.", "a whole number"
        case "value_error":
            return f"{str(context['error']).rstrip('.')}.", None
    return f"{fault['msg']}.", None


def _timedelta(raw: Any) -> timedelta | None:
    try:
        if is_number(raw):
            span = timedelta(seconds=raw)
        elif isinstance(raw, Mapping) and raw and set(raw) <= set(_DURATION_UNITS):
            if not all(is_number(value) for value in raw.values()):
                return None
            span = timedelta(**raw)
        elif isinstance(raw, str) and (clock := _CLOCK.fullmatch(raw.strip())):
            hours, minutes, seconds = clock.groups()
            span = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))
        else:
            return None
    except OverflowError:
        return None
    return span if span >= timedelta(0) else None


def _keys(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of ``model`` that a run obeys."""
    return tuple(key for key in model.model_fields if key not in NOT_RUN.get(model.__name__, ()))


def _required(model: type[BaseModel]) -> str:
    needed = [key for key, field in model.model_fields.items() if field.is_required()]
    return ", ".join(needed) or ", ".join(_keys(model))


def _likeness(model: type[BaseModel], raw: Mapping[str, Any]) -> tuple[int, int]:
    """How well the keys of ``raw`` fit: keys in common, required keys that are not missing."""
    missing = [key for key, field in model.model_fields.items() if field.is_required() and key not in raw]
    return sum(key in _keys(model) for key in raw), -len(missing)


def _kind(annotation: Any) -> type | None:
    """The one plain type that ``annotation`` is made of (``float`` for ``list[tuple[float, float]]``)."""
    if get_origin(annotation) in (Union, UnionType, list, tuple):
        kinds = {_kind(part) for part in get_args(annotation) if part not in (NoneType, Ellipsis)}
        return kinds.pop() if len(kinds) == 1 else None
    plain = isinstance(annotation, type) and not issubclass(annotation, Enum)
    return annotation if plain and annotation in (float, int, bool, str, timedelta) else None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
