"""A recovery in the run folder: its curves as a table, and as a picture for people."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.analysis.frap import recovery_of
from inscoper_mm.analysis.frap_areas import MEASURED, Areas
from inscoper_mm.analysis.recovery_fit import Model, Recovery
from inscoper_mm.output.files import publish, unfinished, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

_FIRED, _CELL, _RING, _GREY = "#e8602c", "#1f77b4", "#8a8f98", "#44484f"
_MOST_DRAWN = 12


@dataclass(frozen=True, slots=True, eq=False)
class DrawnCurve:
    """One cell's curve: times since its fire, the points, the fitted line and what the legend says of it."""

    time_s: Floats
    values: Floats
    fitted: Floats
    text: str
    is_refused: bool = False


class RecoveryFiles:
    """The files of one FRAP series in a script's folder: where is measured, and what was.

    Every call of a script reads back what the calls before it have written; so a series survives a worker that was
    restarted.

    Parameters
    ----------
    folder : Path
    suffix : str
        Of the files' names, where there are several series.
    """

    def __init__(self, folder: Path, suffix: str = "") -> None:
        self.table = folder / f"recovery{suffix}.csv"
        self.picture = folder / f"recovery{suffix}.png"
        self._areas = folder / f"regions{suffix}.tif"

    def save_areas(self, areas: Areas) -> None:
        """Write the areas as a TIFF of three label images: fired, cell, background."""
        import tifffile

        pages = np.stack([areas.fired, areas.cell, areas.background])
        tifffile.imwrite(unfinished(self._areas), pages, photometric="minisblack", metadata={"axes": "CYX"})
        publish(self._areas)

    def areas(self) -> Areas:
        """What `save_areas` wrote."""
        import tifffile

        return Areas(*tifffile.imread(self._areas))

    def reaches(self, image: int) -> bool:
        """Whether this image or a later one was measured."""
        if not self.table.exists():
            return False
        with self.table.open(encoding="utf-8", newline="") as file:
            return any(int(row["image"]) >= image for row in csv.DictReader(file))

    def append(self, image: int, time_s: float, measured: Mapping[str, Floats]) -> None:
        """Add what was measured in one image: a row for each cell."""
        rows = [
            {"image": image, "time_s": round(time_s, 6), "cell": number + 1}
            | {name: values[number] for name, values in _columns(measured).items()}
            for number in range(len(measured["fired"]))
        ]
        begins = not self.table.exists()
        with self.table.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            if begins:
                writer.writeheader()
            writer.writerows(rows)

    def finish(
        self,
        fired_after: int,
        fired_s: Sequence[float],
        model: Model,
        image: npt.NDArray[Any],
        pixel_size_um: float | None = None,
    ) -> list[Recovery]:
        """Fit the curve of each cell, complete the table, and draw.

        Parameters
        ----------
        fired_after : int
            The last image before the fire.
        fired_s : sequence of float
            When the fire of each cell ended, by the clock of the images' times.
        model : str
        image : (Y, X) array
            To draw on.
        pixel_size_um : float, optional

        Raises
        ------
        InvalidInput
            If the brightness of a cell makes no curve.
        """
        with self.table.open(encoding="utf-8", newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        curves, recoveries = [], []
        for number, end_s in enumerate(fired_s, start=1):
            own = [row for row in rows if row["cell"] == number]
            curve, recovery = _curve(own, fired_after, end_s, model)
            curves.append(DrawnCurve(*curve, text=f"{number}: {recovery.short}"))
            recoveries.append(recovery)
            for row, time_s, value, fitted in zip(own, *curve, strict=True):
                row |= {"since_fire_s": time_s, "normalised": value, "fitted": fitted}
        lines = [",".join(rows[0]), *(",".join(_cell(value) for value in row.values()) for row in rows)]
        write_whole(self.table, "\n".join(lines) + "\n")
        draw_recovery(self.picture, image, self.areas(), curves, pixel_size_um=pixel_size_um)
        return recoveries


def _columns(measured: Mapping[str, Floats]) -> dict[str, Floats]:
    return {f"{name}_brightness": measured[name] for name in MEASURED}


def _curve(
    rows: Sequence[Mapping[str, float]], fired_after: int, end_s: float, model: Model
) -> tuple[tuple[Floats, Floats, Floats], Recovery]:
    """(times since the fire, values, fitted values) of one cell, and its recovery."""
    column = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    before = column["image"] <= fired_after
    times = column["time_s"] - end_s
    measured = {name: column[f"{name}_brightness"] for name in MEASURED}
    values, recovery = recovery_of(times, measured, before, model)
    return (times, values, np.where(before, np.nan, recovery.at(np.maximum(times, 0.0)))), recovery


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"


def draw_recovery(
    path: Path,
    image: npt.NDArray[Any],
    areas: Areas,
    curves: Sequence[DrawnCurve],
    title: str = "",
    pixel_size_um: float | None = None,
) -> None:
    """Draw where was measured, on the image, beside the curves, as a PNG.

    Parameters
    ----------
    path : Path
    image : (Y, X) array
    areas : Areas
    curves : sequence of DrawnCurve
        The first twelve are drawn with their own colours, all others in grey.
    title : str
    pixel_size_um : float, optional
        With it, the image's axes are in micrometres.

    Raises
    ------
    OSError
        If the picture cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_areas(left, image, areas, pixel_size_um or 1.0)
    left.set_xlabel("x [µm]" if pixel_size_um else "column [px]")
    left.set_ylabel("y [µm]" if pixel_size_um else "row [px]")
    _draw_curves(right, curves)
    if title:
        figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(unfinished(path), format="png")
    publish(path)


def _draw_areas(axes: Axes, image: npt.NDArray[Any], areas: Areas, unit: float) -> None:
    height, width = image.shape
    low, high = np.percentile(image, (1, 99.8))
    extent = (-0.5 * unit, (width - 0.5) * unit, (height - 0.5) * unit, -0.5 * unit)
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1), extent=extent, interpolation="nearest")
    rows, cols = np.arange(height) * unit, np.arange(width) * unit
    for labels, name, colour in (
        (areas.background, "background", _RING),
        (areas.cell, "cell", _CELL),
        (areas.fired, "fired", _FIRED),
    ):
        found = labels > 0
        if found.any() and not found.all():
            axes.contour(cols, rows, found.astype(float), [0.5], colors=colour, linewidths=1.2)
        axes.plot([], [], color=colour, label=name)
    for number in range(1, areas.count + 1):
        place = np.argwhere(areas.cell == number)
        if len(place):
            row, col = place.min(axis=0) * unit
            axes.annotate(str(number), (col, row), color="white", fontsize=9)
    axes.legend(loc="lower left", fontsize=8, framealpha=0.8)


def _draw_curves(axes: Axes, curves: Sequence[DrawnCurve]) -> None:
    from matplotlib import colormaps

    for number, curve in enumerate(curves):
        colour = colormaps["tab20"](number % 20) if number < _MOST_DRAWN else _RING
        text = curve.text if number < _MOST_DRAWN else None
        axes.plot(curve.time_s, curve.values, ".", ms=4, color=colour, alpha=0.7)
        after = curve.time_s >= 0
        axes.plot(curve.time_s[after], curve.fitted[after], "-", lw=1.3, color=colour, label=text)
    axes.axvline(0.0, color=_GREY, lw=0.8, ls=":")
    axes.axhline(1.0, color=_GREY, lw=0.8, ls=":")
    axes.set_xlabel("time since the fire [s]")
    axes.set_ylabel("brightness, double-normalised")
    axes.set_ylim(bottom=min(0.0, *(float(np.nanmin(curve.values)) for curve in curves), 0.0))
    axes.legend(loc="lower right", fontsize=8)
