"""Scan with a low magnification, and look at the cells that match a rule with a high one.

Each image of the scan is segmented. The cells that are alone, of the size asked for, and brighter than most are looked
at again with another objective: a z-stack of each, in the channels asked for, before the scan goes on. Where the
objectives differ in focus and centre, write it under microscope.objectives in the experiment file.
"""

from typing import Annotated

import numpy as np
from _image_provider_functions import fetch_image

from inscoper_mm.analysis.measurement import measure_cells, pixel_to_stage_um, row_of
from inscoper_mm.analysis.quality import warnings_at
from inscoper_mm.analysis.screening import Rules, screen_cells
from inscoper_mm.analysis.segmentation import segment_cells

DATA_PROCESSORS = ("segmentation", "roi")


def fetch_images(new_image: "images", channel_index: int = 0):
    """Ask for each image of the scan in one channel; what this script has added itself is only stored.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel in which cells are found, counted from 0 in the order of the experiment.
    """
    if new_image.metadata.get("addedBy") is not None:
        return []
    return fetch_image(new_image, channel_index)


def scan_and_zoom(
    images: "images",
    context: "IIS_CONTEXT",
    objective: str = "40X",
    channel: "channel" = "FITC",
    z_range_um: Annotated[float, {"min": 0, "max": 1000}] = 4.0,
    z_step_um: Annotated[float, {"min": 0.01, "max": 100}] = 1.0,
    most_cells: Annotated[int, {"min": 0, "max": 1000}] = 3,
    min_area_um2: Annotated[float, {"min": 0}] = 0.0,
    max_area_um2: Annotated[float, {"min": 0}] = 0.0,
    min_brightness_quantile: Annotated[float, {"min": 0, "max": 1}] = 0.5,
):
    """Find the cells that match the rule, and have each of them imaged with another objective.

    Parameters
    ----------
    images : images
        One image of the scan.
    context : IIS_CONTEXT
    objective : str
        Label or preset of the objective to look closer with.
    channel : channel
        The channel for it, besides that of the scan.
    z_range_um, z_step_um : float
        The z-stack of each cell.
    most_cells : int
        At most this many cells of each image, the brightest first.
    min_area_um2, max_area_um2 : float
        Smallest and largest cell; a largest of 0 is no limit.
    min_brightness_quantile : float
        Share of the image's cells that a cell must be brighter than.
    """
    image = images[0]
    metadata = image.metadata
    pixel_um = metadata["pixelSize_um"]
    labels = segment_cells(image.array)
    table = measure_cells(labels, image.array, pixel_um, focus=True)
    place, depth = f"slice {metadata['focusIndex']}", metadata.get("bitDepth")
    warnings = warnings_at(place, context.state, image.array, labels, bit_depth=depth, table=table)
    rules = Rules(
        min_area_px=min_area_um2 / pixel_um**2,
        max_area_px=max_area_um2 / pixel_um**2 or np.inf,
    )
    verdicts = screen_cells(labels, table, rules)
    brightness = table["mean_intensity"]
    bright = np.quantile(brightness, min_brightness_quantile) if len(brightness) else 0.0
    chosen = [
        number for number, verdict in enumerate(verdicts) if verdict.single and brightness[number] >= bright
    ]
    chosen = sorted(chosen, key=lambda number: -brightness[number])[:most_cells]
    targets = [
        _look_closer(image, row_of(table, number), context, objective, channel, (z_range_um, z_step_um))
        for number in chosen
    ]
    context.log(f"{len(targets)} of {len(verdicts)} cells are looked at with {objective}")
    return {
        "segmentation": labels,
        "roi": [
            {"type": "point", "points": [[target["x_um"], target["y_um"]]], "unit": "um"}
            for target in targets
        ],
        "metadata": {"NBR_OF_CELLS": len(verdicts), "TARGETS": targets, "WARNINGS": warnings},
    }


def _look_closer(image, cell, context, objective, channel, stack):
    """Add a stack of one cell to the plan."""
    x_um, y_um = pixel_to_stage_um(
        cell["centroid_row_px"], cell["centroid_col_px"], image.metadata["pixelToStage_um"]
    )
    label = f"{image.metadata['positionName']} cell {cell['label']}"
    added = context.acquire(
        (x_um, y_um),
        channels=[image.metadata["channelName"], channel],
        zStack={"range_um": stack[0], "step_um": stack[1]},
        objective=objective,
        label=label,
    )
    return {"label": label, "positionIndex": added["positionIndex"], "x_um": x_um, "y_um": y_um}
