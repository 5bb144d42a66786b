"""Find the single cells of each image by thresholding and a watershed, measure them and cut them out.

Any stain that makes cells or nuclei brighter than their surroundings will do. What counts is alone (nothing else nearer
than half its diameter), wholly in the image, and of the size asked for. A stain of the nuclei (DAPI) tells which nuclei
are alone; to know which cells are, take the channel that shows their bodies (FITC, GFP).
"""

import asyncio
from typing import Annotated, Literal

import numpy as np
from _image_provider_functions import fetch_image

from inscoper_mm.analysis.crops import crop_box, cut_out
from inscoper_mm.analysis.measurement import contours, measure_cells, pixel_to_stage_um, row_of
from inscoper_mm.analysis.screening import Rules, screen_cells
from inscoper_mm.analysis.segmentation import segment_cells

DATA_PROCESSORS = ("segmentation", "crop")


def fetch_images(new_image: "images", channel_index: int = 0):
    """Ask for each new image of one channel.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel in which cells are found, counted from 0 in the order of the experiment.
    """
    return fetch_image(new_image, channel_index)


def detect_single_cells(
    images: "images",
    context: "IIS_CONTEXT",
    diameter_um: Annotated[float, {"min": 0, "max": 1000}] = 0.0,
    threshold: Literal["otsu", "li", "local", "manual"] = "otsu",
    manual_level: Annotated[float, {"min": 0}] = 100.0,
    min_area_um2: Annotated[float, {"min": 0}] = 0.0,
    max_area_um2: Annotated[float, {"min": 0}] = 0.0,
    min_gap_diameters: Annotated[float, {"min": 0, "max": 10}] = 0.5,
    min_solidity: Annotated[float, {"min": 0, "max": 1}] = 0.8,
    padding_px: Annotated[int, {"min": 0, "max": 1000}] = 8,
    crop_size_px: Annotated[int, {"min": 0, "max": 10000}] = 0,
):
    """Segment the image, keep the single cells, measure them and cut them out.

    Where the pixel size is not known, all lengths and areas are in pixels.

    Parameters
    ----------
    images : images
        One image.
    context : IIS_CONTEXT
    diameter_um : float
        Typical diameter of a cell; 0 estimates it from the image.
    threshold : str
        otsu suits most images; li finds dimmer cells; local follows strongly uneven light; manual uses manual_level.
    manual_level : float
        For threshold manual: grey values above the background.
    min_area_um2, max_area_um2 : float
        Smallest and largest single cell; a largest of 0 is no limit.
    min_gap_diameters : float
        Least distance from edge to edge to the next cell, in diameters of the cell.
    min_solidity : float
        Least share of its convex hull that a cell fills; less are clumps and debris.
    padding_px : int
        Margin of the crops around the cell.
    crop_size_px : int
        Side of square crops of a fixed size; 0 cuts out the cell and its margin.
    """
    image = images[0]
    pixel_um = image.metadata.get("pixelSize_um")
    unit = pixel_um or 1.0
    labels = segment_cells(image.array, diameter_um / unit or None, threshold, manual_level)
    table = measure_cells(labels, image.array, pixel_um)
    rules = Rules(
        min_gap_diameters=min_gap_diameters,
        min_area_px=min_area_um2 / unit**2,
        max_area_px=max_area_um2 / unit**2 or np.inf,
        min_solidity=min_solidity,
    )
    verdicts = screen_cells(labels, table, rules)
    single = [number for number, verdict in enumerate(verdicts) if verdict.single]
    outlines = contours(labels)
    context.log(f"{len(single)} single cells of {len(verdicts)} objects")
    return {
        "segmentation": labels,
        "crop": [_crop(image, row_of(table, number), padding_px, crop_size_px) for number in single],
        "metadata": _summary(table, single, pixel_um)
        | {"ROI_POINTS": [outlines[verdicts[number].label] for number in single]},
    }


async def run_detect_single_cells_async(
    images: "images",
    context: "IIS_CONTEXT",
    diameter_um: Annotated[float, {"min": 0, "max": 1000}] = 0.0,
    threshold: Literal["otsu", "li", "local", "manual"] = "otsu",
    manual_level: Annotated[float, {"min": 0}] = 100.0,
    min_area_um2: Annotated[float, {"min": 0}] = 0.0,
    max_area_um2: Annotated[float, {"min": 0}] = 0.0,
    min_gap_diameters: Annotated[float, {"min": 0, "max": 10}] = 0.5,
    min_solidity: Annotated[float, {"min": 0, "max": 1}] = 0.8,
    padding_px: Annotated[int, {"min": 0, "max": 1000}] = 8,
    crop_size_px: Annotated[int, {"min": 0, "max": 10000}] = 0,
):
    """The same as detect_single_cells, while the acquisition goes on."""
    # The arguments by name: nothing else is defined here yet.
    return await asyncio.to_thread(detect_single_cells, **locals())


def _crop(image, cell, padding_px, size_px):
    """The picture and the measurements of one cell."""
    bounds = tuple(cell[f"bbox_{edge}"] for edge in ("r0", "c0", "r1", "c1"))
    box = crop_box(bounds, image.array.shape, padding_px, size_px or None)
    return {
        "image": cut_out(image.array, box),
        "bbox": list(box),
        "label": cell["label"],
        "measurements": cell | _stage_position(image, cell),
    }


def _stage_position(image, cell):
    """Where the cell is on the stage, if that is known."""
    pixel_to_stage = image.metadata.get("pixelToStage_um")
    if pixel_to_stage is None:
        return {}
    x_um, y_um = pixel_to_stage_um(cell["centroid_row_px"], cell["centroid_col_px"], pixel_to_stage)
    return {"x_um": x_um, "y_um": y_um}


def _summary(table, single, pixel_um):
    """The numbers that go into the image's metadata; without cells there is no mean area."""
    areas = table["area_um2" if pixel_um else "area_px"][single]
    return {
        "NBR_OF_CELLS": len(single),
        "MEAN_CELL_AREA": float(np.mean(areas)) if single else None,
        "MEDIAN_CELL_AREA": float(np.median(areas)) if single else None,
        "AREA_UNIT": "um2" if pixel_um else "px2",
    }
