"""The real Core with the demo devices, loaded once for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inscoper_mm.acquisition.engine import shut_engine
from inscoper_mm.library import library_dir
from inscoper_mm.microscope.core import Microscope

mm_test_adapters = pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")


@pytest.fixture(scope="session")
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
