"""The real Core with the demo devices, loaded once for the tests of a file."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from inscoper_mm.acquisition import check_scripts, report, runner
from inscoper_mm.acquisition.control import StopSwitch
from inscoper_mm.acquisition.engine import shut_engine
from inscoper_mm.acquisition.result import RunResult
from inscoper_mm.acquisition.session import Session
from inscoper_mm.experiment.load import load_experiment
from inscoper_mm.images.index import Index
from inscoper_mm.images.ndtiff import open_dataset
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope
from inscoper_mm.output.status import StatusFile
from inscoper_mm.records import Record

_R = TypeVar("_R", bound=Record)

mm_test_adapters = pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")


@pytest.fixture(scope="module", autouse=True)
def _quick_status() -> Iterator[None]:
    """A run's last status is due a period after the one before: half a second of each run, were it not shorter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "StatusFile", partial(StatusFile, period_s=0.02))
        yield


@pytest.fixture(scope="module", autouse=True)
def _patience() -> Iterator[None]:
    """On a busy machine a script's process may stand still for longer than the second that a provider has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "PROVIDER_LIMIT_S", 30.0)
        patch.setattr(check_scripts, "_ANSWER_LIMIT_S", 30.0)
        yield


@pytest.fixture(scope="module")
def _microscope() -> Iterator[Microscope]:
    config = library_dir("mm_demo_config") / "demo_galvo.cfg"
    microscope = Microscope.open(config, Path(mm_test_adapters.device_adapter_path()))
    yield microscope
    shut_engine()
    microscope.close()


@pytest.fixture
def microscope(_microscope: Microscope) -> Microscope:
    """The demo microscope, quick and at the origin."""
    core = _microscope.core
    core.setProperty("Camera", "FastImage", "1")
    core.setProperty("Camera", "PixelType", "16bit")
    core.setConfig("Channel", "DAPI")
    core.setConfig("Objective", "10X")
    core.setExposure(1.0)
    _microscope.move_stage(0.0, 0.0)
    _microscope.move_focus(0.0)
    return _microscope


Lab = Callable[..., "Ran"]

ACQUISITION = """\
acquisition:
  axis_order: tpcz
  channels: [{group: Channel, config: DAPI, exposure: 1}]
  stage_positions: [{x: 0, y: 0, z: 0, name: A}, {x: 100, y: 0, z: 0, name: B}]
  time_plan: {interval: 0, loops: 3}
"""


@dataclass
class Ran:
    """A run and everything it left."""

    result: RunResult
    records: list[Record]

    @property
    def folder(self) -> Path:
        assert self.result.folder is not None
        return self.result.folder

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))

    @property
    def counts(self) -> dict[str, int]:
        return self.report["counts"]

    def of(self, kind: type[_R]) -> list[_R]:
        return [record for record in self.records if isinstance(record, kind)]

    def stored(self) -> dict[Index, dict[str, Any]]:
        """The metadata of every stored image, as ndstorage reads it."""
        data = open_dataset(self.folder / "images")
        try:
            keys = data.get_image_coordinates_list()
            return {
                Index(key["time"], key["position"], key["channel"], key["z"]): data.read_metadata(**key)
                for key in keys
            }
        finally:
            data.close()


@pytest.fixture
def lab(microscope: Microscope, tmp_path: Path) -> Lab:
    """Runs scripts, given as source text, on the demo microscope: ``lab(source, policy=..., acquisition=...)``."""
    opened = microscope

    def run(
        *sources: str,
        policy: str = "{place: thread}",
        acquisition: str = ACQUISITION,
        microscope: str = "{backend: demo}",
        more: str = "",
        entry: str = "",
        stop: StopSwitch | None = None,
        on_record: Callable[[Record], None] = lambda record: None,
    ) -> Ran:
        lines = ["name: lab", f"microscope: {microscope}", acquisition, more]
        if sources:
            lines.append("scripts:")
        for number, source in enumerate(sources):
            file = tmp_path / f"script{number}.py"
            file.write_text(textwrap.dedent(source), encoding="utf-8")
            lines.append(f"  - {{file: '{file.as_posix()}', policy: {policy}{entry}}}")
        config = tmp_path / "lab.yaml"
        config.write_text("\n".join(lines), encoding="utf-8")
        records: list[Record] = []

        def take(elapsed_s: float, record: Record) -> None:
            records.append(record)
            on_record(record)

        session = Session(load_experiment(config), tmp_path / "runs", take, stop, opened)
        return Ran(session.run(), records)

    return run
