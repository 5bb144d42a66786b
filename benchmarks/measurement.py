"""Cells measured: whether the numbers are scikit-image's, and how long they take beside it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from interleave import interleave, timing_table
from report import bound_table
from scipy.ndimage import gaussian_filter
from skimage.measure import regionprops_table

from inscoper_mm.analysis.measurement import measure_cells
from inscoper_mm.specimen import Specimen, SpecimenParameters, View

Labels = npt.NDArray[np.integer]
Image = npt.NDArray[np.integer]

# Our columns, and scikit-image's of the same definition.
COLUMNS: Mapping[str, str] = {
    "area_px": "area",
    "centroid_row_px": "centroid-0",
    "centroid_col_px": "centroid-1",
    "bbox_r0": "bbox-0",
    "bbox_c0": "bbox-1",
    "bbox_r1": "bbox-2",
    "bbox_c1": "bbox-3",
    "diameter_px": "equivalent_diameter_area",
    "major_axis_px": "axis_major_length",
    "minor_axis_px": "axis_minor_length",
    "eccentricity": "eccentricity",
    "orientation_rad": "orientation",
    "perimeter_px": "perimeter",
    "solidity": "solidity",
    "mean_intensity": "intensity_mean",
    "min_intensity": "intensity_min",
    "max_intensity": "intensity_max",
    "std_intensity": "intensity_std",
}
PROPERTIES = ("label", *dict.fromkeys(name.split("-")[0] for name in COLUMNS.values()))
FEW = ("label", "area", "centroid", "eccentricity", "perimeter", "intensity_mean")
OURS, ALL, SOME = (
    "inscoper_mm, all columns",
    "regionprops_table, the same columns",
    "regionprops_table, six properties",
)
LARGE_PX, CELLS, PIXEL_UM = 2048, 500, 0.5
# What is asked for.
MOST_RELATIVE, LEAST_GAIN = 1e-12, 20.0
# Cells as round as this have no direction that two programs would agree on.
_ROUND = 1e-3


def section(options: argparse.Namespace) -> str:
    """The tables of the page."""
    return "\n\n".join(["## Measurement", _equality(), _times(options.rounds)])


def _cells() -> tuple[Labels, Image]:
    """True labels of the specimen's bodies, and their image."""
    density = CELLS / (LARGE_PX * PIXEL_UM / 1000) ** 2
    specimen = Specimen(SpecimenParameters(seed=1, cells_per_mm2=min(420.0, density)))
    view = View(0.0, 0.0, 0.0, "FITC", 20.0, pixel_size_um=PIXEL_UM, sensor=(LARGE_PX, LARGE_PX))
    return specimen.truth(view).labels, specimen.render(view)


def _ragged() -> tuple[Labels, Image]:
    """Cells with holes and ragged outlines, in one piece and in several, of one pixel and of thousands."""
    random = np.random.default_rng(1)
    rough = gaussian_filter(random.standard_normal((1024, 1024)), 2)
    labels = np.where(
        rough > 0.3 * rough.std(), random.integers(1, 400, (64, 64)).repeat(16, 0).repeat(16, 1), 0
    )
    return labels, random.integers(0, 65536, labels.shape).astype(np.uint16)


def _equality() -> str:
    lines = [
        "Largest relative difference to scikit-image's `regionprops_table`, over all cells (orientation and "
        f"eccentricity of cells of an eccentricity above {_ROUND:g}):",
        "",
        "| what | specimen | ragged labels |",
        "|---|---:|---:|",
    ]
    rows: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for labels, image in (_cells(), _ragged()):
        ours = measure_cells(labels, image)
        theirs = regionprops_table(labels, image, properties=PROPERTIES)
        long = ours["eccentricity"] > _ROUND
        for mine, name in COLUMNS.items():
            which = long if mine in ("eccentricity", "orientation_rad") else slice(None)
            found, expected = ours[mine][which].astype(float), theirs[name][which].astype(float)
            scale = np.maximum(np.abs(expected), 1e-300)
            rows[mine].append(float(np.max(np.where(found == expected, 0, np.abs(found - expected) / scale))))
    lines += [f"| `{name}` | {' | '.join(f'{each:.1e}' for each in row)} |" for name, row in rows.items()]
    worst = max(max(row) for row in rows.values())
    bound = ("the largest", f"{worst:.1e}", f"at most {MOST_RELATIVE:g}", worst <= MOST_RELATIVE)
    return "\n".join([*lines, "", bound_table([bound])])


def _times(rounds: int) -> str:
    labels, image = _cells()
    images = {"DAPI": image, "FITC": image, "Rhodamine": image}
    timings = interleave(
        {
            OURS: lambda: measure_cells(labels, image),
            "inscoper_mm, three channels": lambda: measure_cells(labels, images),
            "inscoper_mm, with focus": lambda: measure_cells(labels, image, focus=True),
            ALL: lambda: regionprops_table(labels, image, properties=PROPERTIES),
            SOME: lambda: regionprops_table(labels, image, properties=FEW),
        },
        rounds,
    )
    gain = timings[ALL].min_ms / timings[OURS].min_ms
    bound = ("times as fast, same columns", f"{gain:.1f}", f"at least {LEAST_GAIN:.0f}", gain >= LEAST_GAIN)
    cells = np.unique(labels).size - 1
    covered = 100 * np.count_nonzero(labels) / labels.size
    title = f"### {LARGE_PX} x {LARGE_PX}, {cells} cells, {covered:.0f} % of the image"
    return f"{title}\n\n{timing_table(timings, base=ALL)}\n\n{bound_table([bound])}"
