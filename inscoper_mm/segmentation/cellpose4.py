"""Cellpose 4: one large network (cpsam), for computers with a GPU. Import it only to load one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from cellpose import models, utils

from inscoper_mm.segmentation.cellpose import CellposeSettings
from inscoper_mm.segmentation.model_files import ModelFile
from inscoper_mm.segmentation.torch_setup import refuse_downloads, set_up_torch, use_gpu

_NORMALIZE = {"normalize": True, "norm3D": False}


class Cellpose4:
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
        # Half the digits are faster on a GPU, and slower on most processors.
        self._model = models.CellposeModel(gpu=gpu, pretrained_model=str(file.path), use_bfloat16=gpu)
        self.device = str(self._model.device)

    def masks(
        self, images: list[npt.NDArray[np.float32]], diameter_px: float | None
    ) -> list[npt.NDArray[Any]]:
        """The labels of images of one shape; the tiles of each are computed together."""
        found, *_ = self._model.eval(
            images,
            diameter=diameter_px,
            normalize=dict(_NORMALIZE),
            flow_threshold=self._settings.flow_threshold,
            cellprob_threshold=self._settings.cellprob_threshold,
            min_size=self._settings.min_size_px,
            **({"resample": False} if self._settings.fast else {}),
        )
        return list(found)
