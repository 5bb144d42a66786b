"""What a script asks of its context is checked in its text, when it is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from inscoper_mm.errors import Finding
from inscoper_mm.scripting.context import CONTEXT_ATTRIBUTES, CONTEXT_METHODS
from inscoper_mm.scripting.loader import Script

METHODS = {
    "centerOn", "pixelToStage", "stageToPixel", "getSubDevices", "getConstraints", "get", "set", "check",
    "getStagePosition", "moveStage", "moveStageBy", "getFocus", "moveFocus", "moveFocusBy", "correctPosition",
    "getChannels", "getChannel", "setChannel", "getExposure", "setExposure", "stop", "log",
    "fireOnDemand", "acquire", "skip", "setInterval",
}  # fmt: skip


def test_the_table_has_every_method_of_the_contract() -> None:
    assert set(CONTEXT_METHODS) == METHODS
    assert set(CONTEXT_ATTRIBUTES) == {"state", "runState", "exportPath", "elapsed_s"}
    assert all(method.doc for method in CONTEXT_METHODS.values())


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("moveStage", "(x_um, y_um)"),
        ("moveStageBy", "(dx_um, dy_um)"),
        ("correctPosition", "(dx_um=0, dy_um=0, dz_um=0, positions='current')"),
        (
            "fireOnDemand",
            "(roi=None, subDevice=None, duration_ms=None, power=None, repetitions=1, wait=True)",
        ),
        (
            "acquire",
            "(position=None, channels=None, zStack=None, objective=None, after_s=0, label=None, "
            "*, times=1, interval_s=0, priority=0)",
        ),
        ("getSubDevices", "(kind=None)"),
        ("set", "(id, value, wait=True)"),
        ("centerOn", "(row, col, image=None)"),
    ],
)
def test_signatures_are_those_of_the_contract(name: str, call: str) -> None:
    parameters = CONTEXT_METHODS[name].signature.parameters.values()
    bare = inspect.Signature([p.replace(annotation=p.empty) for p in parameters])
    assert str(bare) == call


def script(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f'def process(images: "images", context: "IIS_CONTEXT"):\n{lines}\n'


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("context.fireOnDemnd()", 2, ["no 'fireOnDemnd'", "Did you mean 'fireOnDemand'?"]),
        ("context.movestage(1, 2)", 2, ["Did you mean 'moveStage'?"]),
        (
            "x = 1\nif x:\n    context.nothing_like_it",
            4,
            ["no 'nothing_like_it'", "Allowed: getStagePosition"],
        ),
        ("f = lambda: context.moveStag(1, 2)", 2, ["'moveStag'"]),
        ("def inner():\n    context.moveStag(1, 2)", 3, ["'moveStag'"]),
        ("[context.moveStag(i, i) for i in range(3)]", 2, ["'moveStag'"]),
        ("context.moveStage(1)", 2, ["missing a required argument: 'y_um'", "moveStage(x_um, y_um)"]),
        ("context.moveStage(1, 2, 3)", 2, ["too many positional arguments"]),
        (
            "context.correctPosition(dx_m=3)",
            2,
            ["unexpected keyword argument 'dx_m'", "Did you mean 'dx_um'?"],
        ),
        ("context.log()", 2, ["missing a required argument"]),
        ("context.elapsed_s()", 2, ["a value, not a method", "without ()"]),
        ("context.exportPath = 3", 2, ["cannot be set", "state, runState"]),
        ("del context.elapsed_s", 2, ["cannot be set"]),
        ("help_me(context)", 6, ["'moveStag'"]),
        ("help_me(c=context)", 6, ["'moveStag'"]),
    ],
)
def test_what_the_context_lacks_is_found(
    refused: Callable[..., list[Finding]], body: str, line: int, words: list[str]
) -> None:
    padding = "" if body.startswith("help_me") else "#"
    text = (
        script(body + "\npass")
        + "\ndef help_me(c, other=1):\n"
        + ("    " + padding + "c.moveStag()\n    pass\n")
    )
    (finding,) = refused(text)
    assert finding.line == line
    assert finding.function == ("help_me" if body.startswith("help_me") else "process")
    for word in words:
        assert word in str(finding)


@pytest.mark.parametrize(
    "body",
    [
        "context.moveStage(1, 2)",
        "context.moveStage(*[1, 2])",
        "context.moveStage(**{'x_um': 1})",
        "context.moveStage(x_um=1, y_um=2)",
        "context.state['a'] = context.state.get('a', 0) + 1",
        "context.state = {}",
        "context.runState['x'] = 1",
        "context.exportPath / 'crops'",
        "context.elapsed_s + 1",
        "context.__class__",
        "getattr(context, 'moveEverything', None)",
        "move = context.moveStage\nmove(1)",
        "other = images\nother.moveStag()",
        # a name that means something else from some point on is not judged
        "context = images\ncontext.moveStag()",
        "for context in images:\n    context.moveStag()",
        "f = lambda context: context.moveStag()",
        "def inner(context):\n    context.moveStag()",
    ],
)
def test_what_may_be_right_is_not_refused(load: Callable[..., Script], body: str) -> None:
    assert load(script(body)).findings == ()


def test_functions_with_a_hinted_context_are_checked_even_if_nobody_calls_them(
    refused: Callable[..., list[Finding]],
) -> None:
    text = script("pass") + "def elsewhere(c: 'IIS_CONTEXT'):\n    c.moveStag()\n"
    assert [(f.function, f.line) for f in refused(text)] == [("elsewhere", 4)]


def test_helpers_that_call_each_other_end(refused: Callable[..., list[Finding]]) -> None:
    text = script("a(context)") + "def a(c):\n    b(c)\ndef b(c):\n    a(c)\n    c.moveStag()\n"
    assert [(f.function, f.line) for f in refused(text)] == [("b", 7)]


def test_the_twin_is_checked_where_it_runs(refused: Callable[..., list[Finding]]) -> None:
    text = (
        "def work(images: 'images', c: 'IIS_CONTEXT'): ...\n"
        "def run_work_async(images: 'images', c: 'IIS_CONTEXT'):\n    c.moveStag()\n"
    )
    assert [f.function for f in refused(text, use_async=True)] == ["run_work_async"]
