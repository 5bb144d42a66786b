"""Cellpose and the models that are there, without importing it: that takes seconds and may start a download."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from inscoper_mm.environment.facts import Cellpose, Model
from inscoper_mm.environment.packages import installed_version
from inscoper_mm.segmentation.model_files import SMALL_NUCLEI, VARIABLE, find_model

# A list of the user's own models, and the small networks that only guess the size of cells.
_NO_MODELS = ("gui_models.txt",)
_SIZE_PREFIX, _SIZE_SUFFIX = "size_", ".npy"


def installed_cellpose(environ: Mapping[str, str] | None = None, home: Path | None = None) -> Cellpose:
    """The version and the models.

    Parameters
    ----------
    environ : mapping, optional
        Environment variables; those of the process where left out.
    home : Path, optional
        The user's home folder.
    """
    own = (os.environ if environ is None else environ).get(VARIABLE)
    folder = Path(own) if own else (home or Path.home()) / ".cellpose" / "models"
    found = {path.name: path for path in _files(folder)}
    # The user's own models are listed by their paths, which may lie elsewhere.
    found |= {path.name: path for path in _listed(folder / _NO_MODELS[0], folder)}
    models = tuple(Model(name, str(path), path.stat().st_size) for name, path in sorted(found.items()))
    version = installed_version("cellpose")
    return Cellpose(version, str(folder), models, _shipped(version))


def _shipped(version: str | None) -> Model | None:
    file = find_model(SMALL_NUCLEI)
    if version is None or not version.startswith(f"{file.generation}."):
        return None
    return Model(file.name, str(file.path), file.path.stat().st_size)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and not _is_something_else(path.name)]


def _is_something_else(name: str) -> bool:
    size_model = name.startswith(_SIZE_PREFIX) and name.endswith(_SIZE_SUFFIX)
    return name in _NO_MODELS or name.startswith(".") or size_model


def _listed(file: Path, folder: Path) -> list[Path]:
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return [path for line in lines if line.strip() and (path := folder / line.strip()).is_file()]
