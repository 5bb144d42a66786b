"""The contract of a place, for every place: what is answered, what is a fault, and what is left afterwards."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import InvalidInput, ScriptFault
from inscoper_mm.execution.host import CallState
from inscoper_mm.execution.places import make_host
from inscoper_mm.images.frame import Frame
from inscoper_mm.scripting.answers import Answer
from inscoper_mm.scripting.loader import ScriptSpec

Running = Callable[..., Any]
MakeFrame = Callable[..., Frame]


# -- calls that work


def test_a_call_is_answered(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        import numpy as np
        def process(images: "images", context: "IIS_CONTEXT", gain: int = 2):
            image = images[0]
            return {
                "segmentation": (image.array > 5).astype(np.int32),
                "metadata": {"sum": image.array.sum(), "time": image.metadata["timeIndex"], "gain": gain},
            }
        """,
        parameters={"gain": 3},
    )
    image = frame(4)
    reply = place.process(image)
    assert np.array_equal(reply.answer.values["segmentation"], image.pixels > 5)
    assert reply.answer.metadata == {"sum": int(image.pixels.sum()), "time": 4, "gain": 3}
    assert 0 < reply.process_s < 30


def test_the_provider_is_asked(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        def fetch_images(new_image, every: int = 2):
            time = new_image.metadata["timeIndex"]
            return [{"timeIndex": time - 1}, {}] if time % every == 0 else []
        """,
        provider_parameters={"every": 3},
    )
    assert [place.provide(frame(n)) for n in range(4)] == [
        [{"timeIndex": -1}, {}],
        [],
        [],
        [{"timeIndex": 2}, {}],
    ]


@pytest.mark.parametrize("answer", ["None", "'rubbish'", "{'a': 1}", "[3]", "True"])
def test_the_provider_s_answer_comes_as_it_is(running: Running, frame: MakeFrame, answer: str) -> None:
    place = running(f"def fetch_images(new_image):\n    return {answer}\n")
    assert place.provide(frame()) == eval(answer)


def test_the_provider_can_look_at_the_pixels(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        def fetch_images(new_image):
            return [{"timeIndex": int(new_image.array.max())}, {"timeIndex": int(new_image[0].array.sum())}]
        """
    )
    for number in (1, 2):
        image = frame(number, (600, 500))
        assert place.provide(image) == [
            {"timeIndex": int(image.pixels.max())},
            {"timeIndex": int(image.pixels.sum())},
        ]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((8, 10), np.uint16), ((300, 400), np.uint8), ((700, 900), np.uint16), ((3, 5, 3), np.uint8)],
)
def test_pixels_arrive_equal_and_read_only(
    running: Running, frame: MakeFrame, shape: tuple[int, ...], dtype: Any
) -> None:
    place = running(
        """
        def process(images: "images"):
            writeable = []
            for image in images:
                try:
                    image.array[0, 0] = 0
                    writeable.append(image)
                except ValueError:
                    pass
            return {"copies": [image.array.copy() for image in images], "metadata": {"writeable": len(writeable)}}
        """
    )
    images = [frame(n, shape, dtype) for n in range(3)]
    reply = place.process(*images)
    assert reply.answer.metadata == {"writeable": 0}
    for image, copy in zip(images, reply.answer.values["copies"], strict=True):
        assert copy.dtype == dtype
        assert np.array_equal(copy, image.pixels)


def test_images_that_a_script_keeps_are_never_overwritten(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        kept = []
        def process(images: "images"):
            kept.append(images[0].array[::2])
            return {"sums": [int(array.sum()) for array in kept]}
        """
    )
    images = [frame(n, (400, 300)) for n in range(12)]
    for image in images:
        reply = place.process(image)
    assert reply.answer.values["sums"] == [int(image.pixels[::2].sum()) for image in images]


def test_results_are_not_changed_by_the_next_call(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        import numpy as np
        out = np.zeros((400, 300), np.int32)
        def process(images: "images"):
            out[:] = images.metadata["timeIndex"]
            return {"segmentation": out, "crop": [{"image": out, "bbox": [0, 0, 1, 1]}]}
        """
    )
    replies = [place.process(frame(n, (400, 300))) for n in range(6)]
    for number, reply in enumerate(replies):
        assert np.all(reply.answer.values["segmentation"] == number)
        assert np.all(reply.answer.values["crop"][0]["image"] == number)


