"""From the cells of an image or a stack to cells that are followed: placed on the stage, linked, told as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.linking import LinkSettings
from inscoper_mm.analysis.measurement import pixel_to_stage_um
from inscoper_mm.analysis.population import Cells, Followed, Population, ensemble, follow
from inscoper_mm.analysis.quality import saturation_of, typical_focus, warnings_about
from inscoper_mm.analysis.translation import find_translation
from inscoper_mm.scripting.image import Images
from inscoper_mm.segmentation.cell_fields import Field

Array = npt.NDArray[Any]

# Images are kept, and compared with the next one, binned until they have at most so many pixels a side.
_KEPT_SIDE_PX = 256
_LEAST_SIDE_PX = 32
# Less of the cells known from the image before is no tracking.
_LEAST_KNOWN = 0.5
_AXES = ("x", "y", "z")
_SIZES = ("volume_um3", "area_um2", "volume_px", "area_px")
_PLACES_IN_IMAGE = tuple(
    f"centroid_{axis}_{unit}" for unit in ("px", "um") for axis in ("slice", "row", "col")
)
_MEASURES = (*_SIZES[::-1], "diameter_um", "eccentricity", "mean_intensity", "integrated_intensity")


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What is kept of a position after an image.

    Parameters
    ----------
    population : Population
    image : (Y, X) float32
        Binned.
    pixel_to_stage : (6,) float
        Of the image before it was binned.
    focus : float
        How sharp the typical cell was at best, NaN where unknown.
    """

    population: Population
    image: Array
    pixel_to_stage: Array
    focus: float = math.nan

    def to_arrays(self) -> dict[str, Array]:
        """Everything, as arrays for ``numpy.savez``."""
        own = {"image": self.image, "pixel_to_stage": self.pixel_to_stage, "focus": np.array(self.focus)}
        return self.population.to_arrays() | own

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Memory:
        """What ``to_arrays`` gave."""
        focus = float(arrays["focus"])
        return Memory(Population.from_arrays(arrays), arrays["image"], arrays["pixel_to_stage"], focus)


@dataclass(frozen=True, slots=True, eq=False)
class FollowedCells:
    """The cells of an image, followed; see `follow_cells`."""

    field: Field
    cells: Cells
    followed: Followed
    memory: Memory
    about: Mapping[str, Any]
    before: Memory | None

    @property
    def count(self) -> int:
        """How many cells there are."""
        return len(self.followed.track_id)

    @property
    def labels(self) -> Array:
        """(Y, X) int32: the number of the track at each pixel, the same from image to image."""
        return self._tracked(self.field.seen)

    @property
    def volume(self) -> Array:
        """The same of all slices of a stack."""
        return self._tracked(self.field.labels)

    @property
    def series(self) -> dict[str, list[Any]]:
        """Means and medians of the population, with units."""
        unit = "µm" if self.about.get("pixelSize_um") else "px"
        power = "³" if self.cells.places.shape[1] == 3 else "²"
        return ensemble(self.followed, self.cells, unit, unit + power)

    @property
    def summary(self) -> dict[str, Any]:
        """What goes into the image's metadata."""
        drift = [round(float(part), 4) for part in self.followed.total_drift]
        return {"NBR_OF_CELLS": self.count, "DRIFT_UM": drift, "WARNINGS": self.warnings}

    @property
    def warnings(self) -> list[str]:
        """What speaks against the cells, the drift and the links of this image."""
        drift, image = self.followed.drift, self.field.image
        found = warnings_about(
            image,
            self.field.seen,
            saturated_at=saturation_of(image, self.about.get("bitDepth")),
            previous_count=self._count_before,
            sharpest_before=_known(self.before.focus) if self.before else None,
            table=dict(self.field.flat_table),
            bright=self.field.bright,
        )
        if drift.disagree:
            found.append(
                f"drift unsure: the images and the cells tell different drifts; that of the {drift.source} was taken, "
                f"which leads {drift.share:.0%} of the cells to cells"
            )
        known = int(np.isfinite(self.followed.speed).sum())
        before = self._count_before
        if before and known < _LEAST_KNOWN * min(self.count, before):
            found.append(
                f"tracks broken: {known} of {self.count} cells are known from the image before, which had "
                f"{before}; is max_step_um large enough, and the time between images short enough?"
            )
        return found

    @property
    def said(self) -> str:
        """What has become of the cells, for the log."""
        followed = self.followed
        new = np.isnan(followed.speed)
        born = int((new & (followed.parent_id > 0)).sum())
        drift = ", ".join(f"{part:+.2f}" for part in followed.drift.by)
        return (
            f"{self.count} cells: {self.count - int(new.sum())} known, {born} born, {int(new.sum()) - born} new; "
            f"drift {drift} ({followed.drift.source})"
        )

    def table(self) -> dict[str, Any]:
        """The cells as columns, a row each; see the documentation of ``tracks.csv``."""
        about, followed, measured = self.about, self.followed, self.field.table
        unit = "um" if about.get("pixelSize_um") else "px"
        per_axis = zip(_AXES, self.cells.places.T, followed.places.T, strict=False)
        places: dict[str, Array] = {}
        for axis, raw, corrected in per_axis:
            places |= {f"{axis}_{unit}": raw, f"{axis}_corrected_{unit}": corrected}
        count = self.count
        return {
            "track_id": followed.track_id,
            "parent_id": followed.parent_id,
            "position": np.full(count, about["positionIndex"]),
            "position_name": np.full(count, about.get("positionName") or "", dtype=object),
            "time": np.full(count, about["timeIndex"]),
            "time_s": np.full(count, self.cells.time_s),
            "label": followed.track_id,
            **{
                name.removeprefix("centroid_"): measured[name]
                for name in _PLACES_IN_IMAGE
                if name in measured
            },
            **dict(sorted(places.items(), key=lambda item: "corrected" in item[0])),
            **{name: measured[name] for name in _MEASURES if name in measured},
            f"speed_{unit}_per_min": 60 * followed.speed,
        }

    @property
    def _count_before(self) -> int | None:
        return int((self.before.population.links.unseen == 0).sum()) if self.before else None

    def _tracked(self, labels: Array) -> Array:
        known = self.field.table["label"]
        number = np.zeros(int(known.max(initial=0)) + 1, np.int32)
        number[known] = self.followed.track_id
        return number[labels]


