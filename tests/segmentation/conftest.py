"""Images with a known number of cells, and a model file of whichever Cellpose is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inscoper_mm.segmentation.cellpose import cellpose_segmenter
from inscoper_mm.segmentation.segmenter import Segmenter

RADIUS_PX, PITCH_PX = 9, 40


def installed_generation() -> int:
    try:
        return int(version("cellpose").split(".")[0])
    except PackageNotFoundError:
        return 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that name a generation of Cellpose need it."""
    generation = installed_generation()
    for item in items:
        marker = item.get_closest_marker("cellpose")
        if marker is None or not item.path.is_relative_to(Path(__file__).parent):
            continue
        wanted = marker.kwargs.get("generation")
        if not generation or wanted not in (None, generation):
            item.add_marker(pytest.mark.skip(reason=f"needs Cellpose {wanted or ''}".strip()))


@pytest.fixture
def cells() -> Callable[..., np.ndarray[Any, Any]]:
    """``cells(rows, cols)``: a uint16 image of as many round cells on a grid, with a background and noise."""

    def make(rows: int = 3, cols: int = 4, seed: int = 0) -> np.ndarray[Any, Any]:
        y, x = np.indices((rows * PITCH_PX, cols * PITCH_PX)) % PITCH_PX - PITCH_PX // 2
        light = 200 + 1500 / (1 + np.exp(np.hypot(y, x) - RADIUS_PX))
        return np.random.default_rng(seed).poisson(light).astype(np.uint16)

    return make


@pytest.fixture(scope="session")
def generation() -> int:
    """The installed generation of Cellpose."""
    return installed_generation()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, generation: int) -> Iterator[str]:
    """A model for the installed Cellpose, as a user names it: the one that is shipped, or an untrained one for 4."""
    if generation == 3:
        yield "small_nuclei"
        return
    with pytest.MonkeyPatch.context() as patch:
        yield str(untrained_model_of_4(tmp_path_factory.mktemp("models") / "tiny_sam", patch))


def untrained_model_of_4(path: Path, patch: pytest.MonkeyPatch) -> Path:
    """A file for Cellpose 4 with the whole structure of cpsam, but two narrow layers; cpsam itself has 1.2 GB.

    Nobody has trained it: each patch of 8 x 8 pixels is a cell of its own or none, as the image and chance will.
    """
    from inscoper_mm.segmentation.importing import import_cellpose

    import_cellpose(4)
    import torch
    from cellpose import vit
    from segment_anything.modeling import ImageEncoderViT

    class Small:
        def __init__(self, _: None) -> None:
            self.image_encoder = ImageEncoderViT(depth=2, embed_dim=96, num_heads=2, use_rel_pos=True)

    patch.setitem(vit.sam_model_registry, "vit_l", Small)
    torch.manual_seed(0)
    net = vit.CPSAM()
    inwards = 3.5 - torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"))
    with torch.no_grad():
        # The outputs are those of the 64 pixels of a patch: flow along y, along x, and whether it is a cell.
        net.out.weight[:128] = 0
        net.out.bias[:128] = (5 * inwards / inwards.norm(dim=0)).flatten()
        net.out.weight[128:] = 3 * net.out.weight[128]
        net.out.bias[128:] = 2.5  # about the middle of what the untrained layers say
    net.save_model(str(path))
    return path


@pytest.fixture(scope="session")
def segmenter(model: str) -> Segmenter:
    """That model in its fast settings, loaded once."""
    return cellpose_segmenter(model)
