"""Cellpose, version 3 or 4, as a ``Segmenter``: loaded once a process, offline, guarded against its traps."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import Finding, InvalidInput, one_of
from inscoper_mm.segmentation.grey_images import LEAST_SIDE_PX, grey_copies, refuse_diameter
from inscoper_mm.segmentation.model_files import SMALL_NUCLEI, ModelFile, find_model
from inscoper_mm.segmentation.segmenter import Labels, Segmenter

Gpu = Literal["auto", "yes", "no"]
_KEPT = 4
# Images computed together at most, for the memory's sake.
_TOGETHER = 8
# All keys: what is left out, Cellpose takes from a dict that calls by others have changed.
NORMALIZE: Mapping[str, Any] = {
    "lowhigh": None,
    "percentile": None,
    "normalize": True,
    "norm3D": False,
    "sharpen_radius": 0,
    "smooth_radius": 0,
    "tile_norm_blocksize": 0,
    "tile_norm_smooth3D": 1,
    "invert": False,
}
_log = logging.getLogger(__name__)


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

    def __post_init__(self) -> None:
        """Refuse what would be taken for something else, or only be noticed after the loading."""
        if self.gpu not in get_args(Gpu):
            raise _wrong("gpu", self.gpu, one_of(get_args(Gpu)))
        if not 0 <= self.flow_threshold < math.inf:
            raise _wrong("flow_threshold", self.flow_threshold, "0 (no check) or more")
        if not math.isfinite(self.cellprob_threshold):
            raise _wrong("cellprob_threshold", self.cellprob_threshold, "a finite number, -6 to 6 as a rule")
        if self.min_size_px < 0:
            raise _wrong("min_size_px", self.min_size_px, "0 or more")


def _wrong(parameter: str, got: object, allowed: str) -> InvalidInput:
    return InvalidInput(
        Finding(
            "this cannot be set",
            function="cellpose_segmenter",
            parameter=parameter,
            got=str(got),
            allowed=allowed,
        )
    )


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
        rows, cols = np.indices([max(side, LEAST_SIDE_PX) for side in shape]) % 48 - 24
        self.segment([1000.0 * (rows**2 + cols**2 < 100)])

    def segment(self, images: Sequence[npt.ArrayLike], diameter_px: float | None = None) -> list[Labels]:
        """Label the cells of each image; see ``Segmenter``."""
        given = grey_copies(images, "segment")
        for image in given:
            refuse_diameter(diameter_px, image.shape, "segment")
        found: dict[int, Labels] = {}
        for numbers in _together([image.shape for image in given]):
            with self._turn:
                masks = self._network.masks([given[number] for number in numbers], diameter_px)
            for number, mask in zip(numbers, masks, strict=True):
                found[number] = np.asarray(mask, np.int32)
        return [found[number] for number in range(len(given))]


def cellpose_segmenter(
    model: str | Path = SMALL_NUCLEI,
    *,
    gpu: Gpu = "auto",
    fast: bool = True,
    flow_threshold: float = 0.4,
    cellprob_threshold: float = 0.0,
    min_size_px: int = 15,
) -> Segmenter:
    """Load a network of Cellpose, or take it again: one per model and settings is kept in each process.

    Parameters
    ----------
    model : str or Path
        "small_nuclei" (comes with this package; for tests and demonstrations), the name of a model of Cellpose (cyto3,
        nuclei, cpsam ...) or of the user in Cellpose's folder, or a path.
    gpu, fast, flow_threshold, cellprob_threshold, min_size_px
        See ``CellposeSettings``.

    Raises
    ------
    InvalidInput
        If Cellpose is not installed, the model is not there (nothing is ever downloaded) or of another generation, or a
        GPU is asked for and there is none.
    """
    settings = CellposeSettings(gpu, fast, flow_threshold, cellprob_threshold, min_size_px)
    with _loading:
        return _kept(str(model), settings)


_loading = threading.Lock()


@lru_cache(maxsize=_KEPT)
def _kept(model: str, settings: CellposeSettings) -> Segmenter:
    file = find_model(model)
    generation = _installed_generation()
    if file.generation != generation:
        raise _other_generation(file, generation)
    network: Network
    if generation == 3:
        from inscoper_mm.segmentation.cellpose3 import Cellpose3

        network = Cellpose3(file, settings)
    else:
        from inscoper_mm.segmentation.cellpose4 import Cellpose4

        network = Cellpose4(file, settings)
    versions = {name: version(name) for name in ("cellpose", "torch")}
    _tell(file, network, versions["cellpose"])
    return CellposeSegmenter(file, settings, network, versions)


def _tell(file: ModelFile, network: Network, cellpose: str) -> None:
    """Say what computes: a GPU that is not used is not noticed otherwise."""
    where = f"the processor, {network.threads} thread(s)" if network.device == "cpu" else network.device
    _log.info("Cellpose %s, model %s, on %s", cellpose, file.name, where)
    if network.device == "cpu" and file.generation >= 4:
        _log.warning("Models of Cellpose 4 take minutes for each image without a GPU")


def _together(shapes: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """The numbers of images that are computed together: of one shape, and not too many."""
    for shape in dict.fromkeys(shapes):
        numbers = [number for number, other in enumerate(shapes) if other == shape]
        for start in range(0, len(numbers), _TOGETHER):
            yield numbers[start : start + _TOGETHER]


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
            cure=f"Use a model of Cellpose {installed}, or install the other: "
            f'pip install "cellpose=={file.generation}.*"',
        )
    )
