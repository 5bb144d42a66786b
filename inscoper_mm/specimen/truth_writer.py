"""Writes the truth next to the images of a run."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from inscoper_mm.specimen.specimen import Specimen
from inscoper_mm.specimen.truth import CellTruth
from inscoper_mm.specimen.view import View


class TruthWriter:
    """Writes label images and tables of the true cells.

    Parameters
    ----------
    folder : Path
        Made if it does not exist. Gets ``<stem>_labels.tif`` (bodies) and ``<stem>_nuclei.tif``, uint16 and
        compressed, for each image; ``cells.csv``, a line for each cell of each image; and ``views.csv``, a
        line for each image.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, stem: str, view: View, specimen: Specimen) -> None:
        """Write the truth about one image.

        Parameters
        ----------
        stem : str
            Name of the image, the beginning of its files' names.
        view : View
            That of the exposure; its image number says which jumps count.
        specimen : Specimen
        """
        truth = specimen.truth(view)
        for name, labels in (("labels", truth.labels), ("nuclei", truth.nuclei)):
            tifffile.imwrite(self.folder / f"{stem}_{name}.tif", labels.astype(np.uint16), compression="zlib")
        columns = ["stem", *(field.name for field in fields(CellTruth))]
        self._append("cells.csv", columns, [{"stem": stem} | asdict(cell) for cell in truth.cells])
        line = {"stem": stem} | {name: getattr(view, name) for name in _VIEW_COLUMNS}
        dx_um, dy_um, dz_um = truth.drift_um
        line |= {
            "true_focus_um": truth.focus_um,
            "moved_x_um": dx_um,
            "moved_y_um": dy_um,
            "moved_z_um": dz_um,
            "time_s": truth.time_s,
        }
        self._append("views.csv", list(line), [line])

    def _append(self, name: str, columns: list[str], lines: list[dict[str, Any]]) -> None:
        path = self.folder / name
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if new:
                writer.writeheader()
            writer.writerows(_rounded(line) for line in lines)


_VIEW_COLUMNS = (
    "image",
    "x_um",
    "y_um",
    "z_um",
    "channel",
    "exposure_ms",
    "pixel_size_um",
    "binning",
    "bit_depth",
)


def _rounded(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()}
