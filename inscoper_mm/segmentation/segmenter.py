"""What scripts ask of a segmentation method, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]


class Segmenter(Protocol):
    """A method that finds cells, ready to be used for image after image."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What the labels were made with (method, versions, model, settings), as JSON values."""
        ...

    def warm_up(self, shape: tuple[int, int] = (512, 512)) -> None:
        """Do once, on an image of ``shape`` (Y, X) without meaning, what would make the first image slow."""
        ...

    def segment(self, images: Sequence[npt.ArrayLike], diameter_px: float | None = None) -> list[Labels]:
        """Label the cells of each image.

        Parameters
        ----------
        images : sequence of (Y, X) array
            Grey values; they are not changed. Images of one shape are computed together where that is faster.
        diameter_px : float, optional
            The typical diameter of a cell; left out, the method's own guess.

        Returns
        -------
        list of (Y, X) int32
            0 is background, cells are 1, 2, 3, ...

        Raises
        ------
        InvalidInput
            If an image is no grey image, or the diameter cannot be right.
        """
        ...
