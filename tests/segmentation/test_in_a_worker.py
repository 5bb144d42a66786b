"""A script with Cellpose in its process: ready before the first image, shared memory, and killed at its limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.errors import ScriptFault
from inscoper_mm.execution.host import CallState
from inscoper_mm.execution.shared import SMALLEST_BYTES
from inscoper_mm.execution.worker import WorkerHost
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.scripting.spec import ScriptSpec
from inscoper_mm.segmentation.cellpose import cellpose_segmenter

pytestmark = pytest.mark.cellpose(generation=3)

SCRIPT = """
from inscoper_mm.segmentation import cellpose


def prepare(model="small_nuclei"):
    cellpose.cellpose_segmenter(model).warm_up()


def fetch_images(new_image):
    return [{}]


def find_cells(images: "images", model: str = "small_nuclei"):
    segmenter = cellpose.cellpose_segmenter(model)
    while images[0].array[0, 0] == 7:  # stuck
        segmenter.segment([images[0].array])
    labels = segmenter.segment([images[0].array])[0]
    return {"segmentation": labels, "metadata": {"LOADED": cellpose._kept.cache_info().misses}}
"""
START_LIMIT_S, CALL_LIMIT_S = 120.0, 60.0


class Lines:
    """Stands for a run: keeps what the script tells."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def execute(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        raise AssertionError(name)

    def log(self, level: str, text: str) -> None:
        self.lines.append(text)


class Counted:
    """A pipe that counts what passes."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self.most = 0

    def send_bytes(self, data: bytes) -> None:
        self.most = max(self.most, len(data))
        self._pipe.send_bytes(data)

    def recv_bytes(self) -> bytes:
        data: bytes = self._pipe.recv_bytes()
        self.most = max(self.most, len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)


@pytest.fixture
def run() -> Lines:
    return Lines()


@pytest.fixture
def host(tmp_path: Path, run: Lines) -> Iterator[WorkerHost]:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    host = WorkerHost(
        ScriptSpec("with_cellpose", tmp_path / "script.py"), lambda level, text, _: run.log(level, text)
    )
    host.start(START_LIMIT_S)
    yield host
    host.close(10.0)


def segmented(
    host: WorkerHost, image: np.ndarray[Any, Any], run: Lines, limit_s: float = CALL_LIMIT_S
) -> Any:
    frame = Frame(FrameInfo("e0", Index(time=0), Sizes(time=10)), image)
    return host.process([frame], frame, run, CallState(), limit_s).answer


def test_it_is_loaded_before_the_first_image_and_pixels_are_not_pickled(
    host: WorkerHost, run: Lines, cells: Any
) -> None:
    assert any("on the processor" in line for line in run.lines)
    image = cells(8, 10)
    assert host._worker is not None
    pipe = host._worker.process._pipe = Counted(host._worker.process._pipe)  # type: ignore[assignment]
    answers = [segmented(host, image, run) for _ in range(2)]
    for answer in answers:
        assert answer.metadata["LOADED"] == 1
        assert answer.values["segmentation"].max() == 80
    assert image.nbytes > SMALLEST_BYTES > pipe.most > 0


@pytest.mark.slow
def test_it_is_killed_at_its_limit_and_answers_again_after_its_restart(
    host: WorkerHost, run: Lines, cells: Any
) -> None:
    image = cells(4, 5)
    stuck = image.copy()
    stuck[0, 0] = 7
    with pytest.raises(ScriptFault, match="took longer than 3 s; its process was ended") as error:
        segmented(host, stuck, run, limit_s=3.0)
    assert error.value.kind == "timeout"
    assert not host.alive
    host.restart(START_LIMIT_S)
    answer = segmented(host, image, run)
    assert answer.metadata["LOADED"] == 1
    np.testing.assert_array_equal(answer.values["segmentation"], cellpose_segmenter().segment([image])[0])
