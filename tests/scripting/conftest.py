"""Scripts written on the spot, loaded, or refused with their findings."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.images.frame import FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.scripting.loader import Script, ScriptSpec, load_script

# A script with everything it needs: tests add what they are about.
PROVIDER = "def fetch_images(new_image):\n    return [{}]\n\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(text, file="script.py")`` makes a file in a folder of its own."""

    def write(text: str, file: str = "script.py") -> Path:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def load(write: Callable[..., Path]) -> Callable[..., Script]:
    """``load(text, **fields of ScriptSpec)``: the loaded script; a provider is put in front if it has none."""

    def load(text: str, values: bool = True, **fields: Any) -> Script:
        text = textwrap.dedent(text)
        whole = text if "fetch_images" in text or "provider" in fields else text + "\n\n" + PROVIDER
        return load_script(ScriptSpec("test", write(whole), **fields), values)

    return load


@pytest.fixture
def refused(load: Callable[..., Script]) -> Callable[..., list[Finding]]:
    """``refused(text, **fields)``: the errors that loading tells."""

    def refused(text: str, **fields: Any) -> list[Finding]:
        with pytest.raises(InvalidInput) as caught:
            load(text, **fields)
        return [finding for finding in caught.value.findings if finding.level == "error"]

    return refused


@pytest.fixture
def info() -> FrameInfo:
    """Image (1, 2, 0, 3) of a plan of 4 x 3 x 2 with stacks of 5."""
    return FrameInfo(
        event_id="e7",
        index=Index(1, 2, 0, 3),
        sizes=Sizes(4, 3, 2, 5),
        channel_name="DAPI",
        position_name="A",
        planned=StagePosition(10.0, 20.0, 3.0),
        real=StagePosition(10.1, 19.9, 3.2),
        exposure_ms=20.0,
        pixel_size_um=0.5,
        elapsed_ms=1234.5,
        camera="Camera",
        binning=2,
        bit_depth=12,
    )