def test_large_results_of_changing_size(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        import numpy as np
        def process(images: "images"):
            n = images.metadata["timeIndex"]
            return {"mine": [np.full((50 * n + k, 900), n, np.float32) for k in range(1, 4)]}
        """
    )
    for number in (1, 40, 3, 40, 1):
        arrays = place.process(frame(number)).answer.values["mine"]
        assert [a.shape for a in arrays] == [(50 * number + k, 900) for k in range(1, 4)]
        assert all(np.all(a == number) for a in arrays)


def test_none_is_an_empty_answer(running: Running) -> None:
    assert running('def process(images: "images"):\n    return None').process().answer == Answer()


@pytest.mark.parametrize("twin", [False, True])
def test_async_functions_run(running: Running, twin: bool) -> None:
    text = """
        import asyncio
        async def run_process_async(images: "images"):
            await asyncio.sleep(0.001)
            return {"metadata": {"ran": "twin"}}
        def process(images: "images"):
            return {"metadata": {"ran": "process"}}
        """
    place = running(text, use_async=twin)
    assert place.process().answer.metadata == {"ran": "twin" if twin else "process"}
    assert place.host.facts.asynchronous is twin


def test_prepare_runs_once_before_the_first_call(running: Running) -> None:
    place = running(
        """
        model = []
        def prepare(size):
            model.append(size)
        def process(images: "images", size: int = 4):
            return {"metadata": {"model": list(model)}}
        """
    )
    assert place.process().answer.metadata == {"model": [4]}
    assert place.process().answer.metadata == {"model": [4]}


def test_provider_and_process_share_the_module(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        seen = []
        def fetch_images(new_image):
            seen.append(new_image.metadata["timeIndex"])
            return [{}]
        def process(images: "images"):
            return {"metadata": {"seen": list(seen)}}
        """
    )
    place.provide(frame(1))
    place.provide(frame(2))
    assert place.process().answer.metadata == {"seen": [1, 2]}


def test_the_provider_is_answered_while_the_processing_function_is_busy(
    running: Running, frame: MakeFrame, tmp_path: Path
) -> None:
    place = running(
        f"""
        import time
        from pathlib import Path
        go = Path({str(tmp_path / "go")!r})
        def fetch_images(new_image):
            return [{{"timeIndex": new_image.metadata["timeIndex"]}}]
        def process(images: "images"):
            print("busy")
            while not go.exists():
                pass
            return {{"metadata": {{"went": True}}}}
        """
    )
    replies = []
    busy = threading.Thread(target=lambda: replies.append(place.process()))
    busy.start()
    try:
        _until(lambda: place.run.lines)
        for number in range(20):
            assert place.provide(frame(number)) == [{"timeIndex": number}]
        assert not replies
    finally:
        (tmp_path / "go").touch()
        busy.join(30)
    assert replies[0].answer.metadata == {"went": True}


def test_facts_tell_what_was_found(running: Running) -> None:
    place = running(
        """
        DATA_PROCESSORS = ("crop",)
        def work(images: "images", context: "IIS_CONTEXT"):
            return None
        """
    )
    facts = place.host.facts
    assert (facts.provider, facts.process, facts.asynchronous) == ("fetch_images", "work", False)
    assert facts.processors == ("crop",)
    assert list(facts.warnings) == []


# -- states


def test_states_are_returned_and_the_caller_s_are_left_alone(running: Running) -> None:
    place = running(
        """
        def process(images: "images", context: "IIS_CONTEXT"):
            context.state["n"] = context.state.get("n", 0) + 1
            context.state.setdefault("list", []).append((1, 2))
            context.runState["total"] = context.runState.get("total", 0) + 10
        """
    )
    state, run_state = {"n": 4, "list": []}, {"total": 5}
    reply = place.process(start=CallState(state, run_state, Path(), 0.0))
    assert (reply.state, reply.run_state) == ({"n": 5, "list": [[1, 2]]}, {"total": 15})
    assert (state, run_state) == ({"n": 4, "list": []}, {"total": 5})


def test_a_state_can_be_replaced(running: Running) -> None:
    place = running('def process(images: "images", c: "IIS_CONTEXT"):\n    c.state = {"a": 1}')
    assert place.process(state={"b": 2}).state == {"a": 1}


