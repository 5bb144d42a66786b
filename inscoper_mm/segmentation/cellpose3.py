"""Cellpose 3: networks of convolutions (cyto3, nuclei, small_nuclei, trained ones). Import it only to load one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from cellpose import models, utils

from inscoper_mm.segmentation.cellpose import CellposeSettings
from inscoper_mm.segmentation.model_files import ModelFile
from inscoper_mm.segmentation.narrow_net import narrowed
from inscoper_mm.segmentation.torch_setup import refuse_downloads, set_up_torch, use_gpu

# Tiles are this large at least (what the networks were trained on), and at most for the memory's sake.
_TILE_PX, _LARGEST_TILE_PX = 224, 1024
# Room for what Cellpose adds around an image to make its sides fit.
_MARGIN_PX = 64
# Steps along the flows: enough for cells of the network's own size, which the image is scaled to.
_STEPS = 80
_FULL_STEPS = 200
# Never the module's own: Cellpose changes that one.
_NORMALIZE = {"normalize": True, "norm3D": False}


class Cellpose3:
    """A loaded network.

    Parameters
    ----------
    file : ModelFile
    settings : CellposeSettings
    """

    def __init__(self, file: ModelFile, settings: CellposeSettings) -> None:
        self.threads = set_up_torch()
        refuse_downloads(utils)
        gpu = use_gpu(settings.gpu)
        self._settings = settings
        self._model = models.CellposeModel(gpu=gpu, pretrained_model=str(file.path))
        self.device = str(self._model.device)
        if settings.fast and not gpu:
            self._model.net = narrowed(self._model.net)

    def masks(
        self, images: list[npt.NDArray[np.float32]], diameter_px: float | None
    ) -> list[npt.NDArray[Any]]:
        """The labels of images of one shape, computed together."""
        given = images[0] if len(images) == 1 else np.stack(images)
        together = {} if len(images) == 1 else {"z_axis": 0}
        found, *_ = self._model.eval(
            given,
            channels=[0, 0],
            diameter=diameter_px,
            normalize=dict(_NORMALIZE),
            flow_threshold=self._settings.flow_threshold,
            cellprob_threshold=self._settings.cellprob_threshold,
            min_size=self._settings.min_size_px,
            **together,
            **(self._quickly(images[0].shape, diameter_px) if self._settings.fast else {}),
        )
        return [found] if len(images) == 1 else list(found)

    def _quickly(self, shape: tuple[int, ...], diameter_px: float | None) -> dict[str, Any]:
        scale = self._model.diam_mean / (diameter_px or self._model.diam_labels)
        side = math.ceil(max(shape) * scale) + _MARGIN_PX
        return {
            "resample": False,
            "niter": _STEPS if self._model.diam_mean < 20 else _FULL_STEPS,
            "bsize": min(max(_TILE_PX, side), _LARGEST_TILE_PX),
        }
