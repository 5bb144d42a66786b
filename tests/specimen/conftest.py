"""Specimens to look at, and the real demo Core to put one behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.library import library_dir
from inscoper_mm.specimen import Specimen, SpecimenParameters, Truth

CONFIGS = {"stock": "MMConfig_demo.cfg", "galvo": "demo_galvo_2cam_lasers.cfg"}


@pytest.fixture(scope="session")
def specimen_of() -> Callable[..., Specimen]:
    """A specimen with these parameters, made once; for tests that do not make it jump."""

    @lru_cache(maxsize=8)
    def make(**parameters: Any) -> Specimen:
        return Specimen(SpecimenParameters(**parameters))

    return make


@pytest.fixture(scope="session")
def centroid() -> Callable[..., tuple[float, float]]:
    """(row, col) of the centre of the light of the brightest thing within a radius of a place."""

    def measure(light: np.ndarray, row: float, col: float, radius: float) -> tuple[float, float]:
        rows, cols = np.indices(light.shape)
        weight = np.where(np.hypot(rows - row, cols - col) <= radius, light, 0.0).astype(float)
        return float((rows * weight).sum() / weight.sum()), float((cols * weight).sum() / weight.sum())

    return measure


@pytest.fixture(scope="session")
def hidden() -> Callable[..., np.ndarray]:
    """Share of each whole cell's area that lies under another cell, from the label image."""

    def measure(truth: Truth, pixel_um: float) -> np.ndarray:
        seen_um2 = np.bincount(truth.labels.ravel(), minlength=len(truth.cells) + 1) * pixel_um**2
        return np.array([1 - seen_um2[cell.label] / cell.area_um2 for cell in truth.cells if cell.whole])

    return measure


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def _core(request: pytest.FixtureRequest) -> Iterator[Any]:
    adapters = pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")
    from mmpycorex import create_core_instance, terminate_core_instances
    from mmpycorex.launcher import _PYMMCORES

    folder = Path(adapters.device_adapter_path())
    name = CONFIGS[request.param]
    config = folder / name if request.param == "stock" else library_dir("mm_demo_config") / name
    create_core_instance(str(folder), str(config.resolve()), python_backend=True, buffer_size_mb=32)
    yield _PYMMCORES[-1]
    terminate_core_instances()


@pytest.fixture
def core(_core: Any) -> Any:
    """The demo Core as mmpycorex makes it, with each of the configurations, as after its start."""
    _core.setProperty("Camera", "PixelType", "16bit")
    _core.setProperty("Camera", "Binning", "1")
    _core.setProperty("Z", "UseSequences", "No")
    _core.clearROI()
    for group, preset in [("Channel-Multiband", "FITC"), ("Channel", "FITC"), ("Objective", "10X")]:
        _core.setConfig(group, preset)
    _core.setExposure(5.0)
    _core.setXYPosition(0.0, 0.0)
    _core.setPosition(0.0)
    _core.waitForSystem()
    return _core
