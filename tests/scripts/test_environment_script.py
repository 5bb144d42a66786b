"""The script that tells the environment: once a run, all of it, and it fails where something required is missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inscoper_mm.environment import environment_lines


@pytest.fixture(scope="module")
def script(library):
    """The script, loaded as a run loads it."""
    return library("test_python_env")


@pytest.fixture
def seen(script, monkeypatch):
    """The environment is looked at once, by the first test that needs it."""
    module = script.module
    if not hasattr(module, "_once"):
        module._once = module.look_at_environment()
    monkeypatch.setattr(module, "look_at_environment", lambda mm_dir, output: module._once)
    return module._once


FIRST = {f"{axis}Index": 0 for axis in ("time", "position", "channel", "focus")}


@pytest.mark.parametrize("axis", [None, *FIRST])
def test_only_the_first_image_of_a_run_is_asked_for(script, image_of, axis):
    image = image_of(np.zeros((4, 4), np.uint16), **(FIRST | ({axis: 1} if axis else {})))
    assert script.module.fetch_images(image) == ([] if axis else [{}])


def test_every_line_is_printed_and_nothing_is_published(script, seen, capsys, tmp_path):
    context = SimpleNamespace(exportPath=str(tmp_path))
    assert script.module.test_versions([], context, required=["Micro-Manager"]) is None
    printed = capsys.readouterr().out.splitlines()
    assert printed[: len(environment_lines(seen))] == list(environment_lines(seen))
    assert sum("TensorFlow" in line for line in printed) == 1


def test_what_is_missing_is_named_with_what_to_install(script, seen, monkeypatch, tmp_path):
    from dataclasses import replace

    from inscoper_mm.environment import Framework

    bare = replace(seen, tensorflow=Framework("TensorFlow", None), torch=Framework("PyTorch", None))
    monkeypatch.setattr(script.module, "look_at_environment", lambda mm_dir, output: bare)
    context = SimpleNamespace(exportPath=Path(tmp_path))
    with pytest.raises(RuntimeError) as error:
        script.module.test_versions([], context, required=["TensorFlow", "Micro-Manager", "PyTorch"])
    assert "TensorFlow is required, and missing. To get it: pip install tensorflow." in str(error.value)
    assert "PyTorch is required" in str(error.value)
    assert "Micro-Manager" not in str(error.value)
