"""Cellpose, version 3 or 4, as a ``Segmenter``: loaded once a process, offline, guarded against its traps."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.segmentation.grey_images import grey_copies, refuse_diameter
from inscoper_mm.segmentation.model_files import SMALL_NUCLEI, ModelFile, find_model
from inscoper_mm.segmentation.segmenter import Labels, Segmenter

Gpu = Literal["auto", "yes", "no"]
_KEPT = 4


@dataclass(frozen=True, slots=True)
class CellposeSettings:
    """How Cellpose is used.

    Parameters
    ----------
    gpu : {"auto", "yes", "no"}
        auto: where there is one. yes: an error where there is none.
    fast : bool
        Compute the image in one piece, follow the flows at the network's scale and for fewer steps, and leave out
        channels of the network that are zero. Outlines are a little coarser for large cells.
    flow_threshold : float
        Largest error of the flows of a cell; 0 switches the check off.
    cellprob_threshold : float
        Pixels above it belong to cells; lower finds more and larger ones.
    min_size_px : int
        Smaller cells are left out.
    """

    gpu: Gpu = "auto"
    fast: bool = True
    flow_threshold: float = 0.4
    cellprob_threshold: float = 0.0
    min_size_px: int = 15


class Network(Protocol):
    """A loaded network of one generation of Cellpose."""

    device: str
    threads: int

    def masks(
        self, images: list[npt.NDArray[np.float32]], diameter_px: float | None
    ) -> list[npt.NDArray[Any]]:
        """The labels of images of one shape."""
        ...


class CellposeSegmenter:
    """A network and how it is used.

    Parameters
    ----------
    file : ModelFile
    settings : CellposeSettings
    network : Network
    versions : mapping of str to str
    """

    def __init__(
        self, file: ModelFile, settings: CellposeSettings, network: Network, versions: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._network = network
        self._turn = threading.Lock()
        self._about = {
            "method": "cellpose",
            **versions,
            "model": file.name,
            "model_sha256": file.sha256,
            "device": network.device,
            "threads": network.threads,
            "settings": asdict(settings),
        }

    @property
    def about(self) -> dict[str, Any]:
        """Versions, model with its digest, device and settings."""
        return dict(self._about)

    def warm_up(self, shape: tuple[int, int] = (512, 512)) -> None:
        """Segment a made-up image: the first one compiles and allocates."""
        rows, cols = np.indices(shape) % 48 - 24
        self.segment([1000.0 * (rows**2 + cols**2 < 100)])

    def segment(self, images: Sequence[npt.ArrayLike], diameter_px: float | None = None) -> list[Labels]:
        """Label the cells of each image; see ``Segmenter``."""
        given = grey_copies(images, "segment")
        for image in given:
            refuse_diameter(diameter_px, image.shape, "segment")
        found: dict[int, Labels] = {}
        for shape in {image.shape for image in given}:
            numbers = [number for number, image in enumerate(given) if image.shape == shape]
            with self._turn:
                masks = self._network.masks([given[number] for number in numbers], diameter_px)
            found |= {number: np.asarray(mask, np.int32) for number, mask in zip(numbers, masks, strict=True)}
        return [found[number] for number in range(len(given))]


def cellpose_segmenter(model: str | Path = SMALL_NUCLEI, **settings: Any) -> Segmenter:
    """Load a network of Cellpose, or take it again: one per model and settings is kept in each process.

    Parameters
    ----------
    model : str or Path
        "small_nuclei" (comes with this package; for tests and demonstrations), the name of a model of Cellpose (cyto3,
        nuclei, cpsam ...) or of the user in Cellpose's folder, or a path.
    **settings
        See ``CellposeSettings``.

    Raises
    ------
    InvalidInput
        If Cellpose is not installed, the model is not there (nothing is ever downloaded) or of another generation, or a
        GPU is asked for and there is none.
    """
    return _kept(str(model), CellposeSettings(**settings))


@lru_cache(maxsize=_KEPT)
def _kept(model: str, settings: CellposeSettings) -> Segmenter:
    file = find_model(model)
    generation = _installed_generation()
    if file.generation != generation:
        raise _other_generation(file, generation)
    if generation == 3:
        from inscoper_mm.segmentation.cellpose3 import Cellpose3 as Adapter
    else:
        from inscoper_mm.segmentation.cellpose4 import Cellpose4 as Adapter  # type: ignore[assignment]
    versions = {name: version(name) for name in ("cellpose", "torch")}
    return CellposeSegmenter(file, settings, Adapter(file, settings), versions)


def _installed_generation() -> int:
    try:
        return int(version("cellpose").split(".")[0])
    except PackageNotFoundError:
        raise InvalidInput(
            Finding(
                "Cellpose is not installed",
                cure='Install it with "pip install inscoper-mm[cellpose]", or use a script without AI.',
            )
        ) from None


def _other_generation(file: ModelFile, installed: int) -> InvalidInput:
    return InvalidInput(
        Finding(
            f"this model is one of Cellpose {file.generation}, and Cellpose {version('cellpose')} is installed",
            parameter="model",
            got=f"{file.name} ({file.path})",
            cure=f'Use a model of Cellpose {installed}, or install the other: pip install "cellpose=={file.generation}.*"',
        )
    )
