"""From a label image to single cells: measured, judged, cut out, in a table and in the metadata of an image."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.crops import AtBorder, Box, crop_cell
from inscoper_mm.analysis.measurement import CellTable, contours, measure_cells, pixel_to_stage_um, row_of
from inscoper_mm.analysis.quality import warnings_at
from inscoper_mm.analysis.screening import Rules, Verdict, screen_cells
from inscoper_mm.errors import Finding, InvalidInput
from inscoper_mm.scripting.image import Image, Images
from inscoper_mm.scripting.vocabulary import index_of

Labels = npt.NDArray[np.integer[Any]]
_BOX = ("bbox_r0", "bbox_c0", "bbox_r1", "bbox_c1")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a single cell must be, in the units of the parameters of scripts.

    Parameters
    ----------
    min_area_um2, max_area_um2 : float
        In square pixels where no pixel size is known; a largest of 0 is no limit.
    min_mean_intensity, max_mean_intensity : float
        Grey values in the channel in which cells are found; a largest of 0 is no limit.
    min_gap_diameters, min_border_gap_diameters, min_solidity, max_eccentricity, min_focus : float
        As of `Rules`.
    """

    min_area_um2: float = 0.0
    max_area_um2: float = 0.0
    min_gap_diameters: float = 0.5
    min_border_gap_diameters: float = 0.0
    min_solidity: float = 0.8
    max_eccentricity: float = 1.0
    min_mean_intensity: float = 0.0
    max_mean_intensity: float = 0.0
    min_focus: float = 0.0

    def rules(self, unit_um: float, channel: str) -> Rules:
        """The same in pixels of ``unit_um``; intensity and focus are those of ``channel``."""
        return Rules(
            min_gap_diameters=self.min_gap_diameters,
            min_border_gap_diameters=self.min_border_gap_diameters,
            min_area_px=self.min_area_um2 / unit_um**2,
            max_area_px=self.max_area_um2 / unit_um**2 or math.inf,
            min_solidity=self.min_solidity,
            max_eccentricity=self.max_eccentricity,
            min_mean_intensity=self.min_mean_intensity or -math.inf,
            max_mean_intensity=self.max_mean_intensity or math.inf,
            min_focus=self.min_focus,
            channel=channel,
        )


@dataclass(frozen=True, slots=True)
class Cropping:
    """How cells are cut out.

    Parameters
    ----------
    padding_px : int
        Margin around the cell.
    size_px : int
        Side of square crops; 0 cuts out the cell and its margin.
    at_border : {"move", "pad", "drop"}
    channels : {"all", "one"}
        All channels of the call, or only the one in which cells are found.
    """

    padding_px: int = 8
    size_px: int = 0
    at_border: AtBorder = "move"
    channels: Literal["all", "one"] = "all"


def diameter_px(images: Images, diameter_um: float) -> float | None:
    """A diameter in pixels of the images; None for 0, which means that it is estimated."""
    return diameter_um / (images[0].metadata.get("pixelSize_um") or 1.0) or None


