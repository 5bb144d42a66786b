"""What only a worker process can do, and what can only happen to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from inscoper_mm.errors import ScriptFault
from inscoper_mm.execution import shared
from inscoper_mm.images.frame import Frame

Running = Callable[..., Any]
MakeFrame = Callable[..., Frame]

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups")


@pytest.fixture
def place() -> str:
    return "worker"


def until(condition: Callable[[], Any], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether there is no such process; one that only waits to be looked at is gone too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def leftovers() -> set[Path]:
    folder = Path("/dev/shm")
    return set(folder.glob("inscoper-mm-*")) if folder.is_dir() else set()


def nothing_is_left(before: set[Path]) -> None:
    """What came into the shared memory goes away. Other tests may use it at the same time, for moments."""
    for block in leftovers() - before:
        until(lambda block=block: not block.exists())


# -- death


@pytest.mark.parametrize("where", ["process", "provider"])
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("os._exit(7)", "its process ended by itself, exit status 7"),
        ("os._exit(0)", "its process ended by itself, exit status 0"),
        pytest.param("os.kill(os.getpid(), 9)", "ended by SIGKILL (out of memory?)", marks=posix),
        pytest.param("os.abort()", "ended by SIGABRT", marks=posix),
    ],
)
def test_a_process_that_ends_is_noticed_at_once(
    running: Running, frame: MakeFrame, where: str, statement: str, words: str
) -> None:
    name, hint = ("process", ': "images"') if where == "process" else ("fetch_images", "")
    place = running(f"import os\ndef {name}(images{hint}):\n    {statement}\n")
    # Noticed only at the limit, it would be a "timeout", and the test over before.
    with pytest.raises(ScriptFault) as caught:
        place.process(limit_s=600) if where == "process" else place.provide(frame(), limit_s=600)
    assert (caught.value.kind, caught.value.function) == ("died", name)
    assert words in caught.value.message
    assert not place.host.alive


@posix
def test_a_crash_tells_the_line_of_the_script(running: Running) -> None:
    place = running('import ctypes\ndef process(images: "images"):\n    ctypes.string_at(0)\n')
    place.run.log = lambda level, text: time.sleep(
        0.02
    )  # what it wrote is read later than its end is noticed
    with pytest.raises(ScriptFault, match="SIGSEGV") as caught:
        place.process()
    assert caught.value.kind == "died"
    assert "Segmentation fault" in caught.value.details
    assert 'script.py", line 3 in process' in caught.value.details


def test_a_worker_that_is_killed_during_a_call_is_noticed(running: Running) -> None:
    place = running('import time\ndef process(images: "images"):\n    print("in")\n    time.sleep(600)')

    def kill() -> None:
        until(lambda: place.run.lines)
        psutil.Process(place.host.pid).kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ScriptFault) as caught:
        place.process(limit_s=600)
    killer.join(30)
    assert caught.value.kind == "died"


def test_a_worker_that_is_killed_between_calls_is_not_alive_and_can_be_restarted(running: Running) -> None:
    place = running('def process(images: "images"):\n    return {"a": 1}')
    first = place.host.pid
    psutil.Process(first).kill()
    until(lambda: not place.host.alive)
    with pytest.raises(ScriptFault) as caught:
        place.process()
    assert caught.value.kind == "died"
    assert place.host.restart(60) > 0
    assert place.host.pid != first
    assert place.process().answer.values == {"a": 1}


def test_death_while_the_script_is_loaded_is_a_fault(prepared: Running) -> None:
    with pytest.raises(ScriptFault, match="exit status 3") as caught:
        prepared("import os\nos._exit(3)").host.start(60)
    assert caught.value.kind == "died"


@pytest.mark.parametrize("where", ["process", "provider"])
def test_the_process_is_killed_at_its_limit(running: Running, frame: MakeFrame, where: str) -> None:
    name, hint = ("process", ': "images"') if where == "process" else ("fetch_images", "")
    place = running(f"def {name}(images{hint}):\n    while True: pass\n")
    pid = place.host.pid
    with pytest.raises(ScriptFault, match="its process was ended"):
        place.process(limit_s=0.3) if where == "process" else place.provide(frame(), limit_s=0.3)
    until(lambda: gone(pid))


@posix
def test_what_the_script_has_started_is_killed_with_it(running: Running) -> None:
    place = running(
        """
        import subprocess, sys, time
        def process(images: "images"):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            print(child.pid)
            time.sleep(600)
        """
    )
    for limit_s in (1.0, 4.0, 16.0):  # long enough for the start of the child, also on a busy machine
        with pytest.raises(ScriptFault, match="took longer"):
            place.process(limit_s=limit_s)
        if place.run.lines:
            break
        place.host.restart(60)
    child = int(place.run.lines[0][1])
    until(lambda: gone(child))


def test_a_provider_that_hangs_while_processing_takes_the_worker_with_it(
    running: Running, frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inscoper_mm.execution.worker.BUSY_LIMIT_S", 1.0)
    place = running(
        """
        import time
        def fetch_images(new_image):
            time.sleep(600)
        def process(images: "images"):
            print("busy")
            time.sleep(600)
        """
    )
    faults = []

    def process() -> None:
        try:
            place.process()
        except ScriptFault as fault:
            faults.append(fault)

    busy = threading.Thread(target=process)
    busy.start()
    until(lambda: place.run.lines)
    begin = time.monotonic()
    with pytest.raises(ScriptFault, match="took longer than 1 s"):
        place.provide(frame(), limit_s=0.1)
    assert time.monotonic() - begin >= 1.0
    busy.join(30)
    assert faults[0].kind == "died"
    assert "fetch_images() took too long" in faults[0].message


def test_the_end_of_an_old_worker_does_not_count_against_the_new_one(
    running: Running, frame: MakeFrame
) -> None:
    place = running(
        """
        import os, time
        def fetch_images(new_image):
            if new_image.metadata["timeIndex"] == 1:
                os._exit(1)
            return [{}]
        def process(images: "images"):
            if images.metadata["timeIndex"] == 1:
                print("busy")
                time.sleep(600)
            return {"a": 1}
        """
    )
    for _ in range(5):
        faults: list[ScriptFault] = []

        def process(faults: list[ScriptFault] = faults) -> None:
            with pytest.raises(ScriptFault) as caught:
                place.process(frame(1))
            faults.append(caught.value)

        place.run.lines.clear()
        busy = threading.Thread(target=process)
        busy.start()
        until(lambda: place.run.lines)
        with pytest.raises(ScriptFault, match="exit status 1"):
            place.provide(frame(1))
        place.host.restart(60)
        busy.join(30)
        assert [died.kind for died in faults] == ["died"]
        assert place.host.alive
        assert place.provide(frame(2)) == [{}]
        assert place.process(frame(2)).answer.values == {"a": 1}


# -- the run's end of it


@posix
def test_ctrl_c_is_the_run_s_business(running: Running) -> None:
    place = running('def process(images: "images"):\n    return {"a": 1}')
    os.kill(place.host.pid, signal.SIGINT)
    time.sleep(0.1)
    assert place.process().answer.values == {"a": 1}


def test_a_run_that_stops_waiting_does_not_get_the_answer_later(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        def process(images: "images", context: "IIS_CONTEXT"):
            context.getFocus()
            return {"metadata": {"time": images.metadata["timeIndex"]}}
        """
    )

    def interrupt() -> None:
        raise KeyboardInterrupt

    place.run.on_command = interrupt
    with pytest.raises(KeyboardInterrupt):
        place.process(frame(1))
    place.run.on_command = lambda: None
    assert not place.host.alive
    place.host.restart(60)
    assert place.process(frame(2)).answer.metadata == {"time": 2}


