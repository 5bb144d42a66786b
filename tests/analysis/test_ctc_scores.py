"""The Cell Tracking Challenge's scores of results whose mistakes are known."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile

from inscoper_mm.testing.ctc_scores import PRICES, ctc_scores

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tracking" / "ctc_measures_tiny"
pytestmark = [
    pytest.mark.skipif(
        find_spec("ctc_metrics") is None, reason="py-ctcmetrics, of the extra bench, is missing"
    ),
    pytest.mark.filterwarnings("ignore"),  # of py-ctcmetrics, about itself
]
# Three cells in six frames: 18 sights to add at 10, 15 edges at 1.5.
EMPTY = 18 * 10 + 15 * 1.5


@pytest.fixture
def folders(tmp_path):
    """The challenge's own example, of which the result is perfect; drawn anew where it is not at hand."""
    archive = DATA / "test_data.zip"
    if archive.is_file():
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(tmp_path)
        return tmp_path / "res", tmp_path / "GT"
    result, truth = tmp_path / "res", tmp_path / "GT" / "TRA"
    for folder in (result, truth):
        folder.mkdir(parents=True)
    for number in range(6):
        labels = np.zeros((60, 60), np.uint16)
        for row, label in enumerate((13, 20, 24)):
            labels[5 + 18 * row : 15 + 18 * row, 5 + number : 15 + number] = label
        tifffile.imwrite(truth / f"man_track{number:03d}.tif", labels)
        tifffile.imwrite(result / f"mask{number:03d}.tif", labels * 10)
    (truth / "man_track.txt").write_text("13 0 5 0\n20 0 5 0\n24 0 5 0\n", encoding="utf-8")
    (result / "res_track.txt").write_text("130 0 5 0\n200 0 5 0\n240 0 5 0\n", encoding="utf-8")
    return result, truth.parent


def change(result, frame, old, new):
    file = result / f"mask{frame:03d}.tif"
    labels = tifffile.imread(file)
    labels[labels == old] = new
    tifffile.imwrite(file, labels)


def tracks(result, *lines):
    (result / "res_track.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_perfect_result(folders):
    assert ctc_scores(*folders) == {"TRA": 1, "DET": 1, "LNK": 1, "AOGM": 0} | dict.fromkeys(PRICES, 0)


def test_a_missed_sight(folders):
    change(folders[0], 5, 200, 0)
    tracks(folders[0], "130 0 5 0", "200 0 4 0", "240 0 5 0")
    scores = ctc_scores(*folders)
    assert (scores["FN"], scores["EA"]) == (1, 1)
    assert scores["AOGM"] == 11.5
    assert scores["TRA"] == pytest.approx(1 - 11.5 / EMPTY)


def test_a_track_that_breaks(folders):
    for frame in (3, 4, 5):
        change(folders[0], frame, 130, 131)
    tracks(folders[0], "130 0 2 0", "131 3 5 0", "200 0 5 0", "240 0 5 0")
    scores = ctc_scores(*folders)
    assert (scores["EA"], scores["AOGM"], scores["DET"]) == (1, 1.5, 1)
    assert scores["TRA"] == pytest.approx(1 - 1.5 / EMPTY)
    assert scores["LNK"] == pytest.approx(1 - 1.5 / 22.5)


def test_tracks_that_change_places(folders):
    for frame in (3, 4, 5):
        for old, new in ((130, 999), (240, 130), (999, 240)):
            change(folders[0], frame, old, new)
    scores = ctc_scores(*folders)
    assert (scores["ED"], scores["EA"]) == (2, 2)
    assert scores["TRA"] == pytest.approx(1 - 5 / EMPTY)


def test_a_result_that_is_none(folders):
    tracks(folders[0], "130 0 5 0", "200 0 5 0")
    with pytest.raises(ValueError, match="no result"):
        ctc_scores(*folders)
