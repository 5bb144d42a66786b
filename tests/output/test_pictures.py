"""Pictures for people: the right colour at the right place, and a bar of the right length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inscoper_mm.output import pictures
from inscoper_mm.output.pictures import contact_sheet, overlay


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture.astype(int) - colour).max(axis=-1) < 40


def test_outlines_lie_on_the_borders_in_their_colours(tmp_path: Path) -> None:
    labels = np.zeros((300, 300), np.uint8)
    labels[50:110, 60:130], labels[180:240, 200:260] = 1, 2
    image = np.random.default_rng(0).normal(100, 5, labels.shape) + 200 * (labels > 0)
    overlay(image.astype(np.uint16), labels, [1], tmp_path / "a.png")
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    assert picture.shape == (900, 900, 3)
    picture = picture[150:]  # below the legend
    for colour, (top, bottom, left, right) in {
        pictures._SINGLE: (50, 110, 60, 130),
        pictures._OTHER: (180, 240, 200, 260),
    }.items():
        rows, columns = np.nonzero(near(picture, colour))
        box = [rows.min() + 150, rows.max() + 150, columns.min(), columns.max()]
        assert box == pytest.approx([top * 3, bottom * 3, left * 3, right * 3], abs=4)


def bar_length(picture: np.ndarray) -> int:
    """Length of the longest run of white in the bottom rows."""
    row = near(picture[-18:], pictures._WHITE).sum(axis=1).max()
    return int(row)


@pytest.mark.parametrize(
    ("pixel_size_um", "zoom", "bar_um"), [(0.65, 2, 50.0), (0.065, 2, 5.0), (6.5, 2, 500.0)]
)
def test_the_bar_has_the_length_that_it_says(
    pixel_size_um: float, zoom: int, bar_um: float, tmp_path: Path
) -> None:
    overlay(np.zeros((512, 512)), np.zeros((512, 512), int), [], tmp_path / "a.png", pixel_size_um)
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    assert picture.shape[:2] == (512 * zoom, 512 * zoom)
    assert bar_length(picture) == pytest.approx(bar_um / pixel_size_um * zoom, abs=2)


def test_no_bar_without_a_pixel_size(tmp_path: Path) -> None:
    overlay(np.zeros((512, 512)), np.zeros((512, 512), int), [], tmp_path / "a.png")
    assert bar_length(np.asarray(Image.open(tmp_path / "a.png"))) == 0


def test_the_sheet_shows_every_crop_at_one_contrast(tmp_path: Path) -> None:
    crops = [np.full((20 + 3 * k, 30), 1000 * k, np.uint16) for k in range(7)]
    contact_sheet(crops, tmp_path / "s.png", [str(k) for k in range(7)], 0.5, columns=3)
    picture = np.asarray(Image.open(tmp_path / "s.png")).astype(int)
    cell = 38 * 4
    greys = []
    for k in range(7):
        row, column = divmod(k, 3)
        greys.append(picture[12 + row * (cell + 36) + cell // 2, 12 + column * (cell + 12) + cell // 2, 0])
    assert greys == sorted(greys)
    assert greys[0] == 0
    assert greys[-1] == 255


def test_a_sheet_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no crop"):
        contact_sheet([], tmp_path / "s.png")


def test_without_a_font_of_the_system_signs_are_spelled_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_FONTS", ("no such font.ttf",))
    assert pictures._font(20, "9 µm²")[1] == "9 um^2"
    contact_sheet([np.eye(20)], tmp_path / "s.png", ["9 µm²"], 0.5)
    assert (tmp_path / "s.png").exists()
