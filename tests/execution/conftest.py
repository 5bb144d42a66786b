"""Scripts in both places where they can run, with a run that records what they ask for."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import CommandRefused, LimitRefused
from inscoper_mm.execution.host import CallState, Reply, ScriptHost
from inscoper_mm.execution.places import make_host
from inscoper_mm.images.frame import Frame, FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.scripting.loader import ScriptSpec

START_LIMIT_S = 60.0
# Long enough for a loaded machine: a test that needs it has failed.
CALL_LIMIT_S = 30.0


class Run:
    """Stands for a run: executes the commands of scripts on two numbers, and keeps what they print."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.lines: list[tuple[str, str]] = []
        self.outside: list[tuple[str, str, str | None]] = []
        self.on_command: Callable[[], None] = lambda: None

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self.commands.append((name, args, dict(kwargs)))
        self.on_command()
        if name == "moveStage" and args[0] > 5000:
            raise LimitRefused(f"x_um {args[0]} is above 5000.")
        if name == "setChannel":
            raise CommandRefused("There is no such channel.")
        if name == "moveFocus":
            raise RuntimeError("the drive is on fire")
        return {"getStagePosition": (1.5, 2.5), "getChannels": ["DAPI", "FITC"]}.get(name)

    def log(self, level: str, text: str) -> None:
        self.lines.append((level, text))

    def log_outside(self, level: str, text: str, event_id: str | None) -> None:
        self.outside.append((level, text, event_id))


class Place:
    """A host with a script, and short ways to call it."""

    def __init__(self, host: ScriptHost, run: Run) -> None:
        self.host = host
        self.run = run

    def provide(self, frame: Frame, limit_s: float = CALL_LIMIT_S) -> Any:
        return self.host.provide(frame.info, frame, limit_s)

    def process(
        self,
        *frames: Frame,
        state: dict[str, Any] | None = None,
        run_state: dict[str, Any] | None = None,
        limit_s: float = CALL_LIMIT_S,
        start: CallState | None = None,
    ) -> Reply:
        given = frames or (make_frame(),)
        start = start or CallState(state or {}, run_state or {}, Path("out"), 100.0)
        return self.host.process(given, given[-1], self.run, start, limit_s)


def make_frame(number: int = 0, shape: tuple[int, ...] = (8, 10), dtype: Any = np.uint16) -> Frame:
    size = int(np.prod(shape))
    pixels = (np.arange(size, dtype=np.uint64) * 7 + number).astype(dtype).reshape(shape)
    info = FrameInfo(
        f"e{number}",
        Index(time=number),
        Sizes(time=1000),
        real=StagePosition(1.0, 2.0, 3.0),
        pixel_size_um=0.5,
    )
    return Frame(info, pixels)


@pytest.fixture
def frame() -> Callable[..., Frame]:
    """``frame(number, shape, dtype)``: an image at time ``number``."""
    return make_frame


@pytest.fixture(params=["thread", "worker"])
def place(request: pytest.FixtureRequest) -> str:
    """The name of a place."""
    return str(request.param)


@pytest.fixture
def prepared(place: str, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """``prepared(text, **fields of ScriptSpec)``: the script in its place, not started yet."""
    made: list[ScriptHost] = []

    def prepared(text: str, **fields: Any) -> Place:
        text = textwrap.dedent(text)
        if "def fetch_images" not in text:
            text += "\n\ndef fetch_images(new_image):\n    return [{}]\n"
        if '"images"' not in text:
            text += '\n\ndef process(images: "images"):\n    return None\n'
        file = tmp_path / "script.py"
        file.write_text(text, encoding="utf-8")
        run = Run()
        made.append(make_host(ScriptSpec("tested", file, **fields), place, run.log_outside))
        return Place(made[-1], run)

    yield prepared
    for host in made:
        host.close(10.0)


@pytest.fixture
def running(prepared: Callable[..., Place]) -> Callable[..., Place]:
    """``running(text, **fields)``: the same, started."""

    def running(text: str, **fields: Any) -> Place:
        place = prepared(text, **fields)
        assert place.host.start(START_LIMIT_S) > 0
        return place

    return running
