"""Environments: this one, one where all is well, and packages that are made up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inscoper_mm.environment import (
    Adapters,
    Cellpose,
    Environment,
    Framework,
    Machine,
    Model,
    Output,
    Package,
    look_at_environment,
)
from inscoper_mm.environment.facts import MicroManager


@pytest.fixture(scope="module")
def here() -> Environment:
    """The environment of the tests."""
    return look_at_environment()


@pytest.fixture
def healthy() -> Environment:
    """Everything is installed and fits."""
    return Environment(
        inscoper_mm="1.0",
        python="3.11.9",
        executable="python",
        machine=Machine("Windows 11, AMD64", "Some processor", 8, 32_000_000_000, 16_000_000_000),
        packages=(
            Package("numpy", "base", "2.0.2", ">=1.26"),
            Package("mm-test-adapters", "demo", "75.1", "==75.1"),
            Package("stardist", "more", "0.9"),
            Package("napari", "more", "0.5"),
            Package("opencv-python", "more", None),
            Package("opencv-python-headless", "base", "4.9", ">=4.9"),
        ),
        torch=Framework("PyTorch", "2.13", ("Some card, 12 GB, CUDA 12.6",), asked=True),
        tensorflow=Framework("TensorFlow", "2.20", asked=True),
        cellpose=Cellpose("4.2", "models", (Model("cpsam", "models/cpsam", 1_230_000_000),)),
        micro_manager=MicroManager("12.5.1.75.0", 75, (Adapters("mm", "given", 200, 75),)),
        output=Output("runs", "here", 500_000_000_000, True),
    )


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``package(name, version, source)`` installs a made-up package for this process and those it starts."""
    folder = tmp_path / "packages"

    def install(name: str, version: str, source: str) -> None:
        module, info = folder / name, folder / f"{name}-{version}.dist-info"
        module.mkdir(parents=True)
        info.mkdir()
        (module / "__init__.py").write_text(source, encoding="utf-8")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
        )

    monkeypatch.syspath_prepend(str(folder))
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *([before] if before else [])]))
    return install