RUN = """
import sys, time
from pathlib import Path
from inscoper_mm.execution.host import CallState
from inscoper_mm.execution.places import make_host
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.scripting.loader import ScriptSpec
import numpy as np

class Run:
    def execute(self, name, args, kwargs): ...
    def log(self, level, text): print(text, flush=True)

print("the run begins", flush=True)
host = make_host(ScriptSpec("s", Path(sys.argv[1])), "worker")
host.start(60)
print(host.pid, flush=True)
image = Frame(FrameInfo("e", Index(), Sizes()), np.zeros((600, 600), np.uint16))
host.process([image], image, Run(), CallState(), 60)
if "close" in sys.argv:
    host.close(10)
elif "leave" not in sys.argv:
    time.sleep(60)
"""


@pytest.fixture
def other_run(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """``other_run(script, *args)``: a run in a process of its own, without a guarded main module."""

    def other_run(script: str, *args: str) -> subprocess.Popen[str]:
        (tmp_path / "run.py").write_text(RUN)
        (tmp_path / "script.py").write_text(textwrap.dedent(script) + "\ndef fetch_images(n): ...\n")
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "script.py"), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return other_run


IDLE = 'def process(images: "images"):\n    print("processed", images.array.sum())\n'
BUSY = 'def process(images: "images"):\n    print("busy")\n    while True: pass\n'


@pytest.mark.parametrize("ending", ["close", "leave"])
def test_a_run_needs_no_guarded_main_module_and_ends_cleanly(other_run: Running, ending: str) -> None:
    before = leftovers()
    run = other_run(IDLE, ending)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0
    first, pid, *rest = out.splitlines()
    assert (first, rest) == ("the run begins", ["processed 0"])
    assert err == ""
    until(lambda: gone(int(pid)))
    nothing_is_left(before)


@pytest.mark.parametrize("script", [IDLE, BUSY], ids=["idle", "busy"])
def test_when_the_run_is_killed_its_worker_ends_and_nothing_is_left(other_run: Running, script: str) -> None:
    before = leftovers()
    run = other_run(script)
    assert run.stdout is not None
    lines = [run.stdout.readline() for _ in range(3)]
    assert lines[2] in ("processed 0\n", "busy\n")
    run.kill()
    run.communicate(timeout=60)
    until(lambda: gone(int(lines[1])))
    nothing_is_left(before)


# -- results and output


