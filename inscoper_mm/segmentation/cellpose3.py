"""Cellpose 3: networks of convolutions (cyto3, nuclei, small_nuclei, trained ones). Import it only to load one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inscoper_mm.segmentation.cellpose import NORMALIZE, CellposeSettings
from inscoper_mm.segmentation.importing import import_cellpose, without_downloads
from inscoper_mm.segmentation.model_files import NOT_A_NETWORK, ModelFile, first_line, no_network
from inscoper_mm.segmentation.narrow_net import narrowed
from inscoper_mm.segmentation.quick_flows import use_in
from inscoper_mm.segmentation.torch_setup import (
    enough_memory,
    refuse_processor,
    set_up_torch,
    use_gpu,
    without_denormals,
)

# Tiles are this large at least (what the networks were trained on), and at most for the memory's sake.
_TILE_PX, _LARGEST_TILE_PX = 224, 1024
# Room for what Cellpose adds around an image to make its sides fit.
_MARGIN_PX = 64
# Steps of at most a pixel along the flows, where the image is scaled to the network's size of cells: enough for cells
# of many times that size. Networks of large cells may be used for long ones.
_STEPS, _STEPS_OF_LARGE, _LARGE_PX = 80, 200, 20.0
# What a file may lack: it was made by an older version.
_OPTIONAL = ("diam_mean", "diam_labels", "num_batches_tracked")


class Cellpose3:
    """A loaded network.

    Parameters
    ----------
    file : ModelFile
    settings : CellposeSettings

    Raises
    ------
    InvalidInput
        If the file has no network of Cellpose 3, or there is no GPU and one was asked for.
    """

    def __init__(self, file: ModelFile, settings: CellposeSettings) -> None:
        models = import_cellpose(3)
        self.threads = set_up_torch()
        gpu = use_gpu(settings.gpu)
        self._settings = settings
        try:
            with without_downloads():
                self._model = models.CellposeModel(gpu=gpu, pretrained_model=str(file.path))
            state = torch.load(file.path, map_location="cpu", weights_only=True)
        except NOT_A_NETWORK as reason:
            raise no_network(file, first_line(reason)) from reason
        _refuse_part(file, self._model.net, state)
        refuse_processor(settings.gpu, self._model.device)
        self.device = str(self._model.device)
        if self._model.device.type == "cpu":
            use_in(models.dynamics)
            if settings.fast:
                self._model.net = narrowed(self._model.net)

    def masks(
        self, images: list[npt.NDArray[np.float32]], diameter_px: float | None
    ) -> list[npt.NDArray[Any]]:
        """The labels of images of one shape, computed together."""
        several = len(images) > 1
        with enough_memory(), without_denormals():
            found, *_ = self._model.eval(
                np.stack(images) if several else images[0],
                z_axis=0 if several else None,
                channels=[0, 0],
                diameter=diameter_px,
                normalize=dict(NORMALIZE),
                flow_threshold=self._settings.flow_threshold,
                cellprob_threshold=self._settings.cellprob_threshold,
                min_size=self._settings.min_size_px,
                **(self._quickly(images[0].shape, diameter_px) if self._settings.fast else {}),
            )
        return list(found) if several else [found]

    def _quickly(self, shape: tuple[int, ...], diameter_px: float | None) -> dict[str, Any]:
        scale = self._model.diam_mean / (diameter_px or self._model.diam_labels)
        side = math.ceil(max(shape) * scale) + _MARGIN_PX
        return {
            "resample": False,
            "niter": _STEPS if self._model.diam_mean < _LARGE_PX else _STEPS_OF_LARGE,
            "bsize": min(max(_TILE_PX, side), _LARGEST_TILE_PX),
            # Together on a GPU; on a processor one after the other, so that each stays in its cache.
            **({"batch_size": 1} if self._model.device.type == "cpu" else {}),
        }


def _refuse_part(file: ModelFile, net: Any, state: dict[str, Any]) -> None:
    """Refuse a file that lacks weights: Cellpose leaves them at random then, and says nothing."""
    lacking = [name for name in net.state_dict() if name not in state and not name.endswith(_OPTIONAL)]
    if lacking:
        raise no_network(file, f"{len(lacking)} of its weights are missing, the first is {lacking[0]}")
    outputs = state["output.2.weight"].shape[0]
    if outputs != net.nout:
        raise no_network(file, f"it has {outputs} outputs; one that finds cells has {net.nout}")