def follow_cells(
    images: Images, field: Field, memory: Memory | None, settings: LinkSettings, time_s: float, next_id: int
) -> FollowedCells:
    """Link the cells of an image to those of the image before.

    Parameters
    ----------
    images : Images
        Those of the field.
    field : Field
    memory : Memory or None
        Of the same position after the image before; None for the first one.
    settings : LinkSettings
        In micrometres; in pixels where no pixel size is known.
    time_s : float
    next_id : int
        The number of the next new track.
    """
    about = images[0].metadata
    to_stage = _pixel_to_stage(about)
    small, factor = _binned(field.image)
    rows, cols = field.table["centroid_row_px"], field.table["centroid_col_px"]
    places = np.stack(pixel_to_stage_um(rows, cols, to_stage.tolist()), axis=1).reshape(-1, 2)
    if field.heights_um is not None:
        places = np.column_stack([places, field.heights_um])
    sizes = next(field.table[name] for name in _SIZES if name in field.table)
    drift = None
    if memory is not None and settings.drift:
        drift = _image_drift(memory, small, factor, to_stage, places.shape[1])
    cells = Cells(places, time_s, sizes, field.table["mean_intensity"], _light(field), drift)
    before = memory.population if memory else Population.empty(places.shape[1])
    population, followed = follow(before.numbered_from(next_id), cells, settings)
    sharpness = [_known(memory.focus) if memory else None, typical_focus(dict(field.flat_table))]
    focus = max((each for each in sharpness if each is not None), default=math.nan)
    return FollowedCells(field, cells, followed, Memory(population, small, to_stage, focus), about, memory)


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


def _light(field: Field) -> Array:
    """(N,) the light of each cell above the background: daughters share it, also where their areas tell nothing."""
    pixels = field.table.get("area_px", field.table.get("volume_px"))
    dark = float(np.median(field.pixels[field.labels == 0])) if (field.labels == 0).any() else 0.0
    light = np.asarray(field.table["integrated_intensity"] - dark * np.asarray(pixels))
    return np.where(light > 0, light, np.nan)


def _image_drift(memory: Memory, small: Array, factor: int, to_stage: Array, axes: int) -> Array | None:
    """How far the content has moved on the stage since the image before; None where the images do not tell."""
    if memory.image.shape != small.shape or min(small.shape) < _LEAST_SIDE_PX:
        return None
    found = find_translation(memory.image, small)
    if not found.trusted:
        return None
    place = factor * found.row_px, factor * found.col_px
    was = np.array(pixel_to_stage_um(0.0, 0.0, memory.pixel_to_stage.tolist()))
    now = np.array(pixel_to_stage_um(*place, to_stage.tolist()))
    return np.append(now - was, np.zeros(axes - 2))


def _binned(image: Array) -> tuple[Array, int]:
    """``image`` as float32, the mean of squares of so many pixels."""
    factor = -(-max(image.shape) // _KEPT_SIDE_PX)
    rows, cols = (size // factor for size in image.shape)
    whole = image[: rows * factor, : cols * factor].astype(np.float32)
    return whole.reshape(rows, factor, cols, factor).mean(axis=(1, 3)), factor


def _pixel_to_stage(about: Mapping[str, Any]) -> Array:
    """Pixels to places; without a stage, columns along x and rows along y from the first pixel on."""
    known: Sequence[float] | None = about.get("pixelToStage_um")
    unit = about.get("pixelSize_um") or 1.0
    return np.array(known if known is not None else (unit, 0.0, 0.0, 0.0, unit, 0.0), np.float64)
