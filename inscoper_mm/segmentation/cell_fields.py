"""The cells of an image or a stack: found, measured, and, of a stack, with their heights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.analysis.stacked_cells import heights, join_slices, seen_from_above
from inscoper_mm.analysis.volumes import measure_volumes
from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.scripting.image import Images
from inscoper_mm.segmentation.segmenter import Segmenter

Array = npt.NDArray[Any]
Depth = Literal["stack", "projection"]


@dataclass(frozen=True, eq=False)
class Field:
    """The cells of a place at a time point.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) int
    pixels : array of the same shape
    table : mapping of name to (N,) array
        Measured; sorted by label.
    heights_um : (N,) float or None
        z of the cells of a stack.
    bright : bool
        Whether cells are brighter than what is around them; not so in transmitted light.
    """

    labels: Array
    pixels: Array
    table: Mapping[str, Array]
    heights_um: Array | None = None
    bright: bool = True

    @cached_property
    def seen(self) -> Array:
        """The labels as one image (Y, X)."""
        return self.labels if self.labels.ndim == 2 else seen_from_above(self.labels, self.pixels)

    @cached_property
    def flat_table(self) -> Mapping[str, Array]:
        """The measurements of the cells as one image, with their sharpness."""
        return self.table if self.labels.ndim == 2 else measure_cells(self.seen, self.image, focus=True)

    @property
    def image(self) -> Array:
        """The pixels as one image (Y, X)."""
        return self.pixels if self.pixels.ndim == 2 else self.pixels.max(axis=0)


def find_cells(
    images: Images,
    segmenter: Segmenter,
    diameter_px: float | None,
    depth: Depth = "stack",
    bright: bool = True,
) -> Field:
    """Find and measure the cells of an image, or of the slices of a stack.

    Parameters
    ----------
    images : Images
        One image, or the slices of one stack.
    segmenter : Segmenter
    diameter_px : float or None
    depth : {"stack", "projection"}
        Cells of a stack with their height, or those of its brightest pixels as of one image.
    bright : bool
        As of `Field`.

    Raises
    ------
    InvalidInput
        If the cells of a stack are not bright.
    """
    unit_um = images[0].metadata.get("pixelSize_um") or None
    if len(images) > 1 and not bright:
        raise InvalidInput(
            Finding(
                "Transparent cells are only found in single images.",
                function="find_cells",
                got=f"a stack of {len(images)} slices",
                cure="Take that channel without a z-stack (do_stack: false), a little below the focus.",
            )
        )
    pixels = np.stack([image.array for image in images])
    if len(images) == 1 or depth == "projection":
        flat = pixels.max(axis=0) if len(images) > 1 else pixels[0]
        (labels,) = segmenter.segment([flat], diameter_px)
        # Sharpness is for the warnings.
        return Field(labels, flat, measure_cells(labels, flat, unit_um, focus=True), bright=bright)
    labels = join_slices(segmenter.segment(list(pixels), diameter_px), pixels)
    z_um = _slices_um(images)
    step_um = float(np.median(np.abs(np.diff(z_um)))) or None
    table = measure_volumes(labels, pixels, unit_um, step_um)
    return Field(labels, pixels, table, np.interp(heights(labels, pixels), np.arange(len(z_um)), z_um))


def without_small(field: Field, least_area: float) -> Field:
    """The field without cells smaller than ``least_area``, in its own unit of area."""
    table = field.table
    if not least_area or "area_px" not in table:
        return field
    kept = table.get("area_um2", table["area_px"]) >= least_area
    labels = np.where(np.isin(field.labels, table["label"][kept]), field.labels, 0)
    return replace(field, labels=labels, table={name: column[kept] for name, column in table.items()})


def _slices_um(images: Images) -> Array:
    """Where the slices are; their numbers where that is not known."""
    heights_um = [image.metadata.get("zPosition_um") for image in images]
    if any(height is None for height in heights_um):
        return np.arange(len(images), dtype=np.float64)
    return np.array(heights_um, np.float64)
