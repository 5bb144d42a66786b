"""What an environment is said to have is what it has, and what is wrong is told with its cure."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from inscoper_mm.environment import (
    REQUIREMENTS,
    Adapters,
    Cellpose,
    Framework,
    Machine,
    Output,
    Package,
    cellpose_models,
    environment_lines,
    known_requirements,
    look,
    machine,
    missing_requirements,
)
from inscoper_mm.environment.cellpose_models import installed_cellpose
from inscoper_mm.environment.facts import MicroManager, Model
from inscoper_mm.environment.findings import findings_of
from inscoper_mm.environment.micro_manager import installed_micro_manager
from inscoper_mm.environment.packages import installed_packages
from inscoper_mm.errors import InvalidInput
from inscoper_mm.library import library_scripts
from inscoper_mm.scripting.describe import describe
from inscoper_mm.scripting.loader import load_script
from inscoper_mm.scripting.spec import ScriptSpec


def line_of(environment, name):
    """The value that the text gives for a name."""
    (line,) = [line for line in environment_lines(environment) if line.startswith(f"  {name} ")]
    return line.removeprefix(f"  {name} ").strip()


# -- this environment


def test_versions_are_those_that_are_installed(here):
    for name in ("numpy", "scikit-image", "opencv-python-headless", "pycromanager", "ndstorage", "pymmcore"):
        assert line_of(here, name) == version(name)
    assert environment_lines(here)[0].endswith(f"Python {'.'.join(map(str, sys.version_info[:3]))}")


def test_this_environment_runs_experiments(here):
    assert here.ok, here.findings
    assert here.machine.cores >= 1
    assert here.machine.memory_bytes is None or here.machine.memory_bytes > 500_000_000
    assert here.output.writable
    assert here.output.free_bytes > 0


def test_it_is_json(here):
    said = json.loads(json.dumps(here.to_dict()))
    assert said["ok"] is True
    assert {"version", "graphics"} <= set(said["torch"])
    assert {each["name"]: each["version"] for each in said["packages"]}["numpy"] == version("numpy")


def test_every_dependency_is_looked_at(root_requirements):
    assert root_requirements <= {package.name for package in installed_packages()}


@pytest.fixture
def root_requirements():
    """What the installed project itself requires."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    return {Requirement(text).name for text in requires("inscoper-mm") if "extra" not in text}


# -- Micro-Manager


def test_the_demo_adapters_fit_the_core(here):
    pytest.importorskip("mm_test_adapters", reason="the demo extra is not installed")
    found = here.micro_manager
    (demo,) = [each for each in found.adapters if each.origin == "mm-test-adapters"]
    # Its version begins with the number of the interface.
    assert demo.interface == found.interface == int(version("mm-test-adapters").split(".")[0])
    assert demo in found.fitting
    assert demo.libraries >= 1


NO_ADAPTERS = {
    "no folder": ((), "no device adapter is in it"),
    "no adapter": (("readme.txt",), "no device adapter is in it"),
    "no adapter that may be loaded": (
        ("libmmgr_dal_Laser.so.0", "mmgr_dal_Laser.dll"),
        "none of them is a demo adapter",
    ),
    "not a library": (("libmmgr_dal_DemoCamera.so.0", "mmgr_dal_DemoCamera.dll"), "OSError"),
}


@pytest.mark.parametrize("name", NO_ADAPTERS)
def test_a_folder_that_cannot_be_asked_is_told_with_the_reason(healthy, tmp_path, name):
    files, reason = NO_ADAPTERS[name]
    folder = tmp_path / "mm"
    if files:
        folder.mkdir()
    for file in files:
        (folder / file).write_text("not a library", encoding="utf-8")
    found = installed_micro_manager(folder)
    (given,) = [each for each in found.adapters if each.origin == "given"]
    assert given.interface is None
    assert reason in given.fault
    (finding,) = findings_of(replace(healthy, micro_manager=replace(found, adapters=(given,))))
    assert finding.level == "error"
    assert reason in finding.got


# -- PyTorch and TensorFlow

