"""Every hint of the contract: what it takes, what it refuses, its schema."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from inscoper_mm.errors import Finding
from inscoper_mm.scripting.loader import Resources, Script
from inscoper_mm.scripting.signature import Parameter

IMPORTS = """
from numbers import Number
from pathlib import Path
import pathlib, typing, annotated_types
from typing import Annotated, List, Literal, Optional, Union
"""


@pytest.fixture
def parameter(load: Callable[..., Script]) -> Callable[..., Parameter]:
    """``parameter('x: int = 3')``: the parameter ``x`` of a processing function."""

    def parameter(text: str, first_line: str = "") -> Parameter:
        code = f'{first_line}\n{IMPORTS}\ndef process(images: "images", *, {text}):\n    pass\n'
        script = load(code, values=False)
        return next(p for p in script.process.parameters if p.name == "x")

    return parameter


@pytest.mark.parametrize("first_line", ["", "from __future__ import annotations"])
@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        ('"SubDeviceId"', "sub_device"),
        ('"channel"', "channel"),
        ('Literal["a", "b"]', "choice"),
        ("Literal[1, 2]", "choice"),
        ('typing.Literal["a"]', "choice"),
        ('List[Literal["a", "b"]]', "choices"),
        ('list[Literal["a", "b"]]', "choices"),
        ("Path", "path"),
        ("pathlib.Path", "path"),
        ("bool", "bool"),
        ("int", "int"),
        ("float", "float"),
        ("Number", "number"),
        ("int | float", "number"),
        ("str", "text"),
        ('"int"', "int"),
        ('"Path"', "path"),
        ("\"Literal['a', 'b']\"", "choice"),
        ('Annotated[int, {"min": 1}]', "int"),
        ('Annotated["channel", {"live": True}]', "channel"),
    ],
)
def test_every_hint_is_known(
    parameter: Callable[..., Parameter], hint: str, kind: str, first_line: str
) -> None:
    found = parameter(f"x: {hint}", first_line)
    assert found.kind == kind
    assert found.required
    assert not found.optional


@pytest.mark.parametrize("first_line", ["", "from __future__ import annotations"])
@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        ("Optional[int]", "int"),
        ("int | None", "int"),
        ("Union[None, float]", "float"),
        ('Optional["SubDeviceId"]', "sub_device"),
        ('Optional["channel"]', "channel"),
        ('Optional[Literal["a"]]', "choice"),
        ('Literal["a", None]', "choice"),
        ('Optional[List[Literal["a"]]]', "choices"),
        ("Optional[Path]", "path"),
        ('Annotated[Optional[int], {"min": 1}]', "int"),
        ("Optional[Annotated[int, annotated_types.Ge(1)]]", "int"),
        ("\"Optional['channel']\"", "channel"),
    ],
)
def test_optional_hints_take_none(
    parameter: Callable[..., Parameter], hint: str, kind: str, first_line: str
) -> None:
    found = parameter(f"x: {hint}", first_line)
    assert (found.kind, found.optional, found.validate(None)) == (kind, True, None)


def test_a_word_or_none_needs_no_import_of_annotations(parameter: Callable[..., Parameter]) -> None:
    found = parameter('x: "channel" | None = None', "from __future__ import annotations")
    assert (found.kind, found.optional) == ("channel", True)


def test_words_need_no_import_and_no_quotes_where_annotations_are_text(
    load: Callable[..., Script],
) -> None:
    script = load(
        """
        from __future__ import annotations
        def process(stack: images, context: IIS_CONTEXT, mode: Literal["a"] = "a", where: Path = "x"):
            pass
        """
    )
    assert [p.kind for p in script.process.parameters] == ["images", "context", "choice", "path"]


CHANNEL = {"group": None, "config": "DAPI", "exposure": None, "z_offset": None}


@pytest.mark.parametrize(
    ("hint", "value", "converted"),
    [
        ("bool", True, True),
        ("bool", False, False),
        ("bool", np.bool_(True), True),
        ("int", 5, 5),
        ("int", -5, -5),
        ("int", 0, 0),
        ("int", np.int64(5), 5),
        ("float", 1.5, 1.5),
        ("float", 2, 2.0),
        ("float", np.float32(0.5), 0.5),
        ("Number", 2, 2),
        ("Number", 2.5, 2.5),
        ("str", "text", "text"),
        ("str", "", ""),
        ("Path", "a/b.tif", Path("a/b.tif")),
        ("Path", Path("a"), Path("a")),
        ("Path", "~", Path("~").expanduser()),
        ('Literal["a", "b"]', "b", "b"),
        ("Literal[1, 2]", 2, 2),
        ("Literal[0.5, 1.0]", 1, 1.0),
        ("Literal[True, 2]", True, True),
        ('List[Literal["a", "b"]]', ["b", "a"], ["b", "a"]),
        ('List[Literal["a", "b"]]', ("a",), ["a"]),
        ('List[Literal["a", "b"]]', [], []),
        ('"channel"', "DAPI", CHANNEL),
        ('"channel"', {"config": "DAPI"}, CHANNEL),
        ('"channel"', {"config": "DAPI", "exposure": 10, "z_offset": -1.5, "group": "Channel"},
         {"group": "Channel", "config": "DAPI", "exposure": 10.0, "z_offset": -1.5}),
        ('"SubDeviceId"', "XY.X", "XY.X"),
        ('"SubDeviceId"', " DStage: 1", " DStage: 1"),
        ('Annotated[int, {"min": 1, "max": 3}]', 1, 1),
        ('Annotated[int, {"min": 1, "max": 3}]', 3, 3),
        ("Annotated[float, annotated_types.Gt(0)]", 0.001, 0.001),
        ("Annotated[float, annotated_types.Interval(ge=0, lt=1)]", 0.0, 0.0),
        ('Annotated[int, "in pixels"]', 7, 7),
    ],
)  # fmt: skip
def test_values_are_converted(
    parameter: Callable[..., Parameter], hint: str, value: Any, converted: Any
) -> None:
    found = parameter(f"x: {hint}").validate(value)
    assert found == converted
    assert type(found) is type(converted)


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        ("bool", 1, ["must be true or false", "without quotes"]),
        ("bool", "yes", ["must be true or false"]),
        ("int", True, ["must be an integer", "True (bool)"]),
        ("int", 2.0, ["must be an integer", "Write 2."]),
        ("int", 2.5, ["must be an integer", "2.5 (float)"]),
        ("int", "2", ["must be an integer", "'2' (str)"]),
        ("int", None, ["must be an integer", "None (NoneType)"]),
        ("float", True, ["must be a number"]),
        ("float", math.nan, ["must be a finite number"]),
        ("float", math.inf, ["must be a finite number"]),
        ("float", "1e-3", ["must be a number", "Write 0.001, without quotes"]),
        ("float", "1e-9", ["Write 1.0e-09, without quotes"]),
        ("float", "abc", ["must be a number"]),
        ("Number", False, ["must be a number"]),
        ("Number", 1j, ["must be a number"]),
        ("Number", math.nan, ["must be a finite number"]),
        ("str", 3, ["must be text", 'Write "3", in quotes']),
        ("str", ["a"], ["must be text"]),
        ("Path", 3, ["must be the path"]),
        ("Path", "", ["must be the path"]),
        ('Literal["fast", "slow"]', "fats", ["not one of the choices", "fast, slow", "Did you mean 'fast'?"]),
        ('Literal["a"]', ["a"], ["not one of the choices"]),
        ("Literal[1, 2]", True, ["not one of the choices"]),
        ("Literal[1, 2]", "1", ["not one of the choices", "Did you mean '1'?"]),
        ('List[Literal["a", "b"]]', "a", ["must be a list", "Write [a]"]),
        ('List[Literal["a", "b"]]', ["c"], ["not one of the choices", "a, b"]),
        ('List[Literal["a", "b"]]', ["a", "a"], ["'a' is given twice"]),
        ('"channel"', 3, ["must be the name of a channel"]),
        ('"channel"', "", ["must be the name of a channel"]),
        ('"channel"', {"exposure": 3}, ["needs the name of its preset"]),
        ('"channel"', {"confg": "DAPI"}, ["no 'confg'", "Did you mean 'config'?"]),
        ('"channel"', {"config": "DAPI", "exposure": -1}, ["outside its range", "at least 0"]),
        ('"channel"', {"config": "DAPI", "exposure": "x"}, ["must be a number"]),
        ('"SubDeviceId"', 3, ["must be the id"]),
        ('"SubDeviceId"', "", ["must be the id"]),
        (
            'Annotated[int, {"min": 1, "max": 3}]',
            0,
            ["outside its range", "at least 1, at most 3", "0 (int)"],
        ),
        ('Annotated[int, {"min": 1, "max": 3}]', 4, ["outside its range"]),
        ("Annotated[float, annotated_types.Gt(0)]", 0, ["outside its range", "more than 0"]),
        ("Annotated[float, annotated_types.Interval(ge=0, lt=1)]", 1, ["at least 0, less than 1"]),
        ("Optional[int]", "a", ["must be an integer", "or nothing"]),
    ],
)
def test_wrong_values_are_findings(
    parameter: Callable[..., Parameter], hint: str, value: Any, words: list[str]
) -> None:
    found = parameter(f"x: {hint}").validate(value)
    assert isinstance(found, Finding)
    assert found.parameter == "x"
    for word in words:
        assert word in str(found)


KNOWN = Resources(
    channels=(
        {"group": "Channel", "config": "DAPI", "exposure": 20.0, "z_offset": 0.0},
        {"group": "Channel", "config": "FITC", "exposure": 50.0, "z_offset": 1.0},
    ),
    sub_devices=("XY.X", "Z", "Laser488"),
    aliases={"Laser 488nm": "Laser488"},
)


def test_what_is_connected_fills_in_a_channel(parameter: Callable[..., Parameter]) -> None:
    channel = parameter('x: "channel"')
    assert channel.validate("FITC", KNOWN) == KNOWN.channels[1]  # type: ignore[index]
    assert channel.validate({"config": "FITC", "exposure": 5}, KNOWN)["exposure"] == 5.0
    refusal = channel.validate("FTIC", KNOWN)
    assert (refusal.allowed, refusal.suggestion) == ("DAPI, FITC", "FITC")
    assert isinstance(channel.validate({"config": "FITC", "group": "Other"}, KNOWN), Finding)


def test_what_is_connected_names_the_sub_devices(parameter: Callable[..., Parameter]) -> None:
    device = parameter('x: "SubDeviceId"')
    assert device.validate("Z", KNOWN) == "Z"
    assert device.validate("Laser 488nm", KNOWN) == "Laser488"
    refusal = device.validate("Laser 488", KNOWN)
    assert refusal.suggestion == "Laser488"
    assert "XY.X" in refusal.allowed


@pytest.mark.parametrize(
    ("text", "kind", "default"),
    [
        ("x=3", "int", 3),
        ("x=3.5", "float", 3.5),
        ("x=True", "bool", True),
        ('x="a"', "text", "a"),
        ('x=Path("a")', "path", Path("a")),
        ("x: float = 1", "float", 1.0),
        ('x: Path = "a"', "path", Path("a")),
        ('x: List[Literal["a", "b"]] = ("a",)', "choices", ["a"]),
        ('x: "channel" = "DAPI"', "channel", CHANNEL),
        ("x: int = None", "int", None),
    ],
)
def test_defaults_are_converted_and_give_the_hint(
    parameter: Callable[..., Parameter], text: str, kind: str, default: Any
) -> None:
    found = parameter(text)
    assert (found.kind, found.required, found.default) == (kind, False, default)
    assert type(found.default) is type(default)
    assert found.optional is (default is None)


def test_range_step_and_live(parameter: Callable[..., Parameter]) -> None:
    found = parameter('x: Annotated[int, {"min": 1, "max": 9, "step": 2, "live": True}] = 3')
    assert (found.minimum, found.maximum, found.step, found.live) == (1, 9, 2, True)
    found = parameter("x: Annotated[float, annotated_types.Ge(0), annotated_types.MultipleOf(0.5)]")
    assert (found.minimum, found.maximum, found.step, found.live) == (0, None, 0.5, False)


def test_help_comes_from_the_docstring(load: Callable[..., Script]) -> None:
    script = load(
        '''
        def process(images: "images", size: int = 3, low: float = 0, high: float = 1):
            """Find things.

            Parameters
            ----------
            size : int
                How large a thing
                must be.
            low, high : float
                The limits.

            Returns
            -------
            dict
                Not a parameter.
            """
        '''
    )
    assert {p.name: p.help for p in script.process.parameters} == {
        "images": "",
        "size": "How large a thing must be.",
        "low": "The limits.",
        "high": "The limits.",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x: list", ["no such hint", "Got: list"]),
        ("x: List[int]", ["no such hint", "Got: List[int]", "A list takes choices"]),
        ("x: dict", ["no such hint"]),
        ('x: "Inte"', ["no such hint", "Did you mean 'int'?"]),
        ('x: "SubDeviceID"', ["no such hint", "Did you mean 'SubDeviceId'?"]),
        ('x: "chanel"', ["Did you mean 'channel'?"]),
        ('x: "IIS_CONTEX"', ["Did you mean 'IIS_CONTEXT'?"]),
        ('x: "not python"', ["no such hint"]),
        ("x: Union[int, str]", ["one hint"]),
        ("x: Literal[b'a']", ["choices of a Literal must be"]),
        ("x: Literal[None]", ["choices of a Literal must be"]),
        ('x: Annotated[int, {"mim": 1}]', ["no 'mim'", "Did you mean 'min'?"]),
        ('x: Annotated[int, {"min": "1"}]', ["'min' must be a number"]),
        ('x: Annotated[int, {"live": 1}]', ["'live' must be True or False"]),
        ('x: Annotated[int, {"min": 3, "max": 1}]', ["smallest value is larger"]),
        ('x: Annotated[str, {"min": 1}]', ["Only numbers have a range"]),
        ("x", ["neither hint nor default", "Write 'x: int'"]),
        ("x=None", ["type of the default", "Give the parameter a hint"]),
        ("x=[1]", ["type of the default"]),
        ('x: Literal["a"] = "b"', ["default does not fit", "Got: 'b'", "Allowed: a"]),
        ('x: Annotated[int, {"min": 1}] = 0', ["default does not fit", "at least 1"]),
        ("x: int = 2.5", ["default does not fit"]),
        ("**x", ["Collected parameters"]),
    ],
)
def test_wrong_hints_are_told_with_line_function_and_parameter(
    refused: Callable[..., list[Finding]], text: str, words: list[str]
) -> None:
    star = "" if text.startswith("*") else "*, "
    findings = refused(f'{IMPORTS}\ndef process(images: "images",\n    {star}{text}):\n    pass\n')
    assert [(f.line, f.function, f.parameter) for f in findings] == [(8, "process", "x")]
    for word in words:
        assert word in str(findings[0])


def test_json_schema_takes_what_the_table_takes(load: Callable[..., Script]) -> None:
    script = load(
        IMPORTS
        + """
def process(images: "images", a: int, b: Annotated[float, {"min": 0}] = 1, c: Literal["x", "y"] = "x",
            d: List[Literal["p", "q"]] = (), e: Path = "f", f: bool = True, g: Optional[int] = None,
            h: "channel" = "DAPI", i: "SubDeviceId" = "Z", j: str = "", k: Number = 1,
            l: Annotated[float, annotated_types.Gt(0)] = 1):
    pass
""",
        values=False,
    )
    schemas = {p.name: p.json_schema() for p in script.process.parameters if not p.injected}
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        if "default" in schema:
            jsonschema.validate(schema["default"], schema)
        assert ("default" in schema) is (name != "a")
    refusals = {
        "a": "1",
        "b": -1,
        "c": "z",
        "d": ["z"],
        "e": 3,
        "f": 1,
        "g": "x",
        "h": 3,
        "i": 3,
        "j": 3,
        "l": 0,
    }
    for name, value in refusals.items():
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, schemas[name])
