"""Learn from the first time point how uneven the light is, and even out the images of the later ones.

The model is written to background.tif, with where it comes from; raw images stay as they are. A model of an earlier run
can be used instead.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Optional

from _image_provider_functions import fetch_image

from inscoper_mm.analysis.illumination import flatten, flatten_as_taken
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.errors import CommandRefused
from inscoper_mm.output.background_fields import BackgroundFields
from inscoper_mm.output.background_file import Optics, read_background, refuse_other_light, write_background
from inscoper_mm.scripting.warned import warned

DATA_PROCESSORS = ("background", "normalized")
_ABOUT_A_FIELD = ("timeIndex", "positionIndex", "focusIndex", "positionName", "exposure_ms")
_ABOUT_A_FIELD += ("xPosition_um", "yPosition_um", "zPosition_um")


def fetch_images(new_image: "images", channel_index: int = 0):
    """Ask for each new image of one channel; images that scripts have added to the plan are left alone.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    channel_index : int
        The channel that is corrected, counted from 0 in the order of the experiment.
    """
    if new_image.metadata.get("addedBy") is not None:
        return []
    return fetch_image(new_image, channel_index)


def correct_background(
    images: "images",
    context: "IIS_CONTEXT",
    method: Literal["robust", "median", "mean", "low_quantile"] = "robust",
    time_points: Annotated[int, {"min": 1, "max": 1000}] = 1,
    camera_offset: Optional[float] = None,
    mask_cells: bool = False,
    smoothing_px: Annotated[float, {"min": 0, "max": 500}] = 0.0,
    model: Optional[Path] = None,
    result: Literal["float32", "camera"] = "float32",
    save_normalized: bool = False,
    objective: "SubDeviceId" = None,
):
    """Make the model from the first time point, and correct the images after it.

    Parameters
    ----------
    images : images
        One image.
    context : IIS_CONTEXT
    method : str
        robust: what the fields agree on, cells left out. median, mean, low_quantile: projection of all fields.
    time_points : int
        The fields of the model are all positions at so many first time points; more than one for a single position.
    camera_offset : float, optional
        Grey value of the camera without light; left out: estimated from the noise of the fields.
    mask_cells : bool
        Find the cells and leave them out before (robust only).
    smoothing_px : float
        Smooth the projection by this (not robust, which needs none).
    model : Path, optional
        background.tif of an earlier run: no model is made, and all images are corrected.
    result : str
        float32: above the camera's offset. camera: of the camera's type, dimmed so that nothing is clipped.
    save_normalized : bool
        Publish the corrected images, which stores them. They can be made from the raw ones at any time.
    objective : SubDeviceId
        The objective turret; left out: the state device that is called so.
    """
    image = images[0]
    optics = _optics(image.metadata, context, objective)
    file, few = Path(model) if model else context.exportPath / "background.tif", {}
    if not model and not file.exists():
        fields = BackgroundFields(context.exportPath / "background_fields", method, camera_offset)
        learning = image.metadata["timeIndex"] < time_points
        if learning:
            _learn(fields, image, optics, mask_cells)
        if learning and not _is_last(image.metadata, time_points):
            return None
        light, few = _finish(fields, file, smoothing_px, image.metadata, time_points, context)
        if learning:
            return {"background": light.background} | few
    light, provenance = _read(file, file.stat().st_mtime_ns if file.exists() else None)
    refuse_other_light(provenance.optics, optics, file)
    if not save_normalized:
        return few
    correct = flatten if result == "float32" else flatten_as_taken
    return {"normalized": correct(image.array, light)} | few


def _optics(metadata, context, turret):
    """What the light of an image depends on; no objective where none can be told, as in images from elsewhere."""
    try:
        turrets = [name for name in context.getSubDevices("state") if "objective" in name.lower()]
        named = [turret] if turret else turrets
        objective = context.get(named[0]) if len(named) == 1 else None
    except CommandRefused:
        objective = None
    rest = [metadata.get(key) for key in ("pixelSize_um", "camera", "binning")]
    return Optics(metadata["channelName"], objective, *rest)


def _learn(fields, image, optics, mask_cells):
    """Keep the field; of a stack, its middle slice."""
    metadata = image.metadata
    if metadata["focusIndex"] != metadata["focusSize"] // 2:
        return
    about = {key: metadata.get(key) for key in _ABOUT_A_FIELD}
    mask = segment_cells(image.array) if mask_cells else None
    name = f"t{metadata['timeIndex']:03d}_p{metadata['positionIndex']:03d}"
    fields.add(name, image.array, optics, about, mask)


def _is_last(metadata, time_points):
    """Whether no field is to come after this image."""
    last_time = min(time_points, metadata["timeSize"]) - 1
    places = [metadata[f"{axis}Index"] == metadata[f"{axis}Size"] - 1 for axis in ("position", "focus")]
    return metadata["timeIndex"] == last_time and all(places)


def _finish(fields, file, smoothing_px, metadata, time_points, context):
    """Make the model and write it."""
    count, planned = len(fields), metadata["positionSize"] * min(time_points, metadata["timeSize"])
    fields.refuse_few(planned)
    light, provenance = fields.model(smoothing_px)
    write_background(file, light, provenance)
    fields.clear()
    context.log(
        f"Background model of {count} of {planned} fields ({provenance.method}): level {light.level:.1f} above the "
        f"offset of {light.offset:.1f} ({provenance.offset_from}), light {light.flat.min():.2f} to "
        f"{light.flat.max():.2f}"
    )
    few = f"few fields: {count} of {planned}; others failed, or come after a corrected image (axis_order: begin with t)"
    return light, warned(few) if count < planned else {}


@lru_cache(maxsize=1)
def _read(file, _changed_ns):
    """The model of the file; read again where it has changed."""
    return read_background(file)