def test_a_failed_call_leaves_the_caller_s_states_alone(running: Running) -> None:
    place = running(
        """
        def process(images: "images", context: "IIS_CONTEXT"):
            context.state["list"].append(1)
            raise ValueError("no")
        """
    )
    state: dict[str, Any] = {"list": []}
    with pytest.raises(ScriptFault):
        place.process(start=CallState(state, {}, Path(), 0.0))
    assert state == {"list": []}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("object()", "context.state['x'] is no JSON value"),
        ("float('nan')", "context.state['x'] is nan"),
        ("{1: 2}", "context.state['x'] has a key that is no text"),
    ],
)
def test_a_state_that_is_no_json_is_rubbish(running: Running, value: str, words: str) -> None:
    place = running(f'def process(images: "images", c: "IIS_CONTEXT"):\n    c.state["x"] = {value}')
    with pytest.raises(ScriptFault) as caught:
        place.process()
    assert caught.value.kind == "rubbish"
    assert words in str(caught.value)


# -- the context


def test_path_and_clock_are_the_run_s(running: Running) -> None:
    place = running(
        """
        import time
        def process(images: "images", context: "IIS_CONTEXT"):
            begin = context.elapsed_s
            time.sleep(0.05)
            return {"mine": [begin, context.elapsed_s, context.exportPath]}
        """
    )
    begin, end, path = place.process().answer.values["mine"]
    assert 100.0 <= begin < 130
    assert 0.04 < end - begin < 30
    assert path == Path("out")


def test_commands_are_executed_by_the_run(running: Running) -> None:
    place = running(
        """
        import numpy as np
        def process(images: "images", context: "IIS_CONTEXT"):
            context.moveStage(np.float64(3.0), y_um=np.int64(4))
            context.correctPosition(dz_um=1, positions=["A", 2])
            return {"mine": [context.getStagePosition(), context.getChannels()]}
        """
    )
    reply = place.process()
    assert reply.answer.values["mine"] == [(1.5, 2.5), ["DAPI", "FITC"]]
    assert place.run.commands == [
        ("moveStage", (3.0,), {"y_um": 4}),
        ("correctPosition", (), {"dz_um": 1, "positions": ["A", 2]}),
        ("getStagePosition", (), {}),
        ("getChannels", (), {}),
    ]
    (_, args, kwargs) = place.run.commands[0]
    assert (type(args[0]), type(kwargs["y_um"])) == (float, int)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ("context.moveStage(9000, 0)", "LimitRefused", "x_um 9000 is above 5000."),
        ("context.setChannel('x')", "CommandRefused", "There is no such channel."),
        ("context.moveFocus(3)", "RuntimeError", "the drive is on fire"),
        ("context.moveStage(*[1])", "TypeError", "missing a required argument: 'y_um'"),
        ("getattr(context, 'moveStag')", "AttributeError", "Did you mean 'moveStage'?"),
    ],
)
def test_the_error_of_a_command_is_raised_in_the_script(
    running: Running, call: str, error: str, words: str
) -> None:
    place = running(
        f"""
        def process(images: "images", context: "IIS_CONTEXT"):
            try:
                {call}
            except Exception as error:
                return {{"metadata": {{"error": type(error).__name__, "text": str(error)}}}}
        """
    )
    metadata = place.process().answer.metadata
    assert metadata["error"] == error
    assert words in metadata["text"]


def test_an_error_of_a_command_that_nobody_catches_is_the_fault(running: Running) -> None:
    place = running('def process(images: "images", c: "IIS_CONTEXT"):\n    c.moveStage(9000, 0)')
    with pytest.raises(ScriptFault, match="LimitRefused: x_um 9000 is above 5000") as caught:
        place.process()
    assert caught.value.kind == "raised"
    assert type(caught.value.original).__name__ == "LimitRefused"


def test_dir_lists_the_contract(running: Running) -> None:
    place = running(
        'def process(images: "images", c: "IIS_CONTEXT"):\n    return {"metadata": {"names": dir(c)}}'
    )
    names = place.process().answer.metadata["names"]
    assert {"moveStage", "fireOnDemand", "state", "runState", "exportPath", "log", "elapsed_s"} <= set(names)
    assert not [name for name in names if name.startswith("_")]


