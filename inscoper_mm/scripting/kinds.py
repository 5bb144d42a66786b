"""The type table: for every hint what values it takes, how they are converted, and their JSON Schema.

The experiment file's validation, ``--help``, the JSON Schema and the widgets all read this one table.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inscoper_mm.errors import Finding, did_you_mean, one_of
from inscoper_mm.scripting.spec import Resources
from inscoper_mm.scripting.vocabulary import CHANNEL, CHANNEL_KEYS, CONTEXT, IMAGES, SUB_DEVICE


class Refused(Exception):
    """A value or a hint is not taken; ``finding`` says why, without its place."""

    def __init__(
        self,
        message: str,
        got: str | None = None,
        allowed: str | None = None,
        suggestion: str | None = None,
        cure: str | None = None,
    ) -> None:
        self.finding = Finding(message, got=got, allowed=allowed, suggestion=suggestion, cure=cure)
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a hint says beyond its kind. ``step`` is the widget's; values between steps are taken."""

    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    step: float | None = None
    live: bool = False

    @property
    def range_text(self) -> str | None:
        """The range in words, or None if there is none."""
        parts = []
        if self.minimum is not None:
            parts.append(f"{'more than' if self.exclusive_minimum else 'at least'} {self.minimum:g}")
        if self.maximum is not None:
            parts.append(f"{'less than' if self.exclusive_maximum else 'at most'} {self.maximum:g}")
        return ", ".join(parts) or None


