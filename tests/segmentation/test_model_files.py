"""Where models are looked for, and what is said where they are not; neither Cellpose nor torch is needed for that."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from inscoper_mm.errors import InvalidInput
from inscoper_mm.segmentation import cellpose
from inscoper_mm.segmentation.cellpose import CellposeSettings, cellpose_segmenter
from inscoper_mm.segmentation.model_files import VARIABLE, find_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cellpose's folder of models, empty."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def weights(path: Path, *names: str) -> Path:
    """A file as torch.save writes it, as far as its names."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(dict.fromkeys(names, 0)))
    return path


def test_the_shipped_model_is_in_the_package_and_small(folder: Path) -> None:
    found = find_model("small_nuclei")
    assert (found.name, found.generation) == ("small_nuclei", 3)
    assert found.path.stat().st_size <= 2_000_000
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "file", "key", "generation"),
    [
        ("cyto3", "cyto3", "output.2.weight", 3),
        ("nuclei", "nucleitorch_0", "output.2.weight", 3),
        ("cpsam", "cpsam", "W2", 4),
        ("mine", "mine", "output.2.weight", 3),
    ],
)
def test_names_are_looked_up_in_cellpose_s_folder(
    folder: Path, name: str, file: str, key: str, generation: int
) -> None:
    weights(folder / file, key)
    found = find_model(name)
    assert (found.path, found.generation) == ((folder / file).resolve(), generation)


def test_a_path_is_taken_as_it_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights(tmp_path / "model of mine", "output.2.weight")
    assert find_model(tmp_path / "model of mine").path == (tmp_path / "model of mine").resolve()
    monkeypatch.chdir(tmp_path)
    assert find_model("model of mine").path == (tmp_path / "model of mine").resolve()


@pytest.mark.parametrize("name", ["cyto3", "nuclei", "cpsam", "cpsam_v2"])
def test_a_model_of_cellpose_that_is_not_there_is_told_where_to_put(folder: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="is not on this computer") as error:
        find_model(name)
    assert str(folder) in str(error.value)
    assert VARIABLE in str(error.value)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("cyto33", "Did you mean 'cyto3'"),
        ("smal_nuclei", "Did you mean 'small_nuclei'"),
        ("mine2", "Did you mean 'mine'"),
        ("some/where/else", "no such model"),
        ("models", "no such model"),
    ],
)
def test_a_file_that_is_not_there_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, asked: str, words: str
) -> None:
    weights(folder / "mine", "output.2.weight")
    monkeypatch.chdir(folder.parent)
    with pytest.raises(InvalidInput, match=words):
        find_model(asked)


def text(path: Path) -> None:
    path.write_text("not found", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "")


def half(path: Path) -> None:
    path.write_bytes(find_model("small_nuclei").path.read_bytes()[:-1000])


@pytest.mark.parametrize("make", [text, empty, other_zip, half])
def test_a_file_of_something_else_is_refused_before_torch_is_imported(folder: Path, make) -> None:
    make(folder / "mine")
    with pytest.raises(InvalidInput, match="not a file with the weights"):
        find_model("mine")


def test_a_model_of_the_other_generation_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights(folder / "cpsam", "W2")
    weights(folder / "cyto3", "output.2.weight")
    for installed, name in (("3.1.1.3", "cpsam"), ("4.2.1.1", "cyto3")):
        monkeypatch.setattr(cellpose, "version", lambda _, installed=installed: installed)
        with pytest.raises(InvalidInput, match=f"and Cellpose {installed} is installed"):
            cellpose_segmenter(name)


def test_without_cellpose_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(cellpose, "version", absent)
    with pytest.raises(InvalidInput, match=r"pip install inscoper-mm\[cellpose\]"):
        cellpose_segmenter(min_size_px=16)


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        ({"gpu": "maybe"}, "gpu"),
        ({"flow_threshold": -1}, "flow_threshold"),
        ({"cellprob_threshold": float("nan")}, "cellprob_threshold"),
        ({"min_size_px": -1}, "min_size_px"),
    ],
)
def test_wrong_settings_are_refused_by_their_names(settings: dict, parameter: str) -> None:
    with pytest.raises(InvalidInput, match=parameter):
        CellposeSettings(**settings)
