"""Define regions in the first image, fire at them, and measure how the fluorescence comes back (FRAP).

Regions are a shape at a place that you choose, or parts of cells that are found. In all images, those before the fire
and those after it, the fired region, its whole cell and the background are measured. At the last time point the curves
are fitted, and recovery.csv and recovery.png written.
"""

from typing import Annotated, Literal

from _image_provider_functions import fetch_image

from inscoper_mm.analysis.frap import average, fire_ends_s, refuse_late_fire
from inscoper_mm.analysis.frap_areas import brightness, frap_areas, outlined, parts_of_cells
from inscoper_mm.analysis.regions import polygon_of_text, region_at
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.output.recovery import RecoveryFiles
from inscoper_mm.scripting.warned import warned

DATA_PROCESSORS = ("image", "roi")


def fetch_images(new_image: "images", channel_index: int = 0):
    """Ask for each new image of one channel, of a stack for its middle slice; images that scripts have added are left.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel that is measured, counted from 0 in the order of the experiment.
    """
    about = new_image.metadata
    if about.get("addedBy") is not None or about["focusIndex"] != about["focusSize"] // 2:
        return []
    return fetch_image(new_image, channel_index)


def compute_roi(
    images: "images",
    context: "IIS_CONTEXT",
    target: Literal["cells", "shape"] = "cells",
    most_cells: Annotated[int, {"min": 1, "max": 1000}] = 1,
    part: Literal["spot", "half", "rim"] = "spot",
    shape: Literal["circle", "ellipse", "rectangle", "line", "polygon"] = "circle",
    row_px: float = 256.0,
    col_px: float = 256.0,
    size_um: Annotated[float, {"min": 0.01}] = 6.0,
    width_um: Annotated[float, {"min": 0.01}] = 6.0,
    rotation_deg: float = 0.0,
    vertices_px: str = "",
    fire: bool = True,
    fire_at: Annotated[int, {"min": 0}] = 4,
    model: Literal["exponential", "diffusion"] = "exponential",
    seconds_per_image: Annotated[float, {"min": 0}] = 0.0,
):
    """Define the regions, fire once, and follow the recovery.

    Parameters
    ----------
    images : images
        One image.
    context : IIS_CONTEXT
    target : str
        cells: a part of each of the single cells that are nearest to the middle. shape: one shape, on a cell.
    most_cells : int
        Of cells: how many.
    part : str
        Of cells: a spot of diameter size_um, the upper half, or a rim that is size_um wide.
    shape, row_px, col_px : str, float
        Of shape: what it is, and where its middle is.
    size_um, width_um, rotation_deg : float
        Of shape: height (diameter of a circle, length of a line), width, and how far it is turned.
    vertices_px : str
        Of a polygon: its corners, as in "200,210 200,260 240,240" (row,col), in place of middle and size.
    fire : bool
        Whether to fire. Without it all else is the same, and the fit says that nothing was bleached.
    fire_at : int
        After the image of this time point, counted from 0, or the first one after it if that is lost; the images until
        then are those before the fire.
    model : str
        Of the recovery: exponential (one rate), or diffusion into a circle.
    seconds_per_image : float
        Time between two images, where the images' own times do not count; 0: they do.
    """
    image, state, about = images[0], context.state, images[0].metadata
    time, last, unit = about["timeIndex"], about["timeSize"] - 1, about["pixelSize_um"] or 1.0
    if fire:
        refuse_late_fire(fire_at, about["timeSize"])
    suffix = f"_p{about['positionIndex']:03d}" if about["positionSize"] > 1 else ""
    files = RecoveryFiles(context.exportPath, suffix)
    if "regions" not in state:
        labels = segment_cells(image.array)
        if target == "cells":
            regions = parts_of_cells(labels, most_cells, part, size_um / unit)
        elif shape == "polygon":
            regions = [polygon_of_text(vertices_px)]
        else:
            size_px, width_px = size_um / unit, width_um / unit
            regions = [region_at(shape, (row_px, col_px), size_px, width_px, rotation_deg)]
        files.save_areas(frap_areas(regions, labels))
        state["regions"] = [region.rois() for region in regions]
    areas, rois = files.areas(), [roi for region in state["regions"] for roi in region]
    tried = "fired_s" in state or files.reaches(fire_at)  # a call that failed in its fire has left its row
    files.append(time, _time_s(about, seconds_per_image), brightness(image.array, areas))
    if fire_at <= time < last and not tried:
        fired = context.fireOnDemand(rois) if fire else {}
        state["fired_after"] = time
        state["fired_s"] = _ends_s(fired, about, state["regions"], seconds_per_image)
    answer = {"image": outlined(image.array, areas), "roi": rois}
    if time == last and "fired_s" in state:
        after, ends_s = state["fired_after"], state["fired_s"]
        recoveries = files.finish(after, ends_s, model, image.array, about["pixelSize_um"])
        answer["metadata"] = _tell(context, recoveries)
    elif time == last:
        answer |= warned(f"nothing fitted: no fire from time point {fire_at} on, or it failed")
    return answer


def _time_s(about, seconds_per_image):
    """When an image was taken: the middle of its exposure."""
    if seconds_per_image:
        return about["timeIndex"] * seconds_per_image
    if about["elapsedTime_ms"] is None:
        raise ValueError("The images do not say when they were taken: give seconds_per_image.")
    return (about["elapsedTime_ms"] - (about["exposure_ms"] or 0.0) / 2) / 1e3


def _ends_s(fired, about, regions, seconds_per_image):
    """When the fire of each region ended: they were fired at one after the other."""
    if seconds_per_image:
        return [about["timeIndex"] * seconds_per_image] * len(regions)
    return fire_ends_s(fired, [len(rois) for rois in regions], about["elapsedTime_ms"] / 1e3)


def _tell(context, recoveries):
    """The numbers, for the log and for the image's metadata."""
    for number, found in enumerate(recoveries, start=1):
        context.log(f"Cell {number}: {found}")
    mean = average(recoveries)
    if mean["cells"] > 1:
        mobile = f"{mean['mobile_fraction']:.3f} +- {mean['mobile_fraction_sem']:.3f}"
        half_time = f"{mean['half_time_s']:.3g} +- {mean['half_time_sem_s']:.2g} s"
        context.log(f"{mean['cells']} cells: mobile fraction {mobile}, half-time {half_time}")
    refused = [found.reason for found in recoveries]
    return {
        "MOBILE_FRACTIONS": [found.mobile_fraction for found in recoveries],
        "HALF_TIMES_S": [found.half_time_s for found in recoveries],
        "REFUSED": refused,
        "MEAN": mean,
    } | ({"WARNINGS": [f"no recovery: {why}" for why in refused if why]} if any(refused) else {})