NO_RULES = Rules()
Convert = Callable[[Any, Rules, Resources], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the table.

    ``hint`` is the annotation that means it (a type or a word of the contract), ``text`` how a script's
    author writes it, ``wanted`` the values in words, ``schema`` the JSON Schema without range and choices.
    """

    name: str
    hint: Any
    text: str
    wanted: str
    schema: Mapping[str, Any]
    convert: Convert
    numeric: bool = False
    injected: bool = False


def _bool(value: Any, rules: Rules, resources: Resources) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise Refused("The value must be true or false.", cure="Write true or false, without quotes.")
    return bool(value)


def _int(value: Any, rules: Rules, resources: Resources) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        whole = isinstance(value, float) and value.is_integer()
        raise Refused("The value must be an integer.", cure=f"Write {int(value)}." if whole else None)
    _in_range(int(value), rules)
    return int(value)


def _number(value: Any, rules: Rules, resources: Resources) -> int | float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise Refused("The value must be a number.", cure=_number_cure(value))
    plain = int(value) if isinstance(value, numbers.Integral) else float(value)
    if not math.isfinite(plain):
        raise Refused("The value must be a finite number.", allowed=rules.range_text)
    _in_range(plain, rules)
    return plain


def _float(value: Any, rules: Rules, resources: Resources) -> float:
    return float(_number(value, rules, resources))


def _number_cure(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    # YAML 1.1 takes 1e-3 for text: a mantissa needs its point.
    text = f"{number:g}"
    return f"Write {text if 'e' not in text or '.' in text else text.replace('e', '.0e')}, without quotes."


def _in_range(value: float, rules: Rules) -> None:
    low, high = rules.minimum, rules.maximum
    below = low is not None and (value <= low if rules.exclusive_minimum else value < low)
    above = high is not None and (value >= high if rules.exclusive_maximum else value > high)
    if below or above:
        raise Refused("The value is outside its range.", allowed=rules.range_text)


def _text(value: Any, rules: Rules, resources: Resources) -> str:
    if not isinstance(value, str):
        plain = isinstance(value, int | float)
        raise Refused("The value must be text.", cure=f'Write "{value}", in quotes.' if plain else None)
    return value


def _path(value: Any, rules: Rules, resources: Resources) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise Refused("The value must be the path of a file or folder.")
    return Path(value).expanduser()


def _choice(value: Any, rules: Rules, resources: Resources) -> Any:
    for choice in rules.choices:
        # True == 1, and a choice of 1 must not take it.
        if value == choice and isinstance(value, bool) == isinstance(choice, bool):
            return choice
    raise Refused(
        "The value is not one of the choices.",
        allowed=one_of(rules.choices),
        suggestion=did_you_mean(value, rules.choices),
    )


def _choices(value: Any, rules: Rules, resources: Resources) -> list[Any]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise Refused(
            "The value must be a list of choices.", allowed=one_of(rules.choices), cure=f"Write [{value}]."
        )
    chosen = [_choice(item, rules, resources) for item in value]
    twice = [choice for number, choice in enumerate(chosen) if choice in chosen[:number]]
    if twice:
        raise Refused(f"The choice {twice[0]!r} is given twice.", allowed=one_of(rules.choices))
    return chosen


def _sub_device(value: Any, rules: Rules, resources: Resources) -> str:
    if not isinstance(value, str) or not value:
        raise Refused("The value must be the id of a sub-device (text).")
    known = resources.sub_devices
    own = value in (known or ()) or value in resources.other_names
    plain = value if own else resources.aliases.get(value, value)
    plain = resources.other_names.get(plain, plain)
    if known is not None and plain not in known and not plain.startswith(resources.open_devices):
        names = [*resources.aliases, *known]
        raise Refused(
            "There is no such sub-device.", allowed=one_of(names), suggestion=did_you_mean(value, names)
        )
    return plain


def _channel(value: Any, rules: Rules, resources: Resources) -> dict[str, Any]:
    channel = channel_value(value)
    if resources.channels is None:
        return channel
    name = channel["config"]
    for known in resources.channels:
        if known["config"] == name and channel["group"] in (None, known.get("group")):
            return {key: known.get(key) if item is None else item for key, item in channel.items()}
    names = [known["config"] for known in resources.channels]
    if not names:
        raise Refused("The configuration has no group of presets, and so no channel.")
    raise Refused("There is no such channel.", allowed=one_of(names), suggestion=did_you_mean(name, names))


def channel_value(value: Any) -> dict[str, Any]:
    """A channel as a script gets it: a dict with ``group config exposure z_offset``, None where not given."""
    if isinstance(value, str) and value:
        value = {"config": value}
    if not isinstance(value, Mapping):
        raise Refused(
            "The value must be the name of a channel.", cure="Or write {config: NAME, exposure: MS}."
        )
    unknown = [key for key in value if key not in CHANNEL_KEYS]
    if unknown:
        raise Refused(
            f"A channel has no '{unknown[0]}'.",
            allowed=one_of(CHANNEL_KEYS),
            suggestion=did_you_mean(unknown[0], CHANNEL_KEYS),
        )
    channel = {key: value.get(key) for key in CHANNEL_KEYS}
    if not isinstance(channel["config"], str) or not channel["config"]:
        raise Refused("A channel needs the name of its preset.", cure="Write {config: NAME}.")
    for key in ("exposure", "z_offset"):
        if channel[key] is not None:
            channel[key] = _float(channel[key], Rules(minimum=0 if key == "exposure" else None), Resources())
    return channel


def _injected(value: Any, rules: Rules, resources: Resources) -> Any:
    raise Refused("The value is given by the run.", cure="Leave this parameter out.")


_CHANNEL_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "group": {"type": ["string", "null"]},
                "config": {"type": "string"},
                "exposure": {"type": ["number", "null"], "minimum": 0},
                "z_offset": {"type": ["number", "null"]},
            },
            "required": ["config"],
            "additionalProperties": False,
        },
    ],
}

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("images", IMAGES, '"images"', "the fetched images", {}, _injected, injected=True),
        Kind("context", CONTEXT, '"IIS_CONTEXT"', "the context", {}, _injected, injected=True),
        Kind(
            "sub_device",
            SUB_DEVICE,
            '"SubDeviceId"',
            "the id of a sub-device",
            {"type": "string"},
            _sub_device,
        ),
        Kind("channel", CHANNEL, '"channel"', "the name of a channel", _CHANNEL_SCHEMA, _channel),
        Kind("choice", Literal, 'Literal["a", "b"]', "one of the choices", {}, _choice),
        Kind(
            "choices",
            list,
            'List[Literal["a", "b"]]',
            "some of the choices",
            {"type": "array", "uniqueItems": True},
            _choices,
        ),
        Kind("path", Path, "Path", "a file or folder", {"type": "string", "format": "path"}, _path),
        Kind("bool", bool, "bool", "true or false", {"type": "boolean"}, _bool),
        Kind("int", int, "int", "an integer", {"type": "integer"}, _int, numeric=True),
        Kind("float", float, "float", "a number", {"type": "number"}, _float, numeric=True),
        Kind("number", numbers.Number, "Number", "a number", {"type": "number"}, _number, numeric=True),
        Kind("text", str, "str", "text", {"type": "string"}, _text),
    )
}
# Their values are names of what is connected.
NAMED_KINDS = ("sub_device", "channel")
HINT_TEXTS = tuple(kind.text for kind in KINDS.values())
