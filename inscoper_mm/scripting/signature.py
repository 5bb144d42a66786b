"""From a function's signature to its parameters, each with its hint, default, range and help."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inscoper_mm.errors import Finding
from inscoper_mm.scripting.docstrings import parameter_help
from inscoper_mm.scripting.hints import Hint, read_hint
from inscoper_mm.scripting.kinds import KINDS, Refused
from inscoper_mm.scripting.spec import Resources

_NO_RESOURCES = Resources()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a script's function.

    ``default`` is already converted; it means nothing where ``required``.
    """

    name: str
    hint: Hint
    required: bool = True
    default: Any = None
    help: str = ""
    positional_only: bool = False

    @property
    def kind(self) -> str:
        """The name of its row in the type table."""
        return self.hint.kind.name

    @property
    def injected(self) -> bool:
        """Whether the run gives the value, not the user."""
        return self.hint.kind.injected

    @property
    def annotation(self) -> str:
        """The hint as it is written."""
        return self.hint.text

    @property
    def optional(self) -> bool:
        """Whether None is a value."""
        return self.hint.optional or (not self.required and self.default is None)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The choices of a Literal; empty for other hints."""
        return self.hint.rules.choices

    @property
    def minimum(self) -> float | None:
        """The smallest value."""
        return self.hint.rules.minimum

    @property
    def maximum(self) -> float | None:
        """The largest value."""
        return self.hint.rules.maximum

    @property
    def step(self) -> float | None:
        """The step of a number box."""
        return self.hint.rules.step

    @property
    def live(self) -> bool:
        """Whether the value may be changed while running."""
        return self.hint.rules.live

    def validate(self, value: Any, resources: Resources = _NO_RESOURCES) -> Any:
        """``value`` converted to what the script gets, or a Finding if it is not taken."""
        if value is None and self.optional:
            return None
        try:
            return self.hint.kind.convert(value, self.hint.rules, resources)
        except Refused as refused:
            finding = refused.finding
            return replace(
                finding,
                parameter=self.name,
                got=finding.got or f"{value!r} ({type(value).__name__})",
                allowed=finding.allowed or self.allowed,
            )

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        words = self.hint.rules.range_text
        text = f"{self.hint.kind.wanted}, {words}" if words else self.hint.kind.wanted
        return f"{text}, or nothing" if self.optional else text

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""
        schema: dict[str, Any] = dict(self.hint.kind.schema) | self._range_schema()
        if self.kind == "choice":
            schema["enum"] = list(self.choices)
        if self.kind == "choices":
            schema["items"] = {"enum": list(self.choices)}
        if self.optional:
            schema = {"anyOf": [schema, {"type": "null"}]}
        if not self.required:
            schema["default"] = str(self.default) if isinstance(self.default, Path) else self.default
        if self.help:
            schema["description"] = self.help
        return schema

    def _range_schema(self) -> dict[str, float]:
        rules = self.hint.rules
        keys = {
            "exclusiveMinimum" if rules.exclusive_minimum else "minimum": rules.minimum,
            "exclusiveMaximum" if rules.exclusive_maximum else "maximum": rules.maximum,
        }
        return {key: value for key, value in keys.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """The parameter as JSON values."""
        values: dict[str, Any] = {"name": self.name, "kind": self.kind, "hint": self.annotation}
        if not self.injected:
            default = str(self.default) if isinstance(self.default, Path) else self.default
            values |= {"required": self.required, "default": default, "allowed": self.allowed}
            values |= {"choices": list(self.choices), "minimum": self.minimum, "maximum": self.maximum}
            values |= {"step": self.step, "live": self.live, "optional": self.optional, "help": self.help}
        return values


def read_parameters(
    function: Callable[..., Any], first_is_images: bool = False
) -> tuple[tuple[Parameter, ...], tuple[Finding, ...]]:
    """The parameters of a script's function, and what is wrong with them.

    Parameters
    ----------
    function : callable
    first_is_images : bool
        The first parameter without hint and default takes the images, as in an image provider.
    """
    plain = inspect.unwrap(function)
    names = plain.__globals__ if isinstance(plain, types.FunctionType) else {}
    texts = parameter_help(function.__doc__)
    parameters: list[Parameter] = []
    findings: list[Finding] = []
    for number, raw in enumerate(inspect.signature(function).parameters.values()):
        try:
            if first_is_images and number == 0 and raw.annotation is raw.empty and raw.default is raw.empty:
                hint = Hint(KINDS["images"], "")
            else:
                hint = _hint_of(raw, names)
            parameters.append(_parameter(raw, hint, texts.get(raw.name, "")))
        except Refused as refused:
            findings.append(replace(refused.finding, parameter=raw.name))
    return tuple(parameters), tuple(findings)


def _hint_of(raw: inspect.Parameter, names: Mapping[str, Any]) -> Hint:
    if raw.kind in (raw.VAR_POSITIONAL, raw.VAR_KEYWORD):
        raise Refused("Collected parameters cannot be filled.", cure="Name each parameter, with a hint.")
    if raw.annotation is not raw.empty:
        return read_hint(raw.annotation, names)
    if raw.default is raw.empty:
        raise Refused(
            "The parameter has neither hint nor default.", cure=f"Write '{raw.name}: int', for example."
        )
    # A path is a WindowsPath or PosixPath, a number a numpy scalar: the first row whose type fits.
    for name in ("bool", "path", "int", "float", "text"):
        if isinstance(raw.default, KINDS[name].hint):
            return Hint(KINDS[name], name)
    raise Refused(
        "The type of the default is no hint of the contract.",
        got=f"{raw.default!r} ({type(raw.default).__name__})",
        cure="Give the parameter a hint.",
    )


def _parameter(raw: inspect.Parameter, hint: Hint, text: str) -> Parameter:
    positional = raw.kind is raw.POSITIONAL_ONLY
    if raw.default is raw.empty or hint.kind.injected:
        return Parameter(raw.name, hint, required=True, help=text, positional_only=positional)
    parameter = Parameter(raw.name, hint, False, None, text, positional)
    if raw.default is None:
        return parameter
    default = parameter.validate(raw.default)
    if isinstance(default, Finding):
        raise Refused(
            f"The default does not fit the hint {hint.text}. {default.message}",
            got=default.got,
            allowed=default.allowed,
            suggestion=default.suggestion,
        )
    return Parameter(raw.name, hint, False, default, text, positional)
