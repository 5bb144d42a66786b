"""The way of a followed target in the run folder: ``tracks.csv``, a row for each time point and stage position."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COLUMNS = (
    "track_id",  # the stage position's index: one target each
    "position",
    "time",
    "elapsed_s",
    "row_px",  # where the target is in the image
    "col_px",
    "shift_row_px",  # against the image of the first time point
    "shift_col_px",
    "error_px",
    "confidence",
    "x_um",  # where the target is on the stage
    "y_um",
    "z_um",
    "dx_um",  # the correction that was asked for
    "dy_um",
    "dz_um",
    "refused",  # why nothing was moved; empty where something was
)
_DIGITS = 4


def append_to_track(folder: Path, row: Mapping[str, Any]) -> None:
    """Add a row to ``tracks.csv``, which is made with the first one and readable at any moment.

    Parameters
    ----------
    folder : Path
    row : mapping
        Values of some of ``COLUMNS``; what is left out or None stays empty.

    Raises
    ------
    OSError
    """
    path = folder / "tracks.csv"
    begins = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if begins:
            writer.writeheader()
        writer.writerow({name: _rounded(value) for name, value in row.items()})


def said(row: Mapping[str, Any]) -> str:
    """A row in words: the shift with its error, the corrections, and why something was not done."""
    parts = []
    if "shift_row_px" in row:
        shift = f"{row['shift_row_px']:+.3f} rows, {row['shift_col_px']:+.3f} columns"
        parts.append(f"shift {shift} +- {row['error_px']:.3f} px")
    done = [f"{name[:2]} {row[name]:+.3f} um" for name in ("dx_um", "dy_um", "dz_um") if name in row]
    if done:
        parts.append(f"corrected by {', '.join(done)}")
    if row.get("refused"):
        parts.append(row["refused"])
    return "; ".join(parts)


def _rounded(value: object) -> object:
    return round(value, _DIGITS) if isinstance(value, float) else value
