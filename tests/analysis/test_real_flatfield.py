"""Real fields, where the data are at hand: what a model of one half of them leaves in the other half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from inscoper_mm.analysis.light_model import common_light, tiles_of

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "flatfield"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the folder of real data, {DATA.name}, is not beside the checkout"
)


def fields(name: str) -> list[np.ndarray]:
    return [tifffile.imread(path) for path in sorted((DATA / name).glob("*.tif")) if "ILLUM" not in path.name]


def parts(images: list[np.ndarray], middle) -> np.ndarray:
    """4 x 4 parts of the field relative to each other, of the typical image."""
    rows = [[np.array_split(row, 4, axis=1) for row in np.array_split(image, 4, axis=0)] for image in images]
    maps = [np.array([[middle(part) for part in row] for row in image]) for image in rows]
    typical = np.median([one / one.mean() for one in maps], axis=0)
    return typical / typical.mean()


def halves(name: str):
    """Twice: the light of one half, and the other half."""
    images = fields(name)
    for learned, held_back in ((images[::2], images[1::2]), (images[1::2], images[::2])):
        light = common_light([tiles_of(image) for image in learned], learned[0].shape, 0.0)
        yield light.flat, held_back


def test_a_background_that_can_be_seen_becomes_even() -> None:
    for light, held_back in halves("basicpy_nanog"):
        raw, even = parts(held_back, np.median), parts([image / light for image in held_back], np.median)
        assert raw.std() > 0.07
        assert even.std() < 0.008
        corners = np.mean([even[row, col] for row in (0, -1) for col in (0, -1)])
        assert corners / even[1:3, 1:3].mean() == pytest.approx(1, abs=0.015)


def test_where_cells_leave_no_background_no_light_is_made_up() -> None:
    for light, held_back in halves("cp_sbs_ch1"):
        raw, even = parts(held_back, np.mean), parts([image / light for image in held_back], np.mean)
        assert even.std() < 1.05 * raw.std()