@dataclass(frozen=True, slots=True)
class SingleCells:
    """The cells of one place, judged; the first image is the one in which they were found.

    Parameters
    ----------
    images : Images
        One image, or one of each channel.
    labels : (Y, X) int
    table : CellTable
    verdicts : sequence of Verdict
        In the order of the table.
    about : mapping
        How the labels were made.
    """

    images: Images
    labels: Labels
    table: CellTable
    verdicts: Sequence[Verdict]
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, images: Images, labels: Labels, wanted: Wanted, about: Mapping[str, Any] | None = None
    ) -> SingleCells:
        """Measure and judge the labelled cells.

        Raises
        ------
        InvalidInput
            If the images are not the channels of one place, or differ in shape from the labels.
        """
        pixels = channels_of(images)
        unit_um = images[0].metadata.get("pixelSize_um")
        several = len(pixels) > 1
        table = measure_cells(labels, pixels if several else images[0].array, unit_um, focus=True)
        rules = wanted.rules(unit_um or 1.0, next(iter(pixels)) if several else "")
        return cls(images, labels, table, screen_cells(labels, table, rules), about or {})

    @property
    def kept(self) -> list[int]:
        """The rows of the table that are single cells."""
        return [number for number, verdict in enumerate(self.verdicts) if verdict.single]

    @property
    def said(self) -> str:
        """How many of how many, for the log."""
        return f"{len(self.kept)} single cells of {len(self.verdicts)} objects"

    def warnings(
        self, state: MutableMapping[str, Any], diameter_px: float | None = None, bright: bool = True
    ) -> list[str]:
        """What speaks against the cells, as of `warnings_at`.

        Parameters
        ----------
        state : mutable mapping
            The script's state at this position: keeps what the next image of the same slice is compared with.
        diameter_px : float, optional
            The diameter that the cells were said to have.
        bright : bool
            Whether cells are brighter than their surroundings; if not, nothing is said of their light and edges.
        """
        image = self.images[0]
        focus = next(column for name, column in self.table.items() if name.startswith("focus"))
        return warnings_at(
            f"slice {image.metadata.get('focusIndex', 0)}",
            state,
            image.array,
            self.labels,
            bit_depth=image.metadata.get("bitDepth"),
            diameter_px=diameter_px,
            table=self.table | {"focus": focus},
            bright=bright,
        )

    def answer(self, cropping: Cropping, script: str, warnings: Sequence[str] = ()) -> dict[str, Any]:
        """What a script returns: labels, crops, the table of all cells, and the metadata.

        Parameters
        ----------
        cropping : Cropping
        script : str
            The script's file, whose version the crops name.
        warnings : sequence of str
            For the metadata.
        """
        outlines = contours(np.where(np.isin(self.labels, self._labels_kept), self.labels, 0))
        crops = self._crops(
            cropping, outlines, {"script": _version(script), "segmentation": dict(self.about)}
        )
        return {
            "segmentation": self.labels,
            "crop": crops,
            "cells": self._columns({crop["label"] for crop in crops}),
            "metadata": self._summary()
            | {"WARNINGS": list(warnings)}
            | {"ROI_POINTS": [outlines[label] for label in self._labels_kept]},
        }

    @property
    def _labels_kept(self) -> list[int]:
        return [self.verdicts[number].label for number in self.kept]

    @property
    def _counted(self) -> npt.NDArray[np.bool_]:
        """Of the cells cut by the border, those at the lower and right ones are the neighbouring fields'."""
        height, width = self.labels.shape
        return np.asarray((self.table["bbox_r1"] < height) & (self.table["bbox_c1"] < width))

    def _crops(
        self, cropping: Cropping, outlines: Mapping[int, Any], about: dict[str, Any]
    ) -> list[dict[str, Any]]:
        images = self.images if cropping.channels == "all" else self.images[:1]
        several = len(images) > 1
        pixels = np.stack([image.array for image in images]) if several else images[0].array
        said = {
            "channels": list(channels_of(images)),
            "indices": [_indices(image) for image in images],
            "about": about,
        }
        crops = []
        for number in self.kept:
            cell = row_of(self.table, number)
            box: Box = tuple(int(cell[edge]) for edge in _BOX)  # type: ignore[assignment]
            cut = crop_cell(pixels, box, cropping.padding_px, cropping.size_px or None, cropping.at_border)
            if cut is not None:
                place = {name: float(column[number]) for name, column in self._places().items()}
                crop = {"image": cut[0], "bbox": list(cut[1]), "label": cell["label"]}
                crop |= {"measurements": cell | place, "contour": outlines[int(cell["label"])]}
                crops.append(crop | said)
        return crops

    def _places(self) -> CellTable:
        """Where the cells are on the stage, if that is known."""
        pixel_to_stage = self.images[0].metadata.get("pixelToStage_um")
        if pixel_to_stage is None:
            return {}
        rows, cols = self.table["centroid_row_px"], self.table["centroid_col_px"]
        return dict(zip(("x_um", "y_um"), pixel_to_stage_um(rows, cols, pixel_to_stage), strict=True))

    def _columns(self, cropped: set[int]) -> CellTable:
        """The table of all cells, kept or not."""
        numbers = self.table["label"]
        return {
            "label": numbers,
            "kept": np.array([verdict.single for verdict in self.verdicts], dtype=bool),
            "counted": self._counted,
            "reasons": np.array(["; ".join(verdict.reasons) for verdict in self.verdicts], dtype=object),
            "cropped": np.isin(numbers, list(cropped)),
            **self._places(),
            # The distance transform's last digits differ from one run to the next.
            "gap_px": np.array([round(verdict.gap_px, 3) for verdict in self.verdicts], dtype=float),
            "border_gap_px": np.array(
                [round(verdict.border_gap_px, 3) for verdict in self.verdicts], dtype=float
            ),
            **{name: column for name, column in self.table.items() if name != "label"},
        }

    def _summary(self) -> dict[str, Any]:
        """The numbers that go into the image's metadata; without cells there is no mean area."""
        column, unit = ("area_um2", "um2") if "area_um2" in self.table else ("area_px", "px2")
        areas = self.table[column][self.kept]
        return {
            "NBR_OF_CELLS": len(areas),
            "MEAN_CELL_AREA": float(np.mean(areas)) if len(areas) else None,
            "MEDIAN_CELL_AREA": float(np.median(areas)) if len(areas) else None,
            "AREA_UNIT": unit,
            "CELLS_FOUND": int(np.count_nonzero(self._counted)),
        }


def channels_of(images: Images) -> dict[str, npt.NDArray[Any]]:
    """The pixels by the name of their channel, in the order of the call.

    Raises
    ------
    InvalidInput
        If the images are not those of one place: of one time, position and slice, and of stacks of one size.
    """
    first = images[0]
    for image in images[1:]:
        for key in ("timeIndex", "positionIndex", "focusIndex", "focusSize"):
            if image.metadata.get(key) != first.metadata.get(key):
                raise InvalidInput(_other_place(key, first, image))
    names = [image.metadata.get("channelName") or f"channel {number}" for number, image in enumerate(images)]
    if len(set(names)) < len(names):
        names = [f"{name} {number}" for number, name in enumerate(names)]
    return {name: image.array for name, image in zip(names, images, strict=True)}


def _other_place(key: str, first: Image, other: Image) -> Finding:
    names = [image.metadata.get("channelName") for image in (first, other)]
    return Finding(
        f"The images of {names[0]} and {names[1]} are not those of one place: they differ in {key}.",
        got=f"{first.metadata.get(key)} and {other.metadata.get(key)}",
        cure="A channel without a z-stack has no slice for each one of another channel: give all of them a stack, or "
        "choose with the provider's parameters which channels belong together."
        if key.startswith("focus")
        else None,
    )


def _indices(image: Image) -> dict[str, int]:
    return index_of(image.metadata).to_dict()


@lru_cache(maxsize=8)
def _version(script: str) -> dict[str, str]:
    """Which script, and of which version."""
    import inscoper_mm

    path = Path(script)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": path.name, "sha256": digest, "inscoper_mm": inscoper_mm.__version__}
