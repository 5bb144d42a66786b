"""A screened plate as a picture of heat maps, one for each number that a well has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inscoper_mm.experiment.plates import PlateLayout, well_name
from inscoper_mm.output.files import publish, safe_name, unfinished
from inscoper_mm.output.plate import (
    PlateResult,
    WellResult,
    read_plate,
    scripts_with_cells,
    write_plate_csv,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EMPTY, _LINE = "#f2f2f2", "#9a9a9a"
# With more wells their numbers would be too small to read.
_MOST_NUMBERS = 96


def write_plates(run: Path, layout: PlateLayout, title: str) -> list[Path]:
    """Write ``plate.csv`` and ``plate.png`` beside the table of cells of each script that counted cells in a run.

    Parameters
    ----------
    run : Path
        The run folder.
    layout : PlateLayout
    title : str

    Returns
    -------
    list of Path
        The pictures.

    Raises
    ------
    OSError
    """
    pictures = []
    for script in scripts_with_cells(run / "results"):
        own = run / safe_name(script, "script")
        folder = own if own.is_dir() else run
        plate = read_plate(layout, run / "results", script, folder)
        if plate is not None:
            write_plate_csv(folder / "plate.csv", plate)
            draw_plate(folder / "plate.png", plate, title)
            pictures.append(folder / "plate.png")
    return pictures


def draw_plate(path: Path, plate: PlateResult, title: str = "") -> None:
    """Write ``path``, a PNG file: cells and single cells for each field, area and brightness of the single cells.

    Wells that are not planned are grey, planned ones without an answer are hatched; "none" is a well without cells.

    Raises
    ------
    OSError
    """
    from matplotlib.figure import Figure

    maps: Sequence[tuple[str, Callable[[WellResult], float]]] = (
        ("cells for each field", lambda well: well.per_field("cells_found")),
        ("single cells for each field", lambda well: well.per_field("single_cells")),
        (f"median area of the single cells [{_unit(plate.area_unit)}]", lambda well: well.median_area),
        (
            f"median {plate.intensity.replace('_', ' ')} of the single cells",
            lambda well: well.median_intensity,
        ),
    )
    figure = Figure(figsize=(14, 9.2), dpi=110, layout="constrained")
    for axes, (name, value) in zip(figure.subplots(2, 2).flat, maps, strict=True):
        _draw_map(axes, plate, name, value)
    done, planned = plate.fields
    about = f"time point {plate.time}: {done} of {planned} fields"
    figure.suptitle(f"{title}, {about}" if title else about)
    figure.savefig(unfinished(path), format="png")
    publish(path)


def _draw_map(axes: Axes, plate: PlateResult, name: str, value: Callable[[WellResult], float]) -> None:
    from matplotlib.patches import Rectangle

    rows, columns = plate.layout.rows, plate.layout.columns
    values = np.full((rows, columns), np.nan)
    for well, result in plate.wells.items():
        values[well] = value(result)
    axes.set_facecolor(_EMPTY)
    known = values[np.isfinite(values)]
    # From 0 where that says more than the least value, so that a tenth of the cells looks like a tenth.
    low = 0.0 if known.size == 0 or known.min() < 0.5 * known.max() else float(known.min())
    high = float(known.max()) if known.size else 1.0
    shown = axes.imshow(values, cmap="viridis", vmin=low, vmax=max(high, low + 1e-9))
    numbers = len(plate.wells) <= _MOST_NUMBERS
    for well, result in plate.wells.items():
        if not result.fields:
            corner = (well[1] - 0.5, well[0] - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="///", edgecolor=_LINE, linewidth=0))
        elif not np.isfinite(values[well]) and numbers:
            axes.text(well[1], well[0], "none", ha="center", va="center", fontsize=7, color=_LINE)
    if numbers:
        _write_numbers(axes, values, (low + high) / 2)
    axes.set_xticks(range(columns), [str(column + 1) for column in range(columns)])
    axes.set_yticks(range(rows), [well_name((row, 0))[:-1] for row in range(rows)])
    axes.set_xticks(np.arange(columns - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(rows - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.set_title(name, fontsize=11)
    axes.figure.colorbar(shown, ax=axes, shrink=0.8)


def _write_numbers(axes: Axes, values: Any, middle: float) -> None:
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
            colour = "white" if value < middle else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def _unit(unit: str) -> str:
    return {"um2": "µm²", "px2": "px²"}.get(unit, unit)
