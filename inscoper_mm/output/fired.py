"""What was fired in a run: a table of doses, their sums, and pictures with everything fired on the image.

``photomanipulation/doses.csv`` grows with every fire, a line for each region; the rest is written at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inscoper_mm.errors import StorageError
from inscoper_mm.images.frame import Frame
from inscoper_mm.images.index import Index
from inscoper_mm.images.jsonable import json_text
from inscoper_mm.output.files import write_whole
from inscoper_mm.output.pictures import Marks, marked
from inscoper_mm.output.tables import TableFile
from inscoper_mm.records import Fired, Record

# Each takes a tenth of a second; a screening of thousands of positions is not drawn out.
_MOST_PICTURES = 100
# More circles than this on one picture say nothing any more.
_MOST_POINTS = 20_000
_NOT_IN_TABLE = ("points_px", "points_galvo")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    """A fire as it will be drawn: points (N, 2) in pixels of the image at ``index``."""

    index: Index
    points: npt.NDArray[np.float32]
    spot_px: float
    complete: bool


@dataclass(slots=True)
class _Place:
    """What was fired at a stage position."""

    fires: int = 0
    points: int = 0
    dose: Mapping[str, float] = field(default_factory=dict)
    marks: list[_Mark] = field(default_factory=list)

    def add(self, fired: Fired, keep: bool) -> None:
        self.fires += 1
        self.dose = fired.dose_at_position
        pieces = [region["points_px"] for region in fired.regions if "points_px" in region]
        if not pieces:
            return
        points = np.concatenate([np.reshape(piece, (-1, 2)) for piece in pieces]).astype(np.float32)
        if keep and self.points < _MOST_POINTS:
            self.marks.append(_Mark(Index(**fired.index), points, fired.spot_px or 0.0, fired.complete))
        self.points += len(points)


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
        self._places: dict[int, _Place] = {}
        self._failed: OSError | None = None

    def __call__(self, elapsed_s: float, record: Record) -> None:
        """Write a line for each region of a fire."""
        if not isinstance(record, Fired):
            return
        place = self._places.setdefault(record.position, _Place())
        place.add(record, keep=len(self._places) <= _MOST_PICTURES)
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
            for position, place in self._places.items():
                if place.marks:
                    self._draw(position, place)
        except (OSError, StorageError) as error:
            self._on_error(f"What was fired could not be drawn: {error}")
        if len(self._places) > _MOST_PICTURES:
            self._on_error(
                f"Only the first {_MOST_PICTURES} of {len(self._places)} fired positions were drawn."
            )

    def _sums(self) -> dict[str, Any]:
        positions = {
            str(position): {"fires": place.fires, "dose": dict(place.dose)}
            for position, place in sorted(self._places.items())
        }
        total: dict[str, float] = {}
        for place in self._places.values():
            for name, value in place.dose.items():
                total[name] = total.get(name, 0.0) + value
        fires = sum(place.fires for place in self._places.values())
        return {"fires": fires, "dose": {k: round(v, 6) for k, v in total.items()}, "positions": positions}

    def _draw(self, position: int, place: _Place) -> None:
        """Everything fired at a position, on the last image that was fired at there."""
        frame = self._frames(place.marks[-1].index)
        placed = [(mark, self._points_in(mark, frame)) for mark in place.marks]
        marks = [
            Marks(points, mark.spot_px, "", mark.complete) for mark, points in placed if points is not None
        ]
        left_out = place.points - sum(len(mark.centres) for mark in marks)
        text = f"{place.fires} fires, {place.points} points, {_amount(place.dose)}"
        text += f" ({left_out} points not drawn)" if left_out else ""
        marked(
            frame.pixels, marks, self._folder / f"p{position:03d}_fired.png", text, frame.info.pixel_size_um
        )

    def _points_in(self, mark: _Mark, frame: Frame) -> Floats | None:
        """The points of a fire in pixels of ``frame``; None if they cannot be brought there."""
        points = mark.points.astype(np.float64)
        if mark.index == frame.index:
            return points
        theirs, ours = self._frames(mark.index).info, frame.info
        if theirs.pixel_to_stage_um is not None and ours.pixel_to_stage_um is not None:
            return _to_pixels(_to_stage(points, theirs.pixel_to_stage_um), ours.pixel_to_stage_um)
        same = theirs.roi_px == ours.roi_px and theirs.binning == ours.binning and theirs.real == ours.real
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
