"""Which packages are installed, and whether they are those that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from inscoper_mm.environment.facts import Group, Package

OWN = "inscoper-mm"
# Not needed by a run, but by some scripts, users and reports of faults.
_MORE = ("opencv-python", "torchvision", "stardist", "napari", "PyQt5", "PyQt6", "PySide6")
# Where the module is not called like its distribution.
_MODULES = {
    "opencv-python-headless": "cv2",
    "opencv-python": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "useq-schema": "useq",
}


def installed_version(name: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def first_installed(names: Iterable[str]) -> str | None:
    """The version of the first of ``names`` that is installed."""
    return next((found for name in names if (found := installed_version(name)) is not None), None)


def installed_packages() -> tuple[Package, ...]:
    """What the project needs, as its own metadata say, and what some scripts use."""
    found: dict[str, Package] = {}
    for text in _own_requirements():
        wanted = Requirement(text)
        group = _group(wanted)
        # Needed by every run counts before needed by the demo, which pins it.
        if group is not None and (wanted.name not in found or group == "base"):
            found[wanted.name] = _package(wanted, group)
    more = {name: Package(name, "more", installed_version(name)) for name in _MORE if name not in found}
    return (*found.values(), *more.values())


def module_names(packages: Sequence[Package]) -> dict[str, str]:
    """The modules of the installed packages that every run imports: module -> distribution."""
    return {
        _MODULES.get(package.name.lower(), package.name.replace("-", "_")): package.name
        for package in packages
        if package.group == "base" and package.version is not None
    }


def _own_requirements() -> list[str]:
    try:
        return requires(OWN) or []
    except PackageNotFoundError:  # a source tree that was never installed
        return []


def _group(wanted: Requirement) -> Group | None:
    """The group of a requirement; None for those of developers and other computers."""
    if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
        return "base"
    return "demo" if wanted.marker.evaluate({"extra": "demo"}) else None


def _package(wanted: Requirement, group: Group) -> Package:
    found = installed_version(wanted.name)
    fits = found is None or wanted.specifier.contains(found, prereleases=True)
    return Package(wanted.name, group, found, str(wanted.specifier), fits)
