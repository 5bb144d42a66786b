"""Find the sharpest height by images, and move the later images of that position there.

Three ways, chosen by `mode`, which the provider and the processing function must both be told:

- stack: a z-stack of the plan is looked at when it is complete;
- streaming: each slice of it is looked at as it arrives, so that nothing is left to do after the last one;
- search: no stack is planned. Each planned image of the channel starts a search, which asks for one image after the
  other, coarse to fine, and ends by itself.
"""

from dataclasses import asdict
from typing import Annotated, Literal

import numpy as np
from _image_provider_functions import fetch_image, fetch_zstack

from inscoper_mm.analysis.focus import FocusStack
from inscoper_mm.analysis.focus_search import FocusSearch, Seen, look

_LABEL = "focus search "
# Streaming: the stack of each place that is under way.
_STACKS = {}


def fetch_images(
    new_image: "images",
    channel_index: int = 0,
    mode: Literal["stack", "streaming", "search"] = "stack",
):
    """Ask for what the mode needs of one channel: the complete stack, each slice, or each image.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel that is focused, counted from 0 in the order of the experiment.
    mode : str
        As for the processing function.
    """
    if new_image.metadata.get("addedBy") is not None:
        # Of all images that scripts have added, only those of a search of this one.
        mine = mode == "search" and str(new_image.metadata.get("label")).startswith(_LABEL)
        return [{}] if mine else []
    return (
        fetch_zstack(new_image, channel_index) if mode == "stack" else fetch_image(new_image, channel_index)
    )


def auto_focus(
    images: "images",
    context: "IIS_CONTEXT",
    mode: Literal["stack", "streaming", "search"] = "stack",
    metric: Literal[
        "tenengrad",
        "dcts",
        "normalised_variance",
        "brenner",
        "vollath_f4",
        "band_power",
        "variance_of_laplacian",
    ] = "tenengrad",
    objects: Literal["bright", "phase"] = "bright",
    region_px: str = "",
    smoothing_px: Annotated[float, {"min": 0, "max": 20}] = 1.5,
    max_correction_um: Annotated[float, {"min": 0}] = 50.0,
    channel_offset_um: float = 0.0,
    positions: Literal["current", "all"] = "current",
    depth_of_field_um: Annotated[float, {"min": 0.01, "max": 1000}] = 2.0,
    search_range_um: Annotated[float, {"min": 0.01}] = 40.0,
    most_exposures: Annotated[int, {"min": 3, "max": 100}] = 15,
):
    """Find the focus and correct the position by its distance from where the images are.

    Nothing is moved where the focus cannot be trusted: no sharp slice, or the sharpest one at an end of the stack.

    Parameters
    ----------
    images : images
        The slices of one stack, or one image.
    context : IIS_CONTEXT
    mode : str
        stack, streaming or search; `provider_parameters` must say the same.
    metric : str
        How sharpness is measured in a stack. tenengrad (mean squared slope) suits most, also dim ones.
    objects : str
        phase: transparent objects in brightfield (a stack of at least 7 slices is needed); bright: all else.
    region_px : str
        "top, left, bottom, right": only this part of the image counts. Empty: all of it.
    smoothing_px : float
        The images are smoothed by this first: about the width of a sharp point. Without it, noise hides the focus.
    max_correction_um : float
        Larger corrections are not made.
    channel_offset_um : float
        How much further up the images that are to be sharp have their focus than the channel that is looked at.
    positions : str
        Correct this position, or all (one focus for a flat sample).
    depth_of_field_um : float
        For a search: about how far from the focus an image is still sharp (wavelength over the squared aperture).
    search_range_um : float
        For a search: never further than this from the planned image.
    most_exposures : int
        For a search: given up after as many images.
    """
    if any(image.metadata.get("zPosition_um") is None for image in images):
        context.log("No focus: the images do not say at which height they were taken")
        return None
    region = tuple(int(value) for value in region_px.split(",")) if region_px.strip() else None
    if mode == "search":
        search = depth_of_field_um, search_range_um, most_exposures
        found = _search(images[0], context, search, smoothing_px, region)
    else:
        found = _stack(images, mode, lambda: FocusStack(metric, smoothing_px, region, objects), context)
    if found is None:
        return None
    focus, home_um = found
    if focus["best_z_um"] is not None:
        wanted_um = focus["best_z_um"] + channel_offset_um
        _correct(context, focus["best_z_um"], wanted_um - home_um, max_correction_um, positions)
    return {"focus": focus}


