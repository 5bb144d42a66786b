"""What was fired in a run: a table of doses, their sums, and pictures with everything fired on the image.

``photomanipulation/doses.csv`` grows with every fire, a line for each region; the rest is written at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import StorageError
from inscoper_mm.images.frame import Frame, FrameInfo
from inscoper_mm.images.index import Index
from inscoper_mm.images.jsonable import json_text
from inscoper_mm.output.files import write_whole
from inscoper_mm.output.pictures import Marks, marked
from inscoper_mm.output.tables import TableFile
from inscoper_mm.records import Fired, Record

# Each takes a tenth of a second; a screening of thousands of positions is not drawn out.
_MOST_PICTURES = 100
_NOT_IN_TABLE = ("points_px", "points_galvo")

Floats = npt.NDArray[np.float64]


class FiredWriter:
    """Subscriber that writes down every fire.

    Parameters
    ----------
    folder : Path
        Made with the first fire.
    frames : callable
        Brings a frame of the run.
    on_error : callable
        ``on_error(message)`` for what cannot be written; called by `close` only.
    """

    def __init__(
        self, folder: Path, frames: Callable[[Index], Frame], on_error: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._frames = frames
        self._on_error = on_error
        self._table: TableFile | None = None
        self._fired: dict[int, list[Fired]] = {}
        self._failed: OSError | None = None

    def __call__(self, elapsed_s: float, record: Record) -> None:
        """Write a line for each region of a fire."""
        if not isinstance(record, Fired):
            return
        self._fired.setdefault(record.position, []).append(record)
        try:
            if self._table is None:
                self._folder.mkdir(exist_ok=True)
                self._table = TableFile(self._folder / "doses.csv")
            self._table.append(_rows(record))
        except OSError as error:  # the journal has it; a subscriber must not raise
            self._failed = error

    def close(self) -> None:
        """Write the sums and the pictures."""
        if self._table is None:
            return
        self._table.close()
        if self._failed is not None:
            self._on_error(f"doses.csv is not complete: {self._failed}")
        try:
            write_whole(self._folder / "doses.json", json_text(self._sums()) + "\n")
            for position in list(self._fired)[:_MOST_PICTURES]:
                self._draw(position)
        except (OSError, StorageError) as error:
            self._on_error(f"What was fired could not be drawn: {error}")
        if len(self._fired) > _MOST_PICTURES:
            self._on_error(
                f"Only the first {_MOST_PICTURES} of {len(self._fired)} fired positions were drawn."
            )

    def _sums(self) -> dict[str, Any]:
        positions = {
            str(position): {"fires": len(fires), "dose": fires[-1].dose_at_position}
            for position, fires in sorted(self._fired.items())
        }
        total: dict[str, float] = {}
        for fires in self._fired.values():
            for name, value in fires[-1].dose_at_position.items():
                total[name] = total.get(name, 0.0) + value
        count = sum(map(len, self._fired.values()))
        return {"fires": count, "dose": {k: round(v, 6) for k, v in total.items()}, "positions": positions}

    def _draw(self, position: int) -> None:
        """Everything fired at a position, on the last image that was fired at there."""
        pointed = [fired for fired in self._fired[position] if fired.fill is not None]
        if not pointed:
            return
        frame = self._frames(Index(**pointed[-1].index))
        marks, beside = [], 0
        for fired in pointed:
            centres = self._points_in(fired, frame.info)
            if centres is None:
                beside += 1
                continue
            marks.append(Marks(centres, fired.spot_px or 0.0, "", fired.complete))
        points = sum(len(mark.centres) for mark in marks)
        text = f"{len(marks)} fires, {points} points, {_amount(pointed[-1].dose_at_position)}"
        text += f" ({beside} more could not be placed)" if beside else ""
        stem = f"p{position:03d}_fired.png"
        marked(frame.pixels, marks, self._folder / stem, text, frame.info.pixel_size_um)

    def _points_in(self, fired: Fired, info: FrameInfo) -> Floats | None:
        """The points of a fire in pixels of the image ``info``; None if they cannot be brought there."""
        points: Floats = np.concatenate(
            [np.reshape(region["points_px"], (-1, 2)) for region in fired.regions]
        )
        if fired.index == info.index.to_dict():
            return points
        theirs = self._frames(Index(**fired.index)).info
        if theirs.pixel_to_stage_um is not None and info.pixel_to_stage_um is not None:
            return _to_pixels(_to_stage(points, theirs.pixel_to_stage_um), info.pixel_to_stage_um)
        same = theirs.roi_px == info.roi_px and theirs.binning == info.binning and theirs.real == info.real
        return points if same else None


Six = tuple[float, float, float, float, float, float]


def _to_stage(points: Floats, six: Six) -> Floats:
    a, b, tx, c, d, ty = six
    return np.asarray(points[:, ::-1] @ np.array([[a, c], [b, d]]) + (tx, ty))


def _to_pixels(places_um: Floats, six: Six) -> Floats:
    a, b, tx, c, d, ty = six
    return np.asarray(((places_um - (tx, ty)) @ np.linalg.inv([[a, c], [b, d]]))[:, ::-1])


def _rows(fired: Fired) -> list[dict[str, Any]]:
    about = {
        "event": fired.event,
        "frame": fired.frame,
        "position": fired.position,
        "script": fired.script,
        "begin_s": fired.begin_s,
        "end_s": fired.end_s,
        "sub_device": fired.sub_device,
        "light": fired.light or "",
        "power": fired.power,
        "power_mw": fired.power_mw,
        "repetitions": fired.repetitions,
        "complete": fired.complete,
    }
    columns = dict.fromkeys(
        ("type", "points", "pulses", "area_px", "area_um2", "time_ms", "power_time", "energy_uj")
    )
    rows = []
    for number, region in enumerate(fired.regions):
        known = {key: value for key, value in region.items() if key not in _NOT_IN_TABLE}
        points = {"points": len(region["points_px"])} if "points_px" in region else {}
        rows.append(about | {"region": number} | columns | known | points)
    return rows


def _amount(dose: Mapping[str, float]) -> str:
    if "energy_uj" in dose:
        return f"{dose['energy_uj']:.4g} µJ in {dose['time_ms']:.4g} ms"
    return f"{dose['time_ms']:.4g} ms of light"