CUDA = """
print("noise while it is imported")
__version__ = "9.9+cu126"
class version: cuda, hip = "12.6", None
class _Card: name, total_memory = "Card A", 12e9
class cuda:
    is_available = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 2)
    get_device_properties = staticmethod(lambda number: _Card)
class backends: pass
"""
MPS = """
__version__ = "9.9"
class cuda: is_available = staticmethod(lambda: False)
class backends:
    class mps: is_available = staticmethod(lambda: True)
"""
TORCH = {
    "CUDA": (CUDA, "9.9+cu126, Card A, 12 GB, CUDA 12.6; Card A, 12 GB, CUDA 12.6", True),
    "MPS": (MPS, "9.9, Apple graphics, MPS", True),
    "no card": (MPS.replace("True", "False"), "9.9, no graphics card that it can use", False),
    "raises": ("raise OSError('no libcudart')", "9.9, cannot be imported: OSError: no libcudart", False),
    "dies": (
        "import os; os._exit(3)",
        "9.9, cannot be imported: it ended with status 3: nothing was printed",
        False,
    ),
    "hangs": ("import time; time.sleep(60)", "9.9, cannot be imported: no answer within 0.5 s", False),
}


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_is_told_as_it_is_when_imported(package, healthy, monkeypatch, name):
    source, words, card = TORCH[name]
    package("torch", "9.9", source)
    if name == "hangs":
        monkeypatch.setattr(look, "_FRAMEWORK_LIMIT_S", 0.5)
    environment = replace(healthy, torch=look._framework("torch", asked=True))
    assert line_of(environment, "PyTorch") == words
    assert (missing_requirements(environment, ["GPU"]) == ()) is card
    assert bool(findings_of(environment)) == ("cannot be imported" in words)


def test_pytorch_is_not_imported_unless_asked(package, healthy):
    package("torch", "9.9", "raise SystemExit('imported')")
    environment = replace(healthy, torch=look._framework("torch", asked=False))
    assert line_of(environment, "PyTorch") == "9.9, not asked for graphics cards"


def test_there_is_always_a_line_for_tensorflow(package, healthy):
    absent = replace(healthy, tensorflow=Framework("TensorFlow", None))
    assert line_of(absent, "TensorFlow") == "not installed"
    package(
        "tensorflow", "2.99", "__version__ = '2.99.1'\nclass config: list_physical_devices = lambda kind: []"
    )
    present = replace(healthy, tensorflow=look._framework("tensorflow", asked=True))
    assert line_of(present, "TensorFlow").startswith("2.99.1, ")


# -- Cellpose


def test_models_are_found_without_importing_cellpose(package, tmp_path):
    package("cellpose", "4.9", "raise SystemExit('imported')")
    models = tmp_path / "models"
    models.mkdir()
    own = tmp_path / "mine"
    own.write_bytes(b"x" * 30)
    (models / "cyto3").write_bytes(b"x" * 20)
    (models / "size_cyto3.npy").write_bytes(b"x")
    (models / "gui_models.txt").write_text(f"{own}\ngone\n\n", encoding="utf-8")
    found = installed_cellpose({"CELLPOSE_LOCAL_MODELS_PATH": str(models)})
    assert found.version == "4.9"
    assert found.folder == str(models)
    assert [(model.name, model.path, model.bytes) for model in found.models] == [
        ("cyto3", str(models / "cyto3"), 20),
        ("mine", str(own), 30),
    ]


@pytest.mark.parametrize(("version", "usable"), [("3.1.1.3", True), ("4.2.1.1", False), (None, False)])
def test_the_shipped_model_is_told_where_it_can_be_used(package, tmp_path, monkeypatch, version, usable):
    monkeypatch.setattr(cellpose_models, "installed_version", lambda _: version)
    shipped = installed_cellpose({}, home=tmp_path).shipped
    assert (shipped is not None) == usable
    if shipped is not None:
        assert shipped.name == "small_nuclei"
        assert shipped.bytes == Path(shipped.path).stat().st_size


def test_models_are_looked_for_in_the_home_folder(tmp_path):
    found = installed_cellpose({}, home=tmp_path)
    assert Path(found.folder) == tmp_path / ".cellpose" / "models"
    assert found.models == ()


# -- what is wrong