def test_a_context_that_is_kept_after_the_call_is_revoked(running: Running) -> None:
    place = running(
        """
        kept = []
        def process(images: "images", context: "IIS_CONTEXT"):
            kept.append(context)
            if len(kept) > 1:
                try:
                    kept[0].moveStage(1, 1)
                    return {"metadata": {"moved": True}}
                except Exception as error:
                    return {"metadata": {"error": type(error).__name__}}
        """
    )
    place.process()
    assert place.process().answer.metadata == {"error": "CommandRefused"}
    assert place.run.commands == []


def test_commands_from_several_threads_of_a_script(running: Running) -> None:
    place = running(
        """
        from concurrent.futures import ThreadPoolExecutor
        def process(images: "images", context: "IIS_CONTEXT"):
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda n: context.getStagePosition(), range(40)))
            return {"metadata": {"right": sum(tuple(a) == (1.5, 2.5) for a in answers)}}
        """
    )
    assert place.process().answer.metadata == {"right": 40}
    assert len(place.run.commands) == 40


def test_time_in_a_command_is_not_the_script_s(running: Running) -> None:
    place = running('def process(images: "images", c: "IIS_CONTEXT"):\n    c.getFocus()\n    return {"a": 1}')
    # On a busy machine what is left to the script itself may be more than the first limit.
    for limit_s in (0.5, 2.0, 8.0):
        place.run.on_command = lambda limit_s=limit_s: time.sleep(1.2 * limit_s)
        try:
            answer = place.process(limit_s=limit_s).answer
            break
        except ScriptFault:
            place.host.restart(60)
    assert answer.values == {"a": 1}


# -- what a script writes


@pytest.mark.filterwarnings("always::UserWarning")
def test_prints_logs_and_warnings_arrive_with_their_call(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        import logging, sys, warnings
        def fetch_images(new_image):
            print("provider", new_image.metadata["timeIndex"])
            return [{}]
        def process(images: "images", context: "IIS_CONTEXT"):
            print("printed", 1)
            print("one", end=" ")
            print("line")
            print("to stderr", file=sys.stderr)
            logging.getLogger("mine").info("logged %d", 2)
            logging.error("bad")
            logging.debug("too much")
            warnings.warn("careful")
            context.log("told")
            print("no newline", end="")
        """
    )
    place.provide(frame(3))
    place.process()
    assert place.run.outside == [("info", "provider 3", "e3")]
    lines = [(level, text.split(" (")[0]) for level, text in place.run.lines]
    assert lines == [
        ("info", "printed 1"),
        ("info", "one line"),
        ("warning", "to stderr"),
        ("info", "logged 2"),
        ("error", "bad"),
        ("warning", "UserWarning: careful"),
        ("info", "told"),
        ("info", "no newline"),
    ]


def test_prints_while_loading_arrive_outside_of_any_call(running: Running) -> None:
    place = running("print('loaded')\ndef prepare():\n    print('warm')\n")
    assert [line for line in place.run.outside if line[1] in ("loaded", "warm")] == [
        ("info", "loaded", None),
        ("info", "warm", None),
    ]


def test_prints_of_other_threads_are_not_taken(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    place = running('def process(images: "images"):\n    print("script")')
    print("mine")
    place.process()
    assert place.run.lines == [("info", "script")]
    assert "script" not in capsys.readouterr().out


# -- faults


@pytest.mark.parametrize(
    ("statement", "words", "original"),
    [
        ("raise ValueError('no cells')", "ValueError: no cells (script.py:3)", ValueError),
        ("1 / 0", "ZeroDivisionError: division by zero (script.py:3)", ZeroDivisionError),
        ("import sys; sys.exit(3)", "SystemExit: 3", SystemExit),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (script.py:3)", KeyboardInterrupt),
        ("raise MemoryError", "MemoryError", MemoryError),
        ("assert images is None, 'why'", "AssertionError: why", AssertionError),
    ],
)
@pytest.mark.parametrize("where", ["process", "provider"])
def test_what_a_script_raises_is_a_fault(
    running: Running, frame: MakeFrame, where: str, statement: str, words: str, original: type[BaseException]
) -> None:
    hint = ': "images"' if where == "process" else ""
    name = "process" if where == "process" else "fetch_images"
    place = running(f"\ndef {name}(images{hint}):\n    {statement}\n")
    with pytest.raises(ScriptFault) as caught:
        place.process() if where == "process" else place.provide(frame())
    fault = caught.value
    assert (fault.kind, fault.script, fault.function) == ("raised", "tested", name)
    assert words in fault.message
    assert type(fault.original) is original
    assert 'script.py", line 3' in fault.details
    assert "inscoper_mm" not in fault.details
    assert place.host.alive


def test_after_a_fault_the_next_call_works(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        def process(images: "images"):
            if images.metadata["timeIndex"] == 1:
                raise ValueError("one")
            return {"metadata": {"time": images.metadata["timeIndex"]}}
        """
    )
    assert place.process(frame(0)).answer.metadata == {"time": 0}
    with pytest.raises(ScriptFault, match="ValueError: one"):
        place.process(frame(1))
    assert place.process(frame(2)).answer.metadata == {"time": 2}


