"""Loading: which functions a script has, and every way in which it can be wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.loader import Script, ScriptSpec, load_script

PROCESS = 'def process(images: "images"):\n    return None\n'
IMAGES = Images([Image({"timeIndex": 3}, np.zeros((2, 2), np.uint8))])


# -- which functions


@pytest.mark.parametrize(
    ("text", "fields", "provider", "process"),
    [
        ("def fetch_images(new_image): ...\ndef work(images: 'images'): ...", {}, "fetch_images", "work"),
        (
            "def fetch_images(new: 'images'): ...\ndef work(images: 'images'): ...",
            {},
            "fetch_images",
            "work",
        ),
        # the order in the file does not count
        ("def work(images: 'images'): ...\ndef fetch_images(new_image): ...", {}, "fetch_images", "work"),
        # private functions, twins and functions without images are no candidates
        (
            "def fetch_images(n): ...\ndef _w(images: 'images'): ...\ndef helper(a: int): ...\n"
            "def work(images: 'images'): ...\nasync def run_work_async(images: 'images'): ...",
            {},
            "fetch_images",
            "work",
        ),
        # a twin is never a candidate of its own, even without its partner
        (
            "def fetch_images(n): ...\ndef run_other_async(images: 'images'): ...\n"
            "def work(images: 'images'): ...",
            {},
            "fetch_images",
            "work",
        ),
        (
            "def fetch_a(n): ...\ndef one(images: 'images'): ...\ndef two(images: 'images'): ...",
            {"provider": "fetch_a", "process": "two"},
            "fetch_a",
            "two",
        ),
        # the images are injected by hint, not by name or place
        ("def fetch_images(n): ...\ndef work(a: int = 1, *, b: 'images'): ...", {}, "fetch_images", "work"),
        ("def fetch_images(n, /): ...\ndef work(b: 'images', /): ...", {}, "fetch_images", "work"),
        ("def fetch_images(n): ...\nasync def work(images: 'images'): ...", {}, "fetch_images", "work"),
    ],
)
def test_functions_are_found(
    load: Callable[..., Script], text: str, fields: dict[str, Any], provider: str, process: str
) -> None:
    script = load(text, **fields)
    assert (script.provider.name, script.process.name) == (provider, process)


def test_an_imported_provider_counts_and_other_imported_functions_do_not(
    write: Callable[..., Path], load: Callable[..., Script]
) -> None:
    write(
        """
        def fetch_zstack(new_image, channel_index: int = 0):
            return [{"focusIndex": channel_index}]

        def not_mine(images: "images"):
            pass
        """,
        "_neighbour.py",
    )
    script = load(
        "from _neighbour import fetch_zstack as fetch_images, not_mine\n" + PROCESS,
        provider_parameters={"channel_index": 4},
    )
    assert script.process.name == "process"
    assert script.provide(IMAGES) == [{"focusIndex": 4}]
    assert script.provider.source.file.name == "_neighbour.py"
    assert script.provider.line == 2


def test_calls_get_images_context_and_values(load: Callable[..., Script]) -> None:
    script = load(
        """
        def fetch_images(new_image, want: int, more: int = 7):
            return [new_image.metadata["timeIndex"], want, more]

        def process(size: int, context: "IIS_CONTEXT", images: "images", mode: str = "a"):
            return {"my": [size, context, len(images), mode]}
        """,
        provider_parameters={"want": 2},
        parameters={"size": 5},
    )
    assert script.provide(IMAGES) == [3, 2, 7]
    assert script.run(IMAGES, "the context") == {"my": [5, "the context", 1, "a"]}


def test_positional_only_parameters_are_filled(load: Callable[..., Script]) -> None:
    script = load(
        'def process(a: int, images: "images", /, b: int = 2):\n    return [a, b]', parameters={"a": 1}
    )
    assert script.run(IMAGES, None) == [1, 2]


def test_a_call_cannot_change_the_values_of_the_next(load: Callable[..., Script]) -> None:
    script = load(
        """
        from typing import List, Literal
        def process(images: "images", which: List[Literal["a", "b"]]):
            which.append("c")
            return list(which)
        """,
        parameters={"which": ["a"]},
    )
    assert script.run(IMAGES, None) == ["a", "c"]
    assert script.run(IMAGES, None) == ["a", "c"]


# -- async


def test_async_def_is_awaited(load: Callable[..., Script]) -> None:
    script = load(
        'import asyncio\nasync def process(images: "images"):\n    await asyncio.sleep(0)\n    return {"a": 1}'
    )
    assert script.asynchronous
    assert script.run(IMAGES, None) == {"a": 1}


TWINS = """
def work(images: "images", a: int = 1):
    return {"from": "work"}