WRONG = {
    "missing package": (
        {"packages": (Package("numpy", "base", None, ">=1.26"),)},
        "numpy is not installed",
        'pip install "numpy>=1.26"',
        "error",
    ),
    "old package": (
        {"packages": (Package("numpy", "base", "1.20", ">=1.26", fits=False),)},
        "this version of numpy is not supported",
        'pip install "numpy>=1.26"',
        "error",
    ),
    "other pymmcore than the demo's": (
        {
            "packages": (
                Package("numpy", "base", "2"),
                Package("mm-test-adapters", "demo", "71", "==75", fits=False),
            )
        },
        "this version of mm-test-adapters is not supported",
        'pip install "mm-test-adapters==75"',
        "warning",
    ),
    "broken package": (
        {"packages": (Package("scipy", "base", "1.11", fault="ImportError: DLL load failed"),)},
        "scipy cannot be imported",
        "pip install --force-reinstall --no-deps scipy==1.11",
        "error",
    ),
    "two OpenCVs": (
        {
            "packages": (
                Package("opencv-python", "more", "4.9"),
                Package("opencv-python-headless", "base", "4.9"),
            )
        },
        "opencv-python and opencv-python-headless are both installed",
        "install opencv-python-headless again",
        "warning",
    ),
    "nothing": ({"packages": ()}, "inscoper-mm itself is not installed", "pip install .", "error"),
    "no models": (
        {"cellpose": Cellpose("4.2", "models")},
        "Cellpose has no models",
        "Put model files into models",
        "warning",
    ),
    "the shipped model only": (
        {"cellpose": Cellpose("3.1", "models", (), Model("small_nuclei", "small_nuclei", 1))},
        "Cellpose has no models on this computer but small_nuclei",
        "Put model files into models",
        "warning",
    ),
    "no adapters": (
        {"micro_manager": MicroManager("12.5.1.75.0", 75)},
        "no device adapters",
        "pip install inscoper-mm[demo]",
        "warning",
    ),
    "other interface": (
        {"micro_manager": MicroManager("12.5.1.75.0", 75, (Adapters("C:/MM", "given", 9, 71),))},
        "pymmcore speaks device interface 75, the device adapters in C:/MM speak 71",
        "newest pymmcore whose fourth number is 71",
        "error",
    ),
    "other interface, not used": (
        {"micro_manager": MicroManager("12.5.1.75.0", 75, (Adapters("C:/MM", "found", 9, 71),))},
        "speak 71",
        "fourth number is 71",
        "warning",
    ),
    "full disk": (
        {"output": Output("runs", "D:/", 1_000_000, True)},
        "0.0 GB are free for runs",
        "",
        "warning",
    ),
    "locked folder": (
        {"output": Output("runs", "D:/", 10**12, False)},
        "cannot be written to",
        "output.directory",
        "error",
    ),
    "little memory": (
        {"machine": Machine("Linux", "", 2, 4 * 10**9, 10**9)},
        "1.0 GB of memory are free",
        "Close other programs",
        "warning",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_cure(healthy, name):
    change, words, cure, level = WRONG[name]
    assert findings_of(healthy) == ()
    (finding,) = findings_of(replace(healthy, **change))
    assert words in str(finding)
    assert cure in (finding.cure or "")
    assert finding.level == level
    assert replace(healthy, findings=(finding,)).ok == (level != "error")


BROKEN = {
    "raises": ("raise ImportError('damaged')", "ImportError: damaged"),
    "dies": ("import os; os._exit(3)", "it ended with status 3: nothing was printed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_package_that_cannot_be_imported_is_named(package, name):
    source, reason = BROKEN[name]
    package("tifffile", "2026.1", source)
    packages = (Package("numpy", "base", "2"), Package("tifffile", "base", "2026.1"))
    assert [(each.name, each.fault) for each in look._with_faults(packages)] == [
        ("numpy", None),
        ("tifffile", reason),
    ]


def test_the_nearest_folder_that_exists_counts(tmp_path):
    found = machine.output_folder(tmp_path / "runs" / "today")
    assert found.folder == str(tmp_path.resolve())
    assert found.writable


def test_a_folder_that_takes_no_file_is_told(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Access is denied", str(dir))

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    assert not machine.output_folder(tmp_path).writable


# -- what is required

ABSENT = {
    "TensorFlow": {"tensorflow": Framework("TensorFlow", None)},
    "PyTorch": {"torch": Framework("PyTorch", "2.13", fault="OSError", asked=True)},
    "GPU": {"torch": Framework("PyTorch", "2.13", asked=True)},
    "Cellpose": {"cellpose": Cellpose(None, "models")},
    "Cellpose models": {"cellpose": Cellpose("4.2", "models")},
    "StarDist": {"packages": (Package("stardist", "more", None),)},
    "napari": {"packages": ()},
    "Micro-Manager": {"micro_manager": MicroManager("12.5.1.75.0", 75, (Adapters("C:/MM", "given", 9, 71),))},
}


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_what_is_required_must_be_there(healthy, name):
    assert missing_requirements(healthy, REQUIREMENTS) == ()
    (finding,) = missing_requirements(replace(healthy, **ABSENT[name]), [name])
    assert str(finding).startswith(f"{name} is required, and missing. To get it: ")
    assert finding.level == "error"


def test_a_misspelt_requirement_is_refused(healthy):
    for asked in (missing_requirements, lambda seen, names: known_requirements(names)):
        with pytest.raises(InvalidInput, match="Did you mean 'TensorFlow'"):
            asked(healthy, ["Tensorflow"])


def test_the_script_offers_what_may_be_required():
    script = load_script(ScriptSpec("env", library_scripts()["test_python_env"]), values=False)
    (offered,) = [each for each in describe(script)["process"]["parameters"] if each["name"] == "required"]
    assert tuple(offered["choices"]) == REQUIREMENTS


# -- the script is no test


@pytest.mark.parametrize("arguments", [["scripts"], ["scripts/test_python_env.py"], [".", "--ignore=tests"]])
def test_pytest_leaves_the_script_alone(arguments):
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    # 5: no tests were found; an error while collecting would be 2.
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr
