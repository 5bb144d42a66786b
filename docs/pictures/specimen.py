"""Draws docs/images/specimen.png: the virtual specimen over a day, one division, and transmitted light through focus.

Run it from the root of the repository: ``python docs/pictures/specimen.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inscoper_mm.specimen import Brightfield, Death, Division, Motion, Specimen, SpecimenParameters, View

OUTPUT = Path(__file__).parents[1] / "images" / "specimen.png"
HOUR_S = 3600.0
CULTURE = SpecimenParameters(
    seed=4,
    cells_per_mm2=150,
    haze=0.5,
    motion=Motion(moving_fraction=1.0, speed_um_per_min=0.3, persistence_min=20),
    division=Division(cycle_h=16),
    death=Death(per_h=0.01),
    brightfield=Brightfield(channels=("transmitted",)),
)
FIELD = View(0.0, 0.0, 0.0, "FITC", 60, pixel_size_um=0.65, sensor=(480, 480), image=0)


def main() -> None:
    """Draw the picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    specimen = Specimen(CULTURE)
    figure, axes = plt.subplots(3, 6, figsize=(12, 6.6), layout="constrained")
    for axis, hours in zip(axes[0], (0, 4, 8, 12, 18, 24), strict=True):
        image = specimen.render(FIELD.at(hours * HOUR_S))
        _show(axis, image, 100, 2200, f"FITC, {hours} h")
    mother, end_s = first_division(specimen)
    for axis, minutes in zip(axes[1], (-60, -30, -15, -3, 3, 40), strict=True):
        place = replace(FIELD, x_um=mother.x_um, y_um=mother.y_um, pixel_size_um=0.25, sensor=(220, 220))
        colours = [
            specimen.light(replace(place, channel=channel).at(end_s + 60 * minutes)) / top
            for channel, top in (("FITC", 260.0), ("DAPI", 180.0))
        ]
        rgb = np.clip(np.stack([0.2 * colours[1], colours[0], colours[1]], axis=-1), 0, 1)
        _show(axis, rgb, 0, 1, f"{minutes:+d} min")
    for axis, z_um in zip(axes[2], (-6, -3, -1, 0, 1, 3), strict=True):
        view = replace(FIELD, channel="transmitted", z_um=float(z_um), sensor=(300, 300))
        _show(axis, specimen.render(view.at(12 * HOUR_S)), 4000, 9000, f"transmitted, z = {z_um:+d} um")
    figure.savefig(OUTPUT, dpi=90)


def first_division(specimen: Specimen) -> tuple[Any, float]:
    """A mother in the middle of the field, and when it divides."""
    around = (-100.0, -100.0, 100.0, 100.0)
    before: dict[str, Any] = {}
    for time_s in np.arange(1800.0, 12 * HOUR_S, 60.0):
        cells = specimen.cells_at(float(time_s), around)
        for cell in cells:
            if cell.parent in before:
                return before[cell.parent], float(time_s)
        before = {cell.id: cell for cell in cells}
    raise RuntimeError("no cell has divided there")


def _show(axis: Any, image: Any, low: float, high: float, title: str) -> None:
    axis.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()


if __name__ == "__main__":
    main()
