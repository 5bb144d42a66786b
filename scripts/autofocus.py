"""Find the sharpest height of each z-stack and move the later images of that position there."""

from typing import Annotated, Literal

import numpy as np
from _image_provider_functions import fetch_zstack

from inscoper_mm.analysis.focus import find_focus


def fetch_images(new_image: "images", channel_index: int = 0):
    """Wait until the stack of one channel is complete, then ask for all its slices.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel that is focused, counted from 0 in the order of the experiment.
    """
    return fetch_zstack(new_image, channel_index)


def auto_focus(
    images: "images",
    context: "IIS_CONTEXT",
    metric: Literal["tenengrad", "normalised_variance", "brenner", "variance_of_laplacian"] = "tenengrad",
    max_correction_um: Annotated[float, {"min": 0}] = 50.0,
    smoothing_px: Annotated[float, {"min": 0, "max": 20}] = 1.5,
):
    """Find the focus between the slices of a stack and correct the position by its distance from the stack's middle.

    Nothing is moved where the focus cannot be trusted: no sharp slice, or the sharpest one at an end of the stack.

    Parameters
    ----------
    images : images
        The slices of one stack.
    context : IIS_CONTEXT
    metric : str
        How sharpness is measured: tenengrad (mean squared slope) suits most images.
    max_correction_um : float
        Larger corrections are not made.
    smoothing_px : float
        The images are smoothed by this first: about the width of a sharp point. Without it, noise hides the focus.
    """
    heights = [image.metadata.get("zPosition_um") for image in images]
    if None in heights:
        context.log("No focus: the images do not say at which height they were taken")
        return None
    focus = find_focus([image.array for image in images], heights, metric, smoothing_px)
    if focus.best_z_um is None:
        context.log(f"No focus: {focus.reason}; nothing is moved")
    else:
        _correct(context, focus.best_z_um, float(np.mean(heights)), max_correction_um)
    return {
        "focus": {
            "z_um": list(focus.z_um),
            "score": list(focus.score),
            "best_z_um": focus.best_z_um,
        }
    }


def _correct(context, best_z_um, middle_um, max_correction_um):
    """Move the later stacks of this position so that their middle is at ``best_z_um``.

    The heights are those of the devices, earlier corrections included: what is still to do is the distance from the
    middle of the stack as it was taken.
    """
    correction_um = best_z_um - middle_um
    if abs(correction_um) > max_correction_um:
        context.log(
            f"Best focus at z = {best_z_um:.3f} um, but {correction_um:+.3f} um is more than the allowed "
            f"{max_correction_um:g} um; nothing is moved"
        )
        return
    context.correctPosition(dz_um=correction_um)
    context.log(f"Best focus at z = {best_z_um:.3f} um, corrected by {correction_um:+.3f} um")
