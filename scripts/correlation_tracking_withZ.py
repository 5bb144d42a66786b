"""Keep a target where it was in the first image: measure how far it has gone, and let stage and focus follow.

The shift in x and y is measured against a reference image, the focus between the slices of a small stack, if there is
one. Both correct the later images of that stage position. What cannot be trusted is told, and moves nothing.
"""

from typing import Annotated, Literal

import numpy as np
from _image_provider_functions import fetch_zstack

from inscoper_mm.analysis.following import find_sharpest, on_stage_um, where_in_image, why_not
from inscoper_mm.analysis.motion import find_motion
from inscoper_mm.analysis.running_reference import Reference
from inscoper_mm.analysis.translation import find_translation
from inscoper_mm.errors import InscoperError
from inscoper_mm.output.reference_file import KeptReferences
from inscoper_mm.output.target_track import append_to_track, said
from inscoper_mm.scripting.warned import warned

DATA_PROCESSORS = ("motion_difference", "motion_mask")

_REFERENCES = KeptReferences()


def fetch_images(new_image: "images", channel_index: int = 0):
    """Wait until the stack of one channel is complete, then ask for all its slices; a single image is a stack, too.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel in which the target is followed, counted from 0 in the order of the experiment.
    """
    return [] if new_image.metadata.get("addedBy") else fetch_zstack(new_image, channel_index)


def correlation_tracking(
    images: "images",
    context: "IIS_CONTEXT",
    method: Literal["gradient", "phase_correlation"] = "gradient",
    reference: Literal["template", "first", "previous"] = "template",
    sub_pixel: bool = True,
    correct_xy: bool = True,
    correct_z: bool = True,
    max_shift_um: Annotated[float, {"min": 0}] = 100.0,
    max_error_px: Annotated[float, {"min": 0}] = 1.0,
):
    """Measure how far the target has gone, and correct the stage position by it.

    Parameters
    ----------
    images : images
        The slices of one stack, or one image.
    context : IIS_CONTEXT
    method : str
        gradient: as precise as the noise allows, whatever moves on its own. phase_correlation: the plain one.
    reference : str
        What images are compared with. template: a running mean, for most. first: never forgets, but what looks
        different after hours is lost. previous: follows every change, but small errors add up.
    sub_pixel : bool
        Measure fractions of a pixel, or whole pixels only.
    correct_xy : bool
        Move the stage; without, the shift is only measured.
    correct_z : bool
        Move the focus, where the experiment takes stacks of at least 3 slices.
    max_shift_um, max_error_px : float
        A target that is farther from its place, or a shift with a larger expected error, moves nothing.
    """
    about, position = images[-1].metadata, images[-1].metadata["positionIndex"]
    image, sharpest, middle_um = _sharpest(images)
    (known, restarted), row = _REFERENCES.get(context.exportPath, position), _row(about, sharpest)
    warnings = []
    if restarted:
        context.log("The script's process was restarted: it goes on with the reference that it had")
    if correct_z and sharpest.best_z_um is not None:
        _correct(context, row, dz_um=sharpest.best_z_um - middle_um)
    elif correct_z and about["focusSize"] > 1:
        warnings.append(f"no focus: {sharpest.reason}; the focus is not moved")
    if known is None:
        _REFERENCES.keep(context.exportPath, position, Reference.first(image))
        _tell(context, about, row, "nothing to compare the first image with")
        return warned(*warnings)
    translation = find_translation(known.image, image, method=method, sub_pixel=sub_pixel)
    place = known.place_px(translation)
    row |= {"error_px": translation.error_px, "confidence": translation.confidence}
    refused = why_not(translation, place, max_error_px, max_shift_um / (about["pixelSize_um"] or 1.0))
    if refused is None:
        context.state["followed"] = True
        row |= where_in_image(place, image.shape, about["pixelToStage_um"])
        if correct_xy:
            _correct_stage(context, place, about["pixelToStage_um"], row)
        _REFERENCES.keep(context.exportPath, position, known.after(image, translation, reference))
    never = not translation.trusted and not context.state.get("followed")
    if never and _REFERENCES.begin_anew(context.exportPath, position, image):
        warnings.append("new target: nothing was like the first image; it is as in the image before this now")
    _tell(context, about, row, refused)
    if row["refused"]:
        warnings.append(f"not followed: {row['refused']}")
    motion = find_motion(known.image, image, translation)
    return {"motion_difference": motion.difference, "motion_mask": motion.mask} | warned(*warnings)


def _sharpest(stack):
    """The sharpest slice of a stack, what is known of its focus, and the height of its middle."""
    heights = [image.metadata["zPosition_um"] for image in stack]
    found = find_sharpest([image.array for image in stack], heights)
    return stack[found.number].array, found, None if None in heights else float(np.mean(heights))


def _row(about, sharpest):
    """What is known of an image without looking at its content."""
    row = {"track_id": about["positionIndex"], "position": about["positionName"], "time": about["timeIndex"]}
    return row | {"elapsed_s": (about["elapsedTime_ms"] or 0) / 1e3, "z_um": sharpest.best_z_um}


def _correct_stage(context, place, pixel_to_stage, row):
    """Move the later images so that the target comes back to its place."""
    if pixel_to_stage is None:
        _refuse(row, "it is not known how the pixels lie on the stage: calibrate pixel-stage")
        return
    _correct(context, row, **dict(zip(("dx_um", "dy_um"), on_stage_um(place, pixel_to_stage), strict=True)))


def _correct(context, row, **shift):
    """A correction that is refused is told; what was measured is kept all the same."""
    try:
        context.correctPosition(**shift)
        row |= shift
    except InscoperError as error:
        _refuse(row, str(error))


def _refuse(row, reason):
    row["refused"] = "; ".join(part for part in (row.get("refused"), reason) if part)


def _tell(context, about, row, refused):
    """The shift, for the log and for tracks.csv."""
    _refuse(row, refused)
    name = about["positionName"] or f"position {about['positionIndex']}"
    context.log(f"{name}, time {about['timeIndex']}: {said(row)}")
    append_to_track(context.exportPath, row)
