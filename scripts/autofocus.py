"""Find the sharpest height by images, and move the later images of that position there.

`mode`, told to both functions: `stack` looks at complete z-stacks, `streaming` at each slice as it arrives; `search`
needs no stack: each planned image starts a search, which asks for image after image and ends by itself.
"""

from typing import Annotated, Literal

import numpy as np
from _image_provider_functions import fetch_image, fetch_zstack

from inscoper_mm.analysis.focus import FocusMetric, FocusStack
from inscoper_mm.analysis.focus_metrics import region_of_text
from inscoper_mm.analysis.focus_search import FocusSearch, next_look
from inscoper_mm.scripting.warned import warned

Mode = Literal["stack", "streaming", "search"]
_LABEL = "focus search "
_STACKS, _PROVIDER = {}, {}  # streaming: the stacks under way; what the provider was told


def fetch_images(new_image: "images", channel_index: int = 0, mode: Mode = "stack"):
    """Ask for what the mode needs of one channel; of what scripts have added, only for a search's own images.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel that is focused, counted from 0 in the order of the experiment.
    mode : str
        As for the processing function.
    """
    _PROVIDER["mode"] = mode
    if new_image.metadata.get("addedBy") is not None:
        return [{}] if mode == "search" and str(new_image.metadata["label"]).startswith(_LABEL) else []
    fetch = fetch_zstack if mode == "stack" else fetch_image
    return fetch(new_image, channel_index)


def auto_focus(
    images: "images",
    context: "IIS_CONTEXT",
    mode: Mode = "stack",
    metric: FocusMetric = "tenengrad",
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
    """Find the focus and correct the position by what is still to do; nothing moves where it cannot be trusted.

    Parameters
    ----------
    images : images
        The slices of one stack, or one image.
    context : IIS_CONTEXT
    mode : str
        stack, streaming or search; `provider_parameters` must say the same.
    metric : str
        How sharpness is measured in a stack. tenengrad (mean squared slope) suits most, dim ones too.
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
    depth_of_field_um, search_range_um, most_exposures : number
        For a search: how far from the focus an image is still sharp (wavelength over the squared aperture), how far it
        may go from the planned image, and after how many images it is given up.
    """
    if _PROVIDER.get("mode", mode) != mode:
        raise ValueError(f"mode: write the same twice. Got {_PROVIDER['mode']!r} (provider) and {mode!r}")
    if any(image.metadata.get("zPosition_um") is None for image in images):
        return warned("no focus: the images do not say at which height they were taken")
    region = region_of_text(region_px, images[0].shape)
    if mode == "search":
        settings = {"depth_of_field_um": depth_of_field_um, "most_exposures": most_exposures}
        found = _search(images[0], context, search_range_um, settings, smoothing_px, region)
    else:
        found = _stack(images, context, mode, lambda: FocusStack(metric, smoothing_px, region, objects))
    if found is None:
        return None
    focus, home_um, reason = found
    answer = {"focus": focus} if focus else {}
    if (best_um := focus.get("best_z_um")) is None:
        return answer | warned(f"no focus: {reason}; nothing is moved")
    shift_um = best_um + channel_offset_um - home_um
    return answer | _correct(context, best_um, shift_um, max_correction_um, positions)


def _stack(images, context, mode, new_stack):
    """The focus of a stack, its middle, and why there is none; None while slices are still to come."""
    last = images[-1].metadata
    place = tuple(last[f"{axis}Index"] for axis in ("time", "position", "channel"))
    if mode == "stack" or last["focusIndex"] == 0:
        for done in [key for key in _STACKS if key[0] < place[0]]:
            del _STACKS[done]
        _STACKS[place] = new_stack(), []
    if place not in _STACKS:
        return {}, 0.0, "the first slices were lost with the script's process"
    stack, heights = _STACKS[place]
    for image in images:
        stack.add(image.array, image.metadata["zPosition_um"])
        heights.append(image.metadata["zPosition_um"])
    if last["focusIndex"] < last["focusSize"] - 1:
        return None
    focus = _STACKS.pop(place)[0].result()
    curve = {"z_um": list(focus.z_um), "score": list(focus.score), "best_z_um": focus.best_z_um}
    return curve, float(np.mean(heights)), focus.reason


def _search(image, context, range_um, settings, smoothing_px, region):
    """The same of a search, which planned images begin; in ``runState``, as added images have their own ``state``."""
    z_um, planned = image.metadata["zPosition_um"], image.metadata.get("addedBy") is None
    label = f"{_LABEL}{image.metadata['positionIndex']}" if planned else image.metadata["label"]
    if planned:
        near = context.runState.get(label, {}).get("found", False)
        context.runState[label] = {"home_um": z_um, "near": near}
    now = context.runState[label]
    limits = now["home_um"] - range_um, now["home_um"] + range_um
    search = FocusSearch(now["home_um"], limits_um=limits, near=now["near"], **settings)
    advice = next_look(now, image.array, z_um, search, smoothing_px, region)
    if advice.next_z_um is not None:
        context.acquire(zStack=[advice.next_z_um - now["home_um"]], label=label)
        return None
    now["found"], curve = advice.best_z_um is not None, {"z_um": now["z_um"], "score": now["score"]}
    return curve | {"best_z_um": advice.best_z_um}, now["home_um"], advice.reason


def _correct(context, best_z_um, correction_um, most_um, positions):
    """Move the later images; heights are those of the devices, with the corrections so far."""
    if abs(correction_um) > most_um:
        far = f"{correction_um:+.3f} um is more than the allowed {most_um:g} um; nothing is moved"
        return warned(f"focus too far away: best at z = {best_z_um:.3f} um, but {far}")
    context.correctPosition(dz_um=correction_um, **({"positions": "all"} if positions == "all" else {}))
    context.log(f"Best focus at z = {best_z_um:.3f} um, corrected by {correction_um:+.3f} um")
    return {}
