"""Even out the light, find the cells with Cellpose, and look at the most eccentric one, in the middle of an image.

The first time point teaches how uneven the light is (background.tif). In each image after it, cells are found in the
evened image, and the longest of those that are alone is looked at again: the stage goes there, one image is taken with
the cell in the middle, and the cell is cut out of it. Then the plan goes on.
"""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from _image_provider_functions import fetch_image

from inscoper_mm.analysis.illumination import flatten
from inscoper_mm.analysis.measurement import pixel_to_stage_um
from inscoper_mm.output.background_fields import BackgroundFields
from inscoper_mm.output.background_file import Optics, read_background, write_background
from inscoper_mm.segmentation.cellpose import cellpose_segmenter
from inscoper_mm.segmentation.single_cells import Cropping, SingleCells, Wanted, diameter_px

DATA_PROCESSORS = ("segmentation", "crop")
_LABEL = "most eccentric of "
_SMOOTHING_PX = 20.0  # cells that lie in many fields at one place leave smaller traces


def fetch_images(new_image: "images", channel_index: int = 0):
    """Ask for each image of one channel, and for those that this script has asked for.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel in which cells are found, counted from 0 in the order of the experiment.
    """
    if new_image.metadata.get("addedBy") is not None:
        return [{}] if str(new_image.metadata["label"]).startswith(_LABEL) else []
    return fetch_image(new_image, channel_index)


def prepare(model, gpu):
    """Load the network and use it once before the acquisition begins."""
    cellpose_segmenter(model, gpu=gpu).warm_up()


def find_most_eccentric_cell(
    images: "images",
    context: "IIS_CONTEXT",
    model: str = "small_nuclei",
    gpu: Literal["auto", "yes", "no"] = "auto",
    diameter_um: Annotated[float, {"min": 0, "max": 1000}] = 0.0,
    min_gap_diameters: Annotated[float, {"min": 0, "max": 10}] = 0.5,
    min_solidity: Annotated[float, {"min": 0, "max": 1}] = 0.8,
):
    """Find the most eccentric single cell and have it imaged, or cut it out of the image that was taken of it.

    Parameters
    ----------
    images : images
        One image.
    context : IIS_CONTEXT
    model : str
        small_nuclei, a model of Cellpose (cyto3, nuclei, cpsam) or of yours by its name, or a path.
    gpu : str
        auto uses a graphics card where there is one.
    diameter_um : float
        Typical diameter of a cell; 0 leaves it to the model.
    min_gap_diameters : float
        Least distance to the next cell and to the border, in diameters of the cell: less is not alone.
    min_solidity : float
        Least share of its convex hull that a cell fills; less are clumps and debris.
    """
    image, added = images[0], images[0].metadata.get("addedBy") is not None
    fields = BackgroundFields(context.exportPath / "background_fields", "median")
    file = context.exportPath / "background.tif"
    if not file.exists() and not _learned(fields, file, image, context):
        return None
    light, _ = read_background(file)
    segmenter = cellpose_segmenter(model, gpu=gpu)
    (labels,) = segmenter.segment([flatten(image.array, light)], diameter_px(images, diameter_um))
    border = 0.0 if added else min_gap_diameters
    wanted = Wanted(
        min_gap_diameters=min_gap_diameters, min_border_gap_diameters=border, min_solidity=min_solidity
    )
    cells = SingleCells.of(images, labels, wanted, segmenter.about)
    warnings = cells.warnings({} if added else context.state, diameter_px(images, diameter_um))
    eccentricity = cells.table["eccentricity"]
    number = _middle(cells) if added else max(cells.kept, key=lambda row: eccentricity[row], default=None)
    chosen = replace(cells, verdicts=_only(number, cells.verdicts)) if number is not None else cells
    answer = chosen.answer(Cropping(), __file__, warnings)
    answer["metadata"] |= {"NBR_OF_CELLS": len(cells.verdicts)}
    if number is None:
        context.log("; ".join(["No cell that is alone", *warnings]))
        return answer | {"crop": []}
    names = ("centroid_row_px", "centroid_col_px", "eccentricity")
    target = {name: float(cells.table[name][number]) for name in names}
    if added:
        off_px = np.hypot(*(target[name] - size / 2 for name, size in zip(names, labels.shape, strict=False)))
        context.log("; ".join([f"The cell is {off_px:.1f} px from the middle", *warnings]))
        answer["metadata"] |= {"TARGET": target | {"off_px": float(off_px)}}
        return answer
    answer["metadata"] |= {"TARGET": target | _look_closer(image, target, context, warnings)}
    return answer | {"crop": []}


def _learned(fields, file, image, context):
    """Keep a field of the first time point; True where the model is made and this is an image to be evened."""
    metadata = image.metadata
    if metadata["timeIndex"] == 0 and metadata.get("addedBy") is None:
        about = {"positionName": metadata["positionName"], "positionIndex": metadata["positionIndex"]}
        optics = Optics(metadata["channelName"], None, metadata.get("pixelSize_um"), metadata.get("camera"))
        fields.add(f"p{metadata['positionIndex']:03d}", image.array, optics, about)
        if metadata["positionIndex"] < metadata["positionSize"] - 1:
            return False
    fields.refuse_few(metadata["positionSize"])
    light, provenance = fields.model(_SMOOTHING_PX)
    write_background(file, light, provenance)
    fields.clear()
    context.log(
        f"Background of {len(provenance.fields)} fields: light {light.flat.min():.2f} to {light.flat.max():.2f}"
    )
    return metadata["timeIndex"] > 0


def _middle(cells):
    """The row of the cell nearest to the middle of the image."""
    rows, cols = cells.labels.shape
    far = np.hypot(cells.table["centroid_row_px"] - rows / 2, cells.table["centroid_col_px"] - cols / 2)
    return int(far.argmin()) if len(far) else None


def _only(number, verdicts):
    """The verdicts with that cell as the only one that is kept."""
    other = "other: not the most eccentric one"
    return [
        replace(verdict, reasons=() if row == number else verdict.reasons or (other,))
        for row, verdict in enumerate(verdicts)
    ]


def _look_closer(image, target, context, warnings):
    """Add an image with the cell in the middle to the plan."""
    row, col = target["centroid_row_px"], target["centroid_col_px"]
    x_um, y_um = pixel_to_stage_um(row, col, image.metadata["pixelToStage_um"])
    label = f"{_LABEL}{image.metadata['positionName']}, time {image.metadata['timeIndex']}"
    context.acquire((x_um, y_um), label=label)
    context.log("; ".join([f"{label}: at ({x_um:.1f}, {y_um:.1f}) um", *warnings]))
    return {"x_um": float(x_um), "y_um": float(y_um)}