def test_a_result_that_cannot_leave_its_process_is_rubbish(running: Running) -> None:
    place = running('def process(images: "images"):\n    return {"mine": lambda: 3}')
    with pytest.raises(ScriptFault, match="cannot leave its process") as caught:
        place.process()
    assert caught.value.kind == "rubbish"
    assert place.host.alive


def test_a_provider_s_answer_that_cannot_leave_its_process_is_rubbish(
    running: Running, frame: MakeFrame
) -> None:
    place = running("def fetch_images(new_image):\n    return [lambda: 3]")
    with pytest.raises(ScriptFault) as caught:
        place.provide(frame())
    assert (caught.value.kind, caught.value.function) == ("rubbish", "fetch_images")


def test_an_exception_of_the_script_s_own_class_stays_there_as_text(running: Running) -> None:
    place = running(
        'class NoCells(Exception): ...\ndef process(images: "images"):\n    raise NoCells("none")\n'
    )
    with pytest.raises(ScriptFault, match="NoCells: none") as caught:
        place.process()
    assert caught.value.original is None


def test_output_past_python_s_streams_arrives(running: Running) -> None:
    place = running(
        """
        import os, time
        def process(images: "images"):
            os.write(1, b"from a library\\n")
            os.write(2, b"and another\\n")
            time.sleep(0.2)
        """
    )
    place.process()
    # A thread reads them: on a busy machine it may be later than the call.
    until(lambda: len(place.run.lines) + len(place.run.outside) == 2)
    texts = [line[1] for line in (*place.run.lines, *place.run.outside)]
    assert texts == ["from a library", "and another"]


def test_threads_of_the_script_print_into_its_call(running: Running) -> None:
    place = running(
        """
        import threading
        def process(images: "images"):
            thread = threading.Thread(target=print, args=("from a thread",))
            thread.start()
            thread.join()
        """
    )
    place.process()
    assert place.run.lines == [("info", "from a thread")]


def test_threads_that_print_between_calls_are_heard_at_the_next(running: Running, tmp_path: Path) -> None:
    place = running(
        f"""
        import threading
        from pathlib import Path
        over, printed = threading.Event(), Path({str(tmp_path / "printed")!r})
        def late():
            over.wait(60)
            import time
            time.sleep(0.2)
            print("late")
            printed.touch()
        threading.Thread(target=late, daemon=True).start()
        def process(images: "images"):
            over.set()
        """
    )
    place.process()
    until((tmp_path / "printed").exists)
    place.process()
    assert place.run.lines == [("info", "late")]


def test_much_output_does_not_block(running: Running) -> None:
    place = running('def process(images: "images"):\n    for n in range(3000):\n        print(n, "x" * 100)')
    place.process()
    assert len(place.run.lines) == 3000


def test_a_script_that_asks_for_input_gets_none(running: Running) -> None:
    place = running('def process(images: "images"):\n    input("name? ")')
    with pytest.raises(ScriptFault, match="EOFError"):
        place.process()


def test_one_core_is_left_to_the_camera(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("OPENCV_FOR_THREADS_NUM", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "17")
    place = running(
        """
        import cv2, os
        def process(images: "images"):
            names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
            return {"mine": [os.environ[name] for name in names] + [cv2.getNumThreads()]}
        """
    )
    most = max(1, cores - 1)
    assert place.process().answer.values["mine"] == [str(most), "17", most]


# -- memory


@pytest.mark.parametrize("end", ["close", "kill"])
def test_no_shared_memory_is_left(running: Running, frame: MakeFrame, end: str) -> None:
    before = leftovers()
    place = running(
        'import numpy as np\ndef process(images: "images"):\n    return {"image": np.ones((500, 500))}'
    )
    replies = [place.process(frame(n, (600, 600))) for n in range(5)]
    if end == "kill":
        psutil.Process(place.host.pid).kill()
        until(lambda: not place.host.alive)
    place.host.close(10)
    nothing_is_left(before)
    assert all(np.all(reply.answer.values["image"] == 1) for reply in replies)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the mappings of the process")
def test_blocks_are_used_again(running: Running, frame: MakeFrame) -> None:
    place = running(
        """
        from pathlib import Path
        def process(images: "images"):
            lines = Path("/proc/self/maps").read_text().splitlines()
            return {"mine": sum("inscoper-mm-" in line for line in lines)}
        """
    )
    counts = [place.process(frame(n, (600, 600))).answer.values["mine"] for n in range(30)]
    assert 1 <= max(counts) <= 3


def test_without_shared_memory_images_come_through_the_pipe(
    running: Running, frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(size: int) -> Any:
        raise OSError(28, "No space left on device")

    place = running(
        'def process(images: "images"):\n    return {"metadata": {"sum": int(images.array.sum())}}'
    )
    monkeypatch.setattr(shared, "_create", full)
    image = frame(1, (900, 800))
    assert place.process(image).answer.metadata == {"sum": int(image.pixels.sum())}


def test_a_stack_of_many_images(running: Running, frame: MakeFrame) -> None:
    place = running(
        'def process(images: "images"):\n    return {"mine": [int(image.array[0, 0]) for image in images]}'
    )
    stack = [frame(n, (300, 300)) for n in range(40)]
    for _ in range(3):
        assert place.process(*stack).answer.values["mine"] == list(range(40))
