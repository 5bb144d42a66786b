"""The layers hold, and what has to be light is light."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "numpy",
    "scipy",
    "skimage",
    "cv2",
    "pymmcore",
    "pycromanager",
    "useq",
    "pydantic",
    "ndstorage",
    "tifffile",
)
HARDWARE = ("pymmcore", "mmpycorex", "pycromanager", "useq", "ndstorage")


def _python(code, root):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, encoding="utf-8", timeout=120
    )


def test_layers(root):
    done = _python("from importlinter.cli import lint_imports_command as main; main()", root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        pytest.param("import inscoper_mm", HEAVY, id="package"),
        pytest.param("import inscoper_mm.analysis", HARDWARE, id="analysis"),
        pytest.param("import inscoper_mm.scripting.loader", HARDWARE, id="script loader"),
        pytest.param("import inscoper_mm.execution.places", HARDWARE, id="worker"),
        pytest.param(
            "import sys; sys.argv = ['inscoper-mm', '--help']\n"
            "from inscoper_mm.cli import main\n"
            "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code",
            HEAVY,
            id="--help",
        ),
    ],
)
def test_is_light(statement, unwanted, root):
    code = (
        f"{statement}\nimport sys\nprint('LOADED', *[name for name in {unwanted!r} if name in sys.modules])"
    )
    done = _python(code, root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"
