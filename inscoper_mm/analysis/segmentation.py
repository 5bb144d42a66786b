"""Classical segmentation of cells: bright ones in fluorescence images, and those of transmitted light."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.diameter import estimate_diameter
from inscoper_mm.analysis.grey import GreyImage, Labels, as_grey, noise_sigma, without_hot_pixels
from inscoper_mm.analysis.scene import ObjectKind, Scene, make_scene
from inscoper_mm.analysis.threshold import ThresholdMethod
from inscoper_mm.errors import Finding, InvalidInput, did_you_mean, one_of

# If the pieces found are so much larger than the estimate, it was that of debris; they are wider than cells by so much.
_WRONG_ESTIMATE = 2.2
_LOOSE_OUTLINE = 1.3
# In transmitted light cells are looked for as if they were of this diameter; what is found is wider by so much.
_PHASE_DIAMETER_PX = 24.0
_LOOSE_ACTIVITY = 1.4
_METHODS = ("otsu", "li", "local", "manual")
_KINDS = ("bright", "phase")


def segment_cells(
    image: npt.ArrayLike,
    diameter_px: float | None = None,
    threshold: ThresholdMethod = "otsu",
    manual_level: float = 0.0,
    split: bool = True,
    objects: ObjectKind = "bright",
) -> Labels:
    """Label the cells of an image.

    Background and haze are removed, cells found by a threshold, touching ones split by distance and brightness, and
    each outlined where its brightness has fallen to half. Cells of transmitted light are found the same way in the
    image's activity, its mean square over a part of a cell: they need not be brighter than their ground, nor darker.

    Parameters
    ----------
    image : (Y, X) array
        Grey values.
    diameter_px : float, optional
        The typical diameter of a cell. It sets every scale. Left out, it is estimated from the image.
    threshold : {"otsu", "li", "local", "manual"}
    manual_level : float
        For "manual": grey values above the background; with "phase" activity above that of the ground, which is 2.
    split : bool
        Whether touching cells are taken apart.
    objects : {"bright", "phase"}
        Cells brighter than their surroundings, or those of brightfield and phase contrast: dark, bright or grained,
        with halos, which count as part of the cell.

    Returns
    -------
    (Y, X) int32
        0 is background, cells are 1, 2, 3, ... Without cells all 0.

    Raises
    ------
    InvalidInput
        If the image is not grey, or a parameter is not allowed.
    """
    _check(diameter_px, threshold, objects)
    grey = as_grey(image, "segment_cells")
    noise = noise_sigma(grey, whole_numbers=np.asarray(image).dtype.kind in "bui")
    grey = without_hot_pixels(grey, noise)

    def scene_of(diameter: float) -> Scene:
        return make_scene(objects, grey, noise, diameter, threshold, manual_level)

    if diameter_px is not None:
        scene: Scene | None = scene_of(diameter_px)
    elif objects == "phase":
        scene = _phase_scene(scene_of)
    else:
        scene = _bright_scene(scene_of, grey, noise)
    if scene is None:
        return np.zeros(grey.shape, np.int32)
    return scene.labels(grey, noise, split)


def _bright_scene(scene_of: Callable[[float], Scene], grey: GreyImage, noise: float) -> Scene | None:
    """The scene of bright cells of unknown size; None if there are none."""
    estimate = estimate_diameter(grey, noise)
    if estimate is None:
        return None
    scene = scene_of(estimate)
    found = scene.convex_diameter_px() or 0.0
    return scene_of(found / _LOOSE_OUTLINE) if found > _WRONG_ESTIMATE * estimate else scene


def _phase_scene(scene_of: Callable[[float], Scene]) -> Scene:
    """The scene of cells of unknown size in transmitted light."""
    scene = scene_of(_PHASE_DIAMETER_PX)
    found = scene.convex_diameter_px()
    return scene if found is None else scene_of(found / _LOOSE_ACTIVITY)


def _check(diameter_px: float | None, threshold: str, objects: str) -> None:
    findings = []
    if diameter_px is not None and not 3 <= diameter_px < math.inf:
        findings.append(
            Finding(
                "not a cell diameter",
                function="segment_cells",
                parameter="diameter_px",
                got=str(diameter_px),
                allowed="at least 3 pixels, or nothing to estimate it",
            )
        )
    for parameter, value, known in (("threshold", threshold, _METHODS), ("objects", objects, _KINDS)):
        if value not in known:
            findings.append(
                Finding(
                    f"unknown {parameter}",
                    function="segment_cells",
                    parameter=parameter,
                    got=repr(value),
                    allowed=one_of(known),
                    suggestion=did_you_mean(value, known),
                )
            )
    if findings:
        raise InvalidInput(findings)
