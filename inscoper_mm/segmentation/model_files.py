"""Where the weights of a network are. Nothing here downloads, and nothing imports Cellpose or torch."""

from __future__ import annotations

import hashlib
import os
import pickle
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path

from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

SMALL_NUCLEI = "small_nuclei"
VARIABLE = "CELLPOSE_LOCAL_MODELS_PATH"
# The names of Cellpose's own models, with the generation that runs them.
KNOWN = {
    **dict.fromkeys(("cyto3", "nuclei", "cyto2", "cyto", "cyto2_cp3", "tissuenet_cp3", "livecell_cp3"), 3),
    **dict.fromkeys(("yeast_PhC_cp3", "yeast_BF_cp3", "bact_phase_cp3", "bact_fluor_cp3", "deepbacs_cp3"), 3),
    **dict.fromkeys(("cpsam", "cpsam_v2"), 4),
}
# Cellpose 3 keeps these under other names.
_FILE_NAMES = {name: f"{name}torch_0" for name in ("cyto", "cyto2", "nuclei")}
_PICKLE = b"\x80"
# A key that only networks of Cellpose 4 have.
_KEY_OF_4 = "W2"
# What loading another kind of file raises.
NOT_A_NETWORK = (
    *(AssertionError, AttributeError, EOFError, KeyError, OSError),
    *(RuntimeError, TypeError, ValueError, pickle.UnpicklingError),
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The weights of a network: the ``name`` that was asked for, their file, and which Cellpose runs them."""

    name: str
    path: Path
    generation: int

    @property
    def sha256(self) -> str:
        """The digest of the file: what it was, whatever its name."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def models_folder() -> Path:
    """The folder where Cellpose keeps its models."""
    own = os.environ.get(VARIABLE)
    return Path(own) if own else Path.home() / ".cellpose" / "models"


def find_model(model: str | Path) -> ModelFile:
    """The file of a model.

    Parameters
    ----------
    model : str or Path
        "small_nuclei" (comes with this package), the name of a model of Cellpose or of the user in Cellpose's folder,
        or a path.

    Raises
    ------
    InvalidInput
        If there is no such file, with where to put it, or it holds no network.
    """
    name = str(model)
    if name == SMALL_NUCLEI:
        path = Path(__file__).parent / "models" / SMALL_NUCLEI
    elif _is_path(name):
        path = Path(name).expanduser()
    else:
        path = models_folder() / _FILE_NAMES.get(name, name)
    # Cellpose itself takes its default model, or downloads it, where a file is missing.
    if not path.is_file():
        raise _missing(name, path)
    return ModelFile(name, path.resolve(), _generation(ModelFile(name, path, 0)))


def _is_path(name: str) -> bool:
    return Path(name).name != name or Path(name).is_file()


def _missing(name: str, path: Path) -> InvalidInput:
    folder = models_folder()
    there = [file.name for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
    if name in KNOWN:
        message = (
            f"the model '{name}' of Cellpose {KNOWN[name]} is not on this computer (nothing is downloaded)"
        )
        cure = (
            f"Put its file at {path} (from Cellpose's site, or from a computer where Cellpose has used it; "
            f"the folder can be set with the environment variable {VARIABLE}), or use '{SMALL_NUCLEI}'."
        )
        return InvalidInput(Finding(message, parameter="model", got=name, cure=cure))
    candidates = [SMALL_NUCLEI, *KNOWN, *there]
    return InvalidInput(
        Finding(
            "there is no such model",
            parameter="model",
            got=name if _is_path(name) else f"{name} (no file {path})",
            allowed=f"a path to a file, or {one_of(candidates)}",
            suggestion=did_you_mean(name, candidates),
        )
    )


def _generation(file: ModelFile) -> int:
    """3 or 4, as the names of the weights in the file tell."""
    try:
        if zipfile.is_zipfile(file.path):
            return 4 if _KEY_OF_4 in _names_in(file.path) else 3
        with file.path.open("rb") as start:
            if start.read(1) == _PICKLE:  # the older format of torch
                return 3
    except (OSError, zipfile.BadZipFile, ValueError) as reason:
        raise no_network(file, str(reason)) from reason
    raise no_network(file, "neither a zip nor a pickle file")


def _names_in(path: Path) -> set[str]:
    """The texts in the table of contents of a file of torch."""
    with zipfile.ZipFile(path) as archive:
        tables = [entry for entry in archive.namelist() if entry.endswith("data.pkl")]
        if not tables:
            raise ValueError("a zip file without data.pkl")
        content = archive.read(tables[0])
    return {value for _, value, _ in pickletools.genops(content) if isinstance(value, str)}


def first_line(error: BaseException) -> str:
    """What an error says, in short."""
    return str(error).split("\n")[0] or type(error).__name__


def no_network(file: ModelFile, reason: str) -> InvalidInput:
    """The error of a file that holds something else."""
    return InvalidInput(
        Finding(
            "not a file with the weights of a network of Cellpose",
            parameter="model",
            got=f"{file.name}: {file.path} ({reason})",
            allowed="a file that torch.save has written, as Cellpose's training makes it",
            cure="Was it copied whole?",
        )
    )
