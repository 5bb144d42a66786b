"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

_OWNERS = packages_distributions()
# Declared for a reason that no import shows.
_NOT_IMPORTED = {
    "pymmcore": "mmpycorex imports it",
}
# What the extra for Cellpose brings with it. Only these modules may need it, and they are imported when it is used.
_WITH_CELLPOSE = {"cellpose", "torch", "numba"}


@pytest.fixture(scope="module")
def project(root):
    """The table [project] of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _names(requirements):
    return {canonicalize_name(Requirement(text).name) for text in requirements}


@cache
def imported(source: str) -> set[str]:
    """The distributions whose modules ``source`` imports, at its top or later."""
    tops = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            tops |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            tops.add(node.module.split(".")[0])
    return {
        canonicalize_name(_OWNERS.get(top, [top])[0])
        for top in tops - set(sys.stdlib_module_names) - {"inscoper_mm"}
        if not top.startswith("_")  # a sibling of a script
    }


@pytest.fixture(scope="module")
def used(package_modules, library_scripts):
    """The distributions that the package and its scripts import."""
    return set().union(*(imported(path.read_text("utf-8")) for path in package_modules + library_scripts))


def test_imports_are_found_wherever_they_stand():
    assert imported("def f():\n    import yaml\n    from skimage.filters import gaussian") == {
        "pyyaml",
        "scikit-image",
    }


def test_every_import_is_declared(used, project):
    extras = project["optional-dependencies"]
    declared = _names(project["dependencies"]) | _names(extras["demo"]) | _names(extras["cellpose"])
    assert used - declared - _WITH_CELLPOSE == set()


def test_only_segmentation_needs_cellpose(package_modules, library_scripts):
    needing = {
        path
        for path in package_modules + library_scripts
        if imported(path.read_text("utf-8")) & _WITH_CELLPOSE
    }
    assert {path.parent.name for path in needing} == {"segmentation"}


def test_the_scripts_are_imported_without_cellpose(library_scripts):
    """What they import of the package, in a process that has not got these packages, as on a base installation."""
    modules = sorted(
        node.module
        for path in library_scripts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("inscoper_mm.segmentation")
    )
    assert "inscoper_mm.segmentation.cellpose" in modules
    source = f"import sys\nsys.modules.update(dict.fromkeys({sorted(_WITH_CELLPOSE)}))\nimport {', '.join(modules)}"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_base_installation_has_nothing_unused(used, project):
    assert _names(project["dependencies"]) - used - set(_NOT_IMPORTED) == set()


def test_constraints_pin_what_is_asked_for(root, project):
    """Every requirement is pinned, to a version that it allows."""
    pins = {}
    for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            (specifier,) = pin.specifier
            assert specifier.operator == "==", line
            pins[canonicalize_name(pin.name)] = Version(specifier.version)
    extras = project["optional-dependencies"].values()
    for requirement in map(Requirement, sum(extras, project["dependencies"])):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement
