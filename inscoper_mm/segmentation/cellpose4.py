"""Cellpose 4: one large network (cpsam), for computers with a GPU. Import it only to load one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.segmentation.cellpose import NORMALIZE, CellposeSettings
from inscoper_mm.segmentation.importing import import_cellpose, without_downloads
from inscoper_mm.segmentation.model_files import NOT_A_NETWORK, ModelFile, first_line, no_network
from inscoper_mm.segmentation.torch_setup import (
    enough_memory,
    refuse_processor,
    set_up_torch,
    use_gpu,
    without_denormals,
)


class Cellpose4:
    """A loaded network.

    Parameters
    ----------
    file : ModelFile
    settings : CellposeSettings

    Raises
    ------
    InvalidInput
        If the file has no network of Cellpose 4, or there is no GPU and one was asked for.
    """

    def __init__(self, file: ModelFile, settings: CellposeSettings) -> None:
        models = import_cellpose(4)
        self.threads = set_up_torch()
        gpu = use_gpu(settings.gpu)
        self._settings = settings
        try:
            with without_downloads():
                # Half the digits are faster on a GPU, and slower on most processors.
                self._model = models.CellposeModel(gpu=gpu, pretrained_model=str(file.path), use_bfloat16=gpu)
        except NOT_A_NETWORK as reason:
            raise no_network(file, first_line(reason)) from reason
        refuse_processor(settings.gpu, self._model.device)
        self.device = str(self._model.device)

    def masks(
        self, images: list[npt.NDArray[np.float32]], diameter_px: float | None
    ) -> list[npt.NDArray[Any]]:
        """The labels of images of one shape, computed together."""
        several = len(images) > 1
        with enough_memory(), without_denormals():
            found, *_ = self._model.eval(
                np.stack(images)[..., np.newaxis] if several else images[0],
                channel_axis=3 if several else None,
                diameter=diameter_px,
                normalize=dict(NORMALIZE),
                flow_threshold=self._settings.flow_threshold,
                cellprob_threshold=self._settings.cellprob_threshold,
                min_size=self._settings.min_size_px,
                **({"resample": False} if self._settings.fast else {}),
            )
        return list(found) if several else [found]