def test_an_exception_of_the_script_s_own_class_is_told(running: Running) -> None:
    place = running(
        """
        class NoCells(Exception):
            def __init__(self, count, needed):
                super().__init__(f"{count} of {needed}")
        def process(images: "images"):
            raise NoCells(3, 5)
        """
    )
    with pytest.raises(ScriptFault) as caught:
        place.process()
    assert caught.value.kind == "raised"
    assert "NoCells: 3 of 5" in caught.value.message


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("3", "must return None or a dict"),
        ("images[0].array", 'return {"segmentation": ...}'),
        ("{'segmentation': 3}", "'segmentation' must be an array"),
        ("{'segmentation': images[0].array[:2]}", "of the image's size"),
        ("{'metadata': {'AREA': float('nan')}}", "metadata['AREA'] is nan"),
        ("{'metadata': {'AREA': object()}}", "metadata['AREA'] is no JSON value"),
    ],
)
def test_a_rubbish_answer_is_a_fault(running: Running, value: str, words: str) -> None:
    place = running(f'def process(images: "images"):\n    return {value}')
    with pytest.raises(ScriptFault) as caught:
        place.process()
    assert (caught.value.kind, caught.value.function) == ("rubbish", "process")
    assert words in str(caught.value)
    assert place.host.alive


@pytest.mark.parametrize("where", ["process", "provider"])
def test_a_passed_limit_is_a_fault_and_the_place_is_not_alive(
    running: Running, frame: MakeFrame, where: str
) -> None:
    name, hint = ("process", ': "images"') if where == "process" else ("fetch_images", "")
    # Without the limit the call would go on until the test is ended.
    place = running(f"import time\ndef {name}(images{hint}):\n    time.sleep(600)\n")
    with pytest.raises(ScriptFault) as caught:
        place.process(limit_s=0.3) if where == "process" else place.provide(frame(), limit_s=0.3)
    assert (caught.value.kind, caught.value.function) == ("timeout", name)
    assert "took longer than 0.3 s" in caught.value.message
    assert not place.host.alive
    with pytest.raises(ScriptFault) as caught:
        place.process()
    assert caught.value.kind == "died"


def test_after_a_passed_limit_the_context_is_revoked(place: str, running: Running, tmp_path: Path) -> None:
    go, tried = tmp_path / "go", tmp_path / "tried"
    script = running(
        f"""
        import time
        from pathlib import Path
        def process(images: "images", context: "IIS_CONTEXT"):
            while not Path({str(go)!r}).exists():
                time.sleep(0.01)
            try:
                context.moveStage(1, 1)
            finally:
                Path({str(tried)!r}).touch()
        """
    )
    with pytest.raises(ScriptFault, match="took longer"):
        script.process(limit_s=0.2)
    go.touch()
    # A worker is dead by now; a thread goes on.
    _until(tried.exists) if place == "thread" else time.sleep(0.3)
    assert script.run.commands == []


@pytest.mark.parametrize("where", ["loading", "prepare"])
def test_a_limit_holds_for_the_start(prepared: Running, tmp_path: Path, where: str) -> None:
    go = tmp_path / "go"
    hang = f"    while not Path({str(go)!r}).exists(): time.sleep(0.01)\n"
    head = "if True:\n" if where == "loading" else "def prepare():\n"
    place = prepared("import time\nfrom pathlib import Path\n" + head + hang)
    try:
        with pytest.raises(ScriptFault) as caught:
            place.host.start(0.5)
    finally:
        go.touch()  # in a thread it would hold up all that load a script after it
    assert (caught.value.kind, caught.value.function) == ("timeout", "prepare")
    assert not place.host.alive


