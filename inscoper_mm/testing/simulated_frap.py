"""FRAP series with known answers: cells of the virtual specimen, bleached spot by spot, that recover as told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.filling import fill_points
from inscoper_mm.analysis.frap_areas import Part, parts_of_cells
from inscoper_mm.analysis.regions import Region
from inscoper_mm.analysis.segmentation import segment_cells
from inscoper_mm.analysis.shapes import make_shape
from inscoper_mm.specimen import Specimen, SpecimenParameters, View
from inscoper_mm.specimen.parameters import Bleaching

_PIXEL_UM = 0.5
_SPOT_PX = 4.6
_READ_NOISE = 2.5
_PHOTONS = 90.0  # of a cell of this specimen, above the background


@dataclass(frozen=True, slots=True, eq=False)
class FrapSeries:
    """Images of one field: expected or counted photo-electrons; ``time_s`` since the fire, below 0 before it."""

    images: tuple[npt.NDArray[np.float64], ...]
    time_s: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int32]
    regions: tuple[Region, ...]


def frap_series(
    seed: int,
    bleaching: Bleaching,
    photons: float | None = None,
    cells: int = 10,
    after_s: Sequence[float] = tuple(range(1, 61)),
    part: Part = "spot",
    fire: bool = True,
) -> FrapSeries:
    """Ten images, a fire at a part of each of some cells, and images at the times asked for.

    Parameters
    ----------
    seed : int
    bleaching : Bleaching
        The answer.
    photons : float, optional
        Of a typical pixel of a cell before the fire, with shot and read noise. Left out: no noise.
    cells : int
        At most.
    after_s : sequence of float
    part : {"spot", "half", "rim"}
        Spots of 6 um, rims of 2 um.
    fire : bool
    """
    clock = [-10.0]
    signal = 1.0 if photons is None else photons / _PHOTONS
    specimen = Specimen(
        SpecimenParameters(seed=seed, signal=signal, bleaching=bleaching), clock=lambda: clock[0]
    )
    times = np.concatenate([np.arange(-10.0, 0.0), np.asarray(after_s, float)])
    images: list[npt.NDArray[np.float64]] = []
    regions: list[Region] = []
    labels = np.zeros((0, 0), np.int32)
    for time_s in times:
        if time_s > 0 > clock[0] and fire:
            clock[0] = 0.0
            for region in regions:
                _shine(specimen, region)
        clock[0] = float(time_s)
        seen = specimen.light(_view(float(time_s))).astype(float)
        specimen.expose(_view(float(time_s)))
        if not images:
            labels = segment_cells((2 * seen + 100).astype(np.uint16))
            regions = parts_of_cells(labels, cells, part, (6.0 if part == "spot" else 2.0) / _PIXEL_UM)
        images.append(seen)
    return FrapSeries(_noisy(images, seed, photons), times, labels, tuple(regions))


def _view(time_s: float) -> View:
    return View(0.0, 0.0, 0.0, "FITC", 20.0, pixel_size_um=_PIXEL_UM, time_s=time_s, image=0)


def _shine(specimen: Specimen, region: Region) -> None:
    for roi in region.rois():
        for row, col in fill_points(make_shape(roi), "raster", _SPOT_PX):
            specimen.shine(_view(0.0), float(row), float(col), 20.0)


def _noisy(
    images: list[npt.NDArray[np.float64]], seed: int, photons: float | None
) -> tuple[npt.NDArray[np.float64], ...]:
    if photons is None:
        return tuple(images)
    random = np.random.default_rng([seed, 7])
    return tuple(random.poisson(image) + random.normal(0, _READ_NOISE, image.shape) for image in images)
