"""The book of what was fired: rows, sums and pictures, from made-up fires."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inscoper_mm.errors import StorageError
from inscoper_mm.images.frame import Frame, FrameInfo, StagePosition
from inscoper_mm.images.index import Index, Sizes
from inscoper_mm.output.fired import FiredWriter
from inscoper_mm.records import Fired, Logged

STILL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _frame(index: Index, six: Any = STILL) -> Frame:
    info = FrameInfo(
        "e", index, Sizes(), real=StagePosition(0.0, 0.0), pixel_size_um=1.0, pixel_to_stage_um=six
    )
    return Frame(info, np.zeros((300, 300), np.uint16))


def _fired(position: int = 0, time: int = 0, point: tuple[float, float] = (50, 60), **more: Any) -> Fired:
    index = Index(time, position)
    region = {"type": "point", "points_px": [list(point)], "pulses": 1, "area_px": 0.0, "time_ms": 5.0}
    fired = Fired(
        "s", f"e{time}", index.stem, index.to_dict(), position, "Galvo", None, None, None, "raster", 12.0, 1,
        (region,), 1.0, 2.0, True, {"time_ms": 5.0}, {"time_ms": 5.0 * (time + 1)},
    )  # fmt: skip
    return replace(fired, **more)


def _blue(picture: Path) -> list[tuple[float, float]]:
    """(row, col) of the middle of each circle, in pixels of the image."""
    from scipy.ndimage import center_of_mass, label

    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    zoom = pixels.shape[0] / 300
    spots, count = label((pixels[..., 2] - pixels[..., 0]) > 40, np.ones((3, 3)))
    whole = [n for n in range(1, count + 1) if (spots == n).sum() > 40]
    return [tuple(np.array(c) / zoom - 0.5) for c in center_of_mass(spots > 0, spots, whole)]


@pytest.fixture
def told() -> list[str]:
    return []


def test_nothing_fired_leaves_nothing(tmp_path: Path, told: list[str]) -> None:
    book = FiredWriter(tmp_path / "p", _frame, told.append)
    book(0.0, Logged("hello"))
    book.close()
    assert not (tmp_path / "p").exists() and not told


def test_rows_and_sums(tmp_path: Path, told: list[str]) -> None:
    book = FiredWriter(tmp_path / "p", _frame, told.append)
    for time in range(3):
        book(0.0, _fired(time=time))
    book(0.0, _fired(position=4, dose_at_position={"time_ms": 5.0, "energy_uj": 2.0}))
    with (tmp_path / "p" / "doses.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))  # while the run goes on
    book.close()
    assert [(row["position"], row["frame"], row["points"], row["time_ms"]) for row in rows] == [
        ("0", "t000_p000_c0_z000", "1", "5.0"), ("0", "t001_p000_c0_z000", "1", "5.0"),
        ("0", "t002_p000_c0_z000", "1", "5.0"), ("4", "t000_p004_c0_z000", "1", "5.0"),
    ]  # fmt: skip
    sums = json.loads((tmp_path / "p" / "doses.json").read_text(encoding="utf-8"))
    assert sums["fires"] == 4 and sums["dose"] == {"time_ms": 20.0, "energy_uj": 2.0}
    assert sums["positions"]["0"] == {"fires": 3, "dose": {"time_ms": 15.0}}
    assert not told


def test_points_of_other_images_are_brought_to_the_one_that_is_shown(tmp_path: Path, told: list[str]) -> None:
    # The stage went 40 um along x and 20 um along y before the second image.
    moved = (1.0, 0.0, 40.0, 0.0, 1.0, 20.0)
    book = FiredWriter(
        tmp_path / "p", lambda index: _frame(index, moved if index.time else STILL), told.append
    )
    book(0.0, _fired(time=0, point=(200, 150)))
    book(0.0, _fired(time=1, point=(80, 90)))
    book.close()
    assert sorted(_blue(tmp_path / "p" / "p000_fired.png")) == [
        pytest.approx((80, 90), abs=0.5), pytest.approx((180, 110), abs=0.5),
    ]  # fmt: skip


def test_what_cannot_be_placed_is_left_out(tmp_path: Path, told: list[str]) -> None:
    def frames(index: Index) -> Frame:
        frame = _frame(index, None)
        return replace(frame, info=replace(frame.info, real=StagePosition(float(index.time), 0.0)))

    book = FiredWriter(tmp_path / "p", frames, told.append)
    book(0.0, _fired(time=0, point=(200, 150)))
    book(0.0, _fired(time=1, point=(80, 90)))
    book.close()
    assert _blue(tmp_path / "p" / "p000_fired.png") == [pytest.approx((80, 90), abs=0.5)]


def test_the_whole_field_is_booked_and_not_drawn(tmp_path: Path, told: list[str]) -> None:
    book = FiredWriter(tmp_path / "p", _frame, told.append)
    book(0.0, _fired(fill=None, regions=({"type": "whole field", "pulses": 1, "time_ms": 5.0},)))
    book.close()
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["doses.csv", "doses.json"]


def test_images_that_are_gone_do_no_harm(tmp_path: Path, told: list[str]) -> None:
    def gone(index: Index) -> Frame:
        raise StorageError("the disk is away")

    book = FiredWriter(tmp_path / "p", gone, told.append)
    book(0.0, _fired())
    book.close()
    assert (tmp_path / "p" / "doses.json").exists()
    assert told == ["What was fired could not be drawn: the disk is away"]