def run_work_async(images: "images", a: int = 1):
    return {"from": "twin"}
"""


@pytest.mark.parametrize(("use_async", "ran"), [(False, "work"), (True, "twin")])
def test_the_twin_runs_where_the_entry_asks_for_it(
    load: Callable[..., Script], use_async: bool, ran: str
) -> None:
    script = load(TWINS, use_async=use_async)
    assert script.asynchronous is use_async
    assert script.twin == "run_work_async"
    assert script.run(IMAGES, None) == {"from": ran}


def test_async_def_needs_no_twin(load: Callable[..., Script]) -> None:
    assert load('async def work(images: "images"): ...', use_async=True).process.name == "work"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def work(images: 'images'): ...", ["twin 'run_work_async'", "async def"]),
        (
            "def work(images: 'images', a: int = 1): ...\ndef run_work_async(images: 'images', b: int = 1): ...",
            ["parameters of 'work'", "images: images, b: int"],
        ),
        (
            "def work(images: 'images', a: int = 1): ...\ndef run_work_async(images: 'images', a: float = 1): ...",
            ["same hints", "a: float"],
        ),
    ],
)
def test_wrong_twins_are_refused(refused: Callable[..., list[Finding]], text: str, words: list[str]) -> None:
    (finding,) = refused(text, use_async=True)
    assert finding.line
    for word in words:
        assert word in str(finding)


# -- prepare


def test_prepare_gets_the_values_that_it_takes(load: Callable[..., Script]) -> None:
    script = load(
        """
        got = {}
        def prepare(size, other=3):
            got.update(size=size, other=other)
        def process(images: "images", size: int, more: str = "x"):
            return got
        """,
        parameters={"size": 5},
    )
    assert script.run(IMAGES, None) == {}
    script.warm_up()
    assert script.run(IMAGES, None) == {"size": 5, "other": 3}


def test_prepare_with_two_stars_gets_all_values(load: Callable[..., Script]) -> None:
    script = load(
        """
        got = {}
        async def prepare(**values):
            got.update(values)
        def process(images: "images", size: int = 1, more: str = "x"):
            return got
        """
    )
    script.warm_up()
    assert script.run(IMAGES, None) == {"size": 1, "more": "x"}


def test_prepare_may_take_nothing_or_be_missing(load: Callable[..., Script]) -> None:
    load("def prepare(): ...\n" + PROCESS).warm_up()
    load(PROCESS).warm_up()


# -- everything that can be wrong


@pytest.mark.parametrize(
    ("text", "fields", "place", "words"),
    [
        # the provider
        (PROCESS, {"provider": "fetch"}, (None, None, None), ["no image provider 'fetch'", "name another"]),
        (
            "def fetch_zstack(new_image): ...\n" + PROCESS,
            {"provider": "fetch_zstak"},
            (None, None, None),
            ["Did you mean 'fetch_zstack'?", "Allowed: fetch_zstack, process"],
        ),
        (
            "def fetch_images(): ...\n" + PROCESS,
            {},
            (1, "fetch_images", None),
            ['one parameter hinted "images"', "has 0"],
        ),
        (
            "def fetch_images(new_image, context: 'IIS_CONTEXT'): ...\n" + PROCESS,
            {},
            (1, "fetch_images", None),
            ["gets no context"],
        ),
        (
            "async def fetch_images(new_image): ...\n" + PROCESS,
            {},
            (1, "fetch_images", None),
            ["cannot be 'async def'"],
        ),
        (
            "def fetch_images(new_image, channel): ...\n" + PROCESS,
            {},
            (1, "fetch_images", "channel"),
            ["neither hint nor default"],
        ),
        (
            "def fetch_images(new_image, channel: int): ...\n" + PROCESS,
            {},
            (1, "fetch_images", "channel"),
            ["A value is missing", "provider_parameters.channel"],
        ),
        (
            "def fetch_images(new_image, channel_index: int = 0): ...\n" + PROCESS,
            {"provider_parameters": {"chanel_index": 1}},
            (1, "fetch_images", None),
            [
                "no parameter 'chanel_index'",
                "Did you mean 'channel_index'?",
                "provider_parameters.chanel_index",
            ],
        ),
        # the processing function
        ("def fetch_images(n): ...", {}, (None, None, None), ["it has none", "Write: def process"]),
        (
            "def fetch_images(n): ...\ndef work(image): ...",
            {},
            (None, None, None),
            ["it has none"],
        ),
        (
            "def fetch_images(n): ...\ndef one(i: 'images'): ...\ndef two(i: 'images'): ...",
            {},
            (None, None, None),
            ["it has 2", "Got: one, two", "Name one with 'process:'"],
        ),
        (
            PROCESS,
            {"process": "proces"},
            (None, None, None),
            ["no processing function 'proces'", "Did you mean 'process'?"],
        ),
        (PROCESS, {"process": "fetch_images"}, (None, None, None), ["is the image provider"]),
        (
            "def work(a: int = 1): ...",
            {"process": "work"},
            (1, "work", None),
            ['one parameter hinted "images"', "has 0"],
        ),
        (
            "def work(a: 'images', b: 'images'): ...",
            {},
            (1, "work", None),
            ["has 2"],
        ),
        # values
        (
            "\n\ndef work(images: 'images',\n         size: int): ...",
            {},
            (4, "work", "size"),
            ["A value is missing", "parameters.size", "Allowed: an integer"],
        ),
        (
            "def work(images: 'images', size: int): ...",
            {"parameters": {"size": "big"}},
            (1, "work", "size"),
            ["must be an integer", "'big' (str)", "parameters.size"],
        ),
        (
            "def work(images: 'images', size: int = 1): ...",
            {"parameters": {"sise": 3}},
            (1, "work", None),
            ["no parameter 'sise'", "Allowed: size", "Did you mean 'size'?"],
        ),
        (
            "def work(images: 'images'): ...",
            {"parameters": {"images": 3}},
            (1, "work", "images"),
            ["given by the run"],
        ),
        # data processors and prepare
        (
            "DATA_PROCESSORS = 3\n" + PROCESS,
            {},
            (None, None, None),
            ["DATA_PROCESSORS must be names", "Got: 3"],
        ),
        ("DATA_PROCESSORS = ('a', 3)\n" + PROCESS, {}, (None, None, None), ["must be names"]),
        (
            "def prepare(siz): ...\ndef work(images: 'images', size: int = 1): ...",
            {},
            (1, "prepare", "siz"),
            ["no such parameter", "Allowed: size", "Did you mean 'size'?"],
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    refused: Callable[..., list[Finding]],
    text: str,
    fields: dict[str, Any],
    place: tuple[int | None, str | None, str | None],
    words: list[str],
) -> None:
    (finding,) = refused(text, **fields)
    assert (finding.line, finding.function, finding.parameter) == place
    assert finding.file is not None
    assert finding.file.endswith("script.py")
    for word in words:
        assert word in str(finding)


def test_all_errors_are_told_at_once(refused: Callable[..., list[Finding]]) -> None:
    findings = refused(
        """
        def fetch_images(new_image, a: int = 0): ...
        def work(images: "images", b: int, c: float = 1, context: "IIS_CONTEXT" = None):
            context.moveStag(1, 2)
        """,
        provider_parameters={"a": "x"},
        parameters={"c": "y", "d": 1},
    )
    assert [f.field for f in findings] == [
        "provider_parameters.a",
        "parameters.d",
        "parameters.b",
        "parameters.c",
        None,
    ]
    assert "moveStag" in str(findings[-1])


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\nx = = 2\n", 2, ["SyntaxError"]),
        ("x = 1\nimport no_such_package_anywhere\n", 2, ["ModuleNotFoundError", "Install what provides"]),
        ("from os import no_such_name\n", 1, ["ImportError", "no_such_name"]),
        ("x = 1\n\nraise ValueError('at import')\n", 3, ["ValueError: at import"]),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, ["ZeroDivisionError"]),
        ("import sys\nsys.exit(3)\n", 2, ["SystemExit: 3"]),
        ("def work(i: Imagess): ...\n", 1, ["NameError"]),
    ],
)
def test_a_script_that_cannot_be_imported_is_told_with_its_line(
    refused: Callable[..., list[Finding]], text: str, line: int, words: list[str]
) -> None:
    (finding,) = refused(text)
    assert finding.line == line
    assert finding.message.startswith("The script cannot be loaded: ")
    for word in words:
        assert word in str(finding)


def test_the_error_of_a_neighbour_is_told_with_the_neighbour(
    write: Callable[..., Path], refused: Callable[..., list[Finding]]
) -> None:
    write("a = 1\nb = a +\n", "_broken.py")
    (finding,) = refused("import _broken\n" + PROCESS)
    assert (Path(finding.file or "").name, finding.line) == ("_broken.py", 2)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no_such\.py: There is no such script file"):
        load_script(ScriptSpec("x", tmp_path / "no_such.py"))


def test_the_original_error_is_the_cause(load: Callable[..., Script]) -> None:
    with pytest.raises(InvalidInput) as caught:
        load("raise KeyError('k')")
    assert isinstance(caught.value.__cause__, KeyError)


# -- declared processors


def test_data_processors_are_known(load: Callable[..., Script]) -> None:
    script = load('DATA_PROCESSORS = ("segmentation", "my_own")\n' + PROCESS)
    assert script.processors == ("segmentation", "my_own")
    assert script.findings == ()


def test_a_name_that_is_nearly_known_is_a_warning(load: Callable[..., Script]) -> None:
    script = load('DATA_PROCESSORS = ["segmentaton"]\n' + PROCESS)
    assert [(f.level, f.suggestion) for f in script.findings] == [("warning", "segmentation")]


# -- nothing is shared


def test_each_load_has_globals_of_its_own(write: Callable[..., Path]) -> None:
    write("count = 0\ndef more():\n    global count\n    count += 1\n    return count\n", "_counter.py")
    file = write(
        """
        import _counter
        seen = []
        def fetch_images(new_image): return [{}]
        def process(images: "images"):
            seen.append(1)
            return (len(seen), _counter.more())
        """
    )
    first, second = load_script(ScriptSpec("a", file)), load_script(ScriptSpec("a", file))
    assert first.run(IMAGES, None) == (1, 1)
    assert first.run(IMAGES, None) == (2, 2)
    assert second.run(IMAGES, None) == (1, 1)


def test_neighbours_of_two_folders_are_not_mixed_up(write: Callable[..., Path]) -> None:
    text = "import _same\ndef fetch_images(n): ...\ndef process(i: 'images'): return _same.where"
    scripts = {}
    for folder in ("a", "b"):
        write(f"where = '{folder}'", f"{folder}/_same.py")
        scripts[folder] = load_script(ScriptSpec("x", write(text, f"{folder}/script.py")))
    assert [scripts[folder].run(IMAGES, None) for folder in ("a", "b")] == ["a", "b"]


def test_imports_inside_functions_find_neighbours(
    write: Callable[..., Path], load: Callable[..., Script]
) -> None:
    write("value = 42", "_late_neighbour.py")
    script = load('def process(i: "images"):\n    import _late_neighbour\n    return _late_neighbour.value')
    assert script.run(IMAGES, None) == 42


def test_the_folder_is_not_in_front_of_other_packages_after_loading(
    load: Callable[..., Script], tmp_path: Path
) -> None:
    before = list(sys.path)
    load(PROCESS)
    assert sys.path[: len(before)] == before


def test_the_script_itself_leaves_no_bytecode(load: Callable[..., Script], tmp_path: Path) -> None:
    load(PROCESS)
    assert not (tmp_path / "__pycache__").exists()


def test_dataclasses_and_pickling_find_the_module(load: Callable[..., Script]) -> None:
    script = load(
        """
        import pickle
        from dataclasses import dataclass

        @dataclass
        class Cell:
            area: float

        def process(images: "images"):
            return pickle.loads(pickle.dumps(Cell(2.0))).area
        """
    )
    assert script.run(IMAGES, None) == 2.0


def test_decorated_functions_keep_signature_and_line(load: Callable[..., Script]) -> None:
    script = load(
        """
        import functools

        def loud(function):
            @functools.wraps(function)
            def call(*args, **kwargs):
                return function(*args, **kwargs)
            return call

        @loud
        def process(images: "images", size: int = 3):
            return size
        """
    )
    assert script.run(IMAGES, None) == 3
    assert script.process.line == 11