def test_a_wrong_script_is_told_as_wrong_input(prepared: Running) -> None:
    place = prepared('def process(images: "images", size: Inte = 3): ...'.replace("Inte", '"Inte"'))
    with pytest.raises(InvalidInput) as caught:
        place.host.start(60)
    (finding,) = caught.value.findings
    assert (finding.line, finding.function, finding.parameter) == (1, "process", "size")
    assert not place.host.alive


def test_a_script_that_cannot_be_imported_is_told_as_wrong_input(prepared: Running) -> None:
    with pytest.raises(InvalidInput, match="ZeroDivisionError"):
        prepared("x = 1\ny = 1 / 0").host.start(60)


def test_a_failing_prepare_is_a_fault_with_the_original(prepared: Running) -> None:
    place = prepared("def prepare():\n    raise OSError(2, 'no model')")
    with pytest.raises(ScriptFault, match="no model") as caught:
        place.host.start(60)
    assert (caught.value.kind, caught.value.function) == ("raised", "prepare")
    assert isinstance(caught.value.original, OSError)
    assert not place.host.alive


# -- life


def test_restart_loads_anew(running: Running) -> None:
    place = running(
        """
        import time
        calls = []
        def process(images: "images", context: "IIS_CONTEXT"):
            calls.append(1)
            if context.state.get("hang"):
                time.sleep(600)
            return {"metadata": {"calls": len(calls)}}
        """
    )
    assert place.process().answer.metadata == {"calls": 1}
    assert place.host.restart(60) == 0.0
    assert place.process().answer.metadata == {"calls": 2}
    with pytest.raises(ScriptFault, match="took longer"):
        place.process(state={"hang": True}, limit_s=0.3)
    assert place.host.restart(60) > 0
    assert place.host.alive
    assert place.process().answer.metadata == {"calls": 1}


def test_a_closed_place_stays_closed(running: Running, frame: MakeFrame) -> None:
    place = running('def process(images: "images"): ...')
    place.host.close(10)
    place.host.close(10)
    assert not place.host.alive
    for call in (place.process, lambda: place.provide(frame()), lambda: place.host.restart(5)):
        with pytest.raises(ScriptFault) as caught:
            call()
        assert caught.value.kind == "died"


def test_closing_ends_a_running_call(running: Running) -> None:
    place = running('import time\ndef process(images: "images"):\n    print("in")\n    time.sleep(600)')
    closer = threading.Thread(target=lambda: (_until(lambda: place.run.lines), place.host.close(0.2)))
    closer.start()
    with pytest.raises(ScriptFault) as caught:
        place.process(limit_s=120)
    closer.join(30)
    assert caught.value.kind == "died"
    assert "closed" in caught.value.message


def _until(condition: Callable[[], Any], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_place_that_was_never_started_can_be_closed(prepared: Running) -> None:
    place = prepared("")
    assert not place.host.alive
    assert place.host.facts is None
    place.host.close(1)


def test_no_thread_is_left_behind(running: Running) -> None:
    before = set(threading.enumerate())
    place = running('def process(images: "images"): ...')
    place.process()
    place.host.close(10)
    _until(lambda: set(threading.enumerate()) <= before)


def test_many_calls_with_results(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        import numpy as np
        def fetch_images(new_image):
            return [{}] if new_image.metadata["timeIndex"] % 2 else []
        def process(images: "images", context: "IIS_CONTEXT"):
            n = images.metadata["timeIndex"]
            context.state["n"] = n
            print(n)
            return {"segmentation": np.full(images.shape, n, np.int32), "metadata": {"n": n}}
        """
    )
    for number in range(60):
        image = frame(number, (200, 210))
        assert place.provide(image) == ([{}] if number % 2 else [])
        reply = place.process(image)
        assert reply.answer.metadata == {"n": number} == reply.state
        assert np.all(reply.answer.values["segmentation"] == number)
    assert [int(text) for _, text in place.run.lines] == list(range(60))


def test_an_unknown_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Allowed: worker, thread"):
        make_host(ScriptSpec("x", tmp_path / "x.py"), "cloud")


def test_nan_is_no_surprise_in_a_command(running: Running) -> None:
    """The limits decide about it, so it must get there."""
    place = running('def process(images: "images", c: "IIS_CONTEXT"):\n    c.moveFocusBy(float("nan"))')
    place.process()
    assert math.isnan(place.run.commands[0][1][0])