def _stack(images, mode, new_stack, context):
    """The focus of a stack and its middle; None while slices are still to come."""
    last = images[-1].metadata
    if mode == "streaming":
        place = last["timeIndex"], last["positionIndex"], last["channelIndex"]
        if last["focusIndex"] == 0:
            _STACKS.clear()
            _STACKS[place] = new_stack(), []
        stack, heights = _STACKS.get(place, (None, []))
    else:
        stack, heights = new_stack(), []
    if stack is None:
        context.log("No focus: the stack's first slices were not seen")
        return None
    for image in images:
        stack.add(image.array, image.metadata["zPosition_um"])
        heights.append(image.metadata["zPosition_um"])
    if len(heights) < last["focusSize"] and mode == "streaming":
        return None
    focus = stack.result()
    if focus.best_z_um is None:
        context.log(f"No focus: {focus.reason}; nothing is moved")
    return (
        {"z_um": list(focus.z_um), "score": list(focus.score), "best_z_um": focus.best_z_um},
        float(np.mean(heights)),
    )


def _search(image, context, search, smoothing_px, region):
    """The focus and the height of the planned image; None while images are still to come.

    What was seen so far is kept in ``runState``: added images have positions of their own. Only planned images begin a
    search, and a search has a largest number of images, so that it ends.
    """
    depth_um, range_um, most = search
    z_um, added = image.metadata["zPosition_um"], image.metadata.get("addedBy") is not None
    searches = context.runState.setdefault("searches", {})
    label = image.metadata["label"] if added else f"{_LABEL}{image.metadata['positionIndex']}"
    if not added:
        known = searches.get(label, {}).get("found", False)
        searches[label] = {"home_um": z_um, "seen": [], "near": known}
    now = searches[label]
    now["seen"].append(asdict(look(image.array, z_um, smoothing_px, region)))
    seen = [Seen(**each) for each in now["seen"]]
    limits = now["home_um"] - range_um, now["home_um"] + range_um
    advice = FocusSearch(now["home_um"], depth_um, limits, most, near=now["near"]).advise(seen)
    if advice.next_z_um is not None:
        context.acquire(zStack=[advice.next_z_um - now["home_um"]], label=label)
        return None
    now["found"] = advice.best_z_um is not None
    if advice.reason:
        context.log(f"No focus: {advice.reason} ({len(seen)} images); nothing is moved")
    seen.sort(key=lambda each: each.z_um)
    focus = {
        "z_um": [each.z_um for each in seen],
        "score": [each.slope[0] for each in seen],
        "best_z_um": advice.best_z_um,
    }
    return focus, now["home_um"]


def _correct(context, best_z_um, correction_um, max_correction_um, positions):
    """Move the later images of this position by what is still to do.

    The heights are those of the devices, earlier corrections included. Where a hardware autofocus holds the focus, the
    run sends the correction to its offset.
    """
    if abs(correction_um) > max_correction_um:
        context.log(
            f"Best focus at z = {best_z_um:.3f} um, but {correction_um:+.3f} um is more than the allowed "
            f"{max_correction_um:g} um; nothing is moved"
        )
        return
    if positions == "all":
        context.correctPosition(dz_um=correction_um, positions="all")
    else:
        context.correctPosition(dz_um=correction_um)
    context.log(f"Best focus at z = {best_z_um:.3f} um, corrected by {correction_um:+.3f} um")
