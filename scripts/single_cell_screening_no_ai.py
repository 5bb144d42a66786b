"""Find the single cells of each image by thresholding and a watershed, measure them and cut them out.

Any stain that makes cells or nuclei brighter than their surroundings will do, or transmitted light (objects: phase).
What counts is alone (nothing else nearer than half its diameter), wholly in the image, and of the size asked for. A
stain of the nuclei (DAPI) tells which nuclei are alone; to know which cells are, take the channel that shows their
bodies (FITC, GFP).
"""

from typing import Annotated, Literal

from _image_provider_functions import fetch_channels, fetch_image

from inscoper_mm.scripting.twins import twin_of
from inscoper_mm.segmentation.classical import classical_segmenter
from inscoper_mm.segmentation.single_cells import Cropping, SingleCells, Wanted, diameter_px

DATA_PROCESSORS = ("segmentation", "crop")


def fetch_images(
    new_image: "images",
    channel_index: int = 0,
    channels: Literal["one", "all"] = "one",
    last_channel_index: int = -1,
):
    """Ask for each new image of one channel, or for all channels of a place when the last one was captured.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel in which cells are found, counted from 0 in the order of the experiment.
    channels : str
        one: only that channel. all: cells are measured and cut out in the others, too.
    last_channel_index : int
        For all: the last channel; -1 is the last of the experiment.
    """
    if channels == "one":
        return fetch_image(new_image, channel_index)
    return fetch_channels(new_image, channel_index, last_channel_index)


def detect_single_cells(
    images: "images",
    context: "IIS_CONTEXT",
    diameter_um: Annotated[float, {"min": 0, "max": 1000}] = 0.0,
    threshold: Literal["otsu", "li", "local", "manual"] = "otsu",
    manual_level: Annotated[float, {"min": 0}] = 100.0,
    objects: Literal["bright", "phase"] = "bright",
    min_area_um2: Annotated[float, {"min": 0}] = 0.0,
    max_area_um2: Annotated[float, {"min": 0}] = 0.0,
    min_gap_diameters: Annotated[float, {"min": 0, "max": 10}] = 0.5,
    min_border_gap_diameters: Annotated[float, {"min": 0, "max": 10}] = 0.0,
    min_solidity: Annotated[float, {"min": 0, "max": 1}] = 0.8,
    max_eccentricity: Annotated[float, {"min": 0, "max": 1}] = 1.0,
    min_mean_intensity: Annotated[float, {"min": 0}] = 0.0,
    max_mean_intensity: Annotated[float, {"min": 0}] = 0.0,
    min_focus: Annotated[float, {"min": 0}] = 0.0,
    padding_px: Annotated[int, {"min": 0, "max": 1000}] = 8,
    crop_size_px: Annotated[int, {"min": 0, "max": 10000}] = 0,
    crop_at_border: Literal["move", "pad", "drop"] = "move",
    crop_channels: Literal["all", "one"] = "all",
):
    """Segment the image, keep the single cells, measure them and cut them out.

    Where the pixel size is not known, all lengths and areas are in pixels.

    Parameters
    ----------
    images : images
        One image, or one of each channel: cells are found in the first.
    context : IIS_CONTEXT
    diameter_um : float
        Typical diameter of a cell; 0 estimates it from the image.
    threshold : str
        otsu suits most images; li finds dimmer cells; local follows strongly uneven light; manual uses manual_level.
    manual_level : float
        For threshold manual: grey values above the background.
    objects : str
        bright: cells are brighter than their surroundings. phase: outlined by transmitted light (phase, brightfield).
    min_area_um2, max_area_um2 : float
        Smallest and largest single cell; a largest of 0 is no limit.
    min_gap_diameters, min_border_gap_diameters : float
        Least distance to the next cell, edge to edge, and to the border of the image, in diameters of the cell.
    min_solidity, max_eccentricity : float
        The share of its convex hull that a cell fills (less are clumps and debris), and how long it is (0 is round).
    min_mean_intensity, max_mean_intensity : float
        Range of its mean grey value; a largest of 0 is no limit.
    min_focus : float
        Least sharpness of its edge: blurred cells have about 2.4, sharp ones more than 3; 0 takes all.
    padding_px : int
        Margin of the crops around the cell.
    crop_size_px : int
        Side of square crops of a fixed size; 0 cuts out the cell and its margin.
    crop_at_border : str
        Where a crop would reach beyond the image: move it inside, pad it with zeros, or drop it.
    crop_channels : str
        all: crops have all channels of the call. one: that in which cells are found.
    """
    segmenter = classical_segmenter(threshold, manual_level, objects)
    (labels,) = segmenter.segment([images[0].array], diameter_px(images, diameter_um))
    wanted = Wanted(
        min_area_um2,
        max_area_um2,
        min_gap_diameters,
        min_border_gap_diameters,
        min_solidity,
        max_eccentricity,
        min_mean_intensity,
        max_mean_intensity,
        min_focus,
    )
    cells = SingleCells.of(images, labels, wanted, segmenter.about)
    warnings = cells.warnings(context.state, diameter_px(images, diameter_um), objects == "bright")
    context.log("; ".join([cells.said, *warnings]))
    return cells.answer(Cropping(padding_px, crop_size_px, crop_at_border, crop_channels), __file__, warnings)


run_detect_single_cells_async = twin_of(detect_single_cells)
