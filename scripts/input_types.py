"""Every kind of parameter that a script may have, once.

Each hint becomes a check of the experiment file and, in a user interface, a widget. Hints may be text, so that a script
needs no import for them. The script returns what it was given, in the image's metadata and in the log.
"""

from numbers import Number
from pathlib import Path
from typing import Annotated, List, Literal, Optional


def fetch_images(new_image: "images", every: Annotated[int, {"min": 1, "max": 1000}] = 1):
    """Ask for every so many-th time point.

    Parameters
    ----------
    new_image : images
        The image that was just captured.
    every : int
        1 takes all time points, 2 every other one.
    """
    return [{}] if new_image.metadata.get("timeIndex", 0) % every == 0 else []


def show_inputs(
    images: "images",
    context: "IIS_CONTEXT",
    stage: "SubDeviceId" = None,
    fluorescence: "channel" = None,
    mode: Literal["fast", "careful"] = "careful",
    features: List[Literal["area", "shape", "intensity"]] = ("area", "shape"),
    folder: Path = Path(),
    keep: bool = True,
    count: Annotated[int, {"min": 1, "max": 9, "step": 1, "live": True}] = 3,
    level: float = 0.5,
    factor: Number = 1,
    note: str = "as you like",
    limit_um: Optional[float] = None,
):
    """Return the parameters as they arrived.

    Parameters
    ----------
    images : images
        The images that the provider asked for; not a parameter of the user.
    context : IIS_CONTEXT
        The live microscope; not a parameter of the user.
    stage : SubDeviceId
        A connected sub-device: a dropdown.
    fluorescence : channel
        A channel of the configuration: a dropdown.
    mode : str
        One of these: a dropdown.
    features : list
        Some of these: a checkable list.
    folder : Path
        A file or directory: a picker.
    keep : bool
        A checkbox.
    count : int
        A whole number in a range, which may be changed while the run goes on.
    level : float
        A number.
    factor : Number
        A number, whole or not.
    note : str
        A line of text.
    limit_um : float, optional
        May be left out.
    """
    inputs = {
        "stage": stage,
        "fluorescence": dict(fluorescence) if fluorescence else None,
        "mode": mode,
        "features": list(features),
        "folder": Path(folder).as_posix(),
        "keep": keep,
        "count": count,
        "level": level,
        "factor": factor,
        "note": note,
        "limit_um": limit_um,
    }
    context.log(f"{len(images)} image(s) of {images[0].array.shape}, with {inputs}")
    return {"metadata": {"INPUTS": inputs}}
